"""The table of the score, and why each survivor may live."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .judge import Result

SURVIVORS = Path(__file__).with_name("survivors.json")
# What a reason begins with, and what it means.
KINDS = {
    "equivalent": "the same for every input",
    "words": "only words, names or times change",
    "stricter": "only more fails, or less is proven",
    "cost": "only how much work is done",
    "harmless": "other, and no failure becomes a pass: the line says why",
}
HEAD = """# The score of the checker's own tests

Written by `python -m tests.mutation`; not for hands. Each mutant is one change of one module that
decides verdicts, judged by the fast tests of `tests/runtime_check` (`scope.py` lists both,
`mutants.py` what is changed and, by rule, what is not). A mutant that never ends is found. With
`--go-on`, a module that did not change keeps the fates it was given by an earlier run.

"""


@dataclass(frozen=True, kw_only=True)
class Row:
    """What became of the mutants of one module."""

    module: str
    mutants: int
    killed: int
    lived: tuple[Result, ...]  # survivors, and those that never ended

    @property
    def judged(self) -> int:
        """How many mutants were run."""
        return self.killed + len(self.lived)

    def count(self, fate: str) -> int:
        """Count the mutants of that fate that were not killed."""
        return sum(result.fate == fate for result in self.lived)


def read_reasons() -> dict[str, dict[str, str]]:
    """Return, by module and key, why a survivor cannot turn a failure into a pass."""
    reasons: dict[str, dict[str, str]] = json.loads(SURVIVORS.read_text(encoding="utf-8"))
    for module, lines in reasons.items():
        for key, line in lines.items():
            if line.split(":")[0] not in KINDS:
                raise ValueError(f"{module}, {key}: a reason begins with one of {list(KINDS)}.")
    return reasons


def render(rows: Sequence[Row], reasons: Mapping[str, Mapping[str, str]]) -> tuple[str, list[str]]:
    """Return the page, and the survivors that have no reason."""
    lines = [
        "| Module | Mutants | Killed | Timeouts | Survived |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    unexplained, kinds, listed = [], dict.fromkeys(KINDS, 0), []
    for row in rows:
        left = row.mutants - row.judged
        name = f"{row.module} ({left} not judged)" if left else row.module
        cells = [row.mutants, row.killed, row.count("timeout"), row.count("survived")]
        lines.append(f"| {name} | {' | '.join(map(str, cells))} |")
        survivors = [result for result in row.lived if result.fate == "survived"]
        if survivors:
            listed += ["", f"## {row.module}", ""]
        for result in survivors:
            reason = reasons.get(row.module, {}).get(result.key)
            if reason is None:
                unexplained.append(f"{row.module}:{result.line}: {result.key}")
            else:
                kinds[reason.split(":")[0]] += 1
            listed.append(f"- line {result.line}, {_code(result.key)}  ")
            listed.append(f"  {reason or '**no reason yet**'}")
    judged = sum(row.judged for row in rows)
    survived = sum(row.count("survived") for row in rows)
    share = f"{(judged - survived) / judged:.1%}" if judged else "nothing"
    lines += ["", f"{judged} mutants, {share} found, {survived} survivors:", ""]
    lines += [f"- {kind} ({count}): {KINDS[kind]}" for kind, count in kinds.items()]
    lines += [f"- without a reason: {len(unexplained)}"]
    return HEAD + "\n".join([*lines, *listed]) + "\n", unexplained


def _code(key: str) -> str:
    function, _, change = key.partition(": ")
    shown = change if len(change) <= 160 else change[:157] + "..."
    return f"`{function}`: `` {shown} ``"
