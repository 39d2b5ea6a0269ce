"""The whole flow on one screen: source -> prepare -> quantize -> capture -> optimize ->
check compatibility -> package -> verify -> report."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

import runtime_check.metadata as contract
from runtime_check.artifact import ArtifactFile, read_artifact
from runtime_check.compare import Comparison, Tolerance, compare
from runtime_check.device.operators import (
    DEFAULT_RUNTIME,
    available_runtimes,
    load_table,
    resolve_runtime,
)
from runtime_check.metadata import LedgerRow, Metadata, Preprocessing
from runtime_check.weights import file_sha256

from .capture import Captured, Method, Sampled, candidates
from .compatibility import Verdict, backport, check_compatibility, refuse
from .environment import one_thread, phone_engine, require_suitable_torch, version_of
from .errors import (
    CaptureError,
    ExportError,
    IncompatibleRuntime,
    OptimizeError,
    UsageError,
    VerifyError,
)
from .optimize import OPTIMIZE_PASSES, Optimized, optimize
from .outputs import run
from .package import LiteFile, canonicalize, save_lite, workspace, write_artifact
from .prepare import PREPARE_PASSES, Prepared, prepare
from .preprocess import (
    MAX_ASPECT,
    MAX_SIDE,
    MIN_SIDE,
    ImageModel,
    Preprocess,
    measure_preprocessing,
)
from .quantization import (
    HOST_STEPS,
    PHONE_STEPS,
    QUANTIZE_PASSES,
    QuantizeChoice,
    QuantizedNetwork,
    int8_tolerance,
    quantize_network,
    recipe_of,
)
from .quantize import Tell
from .quantize.engine import require_phone_packing, require_single_weights
from .quiet import quiet
from .report import (
    PreprocessingView,
    Report,
    Step,
    golden_view,
    histogram,
    layer_sizes,
    part_sizes,
    write_html,
    write_json,
)
from .rewrite import NEEDS_OPERATOR, REWRITES
from .samples import PHOTOS, Sample, golden_images, image_samples, photo, tensor_samples
from .source import SourceModel, load_source
from .tolerance import as_tolerance, measure_rounding
from .verify import DeviceVerified, Verified, require_device, stack, verify, verify_on_device

InputKind = Literal["auto", "image", "tensor"]
Activation = Literal["auto", "softmax", "sigmoid", "none"]
ALL_PASSES = (*PREPARE_PASSES, *REWRITES, *QUANTIZE_PASSES, *OPTIMIZE_PASSES)
_REPEATS = 3
_SLOW_SECONDS = 3.0


@dataclass(frozen=True, kw_only=True)
class PreprocessingChoice:
    """What the user says about preprocessing; None takes what the model says."""

    interpolation: str | None = None
    crop_pct: float | None = None
    crop_mode: str | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """An exported file. Calling it runs the file itself, in the lite interpreter."""

    path: Path
    metadata: Metadata
    report: Report

    @cached_property
    def _module(self) -> Any:
        from torch.jit.mobile import _load_for_lite_interpreter

        with quiet(), phone_engine():
            return _load_for_lite_interpreter(str(self.path))

    def __call__(self, *inputs: Tensor) -> Any:
        """Run `forward` of the saved file: uint8 `[H, W, 3]` for image artifacts.

        Raises `ValueError` for inputs the metadata does not allow: the lite interpreter checks
        nothing, and its XNNPACK kernels read past a tensor with too few channels.
        """
        check_inputs(self.metadata, inputs)
        with quiet(), phone_engine(), torch.no_grad():
            return self._module(*inputs)


def check_inputs(metadata: Metadata, inputs: Sequence[Tensor]) -> None:
    """Raise `ValueError` when `inputs` are not what the artifact's metadata says it takes."""
    given = metadata.input
    if given.kind == "image":
        if len(inputs) != 1:
            raise ValueError(f"this artifact takes one image, not {len(inputs)} inputs")
        return  # the graph checks shape, type and size itself
    shapes = [tuple(t.shape) for t in inputs]
    wanted = [tuple(spec.shape) for spec in given.tensors]
    fits = len(shapes) == len(wanted) and all(
        len(a) == len(b) and a[1:] == b[1:] and (given.dynamic_batch or a[:1] == b[:1])
        for a, b in zip(shapes, wanted, strict=True)
    )
    types = [str(t.dtype).removeprefix("torch.") for t in inputs]
    if not fits or types != [spec.dtype for spec in given.tensors]:
        batch = " (any batch)" if given.dynamic_batch else ""
        raise ValueError(
            f"this artifact takes {[(s.dtype, s.shape) for s in given.tensors]}{batch}, "
            f"not {list(zip(types, map(list, shapes), strict=True))}"
        )


