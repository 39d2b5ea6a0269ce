"""Ten awkward families through the whole exporter; the full sweep is a benchmark."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.utils.mobile_optimizer import optimize_for_mobile

import exporter

from .families import AWKWARD, untrained


@pytest.mark.parametrize("family", AWKWARD)
def test_awkward_family(family: str, tmp_path: Path) -> None:
    model = untrained(AWKWARD[family]())
    artifact = exporter.export(model, out=tmp_path, name=family)
    saved = artifact.report.ledger[-1]
    assert saved.stage == "saved + reloaded"
    assert saved.max_abs <= artifact.metadata.tolerance.atol
    assert {v.runtime: v.compatible for v in artifact.metadata.runtimes}["pytorch-2.1.0"]


def test_the_small_ones_still_show_the_fault_they_are_for() -> None:
    """The recipe everyone copies is wrong on the small ResNet as it is on the large ones."""
    model = untrained(AWKWARD["resnet"]())
    x = torch.randn(1, *model.pretrained_cfg["input_size"])
    with torch.no_grad():
        eager = model(x)
        recipe = optimize_for_mobile(torch.jit.trace(model, x, check_trace=False))(x)
    assert float((recipe - eager).abs().max()) > 0.01 * float(eager.std())
