from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from exporter.report.numbers import brief, file_size, part, percent, scientific, significant


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
