"""Mutation testing of the checker: change it in thousands of places, and see that a test notices.

    python -m tests.mutation                              # all modules, an hour on one core
    python -m tests.mutation runtime_check/comparison.py --results build/mutation --seconds 500

Works in a copy of the checkout and writes `tests/mutation/score.md`: the score, and each survivor
with the line in `survivors.json` that says why it cannot turn a failure into a pass. A survivor
without such a line makes the exit code 1: write the test that kills it, or its line.
With `--results` what was found is kept, and a later call goes on. `judged.json` keeps it with the
checkout: `--go-on` starts from there, where a module is still what it was.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .judge import read_results
from .judged import entry_of, read_judged, recall, row_of, write_judged
from .mutants import mutants_of, numbered
from .scope import MUTATED
from .score import read_reasons, render

ROOT = Path(__file__).resolve().parents[2]
SCORE = Path("tests/mutation/score.md")
COPIED = ("runtime_check", "exporter", "tests/runtime_check", "tests/mutation")


def copy_checkout(target: Path) -> None:
    """Copy what the tests of the checker need."""
    leave = shutil.ignore_patterns("__pycache__", "*.ptl")
    for name in COPIED:
        shutil.copytree(ROOT / name, target / name, ignore=leave)
    shutil.copy(ROOT / "pyproject.toml", target)
    for helper in (ROOT / "tests").glob("*.py"):
        shutil.copy(helper, target / "tests")


def results_of(folder: Path, module: str) -> Path:
    """Return where the results of a module are kept."""
    return folder / f"{module.replace('/', '.')}l"


def seed(path: Path, module: str, entry: Mapping[str, Any]) -> None:
    """Write what is kept of a module where the judge goes on, if nothing is there."""
    if not path.exists():
        source = (ROOT / module).read_text(encoding="utf-8")
        lines = [json.dumps(asdict(result)) for result in recall(entry, source)]
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def judge_module(module: str, results: Path, seconds: float, copy: Path) -> dict[str, Any]:
    """Judge a module's mutants in a copy of the checkout; return what is kept of them."""
    subprocess.run(
        [sys.executable, "-m", "tests.mutation.judge", module, str(results), str(seconds)],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"},
        check=True,
    )
    source = (ROOT / module).read_text(encoding="utf-8")
    known = read_results(results)
    keys = [key for key, _ in numbered(mutants_of(source))]
    return entry_of(source, [known[key] for key in keys if key in known])


def main() -> int:
    """Judge what was asked for, and write the score of everything that is known."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation")
    parser.add_argument("modules", nargs="*", default=MUTATED, help="those to mutate; all")
    parser.add_argument("--results", type=Path, help="folder to keep results in, to go on later")
    parser.add_argument("--seconds", type=float, default=1e9, help="stop after so many a module")
    parser.add_argument("--go-on", action="store_true", help="start from judged.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = (options.results or Path(scratch) / "results").resolve()
        folder.mkdir(parents=True, exist_ok=True)
        copy = Path(scratch) / "copy"
        copy_checkout(copy)
        entries = read_judged(ROOT)
        for module in options.modules:
            results = results_of(folder, module)
            if options.go_on and module in entries:
                seed(results, module, entries[module])
            entries[module] = judge_module(module, results, options.seconds, copy)
            write_judged({name: entries[name] for name in MUTATED if name in entries}, ROOT)
    rows = [row_of(name, entries[name]) for name in MUTATED if name in entries]
    text, unexplained = render(rows, read_reasons())
    (ROOT / SCORE).write_text(text, encoding="utf-8")
    print(text.split("\n## ")[0])
    for survivor in unexplained:
        print(f"survives without a reason: {survivor}")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
