"""Package: a program, and behind it a zip with the metadata and the golden vectors.

ExecuTorch reads a program up to the size it states and ignores the rest. Readers of zips find the
records from the end of the file. The hash of the program is in the metadata.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runtime_check.artifact.metadata import GOLDEN_RECORD, METADATA_RECORD, Golden, Metadata
from runtime_check.artifact.program import Method

from .archive import LiteFile, write_artifact, write_records


@dataclass(frozen=True, kw_only=True)
class ProgramFile:
    """An ExecuTorch program on disk, without metadata yet.

    `operators` are called so often by all methods. `planned_bytes` is the memory that each method
    takes at load for what it computes on the way.
    """

    path: Path
    bytes: int
    sha256: str
    methods: tuple[Method, ...]
    operators: Mapping[str, int]
    planned_bytes: Mapping[str, int]
    executorch: str  # version of what lowered it


def write_file(
    made: LiteFile | ProgramFile, metadata: Metadata, golden: Golden, target: Path
) -> None:
    """Write a file with metadata and golden vectors in it to `target`, whose folder is made."""
    if isinstance(made, LiteFile):
        write_artifact(made, metadata, golden, target)
        return
    target.parent.mkdir(exist_ok=True)
    records = {
        METADATA_RECORD: metadata.model_dump_json().encode(),
        GOLDEN_RECORD: golden.model_dump_json().encode(),
    }
    write_records(target, records.items(), behind=(made.path, made.bytes))
