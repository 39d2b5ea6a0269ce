from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from exporter.report.numbers import (
    brief,
    cosine,
    file_size,
    part,
    percent,
    scientific,
    score,
    significant,
)


@pytest.mark.parametrize(
    ("function", "value", "text"),
    [
        (scientific, None, ""),
        (scientific, 0.0, "0"),
        (scientific, 1.356e-6, "1.36×10⁻⁶"),
        (scientific, 9.999e-6, "1.00×10⁻⁵"),
        (scientific, 0.25, "0.250"),
        (scientific, 2.5e12, "2.50×10¹²"),
        (significant, None, ""),
        (significant, 1029.2, "1,029"),
        (significant, 0.0421, "0.0421"),
        (percent, None, ""),
        (percent, 1.0, "100%"),
        (percent, 0.0, "0%"),
        (percent, 0.99999, ">99.9%"),
        (percent, 0.00001, "<0.1%"),
        (percent, 0.5, "50.0%"),
        (file_size, 812, "812 B"),
        (file_size, 27_457, "27.5 kB"),
        (file_size, 18_780_648, "18.8 MB"),
        (file_size, 1_200_000_000, "1.20 GB"),
        (cosine, None, ""),
        (cosine, 0.5, "0.500000"),
        (cosine, 0.99999999, ">0.999999"),
        (cosine, 1 - 2**-52, "1.000000"),
        (cosine, 1 + 2**-52, "1.000000"),
        (cosine, -1.0, "-1.000000"),
        (brief, 9_999, "9,999"),
        (brief, 123_456, "123k"),
        (brief, 1_234_567, "1.2M"),
    ],
)
def test_numbers_for_people(function: Callable[[Any], str], value: Any, text: str) -> None:
    assert function(value) == text


def test_parts_stay_between_nothing_and_all() -> None:
    assert [part(v, 10) for v in (None, -1, 5, 20, math.nan)] == [0, 0, 50, 100, 0]
    assert part(1, 0) == 0


def test_bars_are_labeled_by_what_they_are() -> None:
    written = [score(0.25, what) for what in ("probabilities", "scores", "cosines")]
    assert written == ["25.00%", "0.250", "0.250000"]
