"""The colors of classes and of depths, and how they lie over a photo."""

from __future__ import annotations

import colorsys
import math
import random

from .tiny import Json, text


def _levels(hue: float, saturation: float, value: float) -> list[int]:
    return [math.floor(255 * c + 0.5) for c in colorsys.hsv_to_rgb(hue, saturation, value)]


def class_color(index: int) -> list[int]:
    """Return red, green and blue of a class, 0 to 255."""
    return _levels(index * 0.61803398875 % 1, 0.65, 0.95)


def depth_color(share: float) -> list[int]:
    """Return red, green and blue at a place of a range, 0 to 1: from blue to red."""
    return _levels(2 / 3 * (1 - share), 0.8, 0.95)


def palette_vectors() -> dict[str, str]:
    """Colors, red, green, blue from 0 to 255.

    `classes`: of class i hue i x 0.61803398875 mod 1, saturation 0.65, value 0.95, as Python's
    colorsys has it, each channel floor(255 c + 0.5). `depths`: at a `share` of the range from the
    smallest (0) to the largest (1) finite value, hue 2/3 x (1 - share), saturation 0.8, value 0.95.
    `masks`: a color over a photo's, half and half, (color + photo + 1) / 2 rounded down.
    """
    values = random.Random(8)
    masks: list[Json] = []
    for index in range(12):
        photo = [values.randrange(256) for _ in range(3)]
        color = class_color(index)
        seen = [(one + other + 1) // 2 for one, other in zip(color, photo, strict=True)]
        masks.append({"color": color, "photo": photo, "seen": seen})
    made = {
        "about": palette_vectors.__doc__,
        "classes": [{"index": i, "rgb": class_color(i)} for i in (*range(40), 150, 999, 21840)],
        "depths": [{"share": i / 16, "rgb": depth_color(i / 16)} for i in range(17)],
        "masks": masks,
    }
    return {"palette.json": text(made)}
