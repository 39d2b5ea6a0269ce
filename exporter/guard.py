"""Errors as `export` promises them: all of them `ExportError`, whoever raised them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from runtime_check.blame import authors_line, sentence
from runtime_check.errors import RuntimeCheckError

from .errors import ExportError, ModelError, UsageError, VerifyError


@contextmanager
def export_errors(model: str) -> Iterator[None]:
    """Raise everything as a subclass of `ExportError`, but Ctrl-C and what is a bug of ours.

    `model` is its name, for messages. What the author's code raises is told with its line, and a
    process that it ends (`sys.exit()` in a forward) is an error like any other.
    """
    try:
        yield
    except (ExportError, KeyboardInterrupt):
        raise
    except RuntimeCheckError as error:
        kind = VerifyError if error.exit_code == VerifyError.exit_code else UsageError
        raise kind(str(error)) from error
    except BaseException as error:
        if authors_line(error) or not isinstance(error, Exception):
            raise ModelError(f"{model}: its own code raised {sentence(error)}.") from error
        if isinstance(error, OSError) and error.strerror:
            where = f"{error.filename}: " if error.filename else ""
            raise ExportError(f"{where}{error.strerror}. Nothing was exported.") from error
        if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
            raise ExportError(
                f"{model} needs more memory than there is. Export on a larger machine, or with a "
                "smaller --input-shape."
            ) from error
        raise
