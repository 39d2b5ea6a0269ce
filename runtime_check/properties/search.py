"""Draw inputs until one fails or enough passed; hypothesis draws and shrinks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import seed as hypothesis_seed
from hypothesis import strategies as st
from hypothesis.errors import Flaky, HypothesisException

from ..comparison import Comparison
from .base import UNPROVEN, Check, Examiner, PropertyResult, Trial, Verdict, judge, worse
from .counterexample import save_counterexample
from .inputs import (
    Recipe,
)
from .spread import Spread

# A device under emulation takes seconds an input; shrinking stops asking it after this many.
MAX_DEVICE_SHRINKS = 12
# Each costs a fresh process that loads the file again; one that hangs costs the time limit, too.
MAX_DEADLY_SHRINKS = {"hung": 0, "memory": 2}
MAX_DEATHS = 6
# Where hypothesis draws an input twice, it is asked for more, so many times.
MAX_DRAWS = 4


class _Disagreement(Exception):
    """Tell hypothesis that this input fails."""


@dataclass
class _Search:
    """What has been tried so far; hypothesis calls back into it."""

    verdicts: dict[Recipe, Verdict] = field(default_factory=dict)
    failing: Recipe | None = None
    failure: Verdict | None = None
    worst: Comparison | None = None
    spread: Spread = field(default_factory=Spread)
    shrinks: int = 0

    def found(self, recipe: Recipe, verdict: Verdict) -> None:
        """Keep a verdict: the outputs only of the one that fails."""
        self.verdicts[recipe] = verdict.slim()
        if not verdict:
            # What cannot be judged on the way to a smaller input does not excuse the larger one.
            if self.failure is None or verdict.fault not in UNPROVEN:
                self.failing, self.failure = recipe, verdict
        elif self.failing is None:
            self.worst = worse(self.worst, verdict.comparison)
            if verdict.expected and verdict.comparison is not None:
                allowed = verdict.comparison.tolerance
                atols = [allowed.atol_of(index) for index in range(len(verdict.expected))]
                self.spread.add(verdict.expected, *atols)

    @property
    def exhausted(self) -> bool:
        """Whether shrinking has cost enough."""
        fault = "" if self.failure is None else self.failure.fault
        if fault in ("crashed", "hung", "memory", "nonsense"):
            return self.shrinks > MAX_DEADLY_SHRINKS.get(fault, MAX_DEATHS)
        return False


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
    check: Check,
    name: str,
    strategy: st.SearchStrategy[Any],
    examine: Examiner,
    *,
    first: Sequence[Recipe] = (),
) -> PropertyResult:
    """Judge `first`, draw inputs until one fails or enough passed; shrink and save what fails.

    Enough is `check.examples` different inputs beside `first`. Where there are such, the outputs
    have to depend on the input: the same for all of them, or all 0 and 1, they prove nothing.
    """
    trial = Trial.begin(check, name)
    search = _Search()
    for recipe in first:
        if search.failing is None:
            verdict = judge(check, examine, recipe.build(), recipe.natural)
            search.found(recipe, verdict)
    needed = len(first) + check.examples

    def probe(recipe: Recipe) -> None:
        verdict = search.verdicts.get(recipe)
        if verdict is None:
            if search.failing is not None:
                search.shrinks += 1
                costly = check.runtime.costly and search.shrinks > MAX_DEVICE_SHRINKS
                if costly or search.exhausted or check.runtime.is_late:
                    return
            verdict = judge(check, examine, recipe.build(), recipe.natural)
            search.found(recipe, verdict)
        if not verdict:
            raise _Disagreement(verdict.problem)

    misled = ""
    for again in range(MAX_DRAWS):
        run = hypothesis_seed(check.seed + again)(
            _settings(check.examples, [Phase.generate, Phase.shrink])(given(strategy)(probe))
        )
        try:
            run()
        except _Disagreement:
            break
        except (Flaky, HypothesisException) as error:
            misled = f"hypothesis: {str(error).splitlines()[0][:120]}"
            break
        if search.failing is not None or len(search.verdicts) >= needed:
            break
    if search.failure is not None and search.failing is not None:
        return _failure(trial, search, search.failing, search.failure)
    if misled:
        return trial.broken("unsteady", misled, examples=len(search.verdicts))
    return _success(trial, search, needed=needed, varies=bool(first))


def _success(trial: Trial, search: _Search, *, needed: int, varies: bool) -> PropertyResult:
    tried = list(search.verdicts.values())
    same = search.spread.constant()
    if varies and same and all(same):
        return trial.broken(
            "constant",
            f"the outputs are the same for all of {len(tried)} inputs (an untrained head?): "
            "whatever the file computes before them would pass",
            examples=len(tried),
            comparison=search.worst,
        )
    if varies and tried and not any(verdict.telling for verdict in tried):
        return trial.broken(
            "saturated",
            f"the outputs are all 0 and 1 for all of {len(tried)} inputs: they hide what the "
            "network computes before its activation",
            examples=len(tried),
            comparison=search.worst,
        )
    remarks = [verdict.remark for verdict in tried if verdict.remark]
    reason = f"{len(remarks)} of {len(tried)} inputs: {remarks[0]}" if remarks else ""
    if varies and any(same):
        constant = ", ".join(str(index) for index, still in enumerate(same) if still)
        reason = f"output {constant} is the same for every input, which proves nothing of it"
    return trial.passed(
        inputs=len(tried),
        needed=needed,
        values=sum(verdict.values for verdict in tried),
        comparison=search.worst,
        reason=reason,
        noted=bool(reason),
    )


def _failure(trial: Trial, search: _Search, recipe: Recipe, verdict: Verdict) -> PropertyResult:
    path = None
    if verdict.fault not in UNPROVEN:
        path = save_counterexample(trial.check, trial.name, recipe, verdict)
    return trial.broken(
        verdict.fault or "bug",
        verdict.problem,
        examples=len(search.verdicts),
        comparison=verdict.comparison,
        minimal=repr(recipe),
        counterexample=path,
    )