@dataclass(frozen=True, kw_only=True)
class Task:
    """What stays fixed while a module is turned into a file."""

    source: SourceModel
    preprocess: Preprocess | None  # None: the bare network
    preprocessing: Preprocessing | None
    activation: Literal["softmax", "sigmoid", "none"]
    samples: tuple[Sample, ...]
    networks: tuple[Tensor, ...]  # what the network itself gets for each sample

    @property
    def reader(self) -> Preprocess | None:
        """What calibration images go through, also where the artifact leaves it to the app."""
        if self.preprocess is not None or self.preprocessing is None:
            return self.preprocess
        return Preprocess(self.preprocessing, min_side=MIN_SIDE, max_side=MAX_SIDE).eval()

    def whole(self, network: nn.Module) -> nn.Module:
        """Wrap a network with preprocessing and activation as `forward` will be shipped."""
        if self.preprocess is None:
            return network
        return ImageModel(self.preprocess, network, self.activation).eval()

    def finish(self, outputs: Sequence[Tensor]) -> list[Tensor]:
        """Apply the activation to a network's outputs, as `whole` does."""
        if self.activation == "softmax":
            return [torch.softmax(t, -1) for t in outputs]
        return [torch.sigmoid(t) for t in outputs] if self.activation == "sigmoid" else [*outputs]

    def shipped(self, network: torch.jit.ScriptModule) -> torch.jit.ScriptModule:
        """Wrap and script a captured network."""
        if self.preprocess is None:
            return network
        try:
            with quiet():
                scripted: torch.jit.ScriptModule = torch.jit.script(self.whole(network)).eval()
        except RuntimeError as error:
            # A scripted network may be typed as returning a tensor or a list of them.
            lines = [line for line in str(error).splitlines() if line.startswith("Expected")]
            raise CaptureError(
                "an image artifact needs a network that returns one tensor, and this capture does "
                f"not promise that ({lines[0] if lines else type(error).__name__}); export it with "
                "`--input tensor`"
            ) from error
        return scripted


