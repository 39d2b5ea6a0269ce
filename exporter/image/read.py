"""Read an image file as 8-bit RGB, gray or RGBA, upright, or say as a value why it cannot serve.

The one reader of calibration, evaluation, training and single photos. Files come from anywhere, so
nothing is opened that is not a regular file, nothing is decoded that the exported file would not
take, and whatever a decoder raises on a damaged file is a reason, never the end of an export.
"""

from __future__ import annotations

import stat
import struct
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageFile

from runtime_check.printable import printable

from ..errors import ExportError
from .preprocess import MAX_ASPECT, MAX_SIDE, MIN_SIDE

# Pillow's names for pixels of 3, 1 and 4 channels.
Color = Literal["RGB", "L", "RGBA"]

# missing: also a link to nothing. closed: a subfolder. special: a FIFO, socket, device or folder
# under an image's name.
# broken: no image, or damaged. scale: numbers that do not say which of them is white.
Reason = Literal[
    "missing",
    "denied",
    "closed",
    "special",
    "empty",
    "broken",
    "truncated",
    "animated",
    "small",
    "large",
    "long",
    "scale",
]
_WORDS: Mapping[Reason, str] = {
    "missing": "not there",
    "denied": "not allowed to read it",
    "closed": "a folder that cannot be read, with all its images",
    "special": "not a regular file",
    "empty": "empty",
    "broken": "not an image, or damaged",
    "truncated": "cut off",
    "animated": "an animation",
    "small": f"a side below {MIN_SIDE}",
    "large": f"a side above {MAX_SIDE}",
    "long": f"one side more than {MAX_ASPECT} times the other",
    "scale": "numbers without a stated white",
}
# What the endings of `folders.IMAGE_SUFFIXES` stand for. Pillow goes by content and knows many
# more, one of which (EPS) starts another program.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
# Several frames of one picture. JPEG (MPO) and TIFF hold previews, gain maps and further pages.
_ANIMATIONS = ("GIF", "PNG", "WEBP")
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Tags of EXIF and TIFF.
_ORIENTATION, _BITS, _PHOTOMETRIC = 0x0112, 0x0102, 0x0106
_WHITE_IS_ZERO = 0
_DAMAGED_EXIF = (EOFError, LookupError, OSError, SyntaxError, TypeError, ValueError, struct.error)


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """An image file that cannot serve: its name, why, and width and height where it says them."""

    name: str
    reason: Reason
    size: tuple[int, int] | None = None

    def __str__(self) -> str:
        size = f"{self.size[0]} x {self.size[1]} pixels, " if self.size is not None else ""
        return f"{self.name} ({size}{_WORDS[self.reason]})"


class UnfitImage(ExportError):
    """One image file cannot serve; `skipped` says why."""

    def __init__(self, skipped: Skipped) -> None:
        super().__init__(f"This image cannot serve: {skipped}. Give another.")
        self.skipped = skipped


def read_photo(path: Path, *, color: Color = "RGB", name: str | None = None) -> np.ndarray:
    """Read an image file as uint8 `[H, W, C]`, its EXIF orientation applied.

    C is 3 for RGB, 1 for gray ("L"), 4 for RGBA. 8-bit images are what Pillow's `convert(color)`
    makes of them: palettes looked up, CMYK converted, transparency ignored but in RGBA, which is
    opaque where the file states none. 16 bits keep their upper 8, as Pillow does for 16-bit color,
    and floats from 0 to 1 are scaled. `name` (the path) is what errors call it. Raises
    `UnfitImage`, also for sizes that an exported file does not take: sides of 8 to 8192, aspects
    up to 32.
    """
    called = printable(name if name is not None else str(path))
    size = None
    try:
        _require_file(path)
        with _strict(), Image.open(path, formats=_FORMATS) as image:
            size = image.size
            _require_fit(image)
            image.load()
            turn = _TURNS.get(_orientation(image))
            picture = _in_8_bits(image).convert(color)
            pixels = np.array(picture if turn is None else picture.transpose(turn))
            return pixels[:, :, None] if color == "L" else pixels
    except _UnfitError as error:
        raise UnfitImage(Skipped(name=called, reason=error.reason, size=size)) from error
    # Decoders of damaged files raise whatever they run into.
    except Exception as error:
        reason: Reason = "truncated" if "truncated" in str(error).lower() else "broken"
        raise UnfitImage(Skipped(name=called, reason=reason, size=size)) from error


class _UnfitError(Exception):
    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


def _require_file(path: Path) -> None:
    """Look before opening: opening a FIFO waits for a writer, and a device may do anything."""
    try:
        found = path.stat()
    except PermissionError as error:
        raise _UnfitError("denied") from error
    except (OSError, ValueError) as error:
        raise _UnfitError("missing") from error
    if not stat.S_ISREG(found.st_mode):
        raise _UnfitError("special")
    if not found.st_size:
        raise _UnfitError("empty")


@contextmanager
def _strict() -> Iterator[None]:
    """Decode whole files only, whatever else in this process told Pillow, and warn of nothing.

    Training code often allows truncated files, whose missing part is then gray, or sets Pillow's
    limit of pixels; ours is `_require_fit`, which needs the size.
    """
    before = ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS
    ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS = False, None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS = before


def _require_fit(image: Image.Image) -> None:
    """Refuse by the header alone: no side above the limit also means no decompression bomb."""
    short, long = sorted(image.size)
    if long > MAX_SIDE:
        raise _UnfitError("large")
    if short < MIN_SIDE:
        raise _UnfitError("small")
    if long > MAX_ASPECT * short:
        raise _UnfitError("long")
    if image.format in _ANIMATIONS and getattr(image, "is_animated", False):
        raise _UnfitError("animated")


def _in_8_bits(image: Image.Image) -> Image.Image:
    """Scale what has more than 8 bits a channel; Pillow's own conversion cuts at 255."""
    if image.mode not in ("I", "F") and not image.mode.startswith("I;16"):
        return image
    tags = getattr(image, "tag_v2", {})
    # Pillow turns 8-bit negatives around, and these not.
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        raise _UnfitError("scale")
    values = np.asarray(image)
    if image.mode == "F":
        # Written so that NaN is refused too.
        if not (values.min() >= 0 and values.max() <= 1):
            raise _UnfitError("scale")
        return Image.fromarray(np.rint(values * 255).astype(np.uint8))
    # Integers of 32 bits state no white; of 16, older Pillow opens PNG files as such.
    if image.mode == "I" and image.format != "PNG":
        raise _UnfitError("scale")
    bits = int(tags.get(_BITS, (16,))[0])
    return Image.fromarray((values >> (bits - 8)).astype(np.uint8))


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except _DAMAGED_EXIF:  # says nothing about the picture
        return 1
