"""Outputs drawn onto a photo: maps of classes, depths, boxes and points, as PNG.

Photos are uint8 RGB `[H, W, 3]`; colors are red, green, blue from 0 to 255. The apps draw with the
same colors of classes (`tests/golden/palette.json`).
"""

from __future__ import annotations

import base64
import colorsys
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from runtime_check.artifact.geometry import Box, Placement

Color = tuple[int, int, int]

_GOLDEN_RATIO = 0.61803398875
# Matplotlib's viridis at every eighth: the larger, the lighter, also in gray and for those who
# tell no red from green.
_VIRIDIS = np.array(
    [
        (68, 1, 84), (71, 45, 123), (59, 82, 139), (44, 114, 142), (33, 145, 140), (40, 174, 128),
        (94, 201, 98), (173, 220, 48), (253, 231, 37),
    ],
    np.float64,
)  # fmt: skip
# Photos are enlarged for boxes, so that names fit; and the height of the letters on them.
ENLARGED = 2
_LETTERS = 11
# Half the width of a point, as a share of the longer side, and of what surrounds it, in pixels.
_DOT = 1 / 90
_RIM = 1


def class_color(index: int) -> Color:
    """Return the color of class `index`: hue by the golden ratio, so that neighbors differ."""
    red, green, blue = colorsys.hsv_to_rgb(index * _GOLDEN_RATIO % 1.0, 0.65, 0.95)
    return _byte(red), _byte(green), _byte(blue)


def _byte(share: float) -> int:
    return int(255 * share + 0.5)


def depth_colors(shares: np.ndarray) -> np.ndarray:
    """Return the colors uint8 `[..., 3]` of values that lie at `shares` (0 to 1) of a range."""
    places = np.clip(shares, 0.0, 1.0) * (len(_VIRIDIS) - 1)
    channels = [np.interp(places, np.arange(len(_VIRIDIS)), _VIRIDIS[:, i]) for i in range(3)]
    return np.floor(np.stack(channels, -1) + 0.5).astype(np.uint8)


def hex_color(color: Sequence[int]) -> str:
    """Write a color as CSS does: `#f25555`."""
    return "#" + "".join(f"{int(part):02x}" for part in color)


def as_rgb(pixels: np.ndarray) -> np.ndarray:
    """Return uint8 `[H, W, channels]` of a gray, RGB or RGBA photo as RGB."""
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    return np.asarray(image.convert("RGB"))


def png(pixels: np.ndarray) -> str:
    """Return uint8 `[H, W, 3]` as PNG, base64."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


@dataclass(frozen=True, eq=False)
class Grid:
    """Which row and column of a map lies below each row and column of a photo; -1: none does."""

    rows: np.ndarray  # [height]
    columns: np.ndarray  # [width]

    @staticmethod
    def over_network(placement: Placement, rows: int, columns: int) -> Grid:
        """Lay a map of `rows` x `columns` over what the network sees of the photo."""
        down = [placement.to_network(0.0, y + 0.5)[1] for y in range(placement.height)]
        across = [placement.to_network(x + 0.5, 0.0)[0] for x in range(placement.width)]
        return Grid(
            _cells(down, rows, placement.network_height),
            _cells(across, columns, placement.network_width),
        )

    @staticmethod
    def over_photo(height: int, width: int, rows: int, columns: int) -> Grid:
        """Lay a map of `rows` x `columns` over all of a photo."""
        return Grid(np.arange(height) * rows // height, np.arange(width) * columns // width)

    @property
    def seen(self) -> np.ndarray:
        """Which pixels `[height, width]` have a cell of the map."""
        return (self.rows >= 0)[:, None] & (self.columns >= 0)[None, :]

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Return the value of `[rows, columns]` at each pixel, any value where none is seen."""
        rows, columns = np.maximum(self.rows, 0), np.maximum(self.columns, 0)
        spread: np.ndarray = values[rows[:, None], columns[None, :]]
        return spread


def _cells(middles: Sequence[float], count: int, side: int) -> np.ndarray:
    cells = np.floor(np.array(middles) * count / side).astype(np.int64)
    return np.where((cells >= 0) & (cells < count), cells, -1)


def paint(photo: np.ndarray, places: Mapping[int, np.ndarray]) -> np.ndarray:
    """Lay the color of each class over its pixels `[H, W]`, half and half with the photo."""
    painted = photo.astype(np.uint16)
    for index, where in places.items():
        painted[where] = (painted[where] + np.array(class_color(index), np.uint16) + 1) // 2
    return painted.astype(np.uint8)


def paint_depth(
    photo: np.ndarray, depths: np.ndarray, grid: Grid, limits: tuple[float, float]
) -> np.ndarray:
    """Draw `[rows, columns]` in place of the photo, where there is a finite depth.

    `limits` are the depths of the first and of the last color.
    """
    values = grid.spread(depths.astype(np.float64))
    known = grid.seen & np.isfinite(values)
    low, high = limits
    shares = (np.where(known, values, low) - low) / ((high - low) or 1.0)
    return np.where(known[:, :, None], depth_colors(shares), photo)


@dataclass(frozen=True, kw_only=True)
class Found:
    """A box on a photo, in its pixels, and what is written beside it."""

    box: Box
    text: str
    color: Color


def draw_boxes(photo: np.ndarray, found: Sequence[Found]) -> np.ndarray:
    """Draw boxes with their texts on the photo, `ENLARGED` times as large; the first on top."""
    height, width = photo.shape[:2]
    size = (ENLARGED * width, ENLARGED * height)
    image = Image.fromarray(photo).resize(size, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(_LETTERS)
    for one in reversed(found):
        left, top, right, bottom = (ENLARGED * side for side in one.box)
        corner = max(left, right - 1), max(top, bottom - 1)
        draw.rectangle((left, top, *corner), outline=one.color, width=2)
        x1, y1, x2, y2 = draw.textbbox((0, 0), one.text, font=font)
        # Inside of the picture, above the box where there is room.
        x = max(0.0, min(left, size[0] - (x2 - x1) - 4))
        y = top - (y2 - y1) - 4 if top > (y2 - y1) + 4 else top
        draw.rectangle((x, y, x + (x2 - x1) + 4, y + (y2 - y1) + 4), fill=one.color)
        draw.text((x + 2 - x1, y + 2 - y1), one.text, fill=(0, 0, 0), font=font)
    return np.asarray(image)


@dataclass(frozen=True, kw_only=True)
class Dot:
    """A point on a photo, in its pixels: filled, or a ring where it may not be there."""

    x: float
    y: float
    color: Color
    is_filled: bool


def draw_points(photo: np.ndarray, dots: Sequence[Dot]) -> np.ndarray:
    """Draw points on the photo, `ENLARGED` times as large, with a dark rim; the first on top."""
    height, width = photo.shape[:2]
    size = (ENLARGED * width, ENLARGED * height)
    image = Image.fromarray(photo).resize(size, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    radius = max(3.0, _DOT * max(size))
    for dot in reversed(dots):
        x, y = ENLARGED * dot.x, ENLARGED * dot.y
        for reach, color in ((radius + _RIM, (0, 0, 0)), (radius, dot.color)):
            ends = (x - reach, y - reach, x + reach, y + reach)
            draw.ellipse(ends, fill=color if dot.is_filled else None, outline=color, width=2)
    return np.asarray(image)
