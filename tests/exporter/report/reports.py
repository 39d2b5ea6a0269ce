"""Reports with something in every field, for the tests of the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from exporter.image.preprocess import PreprocessingDifference
from exporter.notes import Note
from exporter.progress import Step
from exporter.report.golden import GoldenView, Judged, golden_views
from exporter.report.report import (
    EpochView,
    Histogram,
    LayerView,
    Report,
    SizeRow,
    TrainingView,
)
from runtime_check.artifact.metadata import LedgerRow, Metadata, ToleranceSpec

STAGES = ("eager fp32", "prepared", "captured", "optimized", "saved + reloaded")
PHOTO = np.zeros((6, 9, 3), np.uint8)


def ledger(**saved: Any) -> list[LedgerRow]:
    rows = [LedgerRow(stage=stage) for stage in STAGES]
    rows[0] = LedgerRow(stage=STAGES[0], inputs=5, ms=23.36, mb=18.776)
    rows[1] = LedgerRow(stage=STAGES[1], inputs=5, max_abs=0.0, top1=1.0, top5=1.0, ms=21.4)
    rows[4] = LedgerRow(stage=STAGES[4], inputs=5, **saved)
    return rows


SAVED = {"max_abs": 1.356e-6, "sqnr_db": 111.21, "top1": 0.9996, "top5": 1.0, "ms": 30.5}


def image_input(height: int = 32, width: int = 48) -> dict[str, Any]:
    """A photo that is stretched to what the network sees."""
    geometry = {
        "resize": "stretch",
        "resize_height": height,
        "resize_width": width,
        "network_height": height,
        "network_width": width,
        "rounding": "even",
    }
    return {"kind": "image", "min_side": 8, "max_side": 8192, "geometry": geometry}


def views(
    meta: Metadata,
    *sides: tuple[list[np.ndarray], list[np.ndarray]],
    photo: np.ndarray | None = PHOTO,
) -> list[GoldenView]:
    """Golden views of inputs named cat, dog, ...; `sides` are eager's outputs and the file's."""
    names = ("cat", "dog", "eel")
    return golden_views(
        meta,
        [
            Judged(name=name, photo=photo, expected=expected, actual=actual)
            for name, (expected, actual) in zip(names, sides, strict=False)
        ],
    )


def metadata(**changes: Any) -> Metadata:
    """A file's metadata with something in every field."""
    tensor = {"name": "logits", "shape": [3], "axes": ["classes"], "holds": "probabilities"}
    fields: dict[str, Any] = {
        "name": "small_net",
        "task": "image-classification",
        "task_basis": "[1, 3], as many as labels",
        "input": image_input(),
        "preprocessing": {
            "input_size": (3, 32, 48),
            "interpolation": "bicubic",
            "crop_pct": 0.875,
            "crop_mode": "center",
            "mean": (0.485, 0.456, 0.406),
            "std": (0.229, 0.224, 0.225),
            "in_graph": True,
        },
        "output": {
            "returned": "tensor",
            "tensors": [tensor],
            "added": [{"output": 0, "function": "softmax", "axis": 1}],
            "labels": ["ant", "bee", "cat"],
        },
        "quantization": {},
        "capture": {"method": "mixed", "reason": "a branch", "scripted_modules": ["head.gate"]},
        "passes": [
            {"name": "fold-batch-norm", "stage": "prepare", "effect": "49 batch norms folded"},
            {"name": "fuse-add-relu", "stage": "optimize", "effect": "left out: it changed them"},
        ],
        "produced_by": {
            "exporter": "0.1.0",
            "torch": "2.12.1",
            "timm": "1.0.31",
            "bytecode_version": 8,
        },
        "operators": {"aten::add.Tensor": 9, "prepacked::conv2d_clamp_run": 49, "mine::special": 1},
        "runtimes": [
            {
                "runtime": "pytorch-2.1.0",
                "compatible": True,
                "how": "executed",
                "detail": "5 golden cases",
            },
            {
                "runtime": "pytorch-1.13.1",
                "compatible": False,
                "how": "operator-table",
                "detail": "mine::special is missing",
            },
        ],
        "provenance": {
            "source": "timm",
            "model": "small_net",
            "weights": {"origin": "file", "detail": "w.safetensors", "sha256": "a1" * 32},
        },
        "tolerance": {"atol": 3.09e-4, "rtol": 0.0, "basis": "16 x 1.93e-05 over 5 inputs"},
        "ledger": [row.model_dump() for row in ledger(**SAVED)],
    }
    return Metadata.model_validate({**fields, **changes})


