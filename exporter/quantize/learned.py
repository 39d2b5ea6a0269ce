"""Ranges of activations that are learned with the weights (LSQ, arXiv 1902.08153).

Scales are learned as logarithms, so that one learning rate serves small and large ones and none
turns negative; zero points stay what calibration found. Layers that share a grid share the scale.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from .calibrate import settle_gelus
from .place import Simulated

# Steps of a logarithm are relative; those of weights are not, and weights are small.
RATE = 10.0


def begin_learning(simulated: Simulated) -> list[nn.Parameter]:
    """Make the scales of all grids parameters; return them, each once."""
    layers = simulated.layers
    device = next(simulated.module.parameters()).device

    def scale(which: int, name: str) -> nn.Parameter:
        value = math.log(layers[name].grids[which].scale)
        return nn.Parameter(torch.tensor(value, device=device))

    outputs = {name: scale(1, name) for name in layers}
    inputs: dict[str, nn.Parameter] = {}
    shared = {name: group[0] for group in simulated.shared_inputs for name in group}
    for name, layer in layers.items():
        if source := layer.reads_from or layer.on_grid_of:
            inputs[name] = outputs[source]
            continue
        first = shared.get(name, name)
        same = layers[first].grids[0] == layer.grids[0] and first in inputs
        inputs[name] = inputs[first] if same else scale(0, name)
    for name, layer in layers.items():
        layer.learned = nn.ParameterList([inputs[name], outputs[name]])
    return list({id(p): p for p in (*inputs.values(), *outputs.values())}.values())


def take_learned(simulated: Simulated) -> None:
    """Fix the grids where learning has brought them, and fit what depends on them."""
    for layer in simulated.layers.values():
        layer.take_learned()
    settle_gelus(simulated)


def end_learning(simulated: Simulated) -> None:
    """Leave the grids as they are fixed now, and nothing to learn."""
    for layer in simulated.layers.values():
        layer.learned = None
