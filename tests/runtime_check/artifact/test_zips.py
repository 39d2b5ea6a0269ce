"""A zip in which two readers could see different records is refused; torch's and ours pass."""

from __future__ import annotations

import contextlib
import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from runtime_check import UnreadableArtifact, read_artifact
from runtime_check.artifact.records import rewrite
from runtime_check.artifact.zips import OddZip, check_zip
from runtime_check.runtimes.lite import write_lite

DATA = b"weights" * 40


def plain(*names: str, **fields: Any) -> bytes:
    """A small zip as Python writes one, with fields of its `ZipInfo` changed."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name in names or ("m/version", "m/data/0"):
            info = zipfile.ZipInfo(name)
            for field, value in fields.items():
                setattr(info, field, value)
            archive.writestr(info, DATA)
    return sink.getvalue()


def entries(data: bytes) -> list[tuple[str, int]]:
    return [(entry.name, entry.size) for entry in check_zip(io.BytesIO(data))]


def patched(data: bytes, at: int, value: bytes) -> bytes:
    at %= len(data)
    return data[:at] + value + data[at + len(value) :]


def test_what_python_and_this_package_write_passes() -> None:
    assert entries(plain()) == [("m/version", 280), ("m/data/0", 280)]
    assert entries(rewrite(plain(), {})) == [("m/version", 280), ("m/data/0", 280)]
    assert entries(plain("m/größe")) == [("m/größe", 280)]


def test_a_zip_written_without_seeking_passes() -> None:
    """It has the sizes after the data, as torch's files do."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: object) -> int:
            raise OSError

    sink = Pipe()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("m/a", DATA)
    assert entries(sink.getvalue()) == [("m/a", 280)]


def test_64_bit_sizes_are_read() -> None:
    sink = io.BytesIO()
    with (
        zipfile.ZipFile(sink, "w") as archive,
        archive.open(zipfile.ZipInfo("m/a"), "w", force_zip64=True) as record,
    ):
        record.write(DATA)
    assert entries(sink.getvalue()) == [("m/a", 280)]


def test_files_of_torch_pass(tmp_path: Path, tensor_ptl: Any) -> None:
    module = torch.jit.script(torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU()))
    write_lite(module, tmp_path / "a.ptl")
    module.save(str(tmp_path / "a.pt"))
    torch.save({"a": torch.zeros(3)}, tmp_path / "a.pth")
    old = Path(__file__).parents[2] / "data" / "torch-2.13.ptl"
    for path in (tmp_path / "a.ptl", tmp_path / "a.pt", tmp_path / "a.pth", old, tensor_ptl.path):
        with zipfile.ZipFile(path) as archive:
            names = [(info.filename, info.file_size) for info in archive.infolist()]
        assert entries(path.read_bytes()) == names


def commented(data: bytes) -> bytes:
    return data[:-2] + b"\3\0abc"


def shifted(data: bytes) -> bytes:
    """Put bytes in front, and let the end record tell the new place of the directory."""
    (start,) = struct.unpack("<I", data[-6:-2])
    return b"PK\3\4" + patched(data, -6, struct.pack("<I", start + 4))


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "prefix": lambda data: b"#!/bin/sh\n" + data,
    "prefix_like_a_record": lambda data: b"PK\3\4" + b"\0" * 26 + data,
    "suffix": lambda data: data + b"\0",
    "two_files": lambda data: plain("m/evil") + data,
    "two_files_twice": lambda data: data + data,
    "comment": commented,
    "comment_of_a_whole_zip": lambda data: data[:-2] + struct.pack("<H", len(data)) + data,
    "shifted": shifted,
    "cut": lambda data: data[:-1],
    "end_alone": lambda data: data[-22:],
    "nothing": lambda data: b"",
    "disk": lambda data: patched(data, -18, b"\1"),
    "fewer_records_than_listed": lambda data: patched(data, -14, b"\1\0\1\0"),
    "more_records_than_listed": lambda data: patched(data, -14, b"\3\0\3\0"),
    "half_the_directory": lambda data: patched(data, -10, b"\x10"),
    "local_signature": lambda data: patched(data, 0, b"PK\3\5"),
    "local_flags": lambda data: patched(data, 6, b"\2"),
    "local_method": lambda data: patched(data, 8, b"\x08"),
    "local_crc": lambda data: patched(data, 14, b"abcd"),
    "local_stored": lambda data: patched(data, 18, b"\1\0\0\0"),
    "local_size": lambda data: patched(data, 22, b"\1\0\0\0"),
    "local_name": lambda data: data.replace(b"m/version", b"m/verse_1", 1),
    "local_name_length": lambda data: patched(data, 26, b"\1"),
    "local_extra_length": lambda data: patched(data, 28, b"\4"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_what_readers_could_read_otherwise_is_refused(change: Callable[[bytes], bytes]) -> None:
    assert entries(plain())
    with pytest.raises(OddZip):
        entries(change(plain()))


@pytest.mark.parametrize(
    "name",
    ["/m/a", "m//a", "m/../a", "../a", "m/./a", "m/", "m\\a", "m/a\x1b[1m", "m/\u202ea", "m/a\n"],
)
def test_names_that_are_not_plain_are_refused(name: str) -> None:
    with pytest.raises(OddZip, match="not a plain name"):
        entries(plain(name))


def test_names_that_differ_by_case_alone_are_refused() -> None:
    with pytest.raises(OddZip, match="two records of the same name"):
        entries(plain("m/bytecode.pkl", "m/Bytecode.PKL"))


def test_a_name_in_an_unstated_encoding_is_refused() -> None:
    with pytest.raises(OddZip, match="unknown encoding"):
        entries(plain("m/abc").replace(b"m/abc", b"m/a\xffc"))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"external_attr": 0o120777 << 16}, "link or a folder"),
        ({"external_attr": 0x10}, "link or a folder"),
        ({"comment": b"hello"}, "comment"),
        ({"extract_version": 63}, "newer zip version"),
        ({"extra": b"\x75\x70\x05\0\1\0\0\0\0"}, "extra field"),  # another name, in UTF-8
        ({"extra": b"FB\x09\0a"}, "extra field"),
        ({"extra": b"FB"}, "extra field"),
        ({"extra": b"\1\0\x08\0" + b"\0" * 8}, "64-bit size"),
    ],
)
def test_odd_records_are_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(OddZip, match=words):
        entries(plain(**fields))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_methods_are_refused(method: int) -> None:
    with pytest.raises(OddZip, match="unknown way"):
        entries(plain(compress_type=method))


