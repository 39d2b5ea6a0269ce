"""Accept only a zip that every reader reads alike.

Zip readers find a file's records in different ways: by the last directory or by the first, by the
directory's offsets or by where the directory ends, by its sizes or by those beside the data. A
file made for it shows one of them other records than another, so that what is checked here is not
what a phone runs. Where records follow each other without a gap from the first byte to the
directory, and the directory to the last byte, and both say the same, no choice is left.

Format: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, whose names are used here.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

MAX_RECORDS = 100_000
# torch's names are module paths; a kilobyte each is plenty.
_MAX_DIRECTORY_BYTES = 64 * 2**20

ZIP_START = b"PK\3\4"  # a record's header; a strict zip begins with one
ZIP_END, END_BYTES = b"PK\5\6", 22  # the record at the end of one, and its size
_CENTRAL, _DESCRIPTOR = b"PK\1\2", b"PK\7\x08"
_END64, _LOCATOR64 = b"PK\6\6", b"PK\6\7"
_LOCAL_FORMAT, _CENTRAL_FORMAT = "<4s5H3I2H", "<4s6H3I5H2I"
_END_FORMAT, _END64_FORMAT, _LOCATOR64_FORMAT = "<4s4H2IH", "<4sQ2H2I4Q", "<4sIQI"
_STORED, _DEFLATED = 0, 8
# Flags that change nothing for a reader: how hard the writer deflated.
_EFFORT = 0b110
_SIZES_FOLLOW, _UTF8 = 1 << 3, 1 << 11
_NEWEST_VERSION = 45  # zip64
_ZIP64, _PADDING = 0x0001, 0x4246  # torch's padding in front of tensors, "FB"
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF
_DIRECTORY_ATTRIBUTE = 0x10


class OddZip(ValueError):
    """The bytes are not a zip that all readers read alike; the message says what is odd."""


@dataclass(frozen=True)
class Entry:
    """One record as the directory states it; `start` is the offset of its header in the file."""

    name: str
    flags: int
    method: int
    crc: int
    stored: int
    size: int
    start: int
    raw_name: bytes


@dataclass(frozen=True)
class _Directory:
    """Where the directory lies, and how many records it lists."""

    start: int
    size: int
    records: int


def check_zip(stream: BinaryIO, *, behind: bool = False) -> tuple[Entry, ...]:
    """Return the records of the zip in `stream`, a whole file open for reading at any position.

    Reads the directory and each record's header, not the data. `behind`: other bytes lie in front
    of the first record, whose `start` says how many. Raises `OddZip`.
    """
    length = stream.seek(0, os.SEEK_END)
    directory = _find_directory(stream, length)
    entries = tuple(_read_directory(_at(stream, directory.start, directory.size), directory))
    if len({entry.name.lower() for entry in entries}) != len(entries):
        # torch's reader ignores case.
        raise OddZip("it holds two records of the same name")
    offset = entries[0].start if behind and entries else 0
    for index, entry in enumerate(entries):
        if entry.start != offset:
            raise OddZip(f"{entry.name!r} does not begin where the record before it ends")
        end = entries[index + 1].start if index + 1 < len(entries) else directory.start
        _check_header(stream, entry, end)
        offset = end
    if offset != directory.start:
        raise OddZip("it has other bytes in front of its directory")
    return entries


def _at(stream: BinaryIO, offset: int, size: int) -> bytes:
    stream.seek(offset)
    data = stream.read(size)
    if len(data) != size:
        raise OddZip("it ends early")
    return data


def _find_directory(stream: BinaryIO, length: int) -> _Directory:
    """Read the end of the file: the end record, and torch's 64-bit one before it."""
    size = struct.calcsize(_END_FORMAT)
    if length < size or _at(stream, length - size, 4) != ZIP_END:
        raise OddZip("it does not end with a zip's end record: cut off, or followed by other bytes")
    at = length - size
    _, *disks, here, total, extent, start, comment = struct.unpack(
        _END_FORMAT, _at(stream, at, size)
    )
    if comment:
        raise OddZip("it has a comment after its directory")
    found = (here, total, extent, start)
    locator_size = struct.calcsize(_LOCATOR64_FORMAT)
    if at >= locator_size and _at(stream, at - locator_size, 4) == _LOCATOR64:
        at, *disks, wide = _read_end64(stream, at - locator_size)
        limits = (_FULL16, _FULL16, _FULL32, _FULL32)
        for narrow, exact, limit in zip(found, wide, limits, strict=True):
            if narrow not in (exact, limit):
                raise OddZip("its two end records disagree")
        found = wide
    here, total, extent, start = found
    if any(disks) or here != total:
        raise OddZip("it is one part of several")
    if start + extent != at:
        raise OddZip("its directory does not lie where its end record says")
    if total > MAX_RECORDS or extent > _MAX_DIRECTORY_BYTES:
        raise OddZip(f"its directory lists {total} records in {extent} bytes")
    return _Directory(start, extent, total)


def _read_end64(stream: BinaryIO, at: int) -> tuple[int, int, int, tuple[int, int, int, int]]:
    """Read the locator at `at` and the record before it: its offset, the disks, four numbers."""
    locator = _at(stream, at, struct.calcsize(_LOCATOR64_FORMAT))
    _, disk, offset, disks = struct.unpack(_LOCATOR64_FORMAT, locator)
    size = struct.calcsize(_END64_FORMAT)
    if offset != at - size or disk or disks != 1:
        raise OddZip("its 64-bit end record does not lie where it says")
    values = struct.unpack(_END64_FORMAT, _at(stream, offset, size))
    signature, rest, _, _, own, first, here, total, extent, start = values
    if signature != _END64 or rest != size - 12:
        raise OddZip("its 64-bit end record is not one")
    return offset, own, first, (here, total, extent, start)


