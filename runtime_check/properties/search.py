"""Draw inputs until one fails or enough passed; hypothesis draws and shrinks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import seed as hypothesis_seed
from hypothesis import strategies as st
from hypothesis.errors import Flaky, HypothesisException

from ..comparison import Comparison
from .base import Check, Examiner, PropertyResult, Verdict, judge, within, worse
from .counterexample import save_counterexample
from .inputs import (
    Recipe,
)

# A device under emulation takes seconds an input; shrinking stops asking it after this many.
MAX_DEVICE_SHRINKS = 12


class _Disagreement(Exception):
    """Tell hypothesis that this input fails."""


@dataclass
class _Search:
    """What has been tried so far; hypothesis calls back into it."""

    verdicts: dict[Recipe, Verdict] = field(default_factory=dict)
    failing: Recipe | None = None
    worst: Comparison | None = None
    shrinks: int = 0


def _settings(examples: int, phases: Sequence[Phase]) -> settings:
    return settings(
        max_examples=examples,
        database=None,
        deadline=None,
        derandomize=False,
        phases=tuple(phases),
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        verbosity=Verbosity.quiet,
        print_blob=False,
    )


def draw(strategy: st.SearchStrategy[Any], examples: int, seed: int) -> list[Recipe]:
    """Draw recipes without judging them, the same ones for the same seed."""
    drawn: dict[Recipe, None] = {}

    @hypothesis_seed(seed)
    @_settings(examples, [Phase.generate])
    @given(strategy)
    def collect(recipe: Recipe) -> None:
        drawn[recipe] = None

    collect()
    return list(drawn)


def explore(
    check: Check, name: str, strategy: st.SearchStrategy[Any], examine: Examiner
) -> PropertyResult:
    """Draw inputs until one fails or enough passed; shrink and save the one that fails."""
    started = time.perf_counter()
    search = _Search()

    def probe(recipe: Recipe) -> None:
        verdict = search.verdicts.get(recipe)
        if verdict is None:
            if search.failing is not None:
                search.shrinks += 1
            if check.runtime.costly and search.shrinks > MAX_DEVICE_SHRINKS:
                return
            verdict = judge(check, examine, recipe.build(), recipe.natural)
            search.verdicts[recipe] = verdict
            if search.failing is None:
                search.worst = worse(search.worst, verdict.comparison)
        if not verdict:
            search.failing = recipe
            raise _Disagreement(verdict.problem)

    run = hypothesis_seed(check.seed)(
        _settings(check.examples, [Phase.generate, Phase.shrink])(given(strategy)(probe))
    )
    unsteady = ""
    try:
        run()
    except _Disagreement:
        pass
    except (Flaky, HypothesisException) as error:
        unsteady = f" (hypothesis: {str(error).splitlines()[0][:120]})"
    seconds = time.perf_counter() - started
    tried = len(search.verdicts)
    if search.failing is None:
        remarks = [v.remark for v in search.verdicts.values() if v.remark]
        reason = within(search.worst) + unsteady
        if remarks:
            reason = f"{len(remarks)} of {tried} inputs: {remarks[0]}"
        return PropertyResult(
            name=name,
            status="noted" if remarks else "passed",
            reason=reason,
            examples=tried,
            seconds=seconds,
            comparison=search.worst,
        )
    verdict = search.verdicts[search.failing]
    path = save_counterexample(check, name, search.failing, verdict)
    return PropertyResult(
        name=name,
        status="failed",
        reason=verdict.problem + unsteady,
        examples=tried,
        seconds=seconds,
        comparison=verdict.comparison,
        minimal=repr(search.failing),
        counterexample=path,
    )
