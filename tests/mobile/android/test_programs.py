"""`.pte` files: ExecuTorch's own x86_64 Android library, in a desktop Java, by the app's class."""

from __future__ import annotations

import json
import platform
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import exporter
from runtime_check.artifact.archive import read_artifact
from runtime_check.artifact.metadata import parse_golden
from runtime_check.bench.format import read_bench

from ...artifacts import Models
from .conftest import RunTool
from .programs import (
    GOLDEN,
    METADATA,
    lowered,
    outputs_in_python,
    packed,
    records,
    tiny,
)

Reports = dict[str, dict[str, Any]]
_BOTH = ("preprocess", "forward")


@pytest.fixture(scope="module")
def program() -> bytes:
    return lowered(tiny())


@pytest.fixture(scope="module")
def files(program: bytes, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A good file, and what an app may be given instead."""
    folder = tmp_path_factory.mktemp("programs")
    good = records(tiny(), program, _BOTH)
    small, wrong = json.loads(json.dumps(good)), json.loads(json.dumps(good))
    small[METADATA]["input"].update(min_side=5, max_side=63, max_aspect=2)
    negated = wrong[GOLDEN]["cases"][1]
    negated["expected"], wrong[GOLDEN]["cases"][0]["expected"] = (
        wrong[GOLDEN]["cases"][0]["expected"],
        negated["expected"],
    )
    # A program that is cut, or is none, under a hash that fits: the runtime's own verdict.
    cut, junk = program[: len(program) // 2], program[:12] + bytes(len(program) - 12)
    made = {
        "good": packed(program, good),
        "other": packed(program[:-1] + b"\1", good),
        "cut": packed(cut, records(tiny(), cut, _BOTH)),
        "junk": packed(junk, records(tiny(), junk, _BOTH)),
        "bare": program,
        "method": packed(program, records(tiny(), program, ("forward",))),
        "small": packed(program, small),
        "wrong": packed(program, wrong),
    }
    for name, data in made.items():
        (folder / f"{name}.pte").write_bytes(data)
    return {name: folder / f"{name}.pte" for name in made}


@pytest.fixture(scope="module")
def reports(tools: None, files: dict[str, Path]) -> Reports:
    if platform.machine() != "x86_64":
        pytest.skip("the library that a desktop can load is x86_64")
    from desktop_native import replay

    return dict(zip(files, replay(list(files.values())), strict=True))


def test_androids_binary_gives_what_python_gave(reports: Reports, files: dict[str, Path]) -> None:
    report = reports["good"]
    assert report["passes"], report["sentence"]
    assert report["cases"] == report["passed"] == 3
    golden = parse_golden(json.dumps(records(tiny(), b"", _BOTH)[GOLDEN]).encode())
    images = [case.inputs[0].array() for case in golden.cases]
    for output, (shares, _) in zip(
        report["outputs"], outputs_in_python(files["good"], images), strict=True
    ):
        np.testing.assert_allclose(output, shares, atol=1e-6)
    # The three photos are told apart, so agreement says something.
    assert np.abs(np.subtract(report["outputs"][0], report["outputs"][1])).max() > 1e-3


def test_a_program_that_is_not_the_exported_one_never_reaches_the_library(
    reports: Reports,
) -> None:
    said = reports["other"]["sentence"]
    assert "its program is not the one that the metadata was written for (SHA-256 of" in said
    assert "without metadata and golden vectors behind it" in reports["bare"]["sentence"]


def test_the_librarys_numbers_are_sentences(reports: Reports) -> None:
    for name in ("cut", "junk"):
        report = reports[name]
        assert not report["passes"]
        assert "states something impossible (0x12)" in report["sentence"], report["sentence"]
        assert "\n" not in report["sentence"]


def test_the_wrong_input_for_a_method_is_a_sentence(reports: Reports) -> None:
    """Without its preprocessing the network is given a photo."""
    said = reports["method"]["sentence"]
    assert "the inputs are of another type than the program was made for, or not as many" in said


def test_photos_out_of_bounds_are_refused_before_the_program_computes(reports: Reports) -> None:
    report = reports["small"]
    assert report["passed"] == 0
    assert (
        "This photo (6 x 4) is too small: the model needs at least 5 pixels" in report["sentence"]
    )
    assert "outputs" not in report


def test_a_wrong_answer_fails_the_badge_and_names_the_runtime(reports: Reports) -> None:
    report = reports["wrong"]
    assert (report["passed"], report["cases"]) == (1, 3)
    assert report["sentence"].startswith("NOT verified: only 1 of 3")
    assert "--run-on arm64-executorch" in report["sentence"]


def test_bench_import_reads_what_the_app_shares(reports: Reports, tmp_path: Path) -> None:
    """Two counts of threads: the network is loaded anew between them."""
    path = tmp_path / "benchmark.json"
    path.write_text(reports["good"]["benchmark"], encoding="utf-8")
    (device,) = read_bench(path).devices
    assert [run.threads for run in device.runs] == [1, 2]
    assert {run.runtime for run in device.runs} == {"ExecuTorch"}


def test_both_runtimes_in_one_app(
    tools: None, files: dict[str, Path], default_artifact: Path, tmp_path: Path
) -> None:
    """One libfbjni.so serves both libraries, and bytes decide, not names."""
    if platform.machine() != "x86_64":
        pytest.skip("the library that a desktop can load is x86_64")
    from desktop_native import replay

    renamed = tmp_path / "program.ptl"
    shutil.copyfile(files["good"], renamed)
    order = [default_artifact, renamed, files["good"], default_artifact]
    both = replay(order, runtimes="both")
    assert [report["passes"] for report in both] == [True] * 4
    (alone,) = replay([files["good"]], runtimes="lite")
    assert "is for ExecuTorch, which this app was built without" in alone["sentence"]


def test_what_the_exporter_writes_is_verified(tools: None, tmp_path: Path) -> None:
    """The file of one call: a network alone, in float32."""
    if platform.machine() != "x86_64":
        pytest.skip("the library that a desktop can load is x86_64")
    from desktop_native import replay

    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(), torch.nn.Linear(8, 5),
    ).eval()  # fmt: skip
    made = exporter.export(net, out=tmp_path, name="own", input_shape=(1, 3, 32, 32), format="pte")
    (report,) = replay([made.path])
    assert report["passes"], report["sentence"]
    golden = read_artifact(made.path).golden
    for case, output in zip(golden.cases, report["outputs"], strict=True):
        np.testing.assert_allclose(
            output, case.expected[0].array().ravel(), atol=golden.tolerance.atol
        )


def test_a_real_model_for_photos_is_verified(tools: None, programs: Models) -> None:
    """Five photos of several sizes go through `preprocess` and the network."""
    if platform.machine() != "x86_64":
        pytest.skip("the library that a desktop can load is x86_64")
    from desktop_native import replay

    (report,) = replay([programs.pte])
    assert report["passes"], report["sentence"]
    assert (report["passed"], report["top1"]) == (5, 1.0)


def test_the_command(run_tool: RunTool, files: dict[str, Path]) -> None:
    result = run_tool("desktop_native.py", files["good"])
    assert result.returncode == 0, result.stderr
    assert "react-native-executorch-0.9.0" in result.stdout
    assert "Verified on this device: 3 of 3" in result.stdout
