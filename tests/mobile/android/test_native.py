"""Rung 4: the AAR's own x86_64 library runs our files, in a desktop Java, by the app's class."""

from __future__ import annotations

import json
import platform
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import exporter
from runtime_check.artifact.archive import read_artifact
from runtime_check.bench.format import read_bench

from .conftest import RunTool

Reports = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def reports(
    tools: None, default_artifact: Path, tmp_path_factory: pytest.TempPathFactory
) -> Reports:
    """What the app's code makes of a good file, a cut one, no zip, and one with wrong goldens."""
    if platform.machine() != "x86_64":
        pytest.skip("the AAR's desktop-loadable library is x86_64")
    from desktop_native import replay

    folder = tmp_path_factory.mktemp("files")
    whole = default_artifact.read_bytes()
    (folder / "cut.ptl").write_bytes(whole[: len(whole) // 2])
    (folder / "text.ptl").write_bytes(b"no model")
    _with_wrong_golden(default_artifact, folder / "wrong.ptl")
    names = [default_artifact, *(folder / f"{n}.ptl" for n in ("cut", "text", "wrong"))]
    return dict(zip(("good", "cut", "text", "wrong"), replay(names), strict=True))


def _with_wrong_golden(source: Path, target: Path) -> None:
    """Copy an artifact, its first expected output negated: what a wrong phone looks like."""
    import base64

    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for info in old.infolist():
            data = old.read(info)
            if info.filename.endswith("extra/golden.json"):
                golden = json.loads(data)
                tensor = golden["cases"][0]["expected"][0]
                values = np.frombuffer(base64.b64decode(tensor["data"]), "<f4")
                tensor["data"] = base64.b64encode((-values).tobytes()).decode()
                data = json.dumps(golden).encode()
            new.writestr(info.filename, data)


def test_androids_binary_gives_what_python_gave(reports: Reports, default_artifact: Path) -> None:
    report = reports["good"]
    assert report["passes"], report["sentence"]
    assert report["cases"] == report["passed"] == 5
    assert report["top1"] == 1.0
    golden = read_artifact(default_artifact).golden
    for case, output in zip(golden.cases, report["outputs"], strict=True):
        expected = case.expected[0].array().ravel()
        difference = np.abs(np.array(output) - expected).max()
        assert difference <= golden.tolerance.atol
        assert int(np.argmax(output)) == int(np.argmax(expected))
    assert report["max_abs"] > 0, "another library computed this: equal to the bit is not evidence"


def test_damaged_files_are_sentences_not_crashes(reports: Reports) -> None:
    for name in ("cut", "text"):
        assert not reports[name]["passes"]
        assert reports[name]["sentence"].startswith(f"{name}.ptl does not load: ")
        assert "runtime_check FILE --run-on arm64-2.1.0" in reports[name]["sentence"]
        assert "\n" not in reports[name]["sentence"]


def test_a_wrong_answer_fails_the_badge(reports: Reports) -> None:
    report = reports["wrong"]
    assert not report["passes"]
    assert (report["passed"], report["cases"]) == (4, 5)
    assert report["sentence"].startswith("NOT verified: only 4 of 5")


def test_bench_import_reads_what_the_app_shares(reports: Reports, tmp_path: Path) -> None:
    path = tmp_path / "benchmark.json"
    path.write_text(reports["good"]["benchmark"], encoding="utf-8")
    (device,) = read_bench(path).devices
    assert device.device.platform == "android"
    assert [run.threads for run in device.runs] == [1, 2]
    assert all(len(run.samples_ms) == 3 for run in device.runs)
    assert device.runs[0].model == "tf_efficientnet_lite0"


class Several(torch.nn.Module):
    """Two inputs of different dtype, three outputs: floats, indices and a mask of bools."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3, padding=1)
        self.years = torch.nn.Embedding(100, 4)

    def forward(self, pixels: torch.Tensor, age: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return a value for each channel, the largest one's place, and which are above zero."""
        values = self.conv(pixels).mean((2, 3)) + self.years(age).mean(1)
        return {"values": values, "best": values.argmax(1), "above": values > 0}


def test_several_inputs_and_outputs_pass_through_androids_binary(
    tools: None, tmp_path: Path
) -> None:
    if platform.machine() != "x86_64":
        pytest.skip("the AAR's desktop-loadable library is x86_64")
    from desktop_native import replay

    torch.manual_seed(0)
    example = tmp_path / "example.npz"
    rng = np.random.default_rng(0)
    pixels = rng.standard_normal((1, 3, 16, 16)).astype(np.float32)
    np.savez(example, pixels=pixels, age=rng.integers(0, 100, (1, 3)))
    made = exporter.export(Several().eval(), out=tmp_path, name="several", example=example)
    artifact = read_artifact(made.path)
    tensors = artifact.metadata.output.tensors
    assert [tensor.name for tensor in tensors] == ["values", "best", "above"]
    assert [tensor.dtype for tensor in tensors] == ["float32", "int64", "uint8"]
    (report,) = replay([made.path])
    assert report["passes"], report["sentence"]
    assert "top1" not in report or report["top1"] is None
    for case, output in zip(artifact.golden.cases, report["outputs"], strict=True):
        np.testing.assert_allclose(output, case.expected[0].array().ravel(), atol=1e-5)


def test_the_command(run_tool: RunTool, default_artifact: Path, tmp_path: Path) -> None:
    result = run_tool("desktop_native.py", default_artifact)
    assert result.returncode == 0, result.stderr
    assert "Verified on this device: 5 of 5" in result.stdout
    assert run_tool("desktop_native.py", tmp_path / "none.ptl").returncode == 2
