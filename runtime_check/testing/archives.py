"""Wrong files for tests: bombs, and artifacts with some records changed."""

from __future__ import annotations

import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from ..artifact.metadata import GOLDEN_RECORD, METADATA_RECORD
from ..artifact.records import read_records, rewrite


def zip_bomb(path: Path, *, records: int = 4, megabytes: int = 64) -> Path:
    """Write a small zip laid out like a lite file whose records unpack to much more."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model/version", "3\n")
        for index in range(records):
            archive.writestr(f"model/data/{index}", b"\0" * (megabytes * 2**20))
    return path


def lying_bomb(path: Path, *, megabytes: int = 256) -> Path:
    """Write a zip whose directory states a small size for a record that unpacks to much more."""
    plain = b"\0" * (megabytes * 2**20)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(plain) + packer.flush()
    name = b"model/bytecode.pkl"
    crc, claimed = zlib.crc32(plain), 1000
    head = struct.pack("<HHHHHIII", 20, 0, 8, 0, 0, crc, len(packed), claimed)
    local = b"PK\3\4" + head + struct.pack("<HH", len(name), 0) + name + packed
    entry = (
        b"PK\1\2"
        + struct.pack("<H", 20)
        + head
        + struct.pack("<HHHHHII", len(name), 0, 0, 0, 0, 0, 0)
    )
    entry += name
    end = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(entry), len(local), 0)
    path.write_bytes(local + entry + end)
    return path


def records_of(path: Path) -> dict[str, bytes]:
    """Read all records of an archive, by their names below its top folder."""
    return {name.split("/", 1)[1]: content for name, content in read_records(path.read_bytes())}


def with_records(source: Path, target: Path, changed: dict[str, bytes | None]) -> Path:
    """Copy an artifact with records replaced, dropped (None) or added, checksums made to fit.

    Record names are below the archive's top folder, as `extra/metadata.json`.
    """
    data = source.read_bytes()
    root = read_records(data)[0][0].split("/", 1)[0]
    target.write_bytes(rewrite(data, {f"{root}/{name}": value for name, value in changed.items()}))
    return target


def with_metadata(source: Path, target: Path, change: Callable[[dict[str, object]], None]) -> Path:
    """Copy an artifact with its metadata changed in place by `change`."""
    return _with_json(source, target, METADATA_RECORD, change)


def with_golden(source: Path, target: Path, change: Callable[[dict[str, object]], None]) -> Path:
    """Copy an artifact with its golden vectors changed in place by `change`."""
    return _with_json(source, target, GOLDEN_RECORD, change)


def _with_json(
    source: Path, target: Path, record: str, change: Callable[[dict[str, object]], None]
) -> Path:
    value: dict[str, object] = json.loads(records_of(source)[record])
    change(value)
    return with_records(source, target, {record: json.dumps(value).encode()})
