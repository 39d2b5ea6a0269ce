"""Programs on ExecuTorch's own runtime, native and for ARM64, against numpy."""

from __future__ import annotations

import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from runtime_check.device.install import find_installed
from runtime_check.device.runner import open_runner, run_on_device
from runtime_check.errors import RuntimeCheckError, UnreadableArtifact
from runtime_check.runtime import open_runtime
from runtime_check.runtimes.run import ChildDied, ForwardError

from ...small_programs import LARGEST, Programs, preprocessed

SIDES = ((6, 7), (LARGEST, LARGEST), (2, 9))


def image(seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((1, 3, 6, 7)).astype(np.float32)


def photo(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_forward_alone(executorch_runtime: str, small_programs: Programs) -> None:
    with open_runtime(executorch_runtime, small_programs["one"]) as runtime:
        assert runtime.engine == "xnnpack"
        assert runtime.description.startswith("ExecuTorch 1.5.1 ")
        assert runtime.load_seconds > 0
        for seed in range(3):
            run = runtime.forward([image(seed)], repeats=2)
            (output,) = run.outputs
            assert len(run.seconds) == 2
            assert output.dtype == np.float32
            assert np.abs(output - small_programs.expected(image(seed))).max() < 1e-6


def test_preprocess_comes_before_forward(executorch_runtime: str, small_programs: Programs) -> None:
    with open_runtime(executorch_runtime, small_programs["two"]) as runtime:
        for sides in SIDES:
            before = photo(*sides)
            (output,) = runtime.forward([before]).outputs
            assert np.array_equal(before, photo(*sides))
            assert np.abs(output - small_programs.expected(preprocessed(before))).max() < 1e-6


def test_types_in_and_out(executorch_runtime: str, small_programs: Programs) -> None:
    inputs = [
        np.array([[0, 1, 254], [7, 8, 9]], np.uint8),
        np.array([[-1, 2**40, 3], [4, 5, 6]], np.int64),
        np.array([[-7, 0, 2**30], [1, 2, 3]], np.int32),
        np.array([[0.25, -1, 1e30], [1, 2, 3]], np.float32),
        np.array([[True, False, True], [False, False, True]]),
    ]
    a, b, c, d, e = inputs
    (outputs,) = run_on_device(small_programs["many"], [inputs], runtime=executorch_runtime).outputs
    for actual, expected in zip(outputs, (a + 1, b * 2, c - 1, d * 0.5, ~e), strict=True):
        assert actual.dtype == expected.dtype
        assert np.array_equal(actual, expected)


def test_other_orders_come_out_in_c_order(
    executorch_runtime: str, small_programs: Programs
) -> None:
    x = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)
    with open_runner(executorch_runtime) as session:
        session.load(small_programs["orders"])
        last, half = session.forward([x]).outputs
        assert np.array_equal(last, x + 1)
        assert half.dtype == np.float32
        assert np.array_equal(half, x)
        # What is given as it lies would be taken for something else.
        with pytest.raises(UnreadableArtifact, match="input 0 of forward is not in C order"):
            session.load(small_programs["channels_last"])


def _with_records(source: Path, target: Path, compression: int = zipfile.ZIP_STORED) -> Path:
    target.write_bytes(source.read_bytes())
    with zipfile.ZipFile(target, "a", compression) as archive:
        archive.writestr("archive/extra/metadata.json", '{"name": "Größe"}' * 30)
        archive.writestr("archive/extra/empty", "")
    return target


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_records_behind_the_program(
    executorch_runtime: str, small_programs: Programs, tmp_path: Path, compression: int
) -> None:
    path = _with_records(small_programs["two"], tmp_path / "a.pte", compression)
    with open_runner(executorch_runtime) as session:
        session.load(path)
        assert session.extra("metadata.json") == b'{"name": "Gr\xc3\xb6\xc3\x9fe"}' * 30
        assert session.extra("empty") == b""
        assert session.extra("golden.json") is None
        (output,) = session.forward([photo(6, 7)]).outputs
        session.load(small_programs["two"])
        assert session.extra("metadata.json") is None
        (bare,) = session.forward([photo(6, 7)]).outputs
    assert np.array_equal(output, bare)


def test_all_that_deflate_writes_is_read(
    native_executorch: str, small_programs: Programs, tmp_path: Path
) -> None:
    """Long and short matches, noise that is stored as it is, codes of the data's own."""
    rng = np.random.default_rng(2)
    contents = {
        "one": b"a",
        "runs": b"abc" * 30_000,
        "noise": rng.bytes(70_000),
        "text": " ".join(map(str, rng.integers(0, 10**6, 20_000))).encode(),
        "skewed": np.minimum(rng.geometric(0.1, 50_000), 255).astype(np.uint8).tobytes(),
    }
    path = tmp_path / "a.pte"
    for level in (1, 9):
        path.write_bytes(small_programs["one"].read_bytes())
        with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED, compresslevel=level) as archive:
            for name, data in contents.items():
                archive.writestr(f"archive/extra/{name}", data)
        with open_runner(native_executorch) as session:
            session.load(path)
            for name, data in contents.items():
                assert session.extra(name) == data


