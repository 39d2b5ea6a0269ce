"""Whether values that a user gave can be meant: words, numbers, sizes, names; free of torch."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal, get_args, get_origin, get_type_hints

from runtime_check.values import members

from .errors import UsageError, did_you_mean

# What an input of one element a pixel may hold: 256 MiB of float32.
MOST_ELEMENTS = 2**26
# Bytes of the longest file's name. File systems take 255; some that encrypt names take fewer.
LONGEST_NAME = 200
LONGEST_SUFFIX = ".report.html"


def require_words(options: object) -> None:
    """Raise `UsageError` for a field that is not one of the words of its `Literal`."""
    for field, kind in get_type_hints(type(options)).items():
        kinds = members(kind)
        words = next((get_args(k) for k in kinds if get_origin(k) is Literal), None)
        value = getattr(options, field)
        if words is not None and value is not None and value not in words and Path not in kinds:
            hint = did_you_mean(str(value), words, most=1)
            raise UsageError(f"{field} is one of {', '.join(words)}, not {value!r}.{hint}")


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
