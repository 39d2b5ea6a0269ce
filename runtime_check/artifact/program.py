"""The program of a `.pte`, in the artifact contract: what lies in front of the zip.

A `.pte` made here is an ExecuTorch program and directly behind it a zip with the same records as
in a `.ptl`. ExecuTorch reads the one and ignores the other; the hash ties them together.
Format of the program: https://docs.pytorch.org/executorch/stable/pte-file-format.html
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from ..options import Format as Format
from .limits import Count
from .tensors import Frozen

# What a program is called through, in this order: `preprocess` makes the network's input of a
# photo, and is missing where there is no photo; `forward` is the network and all that follows.
Method = Literal["preprocess", "forward"]

# Of the flatbuffer at the start of a file: today's, and that before it.
MAGICS = (b"ET12", b"ET11")


class Program(Frozen):
    """The first `bytes` bytes of the file, and the methods that an app runs one after another."""

    bytes: Count
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    methods: list[Method] = Field(min_length=1, max_length=2)

    @field_validator("methods")
    @classmethod
    def _has_the_network(cls, value: list[Method]) -> list[Method]:
        if value not in (["forward"], ["preprocess", "forward"]):
            raise ValueError("`forward`, or `preprocess` and `forward`")
        return value


def is_program(head: bytes) -> bool:
    """Say whether a file that begins with these 8 bytes or more is an ExecuTorch program."""
    return head[4:8] in MAGICS


def is_pte(path: Path | str) -> bool:
    """Say whether a file begins as an ExecuTorch program does; False where it cannot be read."""
    try:
        with Path(path).open("rb") as stream:
            return is_program(stream.read(8))
    except OSError:
        return False
