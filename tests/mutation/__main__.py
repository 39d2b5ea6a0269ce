"""Mutation testing of the checker: change it in thousands of places, and see that a test notices.

    python -m tests.mutation                              # all modules, an hour on one core
    python -m tests.mutation runtime_check/comparison.py --results build/mutation --seconds 500

Works in a copy of the checkout and writes `tests/mutation/score.md`: the score, and each survivor
with the line in `survivors.json` that says why it cannot turn a failure into a pass. A survivor
without such a line makes the exit code 1: write the test that kills it, or its line.
With `--results` what was found is kept, and a later call goes on.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from .judge import read_results
from .mutants import mutants_of, numbered
from .scope import MUTATED
from .score import Row, read_reasons, render

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


def row_of(module: str, folder: Path) -> Row:
    """Count what became of a module's mutants."""
    known = read_results(results_of(folder, module))
    mutants = list(numbered(mutants_of((ROOT / module).read_text(encoding="utf-8"))))
    results = [known[key] for key, _ in mutants if key in known]
    return Row(module=module, mutants=len(mutants), results=tuple(results))


def main() -> int:
    """Judge what was asked for, and write the score of everything that is known."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation")
    parser.add_argument("modules", nargs="*", default=MUTATED, help="those to mutate; all")
    parser.add_argument("--results", type=Path, help="folder to keep results in, to go on later")
    parser.add_argument("--seconds", type=float, default=1e9, help="stop after so many a module")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = (options.results or Path(scratch) / "results").resolve()
        folder.mkdir(parents=True, exist_ok=True)
        copy = Path(scratch) / "copy"
        copy_checkout(copy)
        for module in options.modules:
            arguments = [module, str(results_of(folder, module)), str(options.seconds)]
            subprocess.run(
                [sys.executable, "-m", "tests.mutation.judge", *arguments],
                cwd=copy,
                env={**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"},
                check=True,
            )
        rows = [row_of(module, folder) for module in MUTATED]
    text, unexplained = render([row for row in rows if row.results], read_reasons())
    (ROOT / SCORE).write_text(text, encoding="utf-8")
    print(text.split("\n## ")[0])
    for survivor in unexplained:
        print(f"survives without a reason: {survivor}")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
