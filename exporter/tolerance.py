"""Derive the fp32 tolerance from the model's own rounding, not from a guessed constant."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from runtime_check.compare import Tolerance
from runtime_check.metadata import ToleranceSpec

from .outputs import run
from .samples import Sample

# How far two correct float32 evaluations may lie apart, in units of one evaluation's distance
# from float64. Kernels that sum in another order (XNNPACK, another CPU, folded batch norms) have
# errors of the same size but not the same sign; the maximum over a few samples underestimates
# the tail. Measured over timm's families in exporter/benchmarks/families.md.
SAFETY = 16.0
# Below this share of the largest output, float32 itself has nothing to say.
FLOOR = 1e-6


def measure_rounding(
    module: nn.Module, samples: Sequence[Sample], expected: Sequence[Sequence[Tensor]]
) -> ToleranceSpec:
    """Run `module` in float64 on `samples` and compare with its float32 outputs `expected`.

    The module is converted in place and back: float32 -> float64 -> float32 is exact, and a copy
    of a large model would double the peak memory. Where the module cannot run in float64, the
    tolerance is 1e-4 of the largest output, and `basis` says so.
    """
    largest = max((float(t.abs().max()) for out in expected for t in out if t.numel()), default=0.0)
    try:
        module.double()
        error = 0.0
        for sample, wanted in zip(samples, expected, strict=True):
            inputs = [t.double() if t.is_floating_point() else t for t in sample.inputs]
            for exact, single in zip(run(module, inputs), wanted, strict=True):
                if exact.is_floating_point() and exact.numel():
                    error = max(error, float((exact - single.double()).abs().max()))
    except Exception as reason:  # noqa: BLE001  authors' code may insist on float32 in any way
        return ToleranceSpec(
            atol=max(1e-4 * largest, 1e-12),
            rtol=0.0,
            basis=f"1e-4 of the largest output: the model does not run in float64 ({reason})"[:300],
        )
    finally:
        module.float()
    return ToleranceSpec(
        atol=max(SAFETY * error, FLOOR * largest, 1e-12),
        rtol=0.0,
        basis=(
            f"{SAFETY:g} x max|float32 - float64| = {SAFETY:g} x {error:.3g} over "
            f"{len(samples)} inputs"
        ),
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
