"""Whether values that a user gave can be meant: types, words, numbers, sizes, names; no torch."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from .errors import ExportError, UsageError, did_you_mean

# What an input of one element a pixel may hold: 256 MiB of float32.
MOST_ELEMENTS = 2**26
LARGEST_SEED = 2**63 - 1
# Bytes of the longest file's name. File systems take 255; some that encrypt names take fewer.
LONGEST_NAME = 200
LONGEST_SUFFIX = ".report.html"
_SAID: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    str: "a text",
    Path: "a path",
}


def option_name(field: str) -> str:
    """Return the option of the command line for a field: `--crop-pct`."""
    return f"--{field.replace('_', '-')}"


def require_types(options: object, error: type[ExportError] = UsageError) -> None:
    """Check each field of frozen options against its annotation; lists become tuples first.

    One text where several are taken is one of them, not its letters. Raises `error`.
    """
    hints = get_type_hints(type(options))
    for field in fields(options):  # type: ignore[arg-type]  # a dataclass, as its name says
        kinds, value = _members(hints[field.name]), getattr(options, field.name)
        given = value
        if any(get_origin(kind) is tuple for kind in kinds) and not _fits(value, kinds):
            given = (value,) if isinstance(value, str) else _as_tuple(value)
            object.__setattr__(options, field.name, given)
        if not _fits(given, kinds):
            wanted = " or ".join(dict.fromkeys(_said(k) for k in kinds if k is not NoneType))
            raise error(f"{option_name(field.name)} takes {wanted}, not {value!r:.80}.")


def require_words(options: object) -> None:
    """Raise `UsageError` for a field that is not one of the words of its `Literal`."""
    for field, kind in get_type_hints(type(options)).items():
        kinds = _members(kind)
        words = next((get_args(k) for k in kinds if get_origin(k) is Literal), None)
        value = getattr(options, field)
        if words is not None and value is not None and value not in words and Path not in kinds:
            hint = did_you_mean(str(value), words, most=1)
            raise UsageError(f"{field} is one of {', '.join(words)}, not {value!r}.{hint}")


def _members(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, Iterable) else value


def _fits(value: object, kinds: Sequence[Any]) -> bool:
    return any(_fits_one(value, kind) for kind in kinds)


def _fits_one(value: object, kind: Any) -> bool:
    if get_origin(kind) is Literal:
        return isinstance(value, str)
    if get_origin(kind) is tuple:
        inner = _members(get_args(kind)[0])
        return isinstance(value, tuple) and all(_fits(item, inner) for item in value)
    if kind is int:
        return isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if kind is float:
        return isinstance(value, numbers.Real) and not isinstance(value, bool)
    return isinstance(value, kind)


def _said(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return f"one of {', '.join(get_args(kind))}"
    if get_origin(kind) is tuple:
        return f"several, each {_said(get_args(kind)[0])}"
    return _SAID.get(kind) or f"a {kind.__name__}"


def require_name(name: str | None, said: str = "--name") -> None:
    """Raise `UsageError` for a name that cannot be a file's in the output folder.

    `said` is where it comes from: the option, or the model it is taken from.
    """
    if name is None:
        return
    try:
        size = len(f"{name}{LONGEST_SUFFIX}".encode())
    except UnicodeEncodeError:
        size = 0  # bytes that are no text
    folders = name in ("", ".", "..") or any(c in "/\\" for c in name)
    if folders or not size or not name.isprintable():
        raise UsageError(
            f"{said} {name[:60]!r} cannot be a file's name. Give a --name without folders and "
            "control characters; --out is the folder."
        )
    if size > LONGEST_NAME:
        raise UsageError(
            f"{said} {name[:60]!r}... cannot be a file's name: with {LONGEST_SUFFIX} it has {size} "
            f"bytes, and {LONGEST_NAME} are the most. Give a shorter --name."
        )


def require_shape(shape: tuple[int, ...] | None) -> None:
    """Raise `UsageError` for an input shape that holds nothing, or too much for any phone."""
    if shape is None:
        return
    if not shape or any(size < 1 for size in shape):
        raise UsageError(f"--input-shape takes positive sizes, not {list(shape)}.")
    if math.prod(shape) > MOST_ELEMENTS:
        raise UsageError(
            f"--input-shape {','.join(map(str, shape))[:80]} is an input of "
            f"{math.prod(shape):.2g} numbers; {MOST_ELEMENTS} are the most that can be exported. "
            "A phone's photo is scaled down before: give the size that the network sees."
        )


def require_writable(path: Path | None, option: str) -> None:
    """Raise `UsageError` where no file can be written at `path`: found out by trying, not later.

    Nothing is left of the trial, folders that were missing included.
    """
    if path is None:
        return
    made: list[Path] = []
    try:
        if path.is_dir():
            raise UsageError(f"{option} {path} is a folder; it takes a file.")
        for folder in reversed([p for p in path.parents if not p.exists()]):
            folder.mkdir()
            made.append(folder)
        part = path.with_name(f"{path.name}.part")  # as it is written
        if not part.exists():
            part.touch()
            part.unlink()
    except OSError as error:
        raise UsageError(f"{option}: cannot write {path}: {error.strerror}.") from error
    finally:
        for folder in reversed(made):
            folder.rmdir()


def require_seed(seed: int, error: type[ExportError] = UsageError) -> None:
    """Raise `error` for a seed that torch's generators or the metadata's readers cannot hold."""
    if not 0 <= seed <= LARGEST_SEED:
        raise error(f"--seed takes a whole number from 0 to {LARGEST_SEED}, not {seed}.")


def require_crop(crop_pct: float | None) -> None:
    """Raise `UsageError` for a crop that would show a few pixels, or mostly padding."""
    if crop_pct is not None and not 0.1 <= crop_pct <= 2:
        raise UsageError(
            f"--crop-pct is the crop's size as a share of the resized image, 0.1 to 2 (0.875 is "
            f"common), not {crop_pct:g}."
        )


def require_colors(mean: tuple[float, ...] | None, std: tuple[float, ...] | None) -> None:
    """Raise `UsageError` for a mean or a deviation that pixels from 0 to 1 cannot have."""
    for option, values, low, high in (("--mean", mean, -10, 10), ("--std", std, 1e-4, 10)):
        if values is None:
            continue
        wrong = [value for value in values if not low <= value <= high]
        if wrong or not values:
            what = f"not {wrong[0]:g}" if wrong else "and one of them is needed at least"
            scale = " For pixels from 0 to 255, divide by 255." if wrong and wrong[0] > high else ""
            raise UsageError(
                f"{option} takes one number a color, from {low:g} to {high:g}, for pixels from 0 "
                f"to 1, {what}.{scale}"
            )
    if mean is not None and std is not None and len(mean) != len(std):
        raise UsageError(
            f"--mean has {len(mean)} numbers and --std has {len(std)}: both have one a color."
        )
