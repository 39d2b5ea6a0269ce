"""Rung 1: the C++ core on this machine's torch, with files as they ship, and under a sanitizer."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest

from runtime_check.artifact.metadata import parse_golden, parse_metadata
from runtime_check.comparison import Tolerance, compare
from runtime_check.device.toolchain import compile_program, native_compiler

from ...artifacts import Models
from .conftest import Small
from .core import Core, CoreError
from .tools import NATIVE


@pytest.mark.parametrize("which", ["fp32", "int8"])
def test_shipped_files_carry_metadata_and_pass_their_golden_vectors(
    core: Core, models: Models, which: str
) -> None:
    path: Path = getattr(models, which)
    model = core.open(path)
    metadata = parse_metadata(core.extra(model, "metadata.json") or b"")
    assert metadata.quantization.method == {"fp32": "none", "int8": "static"}[which]
    golden = parse_golden(core.extra(model, "golden.json") or b"")
    for case in golden.cases:
        actual = core.forward(model, [tensor.array() for tensor in case.inputs])
        verdict = compare(
            [tensor.array() for tensor in case.expected], actual, Tolerance.of(golden)
        )
        assert verdict, f"{case.name}: {verdict}"
    assert core.extra(model, "no such record") is None
    core.close(model)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (np.zeros((32, 32), np.uint8), "height x width x 3"),
        (np.zeros((32, 32, 4), np.uint8), "[32, 32, 4]"),
        (np.zeros((3, 32, 32), np.float32), "height x width x 3"),
        (np.zeros((4, 4, 3), np.uint8), "within 8..8192"),
        (np.zeros((8, 400, 3), np.uint8), "at most 32 times"),
        (np.zeros((0, 32, 3), np.uint8), "0 x 32 pixels"),
    ],
    ids=["gray", "four channels", "float", "too small", "too long", "empty"],
)
def test_a_bad_image_is_refused_and_the_model_stays_usable(
    core: Core, models: Models, image: np.ndarray, said: str
) -> None:
    model = core.open(models.fp32)
    with pytest.raises(CoreError) as caught:
        core.forward(model, [image])
    assert said in str(caught.value)
    (output,) = core.forward(model, [np.full((40, 50, 3), 99, np.uint8)])
    assert output.shape == (1000,)
    assert abs(float(output.sum()) - 1) < 1e-4
    core.close(model)


def test_a_missing_file_is_an_error(core: Core, tmp_path: Path) -> None:
    with pytest.raises(CoreError, match=r"No such file.*none\.ptl"):
        core.open(tmp_path / "none.ptl")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_a_damaged_file_is_an_error(
    core: Core, models: Models, tmp_path: Path, share: float
) -> None:
    content = models.fp32.read_bytes()
    damaged = tmp_path / "damaged.ptl"
    damaged.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(CoreError):
        core.open(damaged)


def test_threads_share_a_shipped_model(core: Core, models: Models) -> None:
    model = core.open(models.int8)
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    (expected,) = core.forward(model, [image])
    wrong: list[object] = []

    def work() -> None:
        for _ in range(5):
            if not np.array_equal(core.forward(model, [image])[0], expected):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    core.close(model)
    assert not wrong


def test_a_thousand_rounds_under_the_address_sanitizer_do_not_grow(
    small: Small, torch_here: tuple[Path, str, list[str]], tmp_path: Path
) -> None:
    """Address and undefined-behavior sanitizers watch; the heap is as large after as before."""
    compiler = native_compiler()
    if compiler is None:
        pytest.skip("no C++ compiler: apt-get install -y g++")
    sanitize = ["-g", "-fsanitize=address,undefined"]
    driver = tmp_path / "exercise.o"
    source = Path(__file__).with_name("exercise.c")
    built = subprocess.run(
        [compiler, "-x", "c", *sanitize, f"-I{NATIVE}", "-c", str(source), "-o", str(driver)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if built.returncode and "libasan" in built.stderr:
        pytest.skip("the compiler has no sanitizers: apt-get install -y libasan8 libubsan1")
    assert built.returncode == 0, built.stderr
    root, _, flags = torch_here
    program = tmp_path / "exercise"
    compile_program(
        [NATIVE / "lite_core.cpp", driver],
        program,
        arch="native",
        root=root,
        # torch's libraries have no type information for the vptr check.
        flags=[*sanitize, "-fno-sanitize=vptr", *flags],
    )
    done = subprocess.run(
        [str(program), str(small.good), str(small.damaged), "1000"],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            # What torch keeps for good is not ours to judge; growth is measured instead.
            "ASAN_OPTIONS": "detect_leaks=0:detect_odr_violation=0",
            "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
        },
    )
    assert done.returncode == 0, done.stderr[-3000:]
    numbers = re.search(r"rounds (\d+) before (\d+) after (\d+)", done.stdout)
    assert numbers, done.stdout
    rounds, before, after = map(int, numbers.groups())
    assert rounds == 1000
    assert after - before < 1000, f"{after - before} bytes more after {rounds} rounds"
