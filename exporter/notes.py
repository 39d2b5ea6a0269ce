"""What an export has to say beside its figures: sentences for people, sorted by kind for code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# random-weights, noise: the file computes nothing useful. repair: what made a capture or an
# optimization right. rejected-capture: a capture that was tried and not taken, and why.
# constant: an output that does not depend on the input. saturated: what was compared instead of
# probabilities that are all 0 or 1.
# module: what was taken off the module, or that it came as TorchScript.
# absent: an output that is None, and is not in the file.
# task: what the outputs were taken for, and what was added to them, or not, and why.
# skipped: image files that cannot serve. weights: which of a checkpoint's were taken, and what
# became of their dtypes. golden: that golden vectors are a large part of the file.
NoteKind = Literal[
    "random-weights",
    "noise",
    "module",
    "absent",
    "task",
    "weights",
    "repair",
    "rejected-capture",
    "quantize",
    "auto",
    "batch",
    "evaluation",
    "skipped",
    "signature",
    "constant",
    "saturated",
    "golden",
]

_PREFIXES: dict[NoteKind, str] = {
    "repair": "repaired: ",
    "rejected-capture": "capture not taken: ",
}


@dataclass(frozen=True)
class Note:
    """One sentence for the report. Code reads `kind`, never the wording of `text`."""

    kind: NoteKind
    text: str

    @property
    def is_warning(self) -> bool:
        """Whether the file is not fit for use."""
        return self.kind in ("random-weights", "noise")

    def __str__(self) -> str:
        return _PREFIXES.get(self.kind, "") + self.text
