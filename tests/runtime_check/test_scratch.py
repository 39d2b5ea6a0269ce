"""Whose scratch folders are removed, and who waits for whom."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runtime_check import scratch
from runtime_check.errors import RuntimeCheckError
from runtime_check.scratch import clean, folder_made, reserved, scratch_folder
from runtime_check.together import SCRATCH


@contextmanager
def another_process(code: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run `with CODE:` in another process until the block ends."""
    head = "import sys, pathlib\nfrom runtime_check.scratch import *\nhere = pathlib.Path.cwd()\n"
    body = f"with {code} as made:\n    print(made, flush=True)\n"
    process = subprocess.Popen(
        [sys.executable, "-c", f"{head}{body}    sys.stdin.read()"],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(scratch.__file__).parents[1])},
    )
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob(f"{SCRATCH}*"))


def test_a_scratch_folder_vanishes(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as made:
        (made / "folder").mkdir()
        (made / "folder" / "file").touch()
        assert made.parent == tmp_path
    with pytest.raises(ZeroDivisionError), scratch_folder(tmp_path):
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_that_of_a_running_process_stays_and_that_of_a_killed_one_goes(tmp_path: Path) -> None:
    with another_process("scratch_folder(here)", tmp_path) as process:
        (theirs,) = left(tmp_path)
        clean(tmp_path)
        with scratch_folder(tmp_path):
            assert theirs in left(tmp_path)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert left(tmp_path) == [theirs]
        with scratch_folder(tmp_path) as ours:
            assert left(tmp_path) == [ours.name]
    assert left(tmp_path) == []


def test_one_that_was_killed_before_it_had_a_lock_goes(tmp_path: Path) -> None:
    (tmp_path / f"{SCRATCH}empty").mkdir()
    (tmp_path / f"{SCRATCH}mine").mkdir()
    (tmp_path / f"{SCRATCH}mine" / "thesis.txt").touch()
    clean(tmp_path)
    assert left(tmp_path) == [f"{SCRATCH}mine"]


def test_a_folder_that_is_removed_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, made = scratch.tempfile.mkdtemp, []

    def mkdtemp(**options: Path | str) -> str:
        made.append(real(**options))  # type: ignore[call-overload]
        if len(made) == 1:
            clean(tmp_path)
        return str(made[-1])

    monkeypatch.setattr(scratch.tempfile, "mkdtemp", mkdtemp)
    with scratch_folder(tmp_path) as folder:
        assert [str(folder)] == made[1:]


@pytest.mark.skipif(sys.platform == "win32", reason="owners are POSIX's")
def test_what_others_or_links_left_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "lock").touch()
    out = tmp_path / "out"
    out.mkdir()
    (out / f"{SCRATCH}link").symlink_to(elsewhere)
    clean(out)
    assert (elsewhere / "lock").exists()
    (out / f"{SCRATCH}link").unlink()
    (out / f"{SCRATCH}theirs").mkdir()
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    clean(out)
    assert left(out) == [f"{SCRATCH}theirs"]


def test_of_two_that_write_one_file_one_waits_and_then_gives_up(tmp_path: Path) -> None:
    with another_process("reserved(here / 'x', wait=0, busy='')", tmp_path) as process:
        started = time.monotonic()
        with (
            pytest.raises(RuntimeCheckError, match="busy now"),
            reserved(tmp_path / "x", wait=0.3, busy="busy now"),
        ):
            pass
        assert time.monotonic() - started >= 0.3
        with reserved(tmp_path / "y", wait=0, busy=""):  # another name
            pass
        process.kill()
        process.wait()
        assert left(tmp_path) == [f"{SCRATCH}x.lock"]
        with reserved(tmp_path / "x", wait=0, busy=""):
            pass
    assert not list(tmp_path.iterdir())


def test_who_waits_is_let_in(tmp_path: Path) -> None:
    with another_process("reserved(here / 'x', wait=0, busy='')", tmp_path) as process:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
        with reserved(tmp_path / "x", wait=30, busy="busy"):
            assert left(tmp_path) == [f"{SCRATCH}x.lock"]
    assert not list(tmp_path.iterdir())


def test_locks_of_killed_processes_go(tmp_path: Path) -> None:
    (tmp_path / f"{SCRATCH}x.lock").touch()
    with reserved(tmp_path / "y", wait=0, busy=""):
        clean(tmp_path)
        assert left(tmp_path) == [f"{SCRATCH}y.lock"]


def test_without_locks_it_works_and_nothing_is_cleaned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(descriptor: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(scratch, "_lock", none)
    with scratch_folder(tmp_path) as first:
        with scratch_folder(tmp_path), reserved(tmp_path / "x", wait=0, busy="busy"):
            pass
        assert left(tmp_path) == [first.name]
    assert not list(tmp_path.iterdir())


def test_folders_made_in_vain_are_removed(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b" / "c"
    with pytest.raises(ZeroDivisionError), folder_made(deep), folder_made(deep / "d"):
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())
    with folder_made(deep):
        (deep.parent / "kept").touch()
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["kept"]
    (tmp_path / "empty").mkdir()
    with folder_made(tmp_path / "empty"):
        pass
    assert (tmp_path / "empty").is_dir(), "it was there before"
    (tmp_path / "file").touch()
    with (
        pytest.raises(OSError, match=r"Not a directory|exists"),
        folder_made(tmp_path / "file" / "x"),
    ):
        pass
    with pytest.raises(OSError, match="too long"), folder_made(tmp_path / "m" / ("n" * 300)):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "empty", "file"]
