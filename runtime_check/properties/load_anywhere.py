"""What the loading process is set to does not change the outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..comparison import Comparison, Tolerance
from ..runtimes.host import open_host
from ..vectors import compare_golden, places_of
from .base import (
    Check,
    PropertyResult,
    Status,
    Trial,
    Verdict,
    judge,
    skipped,
    verdict_of,
    worse,
)

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
    if check.runtime.costly:
        return skipped("load-anywhere", "a device runtime has one engine")
    trial = Trial.begin(check, "load-anywhere")
    worst: Comparison | None = None
    values = 0
    for threads, environment in ENVIRONMENTS:
        outcome = _replayed(check, "qnnpack", threads, environment)
        if not outcome:
            reason = f"loaded under {dict(environment)}: {outcome.problem}"
            return trial.broken(outcome.fault or "bug", reason, comparison=outcome.comparison)
        worst = worse(worst, outcome.comparison)
        values += outcome.values
    # A .pte has no engine but its own.
    server = _server_engine() if check.metadata.format == "ptl" else ""
    status, remark = _on_a_server(check, server)
    return trial.passed(
        inputs=len(ENVIRONMENTS),
        needed=len(ENVIRONMENTS),
        values=values,
        comparison=worst,
        reason=f"the same under {len(ENVIRONMENTS)} thread environments{remark}",
        noted=status == "noted",
    )


def _replayed(check: Check, engine: str, threads: int, environment: Mapping[str, str]) -> Verdict:
    """Replay the golden vectors in a fresh process."""
    cases = check.artifact.golden.cases
    golden = [e for case in cases for e in case.expected]
    expected = [e.array() for e in golden]

    def examine(check: Check, inputs: Sequence[np.ndarray], natural: bool) -> Verdict:
        outputs = []
        with open_host(
            check.file,
            engine=engine,
            threads=threads,
            timeout=check.timeout,
            memory=check.memory,
            environment=environment,
        ) as host:
            for case in cases:
                check.runtime.require_time()
                given = [i.array() for i in case.inputs]
                outputs.append(host.forward(given, threads=threads).outputs)
        actual = [array for arrays in outputs for array in arrays]
        stated = Tolerance.of(check.artifact.golden)
        comparison = compare_golden(golden, actual, stated, check.metric)
        return verdict_of(comparison, expected, places_of(golden, actual))

    return judge(check, examine, [], natural=True)


def _on_a_server(check: Check, engine: str) -> tuple[Status, str]:
    """Say what an engine that no phone has makes of the file; "" where there is none."""
    if not engine:
        return "passed", ""
    outcome = _replayed(check, engine, 1, {})
    if outcome.fault == "differs":
        detail = outcome.problem
        return "noted", f"; the server engine {engine}, which no phone has, gives: {detail}"
    if not outcome:
        # Refusing is what an int8 file packed for phones should do there.
        return "passed", f"; the server engine {engine} refuses it"
    return "passed", f" and under the engine {engine}"


def _server_engine() -> str:
    import torch

    engines = torch.backends.quantized.supported_engines
    return next((str(e) for e in engines if e not in ("qnnpack", "none")), "")
