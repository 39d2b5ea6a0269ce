from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

import pytest

from runtime_check.errors import CannotWrite
from runtime_check.files import atomic_folder, file_sha256, whole_file, write_whole
from runtime_check.together import SCRATCH


def test_a_file_is_hashed_in_pieces(tmp_path: Path) -> None:
    data = bytes(range(256)) * 8200  # more than one read
    path = tmp_path / "file"
    path.write_bytes(data)
    assert file_sha256(path) == hashlib.sha256(data).hexdigest()


def test_atomic_folder_keeps_the_old_one_on_failure(tmp_path: Path) -> None:
    target = tmp_path / "thing"
    with atomic_folder(target) as scratch:
        (scratch / "a").write_text("1")

    def fail() -> None:
        with atomic_folder(target) as scratch:
            (scratch / "a").write_text("2")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (target / "a").read_text() == "1"
    with atomic_folder(target) as scratch:
        (scratch / "a").write_text("3")
    assert (target / "a").read_text() == "3"
    assert [p.name for p in tmp_path.iterdir()] == ["thing"]


def test_a_folder_that_cannot_be_moved_brings_the_old_one_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "thing"
    with atomic_folder(target) as scratch:
        (scratch / "a").write_text("1")
    real = Path.rename

    def rename(self: Path, new: Path) -> Path:
        if self.name == "new":
            raise OSError(28, "No space left on device")
        return real(self, new)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(OSError, match="No space"), atomic_folder(target):
        pass
    assert (target / "a").read_text() == "1"
    assert [p.name for p in tmp_path.iterdir()] == ["thing"]


def test_of_two_that_make_a_folder_at_once_both_go_on(tmp_path: Path) -> None:
    target = tmp_path / "thing"
    with atomic_folder(target) as slow:
        (slow / "a").write_text("same")
        with atomic_folder(target) as quick:
            (quick / "a").write_text("same")
    assert (target / "a").read_text() == "same"
    assert [p.name for p in tmp_path.iterdir()] == ["thing"]


def test_a_file_is_written_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "made" / "for it" / "report.html"
    write_whole(path, "ö")
    assert path.read_bytes() == "ö".encode()
    path.chmod(0o640)
    write_whole(path, b"new")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", 0o640)
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_cannot_be_finished_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    full = pytest.raises(CannotWrite, match=r"Cannot write .*html: No space left")
    with full, whole_file(path) as part:
        part.write_text("half")
        raise OSError(28, "No space left on device")
    with pytest.raises(KeyboardInterrupt), whole_file(path) as part:
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["/proc/nope/x", "file/x", "folder", "n" * 300])
def test_where_no_file_can_be(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(CannotWrite, match="Cannot write"):
        write_whole(tmp_path / name, "x")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


def test_links_are_followed_and_pipes_are_not_replaced(tmp_path: Path) -> None:
    real, link, pipe = tmp_path / "real", tmp_path / "link", tmp_path / "pipe"
    real.write_text("old")
    link.symlink_to(real)
    write_whole(link, "new")
    assert (link.is_symlink(), real.read_text()) == (True, "new")
    write_whole(Path(os.devnull), "nothing")
    assert Path(os.devnull).is_char_device()
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write_whole(pipe, "through it")
    reader.join(timeout=10)
    assert read == ["through it"]


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    child = os.fork()
    if child == 0:
        with whole_file(path) as part:
            part.write_text("half")
            os._exit(9)
    os.waitpid(child, 0)
    assert path.read_text() == "old"
    assert len(list(tmp_path.glob(f"{SCRATCH}*"))) == 1
    write_whole(path, "new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]
