"""Keys: made once, never overwritten, never shown, and those that minisign and OpenSSL make."""

from __future__ import annotations

import base64
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exporter.errors import UsageError
from exporter.package.keys import make_keys, read_secret_key
from runtime_check.signing import parse_signature, read_public_key

needs_minisign = pytest.mark.skipif(
    shutil.which("minisign") is None, reason="needs minisign: apt-get install minisign"
)
# RFC 8032, 7.1, TEST 2: a seed, its public key, and the signature of the byte 0x72.
SEED = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
RFC_PUBLIC = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
RFC_SIGNATURE = bytes.fromhex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


def pem(key: object, password: bytes = b"") -> bytes:
    encryption = (
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption()
    )
    return key.private_bytes(  # type: ignore[attr-defined]
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )


def test_a_pair_is_made_for_this_user_alone(tmp_path: Path) -> None:
    made = make_keys(tmp_path / "release.v1")
    assert (made.secret.name, made.public.name) == ("release.v1.key", "release.v1.pub")
    assert made.secret.stat().st_mode & 0o777 == 0o600
    assert made.public.stat().st_mode & 0o022 == 0
    assert read_public_key(made.public) == made.key == read_secret_key(made.secret).public
    assert made.key.key_id in made.public.read_text()


@pytest.mark.parametrize("there", ["a.key", "a.pub"])
def test_a_key_is_never_overwritten(tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_text("mine")
    with pytest.raises(UsageError, match=there):
        make_keys(tmp_path / "a")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [(there, "mine")]


def test_a_key_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "a.key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError):
        make_keys(tmp_path / "a")
    assert [p.name for p in tmp_path.iterdir()] == ["a.key"]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        make_keys(tmp_path / "absent/a")


def test_pem_signs_as_the_rfc_says(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_bytes(pem(Ed25519PrivateKey.from_private_bytes(SEED)))
    key = read_secret_key(file)
    assert key.public.key == RFC_PUBLIC
    # Of a PEM, which has no id: the first bytes of `printf 3d40... | xxd -r -p | sha256sum`.
    assert key.public.id.hex() == "39f713d0a644253f"
    assert parse_signature(key.minisig(b"\x72", "x")).signature == RFC_SIGNATURE


def test_what_is_no_secret_key(tmp_path: Path) -> None:
    good = make_keys(tmp_path / "good")
    raw = bytearray(base64.b64decode(good.secret.read_text().split()[-1]))
    ed25519 = Ed25519PrivateKey.from_private_bytes(SEED)

    def minisign(change: slice, value: bytes) -> bytes:
        changed = raw.copy()
        changed[change] = value
        return b"untrusted comment: x\n" + base64.b64encode(changed)

    wrong = {
        "absent": None,
        "empty": b"",
        "binary": b"\xff\0",
        "public": good.public.read_bytes(),
        "short": good.secret.read_bytes()[:-8],
        "password": minisign(slice(2, 4), b"Sc"),
        "unknown kind": minisign(slice(0, 2), b"RS"),
        "halves": minisign(slice(100, 101), bytes([raw[100] ^ 1])),
        "pem password": pem(ed25519, b"secret"),
        "pem of another kind": pem(generate_private_key(SECP256R1())),
        "damaged pem": pem(ed25519)[:60],
        "folder": None,
    }
    (tmp_path / "folder").mkdir()
    for name, content in wrong.items():
        file = tmp_path / name
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(UsageError) as caught:
            read_secret_key(file)
        assert "keygen NAME" in str(caught.value)
        assert name not in ("password", "pem password") or "password protects" in str(caught.value)
        assert base64.b64encode(raw[62:94]).decode()[4:20] not in str(caught.value)


def test_a_key_does_not_show_itself(tmp_path: Path) -> None:
    key = read_secret_key(make_keys(tmp_path / "a").secret)
    assert "Ed25519PrivateKey" not in repr(key)


@needs_minisign
def test_minisign_reads_our_keys_and_we_read_its(tmp_path: Path) -> None:
    def minisign(*arguments: str) -> None:
        subprocess.run(
            ["minisign", *arguments], cwd=tmp_path, check=True, input=b"\n\n", capture_output=True
        )

    (tmp_path / "text").write_bytes(b"hello\n")
    ours = make_keys(tmp_path / "ours")
    minisign("-S", "-l", "-W", "-s", "ours.key", "-m", "text")
    minisign("-V", "-p", "ours.pub", "-m", "text")
    minisign("-R", "-s", "ours.key", "-p", "again.pub")
    assert read_public_key(tmp_path / "again.pub") == ours.key

    minisign("-G", "-W", "-p", "its.pub", "-s", "its.key")
    its = read_secret_key(tmp_path / "its.key")
    assert its.public == read_public_key(tmp_path / "its.pub")
    (tmp_path / "text.minisig").write_bytes(its.minisig(b"hello\n", "Größe, 1.1"))
    minisign("-V", "-p", "its.pub", "-m", "text")
    minisign("-V", "-P", its.public.line, "-m", "text")
