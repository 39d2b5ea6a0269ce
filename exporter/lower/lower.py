"""Capture, optimise, check: the first candidate that survives all three."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from runtime_check.artifact.metadata import ToleranceSpec
from runtime_check.compare import Tolerance
from runtime_check.device.operators import available_runtimes

from ..errors import CaptureError, ExportError, IncompatibleRuntime, OptimizeError, VerifyError
from ..outputs import run
from ..package.archive import LiteFile, canonicalize, save_lite
from ..plan import Task
from ..progress import Clock
from ..quantize.engine import require_single_weights
from ..report.ledger import REPEATS
from ..verify import Verified, verify
from .capture import Captured, Method, Sampled, candidates
from .compatibility import Verdict, backport, check_compatibility, refuse
from .optimize import Optimized, optimize


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a file has to give for each sample, and how far from it it may lie."""

    networks: Sequence[Sequence[Tensor]]  # what the bare network gives
    outputs: Sequence[Sequence[Tensor]]  # with preprocessing and activation
    network: Tolerance  # of the bare network, on this machine
    here: Tolerance  # of the artifact, on this machine
    phone: ToleranceSpec  # of the artifact, on a phone


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
    expected: Expected,
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
    sampled: Sampled = [
        ((x,), list(y)) for x, y in zip(task.networks, expected.networks, strict=True)
    ]
    batches = _batches(task, module)
    tried: list[str] = []
    failure: ExportError | None = None
    for extra in [batches, []] if batches else [[]]:
        found = candidates(
            module,
            [*sampled, *extra],
            expected.network,
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
                    expected,
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
    expected: Expected,
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
            for sample, wanted in zip(task.samples, expected.outputs, strict=True)
        ]
        optimized = optimize(whole, [*outputs, *extra], expected.here, disabled=disabled)
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
            checked = verify(
                lite.path, task.samples, expected.outputs, expected.here, repeats=REPEATS
            )
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
