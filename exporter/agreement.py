"""Whether eager Python agrees with itself: a forward that does not is no reference for anything.

Else its randomness would pass for rounding, and a file that froze one number of it for right.
"""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from .culprit import Culprit, first_difference, first_draw, first_write, record
from .errors import NotReproducible
from .outputs import run
from .trial import pristine

# Runs of one input by a module that draws random numbers, though its outputs agreed: what it draws
# may decide rarely.
DRAWS = 16

# Arguments of one call of the network.
Inputs = tuple[Tensor, ...]

_Source = Literal["torch", "Python's random", "numpy.random"]


def require_agreement(name: str, module: nn.Module, inputs: Sequence[Inputs]) -> None:
    """Raise `NotReproducible` where two runs of `module`, which never ran, differ in any bit.

    Each of `inputs`, the arguments of a call, is run once, the last one again, and then all of
    them in reverse order by a copy of `module`; where none can be made, by `module` itself. Also
    refused is a forward that writes to its input. `name` is the model's, for messages.
    """
    fresh = pristine(module)
    outputs = [_run(name, module, x) for x in inputs]
    before = _generators()
    for _ in range(DRAWS):
        again = _run(name, module, inputs[-1])  # the first may be zeros, which hide much
        if _differ(outputs[-1], again):
            what = "two runs on the same input"
            raise _refusal(name, what, (outputs[-1], again), inputs[-1], (module, module))
        if not _moved(before):  # else it draws random numbers, without effect so far
            break
    other = module if fresh is None else fresh
    for x, wanted in reversed([*zip(inputs, outputs, strict=True)]):
        got = _run(name, other, x)
        if _differ(wanted, got):
            what = "outputs for an input before and after others"
            raise _refusal(name, what, (wanted, got), x, (module, other))


def _run(name: str, module: nn.Module, x: Inputs) -> list[Tensor]:
    """Run `module` on copies of `x`, which have to be the same afterwards."""
    given = [t.clone() for t in x]
    outputs = run(module, given)
    if _differ(x, given):
        culprit = _look(lambda: first_write(record(module, x)))
        raise NotReproducible(
            f"Eager {name} writes to its input, so a second run on the same tensor gives something "
            f"else.{_told(culprit)} Make a new tensor (`x = x * 2` for `x.mul_(2)`, "
            "`inplace=False` for a layer), or begin with `x = x.clone()`."
        )
    return outputs


def _differ(one: Sequence[Tensor], other: Sequence[Tensor]) -> bool:
    """Whether two runs' outputs differ in dtype, shape or bytes; NaN equals NaN."""
    return len(one) != len(other) or any(
        a.dtype != b.dtype or a.shape != b.shape or not (_same_bits(a, b) or _same_but_nan(a, b))
        for a, b in zip(one, other, strict=True)
    )


def _same_bits(one: Tensor, other: Tensor) -> bool:
    left, right = (np.ascontiguousarray(t.numpy()).view(np.uint8) for t in (one, other))
    return torch.equal(torch.from_numpy(left), torch.from_numpy(right))


def _same_but_nan(one: Tensor, other: Tensor) -> bool:
    if not one.is_floating_point():
        return False
    left, right = (torch.where(t.isnan(), torch.nan, t) for t in (one, other))  # of any bits
    return _same_bits(left, right)


# --- what to say ----------------------------------------------------------------------------------


def _refusal(
    name: str,
    what: str,
    outputs: tuple[Sequence[Tensor], Sequence[Tensor]],
    x: Inputs,
    modules: tuple[nn.Module, nn.Module],
) -> NotReproducible:
    before = _generators()

    def look() -> Culprit | None:
        one, other = (record(module, x) for module in modules)
        return first_difference(one, other) or first_draw(one)

    culprit = _look(look)
    return NotReproducible(
        f"Eager {name} does not agree with itself: {what} {_apart(*outputs)}.{_told(culprit)} "
        f"{_advice(culprit, _moved(before))}"
    )


def _look(search: Callable[[], Culprit | None]) -> Culprit | None:
    """Return what `search` finds; None where the module does not bear being watched."""
    try:
        return search()
    except Exception:  # noqa: BLE001  what is refused is clear already
        return None


def _told(culprit: Culprit | None) -> str:
    return f" {culprit}." if culprit is not None else ""


def _apart(one: Sequence[Tensor], other: Sequence[Tensor]) -> str:
    shapes = [[list(t.shape) for t in tensors] for tensors in (one, other)]
    if shapes[0] != shapes[1]:
        return f"give outputs of shapes {shapes[0]} and {shapes[1]}"
    pairs = zip(one, other, strict=True)
    most = max(float((a.double() - b.double()).abs().max()) for a, b in pairs if a.numel())
    return f"differ by up to {most:.3g}"


def _advice(culprit: Culprit | None, moved: Collection[_Source]) -> str:
    drawn = [source for source in ("Python's random", "numpy.random") if source in moved]
    if drawn:
        return (
            f"It draws numbers from {drawn[0]}, of which a file would hold one for ever. Take "
            "randomness out of forward."
        )
    if culprit is not None and culprit.why == "random":
        return (
            "Take randomness out of forward, or leave it to training: `F.dropout(x, "
            "training=self.training)` and `if self.training:`."
        )
    return (
        "A file computes its output from the input and the weights alone: take counters, clocks, "
        "caches and what else a run leaves behind out of forward."
    )


# --- generators -----------------------------------------------------------------------------------


def _generators() -> dict[_Source, object]:
    """Return the states of the generators that everybody shares."""
    return {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "Python's random": random.getstate(),
        "numpy.random": pickle.dumps(np.random.get_state()),
    }


def _moved(before: Mapping[_Source, object]) -> list[_Source]:
    """Name the generators that were drawn from since."""
    return [source for source, state in _generators().items() if state != before[source]]
