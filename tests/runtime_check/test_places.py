"""Where a file cannot be written is found out before the work, and nothing is left of the trial."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime_check.errors import RuntimeCheckError
from runtime_check.places import require_folder, require_writable


def test_a_file_that_can_be_written(tmp_path: Path) -> None:
    require_writable(None, "--report")
    new = tmp_path / "a" / "b" / "c.html"
    require_writable(new, "--report", endings=(".html", ".json"))
    assert not list(tmp_path.iterdir()), "the trial left something behind"
    new.parent.mkdir(parents=True)
    part = new.with_name("c.html.part")
    part.write_text("of a run that was stopped")
    require_writable(new, "--report")
    assert part.read_text() == "of a run that was stopped"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("/proc/x/c.pt", "--report: cannot write /proc/x/c.pt: No such file or directory."),
        ("", "--report .* is a folder; it takes a file."),
        ("n" * 300, "--report.*: File name too long"),
        ("file/x", "--report: cannot write .*: "),
    ],
)
def test_a_file_that_cannot_be_written(name: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RuntimeCheckError, match=says):
        require_writable(tmp_path / name, "--report")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_endings() -> None:
    with pytest.raises(RuntimeCheckError, match=r"ends in \.html or \.json, not rep\.txt"):
        require_writable(Path("rep.txt"), "--report", endings=(".html", ".json"))
    with pytest.raises(RuntimeCheckError, match=r"ends in \.svg, not a\.png"):
        require_writable(Path("a.png"), "--plot", endings=(".svg",))


def test_folders(tmp_path: Path) -> None:
    require_folder(None, "--keep")
    require_folder(tmp_path / "a" / "b", "--keep")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(RuntimeCheckError, match=r"--keep: cannot write in .*: Not a"):
        require_folder(tmp_path / "file", "--keep")
    with pytest.raises(RuntimeCheckError, match="--keep: cannot write in /proc/x: No such file"):
        require_folder(Path("/proc/x"), "--keep")
