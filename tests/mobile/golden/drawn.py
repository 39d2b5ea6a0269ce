"""Key points on photos, and the pictures that networks give: by hand, from numbers."""

from __future__ import annotations

import math
import random

import numpy as np

from runtime_check.artifact.geometry import Geometry, Placement

from .tiny import GEOMETRY, Json, text

STRETCH = Geometry(
    resize="stretch", resize_height=4, resize_width=8, network_height=4, network_width=8,
    rounding="even",
)  # fmt: skip


def _numbers(values: list[float]) -> list[float | str]:
    """Return float32 numbers as JSON has them."""
    words = {math.inf: "Infinity", -math.inf: "-Infinity"}
    rounded = [float(np.float32(value)) for value in values]
    return ["NaN" if math.isnan(v) else words.get(v, v) for v in rounded]


def _output(shape: list[int], axes: str, holds: str, **more: Json) -> Json:
    fields = {"name": "out", "shape": shape, "dtype": "float32", "axes": axes.split()}
    return {**fields, "holds": holds, "space": "network", **more}


# --- points ---------------------------------------------------------------------------------------


def _placed(placement: Placement, space: str, x: float, y: float) -> tuple[float, float]:
    if space == "photo":
        return x, y
    across = (x + placement.left) * placement.width / placement.resized_width
    down = (y + placement.top) * placement.height / placement.resized_height
    return across, down


def _points(
    name: str,
    output: Json,
    values: list[float],
    photo: tuple[int, int],
    geometry: Geometry = STRETCH,
    labels: list[str] | None = None,
) -> Json:
    """Place points by the rule of `drawn_vectors`; `photo` is height, width."""
    shape, size = output["shape"], output["shape"][-1]
    placement = geometry.place(*photo)
    rounded = [float(np.float32(value)) for value in values]
    expected = []
    for row in range(len(rounded) // size):
        numbers = rounded[row * size : (row + 1) * size]
        if not all(math.isfinite(number) for number in numbers):
            continue
        x, y = _placed(placement, output["space"], numbers[0], numbers[1])
        if not (0 <= x <= photo[1] and 0 <= y <= photo[0]):
            continue
        index = row % shape[-2] if len(shape) > 1 else 0
        fits = labels is not None and len(labels) == (shape[-2] if len(shape) > 1 else 1)
        label = labels[index] if labels is not None and fits else f"point {index}"
        score = numbers[2] if size > 2 else None
        expected.append(
            {"row": row, "index": index, "label": label, "x": x, "y": y, "score": score}
        )
    return {
        "name": name,
        "output": output,
        "labels": labels,
        "geometry": geometry.model_dump(),
        "photo": photo,
        "values": _numbers(values),
        "expected": expected,
    }


def _all_points() -> list[Json]:
    pairs, triples = [1.5, 1.0, 7.25, 3.0], [1.5, 1.0, 0.9, 7.25, 3.0, 0.25]
    two = _output([1, 2, 2], "N points 2", "keypoints")
    face = ["nose", "chin"]
    spoiled = _points("no place", {**two, "space": None}, pairs, (8, 16))
    odd = _points("four numbers a point", {**two, "shape": [2, 2]}, pairs, (8, 16))
    return [
        _points("twice as large as the network's", two, pairs, (8, 16), labels=face),
        _points("labels of another number", two, pairs, (8, 16), labels=["nose"]),
        _points("scores", _output([2, 3], "points 3", "keypoints"), triples, (8, 16), labels=face),
        _points("on the photo", {**two, "space": "photo"}, [1.5, 1.0, 16.5, 3.0], (8, 16)),
        _points("the middle of a wide photo", two, [0.0, 0.0, 4.0, 4.0], (6, 15), GEOMETRY),
        _points("two things of two points",
                _output([2, 2, 2], "things points 2", "keypoints"), [*pairs, 0.0, 0.0, 8.0, 4.0],
                (8, 16), labels=face),
        _points("one point", _output([2], "2", "keypoints"), [8.0, 4.0], (3, 5)),
        _points("neither here nor there", _output([4, 2], "points 2", "keypoints"),
                [math.nan, 1.0, 1.0, math.inf, -0.25, 1.0, 2.0, 4.25], (8, 16)),
        _points("a score that is none", _output([1, 3], "points 3", "keypoints"),
                [1.0, 1.0, math.nan], (8, 16)),
        {**spoiled, "expected": None},
        {**odd, "output": _output([1, 4], "N 4", "keypoints"), "expected": None},
        {**spoiled, "name": "no points", "output": {**two, "holds": "values"}, "expected": None},
    ]  # fmt: skip


# --- pictures -------------------------------------------------------------------------------------


def _limits(dtype: str, values: list[float]) -> tuple[float, float] | None:
    if dtype == "uint8":
        return 0.0, 255.0
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return None
    for low, high in ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)):
        spare = (high - low) / 4
        if all(low - spare <= value <= high + spare for value in finite):
            return low, high
    return min(finite), max(finite)


