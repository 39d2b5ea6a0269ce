"""The tiny model of the fixtures: its forward, its metadata, its golden vectors."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np

from runtime_check.artifact.geometry import Geometry
from runtime_check.artifact.metadata import (
    Capture,
    Golden,
    GoldenCase,
    ImageInput,
    LedgerRow,
    Metadata,
    Output,
    OutputTensor,
    Pass,
    Preprocessing,
    ProducedBy,
    Provenance,
    Quantization,
    RuntimeVerdict,
    SampledData,
    Step,
    TensorData,
    ToleranceSpec,
    Weights,
)

LABELS = ["amber", "beech, beech tree", "clay", "dew", "Größe ü 猫"]
TOLERANCE = ToleranceSpec(atol=1e-5, rtol=0.0, basis="16 x max|float32 - float64| over 2 inputs")
GEOMETRY = Geometry(
    resize="cover", resize_height=4, resize_width=4, network_height=4, network_width=4,
    rounding="down",
)  # fmt: skip

Json = Any


def tiny_forward(image: np.ndarray) -> np.ndarray:
    """Compute the tiny model: class c gets the share of the bytes at flat index = c (mod 5).

    `image` is uint8, H x W x 3; the result is float32, 5 numbers. Sums are whole numbers below 2^24
    and the division is float32's own, so a fake runtime in any language gives the same bits.
    """
    flat = image.astype(np.int64).ravel()
    sums = np.array([flat[c :: len(LABELS)].sum() for c in range(len(LABELS))])
    return sums.astype(np.float32) / np.float32(sums.sum())


def image_of(height: int, width: int, seed: int) -> np.ndarray:
    """Draw a uint8 image, height x width x 3."""
    values = random.Random(seed)
    return np.array(
        [values.randrange(256) for _ in range(height * width * 3)], dtype=np.uint8
    ).reshape(height, width, 3)


def tiny_metadata() -> Metadata:
    """Describe the tiny model, every field filled."""
    return Metadata(
        name="tiny",
        task="image-classification",
        task_basis="a row of numbers for each photo, softmax applied",
        input=ImageInput(
            min_side=2,
            max_side=64,
            max_aspect=8,
            geometry=GEOMETRY,
        ),
        preprocessing=Preprocessing(
            input_size=(3, 4, 4),
            interpolation="bicubic",
            crop_pct=0.875,
            crop_mode="center",
            mean=(0.5, 0.5, 0.5),
            std=(0.5, 0.5, 0.5),
            in_graph=True,
        ),
        output=Output(
            returned="tensor",
            tensors=[
                OutputTensor(name="logits", shape=[5], axes=["classes"], holds="probabilities")
            ],
            added=[Step(output=0, function="softmax", axis=1)],
            labels=LABELS,
        ),
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
    """Three images and what the tiny model makes of them; of the last, every other value."""
    cases = []
    for name, image, most in (
        ("wide", image_of(4, 6, 1), 5),
        ("tall", image_of(7, 3, 2), 5),
        ("sampled", image_of(5, 5, 3), 3),
    ):
        cases.append(
            GoldenCase(
                name=name,
                inputs=[TensorData.of(image)],
                expected=[SampledData.sampled(tiny_forward(image), most, seed=1)],
            )
        )
    return Golden(tolerance=TOLERANCE, cases=cases)


def text(value: Json) -> str:
    """Lay out a fixture; ends with a newline."""
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
