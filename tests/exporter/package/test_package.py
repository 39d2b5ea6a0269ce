from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from own_models import (
    Branching,
    ConvNormNet,
    FusedAttention,
    GroupedAttention,
    LanczosDead,
    NotFinite,
    RmsNorm,
)
from torch import nn

import exporter
from exporter.errors import ExportError, IncompatibleRuntime, UsageError, VerifyError
from exporter.lower.optimize import OPTIMIZE_PASSES
from exporter.package import archive as package
from runtime_check.artifact.archive import read_artifact, read_bytecode
from runtime_check.runtimes.host import open_host

SHAPE = (1, 3, 32, 32)


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_same_bytes_whatever_the_process_did_before(tmp_path: Path) -> None:
    """torch numbers type names by history; an artifact must not show it."""
    module = ConvNormNet()
    first = exporter.export(module, out=tmp_path / "a", input_shape=SHAPE)
    torch.jit.script(nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU()))
    exporter.export(Branching(), out=tmp_path / "b", input_shape=SHAPE)
    second = exporter.export(module, out=tmp_path / "c", input_shape=SHAPE)
    assert sha(first.path) == sha(second.path)


def test_same_bytes_in_another_process(tmp_path: Path) -> None:
    code = (
        "import exporter, sys; exporter.export('resnet10t', random_weights=True, out=sys.argv[1])"
    )
    exporter.export("resnet10t", random_weights=True, out=tmp_path / "here")
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "there")], check=True)
    assert sha(tmp_path / "here/resnet10t.ptl") == sha(tmp_path / "there/resnet10t.ptl")


def test_no_machine_paths_inside(tmp_path: Path) -> None:
    artifact = exporter.export(Branching(), out=tmp_path, input_shape=SHAPE)
    with zipfile.ZipFile(artifact.path) as archive:
        content = b"".join(archive.read(name) for name in archive.namelist())
    assert str(Path(__file__).parent).encode() not in content
    assert b"site-packages" not in content


def test_operator_version_survives(tmp_path: Path) -> None:
    """Without the version record the loader runs upgraders and calls gelu with one argument."""

    class Gelu(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.gelu(x, approximate="tanh")

    artifact = exporter.export(Gelu(), out=tmp_path, input_shape=(1, 8))
    x = torch.randn(1, 8)
    assert torch.allclose(artifact(x), nn.functional.gelu(x, approximate="tanh"))


@pytest.mark.parametrize(
    ("module", "options", "error", "says"),
    [
        (RmsNorm(), {"input_shape": (1, 16)}, IncompatibleRuntime, "aten::rms_norm"),
        (NotFinite(), {"input_shape": SHAPE}, ExportError, "NaN or infinity"),
        (Branching(), {"input_shape": SHAPE, "capture": "trace"}, ExportError, "if x.sum"),
        (
            Branching(),
            {"input_shape": SHAPE, "disable": ["fold-batchnorm"]},
            UsageError,
            "Did you mean fold-batch-norm",
        ),
        (Branching(), {"input_shape": SHAPE, "input": "image"}, UsageError, "--mean"),
        (Branching(), {"input_shape": SHAPE, "target": "pytorch-9"}, Exception, "pytorch-2.1.0"),
        (ConvNormNet(), {"input_shape": SHAPE, "labels": ["a", "b"]}, UsageError, "10 outputs"),
    ],
)
def test_failures_leave_nothing_behind(
    tmp_path: Path, module: nn.Module, options: dict, error: type[Exception], says: str
) -> None:
    out = tmp_path / "out"
    with pytest.raises(error, match=says):
        exporter.export(module, out=out, **options)
    assert not out.exists()


def test_a_failing_write_keeps_the_old_file(tmp_path: Path, monkeypatch) -> None:
    """An export over an existing artifact either replaces it whole or leaves it alone."""
    artifact = exporter.export(ConvNormNet(), out=tmp_path, input_shape=SHAPE)
    before = sha(artifact.path)

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(package.zipfile.ZipFile, "writestr", full)
    with pytest.raises(OSError, match="No space left"):
        exporter.export(ConvNormNet(), out=tmp_path, input_shape=SHAPE)
    assert sha(artifact.path) == before
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "ConvNormNet.ptl",
        "report.html",
        "report.json",
    ]


