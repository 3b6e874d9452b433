"""A survey card is code: what it may build without trust, and what stays out of its reach."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import compose
from tlclass.experiments.cards import build_survey
from tlclass.surveys import Several

MODULE = """
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Reader:
    folder: str

    def files(self):
        return []

    def read(self):
        raise ValueError("nothing to read")
"""


def bts(**changes: Any) -> dict[str, Any]:
    return {**compose(["target=bts"])["target"], **changes}


def refuse(card: dict[str, Any], name: str) -> None:
    """Building the card says that nothing was run, names the target, and how to trust it."""
    with pytest.raises(ValueError, match="nothing was run") as refused:
        build_survey(card)
    assert name in str(refused.value) and "trust=" in str(refused.value) and "\n" not in str(refused.value)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package of a user's own, importable."""
    (tmp_path / "mysurveys").mkdir()
    (tmp_path / "mysurveys" / "__init__.py").write_text("")
    (tmp_path / "mysurveys" / "readers.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "mysurveys"
    for name in [name for name in sys.modules if name.startswith("mysurveys")]:
        del sys.modules[name]


def test_several_surveys_are_built_without_trust() -> None:
    assert isinstance(build_survey(compose(["source=[bts,plasticc]"])["source"]), Several)


VICTIM = "victim"
HOSTILE = [
    "os.system", "os.mkdir", "builtins.eval", "builtins.open", "subprocess.run", "subprocess.Popen", "pathlib.Path.touch", "shutil.rmtree",
    "importlib.import_module", "runpy.run_path", "pickle.loads", "torch.load", "hydra.utils.instantiate", "hydra.utils.call", "hydra.utils.get_method",
    "functools.partial", "numpy.save",
    # by way of what modules of the package import
    "tlclass.atomic.os.mkdir", "tlclass.atomic.os.system", "tlclass.surveys.tables.files.gzip.open", "tlclass.surveys.survey.Path",
    "tlclass.surveys.survey.hashlib.file_digest", "tlclass.surveys.survey.log.warning",
    # what the package itself has, and a card is not meant to call
    "tlclass.atomic.write_text", "tlclass.surveys.survey.cached", "tlclass.surveys.Survey.load", "tlclass.surveys.unpickle.load", "tlclass.train.main",
    "tlclass.fetch.main", "tlclass.experiments.cards.build_survey", "tlclass.options.build", "tlclass.network.checkpoint.load_model",
    "tlclass.surveys.Survey.__init__", "tlclass.surveys.Survey.__class__", "tlclass.surveys.Survey.__subclasses__",
    "tlclass.surveys.Survey.__init__.__globals__", "tlclass.lightcurves.taxonomy.Taxonomy.encode", "tlclass.simulator.card.simulated_survey.__call__",
]  # fmt: skip


@pytest.mark.parametrize("target", HOSTILE)
def test_what_states_no_survey_is_refused_before_anything_runs(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    node = {"_target_": target, "path": VICTIM}
    refuse({**node, "name": "bad"}, target)
    refuse(bts(reader=node), target)
    refuse(bts(subsets={"a": {"b": {"c": node}}}), target)
    refuse(bts(subsets={"a": [1, [node]]}), target)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("key", ["_args_", "_partial_", "_recursive_", "_convert_"])
def test_other_special_keys_of_hydra_are_refused(key: str) -> None:
    with pytest.raises(ValueError, match=key):
        build_survey(bts(reader={"_target_": "tlclass.surveys.Table", "folder": "x", key: ["x"]}))


@pytest.mark.parametrize(
    "name",
    [
        "tlclass",
        "",
        "tlclass..x",
        "tlclass.surveys.Table; import os",
        3,
        None,
        ["a.b"],
        "tlclass.surveys." + "a" * 10**6,
    ],
)
def test_a_target_that_is_no_name_is_one_short_sentence(name: Any) -> None:
    with pytest.raises(ValueError, match="_target_") as refused:
        build_survey(bts(reader={"_target_": name}))
    assert len(str(refused.value)) < 600


def test_a_name_that_does_not_exist_is_said() -> None:
    with pytest.raises(ValueError, match=r"tlclass.surveys.Tabel does not exist"):
        build_survey(bts(reader={"_target_": "tlclass.surveys.Tabel"}))


def test_interpolations_are_not_resolved_again() -> None:
    """What a card holds after composing is text: a resolver could give a node with a `_target_` that nobody looked at."""
    hidden = "${oc.create:'{_target_: os.mkdir, path: victim}'}"
    with pytest.raises(ValueError, match="survey card bts"):
        build_survey(bts(selection=hidden, colour=1))
    assert build_survey(bts(citation=hidden)).citation == hidden  # type: ignore[union-attr]


def test_classes_of_ones_own_package_need_its_name(package: str) -> None:
    card = bts(reader={"_target_": f"{package}.readers.Reader", "folder": "x"})
    with pytest.raises(ValueError, match=r"trust=\[mysurveys\]"):
        build_survey(card)
    assert "mysurveys" not in sys.modules  # importing it would already run its code
    for trust in ([package], package, True):
        assert type(build_survey(card, trust).reader).__name__ == "Reader"  # type: ignore[union-attr]


@pytest.mark.parametrize("inner", ["os.system", "subprocess.run", "os.environ.copy"])
def test_a_trusted_package_lends_its_trust_to_nothing_it_imports(inner: str, package: str) -> None:
    with pytest.raises(ValueError, match="nothing was run"):
        build_survey(bts(reader={"_target_": f"{package}.readers.{inner}"}), [package])


def test_trust_in_everything_is_everything(tmp_path: Path) -> None:
    """The tests above must be able to fail."""
    with pytest.raises(ValueError, match="survey card"):
        build_survey({"_target_": "os.mkdir", "path": str(tmp_path / VICTIM)}, trust=True)
    assert (tmp_path / VICTIM).is_dir()


@pytest.mark.parametrize("trust", [3, {"a": 1}, [1]])
def test_trust_of_another_kind_is_refused(trust: Any) -> None:
    with pytest.raises(ValueError, match="trust is"):
        build_survey(bts(), trust)


def test_a_wrong_kind_inside_a_card_is_one_sentence() -> None:
    with pytest.raises(ValueError, match="survey card bts"):
        build_survey(bts(taxonomy={"_target_": "tlclass.lightcurves.taxonomy.Taxonomy", "members": "SN Ia"}))
    with pytest.raises(ValueError, match="builds a Taxonomy"):
        build_survey(bts()["taxonomy"])
