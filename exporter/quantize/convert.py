"""Convert simulated layers to what is exported: quantize, one int8 kernel, dequantize.

XNNPACK's int8 `linear` refuses per-channel weights while its convolution takes them at the same
speed, so a Linear with per-channel weights runs as a 1x1 convolution.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.ao.nn.quantized as nnq
from torch import Tensor, fx, nn

from ..errors import NotFinite, QuantizeError
from ..rewrites.layers import replace_submodule
from ..rewrites.watch import Example, arguments, hooks
from .layers import SimulatedLayer
from .place import Simulated
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
        """Quantize `x`."""
        return torch.quantize_per_tensor(x, self.scale, self.zero_point, self.dtype)


class Int8Layer(nn.Module):
    """Quantize, run one int8 kernel, dequantize; scripts and traces.

    `quantize` and `dequantize` are Identity where the neighbor speaks int8 too. Takes and gives
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
    # These lie on the grid already, so quantizing them finds their codes again.
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


def convert(simulated: Simulated) -> nn.Module:
    """Return a copy with every simulated layer converted to int8 for the engine set now."""
    # The simulated layers are replaced below: no need to copy their weights and histograms.
    module = copy.deepcopy(simulated.module, {id(x): x for x in simulated.layers.values()})
    for name, layer in simulated.layers.items():
        if not isinstance(module.get_submodule(name), SimulatedLayer):
            raise QuantizeError(f"Layer {name} was replaced while it was simulated.")
        replace_submodule(module, name, convert_layer(layer))
    for name, gelu in simulated.gelus.items():
        replace_submodule(module, name, gelu.convert())
    for name, softmax in simulated.softmaxes.items():
        replace_submodule(module, name, softmax.convert())
    if isinstance(module, fx.GraphModule):
        _quantize_once(module, simulated)
    return module.eval()


def _quantize_once(graph: fx.GraphModule, simulated: Simulated) -> None:
    """Quantize a tensor that several int8 layers read once, in a traced graph."""
    called = {str(n.target): n for n in graph.graph.nodes if n.op == "call_module"}
    order = {node: index for index, node in enumerate(graph.graph.nodes)}
    for group in simulated.shared_inputs:
        nodes = [called[name] for name in group if name in called]
        grids = {simulated.layers[name].grids[0] for name in group}
        # Training may have moved one layer's range; another tensor may lie behind an Identity.
        if len(nodes) < len(group) or len(grids) > 1 or len({n.args for n in nodes}) > 1:
            continue
        first = min(nodes, key=lambda node: order[node])
        name = "_quantize_" + group[0].replace(".", "_")
        layers = [graph.get_submodule(layer) for layer in group]
        graph.add_submodule(name, layers[0].get_submodule("quantize"))
        for layer in layers:
            layer.quantize = nn.Identity()
        with graph.graph.inserting_before(first):
            shared = graph.graph.call_module(name, first.args)
        for node in nodes:
            node.args = (shared,)
    graph.recompile()


def kernel_steps(simulated: Simulated, int8: nn.Module, example: Example) -> dict[str, float]:
    """Compare each int8 kernel with its simulation on the same input; mean |d| in output steps."""
    inputs: dict[str, Tensor] = {}
    outputs: dict[str, Tensor] = {}

    def keep(name: str, args: tuple[Tensor, ...], out: Tensor) -> None:
        # Copies: an activation in place would write into what is kept here.
        inputs[name], outputs[name] = args[0].clone(), out.clone()

    with torch.no_grad(), hooks(simulated.layers, after=keep):
        simulated.module(*arguments(example))
    steps = {}
    for name, given in inputs.items():
        layer = simulated.layers[name]
        kernel = int8.get_submodule(name)
        assert isinstance(kernel, Int8Layer)
        grid_in, grid_out = layer.grids
        with torch.no_grad():
            codes = torch.quantize_per_tensor(given, grid_in.scale, grid_in.zero_point, layer.dtype)
            actual = kernel.kernel(codes).dequantize()
        steps[name] = float((actual - outputs[name]).abs().mean() / grid_out.scale)
    return steps
