"""Signatures as the minisign program made them, and every way in which they can be wrong."""

from __future__ import annotations

import base64
import sys
from pathlib import Path

import pytest

from runtime_check.errors import Doubt, MissingCryptography, NotVouchedFor, RuntimeCheckError
from runtime_check.signing import (
    claimed,
    manifest_of,
    parse_manifest,
    parse_signature,
    read_public_key,
    vouch,
)

# `minisign -G -W`, then `minisign -S -l -m manifest.txt -t 'tiny, schema 1.1'` of minisign 0.11;
# the manifest is `sha256sum`'s, of files that hold "one" and "two".
PUBLIC = "RWRZIS18rXsELpUGIQfey7vSz8Ja8qhghc98tle6OL20JLvwN4WVi+wk"
KEY_ID = "2E047BAD7C2D2159"
OTHER = "RWST/zV1Uykfev/2snSbjOdvY1BVyFsD/PTiuo6f+Shmg7Aeu76LKI/q"
HASHES = {
    "data/0": "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed",
    "extra/metadata.json": "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3",
}
MANIFEST = b"""\
7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed  data/0
3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3  extra/metadata.json
"""
SIGNATURE = b"""\
untrusted comment: signature from minisign secret key
RWRZIS18rXsELlSL83IK4q0tVsB8XbIFkiYgg5P2gL3tCVwUtDpx4AamJEygN5lVSVGMukry1P2a25Aho0U/xTEjJekVfGB1mwY=
trusted comment: tiny, schema 1.1
BvYS8NBmeqLcwgMyJEy53r/b3uo4VlvuwtYRJSmrsLM4KwrOUni33uGqP2RI4wriP9ip7fnbiRXN/5WQAeoFCA==
"""
HASHED = b"""\
untrusted comment: signature from minisign secret key
RURZIS18rXsELvZbC5fIN1sT1vtB7j2kDWg/gPa3tm/2/hjxPrQ1eLDi+0qCC7ssPKvHeFtmhouMWlrpVeXCopuC9CfcqmytEgc=
trusted comment: tiny, schema 1.1
fPsuvRP1CReFQ6BtzHggkoKl0yCVIzBjDUD1V3z/IQbVqh9nN0ikLCdm8MyDyKlhc+uvmCz4F8djHU2BFpgFDg==
"""


def lines(index: int, line: bytes) -> bytes:
    """The signature with one line replaced."""
    changed = SIGNATURE.split(b"\n")
    changed[index] = line
    return b"\n".join(changed)


def doubt(
    manifest: bytes = MANIFEST,
    signature: bytes = SIGNATURE,
    hashes: dict[str, str] = HASHES,
    key: str = PUBLIC,
) -> tuple[Doubt, str]:
    with pytest.raises(NotVouchedFor) as caught:
        vouch(manifest, signature, hashes, read_public_key(key), where="a.ptl")
    assert caught.value.exit_code == 2
    return caught.value.doubt, str(caught.value)


def test_what_minisign_signed_is_vouched_for() -> None:
    key = read_public_key(PUBLIC)
    signed = vouch(MANIFEST, SIGNATURE, HASHES, key, where="a.ptl")
    assert (signed.key_id, signed.comment, signed.verified) == (KEY_ID, "tiny, schema 1.1", True)
    assert str(signed) == f"signed by {KEY_ID}"
    own = {"extra/manifest.txt": "0" * 64, "extra/manifest.txt.minisig": "1" * 64}
    assert vouch(MANIFEST, SIGNATURE, HASHES | own, key, where="a.ptl") == signed
    assert (key.key_id, key.line) == (KEY_ID, PUBLIC)


def test_the_manifest_is_what_sha256sum_writes() -> None:
    backwards = dict(reversed(HASHES.items()))
    own = {"extra/manifest.txt": "0" * 64, "extra/manifest.txt.minisig": "1" * 64}
    assert manifest_of(backwards | own) == MANIFEST
    assert parse_manifest(MANIFEST) == HASHES


@pytest.mark.parametrize(
    ("hashes", "words"),
    [
        (HASHES | {"data/0": "0" * 64}, "record data/0 was changed"),
        (HASHES | {"data/1": "0" * 64}, "record data/1 was added"),
        ({"data/0": HASHES["data/0"]}, "record extra/metadata.json is missing"),
        (
            {("data/1" if n == "data/0" else n): h for n, h in HASHES.items()},
            "record data/0 is missing",
        ),
        ({}, "record data/0 is missing"),
    ],
)
def test_other_records_than_were_signed(hashes: dict[str, str], words: str) -> None:
    why, text = doubt(hashes=hashes)
    assert why == "other-records"
    assert words in text


@pytest.mark.parametrize(
    "manifest",
    [
        MANIFEST.replace(b"7692", b"7693"),
        MANIFEST.replace(b"data/0", b"data/1"),
        MANIFEST[:-1],
        MANIFEST + MANIFEST,
        b"",
        b"\xff",
    ],
)
def test_another_manifest_than_was_signed(manifest: bytes) -> None:
    assert doubt(manifest=manifest)[0] == "wrong-signature"


