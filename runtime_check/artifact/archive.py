"""Open a `.ptl` as data: the zip's records, the metadata, the golden vectors, the bytecode.

Nothing here loads the network or runs anything in the file; a `.ptl` is data from elsewhere, so
every read is bounded.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from ..errors import UnreadableArtifact
from .bytecode import Bytecode, parse_bytecode
from .metadata import GOLDEN_RECORD, METADATA_RECORD, Golden, Metadata, parse_golden, parse_metadata

# Golden images are small and labels are short; larger records are a mistake or an attack.
MAX_JSON_BYTES = 64 * 2**20
MAX_BYTECODE_BYTES = 256 * 2**20
# torch stores tensors uncompressed and deflates only code, so real files stay near 1.
MAX_EXPANSION = 20
MAX_RECORDS = 100_000

EXPORT_AGAIN = "Make one with `python -m exporter export MODEL -o DIR`."


@dataclass(frozen=True)
class Record:
    """One member of the zip, below its top folder."""

    name: str
    size: int
    stored: int
    crc: int


@dataclass(frozen=True, kw_only=True)
class ArtifactFile:
    """A `.ptl` read as data."""

    path: Path
    bytes: int
    records: tuple[Record, ...]
    metadata: Metadata
    golden: Golden
    bytecode: Bytecode


# All that zipfile raises for a damaged or exotic member (encrypted, unknown compression).
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    NotImplementedError,
)


def _what_it_is(path: Path, head: bytes) -> str:
    if not head:
        return "is empty"
    if head[4:8] in (b"ET12", b"ET11"):
        return "is an ExecuTorch program (.pte), which another runtime reads"
    if head[4:8] == b"PTMF":
        return "is a flatbuffer lite file, which carries no metadata this tool can read safely"
    if head[:2] == b"\x80\x02":
        return "is a pickle (an old .pt or .pth checkpoint), not an exported model"
    return "is not a zip archive, so not a lite-interpreter file, or it is truncated"


def open_records(path: Path) -> tuple[zipfile.ZipFile, str, tuple[Record, ...]]:
    """Open the zip and list its records.

    Returns the open zip, the name of its single top folder, and the records below it. Raises
    `UnreadableArtifact` for anything that is not a plausible torch archive.
    """
    if not path.is_file():
        raise UnreadableArtifact(f"There is no file {path}. {EXPORT_AGAIN}")
    with path.open("rb") as stream:
        head = stream.read(16)
    try:
        archive = zipfile.ZipFile(path)
        infos = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError) as error:
        raise UnreadableArtifact(
            f"{path} {_what_it_is(path, head)} ({path.stat().st_size} bytes). {EXPORT_AGAIN}"
        ) from error
    try:
        roots = {info.filename.split("/", 1)[0] for info in infos}
        if len(roots) != 1 or not infos:
            raise UnreadableArtifact(
                f"{path} is a zip, but not one that torch wrote. {EXPORT_AGAIN}"
            )
        total = sum(info.file_size for info in infos)
        if len(infos) > MAX_RECORDS or total > MAX_EXPANSION * path.stat().st_size + 2**20:
            raise UnreadableArtifact(
                f"{path} would unpack to {total / 2**20:.0f} MiB in {len(infos)} records from "
                f"{path.stat().st_size / 2**20:.1f} MiB: it looks like a zip bomb, not opened."
            )
        # Readers disagree which of two records of one name counts (torch ignores case), so what
        # is checked here might not be what runs there.
        if len({info.filename.lower() for info in infos}) != len(infos):
            raise UnreadableArtifact(
                f"{path} holds two records of the same name: damaged or hostile, not opened."
            )
        root = roots.pop()
        records = tuple(
            Record(info.filename[len(root) + 1 :], info.file_size, info.compress_size, info.CRC)
            for info in infos
        )
    except UnreadableArtifact:
        archive.close()
        raise
    return archive, root, records


def read_record(archive: zipfile.ZipFile, name: str, limit: int, path: Path) -> bytes:
    """Read one record, at most `limit` bytes, its CRC checked; `KeyError` when it is missing."""
    info = archive.getinfo(name)
    if info.file_size > limit:
        raise UnreadableArtifact(f"{path}: {name} claims {info.file_size} bytes; refused.")
    try:
        with archive.open(info) as stream:
            data = stream.read(limit + 1)
    except _DAMAGE as error:
        raise UnreadableArtifact(
            f"{path} is damaged: {name} cannot be read ({error}). {EXPORT_AGAIN}"
        ) from error
    if len(data) > limit:
        raise UnreadableArtifact(f"{path}: {name} unpacks to more than {limit} bytes; refused.")
    return data


def check_records(archive: zipfile.ZipFile, path: Path) -> None:
    """Read every record once and check its CRC, which torch's loader does not.

    A flipped bit in a weight would otherwise load without a word and change the answers a little.
    """
    for info in archive.infolist():
        try:
            with archive.open(info) as stream:
                while stream.read(2**20):
                    pass
        except _DAMAGE as error:
            name = info.filename.split("/", 1)[-1]
            raise UnreadableArtifact(
                f"{path} is damaged: {name} cannot be read ({error}). {EXPORT_AGAIN}"
            ) from error


def read_bytecode(path: Path | str) -> Bytecode:
    """Read what a lite file asks of a runtime, whether or not it carries our metadata."""
    path = Path(path)
    archive, root, records = open_records(path)
    with archive:
        try:
            data = read_record(archive, f"{root}/bytecode.pkl", MAX_BYTECODE_BYTES, path)
        except KeyError as error:
            kind = "TorchScript (.pt)" if any(r.name == "data.pkl" for r in records) else "zip"
            raise UnreadableArtifact(
                f"{path} is a {kind} file without lite-interpreter bytecode. {EXPORT_AGAIN}"
            ) from error
    return parse_bytecode(data)


def read_artifact(path: Path | str) -> ArtifactFile:
    """Read and validate a `.ptl`; raise `UnreadableArtifact` or `UnsupportedSchema`."""
    path = Path(path)
    bytecode = read_bytecode(path)
    archive, root, records = open_records(path)
    with archive:
        try:
            meta = read_record(archive, f"{root}/{METADATA_RECORD}", MAX_JSON_BYTES, path)
            gold = read_record(archive, f"{root}/{GOLDEN_RECORD}", MAX_JSON_BYTES, path)
        except KeyError as error:
            raise UnreadableArtifact(
                f"{path} is a lite-interpreter file, but without {METADATA_RECORD} or "
                f"{GOLDEN_RECORD}: it was not made by this exporter. {EXPORT_AGAIN}"
            ) from error
        check_records(archive, path)
    return ArtifactFile(
        path=path,
        bytes=path.stat().st_size,
        records=records,
        metadata=parse_metadata(meta, where=f"{path}: {METADATA_RECORD}"),
        golden=parse_golden(gold, where=f"{path}: {GOLDEN_RECORD}"),
        bytecode=bytecode,
    )
