from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from tests.conftest import compose
from tlclass.experiments.written import as_yaml

WORDS = (
    "1e3", "1e-3", "1_0", "0x1f", "yes", "y", "on", "no", "null", "~", "", "nan", ".inf", "+.5", "1:30", "2020-01-01", "é", "a: b", "# x",
    "'q'", "a\nb", " lead", "1.5", "True", "=", "<<", "08", "-", "?", ".5e3", "1__0", "+1", "0b1", "1_0.5",
)  # fmt: skip


def read(text: str) -> Any:
    return OmegaConf.to_container(OmegaConf.create(text))


def test_every_word_and_number_is_read_back_as_it_was() -> None:
    values: list[Any] = [*WORDS, 1, 1.0, 1e-9, 1e30, float("inf"), True, None, [], {}]
    assert repr(read(as_yaml({"values": values, **dict.fromkeys(WORDS, 1)}))) == repr(
        {"values": values, **dict.fromkeys(WORDS, 1)}
    )
    assert read(as_yaml({"path": Path("a/b"), "pair": (1, 2)})) == {"path": "a/b", "pair": [1, 2]}


def test_the_settings_of_a_job_are_read_back_as_they_were() -> None:
    settings = compose(["source=plasticc", "target=bts"])
    assert read(as_yaml(settings)) == settings
