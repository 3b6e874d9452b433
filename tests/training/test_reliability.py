import numpy as np
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
    """They lie between the expected proportions and these flattened by the temperature alone."""
    found = widened(SIMULATED)
    nothing = SIMULATED.temperature * torch.tensor([PRIOR]).log()  # of a network that knows the proportions alone
    np.testing.assert_allclose(found(nothing, torch.tensor([10]))[0].exp(), found.prior, rtol=1e-6)
    flattened = torch.softmax(torch.tensor(PRIOR).log() * SIMULATED.temperature / found.temperature, dim=0)
    assert flattened[0] < found.prior[0] < PRIOR[0]
    assert "simulated" in found.fitted_on