def _read_directory(data: bytes, directory: _Directory) -> Iterator[Entry]:
    fixed = struct.calcsize(_CENTRAL_FORMAT)
    position = 0
    for _ in range(directory.records):
        if position + fixed > len(data):
            raise OddZip("its directory ends early")
        values = struct.unpack_from(_CENTRAL_FORMAT, data, position)
        signature, _, version, flags, method, _, _, crc, stored, size = values[:10]
        names, extras, comments, disk, _, attributes, start = values[10:]
        position += fixed
        end = position + names + extras + comments
        if signature != _CENTRAL or end > len(data):
            raise OddZip("its directory is damaged")
        raw = data[position : position + names]
        name = _read_name(raw, flags)
        extra = data[position + names : position + names + extras]
        size, stored, start = _widen(_zip64(extra, name), (size, stored, start), name)
        _check_kind(name, flags, method, attributes)
        if comments or disk or version > _NEWEST_VERSION:
            raise OddZip(f"{name!r} has a comment, another disk or a newer zip version")
        if method == _STORED and stored != size:
            raise OddZip(f"{name!r} is stored, but with another size")
        yield Entry(name, flags, method, crc, stored, size, start, raw)
        position = end
    if position != len(data):
        raise OddZip("its directory is longer than its records")


def _read_name(raw: bytes, flags: int) -> str:
    """Return a record's name, which is ASCII or says that it is UTF-8."""
    try:
        name = raw.decode("utf-8" if flags & _UTF8 else "ascii")
    except UnicodeDecodeError:
        raise OddZip(f"it holds a name in an unknown encoding, {raw[:80]!r}") from None
    parts = name.split("/")
    if "\\" in name or not name.isprintable() or any(part in ("", ".", "..") for part in parts):
        raise OddZip(f"{name[:80]!r} is not a plain name")
    return name


def _check_kind(name: str, flags: int, method: int, attributes: int) -> None:
    if flags & ~(_EFFORT | _SIZES_FOLLOW | _UTF8) or method not in (_STORED, _DEFLATED):
        raise OddZip(f"{name!r} is encrypted or packed in an unknown way")
    mode = attributes >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG) or attributes & _DIRECTORY_ATTRIBUTE:
        raise OddZip(f"{name!r} is a link or a folder, not a record")


def _zip64(extra: bytes, name: str) -> bytes:
    """Return what an extra field says in 64 bits, b"" where it has no such part."""
    position, wide = 0, b""
    while position < len(extra):
        if position + 4 > len(extra):
            raise OddZip(f"{name!r} has a damaged extra field")
        kind, size = struct.unpack_from("<HH", extra, position)
        end = position + 4 + size
        if kind not in (_ZIP64, _PADDING) or end > len(extra) or (kind == _ZIP64 and wide):
            raise OddZip(f"{name!r} has an extra field that torch does not write")
        if kind == _ZIP64:
            wide = extra[position + 4 : end]
        position = end
    return wide


def _widen(wide: bytes, values: tuple[int, ...], name: str) -> tuple[int, ...]:
    """Replace the `values` that did not fit 32 bits by those of the extra field, in this order."""
    missing = sum(value == _FULL32 for value in values)
    if len(wide) != 8 * missing:
        raise OddZip(f"{name!r} has a 64-bit size that does not fit its record")
    exact = iter(struct.unpack(f"<{missing}Q", wide))
    return tuple(next(exact) if value == _FULL32 else value for value in values)


def _check_header(stream: BinaryIO, entry: Entry, end: int) -> None:
    """Compare the header beside the data with the directory; the record has to end at `end`."""
    fixed = struct.calcsize(_LOCAL_FORMAT)
    header = struct.unpack(_LOCAL_FORMAT, _at(stream, entry.start, fixed))
    signature, version, flags, method, _, _, crc, stored, size, names, extras = header
    if signature != ZIP_START or version > _NEWEST_VERSION:
        raise OddZip(f"{entry.name!r} has no header in front of its data")
    rest = _at(stream, entry.start + fixed, names + extras)
    wide = _zip64(rest[names:], entry.name)
    follows = bool(flags & _SIZES_FOLLOW)
    if not follows:
        size, stored = _widen(wide, (size, stored), entry.name)
    # Writers that give the sizes after the data, as torch does, leave these three empty.
    beside = (0, 0, 0) if follows else (entry.crc, entry.stored, entry.size)
    if (flags, method, rest[:names]) != (entry.flags, entry.method, entry.raw_name) or (
        crc, stored, size
    ) != beside:  # fmt: skip
        raise OddZip(f"the header of {entry.name!r} and the directory disagree")
    after = entry.start + fixed + names + extras + entry.stored
    left = end - after
    if not follows and left == 0:
        return
    formats = {16: "<4s3I", 24: "<4sI2Q"}
    if not follows or left not in formats:
        raise OddZip(f"{entry.name!r} does not end where the next record begins")
    if struct.unpack(formats[left], _at(stream, after, left)) != (
        _DESCRIPTOR, entry.crc, entry.stored, entry.size
    ):  # fmt: skip
        raise OddZip(f"the sizes after {entry.name!r} and the directory disagree")
