"""Training assembled by hand with Lightning's own trainer, as a user does."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from torch.utils.data import DistributedSampler

from tlclass.inputs.datamodule import LightCurveDataModule
from tlclass.inputs.split import Protocol
from tlclass.network.inference import predict_logits
from tlclass.serving.surveys import load_survey
from tlclass.surveys import Several, Survey
from tlclass.training.by_hand import ClassifierTask
from tlclass.training.callbacks import GradientNorm
from tlclass.training.losses import Focal
from tlclass.training.metrics import classification_scores
from tlclass.training.schedules import OneCycle

SMALL: dict[str, dict[str, Any]] = {
    "gru": {"name": "gru", "hidden": 8, "dense": 8, "latent": 8, "metadata": ["mwebv"]},
    "transformer": {"name": "transformer", "width": 8, "layers": 1, "metadata": ["mwebv"]},
}


@pytest.fixture
def survey(settings: Callable[..., dict[str, Any]]) -> Survey | Several:
    return settings("target=bts").target


@pytest.fixture
def module(survey: Survey, cache: Path) -> LightCurveDataModule:
    return LightCurveDataModule(survey, "asinh", ["mwebv"], labels=80, cache=cache, batch_size=32)


def trainer(folder: Path, **options: Any) -> L.Trainer:
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False, "num_sanity_val_steps": 0}
    return L.Trainer(accelerator="cpu", default_root_dir=folder, **{"max_epochs": 3, **quiet, **options})


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*", "ignore:.*is smaller than the logging interval.*")
@pytest.mark.parametrize("encoder", SMALL)
def test_fit_validate_test_and_predict_as_with_any_lightning_module(
    encoder: str, module: LightCurveDataModule, tmp_path: Path
) -> None:
    task = ClassifierTask(module.channels, module.classes, SMALL[encoder], learning_rate=0.01)
    before = {name: tensor.clone() for name, tensor in task.classifier.state_dict().items()}
    run = trainer(tmp_path)
    run.fit(task, datamodule=module)
    assert torch.equal(task.class_weights, module.class_weights())
    assert task.classifier.encoder.get_buffer("metadata.mean") != 0
    assert any(not torch.equal(tensor, before[name]) for name, tensor in task.classifier.state_dict().items())
    (validated,) = run.validate(task, datamodule=module, verbose=False)
    (tested,) = run.test(task, datamodule=module, verbose=False)
    probability = torch.cat(run.predict(task, datamodule=module))  # type: ignore[arg-type]
    everything = np.arange(len(module.label))
    assert torch.allclose(probability, torch.softmax(predict_logits(task, module.dataset(everything)), 1), atol=1e-6)
    logits = predict_logits(task, module.dataset(module.split.test))
    expected = classification_scores(logits, torch.from_numpy(module.label[module.split.test]), module.classes)
    for name in ("auroc_macro", f"auroc/{module.classes[0]}", "log_loss"):
        assert tested[f"test/{name}"] == pytest.approx(expected[name], abs=1e-5)
    assert {"val/loss", "val/auroc_macro"} <= set(validated) and "test/loss" in tested


def test_a_checkpoint_holds_plain_types_and_gives_the_task_back(module: LightCurveDataModule, tmp_path: Path) -> None:
    task = ClassifierTask(
        module.channels, module.classes, SMALL["transformer"], "mlp", loss=Focal(), schedule=OneCycle()
    )
    task.classifier.encoder.standardise_by(torch.tensor([[1.0], [3.0]]))
    run = trainer(tmp_path)
    run.strategy.connect(task)
    run.save_checkpoint(tmp_path / "task.ckpt")
    state = torch.load(tmp_path / "task.ckpt", weights_only=True)
    assert state["hyper_parameters"]["encoder"] == SMALL["transformer"]
    again = ClassifierTask.load_from_checkpoint(tmp_path / "task.ckpt", weights_only=True)
    assert again.classes == list(module.classes)
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in task.state_dict().items())


def test_a_checkpoint_gives_a_task_of_ones_own_back(tmp_path: Path) -> None:
    class Own(ClassifierTask):
        def __init__(self, extra: int, **options: Any):
            super().__init__(**options)
            self.extra = extra

    task = Own(5, channels=["time", "flux"], classes=["SN II", "SN Ia"])
    run = trainer(tmp_path)
    run.strategy.connect(task)
    run.save_checkpoint(tmp_path / "task.ckpt")
    again = Own.load_from_checkpoint(tmp_path / "task.ckpt", weights_only=True)
    assert again.extra == 5 and again.classes == ["SN II", "SN Ia"]


def test_arrays_are_lists() -> None:
    task = ClassifierTask(np.array(["time", "flux"]), np.unique(["SN Ia", "SN II"]), seed=np.int64(3))  # type: ignore[arg-type]
    assert task.classes == ["SN II", "SN Ia"] and type(task.hparams["seed"]) is int


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*", "ignore:.*is smaller than the logging interval.*")
def test_loss_optimizer_schedule_and_callbacks_are_the_users(module: LightCurveDataModule, tmp_path: Path) -> None:
    rates: list[float] = []

    class Rates(L.Callback):
        def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])
            assert isinstance(trainer.optimizers[0], torch.optim.SGD)

    task = ClassifierTask(
        module.channels, module.classes, SMALL["gru"], learning_rate=0.1, class_weights=False, loss=Focal(1.0),
        optimizer=torch.optim.SGD, schedule=OneCycle(),
    )  # fmt: skip
    run = trainer(tmp_path, max_epochs=5, callbacks=[Rates(), GradientNorm()])
    run.fit(task, datamodule=module)
    assert max(rates) == pytest.approx(0.1, rel=0.05) and rates[0] < 0.01 and len(rates) == 10
    assert run.callback_metrics["train/gradient_norm"] > 0
    assert (task.class_weights == 1).all()


def test_a_network_for_other_data_is_refused(module: LightCurveDataModule, tmp_path: Path) -> None:
    run, classes = trainer(tmp_path), ["a", "b"]
    with pytest.raises(ValueError, match=rf"a, b.*{module.classes[0]}.*data.classes"):
        run.fit(ClassifierTask(module.channels, classes, SMALL["gru"]), datamodule=module)
    with pytest.raises(ValueError, match=r"a, b.*data.classes"):
        run.test(ClassifierTask(module.channels, classes, SMALL["gru"]), datamodule=module)
    with pytest.raises(ValueError, match=r"the task has the channels c, d, the data wave.*channels=data.channels"):
        run.predict(ClassifierTask(["c", "d"], classes, SMALL["gru"]), datamodule=module)
    other = {**SMALL["gru"], "metadata": ["redshift"]}
    with pytest.raises(ValueError, match=r"the metadata redshift, the data mwebv: give .*'metadata': data.metadata"):
        run.fit(ClassifierTask(module.channels, module.classes, other), datamodule=module)
    assert (
        torch.cat(run.predict(ClassifierTask(module.channels, classes, SMALL["gru"]), datamodule=module)).shape[1] == 2
    )  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore:You requested to overfit")
def test_other_batches_are_refused(module: LightCurveDataModule, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"use_distributed_sampler=False; instead of overfit_batches use few labels"):
        trainer(tmp_path, overfit_batches=1).fit(ClassifierTask(module.channels, module.classes), datamodule=module)
    module.setup()
    loader = module.train_dataloader()
    with pytest.raises(ValueError, match="use_distributed_sampler=False"):
        type(loader)(loader.dataset, sampler=DistributedSampler(loader.dataset, 2, 0))


def test_the_data_module_has_simple_arguments(survey: Survey, cache: Path) -> None:
    data = LightCurveDataModule(survey, cache=cache)
    assert data.channels == ("wavelength_um", "time", "flux", "flux_err")
    with pytest.raises(RuntimeError, match=r"setup\(\)"):
        _ = data.label
    data.setup()
    assert len(data.split.train) + len(data.split.val) + len(data.split.test) == len(data.label)
    few = LightCurveDataModule(survey, labels="50%", protocol=Protocol("fixed", 0.5), cache=cache, seed=3)
    few.setup()
    assert few.split.budget == round(0.5 * few.split.pool)
    with pytest.raises(ValueError, match="encoding 'papre'"):
        LightCurveDataModule(survey, "papre", cache=cache)
    with pytest.raises(ValueError, match="labels is 'many'"):
        LightCurveDataModule(survey, labels="many", cache=cache)
    with pytest.raises(ValueError, match="batch_size is 0"):
        LightCurveDataModule(survey, batch_size=0)
    name: Any = "bts"
    with pytest.raises(ValueError, match=r"survey is 'bts': .*tlclass.load_survey\('bts'\)"):
        LightCurveDataModule(name)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"balance": "maybe"}, "^balance is 'maybe': give true or false$"),
        ({"batch_size": 2.5}, r"^batch_size is 2\.5: give a whole number$"),
        ({"metadata": "mwebv"}, "^metadata is 'mwebv': give a list$"),
        ({"augmentation": "alerts"}, r"^augmentation is 'alerts': give Augmentation\(...\)$"),
        ({"protocol": "fixed"}, r"^protocol is 'fixed': give Protocol\(...\)$"),
    ],
)
def test_a_wrong_argument_of_the_data_is_one_sentence(wrong: dict[str, Any], said: str, survey: Survey) -> None:
    with pytest.raises(ValueError, match=said):
        LightCurveDataModule(survey, **wrong)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"classes": "SN Ia"}, "^classes is 'SN Ia': give a list$"),
        ({"channels": 4}, "^channels is 4: give a list$"),
        ({"learning_rate": "fast"}, "^learning_rate is 'fast': give a finite number$"),
        ({"learning_rate": -1}, "^learning_rate is -1"),
        ({"encoder": "grru"}, "^encoder 'grru' is unknown"),
        ({"encoder": {"name": "gru", "hiden": 3}}, "^encoder: unknown option hiden"),
        ({"encoder": {"hidden": 3}}, "^encoder is {'hidden': 3}, which has no name"),
        ({"loss": "focal"}, "^loss is 'focal': give an object$"),
        ({"optimizer": "adam"}, "^optimizer is 'adam'"),
        ({"schedule": "cosine"}, "^schedule is 'cosine'"),
        ({"class_weights": "maybe"}, "^class_weights is 'maybe': give true or false$"),
    ],
)
def test_a_wrong_argument_of_the_task_is_one_sentence(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ClassifierTask(**{"channels": ["time", "flux"], "classes": ["SN Ia", "SN II"], **wrong})


def test_a_survey_takes_values_of_python(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    survey = load_survey("bts_simulated", n_objects=8, where={"redshift": None})
    assert survey.where == {"redshift": None} and load_survey("bts_simulated", n_objects=None).reader.n_objects is None  # type: ignore[union-attr]
    columns = load_survey("table", reader__columns={"mjd": "time, UTC"}, reader__positive=True).reader.columns  # type: ignore[union-attr]
    assert columns["mjd"] == "time, UTC" and columns["flux"] == "auto"
    few = load_survey("bts_simulated", n_objects=8)
    monkeypatch.setenv("TLCLASS_CACHE", str(cache))
    assert len(few.load()[0]) == len(few.load(str(cache))[0]) == 8


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("bst", {}, r"^survey 'bst' is unknown \(did you mean bts"),
        ("bts", {"reader__flux_units": 1}, r"bts.reader: unknown option flux_units \(did you mean flux_unit"),
        ("bts", {"n_objects": 1}, "^unknown setting n_objects"),
        ("bts", {"selection__window": [70, -30]}, "selection.window is .*70"),
        ("bts", {"simulated": "maybe"}, "bts.simulated is 'maybe'"),
    ],
)
def test_a_wrong_card_is_told_in_the_words_of_python(name: str, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        load_survey(name, **changes)
    assert "source." not in str(caught.value) and "target." not in str(caught.value)


def test_what_holds_other_objects_leaves_the_first_as_it_is(module: LightCurveDataModule) -> None:
    module.setup()
    split = module.split
    other = module.holding(split=type(split)(split.val, split.train, split.test, split.pool))
    assert (other.split.train == split.val).all() and module.split is split
    assert other.encoded is module.encoded and other.batch_size == module.batch_size
