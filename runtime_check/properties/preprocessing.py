"""Preprocessing in the graph agrees with Pillow and timm for images of any size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..artifact.metadata import ImageInput
from ..comparison import Tolerance, compare
from ..errors import BuildError
from ..reference.reference import pillow_resize, timm_transform
from .base import (
    Check,
    Outputs,
    PropertyResult,
    Verdict,
    python_side,
    skipped,
    verdict_of,
)
from .inputs import (
    image_recipes,
    unresized_size,
)
from .search import explore

# What the in-graph resize may differ from Pillow's by, in gray levels (measured: 1-2 on natural
# images, 20 on pixel noise, for a float resize against Pillow's two rounded passes).
NATURAL_LEVELS = 2.0


UNNATURAL_LEVELS = 20.0


def examine_preprocessing(check: Check, inputs: Sequence[np.ndarray], natural: bool) -> Verdict:
    """Bound the output's difference by what a change of a few gray levels does to the model.

    The graph's preprocessing cannot be seen from outside, its effect can. fp32 with a reference:
    the reference runs on Pillow's result, and on versions of it that are off by `levels` with
    random signs, as rounding is, or by half a level one way. Otherwise (int8, no reference) the
    file itself takes both roles: it runs on the photo and on what Pillow resized the photo to,
    of which nothing is left to resize. A difference above twice the largest of those is more than
    that many gray levels.
    """
    levels = NATURAL_LEVELS if natural else UNNATURAL_LEVELS
    fp32 = check.metadata.quantization.method == "none"
    steps = _by_reference if check.reference is not None and fp32 else _by_itself
    expected, shifted = steps(check, inputs[0], levels)
    pairs = [pair for outputs in shifted for pair in zip(expected, outputs, strict=True)]
    moved = max((_distance(one, other) for one, other in pairs), default=0.0)
    actual = check.run(inputs)
    least = check.allowance.for_outputs(expected)
    bound = Tolerance(atol=2 * moved + least.atol, rtol=least.rtol)
    comparison = compare(expected, actual, bound, check.metric)
    size = f"{inputs[0].shape[0]} x {inputs[0].shape[1]}"
    problem = (
        f"a {size} image differs from Pillow + timm by more than {levels:g} gray levels would "
        "explain: {}"
    )
    return verdict_of(comparison, expected, actual, problem=problem)


def _by_reference(check: Check, image: np.ndarray, levels: float) -> tuple[Outputs, list[Outputs]]:
    import torch

    assert check.reference is not None
    assert check.metadata.preprocessing is not None
    with python_side():
        tensor = check.reference.preprocess(image)
    std = torch.tensor(check.metadata.preprocessing.std).view(1, -1, 1, 1)
    signs = torch.Generator().manual_seed(check.seed)
    noise = torch.randint(0, 2, (2, *tensor.shape), generator=signs) * 2 - 1
    moves = (torch.tensor(0.5), torch.tensor(-0.5), levels * noise[0], levels * noise[1])
    with python_side():
        shifted = [check.reference.classify(tensor + move / 255 / std) for move in moves]
        return check.reference.classify(tensor), shifted


def _by_itself(check: Check, image: np.ndarray, levels: float) -> tuple[Outputs, list[Outputs]]:
    assert check.metadata.preprocessing is not None
    resized = pillow_resize(check.metadata.preprocessing, image)
    rng = np.random.default_rng(check.seed)
    noise = rng.choice((-levels, levels), (2, *resized.shape))
    moves = [resized.astype(np.float64) + change for change in (1, -1, noise[0], noise[1])]
    calls = [[resized], *([np.clip(moved, 0, 255).astype(np.uint8)] for moved in moves)]
    outputs = [check.run(inputs) for inputs in calls]
    return outputs[0], outputs[1:]


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(np.float64) - other.astype(np.float64)).max(initial=0.0))


def preprocessing(check: Check) -> PropertyResult:
    """Preprocessing in the graph agrees with Pillow and timm for images of any size."""
    spec = check.metadata.input
    if not isinstance(spec, ImageInput) or check.metadata.preprocessing is None:
        return skipped("preprocessing", "the file takes tensors: preprocessing is the app's")
    try:
        timm_transform(check.metadata.preprocessing)
    except BuildError as error:
        return skipped("preprocessing", str(error))
    scale = max(unresized_size(check.metadata.preprocessing))
    strategy = image_recipes(spec, max_pixels=check.max_pixels, scale=scale)
    result = explore(check, "preprocessing", strategy, examine_preprocessing)
    if check.reference is None or check.metadata.quantization.method != "none":
        how = "resize only, the file against itself on Pillow's resized image; "
        result = replace(result, reason=how + result.reason)
    return result
