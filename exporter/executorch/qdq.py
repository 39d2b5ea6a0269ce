"""Write our own int8 for ExecuTorch: quantize and dequantize around float layers.

XNNPACK's partitioner folds `dequantize -> conv2d or linear (-> clamp) -> quantize` into one int8
kernel. Codes, scales, grids, corrected biases and clamps are those that `exporter.quantize` chose,
so nothing is calibrated twice. Where only int8 and sums lie between layers, the program equals our
int8 module to the bit (EfficientNet-Lite0; `partition.py` keeps the sums in float). Softmax,
LayerNorm, GELU and means may round their last bit otherwise and move a value to the next step of a
grid, which later layers carry on: a deit_tiny of random weights and two blocks was equal, one of
twelve at most 4 steps of the output's grid away from our module, and both 26.4 dB from float.

What becomes of the rest:

- Fine-tuned networks (QAT) end in the same simulated layers, and so go the same way.
- `dynamic`: XNNPACK takes the range of each row of a Linear's input, where torch takes that of the
  whole tensor. Its grid is never coarser, so the two differ by what torch's rounding costs.
- Polynomials for GELU and softmax are for runtimes that compute exponentials one by one. XNNPACK
  has vector kernels of both, which cost less (`rewrites/README.md` has the figures): the exact
  functions take their place. They lie within a step of what reads them.
- quint8 grids (scheme `qnnpack`) are the same numbers as int8 grids whose zero point is 128 less.
- Recurrent layers have no int8 kernels here and are refused.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.ao.nn.quantized.dynamic as nnqd
import torch.ao.quantization.fx._decomposed  # defines the operators used here
from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.nn import functional

from ..errors import QuantizeError
from ..quantize.activations import SimulatedGelu, SimulatedSoftmax
from ..quantize.dynamic import DynamicLinear
from ..quantize.layers import SimulatedLayer
from ..quantize.ranges import Range
from ..quantize.step import QuantizedNetwork
from ..quantize.weights import nearest_codes
from .graph import Editor, calls, replace, tidy

_LOW, _HIGH = -128, 127  # codes of activations
_WEIGHT_LOW = -127  # XNNPACK leaves -128 out, and so do our weights

decomposed = torch.ops.quantized_decomposed


class RoundTrip(nn.Module):
    """Quantize a float tensor to one int8 grid and dequantize it again."""

    def __init__(self, grid: Range, dtype: torch.dtype) -> None:
        super().__init__()
        self.scale = grid.scale
        self.zero_point = grid.zero_point - (128 if dtype == torch.quint8 else 0)

    def forward(self, x: Tensor) -> Tensor:
        """Round `x` to the grid."""
        grid = (self.scale, self.zero_point, _LOW, _HIGH, torch.int8)
        codes = decomposed.quantize_per_tensor(x, *grid)
        out: Tensor = decomposed.dequantize_per_tensor(codes, *grid)
        return out


class Int8Weight(nn.Module):
    """An int8 weight with a scale per output; called, it gives the float weight."""

    def __init__(self, codes: Tensor, scales: Tensor) -> None:
        super().__init__()
        self.codes: Tensor
        self.scales: Tensor
        self.zeros: Tensor
        self.register_buffer("codes", codes.to(torch.int8).contiguous())
        # One scale for all outputs is the same scale for each.
        self.register_buffer("scales", scales.detach().float().expand(len(codes)).contiguous())
        self.register_buffer("zeros", torch.zeros(len(codes), dtype=torch.int64))

    def forward(self) -> Tensor:
        """Return the weight in float."""
        weight: Tensor = decomposed.dequantize_per_channel(
            self.codes, self.scales, self.zeros, 0, _WEIGHT_LOW, _HIGH, torch.int8
        )
        return weight


class QdqLayer(nn.Module):
    """A Conv2d or Linear between quantize and dequantize pairs, as XNNPACK folds them.

    Takes and gives float tensors of the layer's shapes. The input is taken as it is where it comes
    from another such layer, whose grid it lies on.
    """

    def __init__(self, simulated: SimulatedLayer) -> None:
        super().__init__()
        layer, scales = simulated.layer, simulated.scales
        grid_in, grid_out = simulated.grids
        self.convolution: tuple[Any, ...] | None = None
        if isinstance(layer, nn.Conv2d):
            self.convolution = (layer.stride, layer.padding, layer.dilation, layer.groups)
        self.clamp = simulated.clamp
        taken_over = bool(simulated.reads_from)
        self.round_input = nn.Identity() if taken_over else RoundTrip(grid_in, simulated.dtype)
        self.round_output = RoundTrip(grid_out, simulated.dtype)
        # These lie on the grid already, so the nearest codes are the codes.
        self.weight = Int8Weight(nearest_codes(simulated.int8_weight(), scales), scales)
        bias = simulated.int8_bias()
        self.bias: Tensor | None
        self.register_buffer("bias", None if bias is None else bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """Compute the layer on the grids of its input and output."""
        x = self.round_input(x)
        if self.convolution is None:
            y = functional.linear(x, self.weight(), self.bias)
        else:
            y = functional.conv2d(x, self.weight(), self.bias, *self.convolution)
        if self.clamp is not None:
            low, high = self.clamp
            unbounded = low == 0 and high == float("inf")
            y = functional.relu(y) if unbounded else functional.hardtanh(y, low, high)
        out: Tensor = self.round_output(y)
        return out


class DynamicQdqLinear(nn.Module):
    """A Linear whose input's range is taken while it runs."""

    def __init__(self, linear: DynamicLinear) -> None:
        super().__init__()
        weight, bias = linear._weight_bias()
        per_channel = weight.qscheme() == torch.per_channel_affine
        scales = weight.q_per_channel_scales() if per_channel else torch.tensor([weight.q_scale()])
        self.weight = Int8Weight(weight.int_repr(), scales)
        self.bias: Tensor | None
        self.register_buffer("bias", None if bias is None else bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """Quantize `x` by the range it has now, and map its last dimension."""
        eps = torch.finfo(torch.float32).eps
        scale, zero = decomposed.choose_qparams(x, _LOW, _HIGH, eps, torch.int8)
        codes = decomposed.quantize_per_tensor(x, scale, zero, _LOW, _HIGH, torch.int8)
        x = decomposed.dequantize_per_tensor(codes, scale, zero, _LOW, _HIGH, torch.int8)
        return functional.linear(x, self.weight(), self.bias)


class ScaledSoftmax(nn.Module):
    """Softmax of `scale` times its input, over the last dimension."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """Compute it."""
        return functional.softmax(x if self.scale == 1.0 else x * self.scale, -1)


def quantized_program_module(network: QuantizedNetwork) -> nn.Module:
    """Return what is exported as a program's `forward`: the float network, or its int8 in pairs.

    Between `torch.export.export` and lowering, `own_dequantize` has to see the program. Raises
    QuantizeError for what ExecuTorch has no int8 kernels for.
    """
    if not network.is_int8:
        return network.module
    return to_qdq(network.simulated if network.simulated is not None else network.module)


def to_qdq(module: nn.Module) -> nn.Module:
    """Return a copy of a simulated or a dynamic int8 module, with int8 written as pairs.

    Weights that stay float are shared with it. Raises CalibrationError where a simulated layer has
    no range, QuantizeError for recurrent int8 layers.
    """
    # The copy takes what is here in place of what has that identity, wherever that is held.
    instead: dict[int, object] = {id(t): t for t in (*module.parameters(), *module.buffers())}
    for name, child in module.named_modules():
        new = _in_pairs(name, child)
        if new is not None:
            instead[id(child)] = new
    return copy.deepcopy(module, instead).eval()


def _in_pairs(name: str, module: nn.Module) -> nn.Module | None:
    if isinstance(module, SimulatedLayer):
        return QdqLayer(module)
    if isinstance(module, DynamicLinear):
        return DynamicQdqLinear(module)
    if isinstance(module, SimulatedGelu):
        return module.gelu
    if isinstance(module, SimulatedSoftmax):
        return ScaledSoftmax(module.scale)
    if isinstance(module, nnqd.LSTM | nnqd.GRU):
        raise QuantizeError(
            f"Layer {name} is a dynamic int8 {module._get_name().removeprefix('Dynamic')}, which "
            "ExecuTorch has no kernel for. Export this network to .pte without --quantize."
        )
    return None


def own_dequantize(exported: ExportedProgram) -> int:
    """Give each reader of an int8 tensor its own dequantize; return how many were added.

    XNNPACK takes a dequantize into the partition of what reads it: a shared one would make two
    partitions depend on each other. A float tensor that is quantized to one grid several times is
    quantized once.
    """
    first: dict[tuple[object, ...], fx.Node] = {}
    for node in calls(exported, decomposed.quantize_per_tensor.default):
        same = first.setdefault(node.args, node)
        if same is not node:
            replace(node, same)
    added = 0
    for node in calls(exported, decomposed.dequantize_per_tensor.default):
        for reader in list(node.users)[1:]:
            own = Editor(exported.graph, reader)(node.target, *node.args)
            reader.replace_input_with(node, own)
            added += 1
    tidy(exported)
    return added
