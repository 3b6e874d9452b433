import pytest
import torch
from lightning.pytorch.callbacks import LearningRateMonitor

from tests.conftest import compose, fit_of
from tlclass.config import CONF
from tlclass.experiments.fitting import callbacks_from
from tlclass.experiments.result import config_key
from tlclass.training.callbacks import GradientNorm
from tlclass.training.losses import CrossEntropy, Focal
from tlclass.training.schedules import Constant, OneCycle


def test_the_defaults_are_the_papers() -> None:
    fit = fit_of()
    assert (fit.loss, fit.schedule) == (CrossEntropy(), Constant())
    (group,) = fit.optimizer([torch.nn.Parameter(torch.zeros(1))]).param_groups
    assert group["betas"] == (0.9, 0.999) and group["weight_decay"] == 0


@pytest.mark.parametrize("name", [path.stem for path in (CONF / "optimizer").glob("*.yaml")])
def test_every_optimizer_takes_a_step(name: str) -> None:
    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = fit_of(f"optimizer={name}").optimizer([{"params": [parameter], "lr": 0.1}])
    parameter.square().sum().backward()
    optimizer.step()
    assert (parameter < 1).all() and optimizer.param_groups[0]["lr"] == 0.1


def test_any_loss_and_optimizer_of_torch_by_its_name() -> None:
    fit = fit_of(
        "loss._target_=torch.nn.CrossEntropyLoss", "+loss.reduction=none", "optimizer._target_=torch.optim.NAdam"
    )
    logits, label = torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 1])
    assert torch.equal(fit.loss(logits, label), CrossEntropy()(logits, label))
    assert isinstance(fit.optimizer([torch.nn.Parameter(torch.zeros(1))]), torch.optim.NAdam)


def test_pretraining_has_groups_of_its_own() -> None:
    settings = compose(["loss=focal", "schedule@pretrain.schedule=one_cycle"])
    from tlclass.experiments.fitting import fit_from

    assert fit_from(settings, False).loss == Focal() and fit_from(settings, False).schedule == Constant()
    pretrain = fit_from(settings["pretrain"], False, "pretrain.")
    assert pretrain.loss == CrossEntropy() and pretrain.schedule == OneCycle()


def test_several_callbacks() -> None:
    group = compose(["callbacks=[lr_monitor,gradient_norm]"])["callbacks"]
    assert [type(callback) for callback in callbacks_from(group, False)] == [LearningRateMonitor, GradientNorm]
    assert callbacks_from(compose([])["callbacks"], False) == []


def test_what_a_fit_is_made_of_decides_the_result() -> None:
    words = [
        [], ["loss=focal"], ["loss.label_smoothing=0.1"], ["optimizer=adamw"], ["optimizer=sgd"], ["schedule=cosine"],
        ["optimizer._target_=torch.optim.NAdam"], ["schedule.warmup_steps=5"], ["callbacks=gradient_norm"],
        ["optimizer@pretrain.optimizer=sgd"],
    ]  # fmt: skip
    assert len({config_key(compose(more)) for more in words}) == len(words)
