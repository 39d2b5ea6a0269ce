"""How far a file's outputs may lie from others: measured on the Python model wherever there is one.

The file is the accused: what it states about itself counts only where nothing better is known,
and only within a bound that `require_sane_tolerance` sets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..artifact.metadata import Golden, Metadata, ToleranceSpec
from ..comparison import Tolerance
from ..errors import UnreadableArtifact
from ..options import Demands
from ..reference.rounding import FLOOR, Rounding

# The most a file may state, as a share of the spread (largest - smallest) of its golden outputs.
# Honest float32 files state below 1e-3; int8 ones count steps of 1/255 of that spread, and more
# where a last bit of the input flips roundings.
MOST_STATED_FLOAT = 0.05
MOST_STATED_INT8 = 0.5


@dataclass(frozen=True, kw_only=True)
class Allowance:
    """What may differ between two right computations of the same outputs.

    `rounding` is that of the Python model; None for int8 files and without a reference, where
    `stated` counts: the file's own, for outputs as large as its golden ones (`usual`).
    """

    stated: ToleranceSpec
    usual: float
    bounded: bool  # probabilities do not grow with the input
    rounding: Rounding | None = None

    def for_outputs(self, outputs: Sequence[np.ndarray]) -> Tolerance:
        """Return the tolerance for outputs as large as these: rounding is relative to size."""
        size = largest(outputs)
        if self.rounding is not None:
            return Tolerance(atol=max(self.rounding.finished * size, np.finfo(np.float32).tiny))
        grown = 1.0
        if self.usual and not self.bounded:
            grown = max(1.0, size / self.usual)
        return Tolerance(
            atol=self.stated.atol * grown, rtol=self.stated.rtol, step=self.stated.step
        )

    def for_raw(self, outputs: Sequence[np.ndarray]) -> float:
        """Return the absolute tolerance for a network's outputs before the activation."""
        share = FLOOR if self.rounding is None else self.rounding.raw
        return share * largest(outputs)

    @property
    def basis(self) -> str:
        """Say where the numbers come from."""
        if self.rounding is not None:
            return self.rounding.basis
        return f"stated by the file: {self.stated.basis}"


def allowance_of(metadata: Metadata, golden: Golden, rounding: Rounding | None) -> Allowance:
    """Make the allowance of a file; `rounding` where a float32 reference was measured."""
    return Allowance(
        stated=metadata.tolerance,
        usual=largest([e.array() for case in golden.cases for e in case.expected]),
        bounded=metadata.output.activation != "none",
        rounding=rounding if metadata.quantization.method == "none" else None,
    )


def largest(outputs: Sequence[np.ndarray]) -> float:
    """Return the largest finite absolute value; 0 where there is none."""
    return max((float(np.abs(_finite(array)).max(initial=0.0)) for array in outputs), default=0.0)


def _finite(array: np.ndarray) -> np.ndarray:
    values = array.astype(np.float64)
    finite: np.ndarray = values[np.isfinite(values)]
    return finite


def golden_spread(golden: Golden) -> float:
    """Return largest - smallest of all expected golden values."""
    values = np.concatenate(
        [_finite(e.array()).ravel() for case in golden.cases for e in case.expected]
        or [np.zeros(0)]
    )
    return float(values.max() - values.min()) if values.size else 0.0


def require_sane_tolerance(metadata: Metadata, golden: Golden, *, where: str) -> None:
    """Raise `UnreadableArtifact` for a stated tolerance that would let nearly anything pass."""
    spread = golden_spread(golden)
    share = MOST_STATED_FLOAT if metadata.quantization.method == "none" else MOST_STATED_INT8
    size = largest([e.array() for case in golden.cases for e in case.expected])
    # Outputs that are all the same have no spread; rounding still moves them a little.
    most = max(share * spread, 1e-5 * size, 1e-12)
    for kind, spec in (("metadata", metadata.tolerance), ("golden vectors", golden.tolerance)):
        allowed = spec.atol + spec.rtol * size
        if not (0 <= allowed <= most):
            raise UnreadableArtifact(
                f"{where}: its {kind} state a tolerance of {allowed:.3g}, and the golden outputs "
                f"span {spread:.3g}: with more than {most:.3g} nearly anything would pass. "
                "The file was damaged or tampered with; export the model again."
            )


def demanded(demands: Demands) -> Tolerance | None:
    """Return what the user demands of every input, value by value; None where nothing."""
    if demands.atol is None and demands.rtol is None:
        return None
    return Tolerance(atol=demands.atol or 0.0, rtol=demands.rtol or 0.0)
