"""Network inputs in NumPy's files: which arrays are taken, how much is read, what is refused."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from exporter.errors import CalibrationError, ImageFolderError
from exporter.image import arrays
from exporter.image.folders import read_batches

GRAY = (1, 6, 5)


def numbered(count: int, *shape: int, first: int = 0) -> np.ndarray:
    """Inputs of which each holds one number everywhere: first, first + 1, ..."""
    values = np.arange(first, first + count, dtype=np.float32)
    return np.broadcast_to(values.reshape(count, *(1,) * len(shape)), (count, *shape)).copy()


def read(folder: Path, item: tuple[int, ...] = GRAY, limit: int = 256) -> list[float]:
    """The number that each input holds."""
    found = read_batches(folder, lambda _: torch.full(item, -1.0), limit=limit, item=item)
    together = torch.cat(found.batches)
    assert together.shape[1:] == item
    assert together.dtype == torch.float32
    assert found.images == len(together)
    assert bool((together == together.flatten(1)[:, :1, None, None]).all())
    return together.flatten(1)[:, 0].tolist()


@pytest.mark.parametrize("shape", [(6, 5), (1, 6, 5), (1, 1, 6, 5)])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4"])
def test_one_gray_input_of_a_file(shape: tuple[int, ...], dtype: str, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.full(shape, 7.0, dtype))
    assert read(tmp_path) == [7.0]


@pytest.mark.parametrize("shape", [(6, 5), (1, 6, 5)])
def test_several_in_a_row_and_a_limit_takes_them_from_all_over(
    shape: tuple[int, ...], tmp_path: Path
) -> None:
    np.save(tmp_path / "a.npy", numbered(10, *shape))
    np.savez(tmp_path / "b.npz", x=numbered(5, *shape, first=10), y=numbered(5, *shape, first=15))
    assert read(tmp_path) == list(range(20))
    assert read(tmp_path, limit=5) == [0.0, 4.0, 8.0, 12.0, 16.0]
    assert read(tmp_path / "b.npz") == list(range(10, 20))
    np.savez_compressed(tmp_path / "b.npz", x=numbered(1, *shape, first=99))
    assert read(tmp_path)[9:] == [9.0, 99.0]


def test_color_inputs_and_vectors_have_their_own_shape(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.asfortranarray(numbered(2, 3, 6, 5)))
    assert read(tmp_path, (3, 6, 5)) == [0.0, 1.0]
    np.save(tmp_path / "a.npy", numbered(4, 16))
    found = read_batches(tmp_path, lambda _: torch.zeros(16), limit=9, item=(16,))
    assert torch.equal(found.batches[0], torch.arange(4.0)[:, None].expand(4, 16))


def test_photos_beside_them_go_through_the_preprocessing(tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "b.png")
    np.save(tmp_path / "a.npy", numbered(2, 6, 5))
    np.save(tmp_path / "c.NPY", numbered(1, 6, 5, first=5))
    (tmp_path / "c.NPY.npy").rename(tmp_path / "d.npy")
    steps: list[tuple[str, int, int]] = []
    found = read_batches(
        tmp_path,
        lambda _: torch.full(GRAY, -1.0),
        limit=9,
        item=GRAY,
        tell=lambda *step: steps.append(step),
    )
    assert torch.cat(found.batches)[:, 0, 0, 0].tolist() == [0.0, 1.0, -1.0, 5.0]
    assert (found.images, found.saved, str(found)) == (4, 3, "1 image and 3 saved inputs")
    assert [done for _, done, _ in steps] == [2, 3, 4]
    assert {total for _, _, total in steps} == {4}


def test_where_photos_alone_are_asked_for_arrays_are_no_images(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", numbered(2, 6, 5))
    with pytest.raises(ImageFolderError, match="no image file"):
        read_batches(tmp_path, lambda _: torch.zeros(GRAY), limit=9)


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((6, 6), np.float32), r"a\.npy has the shape 6,6, and .* takes 1,6,5 or 6,5, or"),
        (np.zeros((3, 6, 5), np.float32), "has the shape 3,6,5, and"),  # a color image
        (np.zeros((0, 6, 5), np.float32), "has the shape 0,6,5, and"),
        (np.zeros((), np.float32), "has the shape of one number"),
        (np.zeros((6, 5), np.uint8), "is of uint8, .* floats.* --mean and --std"),
        (np.zeros((6, 5), np.complex64), "is of complex64"),
        (np.full((6, 5), np.nan, np.float32), "holds NaN or infinity"),
        (np.full((6, 5), 1e300), "holds NaN or infinity"),
    ],
)
def test_other_arrays_are_refused_in_one_sentence(
    array: np.ndarray, says: str, tmp_path: Path
) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(CalibrationError, match=says):
        read(tmp_path)


def test_an_array_of_a_file_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=numbered(2, 6, 5), labels=np.zeros(2))
    with pytest.raises(CalibrationError, match=r"a\.npz, array 'labels', has the shape 2, and"):
        read(tmp_path)


def test_no_object_is_ever_unpickled(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "exploded"),)

    objects = np.array([Bomb()], dtype=object)
    np.save(tmp_path / "a.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "b.npz", allow_pickle=True, x=objects)
    (tmp_path / "c.npy").write_bytes(pickle.dumps(Bomb()))
    for name in ("a.npy", "b.npz", "c.npy"):
        with pytest.raises(CalibrationError, match=name):
            read(tmp_path / name)
    assert not (tmp_path / "exploded").exists()


def test_what_is_damaged_or_no_file_is_said(tmp_path: Path) -> None:
    np.save(tmp_path / "whole.npy", numbered(9, 6, 5))
    whole = (tmp_path / "whole.npy").read_bytes()
    (tmp_path / "whole.npy").unlink()
    for content in (b"", b"no array", whole[:-8], whole[:40], b"PK\x03\x04 no archive"):
        (tmp_path / "a.npy").write_bytes(content)
        with pytest.raises(CalibrationError, match=r"a\.npy is no NumPy file"):
            read(tmp_path)
    with zipfile.ZipFile(tmp_path / "a.npy", "w"):
        pass
    with pytest.raises(CalibrationError, match=r"a\.npy holds no array"):
        read(tmp_path)
    (tmp_path / "a.npy").unlink()
    os.mkfifo(tmp_path / "a.npy")  # opening it waits until somebody writes
    with pytest.raises(CalibrationError, match=r"a\.npy is not a regular file"):
        read(tmp_path)


def test_an_archive_that_unpacks_to_much_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its header says how much; a file of 300 bytes may claim a terabyte."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        head, {"descr": "<f4", "fortran_order": False, "shape": (10**10, 6, 5)}
    )
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", head.getvalue())
    with pytest.raises(CalibrationError, match=r"1,200\.0 GB unpacked; at most 1\.1"):
        read(tmp_path)
    np.savez(tmp_path / "a.npz", x=numbered(5, 6, 5))
    monkeypatch.setattr(arrays, "MOST_BYTES", 5 * 6 * 5 * 4)
    assert read(tmp_path) == [0.0, 1.0, 2.0, 3.0, 4.0]
    monkeypatch.setattr(arrays, "MOST_BYTES", 5 * 6 * 5 * 4 - 1)
    with pytest.raises(CalibrationError, match="unpacked"):
        read(tmp_path)


def test_of_a_large_file_little_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sparse file of 12 GB, of which the first and the middle input are wanted."""
    with (tmp_path / "a.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f4", "fortran_order": False, "shape": (10**8, 6, 5)}
        )
        file.truncate(file.tell() + 10**8 * 6 * 5 * 4)
    assert read(tmp_path, limit=2) == [0.0, 0.0]
