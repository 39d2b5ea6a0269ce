"""Say where in somebody's own code an error came from."""

from __future__ import annotations

import sys
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import BuildError, RuntimeCheckError

_OURS = ("runtime_check", "exporter")
# What authors' code calls: an error that shows there comes from the line that called it.
_LIBRARIES = ("torch", "torchvision", "timm", "numpy", "PIL", "einops", "transformers")


def _folder(package: str) -> str:
    file = getattr(sys.modules.get(package), "__file__", None)
    return f"{Path(file).parent}/" if file else ""


def authors_line(error: BaseException) -> str:
    """Return `models.py, line 12`: the innermost line that is neither ours nor a library's.

    "" where the error came from our own code, or from a library that we called. `torch` calls the
    author's code too, so the lines below the innermost one of ours are looked at alone.
    """
    ours = tuple(filter(None, map(_folder, _OURS)))
    libraries = tuple(filter(None, map(_folder, _LIBRARIES)))
    standard = f"{sysconfig.get_paths()['stdlib']}/"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        name = frame.filename
        if name.startswith(ours):
            break
        in_standard = name.startswith(standard) and "site-packages" not in name
        if not (name.startswith(("<", *libraries)) or in_standard):
            return f"{_short(Path(name))}, line {frame.lineno}"
    return ""


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def sentence(error: BaseException) -> str:
    """Return what was raised and where: `ValueError: no (models.py, line 12)`."""
    line = authors_line(error)
    text = " ".join(str(error).split()) or "no message"
    if len(text) > 500:  # TorchScript begins with source text and ends with the cause
        text = f"{text[:150]} ... {text[-350:]}"
    return f"{type(error).__name__}: {text}{f' ({line})' if line else ''}"


@contextmanager
def authors_code(
    doing: str, error: type[Exception] = BuildError, *, hint: str = ""
) -> Iterator[None]:
    """Raise `error` for whatever somebody's own code raises here, `sys.exit()` included.

    `doing` begins the sentence, `Calling models:make`, and `hint` follows it. Our own errors and
    Ctrl-C pass.
    """
    try:
        yield
    except (KeyboardInterrupt, RuntimeCheckError, error):
        raise
    except BaseException as raised:
        raise error(f"{doing} raised {sentence(raised)}.{hint and ' ' + hint}") from raised