class Clock:
    """Time the steps and tell a listener about them."""

    def __init__(self, on_step: Callable[[str], None] | None) -> None:
        self.steps: list[Step] = []
        self._on_step = on_step

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time what happens inside under `name`."""
        if self._on_step is not None:
            self._on_step(name)
        started = time.perf_counter()
        try:
            yield
        finally:
            self.steps.append(Step(name=name, seconds=round(time.perf_counter() - started, 4)))


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
    on_progress: Tell | None = None,
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
            task = _task(source, input, preprocessing, activation)
        with clock.step("reference"):
            task = _affordable(task)
            reference = [run(task.whole(source.module), s.inputs) for s in task.samples]
            networks = [run(source.module, (x,)) for x in task.networks]
            _check_outputs(task, reference)
            ledger = [_row("eager fp32", task.whole(source.module), task, source.module)]
            rounding = measure_rounding(
                source.module,
                task.networks,
                networks,
                finish=task.finish,
                preprocess=task.preprocess,
                images=[s.inputs[0] for s in task.samples],
            )
            alike, here = as_tolerance(rounding.network), as_tolerance(rounding.here)
            spec = rounding.phone
        with clock.step("prepare"):
            prepared = prepare(source.module, task.networks, networks, alike, left_out=left_out)
            whole = task.whole(prepared.module)
            ledger.append(_row("prepared", whole, task, prepared.module, reference))
        with clock.step("quantize"):
            network = quantize_network(
                prepared.module,
                choice,
                example=task.networks[0],
                preprocess=task.reader,
                labels=source.labels,
                tell=on_progress,
            )
            outer = reference  # what the file has to give: int8 outputs where it is int8
            if network.described.method != "none":
                networks, outer, alike, here, spec = _int8_expectations(task, network.module)
                if network.simulated is not None:
                    simulated = task.whole(network.simulated)
                    ledger.append(_row("fake-quantised", simulated, task, None, reference))
                whole = task.whole(network.module)
                ledger.append(_row("quantized", whole, task, None, reference))
        shipped = find_shippable(
            task,
            network.module,
            networks,
            outer,
            alike,
            here,
            method=capture,
            allow_specialization=allow_specialization,
            disabled=disable,
            runtimes=runtimes,
            verified=verified,
            scratch=scratch,
            clock=clock,
        )
        checked = shipped.checked
        with clock.step("ledger"):
            ledger += _shipped_rows(task, shipped, reference)
        ran = None
        if device is not None:
            with clock.step(f"verify on {device}"):
                ran = verify_on_device(
                    shipped.lite.path, task.samples, outer, as_tolerance(spec), device
                )
                ledger.append(_device_row(ran, shipped.lite, reference))
        with clock.step("package"):
            golden = _golden(task, outer, spec)
            metadata = _metadata(
                task, prepared, shipped, network.described, spec, ledger, reference, ran
            )
            target = folder / f"{source.name}.ptl"
            write_artifact(shipped.lite, metadata, golden, target)
        with clock.step("report"):
            report = _report(
                task,
                target,
                metadata,
                ledger,
                clock.steps,
                reference,
                checked,
                prepared,
                shipped,
                network,
            )
            write_json(report, folder / "report.json")
            write_html(report, folder / "report.html")
    return Artifact(path=target, metadata=metadata, report=report)


def _int8_expectations(
    task: Task, module: nn.Module
) -> tuple[list[list[Tensor]], list[list[Tensor]], Tolerance, Tolerance, contract.ToleranceSpec]:
    """What an int8 network and its artifact give in eager, and how far a file may lie from it.

    Returns the network's outputs, the artifact's, and three tolerances: of the network, of the
    artifact on this machine, and of the artifact on a phone (whose older kernels requantise with
    other roundings).
    """
    inputs = [(x,) for x in task.networks]
    networks = [run(module, x) for x in inputs]
    outputs = [run(task.whole(module), s.inputs) for s in task.samples]
    inner = int8_tolerance(module, inputs, networks, list, steps=HOST_STEPS)
    here = int8_tolerance(module, inputs, networks, task.finish, steps=HOST_STEPS)
    spec = int8_tolerance(module, inputs, networks, task.finish, steps=PHONE_STEPS)
    return networks, outputs, as_tolerance(inner), as_tolerance(here), spec


# --- capture, optimise, check: the first candidate that survives all three ----------------------


@dataclass(frozen=True, kw_only=True)
class Shippable:
    """A candidate that agrees with eager, optimised, and loads on every demanded runtime."""

    captured: Captured
    optimized: Optimized
    lite: LiteFile
    checked: Verified | None
    verdicts: tuple[Verdict, ...]
    dynamic_batch: bool
    rejected: tuple[str, ...]


def find_shippable(
    task: Task,
    module: nn.Module,
    networks: Sequence[Sequence[Tensor]],
    reference: Sequence[Sequence[Tensor]],
    inner: Tolerance,
    outer: Tolerance,
    *,
    method: Method,
    allow_specialization: bool,
    disabled: Collection[str],
    runtimes: Sequence[str],
    verified: bool,
    scratch: Path,
    clock: Clock,
) -> Shippable:
    """Try captures in order of preference until one can be shipped, and say why others cannot."""
    sampled: Sampled = [((x,), list(y)) for x, y in zip(task.networks, networks, strict=True)]
    batches = _batches(task, module)
    tried: list[str] = []
    failure: ExportError | None = None
    for extra in [batches, []] if batches else [[]]:
        found = candidates(
            module,
            [*sampled, *extra],
            inner,
            method=method,
            allow_specialization=allow_specialization,
        )
        while True:
            try:
                with clock.step("capture"):
                    captured = next(found)
            except StopIteration:
                break
            except CaptureError as error:
                failure = failure or error
                break
            try:
                return _finish(
                    task,
                    captured,
                    reference,
                    outer,
                    disabled,
                    runtimes,
                    scratch,
                    clock,
                    verified=verified,
                    extra=extra,
                    tried=tried,
                )
            except (CaptureError, OptimizeError, IncompatibleRuntime, VerifyError) as error:
                tried.append(f"{captured.method}: {error}")
                failure = error
    assert failure is not None
    raise failure


def _finish(
    task: Task,
    captured: Captured,
    reference: Sequence[Sequence[Tensor]],
    tolerance: Tolerance,
    disabled: Collection[str],
    runtimes: Sequence[str],
    scratch: Path,
    clock: Clock,
    *,
    verified: bool,
    extra: Sampled,
    tried: Sequence[str],
) -> Shippable:
    """Optimise, save, judge and verify one capture."""
    with clock.step("optimize"):
        whole = task.shipped(captured.module)
        outputs: list[tuple[tuple[Tensor, ...], list[Tensor]]] = [
            (sample.inputs, list(wanted))
            for sample, wanted in zip(task.samples, reference, strict=True)
        ]
        optimized = optimize(whole, [*outputs, *extra], tolerance, disabled=disabled)
    with clock.step("save, check compatibility"):
        lite = save_lite(optimized.module, scratch)
        require_single_weights(lite.path)
        verdicts = [
            check_compatibility(lite.bytecode, r, graph=whole) for r in available_runtimes()
        ]
        for verdict in verdicts:
            if verdict.runtime not in runtimes:
                continue
            if not verdict:
                raise refuse(verdict, tried)
            if verdict.backport_to is not None:
                raw = scratch / "backport.ptl"
                raw.write_bytes(backport(lite.path, verdict.backport_to))
                lite = canonicalize(raw, scratch)
    checked = None
    if verified:
        with clock.step("verify"):
            checked = verify(lite.path, task.samples, reference, tolerance, repeats=_REPEATS)
    return Shippable(
        captured=captured,
        optimized=optimized,
        lite=lite,
        checked=checked,
        verdicts=tuple(verdicts),
        dynamic_batch=bool(extra),
        rejected=(*captured.rejected, *tried),
    )


def _batches(task: Task, module: nn.Module) -> list[tuple[tuple[Tensor, ...], list[Tensor]]]:
    """Batches of two, where the bare network takes them in eager."""
    if task.preprocess is not None or task.networks[0].shape[0] != 1:
        return []
    pair = torch.cat([task.networks[0], task.networks[1]])
    try:
        outputs = run(module, (pair,))
    except Exception:  # noqa: BLE001  a network of fixed batch size is a valid network
        return []
    if any(t.dim() == 0 or t.shape[0] != 2 for t in outputs):
        return []
    return [((pair,), outputs)]


# --- what the user said -------------------------------------------------------------------------


def _check_options(disable: Collection[str]) -> None:
    import difflib

    for name in disable:
        if name not in ALL_PASSES:
            near = difflib.get_close_matches(name, ALL_PASSES, n=2)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
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


def _merge(
    found: Preprocessing | None, source: SourceModel, choice: PreprocessingChoice
) -> Preprocessing | None:
    values = {k: v for k, v in choice.__dict__.items() if v is not None}
    if found is None:
        if not values:
            return None
        if choice.mean is None or choice.std is None or len(source.input_shape) != 4:
            raise UsageError(
                "This module does not say how it wants images. For preprocessing in the graph give "
                "at least --mean and --std, and --input-shape 1,3,H,W."
            )
        size = source.input_shape[1:]
        values = {"interpolation": "bicubic", "crop_pct": 1.0, "crop_mode": "center", **values}
        return Preprocessing.model_validate({**values, "input_size": size, "in_graph": False})
    return Preprocessing.model_validate({**found.model_dump(), **values})


def _task(
    source: SourceModel, kind: InputKind, choice: PreprocessingChoice | None, activation: Activation
) -> Task:
    spec = _merge(source.preprocessing, source, choice or PreprocessingChoice())
    if kind == "image" and spec is None:
        raise UsageError(
            f"{source.name} does not say how it wants images. Give --mean and --std (and "
            "--interpolation, --crop-pct, --crop-mode), or export the bare network with "
            "`--input tensor`."
        )
    image = kind == "image" or (kind == "auto" and spec is not None)
    preprocess = None
    if image:
        assert spec is not None
        spec = spec.model_copy(update={"in_graph": True})
        preprocess = Preprocess(spec, min_side=MIN_SIDE, max_side=MAX_SIDE).eval()
        samples = tuple(image_samples())
        networks = tuple(run(preprocess, s.inputs)[0] for s in samples)
        # A classifier says how many classes it has; a feature extractor says none.
        classes = int(getattr(source.module, "num_classes", 0) or 0)
        chosen = (
            ("softmax" if classes > 1 or source.labels else "none")
            if (activation == "auto")
            else activation
        )
    else:
        samples = tuple(tensor_samples(source.input_shape))
        networks = tuple(s.inputs[0] for s in samples)
        chosen = "none" if activation == "auto" else activation
        if chosen != "none":
            raise UsageError(
                f"--activation {chosen} goes with --input image; the bare network's outputs are "
                "given as they are."
            )
    return Task(
        source=source,
        preprocess=preprocess,
        preprocessing=spec,
        activation=chosen,
        samples=samples,
        networks=networks,
    )


def _affordable(task: Task) -> Task:
    """Judge slow models on fewer inputs; the ledger states how many there were.

    An export runs the model some sixty times on five inputs. At 15 s a run (a ViT at 768 x 768
    pixels on one thread) that would be a quarter of an hour.
    """
    started = time.perf_counter()
    run(task.whole(task.source.module), task.samples[0].inputs)
    if time.perf_counter() - started < _SLOW_SECONDS:
        return task
    return replace(task, samples=task.samples[:2], networks=task.networks[:2])


def _check_outputs(task: Task, reference: Sequence[Sequence[Tensor]]) -> None:
    shapes = [tuple(t.shape) for t in reference[0]]
    labels = task.source.labels
    for sample, outputs in zip(task.samples, reference, strict=True):
        for tensor in outputs:
            if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                raise ExportError(
                    f"Eager {task.source.name} returns NaN or infinity for the sample "
                    f"{sample.name!r}: there is nothing to be verified against. Check the weights."
                )
    if labels is not None and shapes[0] and shapes[0][-1] != len(labels):
        raise UsageError(
            f"{len(labels)} labels, but the model has {shapes[0][-1]} outputs. Pass the matching "
            "file with --labels."
        )


# --- the ledger ---------------------------------------------------------------------------------


def _milliseconds(module: nn.Module, sample: Sample) -> float:
    """Median wall milliseconds of one inference, after one warm-up; the caller sets the threads."""
    with torch.no_grad():
        started = time.perf_counter()
        module(*sample.inputs)
        warm = time.perf_counter() - started
        if warm > _SLOW_SECONDS:
            return 1e3 * warm  # start-up costs do not show in a run this long
        times = []
        for _ in range(_REPEATS):
            started = time.perf_counter()
            module(*sample.inputs)
            times.append(time.perf_counter() - started)
    return 1e3 * median(times)


def _megabytes(module: nn.Module | None) -> float | None:
    if module is None:
        return None
    tensors = [*module.parameters(), *module.buffers()]
    return sum(t.numel() * t.element_size() for t in tensors) / 1e6


def _row(
    stage: str,
    whole: nn.Module,
    task: Task,
    weights: nn.Module | None,
    reference: Sequence[Sequence[Tensor]] | None = None,
) -> LedgerRow:
    figures: dict[str, Any] = {}
    if reference is not None:
        outputs = [run(whole, s.inputs) for s in task.samples]
        figures = _figures(compare(stack(reference), stack(outputs), Tolerance()))
    return LedgerRow(
        stage=stage,
        inputs=len(task.samples),
        ms=_milliseconds(whole, task.samples[0]),
        mb=_megabytes(weights),
        **figures,
    )


def _figures(comparison: Comparison) -> dict[str, Any]:
    sqnr = comparison.sqnr_db
    return {
        "max_abs": comparison.max_abs,
        # Bit-identical outputs have no noise; infinity is no JSON number.
        "sqnr_db": sqnr if sqnr is not None and np.isfinite(sqnr) else None,
        "top1": comparison.top1,
        "top5": comparison.top5,
    }


def _shipped_rows(
    task: Task, shipped: Shippable, reference: Sequence[Sequence[Tensor]]
) -> list[LedgerRow]:
    """Captured, optimised and reloaded, each against eager fp32."""
    whole = task.shipped(shipped.captured.module)
    rows = [
        _row("captured", whole, task, None, reference),
        _row("optimized", shipped.optimized.module, task, None, reference),
    ]
    if shipped.checked is not None:
        rows.append(_saved_row(shipped.checked, shipped.lite, reference))
    return rows


def _saved_row(
    checked: Verified, lite: LiteFile, reference: Sequence[Sequence[Tensor]]
) -> LedgerRow:
    return LedgerRow(
        stage="saved + reloaded",
        inputs=len(reference),
        ms=checked.milliseconds,
        mb=lite.bytes / 1e6,
        note="fresh process, QNNPACK engine",
        **_figures(compare(stack(reference), stack(checked.outputs), Tolerance())),
    )


def _device_row(
    ran: DeviceVerified, lite: LiteFile, reference: Sequence[Sequence[Tensor]]
) -> LedgerRow:
    """The phone's own runtime; no milliseconds, because those of an emulator are no phone's."""
    return LedgerRow(
        stage=f"on {ran.runtime}",
        inputs=len(reference),
        mb=lite.bytes / 1e6,
        note=ran.version,
        **_figures(compare(stack(reference), stack(ran.outputs), Tolerance())),
    )


# --- metadata, golden vectors, report ------------------------------------------------------------


def _golden(
    task: Task, reference: Sequence[Sequence[Tensor]], spec: contract.ToleranceSpec
) -> contract.Golden:
    cases = [
        contract.GoldenCase(
            name=sample.name,
            inputs=[contract.TensorData.of(t.numpy()) for t in sample.inputs],
            expected=[contract.TensorData.of(t.numpy()) for t in outputs],
        )
        for sample, outputs in zip(task.samples, reference, strict=True)
    ]
    if task.preprocess is None:
        # Bare networks take megabytes an input; two are enough to prove parity on a phone.
        cases = cases[1:3]
    return contract.Golden(tolerance=spec, cases=cases)


def _metadata(
    task: Task,
    prepared: Prepared,
    shipped: Shippable,
    quantization: contract.Quantization,
    spec: contract.ToleranceSpec,
    ledger: Sequence[LedgerRow],
    reference: Sequence[Sequence[Tensor]],
    ran: DeviceVerified | None,
) -> Metadata:
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
    import re

    return re.sub(r"(?:[A-Za-z]:)?[\\/](?:[^\\/:,]+[\\/])+", "", text)


def _report(
    task: Task,
    target: Path,
    metadata: Metadata,
    ledger: Sequence[LedgerRow],
    steps: Sequence[Step],
    reference: Sequence[Sequence[Tensor]],
    checked: Verified | None,
    prepared: Prepared,
    shipped: Shippable,
    network: QuantizedNetwork,
) -> Report:
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
    notes = [f"repaired: {text}" for text in shipped.optimized.repairs]
    notes += list(network.notes)
    notes += [f"capture not taken: {text}" for text in shipped.rejected]
    if metadata.provenance.weights.origin == "random":
        notes.insert(0, "RANDOM WEIGHTS: this file computes nothing useful, only sizes and speed.")
    if task.preprocess is None and not shipped.dynamic_batch and task.networks[0].shape[0] == 1:
        notes.append("the batch dimension is fixed at 1")
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