def _level(value: float, low: float, high: float) -> int:
    if not math.isfinite(value):
        return 0
    share = (value - low) / ((high - low) or 1.0)
    return math.floor(255 * min(max(share, 0.0), 1.0) + 0.5)


def _picture(name: str, output: Json, values: list[float]) -> Json:
    """Draw a picture of `[C, H, W]` or `[H, W, C]`, where C may be left out, by the rule."""
    axes, shape = output["axes"], output["shape"]
    places = {axis: i for i, axis in enumerate(axes)}
    height, width = shape[places["H"]], shape[places["W"]]
    strides = [math.prod(shape[i + 1 :]) for i in range(len(shape))]
    channels = next((i for i, axis in enumerate(axes) if axis not in ("H", "W", "N")), None)
    count = 1 if channels is None else shape[channels]
    rounded = [float(np.float32(value)) for value in values]
    limits = _limits(output["dtype"], rounded)
    made: Json = {"name": name, "output": output, "values": _numbers(values), "expected": None}
    if limits is None or count not in (1, 3, 4):
        return made
    rgb = []
    for y in range(height):
        for x in range(width):
            first = y * strides[places["H"]] + x * strides[places["W"]]
            for channel in range(3):
                step = 0 if channels is None or count == 1 else channel * strides[channels]
                rgb.append(_level(rounded[first + step], *limits))
    low, high = limits
    return {
        **made,
        "expected": {"height": height, "width": width, "low": low, "high": high, "rgb": rgb},
    }


def _all_pictures() -> list[Json]:
    draw = random.Random(5)
    shares = [draw.uniform(-0.2, 1.2) for _ in range(18)]
    color = _output([3, 2, 3], "C H W", "image")
    return [
        _picture("shares that overshoot", color, shares),
        _picture("channels last", _output([1, 2, 3, 3], "N H W C", "image"), shares),
        _picture("from -1 to 1", color, [2 * share - 1 for share in shares]),
        _picture("levels", color, [255 * share for share in shares]),
        _picture("another range", color, [1000 * share for share in shares]),
        _picture("gray", _output([1, 2, 3], "C H W", "image"), shares[:6]),
        _picture("rows and columns alone", _output([2, 3], "H W", "image"), shares[:6]),
        _picture("a fourth channel", _output([4, 1, 2], "C H W", "image"), shares[:8]),
        _picture("bytes", _output([3, 1, 2], "C H W", "image", dtype="uint8"),
                 [0.0, 255.0, 1.0, 0.0, 128.0, 3.0]),
        _picture("all alike", _output([1, 1, 2], "C H W", "image"), [700.0, 700.0]),
        _picture("what is not finite is black", _output([1, 1, 4], "C H W", "image"),
                 [math.nan, math.inf, -math.inf, 0.5]),
        _picture("nothing finite", _output([1, 1, 2], "C H W", "image"), [math.nan, math.inf]),
        _picture("two channels", _output([2, 1, 2], "C H W", "image"), shares[:4]),
    ]  # fmt: skip


def drawn_vectors() -> dict[str, str]:
    """Outputs that are drawn, numbers in C order, and what is drawn of them; null: nothing is.

    `points`: key points are x, y and perhaps a score along the last axis, of 2 or 3. Those of the
    network's picture are placed on the photo, of height and width `photo`. What is not finite or
    not on the photo (edges included) is left out. `row` counts all points, `index` those of one
    thing, the axis before the last; labels name these where there are as many.

    `pictures`: of one, three or four channels, the fourth left out. Bytes are as they are. Of other
    numbers black and white are the first of 0 to 1, -1 to 1 and 0 to 255 that, with a quarter of
    its length to spare at both ends, holds all finite ones, or else the smallest and largest. A
    channel is floor(255 share + 0.5), the share cut to 0 to 1; what is not finite is 0.
    """
    made = {"about": drawn_vectors.__doc__, "points": _all_points(), "pictures": _all_pictures()}
    return {"drawn.json": text(made)}
