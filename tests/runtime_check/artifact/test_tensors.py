"""Golden tensors: bytes that fit their shape, and nothing else."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from runtime_check import UnreadableArtifact
from runtime_check.artifact.tensors import SampledData, TensorData, TensorSpec


def data(raw: bytes, shape: list[int], dtype: str) -> TensorData:
    text = base64.b64encode(raw).decode()
    return TensorData.model_validate({"shape": shape, "dtype": dtype, "data": text})


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.array([True, False]),
        np.array(7, np.int64),
        np.zeros((0, 4), np.uint8),
    ],
)
def test_an_array_comes_back(array: np.ndarray) -> None:
    back = TensorData.of(array).array()
    assert back.dtype == array.dtype
    assert np.array_equal(back, array)


@pytest.mark.parametrize(
    ("raw", "shape", "dtype"),
    [
        (b"1234", [2], "float32"),
        (b"1234", [2, 2, 2], "uint8"),
        (b"", [1], "int64"),
        (b"\0\1\2", [3], "bool"),
    ],
)
def test_other_bytes_are_refused(raw: bytes, shape: list[int], dtype: str) -> None:
    with pytest.raises(UnreadableArtifact, match=r"holds .* bytes"):
        data(raw, shape, dtype).array()


@pytest.mark.parametrize(
    "shape", [[1] * 100, [1] * 9, [2**26 + 1], [2**40, 2**40], [0, 2**62], [-1], [-1, -1], [1.5]]
)
def test_shapes_without_bounds_are_refused(shape: Any) -> None:
    for model in (TensorData, TensorSpec):
        with pytest.raises(ValidationError):
            model.model_validate({"shape": shape, "dtype": "uint8", "data": ""})


def test_the_largest_shapes_pass() -> None:
    assert TensorSpec(shape=[1] * 8).shape == [1] * 8
    assert TensorSpec(shape=[2**26]).shape == [2**26]


def test_a_whole_output_is_all_of_its_values() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    for held in (SampledData.of(array), SampledData.sampled(array, 6, seed=5)):
        assert (held.start, held.stride, held.is_whole) == (0, 1, True)
        assert (held.minimum, held.maximum, held.mean) == (None, None, None)
        assert np.array_equal(held.array(), array)
        assert held.of_same_places(array) is array
    nothing = SampledData.sampled(np.zeros((0, 4), np.float32), 0)
    assert (nothing.is_whole, nothing.array().shape) == (True, (0, 4))


@pytest.mark.parametrize(
    ("shape", "most", "stride"),
    [
        ((7, 13), 90, 2),
        ((7, 13), 10, 10),
        ((7, 13), 9, 11),  # of 91 values every 10th is ten
        ((8, 12), 10, 11),  # 10 would leave columns out
        ((2, 3, 5), 6, 7),
        ((100,), 99, 3),  # 2 would leave out every other one
        ((91,), 1, 92),
    ],
)
def test_the_places_of_a_sample_are_spread_over_every_row_and_column(
    shape: tuple[int, ...], most: int, stride: int
) -> None:
    array = np.arange(np.prod(shape), dtype=np.int64).reshape(shape)
    for seed in (0, 1, stride - 1, stride, 5 * stride + 1):
        held = SampledData.sampled(array, most, seed=seed)
        assert (held.stride, held.start) == (stride, seed % stride)
        expected = [n for n in range(array.size) if n % stride == seed % stride]
        assert held.array().tolist() == held.of_same_places(array).tolist() == expected
        assert len(expected) <= most
        assert not held.is_whole


def test_the_figures_of_a_sample_are_those_of_all_finite_values() -> None:
    array = np.arange(91, dtype=np.float32).reshape(7, 13)
    array[0, 0], array[6, 12], array[3, 3] = np.nan, np.inf, -np.inf
    held = SampledData.sampled(array, 10)
    left = [float(n) for n in range(91) if n not in (0, 90, 42)]
    assert (held.minimum, held.maximum) == (1.0, 89.0)
    assert held.mean == pytest.approx(sum(left) / 88)
    assert held.nonfinite == 3
    assert np.isnan(held.array()[0])
    nothing = SampledData.sampled(np.full((7, 13), np.inf), 10)
    assert (nothing.minimum, nothing.maximum, nothing.mean) == (None, None, None)
    assert nothing.nonfinite == 91
    flags = SampledData.sampled(np.arange(91) % 2 == 0, 10)
    assert (flags.dtype, flags.minimum, flags.maximum) == ("bool", 0.0, 1.0)
    assert flags.mean == pytest.approx(46 / 91)
    assert flags.nonfinite == 0


def test_the_figures_of_many_values_are_those_of_all_blocks() -> None:
    array = np.random.default_rng(0).normal(size=(3, 50_000)).astype(np.float32)
    array[2, 49_999], array[0, 0], array[1, 7] = 9, np.inf, np.nan
    left = array[np.isfinite(array)].astype(np.float64)
    held = SampledData.sampled(array, 10)
    assert (held.minimum, held.maximum, held.nonfinite) == (left.min(), 9.0, 2)
    assert held.mean == pytest.approx(left.mean(), rel=1e-12)


def test_a_sample_comes_back_from_json() -> None:
    array = np.arange(91, dtype=np.float64).reshape(7, 13) / 3
    held = SampledData.sampled(array, 10, seed=7)
    back = SampledData.model_validate_json(held.model_dump_json())
    assert back == held
    assert back.array().tolist() == array.reshape(-1)[7::10].tolist()


@pytest.mark.parametrize("count", [8, 10])
def test_a_sample_holds_as_many_values_as_it_has_places(count: int) -> None:
    held = SampledData.sampled(np.arange(91, dtype=np.uint8), 10, seed=3)
    assert (held.stride, held.array().size) == (10, 9)
    raw = base64.b64encode(bytes(count)).decode()
    with pytest.raises(UnreadableArtifact, match=f"holds {count} bytes"):
        held.model_copy(update={"data": raw}).array()


@pytest.mark.parametrize(
    ("start", "stride", "fits"),
    [
        (0, 1, True),
        (2, 3, True),
        (3, 3, False),
        (1, 1, False),
        (-1, 3, False),
        (0, 0, False),
        (0, -1, False),
        (0, 2**26, True),
        (0, 2**26 + 1, False),
    ],
)
def test_a_sample_starts_below_its_stride(start: int, stride: int, fits: bool) -> None:
    given = {"shape": [2], "dtype": "uint8", "data": "", "start": start, "stride": stride}
    if fits:
        assert SampledData.model_validate(given).start == start
    else:
        with pytest.raises(ValidationError):
            SampledData.model_validate(given)


def test_a_sample_that_starts_beyond_the_end_holds_nothing() -> None:
    given = {"shape": [3], "dtype": "uint8", "data": "", "start": 5, "stride": 9}
    assert SampledData.model_validate(given).array().size == 0


@pytest.mark.parametrize("figure", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["minimum", "maximum", "mean"])
def test_figures_are_finite(name: str, figure: float) -> None:
    with pytest.raises(ValidationError):
        SampledData.model_validate({"shape": [2], "dtype": "uint8", "data": "", name: figure})
