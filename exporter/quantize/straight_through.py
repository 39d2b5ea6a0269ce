"""Round to an int8 grid and back in float, and let gradients pass where nothing is cut off.

torch's own `fake_quantize_*` are scalar loops on the CPU. These compute the same values, to the
bit, from vectorized operators that every device has.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _Round(torch.autograd.Function):
    """Forward as `round_to_grid`; the gradient of `x` is that of a clamp.

    That of a scale is LSQ's (arXiv 1902.08153): the rounding error where nothing is cut off, and
    the code where it is.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float | Tensor, low: float, high: float) -> Tensor:
        # torch multiplies by the reciprocal, rounded to float32.
        inverse = 1.0 / scale if isinstance(scale, Tensor) else float(1.0 / torch.tensor(scale))
        ctx.low, ctx.high = low, high
        learned = ctx.needs_input_grad[1]
        exact = x * inverse
        codes = exact.round() if learned else exact.round_()
        if not any(ctx.needs_input_grad):
            return codes.clamp_(low, high).mul_(scale)
        # Codes are whole numbers, and what they are rounded from lies within half of one.
        ctx.save_for_backward(exact)
        return codes.clamp(low, high).mul_(scale)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        if not any(ctx.needs_input_grad):
            return None, None, None, None
        (exact,) = ctx.saved_tensors
        passed = torch.ops.aten.hardtanh_backward(grads[0], exact, ctx.low - 0.5, ctx.high + 0.5)
        if not ctx.needs_input_grad[1]:
            return passed, None, None, None
        codes = exact.round().clamp_(ctx.low, ctx.high)
        scale = (grads[0] * codes - passed * exact).sum()
        return passed, scale, None, None


def round_to_grid(x: Tensor, scale: float | Tensor, low: float, high: float) -> Tensor:
    """Return `scale * clamp(round(x / scale), low, high)`, in float32.

    `scale` is a number, or a tensor that broadcasts against `x` (a learned one is a single number);
    `low` and `high` are whole numbers, codes minus the zero point.
    """
    rounded: Tensor = _Round.apply(x.float(), scale, low, high)  # type: ignore[no-untyped-call]  # torch
    return rounded
