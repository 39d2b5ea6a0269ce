"""What takes a `.ptl` takes a `.pte`: timed, loaded, tested, run elsewhere; and a hostile one."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import runtime_check
from runtime_check import CheckOptions, RuntimeCheckError
from runtime_check.artifact.records import in_front, read_records, rewrite
from runtime_check.bench.run import run_bench
from runtime_check.checking import check

from ..small_programs import Programs
from .program_files import SHAPE


def test_it_is_timed_by_its_own_runtime_beside_a_lite_file(
    tensor_pte: Path, tensor_ptl: Any
) -> None:
    (device,) = run_bench([tensor_ptl.path, tensor_pte], threads=[1], rounds=3).devices
    lite, program = device.runs
    assert lite.runtime.startswith("lite interpreter ")
    assert program.runtime == f"ExecuTorch {version('executorch')}"
    assert len(program.samples_ms) == 3
    assert program.input_shape == list(SHAPE)
    assert program.size_mb == tensor_pte.stat().st_size / 1e6
    assert program.load_ms is not None


def test_it_is_loaded_and_called(tensor_pte: Path, small_programs: Programs) -> None:
    x = np.random.default_rng(3).standard_normal(SHAPE).astype(np.float32)
    with runtime_check.load(tensor_pte) as model:
        outputs = model(x)
    found = outputs[0] if isinstance(outputs, list) else outputs
    assert np.abs(found - small_programs.expected(x)).max() < 1e-5


def test_its_properties_are_tests_of_pytest(tensor_pte: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={tmp_path}",
         "--artifact", str(tensor_pte), "-k", "golden or determinism or load", str(tmp_path)],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_its_golden_vectors_replay_on_a_phones_runtime(
    tensor_pte: Path, native_executorch: str, tmp_path: Path
) -> None:
    options = CheckOptions(
        properties=("golden",), run_on=native_executorch, counterexamples=tmp_path
    )
    report = check(tensor_pte, options)
    (result,) = report.results
    assert result.status == "passed", result.reason
    assert report.runtime_detail.startswith("ExecuTorch ")


def restated(data: bytes, program: bytes) -> bytes:
    """Exchange the program, with the size and hash that the metadata has to state."""
    (name, record), *_ = read_records(data)
    metadata = json.loads(record)
    metadata["program"]["bytes"] = len(program)
    metadata["program"]["sha256"] = hashlib.sha256(program).hexdigest()
    return rewrite(data, {name: json.dumps(metadata).encode()}, front=program)


def verdict(path: Path) -> str:
    """Say why a file does not pass: it is refused, or its golden vectors do not replay."""
    try:
        report = check(path, CheckOptions(properties=("golden",), counterexamples=path.parent))
    except RuntimeCheckError as error:
        return str(error)
    assert not report
    return report.results[0].reason


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (b"ET12", b"ET99", "is not a zip archive"),
        (b"XnnpackBackend", b"XnnpackBackenD", "forward failed: .*a backend, a method"),
        (b"forward\0", b"forwarD\0", "does not load in ExecuTorch: .*no method"),
    ],
    ids=["another version", "another backend", "no forward"],
)
def test_a_program_of_another_making_is_refused_with_a_sentence(
    old: bytes, new: bytes, says: str, tensor_pte: Path, tmp_path: Path
) -> None:
    data = tensor_pte.read_bytes()
    program = in_front(data)
    assert old in program
    path = tmp_path / "other.pte"
    path.write_bytes(restated(data, program.replace(old, new)))
    assert re.search(says, verdict(path))


@pytest.mark.parametrize("left", [8, 64, 1000])
def test_a_program_cut_short_is_refused_though_its_hash_is_right(
    left: int, tensor_pte: Path, tmp_path: Path
) -> None:
    data = tensor_pte.read_bytes()
    path = tmp_path / "cut.pte"
    path.write_bytes(restated(data, in_front(data)[:left]))
    assert re.search(r"cut\.pte.*(does not load|loading it)", verdict(path))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"schema_version": "9.0"}, "schema"),
        ({"program": None}, "field `program`: stated for a .pte"),
        ({"format": "ptl"}, "program|metadata is of"),
    ],
    ids=["schema", "no program", "another format"],
)
def test_metadata_that_does_not_fit_the_program_is_refused(
    change: dict[str, object], says: str, tensor_pte: Path, tmp_path: Path
) -> None:
    data = tensor_pte.read_bytes()
    (name, record), *_ = read_records(data)
    changed = json.dumps(json.loads(record) | change).encode()
    path = tmp_path / "other.pte"
    path.write_bytes(rewrite(data, {name: changed}))
    assert re.search(says, verdict(path))


@pytest.mark.parametrize("size", [2**40, 2**62])
def test_a_size_that_no_machine_has_is_refused(size: int, tensor_pte: Path, tmp_path: Path) -> None:
    data = tensor_pte.read_bytes()
    (name, record), *_ = read_records(data)
    metadata = json.loads(record)
    metadata["program"]["bytes"] = size
    path = tmp_path / "huge.pte"
    path.write_bytes(rewrite(data, {name: json.dumps(metadata).encode()}))
    assert re.search(r"program\.bytes|its program is not the one", verdict(path))
