"""timm's models with random weights that hide nothing, as factories: `untrained:NAME` for a plan.

`python -m exporter compare tests.benchmarks.untrained:test_vit` compares one; the plan of the
families has all. Weights are drawn as the exporter draws them; BatchNorm statistics are drawn too,
since untrained ones (0 and 1) hide errors in folding them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_PICTURES = 8
# Outputs that move by less of their size from picture to picture tell nothing of the layers.
_LEAST_MOVEMENT = 1e-3


def __getattr__(name: str) -> Callable[[], Any]:
    """Return a factory of timm's model `name`."""
    import timm

    if name.startswith("_") or not timm.is_model(name):
        raise AttributeError(f"timm has no model called {name!r}")
    return lambda: network(name)


def network(name: str, *, seed: int = 0) -> Any:
    """Build a timm model; its outputs depend on the picture.

    With drawn statistics, few networks end in values that no longer do. Each BatchNorm of these
    gets the statistics of pictures of noise that go through the layers before it.
    """
    import torch

    from exporter.source import load_source
    from tests.exporter.families import untrained

    model = untrained(load_source(name, random_weights=True, seed=seed).module, seed=seed)
    size = model.pretrained_cfg["input_size"]
    pictures = torch.randn(_PICTURES, *size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        if not _moves(model(pictures[:1]), model(pictures[1:2])):
            measure(model, pictures)
    return model.eval()


def measure(model: Any, pictures: Any) -> None:
    """Give each BatchNorm of `model` the statistics of `pictures`, in place."""
    import torch

    for layer in model.modules():
        if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
            layer.reset_running_stats()
            layer.momentum = None  # the mean over all batches
    with torch.no_grad():
        model.train()(pictures)


def _moves(one: Any, other: Any) -> bool:
    import torch

    if not isinstance(one, torch.Tensor):
        return True  # several outputs: the exporter will say
    return bool((one - other).abs().max() > _LEAST_MOVEMENT * one.abs().max())
