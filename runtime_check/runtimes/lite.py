"""torch's lite interpreter: the only caller of its private loader, saver and backport.

Also the switch of torch's quantized engine. Phones run QNNPACK and XNNPACK, both behind the name
`qnnpack`; the Linux wheels default to x86 kernels. The engine that is set decides which kernels
run, and how int8 weights are packed into a file.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.jit import mobile

from ..errors import MissingEngine

PHONE_ENGINE = "qnnpack"

# Bytes; no lite file is as large. With less, a file is made in memory first, which takes three
# times its size: torch's own writer ends the process where a disk is full.
_AMPLE = 4 * 2**30


@contextmanager
def quantized_engine(name: str = PHONE_ENGINE, *, required: bool = True) -> Iterator[None]:
    """Set torch's quantized engine to `name` inside and restore it afterwards.

    Raises `MissingEngine` when this torch was built without it; with `required=False` nothing is
    set then, which is enough for float32 files.
    """
    supported = torch.backends.quantized.supported_engines
    if required and name not in supported:
        have = ", ".join(engine for engine in supported if engine != "none")
        raise MissingEngine(
            f"This torch has no quantized engine {name!r} (it has: {have or 'none'}). Install a "
            "torch that has it; PyPI's wheels up to 2.12 do."
        )
    before = torch.backends.quantized.engine
    if name in supported:
        torch.backends.quantized.engine = name
    try:
        yield
    finally:
        torch.backends.quantized.engine = before


def load_lite(path: Path | str) -> Any:
    """Load a lite file into this process; returns a module to call.

    Only for files of one's own: the loader is C++ that reads untrusted bytes. `open_runtime` runs
    files from elsewhere in a process of their own. Raises `RuntimeError` in torch's words.
    """
    load: Any = mobile._load_for_lite_interpreter  # untyped in torch
    return load(str(path))


def write_lite(module: Any, path: Path | str, *, extra: dict[str, str] | None = None) -> None:
    """Write a scripted or traced module for the lite interpreter, with `extra` records by name.

    Raises `OSError`, also where the disk is full.
    """
    if shutil.disk_usage(Path(path).parent).free >= _AMPLE:
        module._save_for_lite_interpreter(str(path), _extra_files=extra or {})
    else:
        data: bytes = module._save_to_buffer_for_lite_interpreter(_extra_files=extra or {})
        Path(path).write_bytes(data)


def backport(path: Path | str, version: int) -> bytes:
    """Write the lite file at `path` in an older bytecode version; returns the new file's bytes.

    Raises `RuntimeError` in torch's words when it cannot.
    """
    data: bytes = mobile._backport_for_mobile_to_buffer(str(path), version)
    return data
