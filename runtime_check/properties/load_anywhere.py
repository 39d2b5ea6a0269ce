"""What the loading process is set to does not change the outputs."""

from __future__ import annotations

import time
from collections.abc import Mapping

from ..comparison import Comparison, Tolerance, compare
from ..errors import RuntimeCheckError
from ..runtimes.host import open_host
from .base import Check, PropertyResult, Status, failed, skipped, worse

# Threads, and what else the environment says about them.
ENVIRONMENTS: tuple[tuple[int, Mapping[str, str]], ...] = (
    (1, {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}),
    (2, {"OMP_NUM_THREADS": "4", "OMP_DYNAMIC": "TRUE"}),
)


def load_anywhere(check: Check) -> PropertyResult:
    """What the loading process is set to does not change the outputs: the check sets the engine.

    Fresh processes under other thread environments must give the same verdict on the golden
    vectors. Engines that phones do not have are tried too; what they do is only noted.
    """
    started = time.perf_counter()
    if check.runtime.costly:
        return skipped("load-anywhere", "a device runtime has one engine")
    worst: Comparison | None = None
    for threads, environment in ENVIRONMENTS:
        outcome = _replayed(check, "qnnpack", threads, environment)
        if not outcome or isinstance(outcome, str):
            reason = f"loaded under {environment}: {outcome}"
            comparison = None if isinstance(outcome, str) else outcome
            return failed("load-anywhere", reason, started, comparison)
        worst = worse(worst, outcome)
    server = _server_engine()
    status, remark = _on_a_server(check, server)
    return PropertyResult(
        name="load-anywhere",
        status=status,
        reason=f"the same under {len(ENVIRONMENTS)} thread environments{remark}",
        examples=len(ENVIRONMENTS) + bool(server),
        seconds=time.perf_counter() - started,
        comparison=worst,
    )


def _replayed(
    check: Check, engine: str, threads: int, environment: Mapping[str, str]
) -> Comparison | str:
    """Replay the golden vectors in a fresh process; a sentence where it does not get that far."""
    cases = check.artifact.golden.cases
    try:
        with open_host(
            check.artifact.path, engine=engine, threads=threads, environment=environment
        ) as session:
            outputs = [
                session.forward([i.array() for i in case.inputs], threads=threads).outputs
                for case in cases
            ]
    except RuntimeCheckError as error:
        return str(error)
    expected = [e.array() for case in cases for e in case.expected]
    actual = [array for arrays in outputs for array in arrays]
    return compare(expected, actual, Tolerance.of(check.artifact.golden))


def _on_a_server(check: Check, engine: str) -> tuple[Status, str]:
    """Say what an engine that no phone has makes of the file; "" where there is none."""
    if not engine:
        return "passed", ""
    outcome = _replayed(check, engine, 1, {})
    if isinstance(outcome, str):
        # Refusing is what an int8 file packed for phones should do there.
        return "passed", f"; the server engine {engine} refuses it"
    if not outcome:
        return "noted", f"; the server engine {engine}, which no phone has, gives: {outcome}"
    return "passed", f" and under the engine {engine}"


def _server_engine() -> str:
    import torch

    engines = torch.backends.quantized.supported_engines
    return next((str(e) for e in engines if e not in ("qnnpack", "none")), "")
