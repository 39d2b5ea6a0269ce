"""What float32 rounds is measured against float64, as a share of the outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from runtime_check.artifact.archive import read_artifact
from runtime_check.reference.reference import Reference
from runtime_check.reference.rounding import COARSE, FLOOR, SAFETY, measure_rounding


class Cancels(nn.Module):
    """Adds 1e4 and takes it away again: what is left has lost four digits in float32."""

    def forward(self, x: Tensor) -> Tensor:
        return (x + 1e4) - 1e4


class Single(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if x.dtype != torch.float32:
            raise TypeError("float32 only")
        return x


def reference(network: nn.Module, tensor_ptl: Any) -> Reference:
    metadata = read_artifact(tensor_ptl.path).metadata
    return Reference(name="one", network=network, metadata=metadata)


def test_lost_digits_are_seen(tensor_ptl: Any) -> None:
    given = [[np.full((1, 3), 0.3, np.float32)]]
    measured = measure_rounding(reference(Cancels(), tensor_ptl), given)
    # float32 has steps of 2**-10 near 1e4, and 0.3f lies between two of them.
    exact = float(np.float32(0.3))
    lost = abs(round(exact * 2**10) / 2**10 - exact) / exact
    assert measured.finished == measured.raw == (pytest.approx(SAFETY * lost, rel=1e-6),)
    assert measure_rounding(reference(nn.Identity(), tensor_ptl), given).raw == (FLOOR,)


def test_a_model_that_insists_on_float32_gets_a_coarse_share(tensor_ptl: Any) -> None:
    network = Single()
    measured = measure_rounding(reference(network, tensor_ptl), [[np.ones((1, 3), np.float32)]])
    assert measured.raw == (COARSE,)
    assert "float32 only" in measured.basis


def test_the_model_is_float32_again_bit_for_bit(tensor_ptl: Any) -> None:
    network = nn.Linear(3, 4).eval()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    measure_rounding(reference(network, tensor_ptl), [[np.ones((1, 3), np.float32)]])
    for key, value in network.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, before[key])


def test_the_factors_are_what_the_readme_says() -> None:
    assert (SAFETY, FLOOR, COARSE) == (16.0, 1e-6, 1e-4)


def test_the_worst_of_the_inputs_counts(tensor_ptl: Any) -> None:
    """8 is exact beside 1e4 and 0.3 is not; an output of nothing but infinity has no rounding."""
    both = [[np.full((1, 3), value, np.float32)] for value in (8.0, 0.3)]
    alone = measure_rounding(reference(Cancels(), tensor_ptl), both[1:])
    assert alone.finished > (FLOOR,)
    for order in (both, both[::-1]):
        measured = measure_rounding(reference(Cancels(), tensor_ptl), order)
        assert (measured.finished, measured.raw) == (alone.finished, alone.raw)
    for value in (np.inf, 0.0):
        given = [[np.full((1, 3), value, np.float32)]]
        assert measure_rounding(reference(nn.Identity(), tensor_ptl), given).finished == (FLOOR,)


class Overflows(nn.Module):
    """Beside the input itself, 1e40: infinity in float32."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, x * 1e38 * 100], -1)


def test_an_output_that_float32_cannot_hold_allows_nothing(tensor_ptl: Any) -> None:
    given = [[np.ones((1, 3), np.float32)]]
    measured = measure_rounding(reference(Overflows(), tensor_ptl), given)
    assert (measured.finished, measured.raw) == ((FLOOR,), (FLOOR,))


class Scales(nn.Module):
    """A coarse output beside a fine one, and whole numbers."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return (x + 1e4) - 1e4, x * 2, x > 0


def test_each_output_has_a_rounding_of_its_own(tensor_ptl: Any) -> None:
    given = [[np.full((1, 3), 0.3, np.float32)]]
    exact = float(np.float32(0.3))
    lost = abs(round(exact * 2**10) / 2**10 - exact) / exact
    measured = measure_rounding(reference(Scales(), tensor_ptl), given)
    assert measured.raw == (pytest.approx(SAFETY * lost, rel=1e-6), FLOOR, FLOOR)


class Finds(nn.Module):
    """What lies above 0.3, of which float32 finds less than float64; and all values."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x[(x + 1e4) - 1e4 > 0.3], x


def test_what_hangs_on_the_last_bits_is_compared_coarsely(tensor_ptl: Any) -> None:
    """0.3 as float32 is above 0.3, and not once 1e4 was added to it and taken away."""
    given = [[np.full((1, 3), 0.3, np.float32)]]
    measured = measure_rounding(reference(Finds(), tensor_ptl), given)
    assert measured.raw == measured.finished == (SAFETY * COARSE, FLOOR)
    exact = [[np.full((1, 3), 8.0, np.float32)]]
    assert measure_rounding(reference(Finds(), tensor_ptl), exact).raw == (FLOOR, FLOOR)


def test_a_model_that_insists_on_float32_gets_a_coarse_share_of_each_output(
    tensor_ptl: Any,
) -> None:
    network = nn.Sequential(Single(), Scales())
    measured = measure_rounding(reference(network, tensor_ptl), [[np.ones((1, 3), np.float32)]])
    assert measured.raw == measured.finished == (COARSE,) * 3
