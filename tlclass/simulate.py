"""Write a simulated survey to a file, for other tools or for a look.

    python -m tlclass.simulate survey=lsst_simulated n_objects=20000 -o lsst.parquet --plot sheet.png

Keys are those of the survey's card in `conf/survey`, with dots inside blocks:
`systematics.outlier_fraction=0`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from tlclass.config import CONF
from tlclass.lightcurves import LightCurves, write
from tlclass.sheet import draw_sheet
from tlclass.simulator import Simulation

SUFFIX = "_simulated"
WRITTEN = (".parquet", ".pq", ".arrow")
GROUPS = ("population",)  # keys that name a file of their own: population=observed
KEYS = tuple(item.name for item in fields(Simulation) if item.name != "version")


def load_simulation(survey: str, overrides: Sequence[str] = (), conf: Path = CONF) -> Simulation:
    """Read the card `conf/survey/<survey>.yaml`, apply `key=value` overrides and build the simulation."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    cards = (conf / "survey").glob(f"*{SUFFIX}.yaml")
    known = sorted(path.stem for path in cards if "tlclass.simulator.simulated_survey" in path.read_text())
    if survey not in known:
        raise ValueError(f"no simulated survey {survey!r}: choose survey= from {known}")
    chosen = {key: name for key, _, name in (entry.partition("=") for entry in overrides) if key in GROUPS}
    card: Any = _compose(conf / "survey", survey, conf, chosen)
    card = OmegaConf.create({key: card[key] for key in KEYS if key in card})
    OmegaConf.set_struct(card, True)
    try:
        card.merge_with_dotlist([entry for entry in overrides if entry.partition("=")[0] not in GROUPS])
        values: Any = OmegaConf.to_container(card, resolve=True)
    except OmegaConfBaseException as error:
        message = str(error).splitlines()[0]
        raise ValueError(f"cannot set {', '.join(overrides)}: {message} (keys: {', '.join(KEYS)})") from error
    return Simulation.from_config(**values)


def _compose(folder: Path, name: str, conf: Path, chosen: Mapping[str, str]) -> Any:
    """Load `folder/name.yaml` over what its defaults list names; groups mounted outside KEYS are skipped."""
    from omegaconf import OmegaConf

    if not (folder / f"{name}.yaml").is_file():
        known = sorted(path.stem for path in folder.glob("*.yaml"))
        raise ValueError(f"no {folder.name} {name!r}: choose from {known}")
    card: Any = OmegaConf.load(folder / f"{name}.yaml")
    base: Any = OmegaConf.create({})
    for entry in card.pop("defaults", []):
        if isinstance(entry, str):
            base = base if entry == "_self_" else OmegaConf.merge(base, _compose(folder, entry, conf, {}))
            continue
        mount, choice = next(iter(entry.items()))
        group, _, node = mount.partition("@")
        if node in KEYS:
            base[node] = _compose(conf / group.strip("/"), chosen.get(node, choice), conf, {})
    return OmegaConf.merge(base, card)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tlclass.simulate", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("settings", nargs="*", metavar="key=value", help="survey=NAME and keys of its card")
    parser.add_argument("-o", "--output", type=Path, help="file to write: .parquet, or .arrow to open memory-mapped")
    parser.add_argument("--plot", type=Path, help="also draw examples of every class into this image")
    return parser.parse_args(argv)


def _simulate_with_bar(simulation: Simulation) -> LightCurves:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(simulation.name), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(simulation.name, total=sum(simulation.counts().values()))
        return simulation.read(lambda done, _: bar.update(task, completed=done))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; a mistake of the user prints one sentence and returns 2."""
    arguments = _arguments(argv)
    try:
        if arguments.output is None:
            raise ValueError("where should the light curves go? give -o FILE.parquet")
        bad = [setting for setting in arguments.settings if "=" not in setting]
        if bad:
            raise ValueError(f"settings are key=value, got {bad[0]!r}")
        settings = dict(setting.split("=", 1) for setting in arguments.settings)
        overrides = [setting for setting in arguments.settings if not setting.startswith("survey=")]
        simulation = load_simulation(settings.get("survey", ""), overrides)
        if arguments.output.suffix not in WRITTEN:
            raise ValueError(f"output {arguments.output}: choose a name that ends in {', '.join(WRITTEN)}")
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    curves = _simulate_with_bar(simulation)
    write(curves, arguments.output)
    print(f"{curves.label.size} simulated light curves in {arguments.output}")
    if arguments.plot is not None:
        title = "simulated light curves: flux (zero point 27.5) against days since trigger"
        draw_sheet(curves, curves.label, arguments.plot, title)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
