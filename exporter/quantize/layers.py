"""Hold one layer on its way to int8: watched, simulated, converted.

`SimulatedLayer` is the float layer with int8 simulated around it: it gathers ranges, trains with
fake quantisation and measures sensitivity. `Int8Layer` is what is exported: quantise, one int8
kernel, dequantise.

Two facts shape both. A clamp after the layer (ReLU, ReLU6) costs nothing when the output range
is cut to it, because int8 saturates; and the range then spends no codes on values the clamp
would throw away. And XNNPACK's int8 `linear` refuses per-channel weights while its convolution
takes them at the same speed, so a Linear with per-channel weights runs as a 1x1 convolution.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import torch
import torch.ao.nn.quantized as nnq
from torch import Tensor, nn
from torch.ao.quantization.observer import (
    HistogramObserver,
    MinMaxObserver,
    MovingAverageMinMaxObserver,
)

from ..errors import CalibrationError, NotFinite
from ..recipes import Observer, QuantizeRecipe, WeightRounding
from .rounding import InputMoments, compensated_codes

# XNNPACK demands a requantisation scale (in x weight / out) of at least 2**-32 and below 256;
# activation scales above 2**-12 keep it there (torch.ao.quantization.qconfig says the same).
SMALLEST_ACTIVATION_SCALE = 2.0**-12
SMALLEST_WEIGHT_SCALE = 2.0**-20


# How activation ranges are cut: as the observer says, never, or where that costs less than half.
Clipping = Literal["observer", "none", "mild"]
CLIPPINGS: tuple[Clipping, ...] = ("observer", "none", "mild")


@dataclass(frozen=True)
class Range:
    """The int8 grid of one tensor: real = scale x (q - zero_point)."""

    scale: float
    zero_point: int


def make_observer(kind: Observer, dtype: torch.dtype) -> nn.Module:
    """Build a torch.ao per-tensor affine observer for activations of `dtype`."""
    types: dict[str, Any] = {
        "minmax": MinMaxObserver,
        "moving_average": MovingAverageMinMaxObserver,
        # The histogram keeps the true extremes as well, so every rule can be tried afterwards.
        "histogram": HistogramObserver,
        "auto": HistogramObserver,
    }
    with warnings.catch_warnings():
        # torch.ao announces its own retirement; a user can't act on that.
        warnings.simplefilter("ignore")
        observer: nn.Module = types[kind](
            dtype=dtype, qscheme=torch.per_tensor_affine, eps=SMALLEST_ACTIVATION_SCALE
        )
    return observer


def weight_scales(weight: Tensor, per_channel: bool, *, search: bool = False) -> Tensor:
    """Return symmetric scales for int8 codes -127..127: one, or one per output channel.

    -128 stays unused: XNNPACK wants it so, and the grid is symmetric. With `search` the scale of
    least squared error is taken among those that clip up to 30 % of the largest weight.
    """
    flat = weight.detach().flatten(1) if per_channel else weight.detach().reshape(1, -1)
    largest = (flat.abs().amax(1) / 127.0).clamp_min(SMALLEST_WEIGHT_SCALE)
    if not search:
        return largest
    best, least = largest, torch.full_like(largest, float("inf"))
    for step in range(31):
        scales = largest * (1.0 - 0.01 * step)
        rounded = (flat / scales[:, None]).round().clamp(-127, 127) * scales[:, None]
        error = (rounded - flat).square().sum(1)
        best = torch.where(error < least, scales, best)
        least = torch.minimum(error, least)
    return best.clamp_min(SMALLEST_WEIGHT_SCALE)


def fake_quantize_weight(weight: Tensor, scales: Tensor) -> Tensor:
    """Round `weight` to the int8 grid of `scales` and back; gradients pass straight through."""
    if len(scales) > 1:
        zeros = torch.zeros(len(scales), dtype=torch.int32)
        return torch.fake_quantize_per_channel_affine(weight, scales, zeros, 0, -127, 127)
    return torch.fake_quantize_per_tensor_affine(weight, float(scales), 0, -127, 127)


def fake_quantize(x: Tensor, grid: Range, dtype: torch.dtype) -> Tensor:
    """Round activations `x` to `grid` and back; gradients pass inside the range."""
    low, high = (-128, 127) if dtype == torch.qint8 else (0, 255)
    return torch.fake_quantize_per_tensor_affine(x, grid.scale, grid.zero_point, low, high)


class SimulatedLayer(nn.Module):
    """A plain Conv2d or Linear whose ranges are observed and whose int8 can be simulated.

    `watching` gathers ranges; `simulating` computes as int8 would, with float kernels. `clamp` is
    an activation after the layer that int8 saturation takes over. `reads_from` names the layer
    whose int8 output is this one's input, `feeds_int8` says that the output goes to such a one.
    """

    def __init__(
        self, layer: nn.Conv2d | nn.Linear, recipe: QuantizeRecipe, *, name: str, input_dim: int
    ) -> None:
        super().__init__()
        self.layer = layer
        self.name = name
        self.input_dim = input_dim
        self.dtype = torch.qint8 if recipe.scheme == "xnnpack" else torch.quint8
        # A Linear that can't become a 1x1 convolution has XNNPACK's linear, per tensor only.
        self.per_channel = recipe.granularity == "per_channel" and not (
            recipe.scheme == "xnnpack"
            and isinstance(layer, nn.Linear)
            and input_dim not in (2, 3, 4)
        )
        self.scheme = recipe.scheme
        self.input_observer = make_observer(recipe.observer, self.dtype)
        self.output_observer = make_observer(recipe.observer, self.dtype)
        self.clamp: tuple[float, float] | None = None
        self.reads_from: str = ""
        self.feeds_int8 = False
        self.watching = True
        self.simulating = False
        self.clipping: Clipping = "observer"
        self._grids: tuple[Range, Range] | None = None
        self._seen: dict[int, tuple[Range, Range]] = {}  # choosing by histogram is slow
        # A buffer, so that checkpoints of a fine-tuning hold it.
        self._scales: Tensor | None
        self.register_buffer("_scales", None)
        self.bias_shift: Tensor | None = None
        self.wanted_mean: Tensor | None = None  # while set, a simulated call moves the bias to it
        self._input_sum: Tensor | None = None
        self._input_count = 0
        # Training moves the weights, so what they are rounded to is not settled before it.
        compensated = recipe.method == "static" and recipe.rounding != "nearest"
        compensated = compensated and isinstance(layer, nn.Conv2d)
        self._moments = InputMoments() if compensated else None
        self._codes: Tensor | None = None
        # Codes (None: the nearest) and the bias correction that goes with them.
        self.roundings: dict[WeightRounding, tuple[Tensor | None, Tensor]] = {}

    @property
    def grids(self) -> tuple[Range, Range]:
        """Return the fixed int8 grids of the input and the output."""
        if self._grids is None:
            raise CalibrationError(f"Layer {self.name} has no fixed ranges: calibrate it first.")
        return self._grids

    @property
    def scales(self) -> Tensor:
        """Return the weight's scales: the fixed ones, or those of the weight as it is now."""
        if self._scales is None:
            return weight_scales(self.layer.weight, self.per_channel)
        return self._scales

    def settle(self, incoming: Range | None = None) -> None:
        """Fix both grids from what was observed; `incoming` is the grid of the layer before.

        Raises CalibrationError when nothing was observed, NotFinite for NaN or infinity.
        """
        self._grids = (incoming or self._live_grid(0), self._live_grid(1))

    def int8_weight(self) -> Tensor:
        """Return the weight as int8 holds it, in float; differentiable until it is settled."""
        if self._codes is None:
            return fake_quantize_weight(self.layer.weight, self.scales)
        return self._codes * self.scales.view(-1, *(1,) * (self._codes.dim() - 1))

    def settle_weight(self) -> None:
        """Choose weight scales and codes, and correct the bias for the rounding's mean effect.

        The correction is W's rounding error times the mean input of each channel (arXiv
        1906.04721, section 4.2.1); the mean comes from the calibration images.
        """
        weight = self.layer.weight
        self._scales = weight_scales(weight, self.per_channel, search=True)
        if self._input_sum is None:
            return
        self.roundings = {"nearest": (None, self._mean_effect(None))}
        if self._moments is not None and isinstance(self.layer, nn.Conv2d):
            codes = compensated_codes(self.layer, self._scales, self._moments)
            self.roundings["compensated"] = (codes, self._mean_effect(codes))
            self._moments = None  # the larger part of a calibration's memory
        self.round_to("compensated")

    def round_to(self, rounding: WeightRounding) -> None:
        """Take one of the settled roundings of the weight; the nearest codes if it has no other."""
        self._codes, self.bias_shift = self.roundings.get(rounding, self.roundings["nearest"])

    @torch.no_grad()
    def _mean_effect(self, codes: Tensor | None) -> Tensor:
        """Return by how much rounding to `codes` lowers each output channel in the mean."""
        self._codes = codes
        error = self.layer.weight - self.int8_weight()
        assert self._input_sum is not None
        mean = self._input_sum / self._input_count
        if isinstance(self.layer, nn.Linear):
            shift: Tensor = error @ mean
            return shift
        groups = self.layer.groups
        taps = error.sum((2, 3)).view(groups, -1, error.shape[1])
        return torch.einsum("goi,gi->go", taps, mean.view(groups, -1)).flatten()

    def begin_training(self) -> None:
        """Make the corrected bias the layer's own, for the optimiser to go on from."""
        bias = self.int8_bias()
        self.layer.bias = None if bias is None else nn.Parameter(bias.detach().clone())
        self.bias_shift = None
        self.follow_weight()

    def follow_weight(self) -> None:
        """Choose the weight scales anew, for the weight as it is now."""
        self._scales = weight_scales(self.layer.weight, self.per_channel, search=True)
        self._codes = None

    def int8_bias(self) -> Tensor | None:
        """Return the bias with the correction for the weight's rounding."""
        bias: Tensor | None = self.layer.bias
        if self.bias_shift is None:
            return bias
        return self.bias_shift if bias is None else bias + self.bias_shift

    def output_mean(self, y: Tensor) -> Tensor:
        """Return the mean of each output channel of `y`, one of this layer's outputs."""
        channel = self._channel % y.dim()
        return y.detach().mean([dim for dim in range(y.dim()) if dim != channel])

    def _meet_mean(self, y: Tensor, wanted: Tensor, grid: Range) -> Tensor:
        """Move the bias until outputs made of the sums `y` have this mean; return `y`, so moved."""
        # A clamp behind the bias takes away a part of what is added. What a cut range takes away
        # is better left alone: a DINOv2, whose outliers it cuts, lost by moving on.
        for _ in range(1 if self.clamp is None else 3):
            out = fake_quantize(self._clamped(y), grid, self.dtype)
            shift = wanted - self.output_mean(out)
            assert self.bias_shift is not None  # made by who set the wanted mean
            self.bias_shift += shift
            y.movedim(self._channel, -1).add_(shift)
        return y

    @property
    def _channel(self) -> int:
        return 1 if isinstance(self.layer, nn.Conv2d) else -1

    def _count_input(self, x: Tensor) -> None:
        flat = x.detach().movedim(self._channel, 0).flatten(1)
        total = flat.sum(1)
        self._input_sum = total if self._input_sum is None else self._input_sum + total
        self._input_count += flat.shape[1]
        if self._moments is not None and isinstance(self.layer, nn.Conv2d):
            self._moments.add(self.layer, x)

    def _live_grid(self, which: int) -> Range:
        if which not in self._seen:
            self._seen[which] = self._observed_grids(which)
        whole, chosen = self._seen[which]
        # A range cut below half is a few outliers against the rest; which matter more, only the
        # network's output can tell.
        severe = chosen.scale < 0.5 * whole.scale
        if self.clipping == "none" or (self.clipping == "mild" and severe):
            return whole
        return chosen

    def _observed_grids(self, which: int) -> tuple[Range, Range]:
        """Return the grid from smallest to largest value, and the one that the observer chose."""
        observer: Any = self.input_observer if which == 0 else self.output_observer
        low, high = float(observer.min_val.min()), float(observer.max_val.max())
        if low > high:
            raise CalibrationError(
                f"Layer {self.name} saw no calibration image, so it has no range. Give images "
                "that reach this layer."
            )
        if not (low > -float("inf") and high < float("inf")):
            raise NotFinite(
                f"Layer {self.name} met values from {low} to {high} on the calibration images. "
                "Check its weights and the preprocessing; NaN and infinity have no int8 code."
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            whole = observer._calculate_qparams(observer.min_val, observer.max_val)
            chosen = observer.calculate_qparams()
        first, second = (Range(float(scale), int(zero)) for scale, zero in (whole, chosen))
        return first, second

    def forward(self, x: Tensor) -> Tensor:
        """Compute the layer on a float `x`, watched and simulated as switched on."""
        # While training with observers on, ranges move from batch to batch.
        live = self.watching or self._grids is None
        if self.watching:
            self._seen.clear()
            self.input_observer(x.detach())
            if not self.simulating:
                self._count_input(x)
        weight = self.layer.weight
        if self.simulating:
            x = fake_quantize(x, self._live_grid(0) if live else self.grids[0], self.dtype)
            weight = self.int8_weight()
        bias = self.int8_bias() if self.simulating else self.layer.bias
        if isinstance(self.layer, nn.Conv2d):
            y = self.layer._conv_forward(x, weight, bias)
        else:
            y = nn.functional.linear(x, weight, bias)
        if self.wanted_mean is not None and self.simulating:
            y = self._meet_mean(y, self.wanted_mean, self.grids[1])
        y = self._clamped(y)
        if self.watching:
            self.output_observer(y.detach())
        if self.simulating:
            y = fake_quantize(y, self._live_grid(1) if live else self.grids[1], self.dtype)
        return y

    def _clamped(self, y: Tensor) -> Tensor:
        return y if self.clamp is None else y.clamp(*self.clamp)


@cache
def _zeros(count: int) -> Tensor:
    # One storage for all layers of a size, so that a saved file holds it once.
    return torch.zeros(count, dtype=torch.long)


def quantized_weight(weight: Tensor, scales: Tensor) -> Tensor:
    """Return `weight` as a qint8 tensor with codes -127..127 on the grid of `scales`."""
    # torch's quantise saturates at -128; cutting the weight first keeps the grid symmetric.
    shape = (-1,) + (1,) * (weight.dim() - 1)
    limit = 127.0 * scales.view(shape) if len(scales) > 1 else 127.0 * scales.reshape(())
    cut = torch.minimum(torch.maximum(weight.detach(), -limit), limit)
    if len(scales) > 1:
        zeros = _zeros(len(scales))
        return torch.quantize_per_channel(cut, scales.double(), zeros, 0, torch.qint8)
    return torch.quantize_per_tensor(cut, float(scales), 0, torch.qint8)


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
