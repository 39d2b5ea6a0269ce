"""The keys that vouch for files: minisign's, or PEM; made, read and used to sign."""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from runtime_check.signing import (
    ALGORITHM,
    ID_BYTES,
    KEY_BYTES,
    TRUSTED,
    UNTRUSTED,
    PublicKey,
    exact_base64,
    require_cryptography,
)

from ..errors import UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_MOST_BYTES = 2**16  # of a key file
_NO_PASSWORD, _CHECKSUM = b"\0\0", b"B2"
_SALT_BYTES = 32 + 8 + 8  # with the two costs of the password's hash
_SEED_AT = len(ALGORITHM) + len(_NO_PASSWORD) + len(_CHECKSUM) + _SALT_BYTES + ID_BYTES
_FILE_BYTES = _SEED_AT + 2 * KEY_BYTES + 32


@dataclass(frozen=True)
class SecretKey:
    """What signs, with the public key that it is verified with."""

    public: PublicKey
    _key: Ed25519PrivateKey = field(repr=False)

    def minisig(self, data: bytes, comment: str) -> bytes:
        """Sign `data`; return minisign's file, with a trusted comment of one line."""
        signature = self._key.sign(data)
        trusted = comment.encode()
        lines = (
            UNTRUSTED + f"signature by key {self.public.key_id}".encode(),
            base64.b64encode(ALGORITHM + self.public.id + signature),
            TRUSTED + trusted,
            base64.b64encode(self._key.sign(signature + trusted)),
        )
        return b"".join(line + b"\n" for line in lines)


@dataclass(frozen=True)
class KeyFiles:
    """A pair of keys on disk."""

    secret: Path
    public: Path
    key: PublicKey


def make_keys(name: Path | str) -> KeyFiles:
    """Make a pair of keys: NAME.key, which only this user can read, and NAME.pub.

    Both are minisign's, without a password. Raises `UsageError` where one of them exists.
    """
    require_cryptography()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    made = _secret_key(key)
    public = made.public
    secret = b"".join(
        (
            ALGORITHM, _NO_PASSWORD, _CHECKSUM, bytes(_SALT_BYTES), public.id,
            key.private_bytes_raw(), public.key, bytes(32),
        )
    )  # fmt: skip
    files = KeyFiles(secret=Path(f"{name}.key"), public=Path(f"{name}.pub"), key=public)
    line = base64.b64encode(secret).decode()
    _write_new(files.public, f"minisign public key {public.key_id}\n{public.line}\n", 0o644)
    try:
        _write_new(files.secret, f"minisign secret key {public.key_id}\n{line}\n", 0o600)
    except BaseException:
        files.public.unlink()
        raise
    return files


def _write_new(path: Path, text: str, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(UNTRUSTED + text.encode())
        except BaseException:
            path.unlink()
            raise
    except FileExistsError as error:
        raise UsageError(
            f"There is a {path} already, and a key that is overwritten is lost. Choose another "
            "name, or remove it."
        ) from error
    except OSError as error:
        raise UsageError(f"Cannot write {path}: {error.strerror}.") from error


def read_secret_key(path: Path) -> SecretKey:
    """Read a key without a password: minisign's file, or PEM (PKCS #8) of an Ed25519 key.

    Raises `UsageError`, which never shows what is in the file.
    """
    require_cryptography()
    try:
        with path.open("rb") as stream:
            data = stream.read(_MOST_BYTES)
    except OSError as error:
        raise UsageError(
            f"The key {path} cannot be read: {error.strerror}. Make one with `python -m exporter "
            "keygen NAME`."
        ) from error
    try:
        return _from_pem(data) if data.startswith(b"-----BEGIN") else _from_minisign(data)
    except ValueError as error:
        raise UsageError(
            f"{path} is no secret key that can sign: {error}. It takes minisign's file without a "
            "password, or an Ed25519 key in PEM; `python -m exporter keygen NAME` makes one."
        ) from error


def _from_minisign(data: bytes) -> SecretKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    lines = data.split()
    try:
        raw = exact_base64(lines[-1] if lines else b"", _FILE_BYTES)
    except ValueError:
        raise ValueError("it is not minisign's file") from None
    if not raw.startswith(ALGORITHM):
        raise ValueError("it is of an unknown kind")
    if raw[2:4] != _NO_PASSWORD:
        raise ValueError("a password protects it; `minisign -C -W -s KEY` removes that")
    seed, public = (raw[_SEED_AT + n : _SEED_AT + n + KEY_BYTES] for n in (0, KEY_BYTES))
    made = _secret_key(Ed25519PrivateKey.from_private_bytes(seed), raw[_SEED_AT - ID_BYTES :])
    if made.public.key != public:
        raise ValueError("it is damaged, its two halves do not belong together")
    return made


def _from_pem(data: bytes) -> SecretKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(data, password=None)
    except TypeError:
        raise ValueError("a password protects it") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("it is not the PEM of a secret key") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("it is not an Ed25519 key")
    return _secret_key(key)


def _secret_key(key: Ed25519PrivateKey, key_id: bytes = b"") -> SecretKey:
    """Complete a key. Where it has no id of its own, as in PEM, its hash is one."""
    public = key.public_key().public_bytes_raw()
    key_id = key_id[:ID_BYTES] or hashlib.sha256(public).digest()[:ID_BYTES]
    return SecretKey(PublicKey(key_id, public), key)
