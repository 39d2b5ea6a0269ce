"""Archives as lists of records: read whole, and written again with some changed."""

from __future__ import annotations

import io
import struct
import zipfile


def read_records(data: bytes) -> list[tuple[str, bytes]]:
    """Return the names and contents of all records, in the archive's order."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(info.filename, archive.read(info)) for info in archive.infolist()]


def rewrite(data: bytes, changed: dict[str, bytes | None]) -> bytes:
    """Write the archive again with records changed, dropped (None) or added at the end.

    All are stored, 64-byte aligned.
    """
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        for name, value in {**dict(read_records(data)), **changed}.items():
            if value is None:
                continue
            info = zipfile.ZipInfo(name)
            # torch aligns tensor data by a padding field in the local header.
            start = sink.tell() + 30 + len(name.encode()) + 4
            info.extra = struct.pack("<HH", 0x4246, -start % 64) + b"Z" * (-start % 64)
            archive.writestr(info, value)
    return sink.getvalue()
