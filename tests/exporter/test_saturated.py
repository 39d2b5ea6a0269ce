"""Where a softmax shows nothing but 0 and 1, what is before it is verified, too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import exporter
from exporter.errors import ExportError
from exporter.expected import expect
from exporter.options import ExportOptions, PreprocessingChoice
from exporter.plan import make_plan
from exporter.quantize.step import QuantizedNetwork
from exporter.saturated import is_saturated, verify_before_activation
from exporter.source import source_of
from runtime_check.artifact.metadata import Quantization

CHOICE = PreprocessingChoice(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
LABELS = ("a", "b", "c", "d")


class Loud(nn.Module):
    """Logits far apart: one class takes all, whichever the others are."""

    def __init__(self, *, swapped: bool = False, gain: float = 1e4) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3, 2, 1)
        self.gain = gain
        self.swapped = swapped

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x).mean((2, 3)) * self.gain
        top, rest = y.max(1, keepdim=True).values, y
        if self.swapped:  # right about the winner, wrong about everyone else
            rest = torch.where(y == top, y, y - 500)
        return rest


def options(out: Path) -> ExportOptions:
    return ExportOptions(out=out, input_shape=(1, 3, 32, 32), preprocessing=CHOICE, labels=LABELS)


def test_the_logits_are_verified_and_that_is_said(tmp_path: Path) -> None:
    made = exporter.export(
        Loud(), input_shape=(1, 3, 32, 32), preprocessing=CHOICE, labels=LABELS, out=tmp_path
    )
    (note,) = [note for note in made.report.notes if note.kind == "saturated"]
    assert "every softmax output is 0 or 1" in note.text
    quiet = exporter.export(
        Loud(gain=1.0), input_shape=(1, 3, 32, 32), preprocessing=CHOICE, labels=LABELS,
        out=tmp_path, name="quiet",
    )  # fmt: skip
    assert "saturated" not in {note.kind for note in quiet.report.notes}


def test_a_network_that_differs_where_a_softmax_hides_it_is_refused(tmp_path: Path) -> None:
    asked = options(tmp_path)
    plan = make_plan(source_of(Loud(), asked), asked)
    expected = expect(plan)
    assert is_saturated(plan, expected)
    wrong = Loud(swapped=True).eval()
    # Behind the softmax the two are one.
    hidden = expect(replace(plan, source=replace(plan.source, module=wrong)))
    for one, other in zip(expected.outputs, hidden.outputs, strict=True):
        assert torch.allclose(one[0], other[0], atol=1e-6)
    with pytest.raises(ExportError, match="differs"):
        verify_before_activation(plan, as_it_is(wrong), expected, asked, tmp_path)


def as_it_is(module: nn.Module) -> QuantizedNetwork:
    return QuantizedNetwork(
        module=module, simulated=None, described=Quantization(method="none"), notes=()
    )
