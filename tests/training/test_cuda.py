"""What only a CUDA device can show; skipped where there is none."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import Callback

from benchmarks.cuda_device import module, network
from tlclass.inputs.batches import CurveDataset
from tlclass.network.inference import predict_logits
from tlclass.training.fit import Process, device_of, fit
from tlclass.training.settings import FitSettings

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
OPTIONS = {"accelerator": "cuda", "devices": [0]}
SHORT = FitSettings(max_epochs=3, min_steps=30, truncate=0.5)


class NoWaiting(Callback):
    """Between the start and the end of a training step nothing may make the processor wait for the device."""

    steps = 0  # of all copies: a fit makes one of its own

    def on_train_batch_start(self, *_: Any) -> None:
        torch.cuda.set_sync_debug_mode("error")

    def on_train_batch_end(self, *_: Any) -> None:
        torch.cuda.set_sync_debug_mode("default")
        NoWaiting.steps += 1


@needs_cuda
def test_no_step_waits_for_the_device(tmp_path: Path) -> None:
    try:
        fit(network(), module(500), SHORT, tmp_path, Process(OPTIONS, False, [NoWaiting()]))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert NoWaiting.steps >= 30


@needs_cuda
def test_a_batch_is_gathered_without_waiting() -> None:
    data = module(200)
    on_device = CurveDataset(data.objects.encoded, data.objects.label, "cuda")
    index = torch.arange(50)
    torch.cuda.set_sync_debug_mode("error")
    try:
        batch = on_device[index]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for there, here in zip(batch, CurveDataset(data.objects.encoded, data.objects.label)[index], strict=True):
        assert torch.equal(there.cpu(), here)


@needs_cuda
def test_a_network_predicts_the_same_as_on_the_processor_and_stays_where_it_was() -> None:
    data, classifier = module(300), network()
    here = predict_logits(classifier, CurveDataset(data.objects.encoded))
    there = predict_logits(classifier, CurveDataset(data.objects.encoded, device="cuda"))
    assert torch.allclose(here, there, atol=5e-3)  # cuDNN multiplies in TF32
    assert all(parameter.device.type == "cpu" for parameter in classifier.parameters())


@needs_cuda
def test_a_deterministic_fit_gives_the_same_weights_twice(tmp_path: Path) -> None:
    states = []
    for number in range(2):
        classifier = network()
        fit(classifier, module(500), SHORT, tmp_path / str(number), Process({**OPTIONS, "deterministic": True}, False))
        states.append(classifier.state_dict())
    torch.use_deterministic_algorithms(False)
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize(
    ("options", "there", "expected"),
    [
        ({"accelerator": "cuda", "devices": [2]}, True, "cuda:2"),
        ({"accelerator": "auto", "devices": 1}, True, "cuda:0"),
        ({}, True, "cuda:0"),
        ({"accelerator": "auto", "devices": 1}, False, "cpu"),
        ({"accelerator": "cpu", "devices": 1}, True, "cpu"),
    ],
)
def test_scores_are_made_where_the_fit_runs(
    options: dict[str, Any], there: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: there)
    assert device_of(options) == torch.device(expected)
