"""Run the tests over every mutant of one module, each in a process forked after the slow imports.

    python -m tests.mutation.judge runtime_check/comparison.py RESULTS SECONDS

The working folder is a copy of the checkout. The mutated source is compiled in the place of the
module's file, which stays as it is. One JSON line a mutant is appended to RESULTS. To be called
again, it ends after SECONDS; what was killed, or survived these very tests, is not judged again.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType
from typing import Literal

from .mutants import mutants_of, numbered
from .scope import judges_of

Fate = Literal["killed", "survived", "timeout"]
# What takes seconds to import, and knows nothing of the modules that are mutated.
SLOW_IMPORTS = (
    "numpy", "torch", "torch.utils.mobile_optimizer", "torch.ao.quantization", "pydantic", "PIL",
    "hypothesis.extra.numpy", "pytest", "timm", "typer", "rich",
    # Of ours, what stands below all that is mutated (`tests/test_house.py` holds the floors).
    "runtime_check.artifact.archive",
)  # fmt: skip
# What pytest would do at its start and end takes longer than most mutants live.
QUICKLY = (
    "-x", "-q", "-o", "addopts=--import-mode=importlib", "-p", "no:cacheprovider",
    "-p", "no:unraisableexception", "-p", "no:threadexception", "-W", "ignore",
)  # fmt: skip
# A mutant may loop for ever; one that takes this many times what the tests take does.
PATIENCE = 6.0


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of one mutant, and which test saw it first."""

    key: str
    line: int
    fate: Fate
    by: str
    tests: str  # digest of the tests that judged


class _Mutated(importlib.machinery.SourceFileLoader):
    """Load a module from other source than its file's."""

    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self._source = source

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._source, self.path, "exec", dont_inherit=True)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, path: Path, source: str) -> None:
        parts = path.with_suffix("").parts
        self._package = parts[-1] == "__init__"
        self.name = ".".join(parts[:-1] if self._package else parts)
        self._path, self._source = path.resolve(), source

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != self.name:
            return None
        return importlib.util.spec_from_file_location(
            name,
            self._path,
            loader=_Mutated(name, str(self._path), self._source),
            submodule_search_locations=[str(self._path.parent)] if self._package else None,
        )


def _run_tests(path: Path, source: str, tests: Sequence[str], log: Path) -> int:
    """Run in the forked process: the tests over the mutant, everything said to `log`."""
    os.setsid()
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    finder = _Finder(path, source)
    sys.meta_path.insert(0, finder)
    # Before pytest's own importer takes over, which would read the file.
    module = importlib.import_module(finder.name)
    assert isinstance(module.__loader__, _Mutated)
    import pytest

    return int(pytest.main([*QUICKLY, *tests]))


def judge(path: Path, source: str, tests: Sequence[str], log: Path, limit: float) -> Fate:
    """Run the tests over one mutant of the module at `path`, for at most `limit` seconds."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = _run_tests(path, source, tests, log)
        finally:
            os._exit(code)
    deadline = time.monotonic() + limit
    status = 0
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            break
        time.sleep(0.02)
    # Processes that a test started and the mutant did not end.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)
    if not done:
        return "timeout"
    return "survived" if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0 else "killed"


def _first_failure(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    named = [line for line in lines if line.startswith(("FAILED ", "ERROR "))]
    return named[0].split(" - ")[0].split(" ", 1)[1] if named else "import"


def main(path: Path, results: Path, seconds: float) -> None:
    """Judge what is not judged yet; raise `SystemExit` where the tests fail without a mutant."""
    end = time.monotonic() + seconds
    digest = digest_of_tests()
    mutants = list(numbered(mutants_of(path.read_text(encoding="utf-8"))))
    known = read_results(results)
    todo = [
        (key, mutant)
        for key, mutant in mutants
        if key not in known or (known[key].fate == "survived" and known[key].tests != digest)
    ]
    if not todo:
        return
    for name in SLOW_IMPORTS:
        importlib.import_module(name)
    gc.freeze()  # no fork looks through all of torch again
    tests = judges_of(str(path))
    log = results.with_suffix(".log")
    started = time.monotonic()
    if judge(path, path.read_text(encoding="utf-8"), tests, log, 600.0) != "survived":
        raise SystemExit(f"The tests fail without any mutant:\n{log.read_text()[-3000:]}")
    took = time.monotonic() - started
    print(f"{path}: {len(todo)} of {len(mutants)} mutants; the tests take {took:.1f} s", flush=True)
    for count, (key, mutant) in enumerate(todo):
        if time.monotonic() > end:
            print(f"{path}: {len(todo) - count} left", flush=True)
            return
        fate = judge(path, mutant.source, tests, log, 10 + PATIENCE * took)
        by = _first_failure(log) if fate == "killed" else ""
        result = Result(key=key, line=mutant.line, fate=fate, by=by, tests=digest)
        with results.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(asdict(result)) + "\n")


def read_results(path: Path) -> dict[str, Result]:
    """Return what is known of each mutant by its key, the latest counting."""
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    return {result.key: result for result in (Result(**json.loads(line)) for line in lines)}


def digest_of_tests() -> str:
    """Name the state of all tests of the checker: a survivor is judged again when it changes."""
    digest = hashlib.sha256()
    for path in sorted(Path("tests/runtime_check").rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]).resolve(), float(sys.argv[3]))
