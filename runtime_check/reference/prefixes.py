"""Strip what training scripts put before the names of weights, where that makes them fit a model.

DataParallel and AveragedModel write `module.`, torch.compile `_orig_mod.`, a LightningModule the
name of its attribute, in any nesting. A model may well have parts of these names itself, so that
its own names decide.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

_AVERAGED = ("ema_model.", "model_ema.", "ema.")
_PREFIXES = ("module.", "_orig_mod.", "model.", "net.", *_AVERAGED)
_DEEPEST = 4
# What AveragedModel counts beside its `module`, and the usual names of losses with weights: neither
# is a part of the network.
_COUNTER = "n_averaged"
_LOSSES = ("criterion.", "loss.", "loss_fn.", "loss_function.")


@dataclass(frozen=True, kw_only=True)
class Stripped:
    """Which entries are the model's: those that begin with `prefix`, without it.

    `left_out` are the names of other weights: a loss's, or those that were not averaged.
    """

    prefix: str
    left_out: tuple[str, ...] = ()


def strip(names: Collection[str], wanted: Collection[str]) -> Stripped:
    """Choose the prefix without which the most of `names` are among `wanted`, a model's.

    No prefix is stripped unless that makes more of the names fit, and none that leaves out weights
    that could be a part of the network. Averaged weights (EMA) come before others.
    """
    known = set(wanted)

    def fit(prefix: str) -> tuple[int, bool, int]:
        inside = (name.removeprefix(prefix) for name in names if name.startswith(prefix))
        averaged = any(part in prefix for part in _AVERAGED)
        return sum(name in known for name in inside), averaged, -len(prefix)

    prefixes = _prefixes(names)
    best = max((p for p in prefixes if _may_be_all(names, p, prefixes)), key=fit)
    if fit(best)[0] <= fit("")[0]:
        return Stripped(prefix="")
    outside = (n for n in names if not n.startswith(best) and n.split(".")[-1] != _COUNTER)
    return Stripped(prefix=best, left_out=tuple(outside))


def _prefixes(names: Collection[str]) -> list[str]:
    """List the nested prefixes that some name has, "" first."""
    found, level = [""], [""]
    for _ in range(_DEEPEST):
        level = [
            outer + inner
            for outer in level
            for inner in _PREFIXES
            if any(name.startswith(outer + inner) for name in names)
        ]
        found += level
    return found


def _may_be_all(names: Collection[str], prefix: str, prefixes: list[str]) -> bool:
    """Say whether what does not begin with `prefix` is no part of the network inside it."""
    # A copy of the same weights beside it: `model.` and `ema_model.` hold the same names.
    inside = {name.removeprefix(prefix) for name in names if name.startswith(prefix)}
    copies = {
        other
        for other in prefixes
        if other and {n.removeprefix(other) for n in names if n.startswith(other)} == inside
    }
    return all(
        name.startswith((prefix, *copies, *_LOSSES)) or name.split(".")[-1] == _COUNTER
        for name in names
    )
