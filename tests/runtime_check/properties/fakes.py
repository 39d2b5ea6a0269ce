"""A model in a few lines of numpy, a file that computes it, and a runtime that misbehaves on cue.

The reference is written here by hand: mean of each channel, times a weight, and no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from runtime_check.artifact.archive import ArtifactFile, read_artifact
from runtime_check.artifact.metadata import (
    Golden,
    GoldenCase,
    ImageInput,
    LedgerRow,
    Output,
    SampledData,
    TensorData,
)
from runtime_check.properties.allowance import allowance_of
from runtime_check.properties.base import Check
from runtime_check.reference.reference import Reference
from runtime_check.reference.rounding import Rounding
from runtime_check.runtime import Supervised
from runtime_check.runtimes.run import Run

from ...stated import GEOMETRY, stated_output

Answer = Callable[[Sequence[np.ndarray]], list[np.ndarray]]
WEIGHTS = np.array([1.0, -2.0, 3.0], np.float32)


def honest(inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Compute what the file should: `[N, 3, 8, 8]` to `[N, 3]`."""
    return [(inputs[0].mean((2, 3), dtype=np.float64) * WEIGHTS).astype(np.float32)]


def photo_input(**bounds: int) -> ImageInput:
    """What a file states that takes photos of these sizes."""
    return ImageInput.model_validate({"geometry": GEOMETRY, **bounds})


class Mean(nn.Module):
    """The same in torch, as the reference runs it."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3)) * torch.from_numpy(WEIGHTS).to(x.dtype)


class Scripted:
    """A runtime that answers honestly, but raises or answers otherwise at calls of its choice."""

    name, description, engine = "scripted", "a fake", "none"
    load_seconds, load_peak_bytes = 0.0, 0

    def __init__(self, answer: Callable[[int, Sequence[np.ndarray]], list[np.ndarray]]) -> None:
        self.answer = answer
        self.calls = 0
        self.costly = False

    def forward(self, inputs: Sequence[np.ndarray], *, threads: int = 1, repeats: int = 1) -> Run:
        self.calls += 1
        return Run(outputs=self.answer(self.calls - 1, inputs), seconds=(0.0,) * repeats)


def artifact_of(path: Path) -> ArtifactFile:
    """Take a good file's metadata, and state for it what `honest` computes."""
    made = read_artifact(path)
    rng = np.random.default_rng(0)
    cases = []
    for index in range(3):
        given = rng.standard_normal((1, 3, 8, 8)).astype(np.float32)
        cases.append(
            GoldenCase(
                name=f"case-{index}",
                inputs=[TensorData.of(given)],
                expected=[SampledData.of(honest([given])[0])],
            )
        )
    tolerance = made.metadata.tolerance.model_copy(update={"atol": 1e-5, "rtol": 0.0})
    tensor = made.metadata.input.tensors[0].model_copy(update={"shape": [1, 3, 8, 8]})  # type: ignore[union-attr]
    spec = made.metadata.input.model_copy(update={"tensors": [tensor]})
    output = Output.model_validate(stated_output(([1, 3], "float32")))
    metadata = made.metadata.model_copy(
        update={"input": spec, "output": output, "tolerance": tolerance}
    )
    return replace(made, metadata=metadata, golden=Golden(tolerance=tolerance, cases=cases))


@contextmanager
def a_check(
    path: Path,
    folder: Path,
    answer: Callable[[int, Sequence[np.ndarray]], list[np.ndarray]] = lambda _, x: honest(x),
    **changes: Any,
) -> Iterator[Check]:
    """Yield a check of `honest` against `Mean`, run by a runtime that answers as it is told."""
    artifact = artifact_of(path)
    network = Mean().eval()
    reference = Reference(name="mean", network=network, metadata=artifact.metadata)
    rounding = Rounding(raw=(1e-6,), finished=(1e-6,), basis="by hand")
    fake = Scripted(answer)
    with Supervised(lambda: nullcontext(fake)) as runtime:
        check = Check(
            artifact=artifact,
            file=path,
            runtime=runtime,
            reference=reference,
            allowance=allowance_of(artifact.metadata, artifact.golden, rounding),
            examples=8,
            folder=folder,
        )
        yield replace(check, **changes)


def stating(
    check: Check,
    *rows: LedgerRow,
    activation: str = "none",
    method: str = "none",
    outputs: Sequence[tuple[Sequence[int], str]] | None = None,
) -> Check:
    """The check of a file whose metadata state this; `outputs` are shapes and dtypes."""
    stated = check.metadata
    if outputs is None:
        outputs = [(tensor.shape, tensor.dtype) for tensor in stated.output.tensors]
    metadata = stated.model_copy(
        update={
            "ledger": list(rows),
            "output": Output.model_validate(stated_output(*outputs, activation=activation)),
            "quantization": stated.quantization.model_copy(update={"method": method}),
        }
    )
    reference = check.reference
    if reference is not None:
        reference = replace(reference, metadata=metadata)
    return replace(check, artifact=replace(check.artifact, metadata=metadata), reference=reference)
