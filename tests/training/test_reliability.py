import numpy as np
import pytest
import torch

from tlclass.network.calibration import Calibration
from tlclass.training.reliability import widened

PRIOR = (0.75, 0.2, 0.05)
SIMULATED = Calibration(1.1, 0.2, (0.0, 0.0, 0.0), PRIOR, "simulated light curves", 500)


def test_probabilities_for_real_light_curves_are_less_sure_and_keep_their_order() -> None:
    logits, observations = torch.tensor([[4.0, 1.0, -2.0], [-2.0, 3.0, 0.0]]), torch.tensor([10, 30])
    before, after = SIMULATED(logits, observations).exp(), widened(SIMULATED)(logits, observations).exp()
    assert (after.amax(1) < before.amax(1)).all()
    assert torch.equal(after.argsort(1), before.argsort(1))


def test_without_evidence_the_probabilities_are_the_proportions_that_the_calibration_states() -> None:
    found = widened(SIMULATED)
    nothing = SIMULATED.temperature * torch.tensor([PRIOR]).log()  # of a network that knows the proportions alone
    np.testing.assert_allclose(found(nothing, torch.tensor([10]))[0].exp(), found.prior, rtol=1e-6)
    assert "simulated" in found.fitted_on


def test_rare_classes_may_be_less_rare_in_a_real_sample() -> None:
    """A part of the proportions is given to all classes alike, so the rarest gains most."""
    gained = np.array(widened(SIMULATED).prior) / PRIOR
    assert gained[0] < 1 < gained[1] < gained[2] and sum(widened(SIMULATED).prior) == pytest.approx(1)
