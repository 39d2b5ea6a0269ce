"""Hold one layer on its way to int8: watched and simulated.

`SimulatedLayer` is the float layer with int8 simulated around it: it gathers ranges, trains with
fake quantization and measures sensitivity. What is exported in its place is in `convert`.

A clamp after the layer (ReLU, ReLU6) costs nothing when the output range is cut to it, because
int8 saturates; and the range then spends no codes on values the clamp would throw away.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from ..errors import CalibrationError
from ..recipes import QuantizeRecipe, WeightRounding
from .ranges import Clipping, ObservedGrids, Range, fake_quantize, make_observer, observed_grids
from .weights import (
    InputMoments,
    compensated_codes,
    fake_quantize_weight,
    mean_effect,
    weight_scales,
)


class SimulatedLayer(nn.Module):
    """A plain Conv2d or Linear whose ranges are observed and whose int8 can be simulated.

    `watching` gathers ranges; `simulating` computes as int8 would, with float kernels. `clamp` is
    an activation after the layer that int8 saturation takes over. `reads_from` names the layer
    whose int8 output is this one's input, `feeds_int8` says that the output goes to such a one.
    `on_grid_of` names a layer whose output this one's input consists of, in float.
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
        self.on_grid_of: str = ""
        self.feeds_int8 = False
        self.watching = True
        self.simulating = False
        self.clipping: Clipping = "observer"
        self._grids: tuple[Range, Range] | None = None
        # Logarithms of the grids' scales while they are learned; layers that share a grid share it.
        self.learned: nn.ParameterList | None = None
        self._seen: dict[int, ObservedGrids] = {}  # choosing by histogram is slow
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
        return mean_effect(self.layer, error, self._input_sum / self._input_count)

    def take_learned(self) -> None:
        """Fix both grids at the scales that were learned; zero points stay."""
        if self.learned is not None:
            scales = [float(p.detach().exp()) for p in self.learned]
            grids = zip(self.grids, scales, strict=True)
            first, second = (replace(grid, scale=scale) for grid, scale in grids)
            self._grids = (first, second)

    def begin_training(self) -> None:
        """Make the corrected bias the layer's own, for the optimizer to go on from."""
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
            assert self.bias_shift is not None  # made where the wanted mean is set
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
            observer = self.input_observer if which == 0 else self.output_observer
            self._seen[which] = observed_grids(observer, self.name)
        return self._seen[which].cut(self.clipping)

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
            x = self._on_grid(x, 0, live)
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
            y = self._on_grid(y, 1, live)
        return y

    def _on_grid(self, x: Tensor, which: int, live: bool) -> Tensor:
        """Round the input (0) or the output (1) to its grid, the one being learned where it is."""
        grid = self._live_grid(which) if live else self.grids[which]
        scale = None if self.learned is None else self.learned[which].exp()
        return fake_quantize(x, grid, self.dtype, scale)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> SimulatedLayer:
        """Move what is no buffer, too: buffers would be in every checkpoint."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # torch
        for name in ("bias_shift", "wanted_mean", "_input_sum", "_codes"):
            if (tensor := getattr(self, name)) is not None:
                setattr(self, name, fn(tensor))
        self.roundings = {
            rounding: (None if codes is None else fn(codes), fn(shift))
            for rounding, (codes, shift) in self.roundings.items()
        }
        return self

    def _clamped(self, y: Tensor) -> Tensor:
        return y if self.clamp is None else y.clamp(*self.clamp)
