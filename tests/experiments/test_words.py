"""Any path works on the command line, whatever Hydra's grammar makes of its characters."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from tlclass.experiments.composition import compose
from tlclass.experiments.words import quoted, readable

NAMES = [
    "with blank", " around ", "a[1]", "a=b", "~tilde", "tilde~", "a,b", "a, b", "(a)", "{a}", "a:b", "it's", 'say "so"', "$HOME", "#1", "100%", "a&b;c|d",
    "back\\slash", "end\\", "\\'", "'", '"', "é", "星雲", "2024", "1e3", "true", "nullx", "[a", "a]", "a}", "@x", "!x", "*", "?", "^", "`a`", "<a>", "tab\tx",
    "line\nx",
]  # fmt: skip
KEYS = ["paths.data", "source_model", "target.reader.folder", "target.reader.observations"]


def values(words: list[str]) -> list[object]:
    return [override.value() for override in OverridesParser.create().parse_overrides(words)]


@pytest.mark.parametrize("name", NAMES)
def test_a_path_arrives_as_it_was_written(name: str) -> None:
    given = [f"/data/{name}/x", f"relative/{name}", f"./{name}"]
    for key in KEYS:
        assert values(readable([f"{key}={path}" for path in given])) == given
    assert values([f"key={quoted(name)}"]) == [name]


def test_composing_gives_the_path(tmp_path: Path) -> None:
    folder = tmp_path / "".join(name for name in NAMES if name not in ("~tilde", "line\nx"))
    settings = compose(["target=table", f"paths.data={folder}", f"target.reader.objects={folder / 'o.csv'}"])
    assert settings["paths"]["data"] == settings["target"]["reader"]["folder"] == str(folder)
    assert settings["target"]["reader"]["objects"] == str(folder / "o.csv")


@pytest.mark.parametrize(
    "word",
    [
        "source=[bts,plasticc]", "seed=1,2", "fit.learning_rate=1e-3", "~target.taxonomy", "-m", "--config-dir=/a b", "paths.data='/a b'",
        'paths.data="/a,b"', "source_model=null", "target.selection.window=[-30,70]", "+experiment=ztf2lsst", "source.parts.x={a: 1}", "paths.results=",
    ],
)  # fmt: skip
def test_other_words_stay_as_they_are(word: str) -> None:
    assert readable([word]) == [word]


def test_commas_are_an_axis_of_a_sweep_where_all_its_paths_are_there(tmp_path: Path) -> None:
    assert readable(["source_model=null,'m'"], multirun=True) == ["source_model=null,'m'"]
    assert readable(["source_model=choice(a,b)"], multirun=True) == ["source_model=choice(a,b)"]
    one, other = tmp_path / "a b", tmp_path / "c"
    one.mkdir()
    word = f"source_model={one},{other}"
    assert readable([word], multirun=True) == [f"source_model='{one},{other}'"]
    other.mkdir()
    assert readable([word]) == [f"source_model='{one},{other}'"]
    assert readable([word], multirun=True) == [f"source_model='{one}','{other}'"]
    (tmp_path / "a,b").mkdir()
    assert readable([f"source_model={tmp_path}/a,b"], multirun=True) == [f"source_model='{tmp_path}/a,b'"]


def test_a_tilde_is_a_home_folder_unless_a_file_is_called_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    home = os.path.expanduser("~")  # noqa: PTH111
    assert values(readable(["paths.data=~/x", "paths.data=~"])) == [f"{home}/x", home]
    Path("~x").mkdir()
    assert values(readable(["paths.data=~x"])) == ["~x"]


def test_text_that_the_grammar_does_not_take_is_quoted() -> None:
    assert values(readable(["target.citation=Müller & Smith (2020)", "target.reader.columns.mjd=###MJD"])) == [
        "Müller & Smith (2020)",
        "###MJD",
    ]


@pytest.mark.parametrize("word", ["target.selection.window=[-30,70", "target.where={ddf: true"])
def test_what_cannot_be_read_is_one_sentence(word: str) -> None:
    with pytest.raises(ValueError, match="cannot be read") as refused:
        readable([word])
    assert word in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.slow
@pytest.mark.parametrize("sweep", [(), ("-m", "seed=0,1")], ids=["job", "sweep"])
def test_a_run_works_in_folders_of_any_name(
    sweep: tuple[str, ...], data: Path, tmp_path: Path, train_cli: Callable[..., None]
) -> None:
    odd = tmp_path / "it's [1], a=b ~x (é) #2 {y} 100%"
    shutil.copytree(data / "ztf_bts", odd / "ztf_bts")
    paths = [f"paths.{name}={odd / name}" for name in ("models", "cache", "results")]
    train_cli(*sweep, f"paths.data={odd}", *paths, "source=bts", "target=bts", "freeze_policy=full")
    assert len(list((odd / "results").rglob("result.json"))) == (2 if sweep else 1)
    assert list((odd / "models").rglob("model.json")) and list((odd / "cache").rglob("*.arrow"))
