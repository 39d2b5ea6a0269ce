"""Lower a network to a file: the first capture that survives everything the file is for.

A capture has to agree with eager, keep agreeing once optimized, load on every demanded runtime
and compute the same when it is read back in a fresh process. What is verified here is what
`package` later puts into the artifact, record by record.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from runtime_check.artifact.metadata import Capture
from runtime_check.device.operators import available_runtimes

from ..errors import CaptureError, ExportError, IncompatibleRuntime, OptimizeError, VerifyError
from ..expected import Expected
from ..options import ExportOptions
from ..outputs import Flat, run
from ..package.archive import LiteFile, canonicalize, save_lite
from ..plan import Plan
from ..progress import Clock
from ..quantize.engine import require_single_weights
from ..verify import verify
from .capture import Captured, Sampled, candidates
from .compatibility import Verdict, backport, check_compatibility, refuse
from .lowered import Lowered, portable
from .optimize import optimize

_Refusal = (CaptureError, OptimizeError, IncompatibleRuntime, VerifyError)


@dataclass(frozen=True, kw_only=True)
class _Candidate:
    captured: Captured
    batches: Sampled  # further inputs it has to take; empty for a network of fixed batch size


def lower(
    plan: Plan,
    network: nn.Module,
    expected: Expected,
    options: ExportOptions,
    *,
    scratch: Path,
    clock: Clock,
) -> Lowered:
    """Try captures in order of preference until one can be shipped; say why others cannot.

    Raises the last refusal (`CaptureError`, `OptimizeError`, `IncompatibleRuntime` or
    `VerifyError`) when none can.
    """
    tried: list[str] = []
    refusal: ExportError | None = None
    found = _candidates(plan, network, expected, options)
    while True:
        clock.start("capture")
        try:
            candidate = next(found, None)
        except CaptureError as error:
            # Nothing captures at all; a refusal of what was captured says more.
            raise refusal or error from None
        if candidate is None:
            break
        try:
            return _finish(plan, candidate, expected, options, tried, scratch=scratch, clock=clock)
        except _Refusal as error:
            tried.append(f"{candidate.captured.method}: {error}")
            refusal = error
    assert refusal is not None, "a capture that was not refused was returned"
    raise refusal


def _candidates(
    plan: Plan, network: nn.Module, expected: Expected, options: ExportOptions
) -> Iterator[_Candidate]:
    """Yield captures that take batches, where eager does, then those of the fixed batch size."""
    sampled: Sampled = [
        (x, list(y)) for x, y in zip(expected.network.inputs, expected.network.outputs, strict=True)
    ]
    batches = _batches(plan, network)
    for index, extra in enumerate([batches, []] if batches else [[]]):
        captures = candidates(
            network,
            network if plan.is_tensor else Flat(network).eval(),
            [*sampled, *extra],
            expected.network.tolerance,
            method=options.capture,
            allow_specialization=options.allow_specialization,
            metric=expected.network.metric,
        )
        last = index == (1 if batches else 0)
        try:
            for captured in captures:
                yield _Candidate(captured=captured, batches=extra)
        except CaptureError:
            if last:
                raise


def _finish(
    plan: Plan,
    candidate: _Candidate,
    expected: Expected,
    options: ExportOptions,
    tried: Sequence[str],
    *,
    scratch: Path,
    clock: Clock,
) -> Lowered:
    """Optimize, save, judge and verify one capture."""
    captured = candidate.captured
    clock.start("optimize")
    whole = plan.shipped(captured.module)
    outputs: Sampled = [
        (sample.inputs, list(tensors))
        for sample, tensors in zip(plan.samples, expected.outputs, strict=True)
    ]
    batches: Sampled = [(given, plan.finish(made, 0)) for given, made in candidate.batches]
    optimized = optimize(
        whole,
        [*outputs, *batches],
        expected.tolerance,
        disabled=options.disable,
        metric=expected.network.metric,
    )
    clock.start("save, check compatibility")
    file = save_lite(optimized.module, scratch)
    require_single_weights(file.path)
    verdicts = [check_compatibility(file.bytecode, r, graph=whole) for r in available_runtimes()]
    file = _fit(file, [v for v in verdicts if v.runtime in options.demanded], tried, scratch)
    verified = None
    if options.verify:
        clock.start("verify")
        verified = verify(
            file.path,
            plan.samples,
            expected.outputs,
            expected.tolerance,
            evaluation=plan.evaluation,
            metric=expected.metric,
        )
    return Lowered(
        capture=Capture(
            method=captured.method,
            reason=captured.reason,
            scripted_modules=list(captured.scripted_modules),
            specialized=[portable(str(branch)) for branch in captured.specialized],
        ),
        stages=(("captured", whole), ("optimized", optimized.module)),
        effects=optimized.effects,
        repairs=optimized.repairs,
        file=file,
        verified=verified,
        verdicts=tuple(verdicts),
        dynamic_batch=bool(candidate.batches),
        rejected=(*captured.rejected, *tried),
    )


def _fit(
    file: LiteFile, demanded: Sequence[Verdict], tried: Sequence[str], scratch: Path
) -> LiteFile:
    """Return the file in a bytecode version that every demanded runtime reads, or refuse it."""
    for verdict in demanded:
        if not verdict:
            raise refuse(verdict, tried)
    # A runtime reads older versions than its newest, so the oldest of them is read by all.
    version = min((v.backport_to for v in demanded if v.backport_to is not None), default=None)
    if version is None:
        return file
    raw = scratch / "backport.ptl"
    raw.write_bytes(backport(file.path, version))
    return canonicalize(raw, scratch)


def _batches(plan: Plan, network: nn.Module) -> list[tuple[tuple[Tensor, ...], list[Tensor]]]:
    """Batches of two, where the bare network takes them in eager."""
    if plan.preprocess is not None or any(t.shape[:1] != (1,) for t in plan.inputs[0]):
        return []
    pair = tuple(torch.cat(both) for both in zip(plan.inputs[0], plan.inputs[1], strict=True))
    try:
        outputs = run(network, pair)
    except Exception:  # noqa: BLE001  a network of fixed batch size is a valid network
        return []
    if any(t.dim() == 0 or t.shape[0] != 2 for t in outputs):
        return []
    return [(pair, outputs)]
