"""Signatures of files, as minisign makes them: who vouches for the records of an artifact.

A signed file holds two more records. `extra/manifest.txt` has one line for every other record, in
the format of `sha256sum`; `extra/manifest.txt.minisig` is minisign's signature of it, pure Ed25519
(the kind that Java and CryptoKit verify without a library of their own). So anybody can check a
file with `unzip`, `sha256sum -c` and `minisign -V`.

Formats: https://jedisct1.github.io/minisign/#signature-format
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import Doubt, MissingCryptography, NotVouchedFor, RuntimeCheckError
from .printable import printable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

MANIFEST_RECORD = "extra/manifest.txt"
SIGNATURE_RECORD = "extra/manifest.txt.minisig"
OWN_RECORDS = (MANIFEST_RECORD, SIGNATURE_RECORD)
# A line for each of the most records that a file may have, with names of torch's usual length.
MAX_MANIFEST_BYTES = 16 * 2**20
MAX_SIGNATURE_BYTES = 16 * 2**10
INSTALL = 'pip install "cryptography>=40"'

ALGORITHM = b"Ed"
HASHED = b"ED"  # of a BLAKE2b hash: minisign's default since 0.9
ID_BYTES, KEY_BYTES, SIGNATURE_BYTES = 8, 32, 64
UNTRUSTED, TRUSTED = b"untrusted comment: ", b"trusted comment: "
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")
_KEY_LINE = re.compile(r"[A-Za-z0-9+/=]{40,80}")


@dataclass(frozen=True)
class PublicKey:
    """What a signature is verified with; `id` (8 bytes) says which of several keys it is."""

    id: bytes
    key: bytes

    def __post_init__(self) -> None:
        assert (len(self.id), len(self.key)) == (ID_BYTES, KEY_BYTES)

    @property
    def key_id(self) -> str:
        """The id as minisign prints it: 16 hex digits."""
        return shown_id(self.id)

    @property
    def line(self) -> str:
        """The key in one line, as minisign's `-P` and an app's build take it."""
        return base64.b64encode(ALGORITHM + self.id + self.key).decode()


@dataclass(frozen=True, kw_only=True)
class Signature:
    """What is in a minisign file. Nothing in it is verified yet; `comment` is its trusted one."""

    id: bytes
    signature: bytes
    comment: bytes
    comment_signature: bytes


@dataclass(frozen=True, kw_only=True)
class SignedBy:
    """Who signed a file. Only what is `verified` says anything: everybody can write an id.

    `key_id` is 16 hex digits, or "" where the signature cannot be read; `comment` is the signer's.
    """

    key_id: str
    comment: str
    verified: bool

    def __str__(self) -> str:
        if self.verified:
            return f"signed by {self.key_id}"
        if not self.key_id:
            return "signature unreadable"
        return f"signed (key id {self.key_id}, not verified)"


def shown_id(key_id: bytes) -> str:
    """Return a key's id as minisign prints it: a little-endian number in 16 hex digits."""
    return f"{int.from_bytes(key_id, 'little'):016X}"


def require_cryptography() -> None:
    """Raise `MissingCryptography` unless signatures can be made and verified here."""
    try:
        import cryptography.hazmat.primitives.asymmetric.ed25519  # noqa: F401
    except ImportError as error:
        raise MissingCryptography(
            f"Signatures need the package cryptography, which is not installed: `{INSTALL}`."
        ) from error


def exact_base64(text: bytes | str, size: int) -> bytes:
    """Decode base64 of `size` bytes that has one spelling only. Raises `ValueError`."""
    data = text.encode() if isinstance(text, str) else text
    try:
        raw = base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64 ({error})") from error
    if len(raw) != size or base64.b64encode(raw) != data:
        raise ValueError(f"not the base64 of {size} bytes")
    return raw


def read_public_key(key: Path | str) -> PublicKey:
    """Read minisign's public key, a line (`RW...`) or a file. Raises `RuntimeCheckError`."""
    text = str(key)
    if not (_KEY_LINE.fullmatch(text) and not Path(text).exists()):
        try:
            with Path(key).open("rb") as stream:
                lines = stream.read(MAX_SIGNATURE_BYTES).decode().split()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            raise RuntimeCheckError(
                f"There is no public key in {str(key)[:80]} ({reason}). Give minisign's line "
                "(RW...) or the file NAME.pub, which `python -m exporter keygen NAME` writes."
            ) from error
        text = lines[-1] if lines else ""
    try:
        raw = exact_base64(text, len(ALGORITHM) + ID_BYTES + KEY_BYTES)
        if not raw.startswith(ALGORITHM):
            raise ValueError("not of an Ed25519 key")
    except ValueError as error:
        raise RuntimeCheckError(
            f"{str(key)[:80]} is not a public key of minisign: {error}. Give its line (RW...) or "
            "the file NAME.pub, which `python -m exporter keygen NAME` writes."
        ) from error
    raw = raw[len(ALGORITHM) :]
    return PublicKey(raw[:ID_BYTES], raw[ID_BYTES:])


