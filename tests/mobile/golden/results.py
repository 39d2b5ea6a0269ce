"""What both libraries make of a model's outputs, by task: by hand, from numbers."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from runtime_check.artifact.metadata import TensorData

from .palette import class_color
from .results_spelled import bar, colored, decimal, legend, percent, row, with_unit
from .tiny import GEOMETRY, LABELS, Json, text

Values = list[float]
# Height and width; the network sees the four columns in the middle.
PHOTO = (4, 6)
FIRST_COLUMN = 1


class Given(NamedTuple):
    """An output: what the metadata says of it, and its numbers in C order."""

    spec: Json
    values: Values

    @property
    def array(self) -> np.ndarray:
        """Numbers as the tensor holds them."""
        return np.array(self.values, self.spec["dtype"]).reshape(self.spec["came"])

    @property
    def numbers(self) -> Values:
        """The same, as float64."""
        return [float(value) for value in self.array.ravel()]

    def row(self) -> Json:
        """Its row in the table."""
        return row(self.spec, self.numbers)


def _given(
    name: str, shape: list[int], axes: str, holds: str, values: Values, *, dtype: str = "float32",
    came: list[int] | None = None, **more: Json,
) -> Given:  # fmt: skip
    fields = {"name": name, "shape": shape, "dtype": dtype, "axes": axes.split(), "holds": holds}
    rest = {"unit": None, "space": None, "varies": came is not None}
    return Given({**fields, **rest, **more, "came": shape if came is None else came}, values)


def _case(
    name: str, task: str | None, given: list[Given], content: Json, *, others: Json = (),
    labels: list[str] | None = None, added: Json = (), previous: Values | None = None,
) -> Json:  # fmt: skip
    tensors = [{k: v for k, v in one.spec.items() if k != "came"} for one in given]
    returned = "tensor" if len(given) == 1 else "list"
    output = {"returned": returned, "tensors": tensors, "added": list(added), "labels": labels}
    return {
        "name": name, "task": task, "output": {**output, "detection": None}, "photo": PHOTO,
        "previous": previous, "outputs": [TensorData.of(one.array).model_dump() for one in given],
        "content": content, "others": [one.row() for one in others],
    }  # fmt: skip


# --- classes --------------------------------------------------------------------------------------


def _class(index: int, score: float, label: str, *, is_share: bool) -> Json:
    return {
        "index": index, "label": label, "score": score if math.isfinite(score) else None,
        "bar": bar(score) if is_share else None,
        "text": percent(score) if is_share else decimal(score),
    }  # fmt: skip


def _classes(one: Given, order: list[int], labels: list[str] | None = None) -> Json:
    """The `order` is stated by hand, best first."""
    shares = one.spec["holds"] == "probabilities"
    best = [
        _class(i, one.numbers[i], labels[i] if labels else f"class {i}", is_share=shares)
        for i in order
    ]
    return {"kind": "classes", "classes": best}


def _classifiers() -> list[Json]:
    task = "image-classification"
    probable = _given("p", [1, 5], "N classes", "probabilities", [0.0625, 0.5, 0.125, 0.3, 0.0125])
    broken = _given("p", [3], "classes", "probabilities", [math.nan, 1.03125, -0.25])
    logits = _given("l", [7], "classes", "logits", [-1, 4, 4, 12345.678, 2, 0.00001234, -0.5])
    rows = _given("l", [2, 3], "N classes", "logits", [1, 2, 3, 4, 5, 6])
    beside = _given("v", [2], "features", "embedding", [0.25, -8])
    two = [1, 3, 2, 0, 4]
    return [
        _case("probabilities", task, [probable], _classes(probable, two, LABELS), labels=LABELS),
        _case("probabilities that are none", task, [broken], _classes(broken, [1, 2, 0])),
        _case("logits, of equals the first", "multi-label-classification", [logits],
              _classes(logits, [3, 1, 2, 4, 5])),
        _case("two rows", task, [rows], _tensors(rows)),
        _case("a vector beside the classes", task, [beside, probable],
              _classes(probable, two, LABELS), others=[beside], labels=LABELS),
    ]  # fmt: skip


# --- maps -----------------------------------------------------------------------------------------


def _class_map(counts: dict[int, int], names: list[str]) -> Json:
    """`counts`: how many pixels of the photo have each class, of those that the network sees."""
    entries = [
        legend(i, names[i] if i < len(names) else f"class {i}", n / sum(counts.values()))
        for i, n in counts.items()
        if i >= 0
    ]
    return {"kind": "class_map", "legend": entries}


def _maps() -> list[Json]:
    task, names = "image-segmentation", ["background", "cat", "dog"]
    # Nine places are the background's, four the cat's, three the dog's; of equals the first.
    planes = [[1.0] * 9 + [0.0] * 7, [1.0] * 9 + [0.5] * 4 + [0.0] * 3, [0.0] * 9 + [0.25] * 7]
    scores = _given(
        "out", [3, 4, 4], "C H W", "logits", [v for p in planes for v in p], space="network"
    )
    scene = _given("scene", [2], "classes", "probabilities", [0.75, 0.25])
    # 255 where the network sees nothing: the outer columns.
    photo = _given(
        "map", [4, 6], "H W", "class_map", [255, 0, 0, 2, 1, 255] * 3 + [255, 2, 2, 2, 0, 255],
        dtype="int64", space="photo", varies=True,
    )  # fmt: skip
    resized = [{"output": 0, "function": "resize", "axis": None}]
    mask = _given("m", [1, 2, 2], "N H W", "mask", [0.5, 0.75, 1, 0], space="network")
    cells = _given("map", [2, 2], "H W", "class_map", [-1, 7, 1, 1], dtype="int32", space="network")
    return [
        _case("scores of pixels", task, [scores, scene],
              _class_map({0: 9, 1: 4, 2: 3}, names), others=[scene], labels=names),
        _case("a class map on the photo", task, [photo],
              _class_map({0: 7, 2: 6, 1: 3}, ["sky", "cat", "dog"]),
              labels=["sky", "cat", "dog"], added=resized),
        _case("a mask", task, [mask], _class_map({0: 8, 1: 8}, ["background", "mask"])),
        _case("no class, and one without a name", task, [cells],
              _class_map({1: 8, 7: 4, -1: 4}, names), labels=names),
        _case("no map", task, [scene], _tensors(scene), labels=["in", "out"]),
    ]  # fmt: skip


def _depth(smallest: float, largest: float, unit: str | None) -> Json:
    return {
        "kind": "depth", "minimum": smallest, "maximum": largest, "unit": unit,
        "minimum_text": with_unit(smallest, unit), "maximum_text": with_unit(largest, unit),
    }  # fmt: skip


def _depths() -> list[Json]:
    task, more = "depth-estimation", {"space": "network"}
    metric = _given("d", [1, 2, 2], "N H W", "depth", [2.5, math.nan, 80, 0.125], unit="meters",
                    **more)  # fmt: skip
    plain = _given("d", [2, 2], "H W", "depth", [1000, 1000, 1000, 1000], **more)
    nothing = _given("d", [1, 1], "H W", "depth", [math.nan], **more)
    return [
        _case("depths in meters", task, [metric], _depth(0.125, 80, "meters")),
        _case("depths that are all alike", task, [plain], _depth(1000, 1000, None)),
        _case("depths of which none is finite", task, [nothing], _tensors(nothing)),
    ]


# --- things on the photo --------------------------------------------------------------------------


def _box(
    place: int, box: Values, score: float | None, kind: int | None, label: str, *,
    share: bool = True,
) -> Json:  # fmt: skip
    said = None if score is None else percent(score) if share else decimal(score)
    color = colored(class_color(kind or 0))
    return {
        "row": place, "box": box, "class_index": kind, "label": label, "score": score,
        "text": said, "color": color,
    }  # fmt: skip


def _boxes(found: list[Json], lowest: float | None, highest: float | None) -> Json:
    limits = None if lowest is None else [lowest, highest]
    return {"kind": "boxes", "boxes": found, "range": limits}


def _detectors() -> list[Json]:
    task, many = "object-detection", {"varies": True}
    corners = [0, 0, 2, 4, 1, 1, 9, 9, math.nan, 0, 1, 1, -3, 0, -2, 4]
    boxes = _given("boxes", [2, 4], "boxes 4", "boxes", corners, came=[4, 4], space="network")
    kinds = _given("labels", [2], "boxes", "class_index", [2, 9, 0, 0], dtype="int64", came=[4])
    scores = _given("scores", [2], "boxes", "scores", [0.25, 0.75, 0.875, 0.5], came=[4])
    placed = [
        _box(1, [2, 1, 6, 4], 0.75, 9, "class 9"),
        _box(0, [FIRST_COLUMN, 0, FIRST_COLUMN + 2, 4], 0.25, 2, "clay"),
    ]
    two = _given("boxes", [2, 4], "boxes 4", "boxes", [0, 0, 3, 3, 2, 2, 5, 4], space="photo",
                 **many)  # fmt: skip
    logits = _given("scores", [2, 3], "boxes classes", "logits", [1, 4, 4, -2.5, -3, -8], **many)
    none = [
        _given("boxes", [2, 4], "boxes 4", "boxes", [], came=[0, 4], space="network"),
        _given("scores", [2], "boxes", "scores", [], came=[0]),
    ]
    ranked = [
        _box(0, [0, 0, 3, 3], 4, 1, "beech", share=False),
        _box(1, [2, 2, 5, 4], -2.5, 0, "amber", share=False),
    ]
    bare = [_box(0, [0, 0, 3, 3], None, None, "box"), _box(1, [2, 2, 5, 4], None, None, "box")]
    equal = _given("scores", [2], "boxes", "scores", [7, 7], **many)
    alike = [_box(i, b["box"], 7, None, "box", share=False) for i, b in enumerate(bare)]
    return [
        _case("boxes", task, [boxes, kinds, scores], _boxes(placed, 0, 1), labels=LABELS),
        _case("boxes, and logits of classes", task, [two, logits], _boxes(ranked, -2.5, 4),
              labels=["amber", "beech", "clay"]),
        _case("no boxes", task, none, _boxes([], 0, 1)),
        _case("boxes without scores", task, [two], _boxes(bare, None, None)),
        _case("boxes of one score", task, [two, equal], _boxes(alike, 6.5, 7.5)),
        _case("scores without boxes", task, [equal], _tensors(equal)),
    ]  # fmt: skip


def _point(place: int, index: int, label: str, x: float, y: float, score: float | None) -> Json:
    where = f"{decimal(x)}, {decimal(y)}"
    said = "" if score is None else f" ({percent(score) if 0 <= score <= 1 else decimal(score)})"
    return {
        "row": place, "index": index, "label": label, "x": x, "y": y, "score": score,
        "text": where + said, "sure": score is None or score >= 0.5,
    }  # fmt: skip


def _key_points() -> list[Json]:
    task = "keypoint-detection"
    sure = _given("p", [3, 3], "points 3", "keypoints", [0.5, 1, 0.75, 3, 2.25, 0.25, 9, 9, 1],
                  space="network")  # fmt: skip
    plain = _given("p", [2, 1, 2], "N points 2", "keypoints", [1.5, 1, 2, 4], space="photo")
    points = [
        _point(0, 0, "nose", 1.5, 1, 0.75),
        _point(1, 1, "left eye", 4, 2.25, 0.25),
    ]
    two = [_point(0, 0, "point 0", 1.5, 1, None), _point(1, 0, "point 0", 2, 4, None)]
    names = ["nose", "left eye", "right eye"]
    return [
        _case("key points", task, [sure], {"kind": "key_points", "points": points}, labels=names),
        _case("key points without scores", task, [plain], {"kind": "key_points", "points": two}),
    ]


# --- pictures, vectors, numbers -------------------------------------------------------------------


def _pictures() -> list[Json]:
    given = _given("image", [1, 2, 2], "C H W", "image", [-700, 300, 50, 50], unit="counts")
    # (50 + 700) / 1000 of 255 is 191.25.
    levels = [0, 255, 191, 191]
    content = {
        "kind": "picture", "height": 2, "width": 2, "black": -700, "white": 300, "unit": "counts",
        "black_text": "-700 counts", "white_text": "300 counts",
        "rgb": [level for level in levels for _ in range(3)],
    }  # fmt: skip
    return [_case("a picture", "image-to-image", [given], content)]


def _embedding(values: Values, cosine: float | None) -> Json:
    said = None if cosine is None else f"{cosine:.3f}"
    return {"kind": "embedding", "values": values, "cosine": cosine, "text": said}


def _embeddings() -> list[Json]:
    task = "image-feature-extraction"
    vector = _given("v", [1, 2], "N features", "embedding", [3, 4])
    null = _given("v", [2], "features", "embedding", [0, 0])
    # 3 x 4 + 4 x 3 = 24, of two lengths of 5.
    return [
        _case("a vector", task, [vector], _embedding([3, 4], None)),
        _case("a vector beside another", task, [vector], _embedding([3, 4], 0.96), previous=[4, 3]),
        _case("opposites", task, [vector], _embedding([3, 4], -1), previous=[-6, -8]),
        _case("vectors of two lengths", task, [vector], _embedding([3, 4], None), previous=[1]),
        _case("a vector without direction", task, [null], _embedding([0, 0], None),
              previous=[1, 0]),
    ]  # fmt: skip


def _number(name: str, value: float, unit: str | None = None) -> Json:
    finite = value if math.isfinite(value) else None
    return {"name": name, "value": finite, "unit": unit, "text": with_unit(value, unit)}


def _regressions() -> list[Json]:
    task = "image-regression"
    age = _given("age", [1], "N", "values", [41.5], unit="years")
    pose = _given("pose", [3], "3", "values", [-0.00012345, math.inf, 1234567])
    many = _given("many", [17], "17", "values", [float(i) for i in range(17)])
    numbers = pose.numbers
    plain = [_number(f"pose {i + 1}", value) for i, value in enumerate(numbers)]
    named = [_number(*pair) for pair in zip(["pitch", "yaw", "roll"], numbers, strict=True)]
    both = [_number("age", 41.5, "years"), *plain]
    return [
        _case("a number", task, [age], {"kind": "numbers", "numbers": both[:1]}),
        _case("two outputs", task, [age, pose], {"kind": "numbers", "numbers": both}),
        _case("labeled numbers", task, [pose], {"kind": "numbers", "numbers": named},
              labels=["pitch", "yaw", "roll"]),
        _case("more numbers than one reads", task, [many], _tensors(many)),
    ]  # fmt: skip


def _tensors(*given: Given) -> Json:
    return {"kind": "tensors", "rows": [one.row() for one in given]}


def _tables() -> list[Json]:
    scalar = _given("loss", [], "", "values", [0.1], unit="nats")
    flags = _given("is_there", [1, 3], "N 3", "values", [1, 0, 1], dtype="bool")
    broken = _given("x", [2], "2", "values", [math.nan, math.inf])
    partly = _given("y", [2, 2], "2 2", "values", [math.nan, -3, 2e-7, 1], dtype="float64")
    outputs = [scalar, flags, broken, partly]
    return [_case("no task", None, outputs, _tensors(*outputs))]


def _refused() -> list[Json]:
    """Outputs that are not those of the metadata, and why they are refused."""
    task = "image-classification"
    row = _given("p", [1, 5], "N classes", "probabilities", [0.2] * 5)
    wide = row._replace(spec={**row.spec, "came": [1, 4]}, values=[0.25] * 4)
    longs = row._replace(spec={**row.spec, "dtype": "int64"}, values=[0] * 5)
    boxes = _given("boxes", [2, 4], "boxes 4", "boxes", [0] * 4, came=[4])
    cases = [
        ("another shape", row, [wide], "output p is float32 1 x 4, and not float32 1 x 5"),
        ("another type", row, [longs], "output p is int64 1 x 5, and not float32 1 x 5"),
        ("a dimension too few", boxes, [boxes], "output boxes is float32 4, and not float32 2 x 4"),
        ("one too many", row, [row, row], "2 outputs came, and the metadata states 1"),
    ]
    made = []
    for name, stated, came, why in cases:
        case = _case(name, task, [stated], None)
        outputs = [TensorData.of(one.array).model_dump() for one in came]
        del case["content"], case["others"]
        made.append({**case, "outputs": outputs, "why": why})
    return made


def result_vectors() -> dict[str, str]:
    """Outputs of a photo, and what `model.run(photo)` makes of them.

    A case is `contract/metadata.json` with another `task` and `output`; `photo` is the height and
    width of the image that goes in, `outputs` are what the runtime gives for it, `previous` is the
    embedding of the photo before. `content` has a `kind` and what a person reads; null stands for a
    number that is not finite. `others` are the rows of outputs that `content` does not show.

    `text`: shares are percentages with one decimal, others have four significant digits (as C's
    %.4g; halves to even), not finite is "not a number". `bar` is 0 to 1, of finite probabilities.

    Boxes are on the photo, cut at its edges, the best first; those without area, and with a score
    that is not finite, are left out. `range` is that of a threshold: 0 to 1 where all scores of the
    boxes found lie there, else from the least to the largest, or one half to both sides of a single
    one; null without scores. Colors are those of `palette.json`. The cosine is -1 to 1.

    `refused`: outputs that the metadata does not describe, and `why` of the failure `run_failed`.
    Where a shape `varies`, it is the number of dimensions that counts.
    """
    cases = [
        *_classifiers(), *_maps(), *_depths(), *_detectors(), *_key_points(), *_pictures(),
        *_embeddings(), *_regressions(), *_tables(),
    ]  # fmt: skip
    assert (GEOMETRY.network_height, GEOMETRY.network_width) == (PHOTO[0], PHOTO[1] - 2)
    made = {"about": result_vectors.__doc__, "cases": cases, "refused": _refused()}
    return {"results.json": text(made)}
