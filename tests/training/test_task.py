import json
import pickle
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from multiprocessing.context import set_spawning_popen
from multiprocessing.popen_spawn_posix import Popen as Spawning
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import torch.multiprocessing as mp
from lightning.pytorch.callbacks import LearningRateMonitor
from lightning.pytorch.loggers import CSVLogger

from tests.conftest import Job
from tlclass.inputs.augmentation import Augmentation
from tlclass.inputs.batches import Batch
from tlclass.inputs.datamodule import LightCurveDataModule
from tlclass.inputs.split import Labels, Protocol
from tlclass.network.classifier import Classifier, build_classifier
from tlclass.network.inference import encode_every_step, predict_logits
from tlclass.network.transfer import set_trainable
from tlclass.training.fit import FitSummary, Process, fit, refuse_reserved, validation_scores
from tlclass.training.leavings import HISTORY
from tlclass.training.metrics import macro_auroc
from tlclass.training.schedules import Constant, OneCycle
from tlclass.training.settings import MONITORS, TRUNCATIONS, FitSettings
from tlclass.training.task import FitTask, truncated

PROCESS = Process({"accelerator": "cpu", "devices": 1, "deterministic": True}, progress=False)
HASTY = FitSettings(learning_rate=0.1, batch_size=16, max_epochs=8, min_steps=0, patience_epochs=50, patience_steps=0)


@pytest.fixture
def module(settings: Job, cache: Path) -> LightCurveDataModule:
    given = settings("target=bts").training
    split = Labels(80), Protocol("fixed")
    module = LightCurveDataModule(given.survey, given.encoding, (), *split, cache, 0, 16)
    module.setup()
    return module


def network(seed: int = 0) -> Classifier:
    gru = {"name": "gru", "layers": 1, "hidden": 8, "dense": 8, "latent": 8}
    return build_classifier(gru, {"name": "linear"}, 4, 5, seed)


def trained(
    module: LightCurveDataModule, settings: FitSettings, folder: Path, train: str = "*", **more: Any
) -> tuple[Classifier, FitSummary, pd.DataFrame]:
    classifier = network()
    set_trainable(classifier, [train], "test")
    logger = CSVLogger(folder, name="", version="")
    summary = fit(classifier, module, settings, folder / "fit", PROCESS, logger, **more)
    return classifier, summary, pd.read_csv(folder / "metrics.csv")


@pytest.mark.parametrize("train", ["*", "head.*"])
@pytest.mark.parametrize("monitor", sorted(MONITORS))
def test_the_best_weights_are_restored_and_the_validation_loss_is_weighted_as_the_training_loss(
    monitor: str, train: str, module: LightCurveDataModule, tmp_path: Path
) -> None:
    settings = replace(HASTY, monitor=monitor, learning_rate=0.2)
    classifier, summary, metrics = trained(module, settings, tmp_path, train)
    logged = metrics.dropna(subset="val/loss").set_index("epoch")
    best = logged[monitor].idxmin() if MONITORS[monitor] == "min" else logged[monitor].idxmax()
    assert summary.best_epoch == best
    assert train != "*" or best < summary.epochs - 1  # not simply the last one
    logits = predict_logits(classifier, module.dataset(module.split.val))
    label = torch.from_numpy(module.label[module.split.val])
    weights = module.class_weights()[label]
    loss = float((weights * torch.nn.functional.cross_entropy(logits, label, reduction="none")).mean())
    assert loss == pytest.approx(logged["val/loss"][best], rel=1e-4)
    assert macro_auroc(logits, label) == pytest.approx(logged["val/auroc_macro"][best], rel=1e-4)
    assert summary.best_score == pytest.approx(logged[monitor][best], rel=1e-4)


def test_weights_that_nothing_improves_on_are_kept(module: LightCurveDataModule, tmp_path: Path) -> None:
    settings = FitSettings(**{**vars(HASTY), "learning_rate": 1000.0, "max_epochs": 3})
    classifier, summary, metrics = trained(module, settings, tmp_path)
    assert summary.best_epoch == -1 and metrics["val/loss"].min() > summary.initial_score
    assert all(torch.equal(tensor, network().state_dict()[name]) for name, tensor in classifier.state_dict().items())


