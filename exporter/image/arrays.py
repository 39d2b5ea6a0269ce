"""Inputs of a network saved as NumPy files: one in an array, or several in a row of them.

They are for networks whose preprocessing no photo goes through: gray scans, depth, spectra. Only
numbers are ever read, never pickled objects, and nothing larger than a file's header announces.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from runtime_check.printable import printable

from ..errors import CalibrationError

ARRAY_SUFFIXES = frozenset({".npy", ".npz"})
# Of an array in an .npz file, which is unpacked as a whole. Of an .npy file only what is used is
# read, whatever its size.
MOST_BYTES = 2**30
_HOW = "Save network inputs as they come out of preprocessing: `numpy.save('a.npy', x)`."


@dataclass(frozen=True, kw_only=True)
class SavedInputs:
    """The `count` inputs that one array holds; `key` is its member of an .npz file.

    `single` says that the array is one input, not a row of them.
    """

    path: Path
    name: str
    key: str | None
    count: int
    single: bool

    def read(self, indices: Sequence[int], item: Sequence[int]) -> list[Tensor]:
        """Return the inputs at `indices` as float32 tensors of the shape `item`.

        Raises `CalibrationError` where the file is damaged, or a value is no number.
        """
        try:
            with np.errstate(over="ignore"):
                tensors = [
                    torch.from_numpy(row.astype(np.float32)).reshape(*item)
                    for row in self._rows(indices)
                ]
        except Exception as error:
            raise _unreadable(self.name) from error
        if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors):
            raise CalibrationError(f"{self.name} holds NaN or infinity, also as float32.")
        return tensors

    def _rows(self, indices: Sequence[int]) -> list[np.ndarray]:
        if self.key is None:
            array = np.load(self.path, mmap_mode="r", allow_pickle=False)
        else:
            with np.load(self.path, allow_pickle=False) as stored:
                array = stored[self.key]
        return [array if self.single else array[index] for index in indices]


def saved_inputs(path: Path, name: str, item: Sequence[int]) -> list[SavedInputs]:
    """Look at the arrays of an .npy or .npz file, by their headers: inputs of the shape `item`.

    An array has that shape, or one axis more in front, of several inputs; gray ones, whose `item`
    is 1,H,W, may be H,W. Raises `CalibrationError`, calling the file `name`, for any other array,
    and for one that is not of floats.
    """
    called = printable(name)
    if not path.is_file():
        raise CalibrationError(f"{called} is not a regular file that can be read.")
    try:
        headers = array_headers(path)
    except Exception as error:
        raise _unreadable(called) from error
    if not headers:
        raise CalibrationError(f"{called} holds no array. {_HOW}")
    found = []
    for key, (shape, dtype) in headers.items():
        what = called if key is None else f"{called}, array {printable(key)!r},"
        single = _is_single(what, shape, item)
        if dtype.kind != "f":
            raise CalibrationError(
                f"{what} is of {dtype}, and a network's inputs are floats. {_HOW} Pixels are given "
                "as image files, with --mean and --std."
            )
        if key is not None and math.prod(shape) * dtype.itemsize > MOST_BYTES:
            raise CalibrationError(
                f"{what} takes {math.prod(shape) * dtype.itemsize / 1e9:,.1f} GB unpacked; at most "
                f"{MOST_BYTES / 1e9:.1f} are. Save fewer inputs, or an .npy file, of which only "
                "some are read."
            )
        count = 1 if single else shape[0]
        found.append(SavedInputs(path=path, name=called, key=key, count=count, single=single))
    return found


def array_headers(path: Path) -> dict[str | None, tuple[tuple[int, ...], np.dtype]]:
    """Return the shape and dtype of each array by its key; None is the key of an .npy file's."""
    opened = np.load(path, mmap_mode="r", allow_pickle=False)
    if isinstance(opened, np.ndarray):
        return {None: (opened.shape, opened.dtype)}
    headers: dict[str | None, tuple[tuple[int, ...], np.dtype]] = {}
    with opened as stored:
        for member in stored.zip.namelist():
            with stored.zip.open(member) as stream:
                read = {
                    (1, 0): np.lib.format.read_array_header_1_0,
                    (2, 0): np.lib.format.read_array_header_2_0,
                }[np.lib.format.read_magic(stream)]
                shape, _, dtype = read(stream)
            headers[member.removesuffix(".npy")] = (shape, dtype)
    return headers


def _is_single(what: str, shape: tuple[int, ...], item: Sequence[int]) -> bool:
    """Say whether an array is one input, else several; raise `CalibrationError` for neither."""
    shapes = [tuple(item)]
    if len(item) == 3 and item[0] == 1:
        shapes.append(tuple(item[1:]))
    if shape in shapes:
        return True
    # 3,H,W is a color image to whoever saved it, though it could be three gray ones.
    colors = len(shape) == 3 and shape[0] in (3, 4) and shape[1:] == shapes[-1]
    if len(shape) and shape[0] > 0 and shape[1:] in shapes and not colors:
        return False
    wanted = " or ".join(",".join(map(str, one)) for one in shapes)
    raise CalibrationError(
        f"{what} has the shape {','.join(map(str, shape)) or 'of one number'}, and the network "
        f"takes {wanted}, or several of them in a row. {_HOW}"
    )


def _unreadable(name: str) -> CalibrationError:
    return CalibrationError(f"{name} is no NumPy file of plain numbers, or damaged. {_HOW}")
