"""Write the fixtures in `tests/golden/` that pytest, JUnit and `swift test` all read.

One generator, so that Python, Kotlin and Swift are held to the same answers, and the answers come
from the code that exports: the contract's models, `runtime_check.compare`, Pillow's orientation.
What each file holds is said in its own `about` field or in the function that makes it.

    python tests/mobile/golden_files.py [FOLDER]

Numbers that JSON has no word for are the strings "NaN", "Infinity" and "-Infinity". Tensors are
written as in `extra/golden.json`: shape, dtype, little-endian bytes in base64.
"""

from __future__ import annotations

import base64
import json
import math
import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from runtime_check.artifact.metadata import (
    Capture,
    Golden,
    GoldenCase,
    ImageInput,
    LedgerRow,
    Metadata,
    Output,
    Pass,
    Preprocessing,
    ProducedBy,
    Provenance,
    Quantization,
    RuntimeVerdict,
    TensorData,
    TensorInput,
    TensorSpec,
    ToleranceSpec,
    Weights,
)
from runtime_check.bench.format import Benchmark, BenchmarkRun, Device, DeviceRuns
from runtime_check.compare import Tolerance, compare

FOLDER = Path(__file__).resolve().parents[1] / "golden"
LABELS = ["amber", "beech, beech tree", "clay", "dew", "Größe ü 猫"]
TOLERANCE = ToleranceSpec(atol=1e-5, rtol=0.0, basis="16 x max|float32 - float64| over 2 inputs")

Json = Any


def tiny_forward(image: np.ndarray) -> np.ndarray:
    """Compute the tiny model: class c gets the share of the bytes at flat index = c (mod 5).

    `image` is uint8, H x W x 3; the result is float32, 1 x 5. Sums are whole numbers below 2^24 and
    the division is float32's own, so a test's fake runtime in any language gives the same bits.
    """
    flat = image.astype(np.int64).ravel()
    sums = np.array([flat[c :: len(LABELS)].sum() for c in range(len(LABELS))])
    return (sums.astype(np.float32) / np.float32(sums.sum()))[None]


def _image(height: int, width: int, seed: int) -> np.ndarray:
    values = random.Random(seed)
    return np.array(
        [values.randrange(256) for _ in range(height * width * 3)], dtype=np.uint8
    ).reshape(height, width, 3)


def tiny_metadata() -> Metadata:
    """Describe the tiny model, every field filled."""
    return Metadata(
        name="tiny",
        input=ImageInput(min_side=2, max_side=64, max_aspect=8),
        preprocessing=Preprocessing(
            input_size=(3, 4, 4),
            interpolation="bicubic",
            crop_pct=0.875,
            crop_mode="center",
            mean=(0.5, 0.5, 0.5),
            std=(0.5, 0.5, 0.5),
            in_graph=True,
        ),
        output=Output(activation="softmax", labels=LABELS, tensors=[TensorSpec(shape=[1, 5])]),
        quantization=Quantization(),
        capture=Capture(method="script", reason="scripting works and keeps all control flow"),
        passes=[Pass(name="fold-batch-norm", stage="prepare", effect="0 batch norms folded")],
        produced_by=ProducedBy(exporter="0.1.0", torch="2.12.1", timm="1.0.31", bytecode_version=8),
        operators={"aten::sum": 5, "aten::div.Tensor": 1},
        runtimes=[
            RuntimeVerdict(
                runtime="pytorch-2.1.0",
                compatible=True,
                how="operator-table",
                detail="all 2 operators are there, bytecode 8",
            )
        ],
        provenance=Provenance(
            source="factory",
            model="tests.mobile.golden_files:tiny_forward",
            weights=Weights(origin="factory", detail="no weights", sha256="0" * 64),
            license="apache-2.0",
        ),
        tolerance=TOLERANCE,
        ledger=[
            LedgerRow(stage="eager fp32", inputs=2, mb=0.001),
            LedgerRow(stage="saved + reloaded", inputs=2, max_abs=1e-7, sqnr_db=120.0, top1=1.0),
        ],
    )


def tiny_golden() -> Golden:
    """Two images and what the tiny model makes of them."""
    cases = []
    for name, image in (("wide", _image(4, 6, 1)), ("tall", _image(7, 3, 2))):
        cases.append(
            GoldenCase(
                name=name,
                inputs=[TensorData.of(image)],
                expected=[TensorData.of(tiny_forward(image))],
            )
        )
    return Golden(tolerance=TOLERANCE, cases=cases)


