"""What is written behind a program, read by zip readers that know nothing of programs."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

import pytest

from exporter.package.archive import write_records

PROGRAM = b"\x30\0\0\0ET12" + b"not a real one" * 50
RECORDS = [("extra/metadata.json", b'{"a": 1}' * 40), ("extra/golden.json", b"[]")]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    source = tmp_path / "program"
    source.write_bytes(PROGRAM + b"what was behind it before")
    target = tmp_path / "a.pte"
    write_records(target, RECORDS, behind=(source, len(PROGRAM)))
    return target


def test_the_program_comes_first_and_unchanged(written: Path) -> None:
    data = written.read_bytes()
    assert data.startswith(PROGRAM)
    assert data[len(PROGRAM) :].startswith(b"PK\3\4")


def test_offsets_count_from_the_start_of_the_file(written: Path) -> None:
    with zipfile.ZipFile(written) as archive:
        assert {name: archive.read(f"archive/{name}") for name, _ in RECORDS} == dict(RECORDS)
        assert archive.infolist()[0].header_offset == len(PROGRAM)
    # The end record's own offset of the directory, as a reader without tricks takes it.
    data = written.read_bytes()
    directory = int.from_bytes(data[-6:-2], "little")
    assert data[directory : directory + 4] == b"PK\1\2"


def test_the_same_gives_the_same_bytes(written: Path, tmp_path: Path) -> None:
    again = tmp_path / "b.pte"
    write_records(again, RECORDS, behind=(written, len(PROGRAM)))
    assert again.read_bytes() == written.read_bytes()


def test_java_reads_the_records(written: Path, tmp_path: Path) -> None:
    """`java.util.zip.ZipFile`, which Android has too."""
    from shutil import which

    if which("java") is None:
        pytest.skip("no java on this machine")
    source = tmp_path / "Read.java"
    source.write_text(
        "import java.util.zip.*; public class Read { public static void main(String[] a) "
        "throws Exception { var z = new ZipFile(a[0]); System.out.print(new String(z.getInputStream"
        '(z.getEntry("archive/extra/golden.json")).readAllBytes())); } }'
    )
    done = subprocess.run(
        ["java", str(source), str(written)], capture_output=True, text=True, check=False
    )
    assert done.stdout == "[]", done.stderr
