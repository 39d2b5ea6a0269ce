"""Derive the fp32 tolerance from the model's own rounding, not from a guessed constant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from runtime_check.artifact.metadata import ToleranceSpec
from runtime_check.compare import Tolerance

from .outputs import run

# How far two correct float32 evaluations may lie apart, in units of one evaluation's distance
# from float64. Kernels that sum in another order (XNNPACK, another CPU, folded batch norms) have
# errors of the same size but not the same sign; the maximum over a few samples underestimates
# the tail. Measured over timm's families in tests/benchmarks/families.md.
SAFETY = 16.0
# Below this share of the largest output, float32 itself has nothing to say.
FLOOR = 1e-6


@dataclass(frozen=True, kw_only=True)
class Rounding:
    """Three tolerances from one float64 run.

    `network`: of the network's own outputs. `here`: of the artifact on this machine, where
    preprocessing rounds to the same grey levels on both sides. `phone`: of the artifact on another
    CPU, which may round a few of them the other way.
    """

    network: ToleranceSpec
    here: ToleranceSpec
    phone: ToleranceSpec


Finish = Callable[[Sequence[Tensor]], list[Tensor]]


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
    `images` goes through the network as well, wherever it rounds a grey level otherwise.

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


def as_tolerance(spec: ToleranceSpec) -> Tolerance:
    """Turn the metadata's tolerance into a comparison's."""
    return Tolerance(atol=spec.atol, rtol=spec.rtol, step=spec.step)


@torch.no_grad()
def randomize_batch_norm(module: nn.Module, *, seed: int = 0) -> nn.Module:
    """Give every batch norm plausible statistics, in place.

    An untrained net's are 0 and 1, which hides every error in folding them. Used by the family
    sweep and the tests.
    """
    generator = torch.Generator().manual_seed(seed)

    def uniform(like: Tensor, low: float, high: float) -> Tensor:
        return torch.rand(like.shape, generator=generator) * (high - low) + low

    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm) and layer.running_mean is not None:
            assert layer.running_var is not None
            layer.running_mean.copy_(uniform(layer.running_mean, -0.2, 0.2))
            layer.running_var.copy_(uniform(layer.running_var, 0.6, 1.4))
            if layer.weight is not None:
                layer.weight.copy_(uniform(layer.weight, 0.7, 1.3))
                layer.bias.copy_(uniform(layer.bias, -0.2, 0.2))
    return module
