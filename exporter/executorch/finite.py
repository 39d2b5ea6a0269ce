"""Padding with infinity, which XNNPACK's serializer has no form for, as the largest finite number.

timm pads in front of a max pool with -inf; flatc refuses the JSON that ExecuTorch makes of it.
"""

from __future__ import annotations

import math

import torch
from torch.export import ExportedProgram

from .graph import aten, calls

_LARGEST = torch.finfo(torch.float32).max


def finite_padding(exported: ExportedProgram) -> int:
    """Pad with the largest finite float32 where the program pads with infinity, in place.

    A window's maximum stays the same, but where it holds padding alone. Returns how many changed.
    """
    changed = 0
    for node in calls(exported, aten.pad.default, aten.constant_pad_nd.default):
        # The value comes last, in either operator.
        *before, value = node.args
        if isinstance(value, float) and math.isinf(value):
            node.args = (*before, math.copysign(_LARGEST, value))
            changed += 1
    exported.graph_module.recompile()
    return changed
