"""ExecuTorch's own runtime for Python: the only caller of its bindings.

Of the packages of `executorch` only the bindings are imported, which takes milliseconds: the rest
is the compiler, whose import takes seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import RuntimeCheckError

if TYPE_CHECKING:
    from torch import Tensor

# As `pyproject.toml` says it, with the reason for the bounds.
EXTRA = "executorch"
HOW_TO_INSTALL = f"pip install 'torch-mobile-export[{EXTRA}]'"


class NoExecuTorch(RuntimeCheckError):
    """A `.pte` was to be made or run, and ExecuTorch is not installed, or not the right one."""


def executorch_version() -> str:
    """Return the installed ExecuTorch's version; raise `NoExecuTorch` where there is none."""
    try:
        return version("executorch")
    except PackageNotFoundError:
        raise NoExecuTorch(
            f"ExecuTorch is not installed, which makes and runs .pte files. Run: {HOW_TO_INSTALL}"
        ) from None


def load_program(
    path: Path | str, *, threads: int = 1
) -> Callable[[Sequence[Tensor]], list[Tensor]]:
    """Load a `.pte` into this process; returns a function of its inputs that gives its outputs.

    A program with a method `preprocess` is called as an app does: its output goes into `forward`.
    What is behind the program is ignored. Only for files of one's own: the loader is C++ that reads
    untrusted bytes, and `open_runtime` runs files from elsewhere in a process of their own. Raises
    `NoExecuTorch`, and `RuntimeError` in ExecuTorch's words.
    """
    from ..outputs import flatten

    executorch_version()
    try:
        from executorch.extension.pybindings import _portable_lib as bindings
    except ImportError as error:
        raise NoExecuTorch(
            f"The installed ExecuTorch does not load beside this torch ({error}). "
            f"Run: {HOW_TO_INSTALL}"
        ) from error
    bindings._unsafe_reset_threadpool(threads)
    program: Any = bindings._load_for_executorch(str(path))
    methods = [name for name in ("preprocess", "forward") if name in program.method_names()]
    if "forward" not in methods:
        raise RuntimeError("the program has no method forward")

    def run(inputs: Sequence[Tensor]) -> list[Tensor]:
        given: Any = tuple(inputs)
        for method in methods:
            given = program.run_method(method, tuple(given))
        return flatten(list(given))

    return run
