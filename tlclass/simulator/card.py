"""A simulated survey behind the same interface as the data on disk."""

from collections.abc import Mapping
from typing import Any

from tlclass.lightcurves.passbands import Passbands
from tlclass.lightcurves.selection import Selection
from tlclass.lightcurves.taxonomy import Taxonomy
from tlclass.simulator.survey import Simulation
from tlclass.surveys import Survey


def simulated_survey(
    name: str,
    passbands: Passbands,
    taxonomy: Taxonomy,
    selection: Selection,
    simulated: bool = True,
    where: Mapping[str, Any] | None = None,
    subsets: Mapping[str, Mapping[str, Any]] | None = None,
    citation: str = "",
    typical_flux: float | None = None,
    **simulation: Any,
) -> Survey:
    """Build the survey of a card such as `conf/survey/ztf_simulated.yaml`; its remaining keys are `Simulation`'s.

    Raises:
        ValueError: the card denies that the data are simulated, or has a wrong simulation key.
    """
    if not simulated:
        raise ValueError(f"survey {name}: simulated=false, but its light curves are simulated: remove the override")
    reader = Simulation.from_config(name=name, **simulation)
    return Survey(
        name, reader, passbands, taxonomy, selection, True, where or {}, subsets or {}, citation, typical_flux
    )
