"""Every kind of image file gives the pixels that a person sees, or a reason why it cannot serve."""

from __future__ import annotations

import io
import os
import socket
import struct
import zlib
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pytest
from PIL import Image, ImageFile

from exporter.image.read import _WORDS, Reason, Skipped, UnfitImage, read_photo
from runtime_check.printable import printable

RAMP = np.arange(0, 65536, 1024, dtype=np.uint16).reshape(8, 8)  # 0, 1024, ..., 64512
RAMP_8 = np.arange(0, 256, 4, dtype=np.uint8).reshape(8, 8)  # its upper 8 bits


def skipped(path: Path) -> Skipped:
    with pytest.raises(UnfitImage, match="cannot serve") as caught:
        read_photo(path, name=path.name)
    return caught.value.skipped


def gray(levels: np.ndarray) -> np.ndarray:
    return np.repeat(levels[..., None], 3, axis=2)


def tiff(pixels: np.ndarray, *, bits: int, kind: int = 1, photometric: int = 1) -> bytes:
    """One uncompressed gray page, little-endian; kind 1 is unsigned, 2 signed, 3 float."""
    height, width = pixels.shape
    data = pixels.tobytes()
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, photometric), (273, 8)]
    tags += [(277, 1), (278, height), (279, len(data)), (339, kind)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    head = b"II*\0" + struct.pack("<I", 8 + len(data)) + data
    return head + struct.pack("<H", len(tags)) + entries + bytes(4)


def png(width: int, height: int) -> bytes:
    """The head of a PNG of any size, without pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b""))


# --- what is read ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["16.png", "16.tif"])
def test_16_bits_keep_their_upper_8(name: str, tmp_path: Path) -> None:
    """Pillow cuts at 255: 63 of these 64 would be white."""
    Image.fromarray(RAMP).save(tmp_path / name)
    assert np.array_equal(read_photo(tmp_path / name), gray(RAMP_8))


@pytest.mark.parametrize(
    ("file", "levels"),
    [
        (tiff(RAMP.astype(">u2").byteswap(), bits=16), RAMP_8),
        (tiff((RAMP_8 / 255).astype("<f4"), bits=32, kind=3), RAMP_8),
        (tiff(RAMP_8, bits=8), RAMP_8),
        (tiff(255 - RAMP_8, bits=8, photometric=0), RAMP_8),
    ],
)
def test_tiff_of_scientists(file: bytes, levels: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(file)
    assert np.array_equal(read_photo(tmp_path / "a.tif"), gray(levels))


@pytest.mark.parametrize(
    "file",
    [
        tiff((RAMP_8 * 1.0).astype("<f4"), bits=32, kind=3),  # floats above 1
        tiff(np.full((8, 8), np.nan, "<f4"), bits=32, kind=3),
        tiff((RAMP_8 / 255 - 0.5).astype("<f4"), bits=32, kind=3),
        tiff(RAMP.astype("<i4"), bits=32, kind=2),
        tiff((RAMP // 2).astype("<i2"), bits=16, kind=2),
        tiff(RAMP.astype("<u2"), bits=16, photometric=0),  # Pillow does not turn it around
    ],
)
def test_numbers_without_a_stated_white_are_no_image(file: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(file)
    assert skipped(tmp_path / "a.tif") == Skipped(name="a.tif", reason="scale", size=(8, 8))


# Where the red corner of an upright picture is stored, by EXIF orientation: row and column.
CORNERS = {
    1: (0, 0),
    2: (0, -1),
    3: (-1, -1),
    4: (-1, 0),
    5: (0, 0),
    6: (-1, 0),
    7: (-1, -1),
    8: (0, -1),
}


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
@pytest.mark.parametrize("orientation", sorted(CORNERS))
def test_exif_turns_the_picture_upright(orientation: int, suffix: str, tmp_path: Path) -> None:
    height, width = (16, 32) if orientation < 5 else (32, 16)
    stored = np.zeros((height, width, 3), np.uint8)
    row, column = CORNERS[orientation]
    stored[row % height // 8 * 8 :, column % width // 8 * 8 :][:8, :8, 0] = 255
    picture = Image.fromarray(stored)
    exif = picture.getexif()
    exif[0x0112] = orientation
    picture.save(tmp_path / f"a{suffix}", exif=exif, quality=95)
    pixels = read_photo(tmp_path / f"a{suffix}")
    assert pixels.shape == (16, 32, 3)
    red = pixels[..., 0] > 128
    assert red[:6, :6].all()
    assert not red[10:].any()
    assert not red[:, 10:].any()


def test_16_bits_are_turned_upright_too(tmp_path: Path) -> None:
    picture = Image.fromarray(RAMP)
    exif = picture.getexif()
    exif[0x0112] = 3
    picture.save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_photo(tmp_path / "a.png"), gray(RAMP_8)[::-1, ::-1])


def test_a_damaged_exif_block_turns_nothing(tmp_path: Path) -> None:
    Image.fromarray(gray(RAMP_8)).save(tmp_path / "a.png", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert np.array_equal(read_photo(tmp_path / "a.png"), gray(RAMP_8))


def test_8_bit_images_are_what_pillow_converts_them_to(tmp_path: Path) -> None:
    color = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8))
    clear = color.copy()
    clear.putalpha(Image.fromarray(RAMP_8))
    for image, name in (
        *((color.convert(mode), f"{mode}.png") for mode in ("1", "L", "P", "RGB", "LA")),
        (clear, "RGBA.png"),
        (clear, "RGBA.webp"),
        (color.convert("CMYK"), "CMYK.jpg"),
        (color.convert("CMYK"), "CMYK.tif"),
        (color.convert("YCbCr"), "YCbCr.tif"),
        (color, "still.gif"),
        (color, "a.bmp"),
    ):
        image.save(tmp_path / name)
        with Image.open(tmp_path / name) as opened:
            expected = np.array(opened.convert("RGB"))
        assert np.array_equal(read_photo(tmp_path / name), expected), name
    assert np.array_equal(read_photo(tmp_path / "RGBA.png"), np.array(color))  # not blended


@pytest.mark.parametrize(("color", "channels"), [("L", 1), ("RGBA", 4)])
def test_gray_and_rgba_are_what_pillow_converts_them_to(
    color: Literal["L", "RGBA"], channels: int, tmp_path: Path
) -> None:
    """From what the file holds, not by way of RGB, which has lost the transparency."""
    shown = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 9, 3), np.uint8))
    clear = shown.copy()
    clear.putalpha(Image.fromarray(np.tile(RAMP_8, (1, 2))[:, :9]))
    for image, name in (
        *((shown.convert(mode), f"{mode}.png") for mode in ("1", "L", "P", "RGB")),
        (clear, "RGBA.png"),
        (clear.convert("LA"), "LA.png"),
        (shown.convert("CMYK"), "CMYK.tif"),
    ):
        image.save(tmp_path / name)
        with Image.open(tmp_path / name) as opened:
            expected = np.array(opened.convert(color)).reshape(8, 9, channels)
        pixels = read_photo(tmp_path / name, color=color)
        assert pixels.shape == (8, 9, channels)
        assert np.array_equal(pixels, expected), name
    turned = Image.Exif()
    turned[0x0112] = 6  # the camera was held upright
    shown.save(tmp_path / "turned.png", exif=turned)
    assert read_photo(tmp_path / "turned.png", color=color).shape == (9, 8, channels)
    (tmp_path / "16.tif").write_bytes(tiff(RAMP, bits=16))
    assert np.array_equal(read_photo(tmp_path / "16.tif", color=color)[..., 0], RAMP_8)


def test_a_photo_with_a_gain_map_or_preview_is_its_first_picture(tmp_path: Path) -> None:
    """Phones write MPO under .jpg, scanners TIFF of several pages."""
    first, second = Image.fromarray(gray(RAMP_8)), Image.new("RGB", (8, 8), (9, 9, 9))
    first.save(tmp_path / "a.tif", save_all=True, append_images=[second])
    first.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[second], quality=100)
    for name in ("a.jpg", "a.tif"):
        assert abs(read_photo(tmp_path / name).astype(int) - gray(RAMP_8)).max() < 8


# --- what is not -------------------------------------------------------------------------------


def test_what_is_not_a_file_is_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.jpg")  # opening it waits until somebody writes
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "device.jpg").symlink_to("/dev/zero")
    (tmp_path / "nowhere.jpg").symlink_to(tmp_path / "nothing")
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    (tmp_path / "empty.jpg").touch()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s.jpg"))
        found = {path.name: skipped(path).reason for path in tmp_path.iterdir()}
    assert found == {
        "fifo.jpg": "special",
        "folder.jpg": "special",
        "device.jpg": "special",
        "s.jpg": "special",
        "nowhere.jpg": "missing",
        "loop.jpg": "missing",
        "empty.jpg": "empty",
    }


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        ((7, 100), "small"),
        ((4, 4), "small"),
        ((9000, 300), "large"),
        ((12000, 8000), "large"),  # 96 megapixels
        ((60000, 60000), "large"),  # Pillow itself raises: a decompression bomb
        ((400, 10), "long"),
    ],
)
def test_sizes_that_no_exported_file_takes(
    size: tuple[int, int], reason: Reason, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(png(*size))  # the head is enough: nothing is decoded
    assert skipped(tmp_path / "a.png") == Skipped(name="a.png", reason=reason, size=size)


@pytest.mark.parametrize("size", [(8, 8), (8192, 256), (256, 8)])
def test_sizes_at_the_limits_are_read(size: tuple[int, int], tmp_path: Path) -> None:
    Image.new("RGB", size).save(tmp_path / "a.png")
    assert read_photo(tmp_path / "a.png").shape == (size[1], size[0], 3)


@pytest.mark.parametrize("suffix", ["gif", "png", "webp"])
def test_an_animation_is_no_picture(suffix: str, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), (level, 0, 0)) for level in (0, 90, 180)]
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:])
    assert skipped(tmp_path / f"a.{suffix}").reason == "animated"


def encoded(form: str) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, form)
    return buffer.getvalue()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
def test_a_file_that_was_cut_off_is_not_half_a_picture(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the user's own module tells Pillow to fill in gray, as training code does."""
    whole = encoded(form)
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    for length in (len(whole) * 3 // 4, len(whole) // 2, 100, 10, 1):
        (tmp_path / "a.jpg").write_bytes(whole[:length])
        assert skipped(tmp_path / "a.jpg").reason in ("broken", "truncated")
    assert ImageFile.LOAD_TRUNCATED_IMAGES


def test_other_formats_under_an_images_name_are_not_started(tmp_path: Path) -> None:
    """Pillow hands EPS to Ghostscript."""
    Image.new("RGB", (8, 8)).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / "a.jpg")
    assert skipped(tmp_path / "a.jpg") == Skipped(name="a.jpg", reason="broken")


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
@pytest.mark.filterwarnings("error")
def test_damaged_files_give_pixels_or_a_reason(form: str, tmp_path: Path) -> None:
    rng, whole, reasons = np.random.default_rng(0), encoded(form), set()
    for _ in range(60):
        damaged = bytearray(whole)
        for at in rng.integers(0, min(len(whole), 400), 6):
            damaged[at] = rng.integers(0, 256)
        (tmp_path / "a.jpg").write_bytes(damaged)
        try:
            assert read_photo(tmp_path / "a.jpg").shape[2] == 3
        except UnfitImage as error:
            reasons.add(error.skipped.reason)
    assert reasons
    assert reasons <= set(get_args(Reason))


def test_reasons_are_said_in_words() -> None:
    assert set(_WORDS) == set(get_args(Reason))
    assert str(Skipped(name="a.jpg", reason="empty")) == "a.jpg (empty)"
    small = Skipped(name="a.jpg", reason="small", size=(4, 5))
    assert str(small) == "a.jpg (4 x 5 pixels, a side below 8)"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("hündchen 1.jpg", "hündchen 1.jpg"),
        ("\x1b[31m\n.jpg", "\\x1b[31m\\n.jpg"),
        ("\u202egpj.exe", "\\u202egpj.exe"),  # turns the rest of the line around
        ("\udcff.jpg", "\\udcff.jpg"),  # a name that is not UTF-8: no JSON can hold it
    ],
)
def test_names_are_shown_without_control_characters(name: str, shown: str) -> None:
    assert printable(name) == shown
