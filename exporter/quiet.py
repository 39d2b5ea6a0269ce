"""Keep torch's and timm's chatter from people who cannot act on it."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

# Loggers that report retries, layer registrations and deprecations of torch itself.
# `torch.utils` has that of pytrees, which torchao upsets when transformers loads it.
_LOGGERS = (
    "timm", "huggingface_hub", "transformers", "torch.ao", "torch.jit", "torch.fx", "torch.utils",
    "root",
)  # fmt: skip


@contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings and library loggers inside; errors still raise.

    Deprecations of TorchScript, `torch.ao.quantization` and the lite interpreter are stated once,
    in the README. What a user can act on is raised or put in the report by this package itself.
    """
    before = {name: logging.getLogger(name).level for name in _LOGGERS}
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


@contextmanager
def without_stderr() -> Iterator[None]:
    """Send what C++ code writes to stderr nowhere; what it fails of is raised all the same."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
