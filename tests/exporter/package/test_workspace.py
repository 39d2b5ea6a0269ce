"""A file, its reports and its copies in apps appear together, or nothing has happened."""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from own_models import ConvNormNet

import exporter
from exporter.errors import ExportError, UsageError
from exporter.package import workspace as module
from exporter.package.workspace import Workspace, workspace

SHAPE = (1, 3, 32, 32)
NAMES = ["m.ptl", "m.report.html", "m.report.json"]


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path, Path]:
    """An output folder with an old export, a folder of models with a copy, one that is missing."""
    out, models, new = tmp_path / "out", tmp_path / "models", tmp_path / "new" / "assets"
    for folder, names in ((out, NAMES), (models, NAMES[:1])):
        folder.mkdir()
        for name in names:
            (folder / name).write_text("old")
    return out, models, new


def export(places: tuple[Path, Path, Path]) -> tuple[Path, tuple[Path, ...]]:
    with workspace(places[0], places[1:]) as work:
        work.begin("m")
        return work.publish(finished(work))


def finished(work: Workspace) -> Path:
    file = work.file("m")
    file.parent.mkdir()
    for name in NAMES:
        (file.parent / name).write_text("new")
    return file


def contents(places: tuple[Path, Path, Path]) -> dict[str, str]:
    return {
        f"{folder.name}/{path.name}": path.read_text()
        for folder in places
        if folder.exists()
        for path in folder.iterdir()
    }


OLD = {"out/m.ptl": "old", "out/m.report.html": "old", "out/m.report.json": "old"}
OLD |= {"models/m.ptl": "old"}
NEW = {**dict.fromkeys(OLD, "new"), "assets/m.ptl": "new"}


def test_everything_appears(places: tuple[Path, Path, Path]) -> None:
    out, models, new = places
    assert export(places) == (out / "m.ptl", (models / "m.ptl", new / "m.ptl"))
    assert contents(places) == NEW
    assert not list(out.parent.rglob(".unfinished*"))


@pytest.mark.parametrize("call", range(1, 8))
def test_any_move_that_fails_changes_nothing(
    call: int, places: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal and five files; the seventh move is none of them."""
    real, calls = Path.replace, []

    def replace(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == call:
            raise OSError(errno.EACCES, "Permission denied", str(self), None, str(target))
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    if call == 7:
        export(places)
        assert contents(places) == NEW
        return
    with pytest.raises(UsageError, match="cannot be written: Permission denied"):
        export(places)
    assert contents(places) == OLD
    assert not list(places[0].parent.rglob(".unfinished*"))
    assert not places[2].parent.exists(), "the folder that was made for it"


@pytest.mark.parametrize(
    "prepare",
    [
        lambda out, models, new: (out / "m.report.html").mkdir(),
        lambda out, models, new: (out / "m.report.json").mkdir(),
        lambda out, models, new: (out / "m.ptl").mkdir(),
        lambda out, models, new: new.mkdir(parents=True) or (new / "m.ptl").mkdir(),
        lambda out, models, new: new.parent.write_text("a file"),
        lambda out, models, new: new.parent.mkdir() or new.write_text("a file"),
    ],
)
def test_what_is_in_the_way_is_found_before_the_work(
    prepare: Callable[[Path, Path, Path], object], tmp_path: Path
) -> None:
    places = (tmp_path / "out", tmp_path / "models", tmp_path / "new" / "assets")
    places[0].mkdir()
    prepare(*places)
    before = sorted(tmp_path.rglob("*"))
    with (
        pytest.raises(UsageError, match=r"is a folder, where a file|--install: cannot write in"),
        workspace(places[0], places[1:], "m"),
    ):
        pytest.fail("the work began")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("out", ["/proc/nope", "file/x", "n" * 300])
def test_an_output_folder_that_cannot_be(out: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="--out: cannot write in"), workspace(tmp_path / out):
        pytest.fail("the work began")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_one_app_twice_and_the_output_folder_itself(places: tuple[Path, Path, Path]) -> None:
    out, models, _ = places
    link = out.parent / "link"
    link.symlink_to(models)
    assert export((out, models, link)) == (out / "m.ptl", (models / "m.ptl", link / "m.ptl"))
    assert export((out, out, models))[1] == (out / "m.ptl", models / "m.ptl")
    assert contents((out, models, out)) == dict.fromkeys(OLD, "new")


def test_two_exports_of_one_name_do_not_mix(
    places: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.2)
    out, models, _ = places
    with workspace(out, name="m"):
        with pytest.raises(UsageError, match=r"Another export is writing .*out/m\.ptl"):
            export(places)
        with workspace(out) as work, pytest.raises(UsageError, match="Another export"):
            work.begin("m")
        with workspace(out, [models], "other") as work:  # at the same time
            file = work.file("other")
            file.parent.mkdir()
            file.touch()
            work.publish(file)
    assert (models / "other.ptl").exists()
    export(places)


def test_a_full_disk_while_it_is_prepared(
    places: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module.shutil, "copyfile", full)
    with pytest.raises(ExportError, match=r"No space left on the disk of .* free about \d+ MB"):
        export(places)
    assert contents(places) == OLD


def test_what_is_needed_counts_the_copies(places: tuple[Path, Path, Path]) -> None:
    with (  # noqa: PT012
        pytest.raises(ExportError, match=r"free about 402 MB, or choose another --out\. No file"),
        workspace(places[0], places[1:]) as work,
    ):
        work.weights = 100_000_000
        raise OSError(errno.EDQUOT, "Disk quota exceeded")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Make a disk of so many KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def umount() -> None:
        subprocess.run(["umount", str(folder)], capture_output=True, check=False)

    def make(size: int) -> Path:
        umount()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(folder)]
        try:
            done = subprocess.run(command, capture_output=True, check=False).returncode == 0
        except OSError:
            done = False
        if not done:
            pytest.skip("disks can be mounted by root alone")
        return folder

    yield make
    umount()


@pytest.mark.parametrize("size", [4, 24, 48, 72])
def test_a_full_disk_wherever_it_fills(size: int, disk: Callable[[int], Path]) -> None:
    """An export of this module takes 100 KiB."""
    folder = disk(size)
    with pytest.raises(ExportError, match=r"No space left on the disk of .*disk"):
        exporter.export(ConvNormNet(), out=folder / "a" / "b", input_shape=SHAPE, verify=False)
    assert not list(folder.iterdir())
