"""Optimize: `optimize_for_mobile`, guarded.

The official recipe, `optimize_for_mobile(torch.jit.trace(m))`, folds batch norm wrongly and says
nothing (pytorch#76807, #116515; 30 of timm's 98 families). So every result is compared with what
went in, on several inputs; on a difference the next repair of the ladder is tried, and the report
names it. When none helps, nothing is written.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.mobile_optimizer import optimize_for_mobile

from runtime_check.comparison import Comparison, Tolerance
from runtime_check.metrics import VALUES, Metric

from ..errors import OptimizeError
from ..quiet import quiet
from ..rewrites.passes import PassEffect, names
from .capture import Sampled, agree
from .constants import order_constants
from .inplace import activations_in_place

# Names on the command line -> torch's passes, in the order torch runs them.
# torch's stubs do not list the members of this enumeration.
_Pass: Any = torch._C._MobileOptimizerType
MOBILE_PASSES: dict[str, Any] = {
    "conv-bn-fusion": _Pass.CONV_BN_FUSION,
    "insert-fold-prepack-ops": _Pass.INSERT_FOLD_PREPACK_OPS,
    "remove-dropout": _Pass.REMOVE_DROPOUT,
    "hoist-conv-packed-params": _Pass.HOIST_CONV_PACKED_PARAMS,
    "fuse-add-relu": _Pass.FUSE_ADD_RELU,
}
FREEZE = "freeze"
IN_PLACE = "in-place-activations"


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One way to optimize: whether to freeze first, and which mobile passes to leave out."""

    freeze: bool
    without: frozenset[str]
    repair: str = ""


@dataclass(frozen=True, kw_only=True)
class Optimized:
    """The optimized module, which agrees with the captured one, and what was done."""

    module: torch.jit.ScriptModule
    effects: Mapping[str, PassEffect]
    repairs: tuple[str, ...]
    comparison: Comparison


def attempts(disabled: Collection[str]) -> Iterator[Attempt]:
    """Yield the ladder: everything first, then one thing less at a time."""
    off = frozenset(disabled)
    freeze = FREEZE not in off
    yield Attempt(freeze=freeze, without=off)
    if not freeze:
        yield Attempt(freeze=True, without=off, repair="froze the module first")
    for name in (*MOBILE_PASSES, IN_PLACE):
        if name not in off:
            yield Attempt(freeze=True, without=off | {name}, repair=f"left out {name}")
    yield Attempt(
        freeze=True,
        without=frozenset((*MOBILE_PASSES, IN_PLACE)),
        repair="froze only, no mobile pass",
    )


def apply(module: torch.jit.ScriptModule, attempt: Attempt) -> torch.jit.ScriptModule:
    """Optimize once, without any check. `optimize` is the guarded way."""
    with quiet(), torch.no_grad():
        current = torch.jit.freeze(module.eval()) if attempt.freeze else module
        if not attempt.without >= set(MOBILE_PASSES):
            blocked = {MOBILE_PASSES[name] for name in attempt.without if name in MOBILE_PASSES}
            current = optimize_for_mobile(current, optimization_blocklist=blocked)
        # An unfrozen module keeps its layers' graphs apart, and may be the caller's own.
        if attempt.freeze and IN_PLACE not in attempt.without:
            activations_in_place(current)
        if attempt.freeze:
            order_constants(current.graph)
        return current


def _effect(name: str, attempt: Attempt, disabled: Collection[str]) -> PassEffect:
    absent = not attempt.freeze if name == FREEZE else name in attempt.without
    if absent and name in disabled:
        return PassEffect("disabled")
    if absent:
        return PassEffect("undone", why="it changed the outputs")
    if name == IN_PLACE and not attempt.freeze:
        return PassEffect("left_out", why="the module is not frozen")
    return PassEffect("applied")


def optimize(
    module: torch.jit.ScriptModule,
    sampled: Sampled,
    tolerance: Tolerance,
    *,
    disabled: Collection[str] = (),
    metric: Metric = VALUES,
) -> Optimized:
    """Optimize for mobile so that outputs on every sample stay within `tolerance`.

    `sampled` holds inputs with the outputs the captured module has to keep. Raises
    `OptimizeError` when no rung of the ladder keeps them.
    """
    tried = []
    for attempt in attempts(disabled):
        try:
            optimized = apply(module, attempt)
            comparison = agree(optimized, sampled, tolerance, metric)
        except Exception as error:  # noqa: BLE001  torch asserts, and compiled code raises
            first = str(error).strip().splitlines()[0][:200] if str(error).strip() else repr(error)
            tried.append(f"{attempt.repair or 'all passes'}: {first}")
            continue
        if not comparison:
            tried.append(f"{attempt.repair or 'all passes'}: {comparison}")
            continue
        effects = {name: _effect(name, attempt, disabled) for name in names("script")}
        repairs = (f"{attempt.repair} ({tried[0]})",) if tried else ()
        return Optimized(module=optimized, effects=effects, repairs=repairs, comparison=comparison)
    raise OptimizeError(
        "Every way of optimizing this model changes what it computes, so nothing is written: "
        + " | ".join(tried)
        + ". Please report the model; `--disable` with other passes may find a way."
    )
