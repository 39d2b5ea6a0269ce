"""Reports with something in every field, for the tests of the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from exporter.image.preprocess import PreprocessingDifference
from exporter.notes import Note
from exporter.progress import Step
from exporter.report.report import (
    EpochView,
    Histogram,
    LayerView,
    Report,
    SizeRow,
    TrainingView,
    golden_view,
)
from runtime_check.artifact.metadata import LedgerRow, Metadata

STAGES = ("eager fp32", "prepared", "captured", "optimized", "saved + reloaded")
PHOTO = np.zeros((6, 9, 3), np.uint8)


def ledger(**saved: Any) -> list[LedgerRow]:
    rows = [LedgerRow(stage=stage) for stage in STAGES]
    rows[0] = LedgerRow(stage=STAGES[0], inputs=5, ms=23.36, mb=18.776)
    rows[1] = LedgerRow(stage=STAGES[1], inputs=5, max_abs=0.0, top1=1.0, top5=1.0, ms=21.4)
    rows[4] = LedgerRow(stage=STAGES[4], inputs=5, **saved)
    return rows


SAVED = {"max_abs": 1.356e-6, "sqnr_db": 111.21, "top1": 0.9996, "top5": 1.0, "ms": 30.5}


def metadata(**changes: Any) -> Metadata:
    """A file's metadata with something in every field."""
    tensor = {"shape": [3], "dtype": "float32"}
    fields: dict[str, Any] = {
        "name": "small_net",
        "input": {"kind": "image", "min_side": 8, "max_side": 8192},
        "preprocessing": {
            "input_size": (3, 32, 48),
            "interpolation": "bicubic",
            "crop_pct": 0.875,
            "crop_mode": "center",
            "mean": (0.485, 0.456, 0.406),
            "std": (0.229, 0.224, 0.225),
            "in_graph": True,
        },
        "output": {"activation": "softmax", "labels": ["ant", "bee", "cat"], "tensors": [tensor]},
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
    expected, actual = np.float32([0.1, 0.2, 0.7]), np.float32([0.1, 0.2001, 0.6999])
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
        "golden": [golden_view("cat", PHOTO, expected, actual, meta.output.labels)],
        "preprocessing": PreprocessingDifference(
            images=3, max_levels=1.0, mean_levels=2.6e-4, differing=2.6e-4
        ),
        "skipped": [],
        "calibration": None,
        "notes": [Note("repair", "froze the module first (x)")],
    }
    return Report(**{**fields, **changes})


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
    """A feature extractor: maps out, no classes, nothing in the graph, no difference at all."""
    tensors = [{"shape": [1, 8, 4, 4], "dtype": "float32"}] * 2
    maps = np.ones((1, 8, 4, 4))
    return report(
        metadata(
            input={"kind": "tensor", "tensors": tensors[:1], "dynamic_batch": False},
            output={"activation": "none", "labels": None, "tensors": tensors},
            preprocessing=None,
            passes=[],
            runtimes=[],
            ledger=ledger(max_abs=0.0),
        ),
        preprocessing=None,
        golden=[golden_view(name, None, maps, maps, None) for name in "ab"],
        histogram=Histogram(edges=[], counts=[], zeros=1280),
        layer_types=[],
    )


CASES: dict[str, Callable[[], Report]] = {
    "image": report,
    "unverified": unverified,
    "random": random_weights,
    "int8": int8,
    "features": features,
    "outside": lambda: report(metadata(ledger=ledger(max_abs=0.02))),
}
