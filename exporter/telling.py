"""Whether eager's outputs tell anything: constant or mostly rounded ones prove nothing."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from runtime_check.differences import largest_distance

from .errors import NothingToVerify
from .expected import Expected
from .notes import Note
from .outputs import run
from .plan import Plan
from .rewrites.watch import hooks

# The most that rounding may be, as a share of what the outputs span: a file that is off by a
# twentieth of its outputs' whole range is wrong by anyone's measure. timm's families stay below
# a thousandth (tests/benchmarks/families.md).
MOST_ROUNDING = 0.05
# The same of int8, whose kernels may be eight of 255 steps apart to begin with.
MOST_FLIPPING = 0.1


def require_telling(plan: Plan, expected: Expected) -> list[Note]:
    """Raise `NothingToVerify` where outputs do not depend on the input, or rounding drowns them.

    Of several outputs some may be constant; that is noted.
    """
    outputs, tolerance = expected.outputs, expected.tolerance
    columns = list(zip(*outputs, strict=True))
    names = [output.name for output in plan.meaning.outputs]
    if drowned := _drowned(plan, expected, MOST_ROUNDING):
        raise NothingToVerify(
            f"Float32 rounding in {drowned} in all. Look for sums that cancel, or for divisions by "
            "nearly nothing."
        )
    constant = [_constant(column, tolerance.atol_of(i)) for i, column in enumerate(columns)]
    if len(outputs) > 1 and all(constant):
        raise NothingToVerify(
            f"The outputs of {plan.source.name} are the same for all {len(outputs)} samples"
            f"{_blamed(plan)}. Whatever a file computes before them would be verified. Load "
            "trained weights (--weights FILE), or export the network without that layer, to its "
            "features."
        )
    return [
        Note("constant", f"output {name} is the same for every sample: nothing is proven of it")
        for name, still in zip(names, constant, strict=True)
        if still and len(outputs) > 1
    ]


def require_steady(plan: Plan, expected: Expected) -> None:
    """Raise `NothingToVerify` where the roundings of an int8 network move its outputs too far.

    `expected` is what the int8 network computes: two right implementations of it may differ by its
    tolerance.
    """
    if drowned := _drowned(plan, expected, MOST_FLIPPING):
        raise NothingToVerify(
            f"In int8, rounding in {drowned} in all. Calibrate on more and more typical images, "
            "keep layers in float (--float-layers), or load trained weights."
        )


def _drowned(plan: Plan, expected: Expected, share: float) -> str:
    """Say which output may differ by more than `share` of what it spans, and how far; or ""."""
    names = [output.name for output in plan.meaning.outputs]
    for index, column in enumerate(zip(*expected.outputs, strict=True)):
        filled = [t for t in column if t.numel()]
        high = max((float(t.max()) for t in filled), default=0.0)
        spread = high - min((float(t.min()) for t in filled), default=0.0)
        atol = expected.tolerance.atol_of(index)
        if not _constant(column, 0.0) and atol > share * spread:
            which = f"{names[index]} of " if len(names) > 1 else ""
            return (
                f"{which}{plan.source.name} is so large that nothing can be verified: files could "
                f"differ by {atol:.3g} where the outputs span {spread:.3g}"
            )
    return ""


def _constant(column: Sequence[Tensor], atol: float) -> bool:
    first = column[0]
    if any(t.shape != first.shape for t in column):
        return False
    if not first.numel():
        return True
    return all(largest_distance(t.numpy(), first.numpy()) <= atol for t in column[1:])


def _blamed(plan: Plan) -> str:
    """Name the last layer whose output is constant though its input is not; "" where none is."""
    leaves = {n: m for n, m in plan.source.module.named_modules() if n and not [*m.children()]}
    seen: dict[str, list[tuple[Tensor, Tensor]]] = {}

    def keep(name: str, args: tuple[object, ...], output: object) -> None:
        if args and isinstance(args[0], Tensor) and isinstance(output, Tensor):
            seen.setdefault(name, []).append((args[0].clone(), output.clone()))

    with hooks(leaves, after=keep):
        for example in (plan.inputs[0], plan.inputs[-1]):
            run(plan.source.module, example)
    for name in reversed(seen):
        calls = seen[name]
        given, gave = [c[0] for c in calls], [c[1] for c in calls]
        if len(calls) == 2 and _constant(gave, 0.0) and not _constant(given, 0.0):
            return f": {name} ({_kind(leaves[name])}) gives one answer to all"
    return ""


def _kind(layer: nn.Module) -> str:
    weight = getattr(layer, "weight", None)
    zero = isinstance(weight, Tensor) and not bool(weight.detach().count_nonzero())
    return f"{type(layer).__name__}{', its weight all zero' if zero else ''}"
