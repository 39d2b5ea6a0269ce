"""Package: one `.ptl` with metadata and golden vectors inside, the same bytes every time.

torch numbers type names by what the process did before (`___torch_mangle_463`), and stores the
source text and file paths of the machine. Both would make two exports of one model differ, so
names are renumbered in order of appearance and debug records are left out. Small records are
shared, and text is deflated, as torch deflates its source text.
"""

from __future__ import annotations

import io
import pickletools
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import torch

from runtime_check.artifact.bytecode import Bytecode, parse_bytecode
from runtime_check.artifact.metadata import GOLDEN_RECORD, METADATA_RECORD, Golden, Metadata
from runtime_check.runtimes.lite import write_lite

from ..errors import ExportError
from ..quiet import quiet
from .compact import SMALL, compact_records

_MANGLED = re.compile(rb"___torch_mangle_(\d+)")
# A hash of what torch wrote; the records are not the same any more.
_STALE = ".data/serialization_id"
# Bytes of text above which the last percent of packing would cost seconds.
_LONG = 4 * 2**20


@dataclass(frozen=True, kw_only=True)
class LiteFile:
    """A lite-interpreter file on disk, without metadata yet."""

    path: Path
    bytecode: Bytecode
    bytes: int

    @property
    def operators(self) -> Mapping[str, int]:
        """How often the bytecode calls each operator."""
        return self.bytecode.calls


class _Renumber:
    """Give mangled names new numbers in order of first appearance."""

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}

    def __call__(self, text: bytes) -> bytes:
        def replace(match: re.Match[bytes]) -> bytes:
            number = self._numbers.setdefault(match[1], len(self._numbers))
            return b"___torch_mangle_%d" % number

        return _MANGLED.sub(replace, text)


def _renumber_pickle(data: bytes, renumber: _Renumber) -> bytes:
    """Rewrite names inside a protocol-2 pickle, lengths included, without unpickling it."""
    if b"___torch_mangle_" not in data:
        return data
    operations = list(pickletools.genops(data))
    ends = [position for _, _, position in operations[1:]] + [len(data)]
    out = io.BytesIO()
    for (opcode, arg, start), end in zip(operations, ends, strict=True):
        raw = data[start:end]
        if opcode.name == "BINUNICODE" and isinstance(arg, str) and "___torch_mangle_" in arg:
            text = renumber(arg.encode())
            out.write(b"X" + len(text).to_bytes(4, "little") + text)
        elif opcode.name == "GLOBAL":
            out.write(renumber(raw))
        else:
            out.write(raw)
    return out.getvalue()


def _names(source: Path) -> dict[str, int]:
    """Return the size in bytes of each record that is kept, in the file's order."""
    with zipfile.ZipFile(source) as archive:
        names = {i.filename.split("/", 1)[1]: i.file_size for i in archive.infolist()}
    return {n: s for n, s in names.items() if n != _STALE and not n.endswith(".debug_pkl")}


def read_records(source: Path, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Yield the named records, names being below the top folder, one at a time."""
    with zipfile.ZipFile(source) as archive:
        root = archive.namelist()[0].split("/", 1)[0]
        for name in names:
            yield name, archive.read(f"{root}/{name}")


def _is_text(name: str) -> bool:
    return name.startswith(("code/", "extra/")) or name.endswith(".pkl")


def write_records(
    path: Path, records: Iterable[tuple[str, bytes]], *, behind: tuple[Path, int] | None = None
) -> None:
    """Write a zip with one top folder, and in it text and empty stretches deflated.

    Weights are stored as they are: they hardly shrink, and the loader copies them as fast as the
    disk gives them. `behind` is a file, so many bytes of which come first: a program, which is no
    record. Raises OSError.
    """
    if behind is not None:
        source, size = behind
        with source.open("rb") as program:
            path.write_bytes(program.read(size))
    with zipfile.ZipFile(path, "w" if behind is None else "a") as archive:
        for name, data in records:
            info = zipfile.ZipInfo(f"archive/{name}")  # of 1980: no clock in the file
            info.create_system = 0
            small = len(data) <= SMALL and 2 * len(zlib.compress(data)) < len(data)
            if small or _is_text(name):
                info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data, compresslevel=6 if len(data) > _LONG else 9)


def read_lite(path: Path) -> LiteFile:
    """Read the bytecode of a lite file this package just wrote."""
    with zipfile.ZipFile(path) as archive:
        name = next(n for n in archive.namelist() if n.endswith("/bytecode.pkl"))
        bytecode = parse_bytecode(archive.read(name))
    return LiteFile(path=path, bytecode=bytecode, bytes=path.stat().st_size)


def save_lite(module: torch.jit.ScriptModule, scratch: Path) -> LiteFile:
    """Save an optimized module as a canonical lite file in `scratch`."""
    raw = scratch / "raw.ptl"
    with quiet():
        write_lite(module, raw)
    return canonicalize(raw, scratch)


def canonicalize(raw: Path, scratch: Path) -> LiteFile:
    """Rewrite `raw` with renumbered names, shared storages and no debug records; remove `raw`."""
    renumber = _Renumber()
    sizes = _names(raw)
    small = {}
    texts = (n for n, s in sizes.items() if s <= SMALL or _is_text(n))
    for name, data in read_records(raw, texts):
        if name.endswith(".pkl"):
            data = _renumber_pickle(data, renumber)
        elif name.startswith("code/"):
            data = renumber(data)
            name = renumber(name.encode()).decode()
        small[name] = data
    large = [n for n, s in sizes.items() if s > SMALL and not _is_text(n)]
    path = scratch / "archive.ptl"
    write_records(path, chain(compact_records(small).items(), read_records(raw, large)))
    raw.unlink()
    return read_lite(path)


def write_artifact(lite: LiteFile, metadata: Metadata, golden: Golden, target: Path) -> None:
    """Write the file with metadata and golden vectors in it to `target`, whose folder is made."""
    extra: Mapping[str, bytes] = {
        METADATA_RECORD: metadata.model_dump_json().encode(),
        GOLDEN_RECORD: golden.model_dump_json().encode(),
    }
    target.parent.mkdir(exist_ok=True)
    write_records(target, chain(extra.items(), read_records(lite.path, _names(lite.path))))
    # What was verified is what is shipped: every record of the lite file, unchanged.
    if not _checksums(lite.path).items() <= _checksums(target).items():
        raise ExportError(
            "The packaged file does not hold the verified one's records. This is a bug; please "
            "report the model and the torch version."
        )


def _checksums(path: Path) -> dict[str, tuple[int, int]]:
    with zipfile.ZipFile(path) as archive:
        infos = [(info.filename.split("/", 1)[1], info) for info in archive.infolist()]
    return {name: (info.file_size, info.CRC) for name, info in infos}
