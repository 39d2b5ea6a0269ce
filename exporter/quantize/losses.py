"""What fine-tuning minimizes: how far the int8 network's outputs are from the float model's."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as functional
from torch import Tensor

from runtime_check.metrics import Metric

from ..errors import QuantizeError


def distillation(
    metric: Metric, outputs: Sequence[Tensor], wanted: Sequence[Tensor], labels: Tensor | None
) -> Tensor:
    """Return the loss of a network's flat `outputs`, where the float model gives `wanted`.

    The output that `metric` is about counts in the task's own terms: divergence of classes (and the
    cross entropy with `labels`, one an image), of the classes of pixels, or the angle of
    embeddings. Other floats count by their squared error's share of their power. Raises
    `QuantizeError` where no output can be learned: whole numbers have no gradient, and boxes that
    are not as many have no partners.
    """
    terms = [
        _term(metric if index == metric.output else None, got, aim, labels)
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


def _term(metric: Metric | None, got: Tensor, wanted: Tensor, labels: Tensor | None) -> Tensor:
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
    power = wanted.square().sum().clamp_min(torch.finfo(wanted.dtype).tiny)
    return (got - wanted).square().sum() / power


def _classes(logits: Tensor, wanted: Tensor, labels: Tensor | None) -> Tensor:
    """Return the cross entropy with labels plus the divergence from the float model's answer."""
    distilled = functional.kl_div(
        logits.log_softmax(-1), wanted.log_softmax(-1), log_target=True, reduction="batchmean"
    )
    if labels is None:
        return distilled
    return distilled + functional.cross_entropy(logits, labels)
