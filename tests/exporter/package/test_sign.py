"""Signed files: the same program, one signature over all of it, and nothing else passes."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from own_models import ConvNormNet

import exporter
from exporter.errors import UsageError
from exporter.package.keys import KeyFiles, make_keys
from exporter.package.sign import sign
from runtime_check.artifact.archive import read_artifact
from runtime_check.artifact.metadata import SCHEMA_VERSION
from runtime_check.errors import Doubt, NotVouchedFor, UnreadableArtifact
from runtime_check.testing.archives import records_of, with_records

MANIFEST, SIGNATURE = "extra/manifest.txt", "extra/manifest.txt.minisig"
WEIGHTS = "constants/float.storage"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> KeyFiles:
    return make_keys(tmp_path_factory.mktemp("keys") / "release")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    out = tmp_path_factory.mktemp("plain")
    return exporter.export(ConvNormNet(), out=out, input_shape=(1, 3, 8, 8)).path


@pytest.fixture(scope="module")
def signed(plain: Path, keys: KeyFiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = Path(shutil.copy(plain, tmp_path_factory.mktemp("signed")))
    assert sign(path, keys.secret) == keys.key
    return path


def test_the_signature_is_over_every_record(signed: Path, plain: Path, keys: KeyFiles) -> None:
    before, after = records_of(plain), records_of(signed)
    listed = [line.split("  ") for line in after[MANIFEST].decode().splitlines()]
    assert listed == [[hashlib.sha256(before[n]).hexdigest(), n] for n in sorted(before)]
    assert {n: d for n, d in after.items() if n not in (MANIFEST, SIGNATURE)} == before
    by = read_artifact(signed, verify_key=keys.key).signature
    assert by is not None
    assert (by.key_id, by.verified) == (keys.key.key_id, True)
    assert by.comment == f"ConvNormNet, schema {read_artifact(plain).metadata.schema_version}"


def test_without_a_key_a_signature_is_a_claim(signed: Path, plain: Path, keys: KeyFiles) -> None:
    claim = read_artifact(signed).signature
    assert str(claim) == f"signed (key id {keys.key.key_id}, not verified)"
    assert read_artifact(plain).signature is None


def test_torch_loads_it_as_before(signed: Path, plain: Path) -> None:
    x = torch.randn(1, 3, 8, 8)
    assert torch.equal(exporter.load(signed)(x), exporter.load(plain)(x))


def test_signing_repeats_to_the_byte(
    signed: Path, plain: Path, keys: KeyFiles, tmp_path: Path
) -> None:
    again = Path(shutil.copy(signed, tmp_path))
    sign(again, keys.secret)
    assert again.read_bytes() == signed.read_bytes()
    torch.manual_seed(0)
    made = exporter.export(
        ConvNormNet(), out=tmp_path / "out", input_shape=(1, 3, 8, 8), sign=keys.secret
    )
    assert made.path.read_bytes() == signed.read_bytes()
    assert made.report is not None
    assert [n.text for n in made.report.notes if n.kind == "signature"] == [
        f"signed with key {keys.key.key_id}"
    ]
    assert sum(part.bytes for part in made.report.parts) == made.path.stat().st_size


def test_another_key_takes_the_place_of_the_first(
    signed: Path, keys: KeyFiles, tmp_path: Path
) -> None:
    other = make_keys(tmp_path / "other")
    path = Path(shutil.copy(signed, tmp_path))
    sign(path, other.secret)
    assert read_artifact(path, verify_key=other.key)
    assert refused(path, keys) == "other-key"


def test_a_file_keeps_its_mode_and_its_links(plain: Path, keys: KeyFiles, tmp_path: Path) -> None:
    path, link = Path(shutil.copy(plain, tmp_path)), tmp_path / "link.ptl"
    path.chmod(0o640)
    link.symlink_to(path.name)
    sign(link, keys.secret)
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    assert read_artifact(path, verify_key=keys.key)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([path.name, link.name])


def refused(path: Path, keys: KeyFiles) -> Doubt:
    with pytest.raises(NotVouchedFor) as caught:
        read_artifact(path, verify_key=keys.key)
    assert str(path) in str(caught.value)
    return caught.value.doubt


def flipped(record: bytes) -> bytes:
    return record[:-1] + bytes([record[-1] ^ 1])


@pytest.mark.parametrize(
    ("change", "doubt"),
    [
        (lambda r: {WEIGHTS: flipped(r[WEIGHTS])}, "other-records"),
        (lambda r: {"bytecode.pkl": flipped(r["bytecode.pkl"])}, "other-records"),
        (lambda r: {"extra/metadata.json": r["extra/metadata.json"] + b" "}, "other-records"),
        (lambda r: {"extra/golden.json": r["extra/golden.json"] + b" "}, "other-records"),
        (lambda r: {"extra/golden.json": None}, "other-records"),
        (lambda r: {"extra/more": b"x"}, "other-records"),
        (lambda r: {WEIGHTS: None, f"{WEIGHTS}2": r[WEIGHTS]}, "other-records"),
        (lambda r: {MANIFEST: r[MANIFEST].replace(b"a", b"b", 1)}, "wrong-signature"),
        (lambda r: {SIGNATURE: r[SIGNATURE][:-5]}, "unreadable"),
        (lambda r: {SIGNATURE: b""}, "unreadable"),
        (lambda r: {SIGNATURE: None}, "unsigned"),
        (lambda r: {MANIFEST: None}, "unsigned"),
        (lambda r: {MANIFEST: None, SIGNATURE: None}, "unsigned"),
    ],
)
def test_a_file_that_is_not_as_it_was_signed_is_refused(
    signed: Path,
    keys: KeyFiles,
    tmp_path: Path,
    change: Callable[[dict[str, bytes]], dict[str, bytes | None]],
    doubt: Doubt,
) -> None:
    path = with_records(signed, tmp_path / "a.ptl", change(records_of(signed)))
    assert refused(path, keys) == doubt


def test_a_key_that_cannot_sign_is_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="keygen NAME"):
        exporter.export("no-such-model", out=tmp_path / "out", sign=tmp_path / "absent.key")
    assert not list(tmp_path.iterdir())


def test_only_exported_files_are_signed(keys: KeyFiles, tmp_path: Path) -> None:
    path = tmp_path / "a.ptl"
    path.write_bytes(b"hello")
    with pytest.raises(UnreadableArtifact):
        sign(path, keys.secret)
    assert path.read_bytes() == b"hello"


@pytest.mark.skipif(
    not (shutil.which("minisign") and shutil.which("sha256sum")),
    reason="needs minisign: apt-get install minisign",
)
def test_anybody_can_check_it_without_this_project(
    signed: Path, keys: KeyFiles, tmp_path: Path
) -> None:
    with zipfile.ZipFile(signed) as archive:
        archive.extractall(tmp_path)

    def shell(command: str) -> str:
        done = subprocess.run(
            command, shell=True, cwd=tmp_path / "archive", check=True, capture_output=True,
            text=True,
        )  # fmt: skip
        return done.stdout

    shown = shell(f"minisign -V -m {MANIFEST} -P {keys.key.line}")
    assert f"Trusted comment: ConvNormNet, schema {SCHEMA_VERSION}" in shown
    checked = shell(f"sha256sum -c {MANIFEST}").splitlines()
    assert len(checked) == len(records_of(signed)) - 2
    assert all(line.endswith(": OK") for line in checked)
