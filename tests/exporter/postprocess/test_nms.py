"""Suppression equals torchvision's, box by box, also as a phone runs it."""

from __future__ import annotations

from pathlib import Path

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torchvision.ops import batched_nms as torchvision_batched_nms
from torchvision.ops import nms as torchvision_nms

from exporter.postprocess.nms import batched_nms, nms

# Whole numbers make equal scores, equal boxes and overlaps of exactly a half likely.
corners = st.one_of(st.integers(0, 8).map(float), st.floats(-50, 50, width=32))


@st.composite
def boxes_and_scores(draw: st.DrawFn, most: int = 24) -> tuple[Tensor, Tensor]:
    count = draw(st.integers(0, most))
    ends = draw(hnp.arrays(np.float32, (count, 2, 2), elements=corners))
    scores = draw(hnp.arrays(np.float32, count, elements=st.sampled_from([0.1, 0.25, 0.5, 0.9])))
    boxes = np.concatenate([ends.min(axis=1), ends.max(axis=1)], axis=1)
    return torch.from_numpy(boxes), torch.from_numpy(scores)


thresholds = st.one_of(
    st.sampled_from([0.0, 0.1, 0.3, 1 / 3, 0.5, 0.7, 1.0]), st.floats(0, 1, allow_nan=False)
)


@given(boxes_and_scores(), thresholds)
@settings(max_examples=300, deadline=None)
def test_the_same_boxes_in_the_same_order_as_torchvision(
    drawn: tuple[Tensor, Tensor], threshold: float
) -> None:
    boxes, scores = drawn
    assert nms(boxes, scores, threshold).tolist() == (
        torchvision_nms(boxes, scores, threshold).tolist()
    )


@given(boxes_and_scores(), thresholds, st.data())
@settings(max_examples=150, deadline=None)
def test_classes_do_not_suppress_each_other(
    drawn: tuple[Tensor, Tensor], threshold: float, data: st.DataObject
) -> None:
    boxes, scores = drawn
    drawn_classes = hnp.arrays(np.int64, len(scores), elements=st.integers(0, 2))
    classes = torch.from_numpy(data.draw(drawn_classes))
    kept = batched_nms(boxes, scores, classes, threshold)
    assert kept.tolist() == torchvision_batched_nms(boxes, scores, classes, threshold).tolist()


@pytest.mark.parametrize("count", [1000, 1001, 2500])
def test_few_and_many_boxes_of_classes_as_torchvision_takes_them(count: int) -> None:
    """A thousand are moved apart by class and rounded; more are taken class by class."""
    generator = torch.Generator().manual_seed(count)
    low = torch.rand(count, 2, generator=generator) * 300
    boxes = torch.cat([low, low + 1 + torch.rand(count, 2, generator=generator) * 60], dim=1)
    scores = torch.rand(count, generator=generator)
    classes = torch.randint(1, 91, (count,), generator=generator)
    kept = batched_nms(boxes, scores, classes, 0.3)
    assert 100 < len(kept) < count
    assert kept.tolist() == torchvision_batched_nms(boxes, scores, classes, 0.3).tolist()


def test_a_chain_in_which_every_second_box_is_kept() -> None:
    """By hand: each box overlaps only its neighbors by half, so 0, 2, 4, ... stay."""
    starts = torch.arange(0.0, 200.0, 2.0)
    boxes = torch.stack([starts, 0 * starts, starts + 4, 0 * starts + 4], dim=1)
    scores = torch.linspace(1, 0.5, 100)
    assert nms(boxes, scores, 0.25).tolist() == list(range(0, 100, 2))


def test_a_threshold_that_no_float_holds() -> None:
    """An overlap of three tenths, as a float, is above 0.3."""
    boxes = torch.tensor([[0.0, 0, 10, 1], [0.0, 0, 3, 1]])
    for threshold, kept in ((0.3, [0]), (0.31, [0, 1])):
        assert nms(boxes, torch.tensor([0.9, 0.8]), threshold).tolist() == kept


class Detector(nn.Module):
    """Boxes around what is bright: as many as the picture has."""

    def forward(self, boxes: Tensor, scores: Tensor) -> Tensor:
        return boxes[nms(boxes, scores, 0.5)]


@pytest.mark.parametrize("capture", ["script", "trace"])
def test_a_captured_module_suppresses_other_boxes_than_it_was_captured_with(
    capture: str, tmp_path: Path
) -> None:
    generator = torch.Generator().manual_seed(0)
    low = torch.rand(60, 2, generator=generator) * 20
    boxes = torch.cat([low, low + 4 + torch.rand(60, 2, generator=generator) * 6], dim=1)
    scores = torch.rand(60, generator=generator)
    alone = torch.tensor([[0.0, 0, 1, 1]]), torch.tensor([0.5])
    module = Detector()
    captured = torch.jit.script(module) if capture == "script" else torch.jit.trace(module, alone)
    file = tmp_path / "detector.ptl"
    captured._save_for_lite_interpreter(str(file))
    from torch.jit.mobile import _load_for_lite_interpreter

    kept = _load_for_lite_interpreter(str(file))(boxes, scores)
    expected = boxes[torchvision_nms(boxes, scores, 0.5)]
    assert 1 < len(expected) < 60
    assert torch.equal(kept, expected)
