"""Export reference models from two commits and compare the files record by record.

    python -m tests.same_bytes COMMIT [conv] [deit] [default] [int8]

Exports are reproducible to the byte, so a refactoring that changes a record is wrong. Differences
of `extra/metadata.json` are printed field by field, for a person to judge; any other difference
makes the exit code 1. Both sides run here, on this torch: files of two machines may differ.
Each side's arguments are those of its own command line, so options that both commits know are used.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
REFERENCES: Mapping[str, tuple[str, ...]] = {
    "conv": ("own_models:ConvNormNet", "--input-shape", "1,3,32,32"),
    "deit": ("deit_tiny_patch16_224", "--random-weights"),
    "default": ("tf_efficientnet_lite0",),
    "int8": ("tf_efficientnet_lite0", "--quantize", "static", "--calibration"),
}
PHOTOS = ROOT / "exporter" / "data" / "photos"
METADATA, GOLDEN = "extra/metadata.json", "extra/golden.json"
WIDTH = 200  # of a printed line: weights and golden data are long


def export(checkout: Path, reference: str, out: Path) -> Path:
    """Export one reference with the code of `checkout`; return the file."""
    arguments = list(REFERENCES[reference])
    if reference == "int8":
        arguments.append(str(PHOTOS))  # one folder for both sides
    search = os.pathsep.join(map(str, (checkout, ROOT / "tests" / "exporter")))
    command = [sys.executable, "-m", "exporter", "export", *arguments]
    subprocess.run(
        [*command, "--quiet", "--out", str(out), "--name", reference],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": search, "OMP_NUM_THREADS": "1"},
        check=True,
    )
    return out / f"{reference}.ptl"


def fields(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of a JSON value with their paths; lists of plain values are leaves."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from fields(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value and isinstance(value[0], (dict, list)):
        for index, inner in enumerate(value):
            yield from fields(inner, f"{path}[{index}]")
    else:
        yield path, value


def compare_files(before: Path, after: Path) -> tuple[list[str], list[str]]:
    """Return what must not differ and does, and the differences of the metadata, one line each."""
    old, new = records_of(before), records_of(after)
    wrong: list[str] = []
    meant: list[str] = []
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) == new.get(name):
            continue
        if name not in (METADATA, GOLDEN) or name not in old or name not in new:
            wrong.append(name)
            continue
        was, now = dict(fields(json.loads(old[name]))), dict(fields(json.loads(new[name])))
        for key in sorted(was.keys() | now.keys()):
            if was.get(key) != now.get(key):
                line = f"{name} {key}: {was.get(key, 'absent')} -> {now.get(key, 'absent')}"
                (meant if name == METADATA or key == "schema_version" else wrong).append(line)
    return wrong, meant


def records_of(file: Path) -> dict[str, bytes]:
    """Read the records of a file, by their names below the archive's top folder."""
    with zipfile.ZipFile(file) as archive:
        return {name.split("/", 1)[-1]: archive.read(name) for name in archive.namelist()}


def main(arguments: list[str]) -> int:
    """Compare this checkout with the commit in `arguments[0]`; return the exit code."""
    if not arguments or not set(arguments[1:]) <= set(REFERENCES):
        print(__doc__)
        return 2
    code = 0
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "base"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "-q", "--detach", str(base), arguments[0]], check=True)
        try:
            for reference in arguments[1:] or REFERENCES:
                before = export(base, reference, Path(folder) / "before")
                after = export(ROOT, reference, Path(folder) / "after")
                if before.read_bytes() == after.read_bytes():
                    print(f"{reference}: the same bytes", flush=True)
                    continue
                wrong, meant = compare_files(before, after)
                for line in wrong:
                    print(f"{reference}: DIFFERS {line}"[:WIDTH])
                for line in meant:
                    print(f"{reference}: {line}"[:WIDTH], flush=True)
                code = code or int(bool(wrong))
        finally:
            subprocess.run([*git, "remove", "--force", str(base)], check=True)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