def test_a_start_that_cannot_be_scored_is_refused(module: LightCurveDataModule, tmp_path: Path) -> None:
    label = module.label[module.split.val]
    alike = module.split.val[label == label[0]]
    module = module.holding(split=replace(module.split, val=alike))
    settings = replace(HASTY, monitor="val/auroc_macro")
    said = rf"val/auroc_macro is nan before .* {len(alike)} validation objects of 1 class.*choose fit.monitor=val/loss"
    with pytest.raises(ValueError, match=said):
        fit(network(), module, settings, tmp_path, PROCESS)
    broken = network()
    torch.nn.init.constant_(broken.get_parameter("head.output.bias"), float("nan"))
    with pytest.raises(ValueError, match=f"no finite numbers for {len(alike)} of {len(alike)}"):
        fit(broken, module, HASTY, tmp_path, PROCESS)


@pytest.mark.parametrize("monitor", sorted(MONITORS))
def test_a_fit_that_diverges_says_so_and_keeps_numbers(
    monitor: str, module: LightCurveDataModule, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = replace(HASTY, monitor=monitor, learning_rate=1e36)
    classifier, summary, _ = trained(module, settings, tmp_path)
    assert re.search(
        r"training diverged \(val/loss is (nan|inf) after step \d+\), .*lower fit.learning_rate", caplog.text
    )
    assert "no epoch improved" not in caplog.text and not summary.stopped_early
    assert all(tensor.isfinite().all() for tensor in classifier.state_dict().values())
    assert summary.best_score == validation_scores(classifier, module, settings)[monitor]


def test_weights_come_from_the_training_part_only(module: LightCurveDataModule) -> None:
    label = torch.from_numpy(module.label[module.split.train])
    weights = module.class_weights()
    assert weights[label].mean() == pytest.approx(1, abs=1e-5)
    counts = torch.bincount(label, minlength=5)
    totals = (weights * counts)[counts > 0]
    assert torch.allclose(totals, totals.mean())


def test_the_same_seed_trains_the_same_weights(module: LightCurveDataModule, tmp_path: Path) -> None:
    states = []
    for number in range(2):
        torch.manual_seed(number)  # the global stream decides nothing
        states.append(trained(module, HASTY, tmp_path / str(number))[0].state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_the_history_holds_every_validation_and_the_start(module: LightCurveDataModule, tmp_path: Path) -> None:
    _, summary, metrics = trained(module, HASTY, tmp_path)
    history = pd.DataFrame(json.loads((tmp_path / "fit" / HISTORY).read_text()))
    logged = metrics.dropna(subset="val/loss")
    assert history["step"].tolist() == [0, *(logged["step"] + 1)]
    assert history["epoch"].tolist() == [0, *(logged["epoch"] + 1)]
    for name in MONITORS:
        assert history[name][1:].tolist() == pytest.approx(logged[name].tolist(), rel=1e-6)
    assert history["val/loss"][0] == summary.initial_score
    assert history["seconds"].is_monotonic_increasing and history["seconds"][0] > 0


def test_a_task_of_slurm_has_a_fit_of_its_own(
    module: LightCurveDataModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"SLURM_NTASKS": "4", "SLURM_PROCID": "2", "SLURM_JOB_NAME": "train"}.items():
        monkeypatch.setenv(name, value)
    settings = FitSettings(**{**vars(HASTY), "max_epochs": 1})
    summary = fit(network(), module, settings, tmp_path / "fit", PROCESS)
    assert summary.epochs == 1


def test_a_finished_fit_is_only_loaded(module: LightCurveDataModule, tmp_path: Path) -> None:
    classifier, summary, _ = trained(module, HASTY, tmp_path)
    again = network(seed=9)
    before = (tmp_path / "fit" / "best.ckpt").stat().st_mtime_ns
    assert fit(again, module, HASTY, tmp_path / "fit", PROCESS) == summary
    assert (tmp_path / "fit" / "best.ckpt").stat().st_mtime_ns == before
    assert all(torch.equal(tensor, classifier.state_dict()[name]) for name, tensor in again.state_dict().items())


@pytest.mark.parametrize("name", ["last.ckpt", "best.ckpt"])
def test_a_fit_with_a_damaged_checkpoint_starts_anew(
    name: str, module: LightCurveDataModule, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = replace(HASTY, max_epochs=2)
    classifier, summary, _ = trained(module, settings, tmp_path)
    whole = (tmp_path / "fit" / name).read_bytes()
    for content in (b"", whole[:100], whole[: len(whole) // 2], b"no checkpoint"):
        (tmp_path / "fit" / name).write_bytes(content)
        (tmp_path / "fit" / "done.json").unlink()
        again = network()
        assert fit(again, module, settings, tmp_path / "fit", PROCESS) == summary
        assert f"{name} is damaged: this fit starts anew" in caplog.text
        assert all(torch.equal(a, b) for a, b in zip(again.parameters(), classifier.parameters(), strict=True))
        caplog.clear()
    (tmp_path / "fit" / name).write_bytes(b"")  # after the end
    assert fit(network(), module, settings, tmp_path / "fit", PROCESS) == summary


def test_training_stops_early_without_progress(module: LightCurveDataModule, tmp_path: Path) -> None:
    settings = FitSettings(
        learning_rate=0.3, batch_size=16, max_epochs=300, min_steps=0, patience_epochs=2, patience_steps=0
    )
    _, summary, _ = trained(module, settings, tmp_path)
    assert summary.stopped_early and summary.epochs < 300


def test_one_cycle_uses_up_its_rate(module: LightCurveDataModule, tmp_path: Path) -> None:
    settings = FitSettings(**{**vars(HASTY), "schedule": OneCycle(), "max_epochs": 3, "learning_rate": 0.01})
    assert trained(module, settings, tmp_path)[1].steps == 3 * 4


@dataclass
class Steps:
    """Learning rates before each step of a fit, one per parameter group, and the classifier's weights after it."""

    rates: list[list[float]]
    weights: list[dict[str, torch.Tensor]]


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    seen, original = Steps([], []), FitTask.optimizer_step

    def noted(self: FitTask, epoch: int, batch: int, optimizer: Any, *rest: Any, **more: Any) -> None:
        seen.rates.append([group["lr"] for group in optimizer.param_groups])
        original(self, epoch, batch, optimizer, *rest, **more)
        seen.weights.append({name: tensor.clone() for name, tensor in self.classifier.state_dict().items()})

    monkeypatch.setattr(FitTask, "optimizer_step", noted)
    return seen


def test_the_rate_warms_up_linearly_and_stays(module: LightCurveDataModule, tmp_path: Path, steps: Steps) -> None:
    settings = replace(HASTY, schedule=Constant(5), max_epochs=2)  # of 4 steps
    trained(module, settings, tmp_path, rates={"encoder.*": 0.5})
    (slow, fast) = zip(*steps.rates, strict=True)
    assert fast == pytest.approx([0.02, 0.04, 0.06, 0.08, 0.1, 0.1, 0.1, 0.1])
    assert slow == pytest.approx([rate / 2 for rate in fast])


def test_one_cycle_has_a_peak_per_parameter_group(module: LightCurveDataModule, tmp_path: Path, steps: Steps) -> None:
    settings = replace(HASTY, schedule=OneCycle(), max_epochs=5)
    trained(module, settings, tmp_path, rates={"encoder.gru.*": 0.1, "encoder.*": 0.3})
    gru, dense, head = (list(rates) for rates in zip(*steps.rates, strict=True))
    assert max(head) == pytest.approx(0.1, rel=0.01) and max(head) > 3 * head[0] and max(head) > 3 * head[-1]
    assert gru == pytest.approx([0.1 * rate for rate in head])
    assert dense == pytest.approx([0.3 * rate for rate in head])


@pytest.mark.parametrize("train", ["*", "head.*"])
def test_the_average_of_the_weights_is_what_is_validated_and_kept(
    train: str, module: LightCurveDataModule, tmp_path: Path, steps: Steps
) -> None:
    settings = replace(HASTY, average=0.8)
    classifier, summary, _ = trained(module, settings, tmp_path, train)
    averages = [
        {name: tensor.double() for name, tensor in network().state_dict().items() if train == "*" or "head" in name}
    ]
    for weights in steps.weights:
        averages.append({name: 0.8 * old + 0.2 * weights[name].double() for name, old in averages[-1].items()})
    best = averages[4 * (summary.best_epoch + 1)]
    assert summary.best_epoch > 0
    for name, tensor in classifier.state_dict().items():
        expected = best.get(name, network().state_dict()[name])
        assert torch.allclose(tensor, expected.float(), atol=1e-6), name
        assert name in best or torch.equal(tensor, expected), name
    scores = validation_scores(classifier, module, FitSettings())
    assert scores["val/loss"] == pytest.approx(summary.best_score, rel=1e-4)


def test_l2_sp_keeps_loaded_weights_near_the_source(module: LightCurveDataModule, tmp_path: Path) -> None:
    start = network()
    anchor = {name: p.detach().clone() for name, p in start.named_parameters() if name.startswith("encoder.")}
    settings = replace(HASTY, learning_rate=0.02, max_epochs=5, patience_epochs=5)
    moved: dict[float, list[float]] = {}
    for strength in (0.0, 1.0, 100.0):
        folder = tmp_path / str(strength)
        classifier, summary, _ = trained(module, replace(settings, l2_sp=strength), folder, anchor=anchor)
        squares = {
            name: (p - start.get_parameter(name)).square().sum().item() for name, p in classifier.named_parameters()
        }
        moved[strength] = [
            sum(v for name, v in squares.items() if (name in anchor) == inside) for inside in (True, False)
        ]
        history = json.loads((folder / "fit" / HISTORY).read_text())
        assert (
            history[0]["val/loss"]
            == summary.initial_score
            == validation_scores(start, module, FitSettings())["val/loss"]
        )
        assert summary.best_score == pytest.approx(
            validation_scores(classifier, module, FitSettings())["val/loss"], rel=1e-4
        )
    assert moved[0.0][0] > 2 * moved[1.0][0] > 4 * moved[100.0][0] > 0
    assert moved[100.0][1] > 0.1 * moved[0.0][1]  # the head is free


def test_l2_sp_is_half_its_strength_times_the_squared_distance_of_what_is_loaded_and_trained() -> None:
    classifier = network()
    set_trainable(classifier, ["encoder.latent.*", "head.*"], "test")
    anchor = {name: p.detach() + 2 for name, p in classifier.named_parameters() if not name.startswith("head.")}
    task = FitTask(classifier, torch.ones(5), FitSettings(l2_sp=0.5), 0, anchor=anchor)
    assert task.penalty().item() == pytest.approx(0.5 / 2 * 4 * (8 * 8 + 8))  # of encoder.latent
    nothing = FitTask(classifier, torch.ones(5), FitSettings(l2_sp=0.5), 0)
    assert nothing.penalty().item() == 0


def test_frozen_tensors_stay_bit_identical_with_every_option(module: LightCurveDataModule, tmp_path: Path) -> None:
    settings = replace(HASTY, average=0.7, l2_sp=0.1, schedule=Constant(3))
    anchor = {name: p.detach().clone() for name, p in network().named_parameters()}
    trains = ["encoder.gru.*", "head.*"]
    for train in trains:
        classifier, summary, _ = trained(module, settings, tmp_path / train, train, anchor=anchor, rates={train: 0.5})
        assert summary.best_epoch >= 0
        for name, tensor in classifier.state_dict().items():
            assert torch.equal(tensor, network().state_dict()[name]) == (not fnmatchcase(name, train)), name


@pytest.mark.parametrize("truncation", TRUNCATIONS)
def test_truncated_batches_are_the_beginnings_of_whole_ones(module: LightCurveDataModule, truncation: str) -> None:
    batch = module.dataset(module.split.train)[torch.arange(40)]
    cut = truncated(batch, 1.0, truncation, seed=3)
    assert (cut.lengths >= 1).all() and (cut.lengths <= batch.lengths).all() and (cut.lengths < batch.lengths).any()
    assert cut.x.shape[1] == cut.lengths.max()
    assert torch.equal(cut.x, batch.x[:, : cut.x.shape[1]])
    assert truncated(batch, 0.0, truncation, seed=3) is batch
    assert torch.equal(truncated(batch, 1.0, truncation, seed=3).lengths, cut.lengths)


@pytest.mark.parametrize(("truncation", "few"), [("even", 3 / 63), ("early", 1 / 3)])
def test_early_truncation_shows_few_observations_as_often_as_many(truncation: str, few: float) -> None:
    n, nothing = 20_000, torch.zeros(0)
    batch = Batch(torch.zeros(n, 63, 1), torch.full((n,), 63), nothing, nothing, nothing)
    lengths = truncated(batch, 1.0, truncation, seed=1).lengths
    assert (lengths <= 3).double().mean() == pytest.approx(few, abs=0.01)
    assert lengths.min() == 1 and lengths.max() == 63


@pytest.mark.parametrize(
    "more",
    [{}, {"truncate": 0.6}, {"average": 0.9, "l2_sp": 0.5, "schedule": Constant(6)}],
    ids=["plain", "truncated", "options"],
)
def test_a_head_on_features_made_once_is_the_head_on_the_frozen_encoder(
    more: dict[str, Any], module: LightCurveDataModule, tmp_path: Path
) -> None:
    """An augmentation so small that it changes nothing switches the shortcut off."""
    settings = replace(HASTY, learning_rate=0.01, **more)
    anchor = {name: parameter.detach().clone() for name, parameter in network().named_parameters()}
    fast, _, _ = trained(module, settings, tmp_path / "fast", "head.*", anchor=anchor)
    module.augmentation = Augmentation(zero_point=1e-12)
    slow, _, _ = trained(module, settings, tmp_path / "slow", "head.*", anchor=anchor)
    assert any(not torch.equal(tensor, network().state_dict()[name]) for name, tensor in fast.state_dict().items())
    for name, tensor in fast.state_dict().items():
        assert torch.allclose(tensor, slow.state_dict()[name], atol=1e-6), name


@pytest.mark.parametrize("metadata", [(), ("mwebv",)])
def test_embeddings_at_every_step_are_those_of_truncated_light_curves(
    metadata: tuple[str, ...], module: LightCurveDataModule
) -> None:
    data = module.dataset(module.split.train)
    n = len(metadata)
    data.metadata = torch.rand(len(data), n)
    encoder = build_classifier(
        {"name": "gru", "metadata": metadata}, {"name": "linear"}, data.x.shape[1], 5, seed=2
    ).encoder
    flat = encode_every_step(encoder, data, batch_size=32)
    first = torch.cumsum(data.lengths, 0) - data.lengths
    assert len(flat) == int(data.lengths.sum())
    for steps in (torch.ones_like(data.lengths), (data.lengths + 1) // 2, data.lengths):
        assert torch.allclose(flat[first + steps - 1], predict_logits(encoder, data, steps), atol=1e-6)


def pickled_for_another_process(*given: Any) -> bytes:
    """As the standard library does it before it spawns a process; queues and locks refuse it otherwise."""
    spawning = Spawning.__new__(Spawning)
    spawning._fds = []  # type: ignore[attr-defined]
    set_spawning_popen(spawning)
    try:
        return bytes(ForkingPickler.dumps(given))
    finally:
        set_spawning_popen(None)


def from_pickle(rank: int, given: bytes) -> None:
    """What a spawned process begins with: all that it does comes as pickle."""
    function, arguments = pickle.loads(given)
    function(rank, *arguments)


@pytest.fixture
def imported_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Processes that are spawned get all that they do by pickle, as ever, but are forked from this one, which has imported torch."""
    start, started = mp.start_processes, []

    def forked(function: Any, args: tuple[Any, ...] = (), nprocs: int = 1, *, start_method: str, **more: Any) -> Any:
        started.append(start_method)
        given = pickled_for_another_process(function, args)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # threads of libraries, which the processes do not use
            return start(from_pickle, (given,), nprocs, start_method="fork", **more)

    monkeypatch.setattr(mp, "start_processes", forked)
    yield
    assert started == ["spawn"]


@pytest.mark.slow
def test_two_processes_end_where_one_does(module: LightCurveDataModule, tmp_path: Path, imported_once: None) -> None:
    """Lightning's own choice for several devices, which would start the whole command once more, is not taken."""
    settings = replace(HASTY, max_epochs=3)
    one = fit(network(), module, settings, tmp_path / "one", PROCESS)
    two = fit(network(), module, settings, tmp_path / "two", Process({"accelerator": "cpu", "devices": 2}, False))
    assert (one.steps, one.epochs, one.best_epoch) == (two.steps, two.epochs, two.best_epoch)
    assert two.best_score == pytest.approx(one.best_score, abs=1e-4)


def test_strategies_that_start_the_command_anew_are_refused() -> None:
    for strategy in ("auto", "ddp", "ddp_spawn", "ddp_spawn_find_unused_parameters_true"):
        refuse_reserved({"strategy": strategy})
    with pytest.raises(ValueError, match=r"trainer.strategy is 'fsdp'.*ddp_spawn"):
        refuse_reserved({"strategy": "fsdp"})


def test_every_fit_gets_callbacks_of_its_own_also_without_a_logger(
    module: LightCurveDataModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, used = LearningRateMonitor(), []
    original = LearningRateMonitor.on_train_start
    monkeypatch.setattr(
        LearningRateMonitor,
        "on_train_start",
        lambda self, *rest, **more: (used.append(self), original(self, *rest, **more))[1],
    )
    process = replace(PROCESS, callbacks=[given])
    for number in range(2):
        fit(network(), module, replace(HASTY, max_epochs=1), tmp_path / str(number), process)
    assert len({id(callback) for callback in (given, *used)}) == 3


def test_what_layers_draw_in_training_follows_the_seed(module: LightCurveDataModule, tmp_path: Path) -> None:
    settings = {"name": "transformer", "width": 8, "layers": 1, "dropout": 0.5}
    states = []
    for number in range(2):
        torch.manual_seed(number)
        classifier = build_classifier(settings, {"name": "linear"}, 4, 5, 0)
        fit(classifier, module, replace(HASTY, max_epochs=2), tmp_path / str(number), PROCESS)
        states.append(classifier.state_dict())
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())


# -- augmentation and balance


@pytest.fixture
def augmented(module: LightCurveDataModule) -> LightCurveDataModule:
    module.augmentation = Augmentation(thin=[0.3, 0.9], zero_point=0.1)
    return module


def test_each_epoch_draws_its_own_training_part_and_no_other(augmented: LightCurveDataModule) -> None:
    first, second, again = (augmented.training_set(epoch) for epoch in (0, 1, 0))
    assert torch.equal(first.x, again.x) and not torch.equal(first.lengths, second.lengths)
    plain = augmented.dataset(augmented.split.train)
    assert torch.equal(first.label, plain.label) and (first.lengths <= plain.lengths).all()
    (validation,) = list(augmented.val_dataloader())
    assert torch.equal(validation.x, augmented.dataset(augmented.split.val)[validation.position].x)
    augmented.seed = 1
    assert not torch.equal(augmented.training_set(0).lengths, first.lengths)


@pytest.mark.parametrize("train", ["*", "head.*"])
def test_a_fit_trains_on_every_epochs_draw_even_behind_a_frozen_encoder(
    train: str, augmented: LightCurveDataModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn, made = [], LightCurveDataModule.training_set
    monkeypatch.setattr("tlclass.training.fit.with_features", None)  # features made once would be of one draw

    def training_set(self: LightCurveDataModule, epoch: int, device: Any) -> Any:
        drawn.append(epoch)
        return made(self, epoch, device)

    monkeypatch.setattr(LightCurveDataModule, "training_set", training_set)
    classifier, summary, _ = trained(augmented, HASTY, tmp_path, train)
    assert drawn == list(range(summary.epochs)) and summary.best_epoch >= 0
    again, _, _ = trained(augmented, HASTY, tmp_path / "again", train)
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in classifier.state_dict().items())


def test_balanced_batches_train_without_weights_and_validate_with_them(
    module: LightCurveDataModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FitTask, "log", lambda *_, **__: None)
    batch = module.dataset(module.split.train)[torch.arange(40)]
    classifier, weights = network(), module.class_weights()
    each = torch.nn.functional.cross_entropy(
        classifier(batch.x, batch.lengths, batch.metadata), batch.label, reduction="none"
    )
    weighted = (each * weights[batch.label]).mean()
    for balance, expected in ((True, each.mean()), (False, weighted)):
        task = FitTask(classifier, weights, FitSettings(balance=balance), 0)
        assert torch.equal(task.training_step(batch, 0), expected)
        assert torch.equal(task._step("val", batch), weighted)


@pytest.mark.parametrize("train", ["*", "head.*"])
def test_a_balanced_fit_sees_every_class_equally_often(
    train: str, module: LightCurveDataModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module.balance, seen, step = True, [], FitTask.training_step

    def training_step(self: FitTask, batch: Any, batch_idx: int) -> Any:
        seen.append(batch.label)
        return step(self, batch, batch_idx)

    monkeypatch.setattr(FitTask, "training_step", training_step)
    _, summary, _ = trained(module, FitSettings(**{**vars(HASTY), "balance": True}), tmp_path, train)
    counts = torch.bincount(torch.cat(seen), minlength=5)
    assert counts.sum() == summary.epochs * 64 and counts.min() > 0.7 * counts.max()
