import math
from typing import Any

import pytest
import torch
from torch.optim import SGD

from tests.conftest import fit_of
from tlclass.config import CONF
from tlclass.training.schedules import Constant, Cosine, OneCycle, Schedule

STEPS = 40


@pytest.fixture(params=sorted((CONF / "schedule").glob("*.yaml")), ids=lambda card: card.stem)
def schedule(request: pytest.FixtureRequest) -> Schedule:
    return fit_of(f"schedule={request.param.stem}").schedule


def rates(schedule: Schedule, steps: int = STEPS) -> list[list[float]]:
    """Of two groups at each step, the second with a tenth of the rate."""
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in (0.1, 0.01)]
    optimizer = SGD(groups)
    scheduler = schedule(optimizer, lambda: steps)
    seen = []
    for _ in range(steps):
        seen.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
    return seen


def test_every_schedule_keeps_the_proportions_of_the_groups_and_their_peak(schedule: Schedule) -> None:
    fast, slow = zip(*rates(schedule), strict=True)
    assert slow == pytest.approx([rate / 10 for rate in fast])
    assert max(fast) == pytest.approx(0.1, rel=0.02) and min(fast) >= 0


def test_warm_up_rises_linearly() -> None:
    for schedule in (Constant(4), Cosine(warmup_steps=4)):
        assert [rate for rate, _ in rates(schedule)][:4] == pytest.approx([0.025, 0.05, 0.075, 0.1])
    assert [rate for rate, _ in rates(Constant(4))][4:] == pytest.approx([0.1] * (STEPS - 4))


def test_a_cosine_ends_at_its_share_of_the_rate() -> None:
    fast = [rate for rate, _ in rates(Cosine(end=0.2))]
    assert fast[0] == 0.1 and fast[-1] == pytest.approx(0.02)
    assert fast[13] == pytest.approx(0.02 + 0.08 * (1 + math.cos(math.pi / 3)) / 2)
    assert fast == sorted(fast, reverse=True)


def test_one_cycle_rises_for_its_share_of_the_steps() -> None:
    fast = [rate for rate, _ in rates(OneCycle(rising=0.25))]
    assert fast.index(max(fast)) == 9 and fast[-1] < 1e-4


def test_a_constant_rate_does_not_ask_for_the_number_of_steps() -> None:
    def steps() -> int:
        raise AssertionError

    assert Constant()(SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0), steps) is None


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (Constant, {"warmup_steps": -1}, r"schedule.warmup_steps is -1"),
        (Cosine, {"warmup_steps": -1}, r"schedule.warmup_steps is -1"),
        (Cosine, {"end": 1.5}, r"schedule.end is 1.5"),
        (OneCycle, {"rising": 1.0}, r"schedule.rising is 1.0"),
    ],
)
def test_numbers_out_of_range_are_named(kind: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(**options)
