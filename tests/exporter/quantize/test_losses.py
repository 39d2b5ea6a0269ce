"""What fine-tuning minimizes, worked out by hand for each task."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from exporter.errors import QuantizeError
from exporter.quantize.losses import distillation, spreads_of
from runtime_check.metrics import Metric

CLASSES = Metric(kind="classes")
ONE = (1.0,)  # the spread, where it does not count


def leaf(values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, requires_grad=True)


def divergence(wanted: list[float], got: list[float]) -> float:
    """KL of two rows of scores, in plain Python."""
    p, q = ([math.exp(v) / sum(map(math.exp, row)) for v in row] for row in (wanted, got))
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def test_classes_diverge_by_image_and_labels_add_their_cross_entropy() -> None:
    got, wanted = [[1.0, 0.0], [0.5, -1.0]], [[0.0, 2.0], [0.5, -1.0]]
    expected = divergence(wanted[0], got[0]) / 2
    found = distillation(CLASSES, [leaf(got)], [torch.tensor(wanted)], None, spreads=ONE)
    assert float(found) == pytest.approx(expected, rel=1e-5)
    labels = torch.tensor([1, 0])
    entropy = -sum(
        row[label] - math.log(sum(map(math.exp, row)))
        for row, label in zip(got, [1, 0], strict=True)
    )
    found = distillation(CLASSES, [leaf(got)], [torch.tensor(wanted)], labels, spreads=ONE)
    assert float(found) == pytest.approx(expected + entropy / 2, rel=1e-5)


def test_pixels_diverge_over_their_classes_and_are_averaged() -> None:
    got, wanted = torch.zeros(1, 2, 1, 3), torch.zeros(1, 2, 1, 3)
    got[0, 0, 0, 1], wanted[0, 1, 0, 1] = 1.0, 2.0
    metric = Metric(kind="pixels", axis=-3)
    found = distillation(metric, [got.requires_grad_()], [wanted], None, spreads=ONE)
    assert float(found) == pytest.approx(divergence([0.0, 2.0], [1.0, 0.0]) / 3, rel=1e-5)


def test_one_class_alone_diverges_as_yes_and_no() -> None:
    metric = Metric(kind="pixels", axis=0, threshold=0.0)
    got, wanted = leaf([[[[0.3]], [[-2.0]]]]), torch.tensor([[[[1.5]], [[-2.0]]]])
    found = distillation(metric, [got], [wanted], None, spreads=ONE)
    assert float(found) == pytest.approx(divergence([1.5, 0.0], [0.3, 0.0]) / 2, rel=1e-4)


def test_embeddings_differ_by_their_angle_alone() -> None:
    got, wanted = leaf([[3.0, 0.0], [0.0, 1.0]]), torch.tensor([[1.0, 1.0], [0.0, 9.0]])
    found = distillation(Metric(kind="vectors"), [got], [wanted], None, spreads=ONE)
    assert float(found) == pytest.approx(1 - (math.sqrt(0.5) + 1) / 2, rel=1e-5)


def test_other_floats_count_by_their_spread_whatever_their_scale() -> None:
    metric = Metric(kind="vectors", outputs=3, output=1)
    wanted = [torch.tensor([[3e3, 4e3]]), torch.tensor([[0.0, 1.0]]), torch.tensor([7])]
    got = [leaf([[3e3, 4.5e3]]), leaf([[0.0, 2.0]]), torch.tensor([8])]
    found = distillation(metric, got, wanted, None, spreads=(500.0, 1.0, 1.0))
    assert float(found) == pytest.approx((500 / 500) ** 2 / 2, rel=1e-5)
    found.backward()
    assert got[0].grad is not None


def test_values_count_by_their_mean_squared_error_in_units_of_the_spread() -> None:
    """A depth from 2 to 6 m: off by 1 m and by 0; the spread is 2 m."""
    metric = Metric(kind="none", outputs=1)
    wanted, got = torch.tensor([[[2.0, 6.0]]]), leaf([[[3.0, 6.0]]])
    (spread,) = spreads_of([[wanted]])
    assert spread == 2.0
    found = distillation(metric, [got], [wanted], None, spreads=(spread,))
    assert float(found) == pytest.approx(((1 / 2) ** 2 + 0) / 2)


def test_a_spread_is_that_of_all_batches_and_is_never_nothing() -> None:
    batches = [
        [torch.tensor([1.0, 3.0]), torch.full((2, 2), 1e-3), torch.zeros(2), torch.tensor([1, 2])],
        [torch.tensor([5.0]), torch.full((1, 2), 1e-3), torch.zeros(1), torch.tensor([3])],
    ]
    deviation = math.sqrt(((1 - 3) ** 2 + 0 + (5 - 3) ** 2) / 3)
    whole = math.sqrt(2 / 3)
    assert spreads_of(batches) == pytest.approx((deviation, 1e-3, 1.0, whole))
    assert spreads_of([[torch.zeros(0, 4)]]) == (1.0,)


@pytest.mark.parametrize("got", [torch.tensor([[1, 2]]), torch.zeros(1, 2)])
def test_what_has_no_gradient_cannot_be_learned(got: Tensor) -> None:
    with pytest.raises(QuantizeError, match="scores as well"):
        distillation(Metric(kind="pixels", axis=0), [got], [torch.zeros(1, 2)], None, spreads=ONE)
