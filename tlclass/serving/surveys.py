"""A survey by the name of its card, without Hydra on the caller's side."""

import re
from collections.abc import Sequence
from pathlib import Path

from tlclass.experiments.cards import build_survey
from tlclass.experiments.composition import about_survey, compose
from tlclass.experiments.words import written
from tlclass.surveys import Several, Survey
from tlclass.wording import of_survey, reworded


def load_survey(name: str, data: str | Path = "data", **changes: object) -> Survey | Several:
    """The survey of a card in `conf/survey/`, e.g. for `LightCurveDataModule`.

    Args:
        name: of the card, such as `bts`.
        data: folder of the raw files.
        changes: keys of the card and what they become, with `__` for a dot: `n_objects=100`, `reader__flux_unit="ujy"`,
            `reader__columns={"mjd": "time"}`; None is the `null` of a card.

    Raises:
        ValueError: there is no such card, or it has no such key.
    """
    words = [f"{key.replace('__', '.')}={written(value)}" for key, value in changes.items()]
    card = [f"source={name}", f"paths.data={Path(data).resolve()}", *(f"source.{word}" for word in words)]
    with reworded(_of_python):
        return build_survey(compose(card)["source"])


def _of_python(message: str) -> str:
    """A message about the source in the words of `load_survey`.

    >>> _of_python("source 'bt' is unknown; source.reader.flux_unit is 3")
    "survey 'bt' is unknown; reader__flux_unit is 3"
    """
    named = re.sub(r"(?<![\w.])(?:source|target)\.([\w.]*\w)", lambda found: found[1].replace(".", "__"), message)
    return re.sub(r"(?<![\w.])source(?= ')", "survey", named)


def stated_survey(words: Sequence[str], config_dir: str | None, trust: Sequence[str]) -> Survey:
    """The survey that words of a command line such as `survey=NAME survey.key=value paths.data=FOLDER` state.

    Args:
        words: see `about_survey`.
        config_dir: folder with cards of the user's own.
        trust: packages whose classes the card may build.

    Raises:
        ValueError: a word means nothing, or the card is of several surveys of different objects.
    """
    with reworded(of_survey):
        settings = compose([about_survey(word) for word in words], config_dir)
        survey = build_survey(settings["target"], trust or settings["trust"])
    if not isinstance(survey, Survey):
        raise ValueError(f"{words[0]} is of several surveys of different objects: classify one at a time")
    return survey
