"""Where the file hides the network's scores, they are compared all the same.

A saturated activation gives 0 and 1 whatever the network computes, and a class map the best class
whatever its score. The scores are not in the file. So a twin of it that gives them goes the same
way (same network, capture, optimization, saving and loading) and is verified against the same
model.
"""

from __future__ import annotations

from pathlib import Path

from .expected import Expected, expect, expect_int8
from .formats import lower
from .notes import Note
from .options import ExportOptions
from .plan import Plan
from .progress import Clock
from .quantize.step import QuantizedNetwork

# A probability nearer to 0 or 1 hides what it was made from within float32's rounding.
_NEAR = 1e-6


def is_saturated(plan: Plan, expected: Expected) -> bool:
    """Say whether all outputs of all samples are 0 or 1, behind an activation."""
    activated = [
        index
        for index, output in enumerate(plan.meaning.outputs)
        if any(step.function in ("softmax", "sigmoid") for step in output.steps)
    ]
    return bool(activated) and all(
        bool(((sample[index] < _NEAR) | (sample[index] > 1 - _NEAR)).all())
        for sample in expected.outputs
        for index in activated
    )


def verify_before_activation(
    plan: Plan, network: QuantizedNetwork, expected: Expected, options: ExportOptions, scratch: Path
) -> list[Note]:
    """Verify a twin that gives the scores, where the file hides them; returns what was compared.

    Raises as `lower` does: `VerifyError` where the twin differs, before a wrong file is kept.
    """
    if not options.verify or not (plan.meaning.picks or is_saturated(plan, expected)):
        return []
    bare = plan.before_activations()
    logits = expect_int8(bare, network.module, options.format) if network.is_int8 else expect(bare)
    folder = scratch / "twin"
    folder.mkdir()
    # The exported network may be a rewritten one: what it has to compute is still the source's.
    twin = lower(bare, network, logits, options, scratch=folder, clock=Clock())
    assert twin.verified is not None
    kinds = {step.function for step in plan.meaning.added} & {"softmax", "sigmoid"}
    why = f"every {' and '.join(sorted(kinds))} output is 0 or 1, which hides the network"
    if plan.meaning.picks:
        why = "the class map hides the scores"
    return [
        Note("saturated", f"{why}: a twin that gives them was verified, {twin.verified.comparison}")
    ]