def test_another_comment_than_was_signed() -> None:
    why, text = doubt(signature=lines(2, b"trusted comment: tiny, schema 1.2"))
    assert why == "wrong-signature"
    assert "comment" in text


def test_a_comment_that_is_not_trusted_may_be_any() -> None:
    signature = lines(0, b"untrusted comment: anything")
    assert vouch(MANIFEST, signature, HASHES, read_public_key(PUBLIC), where="a.ptl")


def test_another_key() -> None:
    why, text = doubt(key=OTHER)
    assert why == "other-key"
    assert f"key {KEY_ID} signed it" in text
    assert "7A1F29537535FF93" in text


def test_another_key_that_takes_the_id() -> None:
    raw, other = base64.b64decode(PUBLIC), base64.b64decode(OTHER)
    assert doubt(key=base64.b64encode(raw[:10] + other[10:]).decode())[0] == "wrong-signature"


def test_a_key_that_is_no_point_of_the_curve() -> None:
    raw = base64.b64decode(PUBLIC)[:10] + (2).to_bytes(32, "little")
    assert doubt(key=base64.b64encode(raw).decode())[0] == "wrong-signature"


SECOND, FOURTH = SIGNATURE.split(b"\n")[1], SIGNATURE.split(b"\n")[3]


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        b"\xff\xfe",
        SIGNATURE[:-10],
        SIGNATURE[: len(SIGNATURE) // 2],
        SIGNATURE + b"\n",
        SIGNATURE.replace(b"\n", b"\r\n"),
        lines(0, b"comment: x"),
        lines(1, b""),
        lines(1, SECOND[:-4]),
        lines(1, SECOND + b"="),
        lines(1, SECOND[:40] + b" " + SECOND[40:]),
        # The last letter's spare bits: another spelling of the same bytes.
        lines(1, SECOND[:-2] + bytes([SECOND[-2] + 1]) + b"="),
        lines(1, b"XX" + SECOND[2:]),
        lines(2, b"trusted: x"),
        lines(3, FOURTH[:-4]),
    ],
)
def test_a_signature_that_cannot_be_read(signature: bytes) -> None:
    assert doubt(signature=signature)[0] == "unreadable"
    unread = claimed(signature)
    assert (unread.key_id, unread.verified, str(unread)) == ("", False, "signature unreadable")


def test_the_hashed_kind_says_how_to_sign_instead() -> None:
    why, text = doubt(signature=HASHED)
    assert why == "unreadable"
    assert "`minisign -S -l`" in text


def test_a_flipped_bit_anywhere_in_the_signature_is_found() -> None:
    for line in (1, 3):
        raw = base64.b64decode(SIGNATURE.split(b"\n")[line])
        for bit in range(8 * len(raw)):
            flipped = bytearray(raw)
            flipped[bit // 8] ^= 1 << bit % 8
            doubt(signature=lines(line, base64.b64encode(flipped)))


@pytest.mark.parametrize(
    "manifest",
    [
        b"x  data/0\n",
        MANIFEST + MANIFEST,
        MANIFEST.replace(b"  ", b" *"),
        MANIFEST.upper(),
        MANIFEST.replace(b"data/0", b"extra/manifest.txt"),
        MANIFEST + b"\n",
        b"\xff" + MANIFEST,
    ],
)
def test_a_manifest_that_cannot_be_read(manifest: bytes) -> None:
    with pytest.raises(ValueError):
        parse_manifest(manifest)


def test_a_claim_is_shown_as_one() -> None:
    signature = lines(2, b"trusted comment: \x1b[2Jtiny \xff")
    assert str(claimed(signature)) == f"signed (key id {KEY_ID}, not verified)"
    assert claimed(signature).comment == "\\x1b[2Jtiny \ufffd"
    assert parse_signature(signature).comment == b"\x1b[2Jtiny \xff"


def test_a_public_key_is_a_line_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "a.pub"
    file.write_text(f"untrusted comment: minisign public key {KEY_ID}\n{PUBLIC}\n")
    assert read_public_key(file) == read_public_key(str(file)) == read_public_key(PUBLIC)
    file.write_text(PUBLIC)
    assert read_public_key(file) == read_public_key(PUBLIC)


@pytest.mark.parametrize(
    "text",
    ["", "absent.pub", PUBLIC[:-4], PUBLIC + "=", "ED" + PUBLIC[2:], "RW" + "A" * 300, "a\0b", "."],
)
def test_what_is_no_public_key(text: str) -> None:
    with pytest.raises(RuntimeCheckError, match="public key") as caught:
        read_public_key(text)
    assert "RW..." in str(caught.value)


def test_a_file_that_is_no_public_key(tmp_path: Path) -> None:
    for content in (b"", b"\n", b"\xff", b"hello", SIGNATURE):
        (tmp_path / "a.pub").write_bytes(content)
        with pytest.raises(RuntimeCheckError, match="public key"):
            read_public_key(tmp_path / "a.pub")


def test_without_the_package_one_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.ed25519", None)
    with pytest.raises(MissingCryptography, match="pip install"):
        vouch(MANIFEST, SIGNATURE, HASHES, read_public_key(PUBLIC), where="a.ptl")
    assert str(claimed(SIGNATURE)) == f"signed (key id {KEY_ID}, not verified)"