def _text(value: Json) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _edited(record: Metadata | Golden, edit: Callable[[Json], object]) -> str:
    value = json.loads(record.model_dump_json())
    edit(value)
    return _text(value)


def _put(*path: str | int, value: Json) -> Callable[[Json], object]:
    def edit(record: Json) -> None:
        for key in path[:-1]:
            record = record[key]
        record[path[-1]] = value

    return edit


def _drop(key: str) -> Callable[[Json], object]:
    return lambda record: record.pop(key)


def _as_schema_1_0(record: Json) -> None:
    record["schema_version"] = "1.0"
    del record["provenance"]["seed"]
    record["provenance"]["options"] = {}
    record["provenance"]["licence"] = record["provenance"].pop("license")
    record["capture"]["specialised"] = record["capture"].pop("specialized")


def contract_files() -> dict[str, str]:
    """Write good and bad `metadata.json` and `golden.json` records, and an index of verdicts.

    `contract/index.json` lists them: `record` says which of the two it is, `verdict` what a reader
    must say: `ok`, `unsupported` (another major schema version: the message has the version in it)
    or `damaged` (the message names the field in `field`, where that is not null).
    """
    metadata, golden = tiny_metadata(), tiny_golden()
    tensor_input = TensorInput(tensors=[TensorSpec(shape=[1, 3, 4, 4])], dynamic_batch=True)
    no_labels = metadata.output.model_copy(update={"labels": None})
    bare = metadata.model_copy(
        update={"input": tensor_input, "preprocessing": None, "output": no_labels}
    )
    whole = _edited(metadata, lambda record: None)
    whole_golden = _edited(golden, lambda record: None)
    made: list[tuple[str, str, str, str | None, str]] = [
        ("metadata", "metadata", "ok", None, whole),
        ("metadata_tensor", "metadata", "ok", None, _edited(bare, lambda record: None)),
        (
            "metadata_newer_minor",
            "metadata",
            "ok",
            None,
            _edited(metadata, lambda r: r.update(schema_version="1.9", added_later={"x": [1]})),
        ),
        (
            # `max_aspect` came later than the rest; the contract's default is 32.
            "metadata_no_max_aspect",
            "metadata",
            "ok",
            None,
            _edited(metadata, lambda r: r["input"].pop("max_aspect")),
        ),
        (
            # As 0.1.0 wrote it: without `seed`, with `options`, in British spelling.
            "metadata_1_0",
            "metadata",
            "ok",
            None,
            _edited(metadata, _as_schema_1_0),
        ),
        (
            "metadata_newer_major",
            "metadata",
            "unsupported",
            None,
            _edited(metadata, _put("schema_version", value="2.0")),
        ),
        (
            "metadata_older_major",
            "metadata",
            "unsupported",
            None,
            _edited(metadata, _put("schema_version", value="0.9")),
        ),
        (
            "metadata_no_version",
            "metadata",
            "damaged",
            None,
            _edited(metadata, _drop("schema_version")),
        ),
        ("metadata_truncated", "metadata", "damaged", None, whole[: len(whole) // 2]),
        ("metadata_empty", "metadata", "damaged", None, ""),
        ("metadata_a_list", "metadata", "damaged", None, "[1, 2]\n"),
        ("metadata_no_output", "metadata", "damaged", "output", _edited(metadata, _drop("output"))),
        (
            "metadata_wrong_type",
            "metadata",
            "damaged",
            "max_side",
            _edited(metadata, _put("input", "max_side", value="large")),
        ),
        (
            "metadata_unknown_input",
            "metadata",
            "damaged",
            "input",
            _edited(metadata, _put("input", "kind", value="audio")),
        ),
        ("golden", "golden", "ok", None, whole_golden),
        (
            "golden_newer_major",
            "golden",
            "unsupported",
            None,
            _edited(golden, _put("schema_version", value="2.0")),
        ),
        ("golden_truncated", "golden", "damaged", None, whole_golden[: len(whole_golden) // 2]),
        (
            "golden_no_cases",
            "golden",
            "damaged",
            "cases",
            _edited(golden, _put("cases", value=[])),
        ),
        (
            "golden_short_tensor",
            "golden",
            "damaged",
            None,
            _edited(golden, _put("cases", 0, "inputs", 0, "shape", value=[4, 7, 3])),
        ),
        (
            "golden_huge_shape",
            "golden",
            "damaged",
            None,
            # 2^64 + 72 elements: a product that wraps around to the right number of bytes.
            _edited(
                golden,
                _put("cases", 0, "inputs", 0, "shape", value=[8, 2305843009213693961, 1]),
            ),
        ),
        (
            "golden_no_base64",
            "golden",
            "damaged",
            None,
            _edited(golden, _put("cases", 0, "inputs", 0, "data", value="?not base64?")),
        ),
        # Valid records that do not belong together: the reader of both has to notice.
        (
            "metadata_label_count",
            "metadata",
            "labels",
            "labels",
            _edited(metadata, _put("output", "labels", value=LABELS[:-1])),
        ),
    ]
    files = {f"contract/{name}.json": text for name, _, _, _, text in made}
    index = {
        "about": contract_files.__doc__,
        "files": [
            {"file": f"{name}.json", "record": record, "verdict": verdict, "field": field}
            for name, record, verdict, field, _ in made
        ],
        "tiny_model": tiny_forward.__doc__,
    }
    files["contract/index.json"] = _text(index)
    return files


def _encode(arrays: Sequence[np.ndarray]) -> list[Json]:
    return [TensorData.of(array).model_dump() for array in arrays]


def _row(*values: float) -> np.ndarray:
    return np.array([values], dtype=np.float32)


def golden_checks() -> dict[str, str]:
    """Expected and actual outputs with the verdict `runtime_check.compare` gives.

    For each check: `problem` is null when it passes, else one of count, shape, dtype, nonfinite,
    values, empty. `max_abs` is max|d| over finite pairs (null where arrays cannot be compared or no
    pair is finite), `top1` the share of rows whose best class agrees (null likewise, and when a
    value is not finite on one side only; ties go to the lower class). Compared in float64.
    """
    good = _row(0.1, 0.2, 0.4, 0.25, 0.05)
    nudged = good + np.float32(5e-6)
    flipped = _row(0.1, 0.2, 0.25, 0.4, 0.05)
    nan, inf = math.nan, math.inf
    values = random.Random(3)
    drawn = np.array([[values.random() for _ in range(7)] for _ in range(6)], dtype=np.float32)
    noisy = drawn + np.array(
        [[values.uniform(-0.2, 0.2) for _ in range(7)] for _ in range(6)], dtype=np.float32
    )
    exact = ToleranceSpec(atol=0.0, rtol=0.0, basis="bit by bit")
    relative = ToleranceSpec(atol=0.0, rtol=0.01, basis="one percent")
    int8 = ToleranceSpec(atol=0.016, rtol=0.0, basis="8 steps of 0.002", step=0.002)
    # 0.5 apart, exactly: the bound itself passes.
    half = ToleranceSpec(atol=0.5, rtol=0.0, basis="a bound met exactly")
    pairs: list[tuple[str, ToleranceSpec, list[np.ndarray], list[np.ndarray]]] = [
        ("the same bits", exact, [good], [good]),
        ("within the tolerance", TOLERANCE, [good], [nudged]),
        ("outside a tolerance of zero", exact, [good], [nudged]),
        ("two classes swapped", TOLERANCE, [good], [flipped]),
        ("int8, within eight steps", int8, [good], [good + np.float32(0.015)]),
        ("int8, nine steps", int8, [good], [good + np.float32(0.018)]),
        ("exactly on the bound", half, [_row(1.0, 2.0)], [_row(1.5, 1.5)]),
        ("relative, within", relative, [_row(100.0, -200.0)], [_row(100.5, -201.0)]),
        ("relative, outside", relative, [_row(100.0, -200.0)], [_row(100.5, -203.0)]),
        ("NaN where a number was expected", TOLERANCE, [good], [_row(0.1, nan, 0.4, 0.25, 0.05)]),
        ("NaN in the same place", TOLERANCE, [_row(nan, 0.5)], [_row(nan, 0.5)]),
        ("all NaN", TOLERANCE, [good], [_row(nan, nan, nan, nan, nan)]),
        ("the same infinity", TOLERANCE, [_row(inf, 0.0)], [_row(inf, 0.0)]),
        ("the other infinity", TOLERANCE, [_row(inf, 0.0)], [_row(-inf, 0.0)]),
        ("a tie broken on one side", half, [_row(0.5, 0.5)], [_row(0.4, 0.5)]),
        ("another shape", TOLERANCE, [good], [good[:, :4]]),
        ("a dimension more", TOLERANCE, [good], [good[0]]),
        ("another dtype", TOLERANCE, [good], [good.astype(np.float64)]),
        ("an output missing", TOLERANCE, [good, good], [good]),
        ("nothing to compare", TOLERANCE, [good[:0]], [good[:0]]),
        ("two outputs", TOLERANCE, [good, flipped], [nudged, flipped]),
        ("two outputs, the second wrong", TOLERANCE, [good, flipped], [nudged, good]),
        ("integers", exact, [np.array([1, 2, 3], np.int64)], [np.array([1, 2, 3], np.int64)]),
        ("integers, one off", exact, [np.array([1, 2, 3], np.int64)], [np.array([1, 2, 4])]),
        ("bytes", exact, [np.array([0, 255], np.uint8)], [np.array([255, 0], np.uint8)]),
        ("one class only", TOLERANCE, [_row(0.5)], [_row(0.5)]),
        ("a scalar", TOLERANCE, [np.array(0.5, np.float32)], [np.array(0.6, np.float32)]),
        ("six rows, drawn", TOLERANCE, [drawn], [noisy]),
        ("six rows, drawn, wide tolerance", half, [drawn], [noisy]),
    ]
    checks = []
    for name, spec, expected, actual in pairs:
        verdict = compare(expected, actual, Tolerance(atol=spec.atol, rtol=spec.rtol))
        checks.append(
            {
                "name": name,
                "tolerance": spec.model_dump(),
                "expected": _encode(expected),
                "actual": _encode(actual),
                "passes": bool(verdict),
                "problem": verdict.problem or None,
                "max_abs": verdict.max_abs,
                "top1": verdict.top1,
            }
        )
    return {"golden_checks.json": _text({"about": golden_checks.__doc__, "checks": checks})}


def pixel_vectors() -> dict[str, str]:
    """Rows of pixels as a camera or a decoder hands them out, and the uint8 RGB HWC image.

    `bytes` (base64) holds `height` rows that begin `row_stride` bytes apart; the last row may end
    after its last pixel. `order` names the bytes of one pixel in memory; alpha (A) or padding (X)
    is skipped, not blended.
    """
    vectors = []
    values = random.Random(4)
    for order in ("RGBA", "BGRA", "ARGB", "ABGR", "RGBX", "BGRX"):
        for height, width, padding, cut in (
            (1, 1, 0, 0),
            (2, 3, 0, 0),
            (3, 2, 5, 5),
            (4, 5, 12, 0),
        ):
            image = _image(height, width, values.randrange(1000))
            planes = {
                "R": image[..., 0],
                "G": image[..., 1],
                "B": image[..., 2],
                "A": _image(height, width, values.randrange(1000))[..., 0],
                "X": np.full((height, width), 0xEE, np.uint8),
            }
            stride = 4 * width + padding
            rows = np.full((height, stride), 0xDD, np.uint8)
            packed = np.stack([planes[letter] for letter in order], axis=-1)
            rows[:, : 4 * width] = packed.reshape(height, -1)
            raw = rows.tobytes()
            vectors.append(
                {
                    "order": order,
                    "width": width,
                    "height": height,
                    "row_stride": stride,
                    "bytes": base64.b64encode(raw[: len(raw) - cut]).decode(),
                    "rgb": base64.b64encode(image.tobytes()).decode(),
                }
            )
    return {"pixels.json": _text({"about": pixel_vectors.__doc__, "vectors": vectors})}


def orientation_vectors() -> dict[str, str]:
    """A stored uint8 RGB HWC image, its EXIF orientation (1 to 8), and the upright image.

    The upright image is Pillow's `ImageOps.exif_transpose`. `upright` has `height` and `width` of
    its own: orientations 5 to 8 swap the sides.
    """
    vectors = []
    for height, width in ((2, 3), (3, 2), (1, 4), (5, 5)):
        image = _image(height, width, 10 * height + width)
        for orientation in range(1, 9):
            picture = Image.fromarray(image)
            picture.getexif()[0x0112] = orientation
            upright = np.asarray(ImageOps.exif_transpose(picture))
            vectors.append(
                {
                    "orientation": orientation,
                    "height": height,
                    "width": width,
                    "rgb": base64.b64encode(image.tobytes()).decode(),
                    "upright": {
                        "height": upright.shape[0],
                        "width": upright.shape[1],
                        "rgb": base64.b64encode(upright.tobytes()).decode(),
                    },
                }
            )
    return {"orientations.json": _text({"about": orientation_vectors.__doc__, "vectors": vectors})}


def _spelled(value: float) -> Json:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def rank(scores: Sequence[float], k: int) -> list[int]:
    """Return the indices of the k highest scores; ties go to the lower index, NaN comes last."""
    array = np.array(scores, dtype=np.float32)
    return [int(i) for i in np.argsort(-array, kind="stable")[:k]]


def top_k_vectors() -> dict[str, str]:
    """Scores (float32), k, and the indices of the k highest.

    Ties go to the lower index, NaN comes after every number, k beyond the count gives them all.
    """
    nan, inf = math.nan, math.inf
    inputs: list[tuple[list[float], int]] = [
        ([0.1, 0.7, 0.2], 2),
        ([0.5, 0.5, 0.5, 0.5], 3),
        ([0.25, 0.5, 0.25, 0.5], 4),
        ([nan, 0.5, nan, 0.25], 3),
        ([nan, nan], 2),
        ([-inf, inf, 0.0, nan], 4),
        ([0.0, -0.0, 0.0], 3),
        ([3.0], 5),
        ([], 5),
        ([1.0, 2.0], 0),
        ([-5.0, -1.0, -3.0], 1),
    ]
    values = random.Random(5)
    for count in (6, 50, 1000):
        # A coarse grid, so that ties are common. Sixteenths are exact in float32.
        drawn = [values.randrange(40) / 16 for _ in range(count)]
        inputs.append((drawn, 5))
    vectors = [
        {"scores": [_spelled(s) for s in scores], "k": k, "indices": rank(scores, k)}
        for scores, k in inputs
    ]
    return {"top_k.json": _text({"about": top_k_vectors.__doc__, "vectors": vectors})}


def _run(samples: Sequence[float]) -> BenchmarkRun:
    return BenchmarkRun(
        label="tiny.ptl, 1 thread",
        runtime="lite interpreter 2.1.0",
        model="tiny",
        file="tiny.ptl",
        sha256="0" * 64,
        threads=1,
        input_shape=[4, 6, 3],
        samples_ms=list(samples),
        load_ms=12.5,
        first_ms=3.25,
        peak_mb=1.5,
        size_mb=0.001,
    )


def statistics_vectors() -> dict[str, str]:
    """Samples in ms with their median and 95th percentile, as `runtime_check bench` computes them.

    The median of an even count is the mean of the middle two; p95 is the nearest rank: the
    ceil(0.95 n)-th smallest, so always a time that was measured.
    """
    values = random.Random(6)
    lists: list[list[float]] = [[4.0], [2.0, 1.0], [3.0, 1.0, 2.0], [5.0] * 7]
    for count in (19, 20, 21, 39, 40, 41, 100, 101):
        lists.append([round(values.uniform(5, 80), 4) for _ in range(count)])
    vectors = [
        {"samples_ms": s, "median_ms": _run(s).median_ms, "p95_ms": _run(s).p95_ms} for s in lists
    ]
    return {"statistics.json": _text({"about": statistics_vectors.__doc__, "vectors": vectors})}


def downsample(
    width: int, height: int, *, wanted_side: int, bounds: ImageInput
) -> tuple[int, str | None]:
    """Plan how much smaller a photo is decoded: `(sample, refusal)`.

    `sample` is the largest power of two that leaves the short side at least `wanted_side` long, or
    more where the long side would be above `max_side` otherwise. `refusal` is null, `small` when
    the decoded short side, rounded up, is below `min_side`, or `long` when the photo is more than
    `max_aspect` times as long as wide.
    """
    short, long = min(width, height), max(width, height)
    if long > bounds.max_aspect * short:
        return 1, "long"
    sample = 1
    while short // (2 * sample) >= wanted_side:
        sample *= 2
    while -(-long // sample) > bounds.max_side:
        sample *= 2
    return sample, "small" if -(-short // sample) < bounds.min_side else None


def wanted_side(preprocessing: Preprocessing | None) -> int | None:
    """Return the short side, pixels, a photo should still have after decoding; None: all of it.

    Twice what the in-graph resize makes of the short side, ceil(side / crop_pct) of the larger
    side of the network's input: the resize then averages at least two pixels into one, as it does
    on the full photo.
    """
    if preprocessing is None:
        return None
    return 2 * math.ceil(max(preprocessing.input_size[1:]) / preprocessing.crop_pct)


def downsample_vectors() -> dict[str, str]:
    """Photos, what the metadata says, and how much smaller the app decodes them.

    `wanted_side` = 2 x ceil(max(input_size[1:]) / crop_pct), or null where there is no
    preprocessing (then `sample` stays 1 unless the long side is above `max_side`). `sample` is the
    power of two both sides are divided by (Android's inSampleSize, iOS's subsample factor); a
    decoder may round a side up or down by one pixel. `refusal`: null, or why the photo cannot be
    taken: `small` (short side below `min_side` after decoding), `long` (aspect above `max_aspect`).
    """
    real = ImageInput(min_side=8, max_side=8192, max_aspect=32)
    tiny = ImageInput(min_side=2, max_side=64, max_aspect=8)
    base = tiny_metadata().preprocessing
    assert base is not None
    at_224 = base.model_copy(update={"input_size": (3, 224, 224)})
    odd = base.model_copy(update={"input_size": (3, 160, 192), "crop_pct": 0.9})
    vectors = []
    photos = [
        (4032, 3024), (3024, 4032), (8064, 6048), (1920, 1080), (1024, 768), (1023, 511),
        (512, 512), (511, 511), (640, 480), (224, 224), (9, 8), (7, 9), (8, 256), (8, 257),
        (16384, 512), (20000, 1000), (9000, 8999), (1, 1), (64, 8), (65, 9), (63, 2), (128, 16),
    ]  # fmt: skip
    for preprocessing, bounds in ((at_224, real), (odd, real), (base, tiny), (None, real)):
        for width, height in photos:
            wanted = wanted_side(preprocessing)
            sample, refusal = downsample(width, height, wanted_side=wanted or 2**31, bounds=bounds)
            vectors.append(
                {
                    "width": width,
                    "height": height,
                    "input_size": None if preprocessing is None else preprocessing.input_size,
                    "crop_pct": None if preprocessing is None else preprocessing.crop_pct,
                    "min_side": bounds.min_side,
                    "max_side": bounds.max_side,
                    "max_aspect": bounds.max_aspect,
                    "wanted_side": wanted,
                    "sample": sample,
                    "refusal": refusal,
                }
            )
    return {"downsample.json": _text({"about": downsample_vectors.__doc__, "vectors": vectors})}


def benchmark_files() -> dict[str, str]:
    """Write one benchmark as an app shares it: what `runtime_check bench --import` reads."""
    devices = [
        Device(platform="ios", model="iPhone15,2", os="iOS 17.5", cpu="arm64", cores=6, app="t 1"),
        Device(
            platform="android", model="Pixel 8", os="Android 15", cpu="arm64", cores=9, app="t 1"
        ),
    ]
    files = {}
    for device in devices:
        made = Benchmark(devices=[DeviceRuns(device=device, runs=[_run([2.5, 2.25, 3.0])])])
        files[f"benchmark_{device.platform}.json"] = _text(json.loads(made.model_dump_json()))
    return files


def golden_files() -> dict[str, str]:
    """Return every fixture: path below `tests/golden` -> text."""
    made: dict[str, str] = {}
    for part in (
        contract_files, golden_checks, pixel_vectors, orientation_vectors, top_k_vectors,
        statistics_vectors, downsample_vectors, benchmark_files,
    ):  # fmt: skip
        made.update(part())
    return made


def write(folder: Path) -> list[Path]:
    """Write all fixtures below `folder`; return their paths."""
    written = []
    for name, text in golden_files().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
        written.append(path)
    return written


if __name__ == "__main__":
    for golden_path in write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER):
        sys.stdout.write(f"{golden_path}\n")