def report(meta: Metadata | None = None, **changes: Any) -> Report:
    meta = meta or metadata()
    fields: dict[str, Any] = {
        "metadata": meta,
        "file": f"{meta.name}.ptl",
        "file_bytes": 18_780_648,
        "file_sha256": "f5" * 32,
        "ledger": meta.ledger,
        "load_ms": 22.56,
        "peak_mb": 1029.25,
        "steps": [Step(name="source", seconds=2.07)],
        "weights": None,
        "training": None,
        "layers": [],
        "layer_types": [SizeRow(kind="Conv2d", count=49, bytes=13_400_000)],
        "parts": [SizeRow(kind="weights", count=101, bytes=18_524_012)],
        "histogram": Histogram(edges=[1e-8, 1e-7, 1e-6, 1e-5], counts=[149, 14, 2], zeros=75),
        "golden": [],
        "preprocessing": PreprocessingDifference(
            images=3, max_levels=1.0, mean_levels=2.6e-4, differing=2.6e-4
        ),
        "skipped": [],
        "calibration": None,
        "notes": [Note("repair", "froze the module first (x)")],
    }
    return Report(**{**fields, **changes})


def classifier() -> Report:
    """A classifier of photos, with something in every field."""
    meta = metadata()
    expected, actual = np.float32([0.1, 0.2, 0.7]), np.float32([0.1, 0.2001, 0.6999])
    return report(meta, golden=views(meta, ([expected], [actual])))


def unverified() -> Report:
    rows = [*ledger()[:4], LedgerRow(stage=STAGES[4], note="NOT VERIFIED (--no-verify)")]
    return report(
        metadata(ledger=rows),
        ledger=rows[:4],
        load_ms=None,
        peak_mb=None,
        histogram=None,
        golden=[],
    )


def random_weights() -> Report:
    weights = {"origin": "random", "detail": "RANDOM, untrained (seed 0)", "sha256": "0" * 64}
    return report(
        metadata(provenance={"source": "timm", "model": "small_net", "weights": weights}),
        notes=[Note("random-weights", "RANDOM WEIGHTS: this file computes nothing useful.")],
    )


def int8() -> Report:
    """Int8 by QAT, with labeled data, and branches frozen."""
    rows = ledger(**{**SAVED, "max_abs": 0.02, "accuracy": 0.8212})
    rows[0] = rows[0].model_copy(update={"accuracy": 0.8265})
    layer = {"weights": "int8 per_channel", "parameters": 432}
    return report(
        metadata(
            ledger=rows,
            quantization={
                "method": "qat",
                "mode": "fx",
                "engine": "qnnpack",
                "scheme": "xnnpack",
                "int8_layers": 1,
                "float_layers": ["stem.conv"],
            },
            tolerance={"atol": 0.01, "rtol": 0.0, "basis": "2 steps", "step": 0.0039},
            capture={"method": "trace", "reason": "forced", "specialized": ["net.py:3 `if x > 0`"]},
        ),
        training=TrainingView(
            metric="accuracy",
            images=500,
            before=0.781,
            float32=0.8265,
            epochs=[EpochView(epoch=n, loss=1.5 / n, score=0.8 + n / 100) for n in (1, 2, 3)],
            best_epoch=2,
        ),
        layers=[
            LayerView(name="body.conv", kind="Conv2d", int8=True, kernel_steps=0.0123, **layer),
            LayerView(name="stem.conv", kind="Conv2d", int8=False, why_float="asked for", **layer),
        ],
    )


def features() -> Report:
    """A bare feature extractor: maps out, no task, nothing in the graph, no difference at all."""
    tensors = [
        {"name": name, "shape": [1, 8, 4, 4], "axes": ["N", "C", "H", "W"]}
        for name in ("stem", "body")
    ]
    maps = [np.ones((1, 8, 4, 4), np.float32)] * 2
    meta = metadata(
        task=None,
        task_basis="nothing shows what it is for; --task says it",
        input={
            "kind": "tensor",
            "tensors": [{"name": "x", "shape": [1, 3, 4, 4]}],
            "dynamic_batch": False,
        },
        output={"returned": "list", "labels": None, "tensors": tensors},
        preprocessing=None,
        passes=[],
        runtimes=[],
        ledger=ledger(max_abs=0.0),
    )
    return report(
        meta,
        preprocessing=None,
        golden=views(meta, (maps, maps), (maps, maps), photo=None),
        histogram=Histogram(edges=[], counts=[], zeros=1280),
        layer_types=[],
    )


def _task(task: str, tensors: list[dict[str, Any]], figures: dict[str, Any]) -> Metadata:
    """Metadata of another task, whose rows have no figures but its own."""
    rows = [row.model_copy(update={"top1": None, "top5": None}) for row in ledger(**figures)]
    return metadata(
        task=task,
        task_basis="it was told",
        output={
            "returned": "tensor" if len(tensors) == 1 else "list",
            "tensors": tensors,
            "labels": ["ant", "bee", "cat"] if task != "image-regression" else None,
        },
        ledger=rows,
        input=image_input(2, 3),
    )


