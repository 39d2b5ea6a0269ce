"""Photos as a decoder holds them in memory, in the words that Apple's CoreGraphics has for that."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

from .photos import _encoded
from .tiny import Json, text

GAP = 5  # bytes between rows


def _layout(
    layout: str, pixels: np.ndarray, model: str, *, alpha: str = "none", order: str = "big",
    inverted: bool = False, table: bytes | None = None,
) -> Json:  # fmt: skip
    """Lay out `pixels` (height x width x components, uint8 or uint16), rows `GAP` bytes apart."""
    height, width = pixels.shape[:2]
    kind = {"big": ">u2", "little16": "<u2"}.get(order, "u1") if pixels.itemsize == 2 else "u1"
    packed = pixels.astype(kind).tobytes()
    row = len(packed) // height
    rows = [packed[i * row : (i + 1) * row] + bytes([0xA5]) * GAP for i in range(height)]
    # The last row may end after its last pixel.
    data = b"".join(rows)[:-GAP]
    return {
        "layout": layout, "width": width, "height": height, "bits": 8 * pixels.itemsize,
        "bytes_per_row": row + GAP, "model": model, "alpha": alpha, "order": order,
        "inverted": inverted, "bytes": base64.b64encode(data).decode(),
        "table": None if table is None else base64.b64encode(table).decode(),
    }  # fmt: skip


def _sixteen(encoded: bytes) -> np.ndarray:
    """Read the samples of a 16-bit PNG without filters, which Pillow cuts to 8 bits."""
    width, height = struct.unpack(">II", encoded[16:24])
    place, data = 8, b""
    while place < len(encoded):
        (size,) = struct.unpack(">I", encoded[place : place + 4])
        if encoded[place + 4 : place + 8] == b"IDAT":
            data += encoded[place + 8 : place + 8 + size]
        place += 12 + size
    rows = np.frombuffer(zlib.decompress(data), np.uint8).reshape(height, -1)
    assert not rows[:, 0].any(), "a filter"
    return np.frombuffer(rows[:, 1:].tobytes(), ">u2").reshape(height, width, -1)


def _with(pixels: np.ndarray, level: int, *, first: bool = False) -> np.ndarray:
    """Put a fourth number to each color, where nothing looks at it."""
    padding = np.full((*pixels.shape[:2], 1), level, pixels.dtype)
    return np.concatenate([padding, pixels] if first else [pixels, padding], axis=-1)


def _deep(samples: np.ndarray) -> Iterator[Json]:
    alpha = "last" if samples.shape[-1] == 4 else "none"
    for order in ("big", "little16"):
        yield _layout(f"16 bits, {order}", samples, "rgb", alpha=alpha, order=order)


def _layouts(encoded: bytes, image: Image.Image) -> Iterator[Json]:
    """The layouts in which CoreGraphics may hold this picture."""
    if image.mode == "P":
        assert image.palette is not None
        indices = np.asarray(image)[..., None]
        if "transparency" in image.info:
            # No palette has alpha there: such a picture is unpacked.
            yield _layout("unpacked", np.asarray(image.convert("RGBA")), "rgb", alpha="last")
        else:
            table = bytes(image.palette.palette)
            yield _layout("palette", indices, "indexed", table=table)
        return
    pixels = np.asarray(image)
    if image.mode == "CMYK":
        yield _layout("inks", pixels, "cmyk")
        yield _layout("inks, inverted", 255 - pixels, "cmyk", inverted=True)
    elif image.mode == "L":
        yield _layout("gray", pixels[..., None], "gray")
        yield _layout("gray, inverted", 255 - pixels[..., None], "gray", inverted=True)
    elif image.mode == "LA":
        yield _layout("gray and alpha", pixels, "gray", alpha="last")
        yield _layout("alpha and gray", pixels[..., ::-1], "gray", alpha="first")
    elif image.mode == "RGBA":
        yield _layout("RGBA", pixels, "rgb", alpha="last")
        yield _layout("ARGB", np.roll(pixels, 1, axis=-1), "rgb", alpha="first")
        yield _layout("BGRA", pixels[..., [2, 1, 0, 3]], "rgb", alpha="first", order="little32")
        yield _layout("ABGR", pixels[..., ::-1], "rgb", alpha="last", order="little32")
    else:
        assert image.mode == "RGB"
        yield _layout("RGB", pixels, "rgb")
        yield _layout("RGBX", _with(pixels, 7), "rgb", alpha="skipLast")
        yield _layout(
            "BGRX", _with(pixels[..., ::-1], 7), "rgb", alpha="skipFirst", order="little32"
        )


def stored_vectors() -> dict[str, str]:
    """The photos of `photos.json` as a decoder may hold them, not upright, and not yet RGB.

    `model`: what the numbers of a pixel are; `table` (base64): the colors of a palette. `bits` of
    each number, `alpha` and `order` in CoreGraphics's words: where alpha is or padding, and which
    bytes are swapped. `inverted`: 0 is the full level. Behind each row but the last are unused
    bytes. Read so and turned by EXIF's `orientation`, the levels are those of `photos.json`.
    """
    vectors = []
    for name, (encoded, _) in _encoded().items():
        with Image.open(io.BytesIO(encoded)) as image:
            orientation = image.getexif().get(0x0112, 1)
            image.load()
            made = _deep(_sixteen(encoded)) if "sixteen" in name else _layouts(encoded, image)
            vectors += [{"photo": name, "orientation": orientation, **one} for one in made]
    return {"stored.json": text({"about": stored_vectors.__doc__, "vectors": vectors})}
