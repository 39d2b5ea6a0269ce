"""Write the fixtures in `tests/golden/` that pytest, JUnit and `swift test` all read.

One generator, so that Python, Kotlin and Swift are held to the same answers, and the answers come
from the code that exports: the contract's models, `runtime_check.compare`, Pillow's orientation.
What each file holds is said in its own `about` field or in the function in `golden/` that makes it.

    python -m tests.mobile.golden_files [FOLDER]

Numbers that JSON has no word for are the strings "NaN", "Infinity" and "-Infinity". Tensors are
written as in `extra/golden.json`: shape, dtype, little-endian bytes in base64.
"""

from __future__ import annotations

import sys
from pathlib import Path

from .golden.checks import golden_checks
from .golden.contract import contract_files
from .golden.downsample import downsample_vectors
from .golden.drawn import drawn_vectors
from .golden.geometry import geometry_vectors
from .golden.numbers import benchmark_files, statistics_vectors, top_k_vectors
from .golden.palette import palette_vectors
from .golden.photos import photo_vectors
from .golden.pixels import orientation_vectors, pixel_vectors
from .golden.program_errors import program_errors
from .golden.programs import program_files
from .golden.results import result_vectors
from .golden.sentences import sentences
from .golden.signed import signed_files
from .golden.stored import stored_vectors
from .golden.tiny import tiny_forward

__all__ = ["FOLDER", "golden_files", "tiny_forward", "write"]

FOLDER = Path(__file__).resolve().parents[1] / "golden"


def golden_files() -> dict[str, str]:
    """Return every fixture: path below `tests/golden` -> text."""
    made: dict[str, str] = {}
    for part in (
        contract_files, golden_checks, pixel_vectors, orientation_vectors, top_k_vectors,
        statistics_vectors, downsample_vectors, geometry_vectors, palette_vectors, drawn_vectors,
        photo_vectors, stored_vectors, benchmark_files, signed_files, program_files, program_errors,
        sentences, result_vectors,
    ):  # fmt: skip
        made.update(part())
    return made


def write(folder: Path) -> list[Path]:
    """Write all fixtures below `folder`; return their paths."""
    written = []
    for name, text in golden_files().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
        written.append(path)
    return written


if __name__ == "__main__":
    for golden_path in write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER):
        sys.stdout.write(f"{golden_path}\n")
