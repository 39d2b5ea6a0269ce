"""Networks for the tests of rewrites, and the judges of what was rewritten."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import timm
import torch
from torch import Tensor, fx, nn

from exporter.expected import measure_rounding
from exporter.outputs import run
from exporter.rewrites import Evidence, Rewritten, rewrite
from exporter.rewrites.apply import edited
from exporter.rewrites.layers import Edit
from exporter.rewrites.watch import hooks
from runtime_check.comparison import Tolerance, compare


def edited_exactly(
    module: nn.Module, find: Callable[[nn.Module, Tensor], list[Edit]], example: Tensor
) -> tuple[int, nn.Module]:
    """Apply a pass on modules and demand equality within the model's own rounding."""
    inputs = [example, torch.randn_like(example) * 2]
    expected = [run(module, (x,)) for x in inputs]
    spec = measure_rounding(module, [(x,) for x in inputs], expected).network
    edits = find(module, example)
    changed = edited(module, edits)
    for x, outputs in zip(inputs, expected, strict=True):
        result = compare(
            [t.numpy() for t in outputs],
            [t.numpy() for t in run(changed, (x,))],
            Tolerance(atol=spec.atol),
        )
        assert result, str(result)
    return len(edits), changed


def rewritten(module: nn.Module, side: int = 32, **options: Any) -> Rewritten:
    """Run the passes on `module` and demand equality within 2e-5 of the largest output."""
    inputs = [torch.randn(1, 3, side, side), torch.rand(1, 3, side, side)]
    expected = [run(module, (x,)) for x in inputs]
    largest = max(float(t.abs().max()) for outputs in expected for t in outputs)
    tolerance = Tolerance(atol=2e-5 * largest)
    result = rewrite(module, Evidence([(x,) for x in inputs], expected, tolerance), **options)
    for x, outputs in zip(inputs, expected, strict=True):
        assert float((run(result.module, (x,))[0] - outputs[0]).abs().max()) <= tolerance.atol
    return result


def small_vit(**options: Any) -> nn.Module:
    """Build a ViT with every parameter random: biases and scales that are 0 or 1 hide mistakes."""
    torch.manual_seed(0)
    sizes = {"img_size": 32, "patch_size": 8, "embed_dim": 48, "depth": 2, "num_heads": 3}
    model = timm.create_model(
        "vit_tiny_patch16_224", exportable=True, num_classes=7, **{**sizes, **options}
    )
    return with_random_parameters(model, mean=0.1)


def with_random_parameters(model: Any, *, mean: float = 0.0, std: float = 0.2) -> nn.Module:
    """Draw every parameter anew: zeros and ones hide mistakes."""
    for parameter in model.parameters():
        nn.init.normal_(parameter, mean, std)
    module: nn.Module = model.eval()
    return module


def attentions(module: nn.Module) -> list[fx.Node]:
    """Return the nodes that compute attention as one operator."""
    assert isinstance(module, fx.GraphModule)
    fused = nn.functional.scaled_dot_product_attention
    return [node for node in module.graph.nodes if node.target is fused]


def linear_shapes(module: nn.Module, example: Tensor) -> dict[str, tuple[int, ...]]:
    """Run once and return the shape that each Linear gives."""
    seen: dict[str, tuple[int, ...]] = {}

    def keep(name: str, _: Sequence[Any], output: Any) -> None:
        seen[name] = tuple(output.shape)

    layers = {n: child for n, child in module.named_modules() if isinstance(child, nn.Linear)}
    with hooks(layers, after=keep):
        module(example)
    return seen