def test_verification_failure_is_exit_code_1_and_keeps_nothing(tmp_path: Path, monkeypatch) -> None:
    """A file that computes something else after saving must not survive."""
    import exporter.verify as step

    real = step.open_host

    class Off:
        def __init__(self, session) -> None:
            self.session = session
            self.load_peak_bytes, self.load_seconds, self.version = 0, 0.0, "2.12"

        def forward(self, inputs, **options):
            result = self.session.forward(inputs, **options)
            outputs = [o + 0.1 for o in result.outputs]
            return type(result)(
                outputs=outputs, seconds=result.seconds, peak_bytes=result.peak_bytes
            )

    from contextlib import contextmanager

    @contextmanager
    def off(path, **options):
        with real(path, **options) as session:
            yield Off(session)

    monkeypatch.setattr(step, "open_host", off)
    with pytest.raises(VerifyError, match="differs from eager") as caught:
        exporter.export(ConvNormNet(), out=tmp_path / "o", input_shape=SHAPE)
    assert caught.value.exit_code == 1
    assert not (tmp_path / "o").exists()


def test_scripted_interpolate_is_refused_with_its_line(tmp_path: Path) -> None:
    """Frozen, the dead branch is gone; as scripted, the phone would refuse the whole file."""
    options = {"input_shape": (1, 3, 24, 24), "capture": "script"}
    with pytest.raises(
        IncompatibleRuntime, match=r"_upsample_lanczos2d_aa.*functional\.py:\d+.*--capture trace"
    ):
        exporter.export(LanczosDead(), out=tmp_path / "a", disable=OPTIMIZE_PASSES, **options)
    artifact = exporter.export(LanczosDead(), out=tmp_path / "b", **options)
    assert not any("lanczos" in name for name in artifact.metadata.operators)


def test_auto_takes_the_capture_that_the_runtime_can_load(tmp_path: Path) -> None:
    artifact = exporter.export(
        LanczosDead(), out=tmp_path, input_shape=(1, 3, 24, 24), disable=OPTIMIZE_PASSES
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
    with pytest.raises(IncompatibleRuntime, match=r"own_models\.py.*matmul and softmax"):
        exporter.export(FusedAttention(), out=tmp_path / "o", target="pytorch-1.13", **options)
    with pytest.raises(IncompatibleRuntime, match="arguments, there it takes"):
        exporter.export(GroupedAttention(), out=tmp_path / "g", **options)


def test_the_contract_holds_for_tensor_artifacts(tmp_path: Path) -> None:
    artifact = exporter.export(
        ConvNormNet(),
        out=tmp_path,
        input_shape=SHAPE,
        name="mine",
        labels=[f"l{i}" for i in range(10)],
    )
    found = read_artifact(artifact.path)
    assert found.metadata.name == "mine"
    assert found.metadata.input.kind == "tensor"
    assert found.metadata.input.dynamic_batch
    assert found.metadata.operators == read_bytecode(artifact.path).calls
    assert found.metadata.provenance.source == "module"
    assert len(found.golden.cases) == 2
    with open_host(artifact.path) as session:
        for case in found.golden.cases:
            (got,) = session.forward([t.array() for t in case.inputs]).outputs
            assert abs(got - case.expected[0].array()).max() <= found.golden.tolerance.atol
        (three,) = session.forward([torch.randn(3, 3, 32, 32).numpy()]).outputs
        assert three.shape == (3, 10)


def test_ledger_in_the_file_has_no_times_and_the_report_has(tmp_path: Path) -> None:
    artifact = exporter.export(ConvNormNet(), out=tmp_path, input_shape=SHAPE)
    stages = ["eager fp32", "prepared", "captured", "optimized", "saved + reloaded"]
    assert [row.stage for row in artifact.metadata.ledger] == stages
    assert all(row.ms is None for row in artifact.metadata.ledger)
    assert all(row.ms for row in artifact.report.ledger)
    report = json.loads((tmp_path / "report.json").read_text())
    assert [row["stage"] for row in report["ledger"]] == stages


def test_unverified_says_so(tmp_path: Path) -> None:
    artifact = exporter.export(ConvNormNet(), out=tmp_path, input_shape=SHAPE, verify=False)
    assert "NOT VERIFIED" in artifact.metadata.ledger[-1].note
    assert artifact.metadata.ledger[-1].max_abs is None


def test_image_input_for_an_own_module(tmp_path: Path) -> None:
    choice = exporter.PreprocessingChoice(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    artifact = exporter.export(
        ConvNormNet(),
        out=tmp_path,
        input="image",
        input_shape=SHAPE,
        preprocessing=choice,
        labels=[f"l{i}" for i in range(10)],
    )
    probabilities = artifact(torch.randint(0, 256, (57, 91, 3), dtype=torch.uint8))
    assert probabilities.shape == (10,)
    assert abs(float(probabilities.sum()) - 1) < 1e-5
