"""What lowering gives, whatever the format: a file that computes what eager does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

from runtime_check.artifact.metadata import Capture

from ..package.archive import LiteFile
from ..package.program import ProgramFile
from ..rewrites import PassEffect
from ..verify import Verified
from .compatibility import Verdict


@dataclass(frozen=True, kw_only=True)
class Lowered:
    """A file that agrees with eager and loads on every demanded runtime, and how it was made.

    `stages` are what it became on the way, for the ledger: each takes what the file takes.
    `effects` and `repairs` are those of the passes on what was captured. `verified` is None where
    the user left verification out. `rejected` names the captures that were tried before this one,
    and why each was not taken.
    """

    capture: Capture
    stages: tuple[tuple[str, nn.Module], ...]
    effects: Mapping[str, PassEffect] = field(default_factory=dict)
    repairs: tuple[str, ...] = ()
    file: LiteFile | ProgramFile
    verified: Verified | None
    verdicts: tuple[Verdict, ...] = ()
    dynamic_batch: bool
    rejected: tuple[str, ...] = ()


def portable(text: str) -> str:
    """Shorten absolute paths in a branch's description: a file holds no machine's paths."""
    return re.sub(r"(?:[A-Za-z]:)?[\\/](?:[^\\/:,]+[\\/])+", "", text)
