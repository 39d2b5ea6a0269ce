"""What is exported for a layer: quantize, one int8 kernel, dequantize.

XNNPACK's int8 `linear` refuses per-channel weights while its convolution takes them at the same
speed, so a Linear with per-channel weights runs as a 1x1 convolution.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.ao.nn.quantized as nnq
from torch import Tensor, nn

from ..errors import NotFinite
from .layers import SimulatedLayer
from .ranges import Range
from .weights import quantized_weight


class QuantizeInput(nn.Module):
    """Round a float tensor to a fixed int8 grid.

    torch.ao's own keeps scale and zero point as tensors, which a trace warns about.
    """

    def __init__(self, grid: Range, dtype: torch.dtype) -> None:
        super().__init__()
        self.scale = grid.scale
        self.zero_point = grid.zero_point
        self.dtype = dtype

    def forward(self, x: Tensor) -> Tensor:
        """Quantise `x`."""
        return torch.quantize_per_tensor(x, self.scale, self.zero_point, self.dtype)


class Int8Layer(nn.Module):
    """Quantise, run one int8 kernel, dequantise; scripts and traces.

    `quantize` and `dequantize` are Identity where the neighbour speaks int8 too. Takes and gives
    float tensors of the shapes of the float layer it stands for.
    """

    def __init__(self, quantize: nn.Module, kernel: nn.Module, dequantize: nn.Module) -> None:
        super().__init__()
        self.quantize = quantize
        self.kernel = kernel
        self.dequantize = dequantize

    def forward(self, x: Tensor) -> Tensor:
        """Compute the layer in int8."""
        out: Tensor = self.dequantize(self.kernel(self.quantize(x)))
        return out


class PointwiseLinear(nn.Module):
    """Compute a Linear as a 1x1 convolution over N,C,H,1 in channels-last order.

    The permutations move no memory: a token's features are already the innermost dimension.
    `convolution` is float (before FX conversion) or int8; `input_dim` is the input's rank.
    """

    def __init__(self, convolution: nn.Module, input_dim: int) -> None:
        super().__init__()
        self.convolution = convolution
        self.input_dim = input_dim

    def forward(self, x: Tensor) -> Tensor:
        """Map the last dimension of `x` (rank `input_dim`), as nn.Linear does."""
        if self.input_dim == 2:
            y = self.convolution(x.unsqueeze(1).unsqueeze(1).permute(0, 3, 1, 2))
            out: Tensor = y.permute(0, 2, 3, 1).squeeze(1).squeeze(1)
        elif self.input_dim == 3:
            y = self.convolution(x.unsqueeze(2).permute(0, 3, 1, 2))
            out = y.permute(0, 2, 3, 1).squeeze(2)
        else:
            y = self.convolution(x.permute(0, 3, 1, 2))
            out = y.permute(0, 2, 3, 1)
        return out


def as_pointwise_conv(layer: nn.Linear) -> nn.Conv2d:
    """Return the 1x1 Conv2d with the weights of `layer`."""
    conv = nn.Conv2d(layer.in_features, layer.out_features, 1, bias=layer.bias is not None)
    conv.weight = nn.Parameter(layer.weight.detach()[:, :, None, None].contiguous())
    conv.bias = layer.bias
    return conv.eval()


def runs_as_convolution(simulated: SimulatedLayer) -> bool:
    """Whether a Linear has to become a 1x1 convolution: XNNPACK's linear is per-tensor only."""
    return (
        isinstance(simulated.layer, nn.Linear)
        and simulated.scheme == "xnnpack"
        and simulated.per_channel
        and simulated.input_dim in (2, 3, 4)
    )


def convert_layer(simulated: SimulatedLayer) -> Int8Layer:
    """Turn an observed layer into its int8 form, packed for the engine that is set now.

    Raises NotFinite for NaN or infinite weights.
    """
    layer = simulated.layer
    if not bool(torch.isfinite(layer.weight).all()):
        raise NotFinite(
            f"Layer {simulated.name} has NaN or infinite weights. Check the checkpoint."
        )
    grid_in, grid_out = simulated.grids
    scales = simulated.scales
    bias = simulated.int8_bias()
    bias = None if bias is None else bias.detach()
    # These lie on the grid already, so quantising them finds their codes again.
    weight = simulated.int8_weight().detach()
    as_conv = runs_as_convolution(simulated)
    kernel: Any  # torch.ao's modules, untyped
    if isinstance(layer, nn.Linear) and not as_conv:
        linear = nnq.Linear(layer.in_features, layer.out_features, dtype=torch.qint8)
        linear.set_weight_bias(quantized_weight(weight, scales), bias)
        kernel = linear
    else:
        source = as_pointwise_conv(layer) if isinstance(layer, nn.Linear) else layer
        kernel = nnq.Conv2d(
            source.in_channels,
            source.out_channels,
            source.kernel_size,
            stride=source.stride,
            padding=source.padding,
            dilation=source.dilation,
            groups=source.groups,
        )
        kernel.set_weight_bias(quantized_weight(weight.view(source.weight.shape), scales), bias)
    kernel.scale, kernel.zero_point = grid_out.scale, grid_out.zero_point
    if as_conv:
        kernel = PointwiseLinear(kernel, simulated.input_dim)
    quantize = nn.Identity() if simulated.reads_from else QuantizeInput(grid_in, simulated.dtype)
    dequantize = nn.Identity() if simulated.feeds_int8 else nnq.DeQuantize()
    return Int8Layer(quantize, kernel, dequantize).eval()
