"""A trained model for users: light curves in, a DataFrame out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlclass.inputs.labelling import Labelling
from tlclass.lightcurves.curves import LightCurves
from tlclass.network.checkpoint import CARD, TrainedModel
from tlclass.network.released import named_model
from tlclass.serving.choosing import choose
from tlclass.serving.explained import Explanation
from tlclass.serving.explanation import explain
from tlclass.serving.predictions import predict, predict_each
from tlclass.serving.request import Prior, Request
from tlclass.surveys import door
from tlclass.surveys.saying import Together
from tlclass.training.card import card
from tlclass.wording import in_python, reworded

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


class Model:
    """A trained model that classifies light curves; `tlclass.load_model` makes one.

    Attributes:
        trained: the networks, and everything that is needed to use them.
    """

    def __init__(self, trained: TrainedModel):
        self.trained = trained

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities."""
        return self.trained.classes

    @property
    def passbands(self) -> tuple[str, ...]:
        """Names of the passbands that it was trained on; where that is not recorded, of all that it knows."""
        seen = self.trained.trained_on
        return seen.passbands if seen else self.trained.passbands.names

    @property
    def card(self) -> str:
        """The card of the model in Markdown: what it was trained on, its scores and its limits."""
        folder = self.trained.folder
        if folder is not None and (folder / CARD).is_file():
            return (folder / CARD).read_text(encoding="utf-8")
        return card(self.trained, folder.name if folder else self.trained.survey)

    def __repr__(self) -> str:
        return f"<tlclass model {self.trained.name}: {', '.join(self.classes)}; {', '.join(self.passbands)}>"

    def predict(
        self,
        source: door.Source,
        *,
        at_days: Sequence[float] = (),
        every_observation: bool = False,
        embedding: bool = False,
        top: int | None = None,
        coverage: float | None = None,
        prior: Prior | None = None,
        keep_passbands: bool = False,
        **options: Any,
    ) -> pd.DataFrame:
        """Class probabilities, one row per object; merge on `object_id` (text), because the rows are sorted by it.

        Args:
            source: a file or folder, a pandas, polars or Arrow table, `LightCurves`, or a survey (`tlclass.load_survey`), such as one of several
                surveys of the same objects.
            at_days, every_observation, embedding, top, coverage, prior, keep_passbands: which rows and columns the table has, see `Request`.
            options: how to read the source, such as `columns={"mjd": "time"}` or `flux_unit="ujy"`.

        Raises:
            FileNotFoundError, ValueError: the source cannot be read as light curves; one sentence says why.
        """
        request = Request(at_days, every_observation, embedding, top, coverage, prior, keep_passbands)
        frame: pd.DataFrame = self.table(source, request, options).to_pandas()
        return frame

    def embed(self, source: door.Source, **options: Any) -> pd.DataFrame:
        """The latent vectors, one row per object: `object_id`, `latent_0`, ...; null for objects that cannot be classified."""
        frame: pd.DataFrame = self.table(source, Request(embedding=True), options).to_pandas()
        return frame[["object_id", *(name for name in frame.columns if name.startswith("latent_"))]]

    def explain(
        self, source: door.Source, object_id: str, *, keep_passbands: bool = False, **options: Any
    ) -> Explanation:
        """Which observations decided the classification of one object.

        Args:
            source, keep_passbands, options: see `predict`.
            object_id: name of the object.

        Returns:
            Its `frame` has a row per observation; `write("NAME")` draws NAME.png and NAME.html.

        Raises:
            FileNotFoundError, ValueError: the source cannot be read, has no such object, or nothing can be said about it.
        """
        return explain(self.trained, self._read(source, options), object_id, door.name_of(source), keep_passbands)

    def choose(
        self,
        source: door.Source,
        n: int = 100,
        *,
        strategy: str = "margin",
        where: str | None = None,
        random: float = 0.0,
        labelled: Sequence[str] = (),
        seed: int = 0,
        **options: Any,
    ) -> pd.DataFrame:
        """The n objects to label next, the best one first.

        Args:
            source, options: see `predict`.
            n: number of objects.
            strategy: how to choose, a name of `conf/labelling/`.
            where: a condition that the objects fulfil, e.g. `"peak_mag < 19 and p(TDE) > 0.1"`.
            random: share of the n that is drawn at random instead.
            labelled: ids of objects that have a label already; they are not chosen again.
            seed: number from which all draws follow.

        Raises:
            FileNotFoundError, ValueError: the source cannot be read, or fewer than n objects may be chosen.
        """
        curves, labelling = self._read(source, options), Labelling(strategy, random=random, where=where)
        frame: pd.DataFrame = choose(
            self.trained, curves, n, labelling, labelled, seed, door.name_of(source)
        ).to_pandas()
        return frame

    def _read(self, source: door.Source, options: Mapping[str, Any]) -> LightCurves:
        with reworded(in_python):
            return door.read(source, self.trained.passbands, options, self.trained.input)

    def table(self, source: door.Source, request: Request, options: Mapping[str, Any]) -> pa.Table:
        """What `predict` gives, as an Arrow table."""
        return predict(self.trained, self._read(source, options), door.name_of(source), request)

    def tables(self, parts: Iterable[pa.Table], request: Request, options: Mapping[str, Any]) -> Iterator[pa.Table]:
        """The same of one table that comes in parts with other objects in each; each message is logged once, at the end."""
        return predict_each(self.trained, self._read_each(parts, options), door.IN_MEMORY, request)

    def _read_each(self, parts: Iterable[pa.Table], options: Mapping[str, Any]) -> Iterator[LightCurves]:
        together = Together()
        for part in parts:
            with together, reworded(in_python):
                (curves,) = door.parts(part, self.trained.passbands, options, self.trained.input)
            yield curves
        together.log()


def load_model(name: str | Path) -> Model:
    """A released model by its name, the model of a folder, or `hf://USER/NAME` of the Hugging Face hub.

    Raises:
        FileNotFoundError: there is none; the message names the released ones.
        ValueError: its files are damaged or from a newer version.
    """
    with reworded(in_python):
        return Model(named_model(name))
