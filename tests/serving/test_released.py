import io
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
import yaml

from tests.conftest import refused, run_process
from tests.serving.conftest import RECIPE
from tlclass import models, release
from tlclass.network import released
from tlclass.network.checkpoint import TrainedModel, load_model
from tlclass.predict import main
from tlclass.serving import publishing
from tlclass.serving.making import check_data, make, recipes
from tlclass.training.heldout import HELDOUT


def test_a_released_model_is_small_and_says_what_it_is(
    released_folder: Path, released_model: TrainedModel, released_words: list[str]
) -> None:
    header, text = (released_folder / "README.md").read_text().split("---\n")[1:]
    about = yaml.safe_load(header)
    assert about["library_name"] == "tlclass" and "simulated-training-data" in about["tags"]
    assert "**simulated**" in text and "ztfg, ztfr" in text and "The temperature is" in text
    assert released_model.simulated and released_model.trained_on is not None and released_model.novelty is not None
    sources = Path(released_words[-1].removeprefix("paths.models="))
    assert list(sources.rglob(HELDOUT)) and not (released_folder / HELDOUT).exists()


def test_a_recipe_with_an_adaptation_needs_the_light_curves_and_says_what_it_used(
    released_folder: Path, released_model: TrainedModel, released_words: list[str], tmp_path: Path
) -> None:
    more = ("protocol.test=fixed", "adapt=distill", "adapt.fit.max_epochs=1", "adapt.fit.min_steps=0")
    recipe = replace(RECIPE, name="adapted", overrides=(*RECIPE.overrides, *more))
    with pytest.raises(FileNotFoundError, match=r"adapted learns from light curves of bts.*--data"):
        check_data([RECIPE, recipe], [*released_words, f"paths.data={tmp_path}"])
    check_data([recipe], released_words)
    model = make(recipe, released_words, tmp_path / "adapted")
    card = (tmp_path / "adapted" / "README.md").read_text()
    objects = model.training["adapted"]["objects"]
    assert (
        f"Adapted to {objects:,} light curves of bts without their labels" in card
        and "--data" in card
        and "Fremling" in card
    )
    assert "Fremling" not in (released_folder / "README.md").read_text()
    assert model.calibration is not None and released_model.calibration is not None
    assert model.calibration.prior == released_model.calibration.prior
    before, after = (one.members[0].state_dict() for one in (released_model, model))
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_a_recipe_with_labels_is_what_its_job_trains(released_words: list[str], tmp_path: Path) -> None:
    words = tuple("labels=60" if word == "labels=0" else word for word in RECIPE.overrides)
    recipe = replace(RECIPE, name="labelled", overrides=(*words, "protocol.test=fixed", "fit.max_epochs=1"))
    with pytest.raises(FileNotFoundError, match=r"labelled learns from light curves of bts.*--data"):
        check_data([recipe], [*released_words, f"paths.data={tmp_path}"])
    model = make(recipe, released_words, tmp_path / "labelled")
    card = (tmp_path / "labelled" / "README.md").read_text()
    assert model.labels == 60 and model.sets is not None and model.novelty is not None
    assert "trained on 60 labels of real light curves of bts" in card and "release labelled --data FOLDER" in card
    assert "Test objects of bts" in card and model.training["source"] == "bts_simulated"
    assert "Labels of bts: 60, seed 0." in card  # that of the draw of labels, not those of the sources
    assert load_model(tmp_path / "labelled").labels == 60


def test_every_recipe_names_a_kind_of_its_own() -> None:
    kinds = [(recipe.survey, recipe.photometry) for recipe in recipes().values() if recipe.survey]
    assert len(kinds) == len(set(kinds)) >= 2
    assert {survey for survey, photometry in kinds if photometry == "any"}.isdisjoint(
        survey for survey, photometry in kinds if photometry != "any"
    )


def test_what_ships_is_whole_and_under_two_megabytes() -> None:
    for name in released.released():
        folder = released.RELEASED / name
        assert load_model(folder).training["release"] == name
        assert sum(file.stat().st_size for file in folder.iterdir()) < 2_000_000


