"""The whole flow on one screen: source -> prepare -> quantize -> capture -> optimize -> save ->
check compatibility -> verify -> package -> report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import nn

from runtime_check.artifact.metadata import EAGER_STAGE
from runtime_check.places import require_writable
from runtime_check.runtimes.lite import quantized_engine

from .agreement import require_agreement
from .artifact import Artifact
from .environment import one_thread, require_executorch, require_suitable_torch
from .expected import Expected, expect, expect_int8
from .formats import lower
from .install import models_folder
from .notes import Note
from .options import ExportOptions
from .package.keys import read_secret_key
from .package.program import write_file
from .package.sign import sign
from .package.workspace import Workspace, workspace
from .plan import Plan, make_plan
from .progress import Clock, Listener, silent
from .quantize.engine import require_phone_packing
from .quantize.step import quantize_network
from .quiet import quiet
from .report.describe import metadata_of, report_of
from .report.ledger import Ledger
from .report.page import write_html
from .report.report import beside, write_json
from .report.vectors import golden_vectors
from .rewrites import PassEffect, left_out, rewrite
from .saturated import verify_before_activation
from .source import SourceModel, source_of
from .telling import require_steady, require_telling
from .verify import require_runtime, verify_on


def export(
    model: str | nn.Module,
    options: ExportOptions,
    clock: Clock | None = None,
    listener: Listener = silent,
) -> Artifact:
    """Turn `model` into a verified file in `options.out`, with its reports beside it.

    `clock` tells each step's name, `listener(what, done, total)` how far a long one is. Raises
    subclasses of `ExportError`; then nothing was written.
    """
    clock = clock or Clock()
    _check_machine(options)
    off = _left_out(options)
    with _machine(options) as work:
        clock.start("source")
        source = _source(model, options)
        work.begin(source.name, source.bytes)
        plan = make_plan(source, options)

        clock.start("reference")
        expected, notes = _reference(plan)
        ledger = Ledger(plan, expected)
        ledger.note(EAGER_STAGE, plan.whole(source.module), source.module, expected.outputs)

        clock.start("prepare")
        prepared = rewrite(source.module, expected.network, left_out=off)
        ledger.note("prepared", plan.whole(prepared.module), prepared.module)

        clock.start("quantize")
        network = quantize_network(prepared.module, plan, options.quantize, listener)
        if network.is_int8:
            expected = expect_int8(plan, network.module, options.format)
            require_steady(plan, expected)
            if network.simulated is not None:
                ledger.note("fake-quantized", plan.whole(network.simulated))
            ledger.note("quantized", plan.whole(network.module))
        lowered = lower(plan, network, expected, options, scratch=work.scratch, clock=clock)
        notes += verify_before_activation(plan, network, expected, options, work.scratch)
        clock.start("ledger")
        for stage, module in lowered.stages:
            ledger.note(stage, module)
        on_device = verify_on(options.run_on, lowered.file, plan, expected)
        for verified in (lowered.verified, on_device):
            ledger.note_file(verified, lowered.file)

        clock.start("package")
        metadata = metadata_of(plan, expected, prepared, network, lowered, ledger, on_device)
        file = work.file(source.name)
        write_file(lowered.file, metadata, golden_vectors(plan, expected), file)
        if options.sign is not None:
            sign(file, options.sign)

        clock.start("report")
        report = report_of(plan, file, metadata, prepared, network, lowered, ledger, clock, notes)
        write_json(report, beside(file, ".report.json"))
        write_html(report, beside(file, ".report.html"))
        path, installed = work.publish(file)
    return Artifact(path=path, metadata=metadata, report=report, installed=installed)


@contextmanager
def _machine(options: ExportOptions) -> Iterator[Workspace]:
    apps = [models_folder(app) for app in options.install]
    # One thread: sums then come in one order, so the same input gives the same bytes anywhere.
    with (
        quantized_engine(required=False),
        one_thread(),
        quiet(),
        workspace(options.out, apps, options.name, format=options.format) as work,
    ):
        yield work


def _reference(plan: Plan) -> tuple[Expected, list[Note]]:
    """Run eager: what the file has to compute, once that is known to be one thing and to vary."""
    require_agreement(plan.source.provenance.model, plan.source.module, plan.inputs)
    expected = expect(plan)
    return expected, require_telling(plan, expected)


def _left_out(options: ExportOptions) -> Mapping[str, PassEffect]:
    return left_out(
        options.disable,
        targets=options.demanded,
        method=options.quantize.method,
        format=options.format,
    )


def _source(model: str | nn.Module, options: ExportOptions) -> SourceModel:
    source = source_of(model, options)
    if options.format == "ptl":
        require_phone_packing(source.module)
    return source


def _check_machine(options: ExportOptions) -> None:
    """Fail before the work where torch, a demanded runtime, a key or a file's place will not do."""
    require_suitable_torch()
    if options.format == "pte":
        require_executorch()
    require_writable(options.quantize.checkpoint, "--checkpoint")
    if options.sign is not None:
        read_secret_key(options.sign)
    if options.run_on is not None:
        require_runtime(options.run_on)
