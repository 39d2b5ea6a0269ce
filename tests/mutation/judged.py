"""What was judged before, kept beside the score: a module that did not change keeps its fates."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .judge import Result
from .mutants import mutants_of, numbered
from .score import Row

JUDGED = Path("tests/mutation/judged.json")


def digest_of(source: str) -> str:
    """Name the state of a module."""
    return hashlib.sha256(source.encode()).hexdigest()[:16]


def entry_of(source: str, judged: Sequence[Result]) -> dict[str, Any]:
    """Return what is kept of a module: what was not killed or not judged. The rest was killed."""
    known = {result.key for result in judged}
    keys = [key for key, _ in numbered(mutants_of(source))]
    return {
        "source": digest_of(source),
        "mutants": len(keys),
        "lived": [asdict(result) for result in judged if result.fate != "killed"],
        "left": [key for key in keys if key not in known],
    }


def read_judged(root: Path) -> dict[str, dict[str, Any]]:
    """Return what is kept of every module whose source is still the one that was judged."""
    path = root / JUDGED
    entries = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return {
        module: entry
        for module, entry in entries.items()
        if entry["source"] == digest_of((root / module).read_text(encoding="utf-8"))
    }


def write_judged(entries: Mapping[str, Mapping[str, Any]], root: Path) -> None:
    """Write what is kept of all modules."""
    text = json.dumps(entries, indent=1, ensure_ascii=False)
    (root / JUDGED).write_text(text + "\n", encoding="utf-8")


def recall(entry: Mapping[str, Any], source: str) -> list[Result]:
    """Return the fates of the mutants of `source`, of which `entry` is what was kept."""
    lived = {line["key"]: Result(**line) for line in entry["lived"]}
    return [
        lived.get(key) or Result(key=key, line=mutant.line, fate="killed", by="before", tests="")
        for key, mutant in numbered(mutants_of(source))
        if key not in set(entry["left"])
    ]


def row_of(module: str, entry: Mapping[str, Any]) -> Row:
    """Return a module's row of the score."""
    lived = tuple(Result(**line) for line in entry["lived"])
    killed = entry["mutants"] - len(entry["left"]) - len(lived)
    return Row(module=module, mutants=entry["mutants"], killed=killed, lived=lived)
