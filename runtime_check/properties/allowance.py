"""How far a file's outputs may lie from others: measured on the Python model wherever there is one.

The file is the accused: what it states about itself counts only where nothing better is known,
and only within a bound that `require_sane_tolerance` sets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

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


T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Allowance:
    """What may differ between two right computations of the same outputs.

    `rounding` is that of the Python model; None for int8 files and without a reference, where
    `stated` counts: the file's own, for outputs as large as its golden ones (`usual`).
    """

    stated: ToleranceSpec
    usual: tuple[float, ...]  # the largest value of each golden output
    bounded: tuple[bool, ...]  # probabilities do not grow with the input
    rounding: Rounding | None = None
    whole: tuple[bool, ...] = ()  # which outputs are whole numbers, which have no rounding

    def for_outputs(self, outputs: Sequence[np.ndarray]) -> Tolerance:
        """Return the tolerance for outputs as large as these: rounding is relative to size."""
        atols = [self._atol(index, largest([array])) for index, array in enumerate(outputs)]
        stated = self.stated
        several = tuple(atols) if len(atols) > 1 else ()
        atol = max(atols, default=stated.atol)
        if self.rounding is not None:
            return Tolerance(atol=atol, outputs=several, flips=stated.flips)
        return Tolerance(
            atol=atol, outputs=several, rtol=stated.rtol, flips=stated.flips, step=stated.step
        )

    def _atol(self, index: int, size: float) -> float:
        if self.rounding is not None:
            if _of(self.whole, index, False):
                return 0.0
            share = _of(self.rounding.finished, index, 0.0)
            return max(share * size, float(np.finfo(np.float32).tiny))
        usual, grown = _of(self.usual, index, 0.0), 1.0
        if usual and not _of(self.bounded, index, False):
            grown = max(1.0, size / usual)
        return _of(self.stated.outputs, index, self.stated.atol) * grown

    def for_raw(self, index: int, output: np.ndarray) -> float:
        """Return the absolute tolerance for a network's output before what was added to it."""
        share = FLOOR if self.rounding is None else _of(self.rounding.raw, index, FLOOR)
        return share * largest([output])

    @property
    def basis(self) -> str:
        """Say where the numbers come from."""
        if self.rounding is not None:
            return self.rounding.basis
        return f"stated by the file: {self.stated.basis}"


def allowance_of(metadata: Metadata, golden: Golden, rounding: Rounding | None) -> Allowance:
    """Make the allowance of a file; `rounding` where a float32 reference was measured."""
    count = len(metadata.output.tensors)
    return Allowance(
        stated=metadata.tolerance,
        usual=tuple(
            largest(
                [case.expected[index].array() for case in golden.cases if case.expected[index:]]
            )
            for index in range(count)
        ),
        bounded=tuple(
            any(step.function in ("softmax", "sigmoid") for step in metadata.output.steps(index))
            for index in range(count)
        ),
        whole=tuple(not tensor.dtype.startswith("float") for tensor in metadata.output.tensors),
        rounding=rounding if metadata.quantization.method == "none" else None,
    )


def _of(values: Sequence[T], index: int, otherwise: T) -> T:
    return values[index] if index < len(values) else otherwise


def largest(outputs: Sequence[np.ndarray]) -> float:
    """Return the largest finite absolute value; 0 where there is none."""
    return max((float(np.abs(_finite(array)).max(initial=0.0)) for array in outputs), default=0.0)


def _finite(array: np.ndarray) -> np.ndarray:
    values = array.astype(np.float64)
    finite: np.ndarray = values[np.isfinite(values)]
    return finite


def golden_spread(golden: Golden) -> float:
    """Return largest - smallest of all expected golden values."""
    return _spread([e.array() for case in golden.cases for e in case.expected])


def _spread(arrays: Sequence[np.ndarray]) -> float:
    values = np.concatenate([_finite(array).ravel() for array in arrays] or [np.zeros(0)])
    return float(values.max() - values.min()) if values.size else 0.0


def require_sane_tolerance(metadata: Metadata, golden: Golden, *, where: str) -> None:
    """Raise `UnreadableArtifact` for a stated tolerance that would let nearly anything pass."""
    share = MOST_STATED_FLOAT if metadata.quantization.method == "none" else MOST_STATED_INT8
    count = max(len(case.expected) for case in golden.cases)
    picks = any(step.function == "argmax" for step in metadata.output.added)
    for kind, spec in (("metadata", metadata.tolerance), ("golden vectors", golden.tolerance)):
        if spec.flips > (share if picks else 0.0):
            raise UnreadableArtifact(
                f"{where}: its {kind} state that {spec.flips:.1%} of its whole numbers may differ, "
                f"and {'no more than ' + format(share, '.0%') if picks else 'none'} of them may. "
                "The file was damaged or tampered with; export the model again."
            )
        # One for all outputs is judged on all of them together.
        each = range(count) if spec.outputs else [None]
        for index in each:
            picked = slice(None) if index is None else slice(index, index + 1)
            arrays = [e.array() for case in golden.cases for e in case.expected[picked]]
            spread, size = _spread(arrays), largest(arrays)
            atol = spec.atol if index is None else _of(spec.outputs, index, spec.atol)
            if all(np.issubdtype(array.dtype, np.integer) for array in arrays) and atol > 0:
                raise UnreadableArtifact(
                    f"{where}: its {kind} let whole numbers differ by {atol:.3g}, and they are "
                    "compared exactly. The file was damaged or tampered with; export it again."
                )
            allowed = atol + spec.rtol * size
            # Outputs that are all the same have no spread; rounding still moves them a little.
            most = max(share * spread, 1e-5 * size, 1e-12)
            if not (0 <= allowed <= most):
                raise UnreadableArtifact(
                    f"{where}: its {kind} state a tolerance of {allowed:.3g}, and the golden "
                    f"outputs span {spread:.3g}: with more than {most:.3g} nearly anything would "
                    "pass. The file was damaged or tampered with; export the model again."
                )


def demanded(demands: Demands) -> Tolerance | None:
    """Return what the user demands of every input, value by value; None where nothing."""
    if demands.atol is None and demands.rtol is None:
        return None
    return Tolerance(atol=demands.atol or 0.0, rtol=demands.rtol or 0.0)
