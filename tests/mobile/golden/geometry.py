"""Where photos lie in what networks see: `runtime_check.artifact.geometry`, in numbers."""

from __future__ import annotations

import json

from runtime_check.artifact.geometry import Box, Geometry, Placement

from .tiny import Json


def _of(resize: str, resized: tuple[int, int], network: tuple[int, int], rounding: str) -> Geometry:
    """Make a geometry; sizes are height, width."""
    return Geometry.model_validate(
        {
            "resize": resize,
            "resize_height": resized[0],
            "resize_width": resized[1],
            "network_height": network[0],
            "network_width": network[1],
            "rounding": rounding,
        }
    )


def _geometries() -> list[Geometry]:
    return [
        _of("cover", (256, 256), (224, 224), "down"),
        _of("cover", (5, 5), (4, 4), "down"),
        # Larger than what is resized: padded, by an odd number of pixels, too.
        _of("cover", (4, 4), (7, 6), "down"),
        # Halves go to the even side: a photo of 4 x 5 becomes 2 x 2.
        _of("cover", (2, 2), (2, 2), "even"),
        _of("cover", (183, 213), (160, 192), "even"),
        _of("fit", (224, 224), (224, 224), "even"),
        _of("fit", (96, 160), (96, 160), "even"),
        _of("fit", (9, 7), (6, 8), "even"),
        _of("stretch", (224, 224), (224, 224), "even"),
        _of("stretch", (37, 52), (32, 49), "even"),
        _of("stretch", (3, 4), (8, 4), "down"),
    ]


# Height, width.
PHOTOS = [
    (6, 5), (5, 6), (4, 5), (1, 1), (1, 40), (40, 1), (333, 500), (4032, 3024), (2048, 65536),
]  # fmt: skip


def _points(placed: Placement) -> list[Json]:
    """Place points of the network's picture on the photo, and return them."""
    height, width = placed.network_height, placed.network_width
    made = []
    for x, y in [(0.5, 0.5), (width / 2, float(height)), (width / 3, -1.25)]:
        photo = placed.to_photo(x, y)
        made.append({"network": [x, y], "photo": photo, "back": placed.to_network(*photo)})
    return made


def _boxes(placed: Placement) -> list[Json]:
    height, width = float(placed.network_height), float(placed.network_width)
    boxes: list[Box] = [
        (width / 4, height / 4, width / 2, height * 0.75),
        (-5.0, -5.0, width + 5.0, height / 2),
    ]
    return [{"network": box, "photo": placed.box_to_photo(box)} for box in boxes]


def _cells(placed: Placement) -> list[Json]:
    """Find the cells of two maps below some pixels of the photo, corners among them."""
    right, bottom = placed.width - 1, placed.height - 1
    pixels = {(0, 0), (right, bottom), (right // 3, bottom // 2), (right // 2, bottom // 5)}
    made = []
    for rows, columns in ((placed.network_height, placed.network_width), (3, 5)):
        for x, y in sorted(pixels):
            cell = placed.cell_of(x, y, rows, columns)
            made.append({"x": x, "y": y, "rows": rows, "columns": columns, "cell": cell})
    return made


def _middles(placed: Placement) -> list[Json]:
    return [
        {"row": row, "column": column, "rows": 3, "columns": 5,
         "photo": placed.middle_of(row, column, 3, 5)}
        for row, column in ((0, 0), (1, 3))
    ]  # fmt: skip


def _placed(geometry: Geometry, height: int, width: int) -> Json:
    placed = geometry.place(height, width)
    return {
        **vars(placed),
        "seen": placed.seen,
        "points": _points(placed),
        "boxes": _boxes(placed),
        "cells": _cells(placed),
        "middles": _middles(placed),
    }


def geometry_vectors() -> dict[str, str]:
    """Geometries and photos placed by them, as `Geometry.place` does.

    `height` and `width` are the photo's. Points are [x, y], boxes [left, top, right, bottom],
    `cell` is [row, column], or null where the network does not see the middle of the pixel.
    `photo` is `to_photo` of `network` and `back` is `to_network` of that; `middles` are
    `middle_of`. Float64; whoever computes in the same order gets the same bits.
    """
    made = [
        {"geometry": geometry.model_dump(), "photos": [_placed(geometry, *size) for size in PHOTOS]}
        for geometry in _geometries()
    ]
    # A line for each photo: laid out as the other fixtures are, it would have 40,000.
    head = json.dumps(geometry_vectors.__doc__)
    parts = [
        f'{{"geometry": {json.dumps(one["geometry"])}, "photos": [\n'
        + ",\n".join(json.dumps(photo) for photo in one["photos"])
        + "\n]}"
        for one in made
    ]
    body = ",\n".join(parts)
    return {"geometry.json": f'{{"about": {head}, "geometries": [\n{body}\n]}}\n'}
