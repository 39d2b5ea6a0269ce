"""The whole flow on one screen: source -> prepare -> quantize -> capture -> optimize -> save ->
check compatibility -> verify -> package -> report."""

from __future__ import annotations

from torch import nn

from runtime_check.artifact.metadata import EAGER_STAGE

from .artifact import Artifact
from .environment import one_thread, phone_engine, require_suitable_torch
from .expected import expect, expect_int8
from .lower.lower import lower
from .options import ExportOptions
from .package.archive import workspace, write_artifact
from .plan import make_plan
from .progress import Clock, Listener, silent
from .quantize.engine import require_phone_packing
from .quantize.step import quantize_network
from .quiet import quiet
from .report.describe import golden_vectors, metadata_of, report_of
from .report.ledger import Ledger
from .report.page import write_html
from .report.report import write_json
from .rewrites import left_out, rewrite
from .source import load_source
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
    _check_options(options)
    int8 = options.quantize
    off = left_out(options.disable, targets=options.targets, method=int8.method)
    if "cheap-activations" in options.disable:
        int8 = int8.with_exact_activations()
    # One thread: sums then come in one order, so the same input gives the same bytes anywhere.
    with phone_engine(), one_thread(), quiet(), workspace(options.out) as scratch:
        clock.start("source")
        source = load_source(
            model,
            weights=options.weights,
            random_weights=options.random_weights,
            labels=options.labels,
            input_shape=options.input_shape,
            name=options.name,
            seed=options.seed,
        )
        require_phone_packing(source.module)

        clock.start("reference")
        plan = make_plan(source, options)
        expected = expect(plan)
        ledger = Ledger(plan, expected.outputs)
        eager = plan.whole(source.module)
        ledger.note(EAGER_STAGE, eager, weights=source.module, outputs=ledger.eager)

        clock.start("prepare")
        prepared = rewrite(
            source.module,
            plan.inputs,
            expected.network_outputs,
            expected.network_tolerance,
            left_out=off,
        )
        ledger.note("prepared", plan.whole(prepared.module), weights=prepared.module)

        clock.start("quantize")
        network = quantize_network(
            prepared.module,
            int8,
            example=plan.inputs[0],
            preprocess=plan.reader,
            labels=source.labels,
            tell=listener,
        )
        if network.described.method != "none":
            expected = expect_int8(plan, network.module)
            if network.simulated is not None:
                ledger.note("fake-quantised", plan.whole(network.simulated))
            ledger.note("quantized", plan.whole(network.module))

        lowered = lower(plan, network.module, expected, options, scratch=scratch, clock=clock)
        clock.start("ledger")
        ledger.note("captured", plan.shipped(lowered.captured.module))
        ledger.note("optimized", lowered.optimized.module)
        if lowered.verified is not None:
            ledger.note_file(lowered.verified, lowered.file)
        ran = None
        if options.run_on is not None:
            clock.start(f"verify on {options.run_on}")
            ran = verify_on(options.run_on, lowered.file, plan, expected)
            ledger.note_file(ran, lowered.file)

        clock.start("package")
        metadata = metadata_of(plan, expected, prepared, network, lowered, ledger, ran)
        path = options.out / f"{source.name}.ptl"
        write_artifact(lowered.file, metadata, golden_vectors(plan, expected), path)

        clock.start("report")
        report = report_of(plan, path, metadata, prepared, network, lowered, ledger, clock)
        write_json(report, path.with_suffix(".report.json"))
        write_html(report, path.with_suffix(".report.html"))
    return Artifact(path=path, metadata=metadata, report=report)


def _check_options(options: ExportOptions) -> None:
    """Fail before the work on what can be known before it."""
    require_suitable_torch()
    if options.run_on is not None:
        require_runtime(options.run_on)