def test_an_unknown_name_lists_the_released_ones() -> None:
    with pytest.raises(ValueError, match="a model of type NoneType: give its name or its folder"):
        released.model_folder(None)  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError, match="no model 'ztf-nothing'"):
        released.model_folder("ztf-nothing")


@pytest.fixture
def shipped(released_folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(released, "RELEASED", released_folder.parent)
    return released_folder.name


def test_a_trial_leaves_the_models_that_ship_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in released.RELEASED.rglob("*")}
    sentence = refused(capsys, release.main, ["ztf-alerts", "--set", "seed=1", "--set", "members=2"])
    assert "--set seed=1 makes other models" in sentence and "--folder FOLDER" in sentence
    assert {path: path.stat().st_mtime_ns for path in released.RELEASED.rglob("*")} == before


def test_the_model_is_found_by_the_survey(
    shipped: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = str(data / "ztf_bts" / "observations.parquet")
    main([table, "-o", str(tmp_path / "out.jsonl"), "--coverage", "0.9", "--top", "2"])
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert len(rows) > 100 and {"class_1", "p_2", "set", "novelty", "warning"} <= set(rows[0])
    assert f"{shipped}: {len(rows)} objects" in capsys.readouterr().out
    main([shipped, table, "-o", str(tmp_path / "out.csv"), "--coverage", "0.9"])
    assert pd.read_csv(tmp_path / "out.csv")["set"].dropna().str.contains(r"^[\w\- /|]+$").all()
    none = [str(data / "plasticc"), "-o", str(tmp_path / "none.csv")]
    assert "unknown passband 'u'" in refused(capsys, main, none)


def test_models_are_listed_with_their_cards(shipped: str, capsys: pytest.CaptureFixture[str]) -> None:
    models.main([])
    assert shipped in capsys.readouterr().out
    models.main([shipped])
    assert "## Calibration" in capsys.readouterr().out


def test_standard_input(
    released_folder: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restored_logging: None
) -> None:
    csv = pd.read_parquet(data / "ztf_bts" / "observations.parquet").to_csv(index=False).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(csv)))
    main([str(released_folder), "-", "-o", str(tmp_path / "out.parquet")])
    assert len(pd.read_parquet(tmp_path / "out.parquet")) > 100


def test_standard_input_is_called_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    sentence = refused(capsys, main, ["ztf", "-", "-o", str(tmp_path / "out.csv")])
    assert sentence == "error: standard input cannot be read: the file is empty"


def test_importing_the_package_does_not_import_torch(tmp_path: Path) -> None:
    code = "import sys, tlclass; sys.exit('torch' in sys.modules)"
    import subprocess

    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0
    assert run_process("tlclass.predict", "--help", cwd=tmp_path).returncode == 0


def test_publishing_uploads_the_model_and_its_card(released_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("huggingface_hub")
    sent: dict[str, object] = {}
    api = SimpleNamespace(
        endpoint="https://hub",
        create_repo=lambda name, **_: sent.update(repo=name),
        upload_folder=lambda **words: sent.update(words),
    )
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: api)
    assert publishing.publish(released_folder, "user/tiny") == "https://hub/user/tiny"
    assert sent["repo"] == "user/tiny" and set(sent["allow_patterns"]) >= {
        "model.json",
        "model.safetensors",
        "README.md",
    }  # type: ignore[call-overload]


def test_a_hub_out_of_reach_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    hub_package = pytest.importorskip("huggingface_hub")

    def offline(*_: object, **__: object) -> str:
        raise hub_package.errors.OfflineModeIsEnabled("offline mode is enabled")

    monkeypatch.setattr("huggingface_hub.snapshot_download", offline)
    with pytest.raises(
        FileNotFoundError, match=r"hf://user/none cannot be downloaded \(.*offline.*\): check the name and the network"
    ):
        released.model_folder("hf://user/none")