def test_damaged_records_are_refused(
    native_executorch: str, small_programs: Programs, tmp_path: Path
) -> None:
    whole = _with_records(small_programs["two"], tmp_path / "a.pte").read_bytes()
    start = small_programs["two"].stat().st_size
    changed = bytearray(whole)
    changed[whole.index(b"Gr\xc3\xb6")] ^= 1
    directory = bytearray(whole)
    directory[-6:-2] = (2**31).to_bytes(4, "little")
    files = {
        "a wrong checksum": bytes(changed),
        "outside the file": bytes(directory),
        "not where the directory says": whole[:start] + b"\0" * 40 + whole[start + 40 :],
        "in a way that nobody writes": _with_records(
            small_programs["two"], tmp_path / "b.pte", zipfile.ZIP_BZIP2
        ).read_bytes(),
    }
    with open_runner(native_executorch) as session:
        for words, data in files.items():
            path = tmp_path / "damaged.pte"
            path.write_bytes(data)
            session.load(path)
            with pytest.raises(UnreadableArtifact, match=words):
                session.extra("metadata.json")
        # Hundreds of damaged directories and records: content, none, or a sentence; never a crash.
        rng = np.random.default_rng(0)
        whole = _with_records(
            small_programs["two"], tmp_path / "c.pte", zipfile.ZIP_DEFLATED
        ).read_bytes()
        for _ in range(300):
            flipped = bytearray(whole)
            for at in rng.integers(start, len(whole), 3):
                flipped[at] ^= 1 << int(rng.integers(8))
            path.write_bytes(flipped)
            session.load(path)
            with suppress(UnreadableArtifact):
                session.extra("metadata.json")


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_never_more_threads_than_asked(
    native_executorch: str, small_programs: Programs, threads: int
) -> None:
    """The pool is as large as the machine until it is told: it must be told before it is used."""
    with open_runner(native_executorch, threads=threads) as session:
        for name in ("two", "one", "two"):
            session.load(small_programs[name])
            x = photo(6, 7) if name == "two" else image()
            session.forward([x], threads=threads)
            tasks = Path(f"/proc/{session._worker.process.pid}/task")
            assert len(list(tasks.iterdir())) == threads


def test_counts_repeat_to_the_digit(arm_executorch: str, small_programs: Programs) -> None:
    if find_installed(arm_executorch).plugin is None:
        pytest.skip(find_installed(arm_executorch).plugin_reason)
    counts = set()
    for repeats in (2, 2, 5):
        with open_runner(arm_executorch, count=True) as session:
            session.load(small_programs["one"])
            run = session.forward([image()], repeats=repeats)
            counts.add(run.instructions)
    (count,) = counts
    assert count is not None
    assert 5_000 < count < 500_000
    with pytest.raises(RuntimeCheckError, match="threads=1"):
        run_on_device(
            small_programs["one"], [[image()]], runtime=arm_executorch, count=True, threads=2
        )


def _verdict(runtime: str, path: Path, x: np.ndarray) -> str:
    """Run a file in a process of its own, and say how that went."""
    try:
        with open_runner(runtime, timeout=60, memory=2**30) as session:
            session.load(path)
            session.extra("metadata.json")
            session.forward([x])
    except UnreadableArtifact:
        return "refused"
    except ForwardError:
        return "failed"
    except ChildDied:
        return "died"
    return "ran"


@pytest.mark.parametrize(("copies", "kind"), [(120, "native"), (12, "arm")])
def test_every_damaged_program_gets_a_verdict(
    copies: int, kind: str, small_programs: Programs, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    runtime = request.getfixturevalue(f"{kind}_executorch")
    whole = small_programs["two"].read_bytes()
    rng = np.random.default_rng(7)
    path = tmp_path / "damaged.pte"
    verdicts = []
    for index in range(copies):
        data = bytearray(whole)
        for at in rng.integers(0, len(whole), 1 + index % 3):
            data[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(data)
        verdicts.append(_verdict(runtime, path, photo(6, 7)))
    # Most bits are structure, which is verified before anything runs; some are weights.
    assert {"refused", "ran"} <= set(verdicts), verdicts
    for length in (0, 1, 8, 64, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert _verdict(runtime, path, photo(6, 7)) == "refused"


def test_a_program_that_plans_more_memory_than_there_may_be(
    native_executorch: str, small_programs: Programs, tmp_path: Path
) -> None:
    """The sizes of a method's memory are numbers in the file; the child is refused the memory."""
    whole = small_programs["many"].read_bytes()
    planned = small_programs.planned.to_bytes(8, "little")
    assert whole.count(planned) == 1
    path = tmp_path / "a.pte"
    for claimed, words in (
        (2**40, "out of memory"),
        (2**62, "out of memory|vector"),
        (2**64 - 8, "negative size"),
    ):
        path.write_bytes(whole.replace(planned, claimed.to_bytes(8, "little")))
        with open_runner(native_executorch) as session:
            with pytest.raises(UnreadableArtifact, match=words):
                session.load(path)
            session.load(small_programs["many"])  # the child lives
