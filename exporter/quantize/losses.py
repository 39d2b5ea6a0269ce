"""What fine-tuning minimizes: how far the int8 network's outputs are from the float model's."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch.nn.functional as functional
from torch import Tensor

from runtime_check.metrics import Metric

from ..errors import QuantizeError


def spreads_of(outputs: Iterable[Sequence[Tensor]]) -> tuple[float, ...]:
    """Return how far the values of each output are spread, over batches of flat `outputs`.

    That is the standard deviation of all its values; of values that are all the same, how large
    they are, and of zeros 1.
    """
    sums: list[tuple[int, float, float]] = []
    for batch in outputs:
        sums = sums or [(0, 0.0, 0.0)] * len(batch)
        doubles = [tensor.double() for tensor in batch]
        sums = [
            (count + d.numel(), total + float(d.sum()), squares + float(d.square().sum()))
            for (count, total, squares), d in zip(sums, doubles, strict=True)
        ]
    return tuple(_spread(*each) for each in sums)


def _spread(count: int, total: float, squares: float) -> float:
    if not count:
        return 1.0
    power, mean = squares / count, total / count
    variance = power - mean**2
    # What is left of subtracting equal numbers is rounding.
    return math.sqrt(variance if variance > 1e-9 * power else power) or 1.0


def distillation(
    metric: Metric,
    outputs: Sequence[Tensor],
    wanted: Sequence[Tensor],
    labels: Tensor | None,
    *,
    spreads: Sequence[float],
) -> Tensor:
    """Return the loss of a network's flat `outputs`, where the float model gives `wanted`.

    The output that `metric` is about counts in the task's own terms: divergence of classes (and the
    cross entropy with `labels`, one an image), of the classes of pixels, or the angle of
    embeddings. Other floats, such as a depth, count by their mean squared error in units of
    `spreads[i]`, so that an output of large numbers counts as much as one of small. Raises
    `QuantizeError` where no output can be learned: whole numbers have no gradient, and boxes that
    are not as many have no partners.
    """
    terms = [
        _term(metric if index == metric.output else None, got, aim, labels, spreads[index])
        for index, (got, aim) in enumerate(zip(outputs, wanted, strict=True))
        if got.requires_grad and got.shape == aim.shape
    ]
    if not terms:
        raise QuantizeError(
            "None of the network's outputs can be trained for: they are whole numbers or do not "
            "depend on the weights. Return the scores as well, or use --quantize static."
        )
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def _term(
    metric: Metric | None, got: Tensor, wanted: Tensor, labels: Tensor | None, spread: float
) -> Tensor:
    kind = "none" if metric is None else metric.kind
    if kind == "classes":
        return _classes(got, wanted, labels)
    if metric is not None and kind == "pixels" and metric.axis != 0:
        apart = functional.kl_div(
            got.log_softmax(metric.axis),
            wanted.log_softmax(metric.axis),
            log_target=True,
            reduction="none",
        )
        return apart.sum(metric.axis).mean()
    if metric is not None and kind == "pixels" and metric.threshold == 0.0:
        aim = wanted.sigmoid()
        least = functional.binary_cross_entropy_with_logits(wanted, aim)
        return functional.binary_cross_entropy_with_logits(got, aim) - least
    if kind == "vectors":
        return 1.0 - functional.cosine_similarity(got, wanted, dim=-1).mean()
    return ((got - wanted) / spread).square().mean()


def _classes(logits: Tensor, wanted: Tensor, labels: Tensor | None) -> Tensor:
    """Return the cross entropy with labels plus the divergence from the float model's answer."""
    distilled = functional.kl_div(
        logits.log_softmax(-1), wanted.log_softmax(-1), log_target=True, reduction="batchmean"
    )
    if labels is None:
        return distilled
    return distilled + functional.cross_entropy(logits, labels)
