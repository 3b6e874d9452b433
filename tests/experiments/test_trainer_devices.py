from typing import Any

import pytest

from tests.conftest import compose
from tlclass.experiments import devices
from tlclass.experiments.plan import plan_from

DEVICES = ["a", "b"]


@pytest.mark.parametrize("asked", [2, "2", [0, 1], "0,1", -1, "auto"], ids=str)
def test_several_devices_are_run_by_processes_that_the_job_starts_itself(
    asked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lightning's default would start the command again for each, and every copy would wait for the same job."""
    monkeypatch.setattr(devices, "cuda_devices", lambda: DEVICES)
    options = devices.ready({"accelerator": "auto", "devices": asked})
    assert options["strategy"] == "ddp_spawn" and options["use_distributed_sampler"] is False
    with pytest.raises(ValueError) as caught:
        devices.ready({"accelerator": "auto", "devices": asked, "strategy": "ddp"})
    assert "trainer.strategy=ddp" in str(caught.value) and "trainer=ddp" in str(caught.value)


def test_one_device_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "cuda_devices", lambda: DEVICES)
    for options in ({"accelerator": "cuda", "devices": 1}, {"accelerator": "cpu", "devices": "auto"}, {}):
        assert devices.ready(options) == options


@pytest.mark.parametrize(("found", "asked"), [(0, 1), (0, "auto"), (1, 2)])
def test_a_machine_without_so_many_gpus_is_named_before_anything_is_read(
    found: int, asked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "cuda_devices", lambda: DEVICES[:found])
    with pytest.raises(ValueError) as caught:
        plan_from(compose(["trainer=cuda", f"trainer.devices={asked}"]))
    assert "trainer=cuda" in str(caught.value) and "CUDA device" in str(caught.value)
