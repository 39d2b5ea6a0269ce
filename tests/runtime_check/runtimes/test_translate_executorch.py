"""ExecuTorch's numbers and logs, provoked, become sentences: of its C++ and of Python's module."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from runtime_check import UnreadableArtifact
from runtime_check.device.runner import DeviceSession, open_runner
from runtime_check.runtimes.run import ChildDied, ForwardError
from runtime_check.runtimes.translate import translate

from ...small_programs import Programs

IMAGE = np.zeros((1, 3, 6, 7), np.float32)
PHOTO = np.zeros((6, 7, 3), np.uint8)


@pytest.fixture(scope="module")
def session(native_executorch: str) -> Iterator[DeviceSession]:
    with open_runner(native_executorch) as started:
        yield started


def replaced(source: Path, target: Path, old: bytes, new: bytes) -> Path:
    data = source.read_bytes()
    assert old in data
    assert len(old) == len(new)
    target.write_bytes(data.replace(old, new))
    return target


@pytest.mark.parametrize(
    ("name", "inputs", "words"),
    [
        ("two", [np.zeros((90, 90, 3), np.uint8)], "larger than .* at most 768 values. Scale it"),
        ("one", [np.zeros((1, 3, 6, 8), np.float32)], r"another shape .* which is \(1, 3, 6, 7\)"),
        ("one", [IMAGE[0]], "does not have the 4 dimensions"),
        ("one", [IMAGE.astype(np.float64)], "another type .* which is Float"),
        ("one", [], "forward takes 1 inputs, and was given 0"),
        ("one", [IMAGE, IMAGE], "forward takes 1 inputs, and was given 2"),
        ("two", [np.zeros((6, 7, 1), np.uint8)], "XNNPACK's part of the program was not prepared"),
        ("two", [np.zeros((6, 0, 3), np.uint8)], "XNNPACK's part of the program was not prepared"),
    ],
)
def test_inputs(
    session: DeviceSession,
    small_programs: Programs,
    name: str,
    inputs: list[np.ndarray],
    words: str,
) -> None:
    session.load(small_programs[name])
    with pytest.raises(ForwardError, match=f"forward failed in ExecuTorch 1.5.1 .*{words}"):
        session.forward(inputs)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"aten::permute_copy", b"aten::pertume_copy", r"operator .* \(aten::pertume_copy\.out\)"),
        (b"XnnpackBackend", b"XnnpackFrontend"[:14], r"a backend .* \(XnnpackFronten\)"),
        (b"forward", b"forwarD", "no method called forward"),
        (b"ET12", b"ET13", r"not a program .* another version \(its mark is 'ET13'\)"),
        (b"XN01", b"XN99", r"prepared for XNNPACK is damaged, or of another version \(0x30"),
    ],
)
def test_programs_of_another_making(
    session: DeviceSession,
    small_programs: Programs,
    tmp_path: Path,
    old: bytes,
    new: bytes,
    words: str,
) -> None:
    path = replaced(small_programs["two"], tmp_path / "a.pte", old, new)
    with pytest.raises(UnreadableArtifact, match=words):
        session.load(path)


def test_programs_cut_short(
    session: DeviceSession, small_programs: Programs, tmp_path: Path
) -> None:
    whole = small_programs["two"].read_bytes()
    path = tmp_path / "a.pte"
    for length, words in (
        (0, r"too short to hold a program \(0 bytes\)"),
        (40, r"too short to hold a program \(40 bytes\)"),
        (len(whole) - 1, f"cut short: it should have {len(whole)} bytes"),
    ):
        path.write_bytes(whole[:length])
        with pytest.raises(UnreadableArtifact, match=words):
            session.load(path)
    path.unlink()
    with pytest.raises(UnreadableArtifact, match=r"cannot be read \(0x22: .*No such file"):
        session.load(path)


def test_numbers_of_damage(
    native_executorch: str, small_programs: Programs, tmp_path: Path
) -> None:
    """Each number that a damaged program gives, looked for among many; none comes out bare."""
    whole = small_programs["two"].read_bytes()
    path = tmp_path / "a.pte"
    rng = np.random.default_rng(1)
    said: dict[str, str] = {}
    wanted = {
        "0x01": "the runtime failed inside",
        "0x12": "states something impossible",
        "0x20": "something that it refers to is not there",
        "0x21": "more memory than was planned for it",
        "0x23": "damaged or incomplete",
        "0x30": "prepared for XNNPACK is damaged",
    }
    for _ in range(3000):
        data = bytearray(whole)
        data[rng.integers(len(whole))] ^= 1 << int(rng.integers(8))
        path.write_bytes(data)
        error = _load_error(native_executorch, path)
        number = next((n for n in wanted if f"({n}" in error), "")
        assert "failed with 0x" not in error, error
        said.setdefault(number, error)
        if wanted.keys() <= said.keys():
            break
    for number, words in wanted.items():
        assert words in said[number]


def _load_error(runtime: str, path: Path) -> str:
    try:
        with open_runner(runtime) as session:
            session.load(path)
    except (UnreadableArtifact, ChildDied) as error:
        return str(error)
    return ""


# In Python the reason is in a log on stderr: the number alone has to do.
_IN_PYTHON = """
import json, sys
import torch
from executorch.runtime import Runtime, Verification
said = {}
for name, path, method, dtype, shapes in json.load(sys.stdin):
    try:
        program = Runtime.get().load_program(path, verification=Verification.InternalConsistency)
        inputs = [torch.zeros(shape, dtype=getattr(torch, dtype)) for shape in shapes]
        program.load_method(method).execute(inputs)
    except RuntimeError as error:
        said[name] = str(error)
print(json.dumps(said))
"""


def test_numbers_in_python(small_programs: Programs, tmp_path: Path) -> None:
    if importlib.util.find_spec("executorch") is None:
        pytest.skip('needs executorch: pip install "executorch>=1.3.1,<1.4"')
    two = small_programs["two"]
    operator = replaced(two, tmp_path / "o.pte", b"aten::permute_copy", b"aten::pertume_copy")
    backend = replaced(two, tmp_path / "b.pte", b"XnnpackBackend", b"XnnpackBackenD")
    cut = tmp_path / "cut.pte"
    cut.write_bytes(two.read_bytes()[:1000])
    image, photo = [1, 3, 6, 7], [6, 7, 3]
    expected = {
        "large": (two, "preprocess", "uint8", [[90, 90, 3]], "larger than .* another shape"),
        "type": (two, "preprocess", "float32", [photo], "of another type"),
        "many": (two, "forward", "float32", [image, image], "not as many"),
        "operator": (operator, "preprocess", "uint8", [photo], "operator that this runtime"),
        "backend": (backend, "forward", "float32", [image], "a backend, a method"),
        "cut": (cut, "forward", "float32", [image], "damaged or incomplete"),
    }
    asked = [(name, str(path), *rest[:-1]) for name, (path, *rest) in expected.items()]
    done = subprocess.run(
        [sys.executable, "-c", _IN_PYTHON], input=json.dumps(asked), capture_output=True,
        text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout)
    assert said.keys() == expected.keys()
    for name, (*_, words) in expected.items():
        assert re.search(words, translate(said[name])), said[name]
