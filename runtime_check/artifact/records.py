"""Archives as lists of records: read whole, and written again with some changed.

What lies in front of an archive, as the program of a `.pte` does, stays in front of it.
"""

from __future__ import annotations

import io
import struct
import zipfile


def read_records(data: bytes) -> list[tuple[str, bytes]]:
    """Return the names and contents of all records, in the archive's order."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(info.filename, archive.read(info)) for info in archive.infolist()]


def in_front(data: bytes) -> bytes:
    """Return the bytes in front of the archive's first record: the program of a `.pte`."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return data[: min(info.header_offset for info in archive.infolist())]


def rewrite(data: bytes, changed: dict[str, bytes | None], *, front: bytes | None = None) -> bytes:
    """Write the archive again with records changed, dropped (None) or added at the end.

    All are stored, 64-byte aligned. `front` replaces what lies in front of the archive.
    """
    sink = io.BytesIO()
    sink.write(in_front(data) if front is None else front)
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
