"""GELU and softmax next to int8, from multiplications instead of exponentials.

PyTorch 2.1's ARM build computes exponentials one by one, at some fifty instructions each, and
multiplies four values in five (`python -m tests.benchmarks.operator_costs` prints the table). In
an int8 ViT they are a third of all instructions. Where what reads the result is int8 anyway,
polynomials serve as well: their error is held below one step of the reader's grid.

- GELU is x (1/2 + z P(z^2)), z being x clamped, with P of degree two fitted to the int8 range that
  the layer before can give. Its largest error for any range is 0.0078; where that is more than a
  step of the next layer's input, the exact GELU stays.
- softmax takes exp(x) for x <= 0 as (((x / R + h)+^2 + k) / (h^2 + k))^32. Its largest error is
  1.4e-4 of the row's largest value; after the division by the row's sum it stays below half a
  step, if the row were unsigned int8.

On x86, whose exponentials are vectors, both cost more than they save (the same table says how
much). The phone is what counts; `--disable cheap-activations` keeps the exact ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn


@dataclass(frozen=True)
class GeluFit:
    """GELU(x) = x (1/2 + slope z ((z^2 - center)^2 + height)), z = x clamped to +-bound.

    `error` is the largest absolute error over the range fitted to.
    """

    slope: float
    center: float
    height: float
    bound: float
    clamped: bool
    error: float


def fit_gelu(low: float, high: float) -> GeluFit:
    """Fit the 256 int8 codes from `low` to `high` with the least largest error (Lawson)."""
    from math import erf, sqrt

    x = np.linspace(low, high, 256)  # the codes: nothing between them occurs
    exact = x * np.array([0.5 * erf(v / sqrt(2.0)) for v in x])
    reach = max(abs(low), abs(high), 0.25)
    bounds = [b for b in np.arange(2.4, 3.21, 0.1) if b < reach] + ([reach] if reach < 4 else [])
    best: GeluFit | None = None
    for bound in bounds:
        z = np.clip(x, -bound, bound)
        columns = np.stack([x * z, x * z**3, x * z**5], 1)
        # Columns of like size keep the small systems well conditioned.
        sizes = np.abs(columns).max(0)
        weight = np.ones(len(x))
        for _ in range(12):
            root = np.sqrt(weight)[:, None]
            found = np.linalg.lstsq(columns / sizes * root, exact * root[:, 0], rcond=None)[0]
            error = np.abs(columns / sizes @ found - exact)
            weight = weight * (error + 1e-9)
            weight /= weight.sum()
        k0, k1, k2 = (float(k) for k in found / sizes)
        largest = float(error.max())
        if abs(k2) > 1e-9 and (best is None or largest < best.error):
            center = -k1 / (2 * k2)
            best = GeluFit(
                k2, center, k0 / k2 - center**2, float(bound), bool(bound < reach), largest
            )
    assert best is not None
    return best


class PolynomialGelu(nn.Module):
    """GELU as fitted, written over its input: the fresh output of a dequantization.

    Works on a quarter of the tokens at a time, so that the steps meet their data in the cache.
    Scripts and traces.
    """

    __constants__ = ("clamped",)  # TorchScript then compiles one branch only

    def __init__(self, fit: GeluFit) -> None:
        super().__init__()
        self.slope, self.center, self.height = fit.slope, fit.center, fit.height
        self.bound, self.clamped = fit.bound, fit.clamped
        self.middle: Tensor
        self.register_buffer("middle", torch.tensor(0.5))

    def forward(self, x: Tensor) -> Tensor:
        """Approximate GELU, element by element; overwrites `x`."""
        for part in x.chunk(4, 1):
            z = part.clamp(-self.bound, self.bound) if self.clamped else part
            t = z * z
            t.sub_(self.center)
            t.mul_(t)
            t.add_(self.height)
            t.mul_(z)
            # middle + slope t in one operator: its second operand is the one that is scaled.
            part.mul_(torch.add(self.middle, t, alpha=self.slope))
        return x


class _FittedGelu(torch.autograd.Function):
    """GELU as fitted; its gradient is that of the exact one, which is a single operator.

    The two differ by what the fit is off, below a step of int8.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, fit: GeluFit) -> Tensor:
        ctx.save_for_backward(x)
        z = x.clamp(-fit.bound, fit.bound) if fit.clamped else x
        t = (z * z).sub_(fit.center)
        t.mul_(t).add_(fit.height).mul_(fit.slope * z)
        return t.add_(0.5).mul_(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return torch.ops.aten.gelu_backward(grads[0], x), None


class _PowerSoftmax(torch.autograd.Function):
    """Softmax of `scale * x` as exported; its gradient is that of the exact one."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float) -> Tensor:
        z = (x - x.amax([-1], True)).mul_(scale / _RADIUS).add_(_SHIFT).clamp_min_(0.0)
        power = z.mul_(z).add_(_FLOOR).pow_(2**_SQUARINGS)
        out = power.div_(power.sum([-1], True))
        ctx.save_for_backward(out)
        ctx.scale = scale
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (out,) = ctx.saved_tensors
        exact = torch.ops.aten._softmax_backward_data(grads[0], out, -1, out.dtype)
        return exact.mul_(ctx.scale), None


class SimulatedGelu(nn.Module):
    """A GELU between two int8 layers: exact until a fit is settled and simulation is on."""

    def __init__(self, gelu: nn.GELU, *, name: str, source: str, reader: str) -> None:
        super().__init__()
        self.gelu = gelu
        self.name, self.source, self.reader = name, source, reader
        self.fit: GeluFit | None = None
        self.simulating = False

    def settle(self, low: float, high: float, step: float) -> None:
        """Fit to the range of the layer before; keep it where no error exceeds `step`."""
        fit = fit_gelu(low, high)
        self.fit = fit if fit.error <= step else None

    def forward(self, x: Tensor) -> Tensor:
        """Compute GELU, as the converted network will where that is on."""
        fit = self.fit
        if fit is None or not self.simulating:
            exact: Tensor = self.gelu(x)
            return exact
        made: Tensor = _FittedGelu.apply(x, fit)  # type: ignore[no-untyped-call]  # torch
        return made

    def convert(self) -> nn.Module:
        """Return what is exported."""
        return self.gelu if self.fit is None else PolynomialGelu(self.fit).eval()


# Found by minimizing the largest |f(x) - exp(x)| exp(0.3 |x|) over -14 <= x <= 0 (Nelder-Mead from
# several starts). The weight is for wide rows: many small values weigh as much as a few large ones.
_RADIUS, _SHIFT, _FLOOR, _SQUARINGS = 95.75039103, 0.35334493599, 0.11151833739, 5
SOFTMAX_ERROR = 1.4e-4


class PowerSoftmax(nn.Module):
    """Softmax over the last dimension with exp from five squarings; scripts and traces.

    `scale` multiplies the input, for free.
    """

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.radius, self.shift, self.floor = scale / _RADIUS, _SHIFT, _FLOOR

    def forward(self, x: Tensor) -> Tensor:
        """Approximate `(scale * x).softmax(-1)`, scale > 0; `x` stays as it is."""
        largest = x.amax([-1], True)
        z = torch.add(self.shift - largest * self.radius, x, alpha=self.radius)
        z.clamp_min_(0.0)
        z.mul_(z)
        z.add_(self.floor)
        z.mul_(z)
        z.mul_(z)
        z.mul_(z)
        z.mul_(z)
        z.mul_(z)
        return z.div_(z.sum([-1], True))


class SimulatedSoftmax(nn.Module):
    """A softmax over the last dimension that computes as exported where simulation is on."""

    def __init__(self, *, name: str, scale: float = 1.0) -> None:
        super().__init__()
        self.name = name
        self.scale = scale
        self.simulating = False

    def forward(self, x: Tensor) -> Tensor:
        """Compute softmax of `scale * x` over its last dimension."""
        if not self.simulating:
            return functional.softmax(x * self.scale, -1)
        out: Tensor = _PowerSoftmax.apply(x.float(), self.scale)  # type: ignore[no-untyped-call]  # torch
        return out

    def convert(self) -> nn.Module:
        """Return what is exported."""
        return PowerSoftmax(self.scale).eval()