def test_overlapping_records_are_refused() -> None:
    """Two records of the directory that share one header and its data."""
    data = plain("m/a", "m/b")
    at = data.rindex(b"PK\1\2")
    with pytest.raises(OddZip, match="does not end where the next record begins"):
        entries(patched(data, at + 42, b"\0\0\0\0"))


def test_a_gap_between_records_is_refused() -> None:
    data = plain("m/a", "m/b")
    second, directory = data.rindex(b"PK\3\4"), data.index(b"PK\1\2")
    gap = data[:second] + b"hidden.." + data[second:]
    gap = patched(gap, gap.rindex(b"PK\1\2") + 42, struct.pack("<I", second + 8))
    gap = patched(gap, -6, struct.pack("<I", directory + 8))
    with pytest.raises(OddZip, match="does not end where the next record begins"):
        entries(gap)


def test_sizes_after_the_data_have_to_agree(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(3)}, tmp_path / "a.pth")
    data = (tmp_path / "a.pth").read_bytes()
    with pytest.raises(OddZip, match="sizes after"):
        entries(patched(data, data.index(b"PK\7\x08") + 4, b"\0\0\0\0"))


@pytest.mark.parametrize("change", ["wide_count", "wide_start", "locator", "narrow"])
def test_both_ends_of_torchs_zip_have_to_agree(tmp_path: Path, change: str) -> None:
    torch.save({"a": torch.zeros(3)}, tmp_path / "a.pth")
    data = (tmp_path / "a.pth").read_bytes()
    at, locator, end = (data.rindex(mark) for mark in (b"PK\6\6", b"PK\6\7", b"PK\5\6"))
    where = {
        "wide_count": at + 32,
        "wide_start": at + 48,
        "locator": locator + 8,
        "narrow": end + 8,
    }
    with pytest.raises(OddZip):
        entries(patched(data, where[change], b"\1"))


@pytest.mark.parametrize("name", ["prefix_like_a_record", "suffix", "comment", "shifted"])
def test_an_artifact_so_changed_is_refused_with_a_sentence(
    name: str, tensor_ptl: Any, tmp_path: Path
) -> None:
    path = tmp_path / "odd.ptl"
    path.write_bytes(CHANGES[name](tensor_ptl.path.read_bytes()))
    with pytest.raises(UnreadableArtifact, match=r"odd\.ptl is not the zip that torch"):
        read_artifact(path)


def test_one_artifact_behind_another_is_refused(
    tensor_ptl: Any, image_ptl: Any, tmp_path: Path
) -> None:
    """Python reads the second, torch the first: what is checked would not be what runs."""
    path = tmp_path / "both.ptl"
    path.write_bytes(image_ptl.path.read_bytes() + tensor_ptl.path.read_bytes())
    with pytest.raises(UnreadableArtifact, match="zip readers could disagree"):
        read_artifact(path)


@pytest.mark.parametrize("start", range(0, 64))
def test_no_damage_raises_anything_else(start: int) -> None:
    data = plain()
    for at in range(start, len(data), 64):
        for value in (0, 1, 0x7F, 0xFF):
            with contextlib.suppress(OddZip):
                entries(patched(data, at, bytes([value])))
