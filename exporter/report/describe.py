"""What a file says of itself, and its report says of it: metadata and figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch

import runtime_check.artifact.metadata as contract
from runtime_check.artifact.archive import ArtifactFile, read_artifact
from runtime_check.artifact.metadata import GOLDEN_RECORD, SAVED_STAGE, LedgerRow, Metadata
from runtime_check.files import file_sha256

from .. import __version__
from ..environment import version_of
from ..expected import Expected
from ..image.folders import SkippedImages
from ..image.preprocess import (
    COLORS,
    MAX_ASPECT,
    MIN_SIDE,
    PreprocessingDifference,
    measure_preprocessing,
)
from ..image.samples import PHOTOS, in_channels, photo
from ..lower.lowered import Lowered, portable
from ..notes import Note
from ..outputs import stack
from ..package.archive import LiteFile
from ..package.program import ProgramFile
from ..plan import Plan
from ..progress import Clock
from ..quantize.evaluate import Accuracy
from ..quantize.qat import Trained
from ..quantize.step import QuantizedNetwork
from ..rewrites import PassEffect, Rewritten
from ..verify import Verified
from .golden import Judged, golden_views
from .ledger import Ledger
from .outputs import task_line
from .report import (
    EpochView,
    LayerView,
    Report,
    TrainingView,
    histogram,
    layer_sizes,
    part_sizes,
)
from .vectors import MOST_GOLDEN


def metadata_of(
    plan: Plan,
    expected: Expected,
    prepared: Rewritten,
    network: QuantizedNetwork,
    lowered: Lowered,
    ledger: Ledger,
    ran: Verified | None,
) -> Metadata:
    """Say what the file takes and gives, and how it was made and checked.

    `ran` is the run on a device runtime, where one was asked for.
    """
    file = lowered.file
    return Metadata(
        name=plan.source.name,
        format="pte" if isinstance(file, ProgramFile) else "ptl",
        program=_program(file) if isinstance(file, ProgramFile) else None,
        task=plan.meaning.task,
        task_basis=plan.meaning.basis,
        input=_input(plan, lowered),
        preprocessing=plan.preprocessing,
        output=plan.described(ledger.eager[0]),
        quantization=network.described,
        capture=lowered.capture,
        passes=[
            *_passes("prepare", prepared.effects),
            *_passes("optimize", lowered.effects),
        ],
        produced_by=_produced_by(file),
        operators=dict(file.operators),
        runtimes=_verdicts(lowered, ran),
        provenance=plan.source.provenance,
        tolerance=expected.phone,
        ledger=_rows(lowered, ledger),
    )


def _program(file: ProgramFile) -> contract.Program:
    return contract.Program(bytes=file.bytes, sha256=file.sha256, methods=list(file.methods))


def _produced_by(file: LiteFile | ProgramFile) -> contract.ProducedBy:
    return contract.ProducedBy(
        exporter=__version__,
        torch=str(torch.__version__),
        timm=version_of("timm"),
        bytecode_version=file.bytecode.version if isinstance(file, LiteFile) else None,
        executorch=file.executorch if isinstance(file, ProgramFile) else None,
    )


def _passes(
    stage: Literal["prepare", "optimize"], effects: Mapping[str, PassEffect]
) -> list[contract.Pass]:
    return [
        contract.Pass(name=name, stage=stage, effect=str(effect))
        for name, effect in effects.items()
    ]


def _input(plan: Plan, lowered: Lowered) -> contract.ImageInput | contract.TensorInput:
    if plan.preprocess is None:
        return contract.TensorInput(
            tensors=list(plan.source.takes), dynamic_batch=lowered.dynamic_batch
        )
    return contract.ImageInput(
        color=COLORS[plan.preprocess.channels],
        min_side=MIN_SIDE,
        max_side=plan.preprocess.max_side,
        max_aspect=MAX_ASPECT,
        geometry=plan.preprocess.geometry(),
    )


def _verdicts(lowered: Lowered, ran: Verified | None) -> list[contract.RuntimeVerdict]:
    verdicts = []
    if isinstance(lowered.file, LiteFile):  # whose operators can be looked up
        there = f"all {len(lowered.file.bytecode.operators)} operators are there"
        verdicts = [
            contract.RuntimeVerdict(
                runtime=verdict.runtime,
                compatible=bool(verdict),
                how="operator-table",
                detail=portable("; ".join(map(str, verdict.missing)))
                or f"{there}, bytecode {lowered.file.bytecode.version}",
            )
            for verdict in lowered.verdicts
        ]
    if ran is not None:
        executed = contract.RuntimeVerdict(
            runtime=ran.runtime, compatible=True, how="executed", detail=str(ran.comparison)
        )
        verdicts.append(executed)
    return verdicts


def _rows(lowered: Lowered, ledger: Ledger) -> list[LedgerRow]:
    """The ledger without times: they belong to the machine, and the same input gives the same
    bytes."""
    rows = [row.model_copy(update={"ms": None}) for row in ledger.rows]
    if lowered.verified is None:
        rows.append(LedgerRow(stage=SAVED_STAGE, note="NOT VERIFIED (--no-verify)"))
    return rows


def report_of(
    plan: Plan,
    path: Path,
    metadata: Metadata,
    prepared: Rewritten,
    network: QuantizedNetwork,
    lowered: Lowered,
    ledger: Ledger,
    clock: Clock,
    told: Sequence[Note] = (),
) -> Report:
    """Read the written file at `path` again and gather all that its report shows.

    `told` are notes of the steps that have no result of their own here.
    """
    file: ArtifactFile = read_artifact(path)
    verified = lowered.verified
    return Report(
        metadata=metadata,
        file=path.name,
        file_bytes=path.stat().st_size,
        file_sha256=file_sha256(path),
        ledger=ledger.rows,
        load_ms=verified.load_milliseconds if verified else None,
        peak_mb=verified.peak_bytes / 1e6 if verified and verified.peak_bytes else None,
        steps=clock.steps,
        weights=plan.source.read,
        training=_training(network.trained),
        layers=[LayerView(**vars(layer)) for layer in network.layers],
        layer_types=layer_sizes(prepared.module),
        parts=part_sizes(
            [(r.name, r.stored) for r in file.records], file.bytes, program=file.program_bytes
        ),
        histogram=histogram(stack(ledger.eager), stack(verified.outputs)) if verified else None,
        golden=golden_views(metadata, _judged(plan, verified, ledger)) if verified else [],
        preprocessing=_preprocessing(plan),
        skipped=_skipped(plan, network),
        calibration=network.calibration,
        notes=[
            *told,
            *_notes(plan, metadata, network, lowered),
            *_golden_note(file),
            *_signature_note(file),
        ],
    )


def _judged(plan: Plan, verified: Verified, ledger: Ledger) -> list[Judged]:
    return [
        Judged(
            name=sample.name,
            photo=sample.inputs[0].numpy() if plan.preprocess is not None else None,
            expected=[output.numpy() for output in eager],
            actual=actual,
        )
        for sample, eager, actual in zip(plan.samples, ledger.eager, verified.outputs, strict=True)
    ]


def _training(trained: Trained | None) -> TrainingView | None:
    if trained is None:
        return None
    before = trained.before
    labeled = before.accuracy is not None

    def score(measured: Accuracy) -> float | None:
        if before.agreement is None:  # values, not classes
            quality = measured.sqnr_db
            return quality if quality is not None and math.isfinite(quality) else None
        return measured.accuracy if labeled else measured.agreement

    counted: Literal["accuracy", "agreement"] = "accuracy" if labeled else "agreement"
    return TrainingView(
        metric="sqnr_db" if before.agreement is None else counted,
        images=before.images,
        before=score(before),
        float32=before.float_accuracy,
        epochs=[
            EpochView(epoch=result.epoch + 1, loss=result.loss, score=score(result.accuracy))
            for result in trained.epochs
        ],
        best_epoch=trained.best_epoch + 1,
        resumed_from=trained.resumed_from,
    )


def _preprocessing(plan: Plan) -> PreprocessingDifference | None:
    if plan.preprocess is None or plan.preprocessing is None:
        return None
    return measure_preprocessing(
        plan.preprocessing,
        [in_channels(photo(name), plan.preprocess.channels) for name in PHOTOS],
        preprocess=plan.preprocess,
    )


def _skipped(plan: Plan, network: QuantizedNetwork) -> list[SkippedImages]:
    """Return what was skipped, once for each use: two steps may have read one folder."""
    evaluation = plan.evaluation.skipped if plan.evaluation is not None else ()
    return list({some.use: some for some in (*evaluation, *network.skipped)}.values())


def _golden_note(file: ArtifactFile) -> list[Note]:
    """Say what golden vectors take where that is more than anybody expects of them."""
    stored = sum(record.stored for record in file.records if record.name == GOLDEN_RECORD)
    if stored <= MOST_GOLDEN:
        return []
    text = f"the golden input takes {stored / 1e6:.1f} MB of the file: phones replay all of it"
    return [Note("golden", text)]


def _signature_note(file: ArtifactFile) -> list[Note]:
    if file.signature is None:
        return []
    return [Note("signature", f"signed with key {file.signature.key_id}")]


def _notes(
    plan: Plan, metadata: Metadata, network: QuantizedNetwork, lowered: Lowered
) -> list[Note]:
    read = plan.source.read
    notes = [Note("module", text) for text in plan.source.taken]
    notes += [Note("absent", f"output left out, it is None: {name}") for name in plan.absent]
    notes += [Note("task", text) for text in _task(plan, metadata)]
    notes += [Note("weights", text) for text in (read.sentences() if read is not None else ())]
    notes += [Note("repair", text) for text in lowered.repairs]
    notes += network.notes
    notes += [Note("rejected-capture", text) for text in lowered.rejected]
    if metadata.provenance.weights.origin == "random":
        warning = "RANDOM WEIGHTS: this file computes nothing useful, only sizes and speed."
        notes.insert(0, Note("random-weights", warning))
    if plan.evaluation is not None:
        text = f"accuracy is of {len(plan.evaluation.classes)} labeled images"
        notes.append(Note("evaluation", text))
    notes += [Note("skipped", str(some)) for some in _skipped(plan, network)]
    if plan.preprocess is None and not lowered.dynamic_batch and plan.inputs[0][0].shape[0] == 1:
        notes.append(Note("batch", "the batch dimension is fixed at 1"))
    return notes


def _task(plan: Plan, metadata: Metadata) -> list[str]:
    """Say what was inferred and what was added to the graph, in one sentence, and what was not."""
    said = [task_line(metadata), *plan.meaning.said]
    given = [output.name for output in plan.meaning.outputs if output.is_bool]
    if given:
        said.append(f"true and false are given as uint8, 1 and 0: {', '.join(given)}")
    return said
