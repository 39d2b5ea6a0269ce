"""The one step in which the formats differ: from the network to a verified file."""

from __future__ import annotations

from pathlib import Path

from .executorch.lower import lower_program
from .expected import Expected
from .lower.lower import lower as lower_lite
from .lower.lowered import Lowered
from .options import ExportOptions
from .plan import Plan
from .progress import Clock
from .quantize.step import QuantizedNetwork


def lower(
    plan: Plan,
    network: QuantizedNetwork,
    expected: Expected,
    options: ExportOptions,
    *,
    scratch: Path,
    clock: Clock,
) -> Lowered:
    """Lower a network to the file that the options name; raises as the format's own step does."""
    if options.format == "pte":
        return lower_program(plan, network, expected, options, scratch=scratch, clock=clock)
    return lower_lite(plan, network.module, expected, options, scratch=scratch, clock=clock)
