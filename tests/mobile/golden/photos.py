"""Encoded photos of every kind, and the levels that Python reads from them."""

from __future__ import annotations

import base64
import random
import struct
import tempfile
import zlib
from pathlib import Path

from exporter.image.read import read_photo

from .tiny import Json, text

WIDTH, HEIGHT = 12, 8

# Encoded once by Pillow: another version may compress the same pixels to other bytes.
JPEG = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsLEBYQ"
    "ERMUFRUVDA8XGBYUGBIUFRT/2wBDAQMEBAUEBQkFBQkUDQsNFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU"
    "FBQUFBQUFBQUFBQUFBQUFBT/wAARCAAIABADAREAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAABAX/xAAYEAACAwAAAAAA"
    "AAAAAAAAAAAABAZjof/EABUBAQEAAAAAAAAAAAAAAAAAAAcI/8QAGBEAAwEBAAAAAAAAAAAAAAAAAAUxBCH/2gAMAwEAAhED"
    "EQA/AFtwmvAbW7YVa2Z3pHbhFeCst2wFmzO9P//Z"
)
CMYK_JPEG = (
    "/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwADAgIDAgIDAwMDBAMDBAUIBQUEBAUKBwcGCAwKDAwLCgsLDQ4SEA0OEQ4LCxAWEBET"
    "FBUVFQwPFxgWFBgSFBUU/8AAFAgACAAQBEMRAE0RAFkRAEsRAP/EABgAAQADAQAAAAAAAAAAAAAAAAgABQcJ/8QAHhAAAQIH"
    "AQAAAAAAAAAAAAAAAAQHBiEjMTNDgaH/2gAOBEMATQBZAEsAAD8Afrk7emYJmktR8CxBCbHI6phVcnb0tkzSWo+CAghNjkQ/"
    "/9k="
)


# --- PNG ------------------------------------------------------------------------------------------


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _stored(data: bytes) -> bytes:
    """Return a zlib stream without compression: the same bytes from any zlib."""
    block = b"\1" + struct.pack("<HH", len(data), len(data) ^ 0xFFFF) + data
    return b"\x78\1" + block + struct.pack(">I", zlib.adler32(data))


def _png(
    color: int, depth: int, channels: int, *, width: int = WIDTH, height: int = HEIGHT,
    extra: bytes = b"", top: int | None = None,
) -> bytes:  # fmt: skip
    """Return a PNG of random samples, at most `top`; `color` is PNG's type of color."""
    draw = random.Random(100 * color + depth)
    size = width * channels * (depth // 8)
    limit = 256 if top is None else top
    rows = [bytes([0, *(draw.randrange(limit) for _ in range(size))]) for _ in range(height)]
    head = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    body = _chunk(b"IDAT", _stored(b"".join(rows)))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + extra + body + _chunk(b"IEND", b"")


# --- JPEG -----------------------------------------------------------------------------------------


def _with_marker(jpeg: bytes, marker: int, data: bytes) -> bytes:
    """Put an application's segment behind the start of a JPEG."""
    return jpeg[:2] + struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data + jpeg[2:]


def _turned(jpeg: bytes, orientation: int) -> bytes:
    """Say in EXIF how a JPEG is to be turned; in big-endian order, as cameras do."""
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    tiff = b"MM\0*" + struct.pack(">IH", 8, 1) + entry + struct.pack(">I", 0)
    return _with_marker(jpeg, 0xE1, b"Exif\0\0" + tiff)


def _fixed(number: float) -> bytes:
    return struct.pack(">i", round(number * 65536))


def display_p3() -> bytes:
    """Return a color profile: Display P3, ICC 2.1, with the curve of gamma 2.2."""
    columns = {
        b"rXYZ": (0.51512, 0.2412, -0.00105),
        b"gXYZ": (0.29198, 0.69225, 0.04189),
        b"bXYZ": (0.1571, 0.06657, 0.78407),
        b"wtpt": (0.96420, 1.0, 0.82491),
    }
    tags = {name: b"XYZ \0\0\0\0" + b"".join(map(_fixed, xyz)) for name, xyz in columns.items()}
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(2.2 * 256)) + b"\0\0"
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    name = b"Display P3\0"
    tags[b"desc"] = b"desc\0\0\0\0" + struct.pack(">I", len(name)) + name + bytes(79)
    tags[b"cprt"] = b"text\0\0\0\0none\0\0\0\0"
    place, table, data = 128 + 4 + 12 * len(tags), b"", b""
    for tag, content in tags.items():
        padded = content + bytes(-len(content) % 4)
        table += tag + struct.pack(">II", place + len(data), len(content))
        data += padded
    head = struct.pack(
        ">I4sI4s4s4s", place + len(data), b"none", 0x02100000, b"mntr", b"RGB ", b"XYZ "
    )
    head += bytes(12) + b"acsp" + bytes(28) + b"".join(map(_fixed, columns[b"wtpt"])) + bytes(48)
    return head + struct.pack(">I", len(tags)) + table + data


# --- all ------------------------------------------------------------------------------------------


def _encoded() -> dict[str, tuple[bytes, int]]:
    """Return every photo and by how many levels another decoder may differ."""
    jpeg, palette = base64.b64decode(JPEG), random.Random(3)
    colors = bytes(palette.randrange(256) for _ in range(3 * 16))
    indexed = _chunk(b"PLTE", colors)
    profile = b"ICC_PROFILE\0\1\1" + display_p3()
    return {
        "color.png": (_png(2, 8, 3), 0),
        "gray.png": (_png(0, 8, 1), 0),
        "alpha.png": (_png(6, 8, 4), 0),
        "gray_alpha.png": (_png(4, 8, 2), 0),
        "palette.png": (_png(3, 8, 1, extra=indexed, top=16), 0),
        "palette_alpha.png": (
            _png(3, 8, 1, extra=indexed + _chunk(b"tRNS", bytes(range(0, 256, 16))), top=16), 0,
        ),
        "sixteen.png": (_png(2, 16, 3), 1),
        "sixteen_alpha.png": (_png(6, 16, 4), 1),
        "plain.jpg": (jpeg, 2),
        "display_p3.jpg": (_with_marker(jpeg, 0xE2, profile), 2),
        "cmyk.jpg": (base64.b64decode(CMYK_JPEG), 2),
        **{f"turned_{i}.jpg": (_turned(jpeg, i), 2) for i in range(1, 9)},
    }  # fmt: skip


def _read(name: str, encoded: bytes, levels: int) -> Json:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(encoded)
        rgb = read_photo(path)
        rgba = read_photo(path, color="RGBA")
    height, width, _ = rgb.shape
    return {
        "name": name,
        "bytes": base64.b64encode(encoded).decode(),
        "height": height,
        "width": width,
        "rgb": base64.b64encode(rgb.tobytes()).decode(),
        "alpha": base64.b64encode(rgba[..., 3].tobytes()).decode(),
        "levels": levels,
    }


def photo_vectors() -> dict[str, str]:
    """Photos as people have them, and what an app must hand to the model.

    `bytes` (base64) is the file. `rgb`: its pixels upright, height x width x 3, as Python reads it:
    levels as they are in the file, whatever its color profile says; alpha is left out, not blended;
    of 16 bits the upper 8. `alpha`: 255 where the file has none. A channel may differ by `levels`.
    `narrow` has sides of 1 and 20, which models refuse.
    """
    photos = [_read(name, *photo) for name, photo in _encoded().items()]
    narrow = base64.b64encode(_png(2, 8, 3, width=1, height=20)).decode()
    return {
        "photos.json": text({"about": photo_vectors.__doc__, "photos": photos, "narrow": narrow})
    }
