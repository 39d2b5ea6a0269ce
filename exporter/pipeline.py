"""The whole flow on one screen: source -> prepare -> quantize -> capture -> optimize ->
check compatibility -> package -> verify -> report."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

from torch import nn

from runtime_check.device.operators import DEFAULT_RUNTIME, load_table, resolve_runtime

from .artifact import Artifact
from .environment import one_thread, phone_engine, require_suitable_torch
from .errors import UsageError, did_you_mean
from .expected import as_tolerance, measure_rounding
from .lower.capture import Method
from .lower.lower import Expected, find_shippable
from .lower.optimize import OPTIMIZE_PASSES
from .outputs import run
from .package.archive import workspace, write_artifact
from .plan import Activation, InputKind, PreprocessingChoice, Task, affordable, check_outputs, plan
from .progress import Clock, Listener, silent
from .quantize.engine import require_phone_packing
from .quantize.step import (
    HOST_STEPS,
    PHONE_STEPS,
    QUANTIZE_PASSES,
    QuantizeChoice,
    int8_tolerance,
    quantize_network,
    recipe_of,
)
from .quiet import quiet
from .report.describe import golden_vectors, metadata_of, report_of
from .report.ledger import device_row, row, saved_row
from .report.report import write_html, write_json
from .rewrites.prepare import PREPARE_PASSES, prepare
from .rewrites.rewrite import NEEDS_OPERATOR, REWRITES
from .source import load_source
from .verify import require_device, verify_on_device

ALL_PASSES = (*PREPARE_PASSES, *REWRITES, *QUANTIZE_PASSES, *OPTIMIZE_PASSES)


def export(
    model: str | nn.Module,
    *,
    out: Path | str = "build",
    name: str | None = None,
    weights: Path | str | None = None,
    random_weights: bool = False,
    labels: Path | str | Sequence[str] | None = None,
    input: InputKind = "auto",
    input_shape: Sequence[int] | None = None,
    preprocessing: PreprocessingChoice | None = None,
    activation: Activation = "auto",
    capture: Method = "auto",
    allow_specialization: bool = False,
    runtime: str | Sequence[str] = DEFAULT_RUNTIME,
    quantize: QuantizeChoice | None = None,
    disable: Collection[str] = (),
    verified: bool = True,
    device: str | None = None,
    seed: int = 0,
    on_step: Callable[[str], None] | None = None,
    on_progress: Listener = silent,
) -> Artifact:
    """Turn a model into a verified `.ptl` in `out`, with `report.json` and `report.html`.

    `model` is a timm name, a hub id (`hf-hub:...`), `package.module:factory`, or a module.
    `input="image"` makes `forward` take uint8 RGB `[H, W, 3]` of any size and do timm's
    preprocessing itself; `"tensor"` gives the bare network; `"auto"` takes `image` where the model
    says how it wants images. `quantize` makes it int8. `disable` names passes to leave out.
    `verified=False` skips the fresh-process check and says so in the metadata. `device` also runs
    the file on a device runtime (`arm64-2.1.0`), as a row of the ledger. `on_step` is told each
    step's name, `on_progress(what, done, total)` how far a long one is.

    Raises subclasses of `ExportError`; then nothing was written.
    """
    require_suitable_torch()
    _check_options(disable)
    if quantize is not None and quantize.method != "auto":
        recipe_of(quantize)  # a misspelt recipe should fail before the work
    if device is not None:
        require_device(device)  # as should a runtime that is not installed
    runtimes = [resolve_runtime(r) for r in ([runtime] if isinstance(runtime, str) else runtime)]
    choice = quantize or QuantizeChoice()
    if "cheap-activations" in disable:
        choice = replace(choice, cheap_activations=False)
    left_out = _left_out(disable, runtimes, choice)
    clock = Clock(on_step)
    folder = Path(out)
    # One thread: sums then come in one order, so the same input gives the same bytes anywhere.
    with phone_engine(), one_thread(), quiet(), workspace(folder) as scratch:
        with clock.step("source"):
            source = load_source(
                model,
                weights=Path(weights) if weights is not None else None,
                random_weights=random_weights,
                labels=_labels(labels),
                input_shape=tuple(input_shape) if input_shape is not None else None,
                name=name,
                seed=seed,
            )
            require_phone_packing(source.module)
            task = plan(source, input, preprocessing, activation)
        with clock.step("reference"):
            task = affordable(task)
            expected = _float32_expectations(task)
            eager = expected.outputs
            ledger = [row("eager fp32", task.whole(source.module), task, source.module)]
        with clock.step("prepare"):
            prepared = prepare(
                source.module, task.networks, expected.networks, expected.network, left_out=left_out
            )
            whole = task.whole(prepared.module)
            ledger.append(row("prepared", whole, task, prepared.module, eager))
        with clock.step("quantize"):
            network = quantize_network(
                prepared.module,
                choice,
                example=task.networks[0],
                preprocess=task.reader,
                labels=source.labels,
                tell=on_progress,
            )
            if network.described.method != "none":
                expected = _int8_expectations(task, network.module)
                if network.simulated is not None:
                    simulated = task.whole(network.simulated)
                    ledger.append(row("fake-quantised", simulated, task, None, eager))
                whole = task.whole(network.module)
                ledger.append(row("quantized", whole, task, None, eager))
        shipped = find_shippable(
            task,
            network.module,
            expected,
            method=capture,
            allow_specialization=allow_specialization,
            disabled=disable,
            runtimes=runtimes,
            verified=verified,
            scratch=scratch,
            clock=clock,
        )
        with clock.step("ledger"):
            captured = task.shipped(shipped.captured.module)
            ledger.append(row("captured", captured, task, None, eager))
            ledger.append(row("optimized", shipped.optimized.module, task, None, eager))
            if shipped.checked is not None:
                ledger.append(saved_row(shipped.checked, shipped.lite, eager))
        ran = None
        if device is not None:
            with clock.step(f"verify on {device}"):
                phone = as_tolerance(expected.phone)
                ran = verify_on_device(
                    shipped.lite.path, task.samples, expected.outputs, phone, device
                )
                ledger.append(device_row(ran, shipped.lite, eager))
        with clock.step("package"):
            golden = golden_vectors(task, expected)
            metadata = metadata_of(
                task, prepared, shipped, network.described, expected.phone, ledger, eager, ran
            )
            target = folder / f"{source.name}.ptl"
            write_artifact(shipped.lite, metadata, golden, target)
        with clock.step("report"):
            report = report_of(
                task, target, metadata, ledger, clock.steps, eager, prepared, shipped, network
            )
            write_json(report, folder / "report.json")
            write_html(report, folder / "report.html")
    return Artifact(path=target, metadata=metadata, report=report)


# --- what a file has to give ---------------------------------------------------------------------


def _float32_expectations(task: Task) -> Expected:
    """What eager gives; its own rounding says how far a file may lie from it."""
    module = task.source.module
    networks = [run(module, (x,)) for x in task.networks]
    outputs = [run(task.whole(module), s.inputs) for s in task.samples]
    check_outputs(task, outputs)
    rounding = measure_rounding(
        module,
        task.networks,
        networks,
        finish=task.finish,
        preprocess=task.preprocess,
        images=[s.inputs[0] for s in task.samples],
    )
    return Expected(
        networks=networks,
        outputs=outputs,
        network=as_tolerance(rounding.network),
        here=as_tolerance(rounding.here),
        phone=rounding.phone,
    )


def _int8_expectations(task: Task, module: nn.Module) -> Expected:
    """What the int8 network gives in eager, where it is to be proven to be what the file gives.

    Tolerances are in quantisation steps: a phone's older kernels requantise with other roundings.
    """
    inputs = [(x,) for x in task.networks]
    networks = [run(module, x) for x in inputs]
    inner = int8_tolerance(module, inputs, networks, list, steps=HOST_STEPS)
    here = int8_tolerance(module, inputs, networks, task.finish, steps=HOST_STEPS)
    return Expected(
        networks=networks,
        outputs=[run(task.whole(module), s.inputs) for s in task.samples],
        network=as_tolerance(inner),
        here=as_tolerance(here),
        phone=int8_tolerance(module, inputs, networks, task.finish, steps=PHONE_STEPS),
    )


# --- what the user said -------------------------------------------------------------------------


def _check_options(disable: Collection[str]) -> None:
    for name in disable:
        if name not in ALL_PASSES:
            hint = did_you_mean(name, ALL_PASSES, most=2)
            raise UsageError(
                f"There is no pass {name!r} to disable.{hint} There are: {', '.join(ALL_PASSES)}."
            )


def _left_out(
    disable: Collection[str], runtimes: Sequence[str], choice: QuantizeChoice
) -> dict[str, str]:
    """Name the passes not to run, and why: asked for, or a runtime lacks what they write."""
    left_out = dict.fromkeys(disable, "disabled")
    if choice.method != "none":
        left_out.setdefault("split-wide-layers", "left out: int8 weights are a quarter of these")
    if choice.method.split("-")[0] not in ("none", "dynamic"):
        left_out.setdefault("fold-layer-scales", "left out: it would coarsen int8 outputs")
    for name, operator in NEEDS_OPERATOR.items():
        lacking = [r for r in runtimes if not load_table(r).has(operator)]
        if lacking:
            left_out.setdefault(name, f"left out: {lacking[0]} has no {operator}")
    return left_out


def _labels(labels: Path | str | Sequence[str] | None) -> Path | tuple[str, ...] | None:
    if labels is None or isinstance(labels, Path):
        return labels
    return Path(labels) if isinstance(labels, str) else tuple(labels)
