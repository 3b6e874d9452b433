"""A survey by the name of its card, without Hydra on the caller's side."""

from pathlib import Path

from tlclass.experiments.cards import build_survey
from tlclass.experiments.composition import compose
from tlclass.surveys import Several, Survey


def load_survey(name: str, data: str | Path = "data", **changes: object) -> Survey | Several:
    """The survey of a card in `conf/survey/`, e.g. for `LightCurveDataModule`.

    Args:
        name: of the card, such as `bts`.
        data: folder of the raw files.
        changes: keys of the card and what they become, with `__` for a dot: `n_objects=100`, `reader__flux_unit="ujy"`.

    Raises:
        ValueError: there is no such card, or it has no such key.
    """
    words = [f"{key.replace('__', '.')}={value}" for key, value in changes.items()]
    settings = compose([f"source={name}", f"paths.data={Path(data).resolve()}", *(f"source.{word}" for word in words)])
    return build_survey(settings["source"])
