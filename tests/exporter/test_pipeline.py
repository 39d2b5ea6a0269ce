"""The whole flow: what an export writes, and what it leaves behind when it fails."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from own_models import (
    Branching,
    ConvNormNet,
    NotFinite,
    RmsNorm,
)
from torch import nn

import exporter
from exporter.errors import ExportError, IncompatibleRuntime, UsageError
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
        (ConvNormNet(), {"input_shape": SHAPE, "labels": ["a", "b"]}, UsageError, "2 labels, but"),
    ],
)
def test_failures_leave_nothing_behind(
    tmp_path: Path, module: nn.Module, options: dict, error: type[Exception], says: str
) -> None:
    out = tmp_path / "out"
    with pytest.raises(error, match=says):
        exporter.export(module, out=out, **options)
    assert not out.exists()


def test_a_failing_write_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An export over an existing artifact either replaces it whole or leaves it alone."""
    artifact = exporter.export(ConvNormNet(), out=tmp_path, input_shape=SHAPE)
    before = sha(artifact.path)

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(package.zipfile.ZipFile, "writestr", full)
    with pytest.raises(ExportError, match=r"No space left .* free about 2 MB, or choose another"):
        exporter.export(ConvNormNet(), out=tmp_path, input_shape=SHAPE)
    assert sha(artifact.path) == before
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "ConvNormNet.ptl",
        "ConvNormNet.report.html",
        "ConvNormNet.report.json",
    ]


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


def test_a_file_and_its_reports_appear_together_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "ConvNormNet.report.json").mkdir()
    with pytest.raises(UsageError, match="is a folder, where a file has to go"):
        exporter.export(ConvNormNet(), out=tmp_path, input_shape=SHAPE, verify=False)
    assert [path.name for path in tmp_path.iterdir()] == ["ConvNormNet.report.json"]
