"""Inputs of a network of several, saved as .npz files: an array for each of forward's arguments.

Photos are one input; what goes with them (a mask, a depth, a camera) no photo says.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from runtime_check.artifact.metadata import InputTensor
from runtime_check.printable import printable

from ..errors import CalibrationError
from .arrays import MOST_BYTES, array_headers
from .folders import image_files, spread


@dataclass(frozen=True)
class _Saved:
    """The `counts` of arguments that a file holds: one, or several in a row."""

    path: Path
    count: int


def read_arguments(
    place: Path, takes: Sequence[InputTensor], *, limit: int
) -> list[tuple[Tensor, ...]]:
    """Read up to `limit` sets of arguments from an .npz file, or from all over a folder of them.

    A file has an array for each of `takes`, by its name: of its shape, or several in a row (one
    axis more in front, or more along a first axis of 1), as many of each. Raises CalibrationError
    for anything else, with what is wanted.
    """
    saved = [_look(path, takes) for path in _files(place, takes)]
    chosen = spread([(file, i) for file in saved for i in range(file.count)], limit)
    inputs: list[tuple[Tensor, ...]] = []
    for file in dict.fromkeys(one for one, _ in chosen):
        arrays = _arrays(file.path, takes)
        for index in (i for one, i in chosen if one is file):
            inputs.append(tuple(_tensor(file, arrays[t.name], index, t) for t in takes))
    return inputs


def wanted(takes: Sequence[InputTensor]) -> str:
    """Say what a file of arguments holds."""
    each = ", ".join(f"{t.name} {','.join(map(str, t.shape))} ({t.dtype})" for t in takes)
    return (
        f"an .npz file, or a folder of them, with the arrays {each}, or several of each in a row: "
        f"`numpy.savez('inputs.npz', {', '.join(f'{t.name}=...' for t in takes)})`"
    )


def _files(place: Path, takes: Sequence[InputTensor]) -> list[Path]:
    if place.suffix.lower() == ".npz" and place.is_file():
        return [place]
    if not place.is_dir():
        raise CalibrationError(f"{printable(str(place))} is not there, or no {wanted(takes)}.")
    found = [
        path
        for path in image_files(place, arrays=True).files
        if path.suffix.lower() == ".npz" and path.is_file()
    ]
    if not found:
        raise CalibrationError(f"{printable(str(place))} holds no .npz file. Give {wanted(takes)}.")
    return found


def _look(path: Path, takes: Sequence[InputTensor]) -> _Saved:
    """Count the arguments in a file by its headers alone."""
    name = printable(path.name)
    try:
        headers = array_headers(path)
    except Exception as error:
        raise CalibrationError(f"{name} is no .npz file of plain arrays. {_give(takes)}") from error
    if {*headers} != {t.name for t in takes}:
        held = ", ".join(printable(str(key)) for key in headers) or "nothing"
        raise CalibrationError(f"{name} holds {held}. {_give(takes)}")
    counts = {t.name: _count(name, t, *headers[t.name], takes) for t in takes}
    if len({*counts.values()}) > 1:
        each = ", ".join(f"{count} of {key}" for key, count in counts.items())
        raise CalibrationError(f"{name} holds {each}; there must be as many of each.")
    return _Saved(path, counts[takes[0].name])


def _count(
    name: str,
    one: InputTensor,
    shape: tuple[int, ...],
    dtype: np.dtype,
    takes: Sequence[InputTensor],
) -> int:
    what = f"{name}, array {one.name!r},"
    if (dtype.kind == "f") != one.dtype.startswith("float") or dtype.kind not in "fiub":
        raise CalibrationError(f"{what} is of {dtype}, and forward takes {one.dtype}.")
    if math.prod(shape) * dtype.itemsize > MOST_BYTES:
        raise CalibrationError(f"{what} takes more than {MOST_BYTES / 1e9:.1f} GB. Save fewer.")
    stated = tuple(one.shape)
    if shape == stated:
        return 1
    along = stated[:1] == (1,) and len(shape) == len(stated) and shape[1:] == stated[1:]
    if shape and shape[0] > 0 and (along or shape[1:] == stated):
        return shape[0]
    raise CalibrationError(
        f"{what} has the shape {','.join(map(str, shape)) or 'of one number'}. {_give(takes)}"
    )


def _give(takes: Sequence[InputTensor]) -> str:
    return f"Give {wanted(takes)}."


def _arrays(path: Path, takes: Sequence[InputTensor]) -> Mapping[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {t.name: stored[t.name] for t in takes}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise CalibrationError(f"{printable(path.name)} is damaged. {_give(takes)}") from error


def _tensor(file: _Saved, array: np.ndarray, index: int, one: InputTensor) -> Tensor:
    """Return the argument at `index`; raise CalibrationError for what its dtype cannot hold."""
    what = f"{printable(file.path.name)}, array {one.name!r},"
    values = array if array.shape == tuple(one.shape) else array[index]
    with np.errstate(over="ignore", invalid="ignore"):
        cast = np.ascontiguousarray(values, dtype=np.dtype(one.dtype)).reshape(one.shape)
    if cast.dtype.kind == "f" and not np.isfinite(cast).all():
        raise CalibrationError(f"{what} holds NaN or infinity.")
    if cast.dtype.kind != "f" and not np.array_equal(cast, values.reshape(one.shape)):
        raise CalibrationError(f"{what} holds numbers that are no {one.dtype}.")
    return torch.from_numpy(cast.copy())
