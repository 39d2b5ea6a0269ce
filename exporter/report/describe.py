"""What a file says of itself, and its report says of it: metadata, golden vectors, figures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

import runtime_check.artifact.metadata as contract
from runtime_check.artifact.archive import ArtifactFile, read_artifact
from runtime_check.artifact.metadata import LedgerRow, Metadata
from runtime_check.reference.weights import file_sha256

from ..environment import version_of
from ..image.preprocess import MAX_ASPECT, MAX_SIDE, MIN_SIDE, measure_preprocessing
from ..image.samples import PHOTOS, golden_images, photo
from ..lower.lower import Expected, Shippable
from ..notes import Note
from ..plan import Task
from ..progress import Step
from ..quantize.step import QuantizedNetwork
from ..rewrites.prepare import Prepared
from ..verify import DeviceVerified, stack
from .report import (
    PreprocessingView,
    Report,
    golden_view,
    histogram,
    layer_sizes,
    part_sizes,
)


def golden_vectors(task: Task, expected: Expected) -> contract.Golden:
    """Return inputs and what the file has to give for them, to be replayed on a phone."""
    cases = [
        contract.GoldenCase(
            name=sample.name,
            inputs=[contract.TensorData.of(t.numpy()) for t in sample.inputs],
            expected=[contract.TensorData.of(t.numpy()) for t in outputs],
        )
        for sample, outputs in zip(task.samples, expected.outputs, strict=True)
    ]
    if task.preprocess is None:
        # Bare networks take megabytes an input; two are enough to prove parity on a phone.
        cases = cases[1:3]
    return contract.Golden(tolerance=expected.phone, cases=cases)


def metadata_of(
    task: Task,
    prepared: Prepared,
    shipped: Shippable,
    quantization: contract.Quantization,
    spec: contract.ToleranceSpec,
    ledger: Sequence[LedgerRow],
    reference: Sequence[Sequence[Tensor]],
    ran: DeviceVerified | None,
) -> Metadata:
    """Say what the file takes and gives, and how it was made and checked."""
    captured, bytecode = shipped.captured, shipped.lite.bytecode
    given: contract.ImageInput | contract.TensorInput
    if task.preprocess is not None:
        given = contract.ImageInput(min_side=MIN_SIDE, max_side=MAX_SIDE, max_aspect=MAX_ASPECT)
    else:
        tensors = [contract.TensorSpec(shape=list(task.source.input_shape))]
        given = contract.TensorInput(tensors=tensors, dynamic_batch=shipped.dynamic_batch)
    rows = [row.model_copy(update={"ms": None}) for row in ledger]
    if shipped.checked is None:
        rows.append(LedgerRow(stage="saved + reloaded", note="NOT VERIFIED (--no-verify)"))
    verdicts = [
        contract.RuntimeVerdict(
            runtime=v.runtime,
            compatible=bool(v),
            how="operator-table",
            detail="; ".join(map(str, v.missing))
            or f"all {len(bytecode.operators)} operators are there, bytecode {bytecode.version}",
        )
        for v in shipped.verdicts
    ]
    if ran is not None:
        executed = contract.RuntimeVerdict(
            runtime=ran.runtime, compatible=True, how="executed", detail=str(ran.comparison)
        )
        verdicts.append(executed)
    return Metadata(
        name=task.source.name,
        input=given,
        preprocessing=task.preprocessing,
        output=contract.Output(
            activation=task.activation,
            labels=list(task.source.labels) if task.source.labels is not None else None,
            tensors=[
                contract.TensorSpec.model_validate(
                    {"shape": list(t.shape), "dtype": str(t.dtype).removeprefix("torch.")}
                )
                for t in reference[0]
            ],
        ),
        quantization=quantization,
        capture=contract.Capture(
            method=captured.method,
            reason=captured.reason,
            scripted_modules=list(captured.scripted_modules),
            specialised=[_portable(str(branch)) for branch in captured.specialised],
        ),
        passes=[*prepared.passes, *shipped.optimized.passes],
        produced_by=contract.ProducedBy(
            exporter=version_of("torch-mobile-export") or "unknown",
            torch=str(torch.__version__),
            timm=version_of("timm"),
            bytecode_version=bytecode.version,
        ),
        operators=bytecode.calls,
        runtimes=verdicts,
        provenance=task.source.provenance,
        tolerance=spec,
        # Times belong to the machine, not to the model: the same input gives the same bytes.
        ledger=rows,
    )


def _portable(text: str) -> str:
    """Shorten absolute paths in a branch's description: the artifact holds no machine paths."""
    return re.sub(r"(?:[A-Za-z]:)?[\\/](?:[^\\/:,]+[\\/])+", "", text)


def report_of(
    task: Task,
    target: Path,
    metadata: Metadata,
    ledger: Sequence[LedgerRow],
    steps: Sequence[Step],
    reference: Sequence[Sequence[Tensor]],
    prepared: Prepared,
    shipped: Shippable,
    network: QuantizedNetwork,
) -> Report:
    """Read the written file again and gather all that its report shows."""
    checked = shipped.checked
    file: ArtifactFile = read_artifact(target)
    images = golden_images() if task.preprocess is not None else {}
    views, errors, preprocessing = [], None, None
    if checked is not None:
        for sample, wanted, got in zip(task.samples, reference, checked.outputs, strict=True):
            views.append(
                golden_view(
                    sample.name,
                    images.get(sample.name),
                    wanted[0].numpy(),
                    got[0],
                    metadata.output.labels,
                )
            )
        errors = histogram(stack(reference), stack(checked.outputs))
    if task.preprocess is not None and metadata.preprocessing is not None:
        difference = measure_preprocessing(
            metadata.preprocessing, [photo(name) for name in PHOTOS], preprocess=task.preprocess
        )
        preprocessing = PreprocessingView(**difference.__dict__)
    notes = [Note("repair", text) for text in shipped.optimized.repairs]
    notes += network.notes
    notes += [Note("rejected-capture", text) for text in shipped.rejected]
    if metadata.provenance.weights.origin == "random":
        warning = "RANDOM WEIGHTS: this file computes nothing useful, only sizes and speed."
        notes.insert(0, Note("random-weights", warning))
    if task.preprocess is None and not shipped.dynamic_batch and task.networks[0].shape[0] == 1:
        notes.append(Note("batch", "the batch dimension is fixed at 1"))
    return Report(
        metadata=metadata,
        file=target.name,
        file_bytes=target.stat().st_size,
        file_sha256=file_sha256(target),
        ledger=list(ledger),
        load_ms=checked.load_milliseconds if checked else None,
        peak_mb=checked.peak_bytes / 1e6 if checked else None,
        steps=list(steps),
        layers=layer_sizes(prepared.module),
        parts=part_sizes([(r.name, r.size) for r in file.records], file.bytes),
        histogram=errors,
        golden=views,
        preprocessing=preprocessing,
        notes=notes,
    )
