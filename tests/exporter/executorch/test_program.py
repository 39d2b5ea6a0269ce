"""Methods lowered to one program: what is counted of it, and how a refusal reads."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from exporter.errors import CaptureError
from exporter.executorch.program import exported, save_program
from runtime_check.runtimes.program import load_program

pytest.importorskip("executorch", reason="ExecuTorch is an extra: pip install '.[executorch]'")


class Half(nn.Module):
    def forward(self, photo: Tensor) -> Tensor:
        return photo.float() / 2


class Sum(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x + x, x.sum(-1)


def test_two_methods_run_one_after_the_other(tmp_path: Path) -> None:
    photo = torch.arange(6, dtype=torch.uint8).reshape(2, 3)
    methods = {
        "preprocess": exported(Half(), [photo]),
        "forward": exported(Sum(), [torch.zeros(2, 3)]),
    }
    file = save_program(methods, tmp_path / "a.pte")  # type: ignore[arg-type]  # a dict of literals
    assert file.methods == ("preprocess", "forward")
    assert file.operators["delegate::XnnpackBackend"] >= 1
    assert "aten::_to_copy.out" in file.operators or "dim_order_ops::_to_dim_order_copy.out" in (
        file.operators
    )
    assert set(file.planned_bytes) == {"preprocess", "forward"}
    assert file.bytes == (tmp_path / "a.pte").stat().st_size
    doubled, summed = load_program(file.path)([photo])
    torch.testing.assert_close(doubled, torch.arange(6.0).reshape(2, 3))
    torch.testing.assert_close(summed, torch.tensor([1.5, 6.0]))
    again = save_program(methods, tmp_path / "b.pte")  # type: ignore[arg-type]  # as above
    assert again.sha256 == file.sha256


class Counts(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        while x.sum() < 10:
            x = x * 2
        return x


def test_what_torch_export_refuses_is_a_capture_error() -> None:
    with pytest.raises(CaptureError, match=r"torch.export refuses it: "):
        exported(Counts(), [torch.ones(2)])
