from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from exporter.quantize import teacher as teacher_module
from exporter.quantize.teacher import Teacher


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        self.asked += len(x)
        return x.mean((1, 2, 3), keepdim=False)[:, None] * 2, x.sum((2, 3))


IMAGES = torch.rand(6, 3, 4, 4)


def test_each_image_is_asked_about_once() -> None:
    module = Counting()
    teacher = Teacher(module, 6, keep=True)
    first = teacher.answers([4, 1], IMAGES[[4, 1]])
    teacher.answers([0, 2, 3, 5], IMAGES[[0, 2, 3, 5]])
    assert module.asked == 6
    again = teacher.answers([1, 4], IMAGES[[1, 4]])
    assert module.asked == 6
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one.flip(0), other)


def test_augmented_images_are_asked_about_each_time() -> None:
    module = Counting()
    teacher = Teacher(module, 6, keep=False)
    for _ in range(2):
        teacher.answers([0, 1], IMAGES[:2])
    assert module.asked == 4


def test_answers_that_are_too_many_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teacher_module, "_MOST_ANSWERS", 6 * 4 * 4 - 1)  # bytes: 4 floats an image
    module = Counting()
    teacher = Teacher(module, 6, keep=True)
    for _ in range(2):
        teacher.answers([0, 1], IMAGES[:2])
    assert module.asked == 4


def test_boxes_that_belong_to_no_row_are_not_kept() -> None:
    teacher = Teacher(nn.Flatten(0), 6, keep=True)
    teacher.answers([0, 1], IMAGES[:2])
    (answer,) = teacher.answers([1, 2], IMAGES[1:3])
    assert torch.equal(answer, IMAGES[1:3].flatten())
