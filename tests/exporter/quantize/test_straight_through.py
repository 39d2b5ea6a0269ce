from __future__ import annotations

import pytest
import torch

from exporter.quantize.straight_through import round_to_grid


@pytest.mark.parametrize("scale", [0.02, 2.0**-12, 0.3137, 7.7])
@pytest.mark.parametrize(("zero", "low", "high"), [(-5, -128, 127), (13, 0, 255), (0, -127, 127)])
def test_values_and_gradients_are_those_of_torch(
    scale: float, zero: int, low: int, high: int
) -> None:
    """To the bit: exports that do not train keep their bytes."""
    torch.manual_seed(0)
    halves = (torch.arange(-600, 600) + 0.5) * scale
    x = torch.cat([torch.randn(20_000) * scale * 60, halves, torch.tensor([0.0, 1e30, -1e30])])
    one, other = x.clone().requires_grad_(), x.clone().requires_grad_()
    theirs = torch.fake_quantize_per_tensor_affine(one, scale, zero, low, high)
    ours = round_to_grid(other, scale, low - zero, high - zero)
    assert torch.equal(theirs, ours)
    weights = torch.randn(len(x))
    (theirs * weights).sum().backward()
    (ours * weights).sum().backward()
    assert torch.equal(one.grad, other.grad)


def test_a_scale_for_each_channel() -> None:
    torch.manual_seed(0)
    weight, scales = torch.randn(16, 8, 3, 3), torch.rand(16) * 0.02 + 0.001
    zeros = torch.zeros(16, dtype=torch.int32)
    theirs = torch.fake_quantize_per_channel_affine(weight, scales, zeros, 0, -127, 127)
    assert torch.equal(round_to_grid(weight, scales.view(-1, 1, 1, 1), -127, 127), theirs)


def test_the_gradient_of_a_learned_scale() -> None:
    """By hand, grid -2..2 of step 0.5: the rounding error in codes inside, the end outside."""
    x = torch.tensor([0.6, -0.3, 9.0, -9.0], requires_grad=True)  # 1.2, -0.6, 18 and -18 steps
    scale = torch.tensor(0.5, requires_grad=True)
    y = round_to_grid(x, scale, -2, 2)
    assert y.tolist() == [0.5, -0.5, 1.0, -1.0]
    (y * torch.tensor([1.0, 2.0, 3.0, 5.0])).sum().backward()
    assert x.grad.tolist() == [1.0, 2.0, 0.0, 0.0]
    wanted = 1.0 * (1 - 1.2) + 2.0 * (-1 + 0.6) + 3.0 * 2 + 5.0 * -2
    assert float(scale.grad) == pytest.approx(wanted)


def test_bf16_is_rounded_in_float32() -> None:
    x = torch.linspace(-3, 3, 101).bfloat16()
    assert torch.equal(round_to_grid(x, 0.1, -128, 127), round_to_grid(x.float(), 0.1, -128, 127))
