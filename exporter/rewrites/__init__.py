"""Exact rewrites of the network before anything is captured: one pass a file, one list of them."""

from __future__ import annotations

from .apply import Evidence, Rewritten, rewrite
from .passes import PASSES, Pass, PassEffect, left_out

__all__ = ["PASSES", "Evidence", "Pass", "PassEffect", "Rewritten", "left_out", "rewrite"]
