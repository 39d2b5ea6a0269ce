"""Preprocessing in the graph agrees with Pillow and timm for images of any size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..artifact.metadata import ImageInput
from ..comparison import Comparison, Tolerance, compare
from ..errors import BuildError
from ..metrics import VALUES, Metric, measure
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
    actual = check.run(inputs)
    size = f"{inputs[0].shape[0]} x {inputs[0].shape[1]}"
    problem = (
        f"a {size} image differs from Pillow + timm by more than {levels:g} gray levels would "
        "explain: {}"
    )
    if check.metric.kind == "boxes":
        comparison = _boxes(check.metric, expected, shifted, actual)
        return verdict_of(comparison, expected, actual, problem=problem)
    # Where a gray level decides how many boxes there are, as many are compared.
    shapes = [array.shape for array in actual]
    alike = (some for some in (expected, *shifted) if [a.shape for a in some] == shapes)
    expected = next(alike, expected)
    bound = _bound(expected, shifted, check.allowance.for_outputs(expected))
    # Whole numbers do not move a little: how many of them do is what is bounded.
    one, other, metric = [*expected], [*actual], check.metric
    for index, wanted in enumerate(expected[: len(actual)]):
        if _moves(wanted) or wanted.shape != actual[index].shape:
            continue
        share = float(np.mean(wanted != actual[index])) if wanted.size else 0.0
        one[index], other[index] = np.zeros(1), np.array([share])
        metric = replace(metric, kind="none")
    comparison = compare(one, other, bound, metric)
    return verdict_of(comparison, expected, actual, problem=problem)


def _boxes(
    metric: Metric, expected: Outputs, shifted: Sequence[Outputs], actual: Outputs
) -> Comparison:
    """Bound the share of boxes without a partner by twice what the shifts lose, and one more.

    A gray level moves boxes across thresholds and limits of overlap, so their number differs too.
    """
    lost = max((_lost(metric, expected, outputs) for outputs in shifted), default=0.0)
    one_more = 1 / max(1, len(expected[metric.output]))
    bound = Tolerance(atol=2 * lost + one_more)
    return compare(np.zeros(1), np.array([_lost(metric, expected, actual)]), bound, VALUES)


def _lost(metric: Metric, one: Outputs, other: Outputs) -> float:
    share = measure(metric, one, other).boxes
    return 0.0 if share is None else 1.0 - share


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
        shifted = [check.reference.classify(tensor + move / 255 / std, image) for move in moves]
        return check.reference.classify(tensor, image), shifted


def _by_itself(check: Check, image: np.ndarray, levels: float) -> tuple[Outputs, list[Outputs]]:
    assert check.metadata.preprocessing is not None
    resized = pillow_resize(check.metadata.preprocessing, image)
    rng = np.random.default_rng(check.seed)
    noise = rng.choice((-levels, levels), (2, *resized.shape))
    moves = [resized.astype(np.float64) + change for change in (1, -1, noise[0], noise[1])]
    calls = [[resized], *([np.clip(moved, 0, 255).astype(np.uint8)] for moved in moves)]
    outputs = [check.run(inputs) for inputs in calls]
    return outputs[0], outputs[1:]


def _moves(array: np.ndarray) -> bool:
    """Whether values are such that a small change of the input changes them a little."""
    return bool(np.issubdtype(array.dtype, np.floating))


def _bound(
    expected: Sequence[np.ndarray], shifted: Sequence[Outputs], least: Tolerance
) -> Tolerance:
    """Return twice what the shifts change in each output; of whole numbers, the share of them."""
    atols = []
    for index, wanted in enumerate(expected):
        moved = max((_distance(wanted, outputs[index]) for outputs in shifted), default=0.0)
        atol = least.atol_of(index) if _moves(wanted) else 1 / max(1, wanted.size)
        atols.append(2 * moved + atol)
    several = tuple(atols) if len(atols) > 1 else ()
    return Tolerance(atol=max(atols, default=least.atol), outputs=several, rtol=least.rtol)


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    """Return the largest difference, or the share of whole numbers that differ."""
    if one.shape != other.shape:
        return 0.0  # more or fewer boxes: nothing can be said of each
    if not _moves(one):
        return float(np.mean(one != other)) if one.size else 0.0
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
    by_itself = check.reference is None or check.metadata.quantization.method != "none"
    if by_itself:
        # What Pillow makes of the photo goes into the file, too, whose longest side is bounded.
        longest = max(1, min(spec.max_aspect, spec.max_side // scale))
        spec = spec.model_copy(update={"max_aspect": longest})
    strategy = image_recipes(spec, max_pixels=check.max_pixels, scale=scale)
    result = explore(check, "preprocessing", strategy, examine_preprocessing)
    if by_itself:
        how = "resize only, the file against itself on Pillow's resized image; "
        result = replace(result, reason=how + result.reason)
    return result
