"""How results are written: shares, numbers, rows of the table."""

from __future__ import annotations

import math

from .palette import class_color
from .tiny import Json


def percent(share: float) -> str:
    """One decimal."""
    return f"{100 * share:.1f}%" if math.isfinite(share) else "not a number"


def decimal(value: float) -> str:
    """Four significant digits."""
    return f"{value:.4g}" if math.isfinite(value) else "not a number"


def with_unit(value: float, unit: str | None) -> str:
    """A number; its unit where it is one."""
    return f"{decimal(value)} {unit}" if unit and math.isfinite(value) else decimal(value)


def bar(score: float) -> float | None:
    """Length of a probability's bar."""
    return min(max(score, 0.0), 1.0) if math.isfinite(score) else None


def colored(color: list[int]) -> str:
    """Write a color as CSS does."""
    return "#" + "".join(f"{level:02x}" for level in color)


def legend(index: int, label: str, share: float) -> Json:
    """An entry of a map's legend; the background has no color."""
    is_clear = index == 0 and label == "background"
    color = None if is_clear else colored(class_color(index))
    text = percent(share)
    return {"index": index, "label": label, "color": color, "share": share, "text": text}


def row(spec: Json, numbers: list[float]) -> Json:
    """Describe an output of these numbers, in the table."""
    finite = [number for number in numbers if math.isfinite(number)]
    said = "no finite value"
    if finite:
        least, mean, most = min(finite), sum(finite) / len(finite), max(finite)
        said = f"min {decimal(least)}, mean {decimal(mean)}, max {decimal(most)}"
        said += f" {spec['unit']}" if spec["unit"] else ""
    return {
        "name": spec["name"],
        "shape": " × ".join(map(str, spec["came"])) or "a scalar",
        "axes": " × ".join(spec["axes"]),
        "dtype": spec["dtype"],
        "range": said,
    }
