"""What the file has to compute, and within what tolerance.

In float32 the tolerance is the model's own rounding, measured against a float64 run, not a
guessed constant. In int8 it is counted in quantization steps of the output.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from runtime_check.artifact.metadata import ToleranceSpec
from runtime_check.comparison import Tolerance
from runtime_check.differences import largest_distance
from runtime_check.found import in_order_of
from runtime_check.metrics import VALUES, Metric
from runtime_check.options import Format

from .agreement import Inputs
from .errors import ExportError, NothingToVerify
from .last_bits import LastBits
from .outputs import run, run_once
from .plan import Plan
from .rewrites import Evidence

# How far two correct float32 evaluations may lie apart, in units of one evaluation's distance
# from float64. Kernels that sum in another order (XNNPACK, another CPU, folded batch norms) have
# errors of the same size but not the same sign; the maximum over a few samples underestimates
# the tail. Measured over timm's families in tests/benchmarks/families.md.
SAFETY = 16.0
# Below this share of the largest output, float32 itself has nothing to say.
FLOOR = 1e-6
# Int8 kernels may round a value to the next step where float sums differ in the last bit, and
# what follows spreads it. So many steps of the output's own range are allowed.
HOST_STEPS = 3.0
PHONE_STEPS = 8.0
_PERTURBATION = 1e-6
# Share of a class map's pixels that may hang on rounding: with more, nothing is left to compare.
MOST_FLIPS = 0.25

# Turns a network's outputs for the sample at an index into what the file gives.
Finish = Callable[[Sequence[Tensor], int], list[Tensor]]


@dataclass(frozen=True, kw_only=True)
class Expected:
    """The outputs that a file has to reproduce for each of the plan's samples.

    `network` is what the bare network has to compute. The rest is about the artifact, with its
    preprocessing and what is added after the network: `tolerance` on this machine, `phone` on
    another CPU, where preprocessing may round a few gray levels the other way.
    """

    network: Evidence
    outputs: Sequence[Sequence[Tensor]]
    tolerance: Tolerance
    phone: ToleranceSpec
    metric: Metric  # what the task is judged by


def expect(plan: Plan) -> Expected:
    """Run the float32 model as its user calls it, and derive tolerances from its own rounding.

    What is added after the network is done here to what the module returned: the wrapper that is
    shipped has no part in it. Raises `ExportError` where eager's outputs are not finite.
    """
    module = plan.source.module
    network_outputs = [run(module, given) for given in plan.inputs]
    outputs = [plan.finish(out, index) for index, out in enumerate(network_outputs)]
    _check_outputs(plan, outputs)
    metric = plan.metric_of(network_outputs[0])
    rows = metric if metric.kind == "boxes" else VALUES
    rounding = measure_rounding(
        module,
        plan.inputs,
        network_outputs,
        finish=plan.finish,
        preprocess=plan.preprocess,
        images=[sample.inputs[0] for sample in plan.samples],
        metric=rows,
    )
    here, phone = rounding.here, rounding.phone
    if plan.meaning.picks:
        scores = expect(plan.before_activations())
        here = _with_flips(plan, here, scores, scores.tolerance)
        phone = _with_flips(plan, phone, scores, Tolerance.of(scores.phone))
    return Expected(
        network=Evidence(plan.inputs, network_outputs, Tolerance.of(rounding.network), rows),
        outputs=outputs,
        tolerance=Tolerance.of(here),
        phone=phone,
        metric=metric,
    )


def expect_int8(plan: Plan, network: nn.Module, format: Format = "ptl") -> Expected:
    """Run the int8 network in eager mode: that is what the file has to be proven to compute.

    Tolerances are in quantization steps: a phone's older kernels requantize with other roundings.
    A `.pte` is computed by other kernels on this machine, too, those between int8 layers included.
    """
    outputs = [run(network, given) for given in plan.inputs]
    metric = plan.metric_of(outputs[0])
    rows = metric if metric.kind == "boxes" else VALUES
    judge = partial(int8_tolerance, network, plan.inputs, outputs, metric=rows, format=format)
    steps = HOST_STEPS if format == "ptl" else PHONE_STEPS
    inner = judge(_as_it_is, steps=steps)
    here = judge(plan.finish, steps=steps)
    phone = judge(plan.finish, steps=PHONE_STEPS)
    if plan.meaning.picks:
        scores = expect_int8(plan.before_activations(), network, format)
        here = _with_flips(plan, here, scores, scores.tolerance)
        phone = _with_flips(plan, phone, scores, Tolerance.of(scores.phone))
    return Expected(
        network=Evidence(plan.inputs, outputs, Tolerance.of(inner), rows),
        outputs=[plan.finish(out, index) for index, out in enumerate(outputs)],
        tolerance=Tolerance.of(here),
        phone=phone,
        metric=metric,
    )


def _with_flips(
    plan: Plan, spec: ToleranceSpec, scores: Expected, tolerance: Tolerance
) -> ToleranceSpec:
    """State the share of pixels whose class hangs on the last bits of its scores.

    Those whose two best scores lie within twice what each may differ by. Raises `NothingToVerify`
    where they are most of a picture's.
    """
    share, size = 0.0, 1
    for index, output in enumerate(plan.meaning.outputs):
        axis = next((s.axis for s in output.steps if s.function == "argmax"), None)
        if axis is None:
            continue
        for made in scores.network.outputs:
            best = made[index].double().topk(2, dim=axis).values
            near = (best.select(axis, 0) - best.select(axis, 1)) <= 2 * tolerance.atol_of(index)
            share = max(share, float(near.double().mean()))
            size = near.numel()
    if share > MOST_FLIPS:
        raise NothingToVerify(
            f"The classes of {plan.source.name} hang on rounding for {share:.0%} of the pixels: a "
            "map of them proves nothing. Load trained weights, or export the scores "
            "(`--output scores`)."
        )
    return spec.model_copy(update={"flips": min(1.0, 2 * share + 2 / size)})


def _as_it_is(outputs: Sequence[Tensor], _: int) -> list[Tensor]:
    return [*outputs]


def _check_outputs(plan: Plan, outputs: Sequence[Sequence[Tensor]]) -> None:
    for sample, tensors in zip(plan.samples, outputs, strict=True):
        for tensor in tensors:
            if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                raise ExportError(
                    f"Eager {plan.source.name} returns NaN or infinity for the sample "
                    f"{sample.name!r}: there is nothing to be verified against. Check the weights."
                )


# --- float32: the model's own rounding ------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Rounding:
    """Three tolerances from one float64 run.

    `network`: of the network's own outputs. `here`: of the artifact on this machine, where
    preprocessing rounds to the same gray levels on both sides. `phone`: of the artifact on another
    CPU, which may round a few of them the other way.
    """

    network: ToleranceSpec
    here: ToleranceSpec
    phone: ToleranceSpec


@dataclass
class _Errors:
    """The largest distance and the largest value seen of each output."""

    largest: list[float]
    apart: list[float]
    exact: list[bool]  # whole numbers, which have no rounding
    metric: Metric  # of boxes, which are compared in pairs

    @staticmethod
    def over(outputs: Sequence[Sequence[Tensor]], metric: Metric = VALUES) -> _Errors:
        """Take in the outputs of all inputs."""
        columns = [*zip(*outputs, strict=True)]
        return _Errors(
            largest=[max((_size(t) for t in column), default=0.0) for column in columns],
            apart=[0.0 for _ in columns],
            exact=[not column[0].is_floating_point() for column in columns],
            metric=metric,
        )

    def add(self, one: Sequence[Tensor], other: Sequence[Tensor]) -> None:
        """Take in the distance of two evaluations; of another shape they have none."""
        left, right = [t.numpy() for t in one], [t.numpy() for t in other]
        right = in_order_of(self.metric, left, right, paired=True)
        for index, (a, b) in enumerate(zip(left, right, strict=True)):
            if a.shape == b.shape and a.size:
                self.apart[index] = max(self.apart[index], largest_distance(a, b))

    def spec(self, count: int) -> ToleranceSpec:
        """Return what may differ, output by output, from distances over `count` inputs."""
        atols = [
            0.0 if exact else max(SAFETY * apart, FLOOR * size, 1e-12)
            for size, apart, exact in zip(self.largest, self.apart, self.exact, strict=True)
        ]
        told = " / ".join(f"{apart:.3g}" for apart in self.apart[:8])
        return _per_output(
            atols,
            basis=f"{SAFETY:g} x max|float32 - float64| = {SAFETY:g} x {told} over {count} inputs",
        )

    def coarse(self, basis: str) -> ToleranceSpec:
        """Return 1e-4 of the largest value of each output."""
        atols = [
            0.0 if exact else max(1e-4 * size, 1e-12)
            for size, exact in zip(self.largest, self.exact, strict=True)
        ]
        return _per_output(atols, basis=basis)


def _size(tensor: Tensor) -> float:
    if not tensor.numel():
        return 0.0
    if tensor.dtype == torch.bool:
        return float(tensor.any())
    low, high = tensor.aminmax()
    return max(abs(float(low)), abs(float(high)))


def _per_output(atols: Sequence[float], *, basis: str, step: float | None = None) -> ToleranceSpec:
    several = [*atols] if len(atols) > 1 else []
    return ToleranceSpec(
        atol=max(atols, default=0.0), rtol=0.0, outputs=several, basis=basis, step=step
    )


def measure_rounding(
    network: nn.Module,
    inputs: Sequence[Inputs],
    outputs: Sequence[Sequence[Tensor]],
    *,
    finish: Finish = _as_it_is,
    preprocess: nn.Module | None = None,
    images: Sequence[Tensor] = (),
    metric: Metric = VALUES,
) -> Rounding:
    """Run `network` in float64 on `inputs` and compare with its float32 `outputs`.

    `finish` does what the artifact adds. With `preprocess`, its float64 result for each of
    `images` goes through the network as well, wherever it rounds a gray level otherwise. Boxes,
    where `metric` is of them, are compared in pairs, their order aside.

    Modules are converted in place and back: float32 -> float64 -> float32 is exact, and a copy of
    a large model would double the peak memory. Where the model cannot run in float64, the
    tolerance is 1e-4 of the largest output, and `basis` says so.
    """
    finished = [finish(out, index) for index, out in enumerate(outputs)]
    inner = _Errors.over(outputs, metric)
    here, phone = _Errors.over(finished, metric), _Errors.over(finished, metric)
    try:
        network.double()
        for index, (given, single) in enumerate(zip(inputs, outputs, strict=True)):
            exact = run_once(network, [_double(t) for t in given])
            inner.add(exact, single)
            here.add(finish(exact, index), finished[index])
        phone.apart = [*here.apart]
        if preprocess is not None:
            preprocess.double()
            for index, image in enumerate(images):
                double = run(preprocess, (image,))[0]
                if float((double - inputs[index][0]).abs().max()) > 1e-4:
                    phone.add(finish(run_once(network, (double,)), index), finished[index])
    except Exception as reason:  # noqa: BLE001  authors' code may insist on float32 in any way
        why = f"1e-4 of the largest output: the model does not run in float64 ({reason})"[:300]
        end = here.coarse(why)
        return Rounding(network=inner.coarse(why), here=end, phone=end)
    finally:
        network.float()
        if preprocess is not None:
            preprocess.float()
    count = len(inputs)
    return Rounding(network=inner.spec(count), here=here.spec(count), phone=phone.spec(count))


def _double(tensor: Tensor) -> Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor


# --- int8: steps of the output --------------------------------------------------------------------


def int8_tolerance(
    module: nn.Module,
    inputs: Sequence[Inputs],
    outputs: Sequence[Sequence[Tensor]],
    finish: Finish,
    metric: Metric = VALUES,
    *,
    steps: float,
    format: Format = "ptl",
) -> ToleranceSpec:
    """Derive what may differ between two runs of one int8 module, in steps of each output.

    `finish` is what the artifact adds. One step is 1/255 of an output's range over `inputs`. The
    module is also run on inputs that differ in the last bits only, and for a `.pte` with other last
    bits wherever it computes in float: where that alone moves an output further, roundings flip,
    and twice that distance is allowed.
    """
    finished = [finish(out, index) for index, out in enumerate(outputs)]
    sizes = [_range(column) / 255 for column in zip(*finished, strict=True)]
    moved = _Errors.over(finished, metric)
    for index, given in enumerate(inputs):
        if all(t.is_floating_point() for t in given):
            nudged = [t * (1 + _PERTURBATION) for t in given]
            moved.add(finish(run_once(module, nudged), index), finished[index])
        if format == "pte":
            with LastBits(seed=index):
                other = run_once(module, given)
            moved.add(finish(other, index), finished[index])
    sizes = [max(size, 1e-12) for size in sizes]
    atols = [
        0.0 if exact else max(steps * step, 2 * apart)
        for step, apart, exact in zip(sizes, moved.apart, moved.exact, strict=True)
    ]
    told = " / ".join(f"{step:.3g}" for step in sizes[:8])
    flips = " / ".join(f"{a / s:.1f}" for a, s in zip(moved.apart[:8], sizes[:8], strict=True))
    return _per_output(
        atols,
        step=max(sizes),
        basis=f"int8: {steps:g} steps of the output's range / 255 = {told}; last-bit changes "
        f"{'of the input' if format == 'ptl' else 'within'} move it by {flips} steps",
    )


def _range(tensors: Sequence[Tensor]) -> float:
    """Return largest - smallest; 0 where there is none, as of boxes where nothing is found."""
    held = [tensor for tensor in tensors if tensor.numel()]
    if not held:
        return 0.0
    return max(float(t.max()) for t in held) - min(float(t.min()) for t in held)