def segmentation() -> Report:
    """Scores of three classes over a picture of 2 x 3 cells, and an area beside."""
    meta = _task(
        "image-segmentation",
        [
            {"name": "mask", "shape": [3, 2, 3], "axes": ["C", "H", "W"], "holds": "scores",
             "space": "network"},
            {"name": "area", "shape": [8], "axes": ["features"], "unit": "m2"},
        ],
        {"max_abs": 1e-6, "pixels": 0.9987, "miou": 0.9876},
    )  # fmt: skip
    meta = meta.model_copy(
        update={"tolerance": ToleranceSpec(atol=3e-4, outputs=[3e-4, 2e-5], rtol=0, basis="x")}
    )
    scores = np.zeros((3, 2, 3), np.float32)
    scores[1, 0, 0], scores[2, 1, 2] = 1, 1
    area = np.arange(8, dtype=np.float32)
    return report(meta, golden=views(meta, ([scores, area], [scores, area])))


def embeddings() -> Report:
    """Vectors of three inputs at right angles, or at half of one."""
    tensor = {"name": "vector", "shape": [2], "axes": ["features"], "holds": "embedding"}
    meta = _task("image-feature-extraction", [tensor], {"max_abs": 1e-6, "cosine": 0.99999999})
    vectors = [np.float32(v) for v in ([1, 0], [0, 2], [3, 3])]
    return report(meta, golden=views(meta, *[([v], [v]) for v in vectors]))


def depths() -> Report:
    """A map of depths in meters."""
    tensor = {"name": "depth", "shape": [1, 2, 3], "axes": ["1", "H", "W"], "holds": "depth",
              "unit": "meters", "space": "network"}  # fmt: skip
    meta = _task("depth-estimation", [tensor], {"max_abs": 1e-6})
    near = np.float32([[[1, 2, 3], [4, 5, 6]]])
    return report(meta, golden=views(meta, ([near], [near])))


def detections() -> Report:
    """Two boxes with scores and classes."""
    meta = _task(
        "object-detection",
        [
            {"name": "boxes", "shape": [2, 4], "axes": ["boxes", "4"], "holds": "boxes",
             "space": "network", "varies": True},
            {"name": "scores", "shape": [2], "axes": ["boxes"], "holds": "probabilities",
             "varies": True},
            {"name": "labels", "shape": [2], "axes": ["boxes"], "holds": "class_index",
             "dtype": "int64", "varies": True},
        ],
        {"max_abs": 1e-6, "boxes": 0.75},
    )  # fmt: skip
    found = [np.float32([[0, 0, 2, 1], [1, 1, 3, 2]]), np.float32([0.9, 0.2]), np.int64([2, 1])]
    return report(meta, golden=views(meta, (found, found)))


def points() -> Report:
    """Three key points with scores, the last of them not sure."""
    tensor = {"name": "points", "shape": [3, 3], "axes": ["points", "3"], "holds": "keypoints",
              "space": "network"}  # fmt: skip
    meta = _task("keypoint-detection", [tensor], {"max_abs": 1e-6})
    found = np.float32([[0.5, 0.5, 0.9], [1.5, 1, 0.8], [2.5, 1.5, 0.1]])
    return report(meta, golden=views(meta, ([found], [found])))


def image_to_image() -> Report:
    """A picture of 2 x 3 with levels from 0 to 1."""
    tensor = {"name": "better", "shape": [3, 2, 3], "axes": ["C", "H", "W"], "holds": "image",
              "space": "network"}  # fmt: skip
    meta = _task("image-to-image", [tensor], {"max_abs": 1e-6})
    picture = np.linspace(0, 1, 18, dtype=np.float32).reshape(3, 2, 3)
    return report(meta, golden=views(meta, ([picture], [picture])))


def regression() -> Report:
    """One number with a unit."""
    tensor = {"name": "age", "shape": [1], "axes": ["features"], "unit": "years"}
    meta = _task("image-regression", [tensor], {"max_abs": 1e-6})
    ages = [np.float32([41.5])], [np.float32([41.25])]
    return report(meta, golden=views(meta, ages))


CASES: dict[str, Callable[[], Report]] = {
    "image": classifier,
    "unverified": unverified,
    "random": random_weights,
    "int8": int8,
    "features": features,
    "segmentation": segmentation,
    "embeddings": embeddings,
    "depths": depths,
    "detections": detections,
    "points": points,
    "image_to_image": image_to_image,
    "regression": regression,
    "outside": lambda: report(metadata(ledger=ledger(max_abs=0.02))),
}
