"""Adaptation without labels: what it may look at, that it can be interrupted, and how it stands in a job."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from tests.conftest import Composed, Job, refused
from tlclass import adapt
from tlclass.experiments import job, pretraining
from tlclass.experiments.adapting import adapted, unscored
from tlclass.experiments.job import Job as Running
from tlclass.experiments.plan import Plan, plan_from
from tlclass.experiments.run import run_job
from tlclass.inputs.augmentation import Augmentation
from tlclass.inputs.datamodule import Beside, LightCurveDataModule
from tlclass.inputs.split import Protocol, fixed_test
from tlclass.network.calibration import Calibration
from tlclass.network.checkpoint import TrainedModel, load_model, save_model
from tlclass.network.classifier import build_classifier
from tlclass.network.inference import encode_all, predict_logits
from tlclass.network.released import RELEASED
from tlclass.network.training_range import measure
from tlclass.training.card import card
from tlclass.training.feature_cache import with_features
from tlclass.training.fit import Process, fit
from tlclass.training.reliability import believed_of, taught

DISTILL = [
    "adapt=distill",
    "head=source",
    "labels=0",
    "adapt.fit.max_epochs=3",
    "adapt.fit.min_steps=0",
    "adapt.fit.batch_size=16",
]
ENCODERS: dict[str, dict[str, Any]] = {
    "gru": {"name": "gru", "hidden": 8, "dense": 8, "latent": 8, "metadata": ["mwebv"]},
    "transformer": {"name": "transformer", "width": 8, "layers": 1},
}


@pytest.fixture
def plan(settings: Job) -> Plan:
    return settings(*DISTILL)


@pytest.fixture
def target(plan: Plan) -> LightCurveDataModule:
    return job.load(plan.training, plan.paths.cache)


def learnt(
    plan: Plan, data: LightCurveDataModule, folder: Path, process: Process | None = None
) -> dict[str, torch.Tensor]:
    """The tensors of an untrained source network after the adaptation."""
    (model,) = run(plan, data, folder, process)
    return model.members[0].state_dict()


def run(plan: Plan, data: LightCurveDataModule, folder: Path, process: Process | None = None) -> list[TrainedModel]:
    assert plan.adaptation is not None
    running = Running(plan.training, data, folder, process or plan.process)
    return adapted(running, data.without_labels(), plan.adaptation, [pretraining.untrained(plan)], folder / "store")[0]


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return list(one) == list(other) and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("test", ["fixed", "development", "tuning"])
def test_the_part_that_fixed_tests_on_is_never_looked_at(test: str, target: LightCurveDataModule) -> None:
    other = target.holding()
    other.protocol = Protocol(test)
    set_aside = np.flatnonzero(fixed_test(target.label, target.curves.object_id, Protocol.test_fraction))
    assert len(other.unlabelled) and not set(other.unlabelled) & set(set_aside)


def test_neither_labels_nor_the_test_part_are_looked_at(
    plan: Plan, target: LightCurveDataModule, tmp_path: Path
) -> None:
    first = learnt(plan, target, tmp_path / "first")
    before = pretraining.untrained(plan).members[0].state_dict()
    assert list(first) == list(before) and not same(first, before)
    assert set(target.unlabelled) | set(target.split.test) == set(range(len(target.label)))
    encoded = target.encoded
    tested = np.isin(encoded.owner, target.split.test)
    x = np.where(tested[:, None], np.float32(7), encoded.x)
    other = target.holding(label=(target.label + 1) % len(target.classes), encoded=replace(encoded, x=x))
    assert same(learnt(plan, other, tmp_path / "other"), first)
    moved = replace(encoded, x=np.where(tested[:, None], encoded.x, np.float32(7)))
    assert not same(learnt(plan, target.holding(encoded=moved), tmp_path / "moved"), first)


def test_another_seed_learns_in_another_order(plan: Plan, target: LightCurveDataModule, tmp_path: Path) -> None:
    first, again = learnt(plan, target, tmp_path / "first"), target.holding()
    again.seed = target.seed + 1
    assert not same(learnt(plan, again, tmp_path / "again"), first)


class Killed(Callback):
    """Ends the process, as it were, in the second epoch."""

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        if trainer.current_epoch == 1:
            raise SystemExit(9)


def test_an_interrupted_adaptation_ends_where_a_whole_one_does(
    plan: Plan, target: LightCurveDataModule, tmp_path: Path
) -> None:
    whole = learnt(plan, target, tmp_path / "whole")
    with pytest.raises(SystemExit):
        learnt(plan, target, tmp_path / "cut", replace(plan.process, callbacks=[Killed()]))
    assert list((tmp_path / "cut").rglob("last.ckpt"))
    assert same(learnt(plan, target, tmp_path / "cut"), whole)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_encoder_adapts_and_keeps_the_sources_classes(encoder: str, composed: Composed, tmp_path: Path) -> None:
    plan = plan_from({**composed(*DISTILL), "model": ENCODERS[encoder]})
    (model,) = run(plan, job.load(plan.training, plan.paths.cache), tmp_path)
    source = pretraining.untrained(plan)
    assert model.classes == source.classes != plan.target.taxonomy.classes
    assert not same(model.members[0].state_dict(), source.members[0].state_dict())


def test_a_job_starts_from_the_adapted_networks(settings: Job, tmp_path: Path) -> None:
    plan = settings(*DISTILL, "labels=60", "freeze_policy=head_only", "head=linear")
    row = run_job(plan, tmp_path / "job")
    assert row["adapt"] == "distill" and row["unlabelled"] == row["pool"] > row["labels"] == 60
    model = load_model(tmp_path / "job")
    assert model.training["adapted"]["objects"] == row["pool"]
    assert f"{row['pool']:,} light curves" in (tmp_path / "job" / "README.md").read_text()
    assert not (tmp_path / "job" / "checkpoints").exists()
    (source,) = pretraining.source_models(plan, pretraining.source_folders(plan))
    assert not same(*(one.members[0].encoder.state_dict() for one in (model, source)))


def test_the_temperature_follows_what_the_networks_said_of_complete_light_curves(
    plan: Plan, target: LightCurveDataModule
) -> None:
    model = pretraining.untrained(plan_from({**plan.config, "source": plan.config["target"]}))
    target = target.without_labels()
    count = len(target.curves)
    logits = predict_logits(model.classifier, target.dataset(np.arange(count)))
    with torch.no_grad():  # an untrained network is sure of nothing, so its temperature would mean nothing
        for weight in model.members[0].head.parameters():
            weight.mul_(3 / logits.std())
    n = len(model.classes)
    start = Calibration(1.0, 0.0, (0.0,) * n, tuple(np.arange(1.0, n + 1) / sum(range(n + 1))), "others", 500)
    assert believed_of(model, target) is None
    for temperature in (0.2, 5.0):
        calibrated = replace(model, calibration=replace(start, temperature=temperature))
        believed = believed_of(calibrated, target)
        assert believed is not None and believed.probability.shape == (count, n)
        seen, found = taught(model, replace(believed, calibration=start), "mine")
        assert found.temperature < 0.8 if temperature < 1 else found.temperature > 1.5
        assert found.prior == start.prior and found.bias == pytest.approx(start.bias)
        assert "others" in found.fitted_on and str(count) in found.fitted_on
        assert seen.objects == pytest.approx(count)


def test_a_job_without_labels_is_calibrated_by_what_it_adapts_to_and_one_with_labels_shares_its_networks(
    settings: Job, tmp_path: Path
) -> None:
    def adaptations() -> dict[Path, int]:
        stored = plan.paths.models.glob(f"*-adapted-*/seed{plan.training.seed}/model.safetensors")
        return {path: path.stat().st_mtime_ns for path in stored}

    plan = settings(*DISTILL, "seed=17")
    before = adaptations()
    row = run_job(plan, tmp_path / "job")
    model = load_model(tmp_path / "job")
    assert model.calibration is not None and model.sets is not None and model.novelty is not None
    assert f"{row['pool']} complete light curves" in model.calibration.fitted_on and row["labels"] == 0
    after = adaptations()
    assert len(after) == len(before) + 1 and not list(plan.paths.models.rglob("*-adapted-*/*/*/*.ckpt"))
    run_job(settings(*DISTILL, "seed=17", "labels=60", "freeze_policy=head_only"), tmp_path / "labels")
    assert run_job(plan, tmp_path / "again") == row and adaptations() == after


def test_unlabelled_light_curves_train_beside_the_labelled_ones(settings: Job) -> None:
    plan = settings("labels=40")
    target = job.load(plan.training, plan.paths.cache)
    split, pool = target.split, target.without_labels()
    said = np.random.default_rng(0).dirichlet(np.ones(len(target.classes)), len(pool.curves))
    beside = Beside(pool.curves, pool.encoded, said, 0.5)
    data = target.holding(beside=(beside,))
    drawn, n = data.drawn(beside), len(split.train)
    ids = pool.curves.object_id[drawn]
    assert len(drawn) == len(set(ids)) == 20 and data.trained_on == n + 20 and target.trained_on == n
    assert not set(ids) & set(target.curves.object_id[np.concatenate([split.train, split.val, split.test])])
    trained = data.training_set(0)
    assert len(trained) == sum(map(len, data.train_dataloader().sampler)) == n + 20
    label = trained.label.numpy()
    assert np.array_equal(label[:n].argmax(1), target.label[split.train]) and label[:n].max(1).min() == 1
    assert np.allclose(label[n:], said[drawn])
    assert np.array_equal(
        trained.lengths, np.concatenate([target.curves.lengths[split.train], pool.curves.lengths[drawn]])
    )
    other = data.holding(label=(target.label + 1) % len(target.classes))
    assert np.array_equal(other.drawn(beside), drawn) and np.array_equal(other.training_set(0).label[n:], label[n:])
    data.augmentation = Augmentation(zero_point=0.1)
    changed = data.training_set(0)
    assert torch.equal(changed.label, trained.label) and torch.equal(changed.lengths, trained.lengths)
    network = build_classifier({**ENCODERS["gru"], "metadata": []}, {"name": "linear"}, len(target.channels), 2)
    for every_step in (False, True):
        plain = target.holding(beside=(beside,))
        features = with_features(plain, network.encoder, every_step).training_set(0)
        steps = trained.lengths if every_step else torch.ones(n + 20)
        assert torch.equal(features.lengths, steps.long()) and torch.equal(features.label, trained.label)
        whole = encode_all(network.encoder, trained)
        last = torch.cumsum(features.lengths, 0) - 1
        assert torch.allclose(features.x[last], whole, atol=1e-6)
    few = replace(beside, each=1000.0)
    assert len(target.drawn(few)) == len(pool.curves) - 40


def test_patience_counts_the_steps_of_what_trains_beside_too(settings: Job, tmp_path: Path) -> None:
    plan = settings("labels=40")
    target = job.load(plan.training, plan.paths.cache)
    pool = target.without_labels()
    said = np.full((len(pool.curves), len(target.classes)), 1 / len(target.classes))
    data = target.holding(beside=(Beside(pool.curves, pool.encoded, said, 1.0),))
    network = build_classifier(
        ENCODERS["transformer"] | {"metadata": []}, {"name": "linear"}, len(target.channels), len(target.classes)
    )
    still = replace(
        plan.training.fit,
        learning_rate=1e-12,
        max_epochs=200,
        min_steps=0,
        patience_epochs=1,
        patience_steps=40,
    )
    summary = fit(network, data, still, tmp_path, plan.process)
    each = -(-data.trained_on // still.batch_size)
    assert summary.stopped_early and 40 <= summary.steps <= 40 + 2 * each


def test_objects_without_a_label_are_learnt_from(settings: Job, tmp_path: Path) -> None:
    plan = settings(*DISTILL, "labels=all", "seed=3")
    data = job.load(plan.training, plan.paths.cache)
    hidden = set(data.curves.object_id[data.unlabelled][::2])
    whole = plan.paths.data / "ztf_bts"
    folder = tmp_path / "data" / "ztf_bts"
    folder.mkdir(parents=True)
    shutil.copy(whole / "observations.parquet", folder)
    objects = pd.read_parquet(whole / "objects.parquet")
    objects.loc[objects["object_id"].isin(hidden), "class"] = ""
    objects.to_parquet(folder / "objects.parquet")
    few = settings(*DISTILL, "labels=all", "seed=3", f"target.reader.folder={folder}")
    part = job.load(few.training, few.paths.cache)
    known, pool = set(part.curves.object_id), set(part.without_labels().curves.object_id)
    assert not hidden & known and hidden <= pool and not set(part.curves.object_id[part.split.test]) & pool
    row = run_job(few, tmp_path / "job")
    assert row["unlabelled"] == row["pool"] + len(hidden) and row["n_test"] == len(part.split.test)


def test_what_trains_beside_the_labels_needs_no_other_adaptation(settings: Job, tmp_path: Path) -> None:
    words = (*DISTILL, "labels=60", "head=source", "seed=7", "freeze_policy=head_only", "fit.class_weights=true")
    rows, stores = [], set()
    for number in (0, 0.5):
        plan = settings(*words, f"adapt.beside={number}")
        rows.append(run_job(plan, tmp_path / f"job{number}"))
        stores |= set(plan.paths.models.glob(f"*-adapted-*/seed{plan.training.seed}"))
    assert len(stores) == 1
    assert rows[0]["n_train"] == rows[1]["n_train"] and rows[0]["auroc_macro"] != rows[1]["auroc_macro"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"beside": -1.0}, r"adapt\.beside is -1\.0: choose 0"),
        ({"fit": {"class_weights": True}}, r"adapt\.fit\.class_weights"),
        ({"fit": {"monitor": "val/auroc_macro"}}, r"adapt\.fit\.monitor.*val/auroc_macro"),
        ({"fit": {"truncate": 2}}, r"adapt\.fit\.truncate is 2"),
        ({"validation_fraction": 1.0}, r"adapt\.validation_fraction"),
        ({"augmentation": {"farther": 2}}, r"adapt\.augmentation\.farther is 2, but the redshifts of unlabelled"),
        ({"epochs": 3}, "adapt: unknown option epochs"),
        (
            {"freeze_policy": {"name": "none", "train": ["*"], "rates": {"head": 0}}},
            r"learning-rate factor must be above 0, not 0\.0",
        ),
    ],
)
def test_a_wrong_setting_is_refused_in_the_plan(changes: dict[str, Any], message: str, composed: Composed) -> None:
    config = composed(*DISTILL)
    changed = {**config["adapt"], **changes, "fit": {**config["adapt"]["fit"], **changes.get("fit", {})}}
    with pytest.raises(ValueError, match=message):
        plan_from({**config, "adapt": changed})


def test_what_has_no_source_network_and_what_is_no_group_are_refused(composed: Composed) -> None:
    config = composed(*DISTILL)
    with pytest.raises(ValueError, match=r"adapt is 'distil'.*adapt=NAME"):
        plan_from({**config, "adapt": "distil"})
    scratch = {**config["method"], "name": "scratch", "policy": {"name": "from_scratch", "train": ["*"]}}
    with pytest.raises(ValueError, match=r"adapt=distill.*arm=mine.*adapt=none"):
        plan_from({**config, "method": scratch, "arm": {"name": "mine", "reference": None}})


def test_without_objects_outside_the_test_part_there_is_nothing_to_learn_from(settings: Job, tmp_path: Path) -> None:
    plan = settings(*DISTILL, "protocol.test=remainder")
    with pytest.raises(ValueError, match=r"adapt=distill.*there are 0.*protocol\.test=fixed"):
        run(plan, job.load(plan.training, plan.paths.cache), tmp_path)


# -- the command


@pytest.fixture
def ensemble(plan: Plan, tmp_path: Path) -> Path:
    """The folder of a model of two untrained networks for the small survey."""
    target = plan_from({**plan.config, "source": plan.config["target"]})
    save_model(pretraining.untrained(target), tmp_path / "model")
    return tmp_path / "model"


def command(ensemble: Path, table: Path, output: Path, *more: str) -> None:
    small = ("--set", "adapt.fit.max_epochs=2", "--set", "adapt.fit.min_steps=0", *more)
    adapt.main([str(ensemble), str(table), "-o", str(output), *small])


def test_the_command_writes_a_model_of_its_own(
    ensemble: Path,
    plan: Plan,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    table = plan.paths.data / "ztf_bts"
    command(ensemble, table, tmp_path / "out")
    assert str(tmp_path / "out") in capsys.readouterr().out
    before, after = load_model(ensemble), load_model(tmp_path / "out")
    assert after.classes == before.classes and not (tmp_path / "out" / "checkpoints").exists()
    assert not same(after.members[0].state_dict(), before.members[0].state_dict())
    assert "ztf_bts" in (tmp_path / "out" / "README.md").read_text()
    command(ensemble, table, tmp_path / "few", "--most", "40")
    learnt = load_model(tmp_path / "few").training["adapted"]["objects"]
    assert learnt <= 40 and f"learns from {learnt} light curves" in caplog.text
    assert "already holds a model" in refused(capsys, command, ensemble, table, tmp_path / "few")


def test_a_passband_that_was_not_in_training_is_left_out(
    ensemble: Path, plan: Plan, target: LightCurveDataModule, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    curves = target.curves
    one = measure(curves.keep(curves.passband == 0), plan.target.selection.photometry.kind)
    save_model(replace(load_model(ensemble), trained_on=one), tmp_path / "one")
    command(tmp_path / "one", plan.paths.data / "ztf_bts", tmp_path / "out")
    after = load_model(tmp_path / "out").trained_on
    assert after is not None and after.passbands == one.passbands == curves.passbands[:1]
    assert f"in {curves.passbands[1]}, on which this model was not trained" in caplog.text


def test_the_scores_of_the_former_networks_are_not_those_of_the_adapted_ones() -> None:
    released = load_model(RELEASED / "ztf-alerts")
    row = {"target": "bts", "n_train": 80, "n_val": 20, "labels": 100, "auroc_macro": 0.9, "n/TDE": 3}
    about = unscored({**released.training, "row": row})
    written = card(replace(released, training=about), "mine")
    assert "## Scores" in card(released, "mine") and "## Scores" not in written and "AUROC" not in written
    assert "# mine\n" in written and "Made by" not in written and "`ztf-alerts`" in written
    assert "Labels of bts: 100" in written and about["row"]["labels"] == 100


def test_too_few_light_curves_are_one_sentence(
    ensemble: Path, plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sentence = refused(capsys, command, ensemble, plan.paths.data / "ztf_bts", tmp_path / "out", "--most", "5")
    assert "needs 20 light curves or more" in sentence and "protocol" not in sentence


def test_a_misspelt_setting_and_a_wrong_unit_are_one_sentence(
    ensemble: Path, plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, parts in (
        (["--set", "fit.max_epochs=3"], ("--set fit.max_epochs=3: only settings of adapt count here",)),
        (["--set", "adapt.fit.max_epoch=3"], ("adapt.fit.max_epoch", "adapt.fit.max_epochs")),
        (["--flux-unit", "furlong"], ("furlong", "njy")),
    ):
        sentence = refused(capsys, command, ensemble, plan.paths.data / "ztf_bts", tmp_path / "out", *words)
        assert all(part in sentence for part in parts)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["adapt.fit.min_steps=5"], "adapt.fit.min_steps=5: write --set adapt.fit.min_steps=5"),
        (["--mots", "5"], "--mots"),
    ],
)
def test_a_word_that_the_command_does_not_take_is_one_sentence(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_code:
        adapt.main(["ztf-alerts", str(tmp_path / "t.csv"), "-o", str(tmp_path / "out"), *words])
    assert exit_code.value.code == 2 and said in capsys.readouterr().err.splitlines()[-1]
