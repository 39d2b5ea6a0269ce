"""Where a photo lies in what the network sees, and back: pixels, boxes and maps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, model_validator

from .limits import Side
from .tensors import Frozen

Box = tuple[float, float, float, float]  # left, top, right, bottom; pixels


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where one photo lies in the network's picture.

    Coordinates are continuous: a pixel at column x covers x to x + 1, so its center is x + 0.5.
    The photo is resized to `resized_height` x `resized_width`, and the network's upper left corner
    is at (`top`, `left`) of that, negative where the picture was padded.
    """

    height: int  # of the photo
    width: int
    resized_height: int
    resized_width: int
    top: int
    left: int
    network_height: int
    network_width: int

    def to_photo(self, x: float, y: float) -> tuple[float, float]:
        """Map a point of the network's picture onto the photo; padding lies outside of it."""
        return (
            (x + self.left) * self.width / self.resized_width,
            (y + self.top) * self.height / self.resized_height,
        )

    def to_network(self, x: float, y: float) -> tuple[float, float]:
        """Map a point of the photo onto the network's picture; what was cropped lies outside."""
        return (
            x * self.resized_width / self.width - self.left,
            y * self.resized_height / self.height - self.top,
        )

    def box_to_photo(self, box: Box) -> Box:
        """Map a box of the network's picture onto the photo, cut at the photo's edges."""
        left, top = self.to_photo(box[0], box[1])
        right, bottom = self.to_photo(box[2], box[3])
        return (
            min(max(left, 0.0), float(self.width)),
            min(max(top, 0.0), float(self.height)),
            min(max(right, 0.0), float(self.width)),
            min(max(bottom, 0.0), float(self.height)),
        )

    @property
    def seen(self) -> Box:
        """The part of the photo that the network sees."""
        return self.box_to_photo((0.0, 0.0, float(self.network_width), float(self.network_height)))

    def cell_of(self, x: int, y: int, rows: int, columns: int) -> tuple[int, int] | None:
        """Return the row and column of a map over the network's picture for a photo's pixel.

        The map has `rows` x `columns` cells of equal size. None where the network does not see
        the pixel.
        """
        across, down = self.to_network(x + 0.5, y + 0.5)
        row = math.floor(down * rows / self.network_height)
        column = math.floor(across * columns / self.network_width)
        return (row, column) if 0 <= row < rows and 0 <= column < columns else None

    def middle_of(self, row: int, column: int, rows: int, columns: int) -> tuple[float, float]:
        """Return where on the photo the middle of a map's cell lies, x and y."""
        return self.to_photo(
            (column + 0.5) * self.network_width / columns,
            (row + 0.5) * self.network_height / rows,
        )


class Geometry(Frozen):
    """How a photo becomes the network's picture: resized, then cropped or padded about its middle.

    `cover`: resized until it covers `resize_height` x `resize_width`, its sides' ratio kept.
    `fit`: until it fits inside. `stretch`: to exactly that size.
    """

    resize: Literal["cover", "fit", "stretch"]
    resize_height: Side
    resize_width: Side
    network_height: Side
    network_width: Side
    rounding: Literal["down", "even"] = Field(
        description="of the side that keeps the ratio: down (torchvision's Resize to one edge) or "
        "to the nearest, halves to even"
    )

    @model_validator(mode="after")
    def _one_edge(self) -> Geometry:
        # Resizing one edge to a length says nothing of a second length, or of what fits inside.
        square = self.resize == "cover" and self.resize_height == self.resize_width
        if self.rounding == "down" and self.resize != "stretch" and not square:
            raise ValueError("rounding down goes with covering a square")
        return self

    def place(self, height: int, width: int) -> Placement:
        """Place a photo of `height` x `width` pixels."""
        tall, wide = self._resized(height, width)
        return Placement(
            height=height,
            width=width,
            resized_height=tall,
            resized_width=wide,
            top=_margin(tall, self.network_height),
            left=_margin(wide, self.network_width),
            network_height=self.network_height,
            network_width=self.network_width,
        )

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        if self.resize == "stretch":
            return self.resize_height, self.resize_width
        if self.rounding == "down":
            # The short edge becomes `resize`, the long one is cut off.
            if width <= height:
                return int(self.resize_width * height / width), self.resize_width
            return self.resize_height, int(self.resize_height * width / height)
        ratios = height / self.resize_height, width / self.resize_width
        ratio = max(ratios) if self.resize == "fit" else min(ratios)
        return max(1, round(height / ratio)), max(1, round(width / ratio))


def _margin(resized: int, network: int) -> int:
    """Return where the network's edge lies on a resized side, negative where it is padded."""
    if resized < network:
        return -((network - resized) // 2)
    return round((resized - network) / 2)
