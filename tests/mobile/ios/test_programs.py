"""`swift test` on real `.pte` files: the app's own classes on ExecuTorch 1.5.1 for Linux."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from runtime_check.artifact.archive import read_artifact
from runtime_check.bench.format import read_bench
from runtime_check.device.errors import DeviceUnavailable
from runtime_check.device.install import install
from runtime_check.device.toolchain import wheel_folder
from runtime_check.runtimes.program import load_program

from ...artifacts import Models
from .test_swift import TEST, EndToEnd, passed_tests
from .tools import PACKAGE, ROOT, Swift

RUNTIME = "x86-executorch"
CAT = ROOT / "exporter/data/photos/cat.png"


@pytest.fixture(scope="module")
def executorch_here() -> tuple[Path, str]:
    """The folder of ExecuTorch's C++ libraries for this machine, and their version."""
    try:
        runtime = install(RUNTIME).runtime
    except DeviceUnavailable as error:
        pytest.skip(str(error))
    assert runtime.wheel is not None
    return wheel_folder(runtime.wheel) / runtime.wheel.package, runtime.version


@pytest.fixture(scope="module")
def ran(
    swift: Swift,
    programs: Models,
    executorch_here: tuple[Path, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> EndToEnd:
    folder = tmp_path_factory.mktemp("programs")
    picture = Image.open(CAT).convert("RGB")
    photo = folder / "photo.rgb"
    photo.write_bytes(struct.pack("<II", *picture.size) + picture.tobytes())
    # The models' folder may lie anywhere; Swift's own folder sees only what is mounted.
    shown = folder / "models"
    shown.mkdir()
    for path in (programs.pte, programs.pte_int8):
        (shown / path.name).write_bytes(path.read_bytes())
    done = swift.run(
        [*TEST, "--scratch-path", str(folder / "build"), "--filter", "LiteRuntimeTests"],
        cwd=PACKAGE,
        env={
            "EXECUTORCH_ROOT": str(executorch_here[0]),
            "EXECUTORCH_VERSION": executorch_here[1],
            "LITE_MODELS": str(shown),
            "LITE_PHOTO": str(photo),
            "LITE_BENCHMARK": str(folder / "benchmark.json"),
        },
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output[-3000:]
    return EndToEnd(output, folder / "benchmark.json", np.asarray(picture))


@pytest.mark.parametrize("which", ["pte", "pte_int8"])
def test_golden_vectors_are_replayed_by_the_apps_own_classes(
    ran: EndToEnd, programs: Models, which: str
) -> None:
    assert passed_tests(ran.output) >= 7
    name = getattr(programs, which).name
    assert re.search(
        rf"golden {name} on 1\.5\.1: Verified on this device: 5 of 5 golden inputs", ran.output
    )


@pytest.mark.parametrize("which", ["pte", "pte_int8"])
def test_swift_names_the_class_that_python_names(
    ran: EndToEnd, programs: Models, which: str
) -> None:
    path: Path = getattr(programs, which)
    told = re.search(rf"top-1 {path.name}: (\d+) ([\d.]+) (.+)", ran.output)
    assert told
    (output,) = load_program(path)([torch.from_numpy(ran.photo.copy())])
    assert int(told.group(1)) == int(output.argmax())
    assert abs(float(told.group(2)) - float(output.max())) < 1e-3
    labels = read_artifact(path).metadata.output.labels
    assert labels is not None
    assert told.group(3) == labels[int(told.group(1))]


def test_the_runtimes_refusals_are_told(ran: EndToEnd) -> None:
    refused = dict(re.findall(r"^refused (\d): (.+)$", ran.output, re.M))
    assert refused["0"] == "preprocess takes 1 inputs, and was given 0"
    assert refused["2"] == "preprocess takes 1 inputs, and was given 2"
    assert refused["1"].startswith("preprocess failed with 0x")


def test_the_benchmark_names_executorch(ran: EndToEnd) -> None:
    runs = read_bench(ran.benchmark).devices[0].runs
    assert {run.file for run in runs} == {"tf_efficientnet_lite0.pte", "lite0_int8.pte"}
    assert {run.runtime for run in runs} == {"ExecuTorch 1.5.1"}


def test_two_runtimes_in_one_package_are_refused(
    swift: Swift, executorch_here: tuple[Path, str], tmp_path: Path
) -> None:
    roots = {name: str(executorch_here[0]) for name in ("TORCH_ROOT", "EXECUTORCH_ROOT")}
    done = swift.run(
        ["swift", "package", "--scratch-path", str(tmp_path), "describe"], cwd=PACKAGE, env=roots
    )
    assert done.returncode != 0
    assert "only one runtime can be linked" in done.stdout + done.stderr
