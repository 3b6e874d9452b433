from typing import Any

import pytest

from tests.conftest import compose
from tlclass.experiments import devices
from tlclass.experiments.plan import plan_from

DEVICES = ["a", "b"]


@pytest.mark.parametrize("options", [{"accelerator": "cuda"}, {"accelerator": "cuda", "devices": [0, 1]}, {}], ids=str)
def test_devices_that_are_there_are_taken(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "cuda_devices", lambda: DEVICES)
    devices.refuse_absent(options)


@pytest.mark.parametrize(("found", "asked"), [(0, 1), (0, "auto"), (1, 2)])
def test_a_machine_without_so_many_gpus_is_named_before_anything_is_read(
    found: int, asked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "cuda_devices", lambda: DEVICES[:found])
    with pytest.raises(ValueError) as caught:
        plan_from(compose(["trainer=cuda", f"trainer.devices={asked}"]))
    assert "trainer=cuda" in str(caught.value) and "CUDA device" in str(caught.value)


@pytest.mark.parametrize("more", [{}, {"SLURM_NTASKS_PER_NODE": "4", "SLURM_NNODES": "2"}], ids=["ntasks", "per node"])
@pytest.mark.parametrize("options", [{"devices": 1}, {"devices": 2}, {"devices": 2, "strategy": "ddp_spawn"}], ids=str)
def test_tasks_of_slurm_are_jobs_of_their_own(
    options: dict[str, Any], more: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"SLURM_NTASKS": "4", "SLURM_PROCID": "2", "SLURM_JOB_NAME": "train", **more}.items():
        monkeypatch.setenv(name, value)
    devices.refuse_unusable({"accelerator": "cpu", **options})


def test_options_are_tried_without_a_word_of_lightning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "lightning.pytorch"):
        devices.refuse_unusable({"accelerator": "cpu", "devices": 1})
    assert not caplog.records
