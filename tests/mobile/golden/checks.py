"""Outputs compared: what `runtime_check.vectors.compare_golden` says of them."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from runtime_check.artifact.metadata import Output, SampledData, TensorData, ToleranceSpec
from runtime_check.comparison import Tolerance
from runtime_check.metrics import CLASSES, metric_for
from runtime_check.vectors import compare_golden

from .found import found_pairs
from .tiny import TOLERANCE, Json, text


def _encode(arrays: Sequence[np.ndarray]) -> list[Json]:
    return [TensorData.of(array).model_dump() for array in arrays]


def _whole(arrays: Sequence[np.ndarray]) -> list[SampledData]:
    return [SampledData.sampled(array, max(1, array.size)) for array in arrays]


def _row(*values: float) -> np.ndarray:
    return np.array([values], dtype=np.float32)


Pair = tuple[str, ToleranceSpec, list[np.ndarray], list[np.ndarray]]
SampledPair = tuple[str, ToleranceSpec, list[SampledData], list[np.ndarray]]
EXACT = ToleranceSpec(atol=0.0, rtol=0.0, basis="bit by bit")
# 0.5 apart, exactly: the bound itself passes.
HALF = ToleranceSpec(atol=0.5, rtol=0.0, basis="a bound met exactly")


def _pairs() -> list[Pair]:
    """Name, tolerance, expected and actual outputs of every check."""
    good = _row(0.1, 0.2, 0.4, 0.25, 0.05)
    nudged = good + np.float32(5e-6)
    flipped = _row(0.1, 0.2, 0.25, 0.4, 0.05)
    nan, inf = math.nan, math.inf
    values = random.Random(3)
    drawn = np.array([[values.random() for _ in range(7)] for _ in range(6)], dtype=np.float32)
    each = ToleranceSpec(
        atol=0.5, rtol=0.0, outputs=[0.0, 0.5], basis="an output for itself, the second a wide one"
    )
    noisy = drawn + np.array(
        [[values.uniform(-0.2, 0.2) for _ in range(7)] for _ in range(6)], dtype=np.float32
    )
    exact, half = EXACT, HALF
    relative = ToleranceSpec(atol=0.0, rtol=0.01, basis="one percent")
    int8 = ToleranceSpec(atol=0.016, rtol=0.0, basis="8 steps of 0.002", step=0.002)
    return [
        ("the same bits", exact, [good], [good]),
        ("within the tolerance", TOLERANCE, [good], [nudged]),
        ("outside a tolerance of zero", exact, [good], [nudged]),
        ("two classes swapped", TOLERANCE, [good], [flipped]),
        ("int8, within eight steps", int8, [good], [good + np.float32(0.015)]),
        ("int8, nine steps", int8, [good], [good + np.float32(0.018)]),
        ("exactly on the bound", half, [_row(1.0, 2.0)], [_row(1.5, 1.5)]),
        ("relative, within", relative, [_row(100.0, -200.0)], [_row(100.5, -201.0)]),
        ("relative, outside", relative, [_row(100.0, -200.0)], [_row(100.5, -203.0)]),
        ("NaN where a number was expected", TOLERANCE, [good], [_row(0.1, nan, 0.4, 0.25, 0.05)]),
        ("NaN in the same place", TOLERANCE, [_row(nan, 0.5)], [_row(nan, 0.5)]),
        ("all NaN", TOLERANCE, [good], [_row(nan, nan, nan, nan, nan)]),
        ("the same infinity", TOLERANCE, [_row(inf, 0.0)], [_row(inf, 0.0)]),
        ("the other infinity", TOLERANCE, [_row(inf, 0.0)], [_row(-inf, 0.0)]),
        ("a tie broken on one side", half, [_row(0.5, 0.5)], [_row(0.4, 0.5)]),
        ("another shape", TOLERANCE, [good], [good[:, :4]]),
        ("a dimension more", TOLERANCE, [good], [good[0]]),
        ("another dtype", TOLERANCE, [good], [good.astype(np.float64)]),
        ("an output missing", TOLERANCE, [good, good], [good]),
        ("nothing to compare", TOLERANCE, [good[:0]], [good[:0]]),
        ("two outputs", TOLERANCE, [good, flipped], [nudged, flipped]),
        ("two outputs, the second wrong", TOLERANCE, [good, flipped], [nudged, good]),
        ("two outputs, the wide one off", each, [good, good], [good, flipped]),
        ("two outputs, the other one off", each, [good, good], [flipped, good]),
        ("integers", exact, [np.array([1, 2, 3], np.int64)], [np.array([1, 2, 3], np.int64)]),
        ("integers, one off", exact, [np.array([1, 2, 3], np.int64)], [np.array([1, 2, 4])]),
        ("integers, one off, whatever is allowed", half, [np.array([7])], [np.array([8])]),
        ("bools, one off", half, [np.array([True, False])], [np.array([True, True])]),
        ("floats within, integers one off", half, [good, np.array([7])], [nudged, np.array([8])]),
        ("bytes", exact, [np.array([0, 255], np.uint8)], [np.array([255, 0], np.uint8)]),
        ("one class only", TOLERANCE, [_row(0.5)], [_row(0.5)]),
        ("a scalar", TOLERANCE, [np.array(0.5, np.float32)], [np.array(0.6, np.float32)]),
        ("six rows, drawn", TOLERANCE, [drawn], [noisy]),
        ("six rows, drawn, wide tolerance", half, [drawn], [noisy]),
    ]


def _sampled_pairs() -> list[SampledPair]:
    """As `_pairs`, of a picture of 6 x 7 whose every 5th value is held, from the third on."""
    values = random.Random(9)
    # Sixteenths, so that every sum is exact, whatever its order.
    drawn = np.array(
        [[values.randrange(-160, 160) / 16 for _ in range(7)] for _ in range(6)], np.float32
    )
    drawn[5, 6], drawn[0, 0] = 11.0, -11.0
    held = SampledData.sampled(drawn, 9, seed=2)
    assert (held.stride, held.start) == (5, 2)

    def changed(changes: dict[int, float]) -> np.ndarray:
        array = drawn.copy()
        for place, value in changes.items():
            array.ravel()[place] += value
        return array

    whole = drawn.astype(np.int64)
    counted = SampledData.sampled(whole, 9, seed=2)
    wild = changed({3: math.nan, 12: math.inf})
    nothing = np.full((6, 7), math.nan, np.float32)
    of_nan = SampledData.sampled(nothing, 9, seed=2)
    elsewhere = changed(dict.fromkeys((8, 9, 13, 14), 1.0))
    one_off = whole + (np.arange(42) == 7).reshape(6, 7)
    one = ToleranceSpec(atol=0.03125, rtol=0.0, basis="half a sixteenth")
    return [
        ("sampled, the same bits", EXACT, [held], [drawn]),
        ("sampled, all within", HALF, [held], [drawn + np.float32(0.25)]),
        ("sampled, a held value off", one, [held], [changed({7: 0.0625})]),
        # Nobody looks at these two, and they leave mean, minimum and maximum as they are.
        ("sampled, two others off, unseen", EXACT, [held], [changed({8: 1.0, 9: -1.0})]),
        ("sampled, only the mean off", one, [held], [elsewhere]),
        ("sampled, only the maximum off", one, [held], [changed({41: 0.5, 8: -0.5})]),
        ("sampled, only the minimum off", one, [held], [changed({0: -0.5, 8: 0.5})]),
        ("sampled, another shape of as many", EXACT, [held], [drawn.reshape(7, 6)]),
        ("sampled, another dtype", EXACT, [held], [drawn.astype(np.float64)]),
        ("sampled, NaN among the held", EXACT, [held], [changed({7: math.nan})]),
        ("sampled, NaN in the same places", EXACT, [SampledData.sampled(wild, 9, seed=2)], [wild]),
        ("sampled, NaN at a place not held", HALF, [held], [changed({8: math.nan})]),
        ("sampled, infinity at a place not held", HALF, [held], [changed({8: -math.inf})]),
        ("sampled, NaN expected elsewhere and missing", HALF,
         [SampledData.sampled(changed({8: math.nan}), 9, seed=2)], [drawn]),
        ("sampled, all NaN, as expected", EXACT, [of_nan], [nothing]),
        ("sampled, nothing finite expected", EXACT, [of_nan], [drawn]),
        ("sampled, nothing finite came", HALF, [held], [nothing]),
        ("sampled integers", EXACT, [counted], [whole]),
        ("sampled integers, one off", HALF, [counted], [one_off]),
        ("a whole and a sampled output", one, [*_whole([_row(0.5, 0.25)]), held],
         [_row(0.5, 0.25), drawn]),
        ("a whole and a sampled output, whose mean is off", one, [*_whole([_row(0.5, 0.25)]), held],
         [_row(0.5, 0.25), elsewhere]),
    ]  # fmt: skip


def _map_pairs() -> list[SampledPair]:
    """Class maps, of which a share may flip: 6 x 7 whole ones, and 19 x 31 of which 30 are held."""
    few = ToleranceSpec(atol=0.0, rtol=0.0, flips=0.05, basis="one in twenty, two of 42")
    small = (np.arange(42) % 3).astype(np.int64).reshape(6, 7)
    large = (np.arange(589) % 5).astype(np.uint8).reshape(19, 31)
    held = SampledData.sampled(large, 30, seed=4)
    on = [*range(4, 589, held.stride)]
    assert (held.stride, held.start, len(on)) == (20, 4, 30)
    off = [place for place in range(589) if place not in on]

    def turned(array: np.ndarray, places: Sequence[int], by: int = 1) -> np.ndarray:
        array = array.copy()
        array.ravel()[[*places]] += array.dtype.type(by)
        return array

    rare = ToleranceSpec(atol=0.0, rtol=0.0, flips=0.001, basis="one in a thousand")
    forged = held.model_copy(update={"minimum": None, "maximum": None, "mean": None})
    whole = _whole([small])
    return [
        ("a map, two of 42 flipped", few, whole, [turned(small, [3, 9], 100)]),
        ("a map, three of 42 flipped", few, whole, [turned(small, [3, 9, 20])]),
        ("a map, none may flip", EXACT, whole, [turned(small, [3])]),
        ("a map, less than one may flip", rare, whole, [turned(small, [3])]),
        ("floats do not flip", few, _whole([_row(0.0, 1.0)]), [_row(0.5, 1.0)]),
        # Of a sample two may flip, however small the share, if the mean stays: 0.001 of 0 to 4.
        ("a sampled map, two flipped", rare, [held], [turned(large, on[:2])]),
        ("a sampled map, three flipped", rare, [held], [turned(large, on[:3])]),
        ("a sampled map, two flipped far", rare, [held], [turned(large, on[:2], 100)]),
        ("a sampled map, two others flipped", rare, [held], [turned(large, off[:2])]),
        ("a sampled map, three others flipped", rare, [held], [turned(large, off[:3])]),
        ("a sampled map, one of thirty flipped", few, [held], [turned(large, on[:1])]),
        ("a sampled map, half of it flipped elsewhere", few, [held], [turned(large, off[::2])]),
        ("a sampled map, none may flip", EXACT, [held], [turned(large, off[:1])]),
        ("a sampled map without figures", few, [forged], [large]),
        # Each by its own rule.
        ("a whole map beside a sampled one", rare, [*whole, held], [small, turned(large, on[:2])]),
        ("a whole map that flipped beside a sampled one", rare, [*whole, held],
         [turned(small, [3]), large]),
    ]  # fmt: skip


def _judge(
    name: str,
    spec: ToleranceSpec,
    expected: list[SampledData],
    actual: list[np.ndarray],
    output: Output | None = None,
) -> Json:
    metric = replace(CLASSES, outputs=len(expected))
    if output is not None:
        metric = metric_for(None, output.tensors, output.detection)
    verdict = compare_golden(expected, actual, Tolerance.of(spec), metric)
    return {
        "name": name,
        "output": None if output is None else output.model_dump(),
        "tolerance": spec.model_dump(),
        "expected": [output.model_dump() for output in expected],
        "actual": _encode(actual),
        "passes": bool(verdict),
        "problem": verdict.problem or None,
        "max_abs": verdict.max_abs,
        "top1": verdict.top1,
    }


def golden_checks() -> dict[str, str]:
    """Expected and actual outputs with the verdict `runtime_check.vectors.compare_golden` gives.

    For each check: `problem` is null when it passes, else one of count, shape, dtype, nonfinite,
    values, empty. `max_abs` is max|d| over finite pairs (null where arrays cannot be compared or no
    pair is finite), `top1` the share of rows of the first output whose best class agrees (null
    likewise, and when a value is not finite on one side only; ties go to the lower class). Compared
    in float64; a tolerance has an `atol` for each output in `outputs`, where that is not empty.
    Where `stride` is above 1, the values at `start`, `start + stride`, ... are compared, and
    minimum, maximum and mean of the finite ones as three more values (null is not compared, and
    NaN what has none); `top1` is null where an output is sampled. Of whole numbers a share of
    `flips` may differ, two at least where they are sampled; of those mean, minimum and maximum are
    no values, but the mean may differ by `flips` times the span of both sides (`max_abs` is that of
    the means where they alone differ). Where `output` is given it describes a detector's outputs:
    boxes are compared in pairs, and one on which rounding decides may be missing
    (`runtime_check.found`, `runtime_check.lone`).
    """
    pairs = [
        *((name, spec, _whole(expected), actual) for name, spec, expected, actual in _pairs()),
        *_sampled_pairs(),
        *_map_pairs(),
    ]
    checks = [_judge(*pair) for pair in pairs]
    checks += [
        _judge(name, spec, _whole(expected), actual, output)
        for name, spec, expected, actual, output in found_pairs()
    ]
    return {"golden_checks.json": text({"about": golden_checks.__doc__, "checks": checks})}
