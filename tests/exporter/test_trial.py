"""The first run of the author's module: what fails there is told in a sentence."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from own_models import ConvNormNet, Heads
from torch import Tensor, nn

from exporter.errors import CaptureError, ExportError, ModelError
from exporter.trial import try_out

SHAPE = (1, 3, 16, 16)


class Returns(nn.Module):
    def __init__(self, make: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.make = make

    def forward(self, x: Tensor) -> object:
        return self.make(x)


class TwoInputs(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y


def ends(x: Tensor) -> object:
    raise SystemExit(0)


def raises(x: Tensor) -> object:
    raise ValueError("not this one")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (
            raises,
            r"called with float32 of shape 1,3,16,16, raised ValueError: not this one \(.*tes",
        ),
        (ends, r"raised SystemExit: 0 \(.*test_trial\.py, line \d+\)"),
        (
            lambda x: nn.functional.conv2d(x, torch.zeros(2, 4, 1, 1)),
            "but got 3 channels.*--input-s",
        ),
        (torch.fft.fft2, r"returns complex64, and apps read .*torch\.view_as_real"),
        (lambda x: x.half(), r"returns float16, and apps read .*x\.float"),
        (lambda x: x.to(torch.int16), "returns int16"),
        (lambda x: [], "returns no tensor"),
        (lambda x: x.to_sparse(), "layout torch.sparse_coo"),
        (lambda x: x.to("meta"), "on meta"),
    ],
)
def test_what_no_app_can_read(make: Callable[[Tensor], object], says: str) -> None:
    with pytest.raises(ModelError, match=says):
        try_out("models:make", Returns(make), (torch.zeros(SHAPE),))


def test_forward_takes_one_image() -> None:
    with pytest.raises(ModelError, match=r"forward of models:two takes \(x.*one tensor \(missing"):
        try_out("models:two", TwoInputs(), (torch.zeros(SHAPE),))


def test_other_things_than_tensors_are_refused_as_ever() -> None:
    with pytest.raises(CaptureError, match="NoneType"):
        try_out("models:make", Returns(lambda x: None), (torch.zeros(SHAPE),))


def test_ctrl_c_is_not_the_models_fault() -> None:
    def interrupted(x: Tensor) -> object:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        try_out("models:make", Returns(interrupted), (torch.zeros(SHAPE),))


def test_the_input_stays_as_it_was() -> None:
    example = torch.ones(SHAPE)
    try_out("models:make", Returns(lambda x: x.mul_(2)), (example,))
    assert torch.equal(example, torch.ones(SHAPE))


def test_outputs() -> None:
    one = try_out("one", ConvNormNet(), (torch.zeros(SHAPE),))
    assert one.is_tensor
    assert [tuple(t.shape) for t in one.outputs] == [(1, 10)]
    two = try_out("two", Heads(), (torch.zeros(SHAPE),))
    assert not two.is_tensor
    assert [tuple(t.shape) for t in two.outputs] == [(1, 5), (1, 2)]


def test_work_is_counted_in_multiply_accumulates() -> None:
    """By hand: 8 x 8 positions, 5 filters of 3 x 3 x 3; then 10 for each element written."""
    conv = nn.Conv2d(3, 5, 3, stride=2, padding=1, bias=False).eval()
    assert try_out("conv", conv, (torch.zeros(SHAPE),)).work == 8 * 8 * 5 * 27 + 10 * 8 * 8 * 5
    linear = nn.Linear(7, 11)
    assert try_out("linear", linear, (torch.zeros(2, 7),)).work == 2 * 7 * 11 + 10 * 2 * 11
    attention = Returns(lambda x: nn.functional.scaled_dot_product_attention(x, x, x))
    work = try_out("attention", attention, (torch.zeros(1, 2, 64, 8),)).work
    assert work >= 2 * 2 * 64 * 64 * 8  # queries with keys, weights with values


def test_a_module_that_cannot_bear_the_counting_is_run_without() -> None:
    def shy(x: Tensor) -> Tensor:
        from torch.utils._python_dispatch import _get_current_dispatch_mode

        if _get_current_dispatch_mode() is not None:
            raise RuntimeError("somebody is watching")
        return x

    assert try_out("shy", Returns(shy), (torch.zeros(SHAPE),)).is_tensor


def test_scripted_modules_are_run_too() -> None:
    scripted = torch.jit.script(ConvNormNet().eval())
    assert try_out("scripted", scripted, (torch.zeros(SHAPE),)).work > 0
    with pytest.raises(ExportError, match="channels"):
        try_out("scripted", scripted, (torch.zeros(1, 4, 16, 16),))
