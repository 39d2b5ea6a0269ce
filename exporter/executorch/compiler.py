"""ExecuTorch's compiler: is it there, and how it is kept quiet."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime_check.runtimes.program import HOW_TO_INSTALL

from ..errors import UsageError
from ..quiet import quiet

_FLATC = "FLATC_EXECUTABLE"  # the compiler runs this program, and looks for it on PATH alone


@contextmanager
def compiler() -> Iterator[None]:
    """Make ExecuTorch's compiler find its own program, and keep what it logs to itself."""
    before = os.environ.get(_FLATC)
    os.environ[_FLATC] = before or str(_flatc())
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with quiet():
            yield
    finally:
        logging.disable(disabled)
        if before is None:
            del os.environ[_FLATC]


def _flatc() -> Path:
    """Return ExecuTorch's own flatc.

    `executorch` has no `__init__`, so every folder of that name on Python's path is part of it.
    """
    import executorch

    for folder in executorch.__path__:
        program = Path(folder) / "data" / "bin" / "flatc"
        if program.is_file():
            return program
    raise UsageError(f"--format pte: the installed ExecuTorch has no flatc. Run: {HOW_TO_INSTALL}")
