"""Several networks of one architecture trained as one: every product of a step is a batched one, a network per entry.

cuDNN's GRU takes one network at a time, and `torch.func.vmap` cannot map it, so the recurrence is written out.
"""

import torch
from torch import Tensor, nn


class StackedGRU(nn.Module):
    """S networks of two GRU layers and a linear head, each with weights and light curves of its own.

    Args:
        networks: S.
        n_channels, hidden, n_classes: of each network.
        layers: of each GRU.
    """

    def __init__(self, networks: int, n_channels: int, hidden: int, n_classes: int, layers: int = 2) -> None:
        super().__init__()
        self.hidden = hidden
        sizes = [n_channels] + [hidden] * (layers - 1)
        spread = hidden**-0.5

        def parameters(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(networks, *shape).uniform_(-spread, spread))

        self.inputs = nn.ParameterList([parameters(size, 3 * hidden) for size in sizes])
        self.recurrent = nn.ParameterList([parameters(hidden, 3 * hidden) for _ in sizes])
        self.input_bias = nn.ParameterList([parameters(1, 3 * hidden) for _ in sizes])
        self.recurrent_bias = nn.ParameterList([parameters(1, 3 * hidden) for _ in sizes])
        self.head, self.head_bias = parameters(hidden, n_classes), parameters(1, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(S, B, T, C) light curves of equal length to (S, B, n_classes) logits."""
        for layer in range(len(self.inputs)):
            x = self.layer(layer, x)
        return torch.baddbmm(self.head_bias, x[:, :, -1], self.head)

    def layer(self, number: int, x: Tensor) -> Tensor:
        """(S, B, T, C) to the states (S, B, T, hidden); PyTorch's order of the gates: reset, update, new."""
        networks, batch, steps, _ = x.shape
        outside = torch.baddbmm(self.input_bias[number], x.flatten(1, 2), self.inputs[number])
        outside = outside.view(networks, batch, steps, 3 * self.hidden)
        state = x.new_zeros(networks, batch, self.hidden)
        states = []
        for step in range(steps):
            inside = torch.baddbmm(self.recurrent_bias[number], state, self.recurrent[number])
            gates = torch.sigmoid(outside[:, :, step, : 2 * self.hidden] + inside[..., : 2 * self.hidden])
            reset, update = gates.split(self.hidden, dim=-1)
            new = torch.tanh(
                torch.addcmul(outside[:, :, step, 2 * self.hidden :], reset, inside[..., 2 * self.hidden :])
            )
            state = torch.lerp(new, state, update)
            states.append(state)
        return torch.stack(states, dim=2)
