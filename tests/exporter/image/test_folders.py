"""Folders of images: what is read, in which order, with which classes, and what is refused."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from exporter.errors import ImageFolderError
from exporter.image import folders
from exporter.image.folders import image_files, open_folder, read_batches, skipped_for
from exporter.image.read import Skipped

LABELS = ("T-shirt", "trouser", "ankle boot, boot")


def number(pixels: np.ndarray) -> torch.Tensor:
    """What `numbered` wrote into an image."""
    return torch.tensor(pixels[0, 0, 0]).float().reshape(1, 1, 1)


def numbered(path: Path, value: int) -> None:
    Image.new("RGB", (8, 8), (value, 0, 0)).save(path)


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """Images 0 to 19, in order of their names."""
    for index in range(20):
        numbered(tmp_path / f"{index:02}.png", index)
    return tmp_path


@pytest.fixture
def sorted_in(tmp_path: Path) -> Path:
    """Class folders: 0 to 3 are trousers, 10 to 13 boots."""
    for name, first in (("Trouser", 0), ("ankle_boot", 10)):
        (tmp_path / name).mkdir()
        for index in range(4):
            numbered(tmp_path / name / f"{index}.png", first + index)
    return tmp_path


def test_a_folder_becomes_batches_and_progress_is_told(plain: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    found = read_batches(plain, number, limit=256, tell=lambda *step: steps.append(step))
    assert found.images == 20
    assert [len(batch) for batch in found.batches] == [16, 4]
    assert torch.cat(found.batches).flatten().tolist() == list(range(20))
    assert steps[-1] == ("reading calibration images", 20, 20)


def test_a_limit_takes_images_from_all_over_the_folder(plain: Path) -> None:
    found = read_batches(plain, number, limit=10)
    assert torch.cat(found.batches).flatten().tolist() == list(range(0, 20, 2))
    assert [p.name for p in open_folder(plain, limit=4).paths] == [
        "00.png",
        "05.png",
        "10.png",
        "15.png",
    ]


def test_broken_images_are_skipped_and_named(plain: Path) -> None:
    (plain / "broken.jpg").write_bytes(b"not an image")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(plain / "truncated.png")
    whole = (plain / "truncated.png").read_bytes()
    (plain / "truncated.png").write_bytes(whole[: len(whole) // 2])
    found = read_batches(plain, number, limit=256)
    opened = open_folder(plain)
    assert found.images == len(opened) == 20
    assert found.skipped == opened.skipped
    assert [(some.name, some.reason) for some in found.skipped] == [
        ("broken.jpg", "broken"),
        ("truncated.png", "truncated"),
    ]


def test_only_broken_images_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"not an image")
    for read in (lambda: read_batches(tmp_path, number, limit=9), lambda: open_folder(tmp_path)):
        with pytest.raises(ImageFolderError, match=r"None of the 1 .*broken\.jpg"):
            read()


def test_empty_missing_and_file_instead_of_folder(tmp_path: Path) -> None:
    with pytest.raises(ImageFolderError, match="no image file"):
        open_folder(tmp_path)
    with pytest.raises(ImageFolderError, match="no folder"):
        open_folder(tmp_path / "nowhere")
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(ImageFolderError, match="is a file"):
        open_folder(tmp_path / "a.png")


def test_class_folders_become_indices_of_labels_in_order(sorted_in: Path) -> None:
    (sorted_in / "Trouser" / "broken.png").write_bytes(b"x")
    folder = open_folder(sorted_in, labels=LABELS)
    assert folder.classes == (1, 1, 1, 1, 2, 2, 2, 2)
    assert folder.skipped == (Skipped(name="Trouser/broken.png", reason="broken"),)
    images = folder.load(range(len(folder)), number)
    assert images.flatten().tolist() == [0, 1, 2, 3, 10, 11, 12, 13]
    assert folder.load([7, 0], number).flatten().tolist() == [13, 0]


def test_numbers_name_classes_too(sorted_in: Path) -> None:
    (sorted_in / "Trouser").rename(sorted_in / "1")
    assert open_folder(sorted_in, labels=LABELS).classes == (1, 1, 1, 1, 2, 2, 2, 2)


def test_plain_images_have_no_classes(plain: Path, sorted_in: Path) -> None:
    """Nor have those of class folders where the model has no labels."""
    assert open_folder(sorted_in).classes is None
    for name in ("Trouser", "ankle_boot"):
        for path in (sorted_in / name).iterdir():
            path.unlink()
        (sorted_in / name).rmdir()
    assert open_folder(plain, labels=LABELS).classes is None


def test_class_folders_that_do_not_fit_are_named(sorted_in: Path) -> None:
    (sorted_in / "zebra").mkdir()
    with pytest.raises(ImageFolderError, match=r"1 of 3 class folders .* zebra"):
        open_folder(sorted_in, labels=LABELS)
    (sorted_in / "zebra").rmdir()
    numbered(sorted_in / "loose.png", 0)
    with pytest.raises(ImageFolderError, match=r"loose\.png"):
        open_folder(sorted_in, labels=LABELS)


def test_an_image_that_vanished_is_named(plain: Path) -> None:
    folder = open_folder(plain)
    (plain / "03.png").unlink()
    with pytest.raises(ImageFolderError, match=r"03\.png"):
        folder.load([3], number)


def test_what_no_exported_file_takes_is_skipped_with_its_size(plain: Path) -> None:
    for name, size in (("small.png", (4, 4)), ("wide.png", (9000, 300)), ("long.png", (400, 10))):
        Image.new("RGB", size).save(plain / name)
    Image.new("RGB", (12000, 8000)).save(plain / "huge.jpg")  # 96 megapixels
    os.mkfifo(plain / "fifo.jpg")
    found = read_batches(plain, number, limit=256)
    assert found.images == 20
    [summed] = skipped_for("calibration", found.skipped)
    assert (summed.use, summed.count, len(summed.first)) == ("calibration", 5, 5)
    assert {(some.name, some.reason, some.size) for some in summed.first} == {
        ("fifo.jpg", "special", None),
        ("huge.jpg", "large", (12000, 8000)),
        ("long.png", "long", (400, 10)),
        ("small.png", "small", (4, 4)),
        ("wide.png", "large", (9000, 300)),
    }
    assert str(summed).startswith("5 calibration images skipped: fifo.jpg (not a regular file), ")
    assert str(summed).endswith(", ...")
    assert skipped_for("training", ()) == ()


def test_a_report_names_the_first_of_many() -> None:
    many = [Skipped(name=f"{index}.jpg", reason="empty") for index in range(5000)]
    [summed] = skipped_for("training", many)
    assert summed.count == 5000
    assert len(summed.first) == 10


def test_files_come_in_the_order_of_their_paths_also_through_links(tmp_path: Path) -> None:
    photos, elsewhere = tmp_path / "photos", tmp_path / "elsewhere"
    for path in (photos / "b" / "2.png", photos / "a.png", photos / "folder.jpg" / "1.png"):
        path.parent.mkdir(parents=True, exist_ok=True)
        numbered(path, 0)
    elsewhere.mkdir()
    numbered(elsewhere / "3.png", 0)
    (photos / "c").symlink_to(elsewhere)  # as data sets are put together
    (photos / "b" / "up").symlink_to(photos)  # a loop
    (photos / "b" / "self.png").symlink_to(photos / "b" / "self.png")
    found = [path.relative_to(photos).as_posix() for path in image_files(photos).files]
    assert found == ["a.png", "b/2.png", "b/self.png", "c/3.png", "folder.jpg/1.png"]
    assert image_files(photos).files == sorted(image_files(photos).files)


def test_a_whole_disk_is_not_walked(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "MOST_ENTRIES", 20)
    assert len(image_files(plain).files) == 20
    (plain / "notes.txt").touch()
    with pytest.raises(ImageFolderError, match=r"more than 20 files"):
        image_files(plain)


def test_a_damaged_image_outside_the_class_folders_is_only_skipped(sorted_in: Path) -> None:
    (sorted_in / "loose.png").write_bytes(b"x")
    folder = open_folder(sorted_in, labels=LABELS)
    assert folder.classes == (1, 1, 1, 1, 2, 2, 2, 2)
    assert [some.name for some in folder.skipped] == ["loose.png"]


def shut(monkeypatch: pytest.MonkeyPatch, *closed: Path) -> None:
    """Let nobody list these folders: where tests run as root, permissions do not."""
    scan = os.scandir

    def refused(folder: str) -> Any:
        if Path(folder) in closed:
            raise PermissionError(errno.EACCES, "Permission denied", folder)
        return scan(folder)

    monkeypatch.setattr(os, "scandir", refused)


def test_a_subfolder_that_cannot_be_read_is_named(
    sorted_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shut(monkeypatch, sorted_in / "ankle_boot")
    found = read_batches(sorted_in, number, limit=256)
    opened = open_folder(sorted_in, labels=LABELS)
    assert found.images == len(opened) == 4
    assert opened.classes == (1, 1, 1, 1)
    closed = Skipped(name="ankle_boot/", reason="closed")
    assert found.skipped == opened.skipped == (closed,)
    [summed] = skipped_for("calibration", found.skipped)
    assert str(summed).endswith("ankle_boot/ (a folder that cannot be read, with all its images)")


def test_where_nothing_can_be_read_the_folder_is_named(
    sorted_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shut(monkeypatch, sorted_in / "Trouser", sorted_in / "ankle_boot")
    with pytest.raises(ImageFolderError, match=r"no image file that can be read: Trouser/ \("):
        open_folder(sorted_in)
    shut(monkeypatch, sorted_in)
    with pytest.raises(ImageFolderError, match="may not list what it holds"):
        open_folder(sorted_in)


def test_a_folder_behind_a_closed_one_is_no_missing_one(
    plain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path, **options: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", refused)
    with pytest.raises(ImageFolderError, match="cannot be read: you are not allowed to"):
        open_folder(plain)


def test_photos_are_read_in_the_color_that_the_reader_wants(plain: Path) -> None:
    def levels(pixels: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(pixels).permute(2, 0, 1).float()

    expected = np.array([np.array(Image.open(p).convert("L")) for p in sorted(plain.iterdir())])
    found = read_batches(plain, levels, limit=256, color="L")
    assert np.array_equal(torch.cat(found.batches).numpy()[:, 0], expected)
    opened = open_folder(plain, color="RGBA")
    alpha = opened.load([3, 4], levels)
    assert alpha.shape == (2, 4, 8, 8)
    assert bool((alpha[:, 3] == 255).all())
    assert alpha[:, 0, 0, 0].tolist() == [3, 4]
