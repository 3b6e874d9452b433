"""A GRU for `torch.export`, which keeps the number of steps open; `nn.GRU` is exported for the one length it was shown."""

import copy

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from tlclass.network.classifier import Classifier

OLDEST = (2, 13)  # version of torch whose `scan` was found to be right; it is no stable interface before


class ScannedGRU(nn.Module):
    """The same numbers as a batch-first `nn.GRU`: (N, T, C) to (N, T, hidden), and no last state."""

    def __init__(self, gru: nn.GRU):
        super().__init__()
        self.gru = gru

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        """See the class."""
        from torch._higher_order_ops.scan import scan

        for layer in range(self.gru.num_layers):
            names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            inner_weight, weight, inner_bias, bias = (getattr(self.gru, f"{name}_l{layer}") for name in names)

            def step(h: Tensor, inner: Tensor, weight: Tensor = weight, bias: Tensor = bias) -> tuple[Tensor, Tensor]:
                reset, update, new = inner.chunk(3, 1)
                past_reset, past_update, past_new = linear(h, weight, bias).chunk(3, 1)
                candidate = torch.tanh(new + torch.sigmoid(reset + past_reset) * past_new)
                h = candidate + torch.sigmoid(update + past_update) * (h - candidate)
                return h, h.clone()

            inner = linear(x, inner_weight, inner_bias).transpose(0, 1)
            x = scan(step, x.new_zeros(x.shape[0], self.gru.hidden_size), inner)[1].transpose(0, 1)
        return x, None


def scanned(member: Classifier) -> Classifier:
    """A copy of the network whose GRUs are scanned.

    Raises:
        ValueError: this torch is too old.
    """
    found = tuple(int(part) for part in torch.__version__.split(".")[:2])
    if found < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise ValueError(
            f"torch.export of a GRU needs torch {oldest} or newer, this is {torch.__version__}: export to .onnx"
        )
    changed = copy.deepcopy(member)
    for module in list(changed.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.GRU):
                setattr(module, name, ScannedGRU(child))
    return changed
