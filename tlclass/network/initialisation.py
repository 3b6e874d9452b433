"""Keras's initialisation, which the paper used."""

import math

import torch
from torch import nn

KERNELS = (nn.Linear, nn.Conv1d, nn.GRU, nn.LSTM, nn.RNN)  # layers that it is for; others keep the weights they drew


def as_keras_does(module: nn.Module, generator: torch.Generator) -> None:
    """Glorot-uniform kernels, orthogonal recurrent ones, zero bias, in the dense, convolution and recurrent layers.

    As in Keras a GRU's three gates are one kernel of shape (inputs, 3 units). A convolution's inputs and outputs count once for
    every step of its window (Glorot & Bengio 2010).
    """
    for layer in module.modules():
        if isinstance(layer, KERNELS):
            for name, parameter in layer.named_parameters(recurse=False):
                _initialise(name, parameter, generator)


def _initialise(name: str, parameter: nn.Parameter, generator: torch.Generator) -> None:
    if name.startswith("bias"):
        nn.init.zeros_(parameter)
    elif name.startswith("weight_hh"):
        nn.init.orthogonal_(parameter, generator=generator)
    else:
        window = math.prod(parameter.shape[2:])
        bound = math.sqrt(6 / (window * (parameter.shape[0] + parameter.shape[1])))
        nn.init.uniform_(parameter, -bound, bound, generator=generator)
