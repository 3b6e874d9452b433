"""A GRU for training on the CPU: the numbers of `torch.nn.GRU`, on light curves without padding and with gradients written out.

PyTorch records some twenty small operations per step of a GRU for its gradients, and steps through padding. Here a step
works on the light curves that still have observations, with two matrix products and four elementwise operations, and its
gradient with one product and three; the products with the inputs and with the gradients of the weights are one for all steps.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence


def pays(gru: nn.GRU, x: Tensor) -> bool:
    """Whether this is training on the CPU in full precision; cuDNN does it better on its devices, and `torch.nn.GRU` without gradients."""
    training = torch.is_grad_enabled() and (x.requires_grad or any(p.requires_grad for p in gru.parameters()))
    return training and x.device.type == "cpu" and not torch.is_autocast_enabled("cpu")


def last_states(gru: nn.GRU, x: Tensor, lengths: Tensor) -> Tensor:
    """(N, hidden) state of the last layer at each light curve's last observation.

    Args:
        gru: in one direction, with biases, without dropout.
        x: padded (N, T, C). lengths: (N,) observations, at least 1.
    """
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    states, sizes = packed.data, packed.batch_sizes.tolist()
    for layer in range(gru.num_layers):
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        states = _Layer.apply(  # type: ignore[no-untyped-call]
            states, *(getattr(gru, f"{name}_l{layer}") for name in names), sizes
        )
    order = packed.sorted_indices
    assert order is not None
    starts = torch.cumsum(packed.batch_sizes, 0) - packed.batch_sizes
    ends = starts[lengths[order] - 1] + torch.arange(len(order))  # of the longest light curve, of the next, and so on
    return states[ends[packed.unsorted_indices]]


class _Layer(torch.autograd.Function):
    """One layer over packed light curves: rows are sorted by step, then by length, as in a `PackedSequence`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w_in: Tensor, w: Tensor, b_in: Tensor, b: Tensor, sizes: list[int]) -> Tensor:
        """(R, C) inputs to (R, H) states; gates in PyTorch's order: reset, update, new.

        Args:
            ctx: keeps what the gradient needs.
            x: R rows. w_in: (3H, C). w: (3H, H). b_in, b: (3H,).
            sizes: light curves with an observation at each step; they fall.
        """
        hidden = w.shape[1]
        of_both, of_new = (part.t().contiguous() for part in torch.split(w, [2 * hidden, hidden]))
        gates = torch.addmm(torch.cat([b_in[: 2 * hidden] + b[: 2 * hidden], b_in[2 * hidden :]]), x, w_in.t())
        states, inner = x.new_empty(len(x), hidden), x.new_empty(len(x), hidden)  # `inner`: what the reset multiplies
        parts = (gates[:, : 2 * hidden], gates[:, :hidden], gates[:, hidden : 2 * hidden], gates[:, 2 * hidden :])
        previous, b_new = x.new_zeros(sizes[0], hidden), b[2 * hidden :]
        for both, reset, update, new, inside, state in _by_step(sizes, *parts, inner, states):
            before = previous[: len(state)]
            both.addmm_(before, of_both).sigmoid_()
            new.addcmul_(reset, torch.addmm(b_new, before, of_new, out=inside)).tanh_()
            previous = torch.lerp(new, before, update, out=state)
        ctx.save_for_backward(x, w_in, w, gates, inner, states)
        ctx.sizes = sizes
        return states

    @staticmethod
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor | None, ...]:
        """(R, H) gradients of the states to those of the inputs, the weights and the biases."""
        x, w_in, w, gates, inner, states = ctx.saved_tensors
        sizes, hidden = ctx.sizes, w.shape[1]
        reset, update, new = gates.split(hidden, dim=1)
        previous = _before(states, sizes)
        found = x.new_empty(len(x), 4 * hidden)  # of reset, update, and of new inside and outside the reset gate
        of_reset, of_update, inside, outside = found.split(hidden, dim=1)
        # first what a gradient of the state is multiplied with for each of the four, then these products
        torch.mul(new, new, out=outside).sub_(1).mul_(update - 1)
        torch.mul(outside, reset, out=inside)
        torch.mul(inside, inner, out=of_reset).mul_(1 - reset)
        torch.sub(previous, new, out=of_update).mul_(update).mul_(1 - update)
        gradient, inner_parts = x.new_zeros(sizes[0], hidden), found[:, : 3 * hidden]
        steps = _by_step(sizes, given, found.view(-1, 4, hidden), inner_parts, update)
        for state, factors, inner_part, kept in reversed(steps):
            current = gradient[: len(state)].add_(state)
            factors.mul_(current[:, None])
            current.mul_(kept).addmm_(inner_part, w)
        both, sums = found[:, : 2 * hidden], found.sum(0)
        return (
            torch.addmm(both @ w_in[: 2 * hidden], outside, w_in[2 * hidden :]) if ctx.needs_input_grad[0] else None,
            torch.cat([both.t() @ x, outside.t() @ x]),
            inner_parts.t() @ previous,
            torch.cat([sums[: 2 * hidden], sums[3 * hidden :]]),
            sums[: 3 * hidden],
            None,
        )


def _by_step(sizes: list[int], *rows: Tensor) -> list[tuple[Tensor, ...]]:
    """The rows of each step."""
    return list(zip(*(torch.split(each, sizes) for each in rows), strict=True))


def _before(states: Tensor, sizes: list[int]) -> Tensor:
    """(R, H) the state before each row: zeros at the first step."""
    size = torch.tensor(sizes)
    earlier = torch.arange(sizes[0], len(states)) - torch.repeat_interleave(size[:-1], size[1:])
    return torch.cat([states.new_zeros(sizes[0], states.shape[1]), states[earlier]])
