"""The first capture that survives: agrees, loads on every target, computes the same saved."""

from __future__ import annotations

from pathlib import Path

import pytest
from own_models import (
    FusedAttention,
    GroupedAttention,
    LanczosDead,
)

import exporter
from exporter.errors import IncompatibleRuntime
from exporter.lower import lower
from exporter.lower.compatibility import Verdict
from exporter.package.archive import LiteFile
from exporter.rewrites.passes import names

SHAPE = (1, 3, 32, 32)


def test_scripted_interpolate_is_refused_with_its_line(tmp_path: Path) -> None:
    """Frozen, the dead branch is gone; as scripted, the phone would refuse the whole file."""
    options = {"input_shape": (1, 3, 24, 24), "capture": "script"}
    with pytest.raises(
        IncompatibleRuntime, match=r"_upsample_lanczos2d_aa.*functional\.py:\d+.*--capture trace"
    ):
        exporter.export(LanczosDead(), out=tmp_path / "a", disable=names("script"), **options)
    artifact = exporter.export(LanczosDead(), out=tmp_path / "b", **options)
    assert not any("lanczos" in name for name in artifact.metadata.operators)


def test_auto_takes_the_capture_that_the_runtime_can_load(tmp_path: Path) -> None:
    artifact = exporter.export(
        LanczosDead(), out=tmp_path, input_shape=(1, 3, 24, 24), disable=names("script")
    )
    assert artifact.metadata.capture.method == "trace"
    assert any("lanczos" in note.text for note in artifact.report.notes)


def test_fused_attention_and_the_older_runtime(tmp_path: Path) -> None:
    """1.13 has no scaled_dot_product_attention; who asks for 1.13 gets timm models without it."""
    vit = {"random_weights": True, "verify": False}
    both = ["pytorch-1.13", "pytorch-2.1.0"]
    older = exporter.export("deit_tiny_patch16_224", out=tmp_path / "t", target=both, **vit)
    assert all(v.compatible for v in older.metadata.runtimes)
    effects = {p.name: p.effect for p in older.metadata.passes}
    assert "pytorch-1.13.1 has no" in effects["fuse-attention"]
    newer = exporter.export("deit_tiny_patch16_224", out=tmp_path / "u", **vit)
    assert {v.runtime: v.compatible for v in newer.metadata.runtimes}["pytorch-1.13.1"] is False
    assert "scaled_dot_product_attention" in str(newer.metadata.operators)
    options = {"input_shape": (1, 4, 8), "verify": False}
    new = exporter.export(FusedAttention(), out=tmp_path / "n", **options)
    assert {v.runtime: v.compatible for v in new.metadata.runtimes} == {
        "pytorch-2.1.0": True,
        "pytorch-1.13.1": False,
    }
    refused = next(v for v in new.metadata.runtimes if not v.compatible)
    assert "own_models.py" in refused.detail
    assert str(Path(__file__).parents[1]) not in refused.detail, "the file holds no machine paths"
    with pytest.raises(IncompatibleRuntime, match=r"own_models\.py.*matmul and softmax"):
        exporter.export(FusedAttention(), out=tmp_path / "o", target="pytorch-1.13", **options)
    with pytest.raises(IncompatibleRuntime, match="arguments, there it takes"):
        exporter.export(GroupedAttention(), out=tmp_path / "g", **options)


@pytest.mark.parametrize("order", [(8, 7), (7, 8), (None, 7, 8)])
def test_of_two_older_versions_the_oldest_is_written(
    order: tuple[int | None, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    written: list[int] = []
    monkeypatch.setattr(lower, "backport", lambda path, version: written.append(version) or b"x")
    monkeypatch.setattr(lower, "canonicalize", lambda raw, scratch: raw)
    file = LiteFile(path=tmp_path / "a.ptl", bytecode=None, bytes=0)  # type: ignore[arg-type]
    verdicts = [Verdict(runtime=f"r{v}", missing=(), backport_to=v) for v in order]
    lower._fit(file, verdicts, [], tmp_path)
    assert written == [7]
    assert lower._fit(file, verdicts[:1] if order[0] is None else [], [], tmp_path) is file
