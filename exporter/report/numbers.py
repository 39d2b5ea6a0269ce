"""Numbers for people; None, what was not measured, becomes an empty text."""

from __future__ import annotations

import math


def power_of_ten(exponent: int) -> str:
    """Write 10 to a whole exponent: `10⁻⁶`."""
    return "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def significant(value: float | None, digits: int = 3) -> str:
    """Write to `digits` significant digits: `30.5`, `0.00123`, `1,234`; never rounded to less."""
    if value is None or not math.isfinite(value):
        return "" if value is None else str(value)
    if value == 0:
        return "0"
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    return f"{value:,.{max(0, decimals)}f}"


def scientific(value: float | None) -> str:
    """Write a difference: `1.36×10⁻⁶`, plain from 0.01 to 10,000, `0` only for exactly 0."""
    if value is None or value == 0 or not math.isfinite(value) or 0.01 <= abs(value) < 1e4:
        return significant(value)
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{mantissa}×{power_of_ten(int(exponent))}"


def grouped(value: int) -> str:
    """Write a count with thousands apart."""
    return f"{value:,}"


def brief(value: int) -> str:
    """Write a count for a chart, five characters at most: `2,852`, `123k`, `1.2M`."""
    if value < 10_000:
        return grouped(value)
    unit, letter = (1e6, "M") if value >= 999_500 else (1e3, "k")
    scaled = value / unit
    return f"{scaled:.1f}{letter}" if scaled < 10 else f"{scaled:.0f}{letter}"


def file_size(count: int) -> str:
    """Write bytes in decimal units: `18.8 MB`."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= unit:
            return f"{significant(count / unit)} {name}"
    return f"{count} B"


def percent(share: float | None, decimals: int = 1) -> str:
    """Write a share of one; what is not quite all or nothing is not rounded to it."""
    if share is None or not math.isfinite(share):
        return ""
    if share in (0.0, 1.0):
        return f"{share:.0%}"
    least = 10.0**-decimals
    if 0 < share < least / 200:
        return f"<{least:g}%"
    if 1 - least / 200 < share < 1:
        return f">{100 - least:.{decimals}f}%"
    return f"{share:.{decimals}%}"


def cosine(value: float | None) -> str:
    """Write a cosine to six decimals; one that is not quite 1 is not rounded to it."""
    if value is None or not math.isfinite(value):
        return ""
    # Of vectors that are equal, rounding in float64 leaves no more than this.
    equal = abs(1 - value) < 1e-12
    return ">0.999999" if not equal and 0.9999995 <= value < 1 else f"{value:.6f}"


def part(value: float | None, whole: float) -> float:
    """Return the length of a bar in per cent of `whole`, between 0 and 100."""
    if value is None or not math.isfinite(value) or whole <= 0:
        return 0.0
    return round(100 * min(1.0, max(0.0, value / whole)), 2)


def score(value: float, what: str) -> str:
    """Write one bar's value: `probabilities` in per cent, `cosines` as such, others as a number."""
    if what == "cosines":
        return cosine(value)
    return percent(value, 2) if what == "probabilities" else f"{value:.3f}"
