"""What the file has to compute, and within what tolerance.

In float32 the tolerance is the model's own rounding, measured against a float64 run, not a
guessed constant. In int8 it is counted in quantization steps of the output.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from runtime_check.artifact.metadata import ToleranceSpec
from runtime_check.comparison import Tolerance

from .errors import ExportError, UsageError
from .outputs import run
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

Finish = Callable[[Sequence[Tensor]], list[Tensor]]


@dataclass(frozen=True, kw_only=True)
class Expected:
    """The outputs that a file has to reproduce for each of the plan's samples.

    `network` is what the bare network has to compute. The rest is about the artifact, with its
    preprocessing and activation: `tolerance` on this machine, `phone` on another CPU, where
    preprocessing may round a few gray levels the other way.
    """

    network: Evidence
    outputs: Sequence[Sequence[Tensor]]
    tolerance: Tolerance
    phone: ToleranceSpec


def expect(plan: Plan) -> Expected:
    """Run the float32 model in eager mode and derive tolerances from its own rounding.

    Raises `ExportError` where eager's outputs are not finite, `UsageError` where labels do not
    match them.
    """
    module = plan.source.module
    network_outputs = [run(module, (x,)) for x in plan.inputs]
    outputs = [run(plan.whole(module), sample.inputs) for sample in plan.samples]
    _check_outputs(plan, outputs)
    rounding = measure_rounding(
        module,
        plan.inputs,
        network_outputs,
        finish=plan.finish,
        preprocess=plan.preprocess,
        images=[sample.inputs[0] for sample in plan.samples],
    )
    return Expected(
        network=Evidence(plan.inputs, network_outputs, Tolerance.of(rounding.network)),
        outputs=outputs,
        tolerance=Tolerance.of(rounding.here),
        phone=rounding.phone,
    )


def expect_int8(plan: Plan, network: nn.Module) -> Expected:
    """Run the int8 network in eager mode: that is what the file has to be proven to compute.

    Tolerances are in quantization steps: a phone's older kernels requantize with other roundings.
    """
    inputs = [(x,) for x in plan.inputs]
    outputs = [run(network, x) for x in inputs]
    inner = int8_tolerance(network, inputs, outputs, list, steps=HOST_STEPS)
    here = int8_tolerance(network, inputs, outputs, plan.finish, steps=HOST_STEPS)
    return Expected(
        network=Evidence(plan.inputs, outputs, Tolerance.of(inner)),
        outputs=[run(plan.whole(network), sample.inputs) for sample in plan.samples],
        tolerance=Tolerance.of(here),
        phone=int8_tolerance(network, inputs, outputs, plan.finish, steps=PHONE_STEPS),
    )


def _check_outputs(plan: Plan, outputs: Sequence[Sequence[Tensor]]) -> None:
    shapes = [tuple(t.shape) for t in outputs[0]]
    labels = plan.source.labels
    for sample, tensors in zip(plan.samples, outputs, strict=True):
        for tensor in tensors:
            if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                raise ExportError(
                    f"Eager {plan.source.name} returns NaN or infinity for the sample "
                    f"{sample.name!r}: there is nothing to be verified against. Check the weights."
                )
    if labels is not None and shapes[0] and shapes[0][-1] != len(labels):
        raise UsageError(
            f"{len(labels)} labels, but the model has {shapes[0][-1]} outputs. Pass the matching "
            "file with --labels."
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


def _spec(error: float, largest: float, count: int) -> ToleranceSpec:
    return ToleranceSpec(
        atol=max(SAFETY * error, FLOOR * largest, 1e-12),
        rtol=0.0,
        basis=(
            f"{SAFETY:g} x max|float32 - float64| = {SAFETY:g} x {error:.3g} over {count} inputs"
        ),
    )


def _distance(first: Sequence[Tensor], second: Sequence[Tensor]) -> float:
    pairs = zip(first, second, strict=True)
    return max(
        (float((a.double() - b.double()).abs().max()) for a, b in pairs if a.numel()), default=0.0
    )


def _largest(outputs: Sequence[Sequence[Tensor]]) -> float:
    return max((float(t.abs().max()) for out in outputs for t in out if t.numel()), default=0.0)


def measure_rounding(
    network: nn.Module,
    inputs: Sequence[Tensor],
    outputs: Sequence[Sequence[Tensor]],
    *,
    finish: Finish = list,
    preprocess: nn.Module | None = None,
    images: Sequence[Tensor] = (),
) -> Rounding:
    """Run `network` in float64 on `inputs` and compare with its float32 `outputs`.

    `finish` applies the artifact's activation. With `preprocess`, its float64 result for each of
    `images` goes through the network as well, wherever it rounds a gray level otherwise.

    Modules are converted in place and back: float32 -> float64 -> float32 is exact, and a copy of
    a large model would double the peak memory. Where the model cannot run in float64, the
    tolerance is 1e-4 of the largest output, and `basis` says so.
    """
    finished = [finish(out) for out in outputs]
    largest, end = _largest(outputs), _largest(finished)
    count = len(inputs)
    try:
        network.double()
        exact = [run(network, (x.double(),)) for x in inputs]
        inner = max(_distance(e, o) for e, o in zip(exact, outputs, strict=True))
        here = max(_distance(finish(e), f) for e, f in zip(exact, finished, strict=True))
        phone = here
        if preprocess is not None:
            preprocess.double()
            for image, single, wanted in zip(images, inputs, finished, strict=True):
                double = run(preprocess, (image,))[0]
                if float((double - single).abs().max()) > 1e-4:
                    phone = max(phone, _distance(finish(run(network, (double,))), wanted))
    except Exception as reason:  # noqa: BLE001  authors' code may insist on float32 in any way
        why = f"1e-4 of the largest output: the model does not run in float64 ({reason})"[:300]
        coarse = [
            ToleranceSpec(atol=max(1e-4 * size, 1e-12), rtol=0.0, basis=why)
            for size in (largest, end)
        ]
        return Rounding(network=coarse[0], here=coarse[1], phone=coarse[1])
    finally:
        network.float()
        if preprocess is not None:
            preprocess.float()
    return Rounding(
        network=_spec(inner, largest, count),
        here=_spec(here, end, count),
        phone=_spec(phone, end, count),
    )


# --- int8: steps of the output --------------------------------------------------------------------


def int8_tolerance(
    module: nn.Module,
    inputs: Sequence[tuple[Tensor, ...]],
    expected: Sequence[Sequence[Tensor]],
    finish: Finish,
    *,
    steps: float,
) -> ToleranceSpec:
    """Derive what may differ between two runs of one int8 module, in steps of its output.

    `finish` is the artifact's activation. One step is 1/255 of the output's range over `inputs`.
    The module is also run on inputs that differ in the last bits only: where that alone moves the
    output further, roundings flip, and twice that distance is allowed.
    """
    values = torch.cat([t.reshape(-1) for out in expected for t in finish(out)])
    step = max(float(values.max() - values.min()) / 255, 1e-12)
    moved = 0.0
    for given, wanted in zip(inputs, expected, strict=True):
        if not all(t.is_floating_point() for t in given):
            continue
        nudged = [t * (1 + _PERTURBATION) for t in given]
        for got, want in zip(finish(run(module, nudged)), finish(wanted), strict=True):
            moved = max(moved, float((got - want).abs().max()))
    return ToleranceSpec(
        atol=max(steps * step, 2 * moved),
        rtol=0.0,
        step=step,
        basis=f"int8: {steps:g} steps of the output's range / 255 = {step:.3g}; last-bit changes "
        f"of the input move it by {moved / step:.1f} steps",
    )
