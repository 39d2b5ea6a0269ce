"""Last bits change where operators round, a little, and nowhere else."""

from __future__ import annotations

import torch
from torch.nn import functional

from exporter.last_bits import LastBits


def test_what_rounds_is_nudged_by_a_last_bit() -> None:
    x = torch.randn(4, 16, generator=torch.Generator().manual_seed(1))
    for compute in (
        lambda t: functional.layer_norm(t, (16,)),
        lambda t: functional.gelu(t),
        lambda t: t.softmax(-1),
        lambda t: t @ t.T,
    ):
        exact = compute(x)
        with LastBits():
            nudged = compute(x)
        apart = (nudged - exact).abs()
        assert float(apart.max()) > 0
        assert bool((apart <= 3e-7 * exact.abs()).all())


def test_what_is_exact_everywhere_stays() -> None:
    x = torch.randn(4, 16)
    codes = torch.quantize_per_tensor(x, 0.1, 3, torch.qint8)
    with LastBits():
        found = [x + 2 * x, torch.relu(x), codes.dequantize(), torch.cat([x, x]), x.reshape(-1)]
        again = torch.quantize_per_tensor(x, 0.1, 3, torch.qint8)
    by_hand = [x + 2 * x, x.clamp_min(0), codes.dequantize(), torch.stack([x, x]).flatten(0, 1)]
    assert all(torch.equal(a, b) for a, b in zip(found, [*by_hand, x.flatten()], strict=True))
    assert torch.equal(again.int_repr(), codes.int_repr())


def test_one_seed_gives_one_result() -> None:
    x = torch.randn(4, 16)

    def drawn(seed: int) -> torch.Tensor:
        with LastBits(seed):
            return functional.gelu(x)

    assert torch.equal(drawn(0), drawn(0))
    assert not torch.equal(drawn(0), drawn(1))