def parse_signature(data: bytes) -> Signature:
    """Read a minisign signature file of four lines. Raises `ValueError`."""
    lines = data.removesuffix(b"\n").split(b"\n")
    if len(lines) != 4 or not (lines[0].startswith(UNTRUSTED) and lines[2].startswith(TRUSTED)):
        raise ValueError("it is not a minisign signature of four lines")
    raw = exact_base64(lines[1], len(ALGORITHM) + ID_BYTES + SIGNATURE_BYTES)
    if raw[:2] == HASHED:
        raise ValueError("it is of minisign's hashed kind; sign with `minisign -S -l`")
    if raw[:2] != ALGORITHM:
        raise ValueError("it is of an unknown kind")
    return Signature(
        id=raw[2:10],
        signature=raw[10:],
        comment=lines[2].removeprefix(TRUSTED),
        comment_signature=exact_base64(lines[3], SIGNATURE_BYTES),
    )


def manifest_of(hashes: Mapping[str, str]) -> bytes:
    """Write the manifest of records, name -> SHA-256 in hex; sorted, so it is one for all."""
    lines = (f"{hashes[name]}  {name}\n" for name in sorted(hashes) if name not in OWN_RECORDS)
    return "".join(lines).encode()


def parse_manifest(data: bytes) -> dict[str, str]:
    """Read a manifest: record name -> SHA-256 in hex. Raises `ValueError`."""
    text = data.decode()
    if not text.endswith("\n"):
        raise ValueError("it ends in the middle of a line")
    found: dict[str, str] = {}
    for number, line in enumerate(text[:-1].split("\n"), 1):
        match = _LINE.fullmatch(line)
        if match is None or match[2] in found or match[2] in OWN_RECORDS:
            raise ValueError(f"its line {number} is not `SHA-256  RECORD` of another record")
        found[match[2]] = match[1]
    return found


def vouch(
    manifest: bytes, signature: bytes, hashes: Mapping[str, str], key: PublicKey, *, where: str
) -> SignedBy:
    """Verify that `key` signed exactly the records of a file, name -> SHA-256 in hex.

    `hashes` is of every record in the file, the two of the signature left out or not. Raises
    `NotVouchedFor` with what is wrong, and `MissingCryptography`.
    """
    require_cryptography()

    def refuse(doubt: Doubt, text: str) -> NotVouchedFor:
        return NotVouchedFor(
            f"{where} is not vouched for by key {key.key_id}: {text}. It was not opened. Get the "
            "file again from those who sign it, or sign it: `python -m exporter sign`.",
            doubt,
        )

    try:
        claim = parse_signature(signature)
    except ValueError as error:
        raise refuse("unreadable", f"its signature cannot be read, {error}") from error
    if claim.id != key.id:
        raise refuse("other-key", f"key {shown_id(claim.id)} signed it")
    verifier = _verifier(key)
    if not _signed(verifier, claim.signature, manifest):
        raise refuse("wrong-signature", "its manifest is not what was signed")
    if not _signed(verifier, claim.comment_signature, claim.signature + claim.comment):
        raise refuse("wrong-signature", "its signature's comment is not what was signed")
    try:
        listed = parse_manifest(manifest)
    except ValueError as error:
        raise refuse("unreadable", f"its manifest cannot be read, {error}") from error
    problem = _difference(listed, {n: h for n, h in hashes.items() if n not in OWN_RECORDS})
    if problem:
        raise refuse("other-records", problem)
    return SignedBy(key_id=key.key_id, comment=_shown(claim.comment), verified=True)


def unsigned(key: PublicKey, *, where: str) -> NotVouchedFor:
    """Return the refusal of a file that carries no signature."""
    return NotVouchedFor(
        f"{where} is not signed, and a signature by key {key.key_id} is demanded. It was not "
        "opened. Sign it with `python -m exporter sign`, or get it from those who do.",
        "unsigned",
    )


def claimed(signature: bytes) -> SignedBy:
    """Say who signed a file by its own word, which proves nothing."""
    try:
        claim = parse_signature(signature)
    except ValueError:
        return SignedBy(key_id="", comment="", verified=False)
    return SignedBy(key_id=shown_id(claim.id), comment=_shown(claim.comment), verified=False)


def _shown(comment: bytes) -> str:
    return printable(comment.decode(errors="replace"))


def _difference(listed: Mapping[str, str], found: Mapping[str, str]) -> str:
    for name in sorted({*listed, *found}):
        if name not in found:
            return f"its record {name} is missing"
        if name not in listed:
            return f"its record {name} was added after it was signed"
        if listed[name] != found[name]:
            return f"its record {name} was changed after it was signed"
    return ""


def _verifier(key: PublicKey) -> Ed25519PublicKey | None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        return Ed25519PublicKey.from_public_bytes(key.key)
    except ValueError:  # not a point of the curve: nothing is signed by it
        return None


def _signed(verifier: Ed25519PublicKey | None, signature: bytes, data: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature

    if verifier is None:
        return False
    try:
        verifier.verify(signature, data)
    except InvalidSignature:
        return False
    return True
