"""A tiny signed file, and every way of tampering with it, as a reader must judge them.

The records are stored, so that the bytes hang on no version of zlib; two are deflated by hand.
"""

from __future__ import annotations

import base64
import hashlib
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from .tiny import Json, text, tiny_golden, tiny_metadata

MANIFEST, SIGNATURE = "extra/manifest.txt", "extra/manifest.txt.minisig"
METADATA, GOLDEN = "extra/metadata.json", "extra/golden.json"
WEIGHTS, PROGRAM, CODE = "constants/0", "bytecode.pkl", "code/größe.py"
COMMENT = b"tiny, schema 1.1"
_STRETCH = 24  # bytes that are worth being told as a stretch
_ORDER = 2**252 + 27742317777372353535851937790883648493  # of Ed25519's group

_CODE = b"def forward(self, image: Tensor) -> Tensor:\n    return self.shares(image)\n" * 6
# _CODE by zlib 1.2.13, level 9, without a header.
_CODE_DEFLATED = bytes.fromhex(
    "4b494d5348cb2f2a4f2c4ad1284ecd49d351c8cc4d4c4fb5520849cd2bce2fd254d0b5"
    "8332adb81480a028b5a4b4284f01a454af3823b128b55803ac41932b65d4243a9b0400"
)

Records = dict[str, bytes]


@dataclass(frozen=True)
class Pair:
    """A pair of keys of the fixtures; a secret key that everybody knows vouches for nothing."""

    seed: bytes
    id: bytes

    @property
    def secret(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)

    @property
    def public(self) -> str:
        raw = b"Ed" + self.id + self.secret.public_key().public_bytes_raw()
        return base64.b64encode(raw).decode()


KEY = Pair(b"one key of the golden fixtures..", bytes.fromhex("0123456789abcdef"))
OTHER = Pair(b"and another that nobody trusts..", bytes.fromhex("fedcba9876543210"))


def program() -> Records:
    """The records that a signature is over, in the file's order."""
    tables = ("instructions", "operators", "constants", "types", "register_size")
    operators = (("aten::sum", "", 2), ("aten::div", "Tensor", 2))
    rows = ((("OP", 0, 0),) * 5 + (("OP", 1, 0), ("RET", 0, 0)), operators, (), (), 3)
    function = ("__torch__.Tiny.forward", tuple(zip(tables, rows, strict=True)))
    return {
        METADATA: tiny_metadata().model_dump_json().encode(),
        GOLDEN: tiny_golden().model_dump_json().encode(),
        CODE: _CODE,
        PROGRAM: b"\x80\x02" + _pickled((8, function)) + b".",
        "version": b"3\n",
        WEIGHTS: struct.pack("<8f", *range(8)),
    }


def _pickled(value: Json) -> bytes:
    """Pickle tuples of small numbers and text, without a memo, whose use hangs on the Python."""
    if isinstance(value, tuple):
        return b"(" + b"".join(map(_pickled, value)) + b"t"
    if isinstance(value, int):
        return b"K" + bytes([value])
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def listing(records: Records) -> bytes:
    """The manifest, as `sha256sum` writes it."""
    names = sorted(name for name in records if name not in (MANIFEST, SIGNATURE))
    lines = [f"{hashlib.sha256(records[name]).hexdigest()}  {name}\n" for name in names]
    return "".join(lines).encode()


def minisig(manifest: bytes, pair: Pair = KEY, comment: bytes = COMMENT) -> bytes:
    """The signature file."""
    signature = pair.secret.sign(manifest)
    return lines(
        b"untrusted comment: signature of the golden fixtures",
        base64.b64encode(b"Ed" + pair.id + signature),
        b"trusted comment: " + comment,
        base64.b64encode(pair.secret.sign(signature + comment)),
    )


def lines(*parts: bytes) -> bytes:
    return b"".join(part + b"\n" for part in parts)


def signed(records: Records, manifest: bytes | None = None, pair: Pair = KEY) -> Records:
    """Add the two records of a signature."""
    manifest = listing(records) if manifest is None else manifest
    return {**records, MANIFEST: manifest, SIGNATURE: minisig(manifest, pair)}


@dataclass(frozen=True)
class Member:
    """One record as it lies in a zip; `local` is the name beside the data."""

    name: bytes
    data: bytes
    local: bytes
    packed: bytes
    method: int = 0

    def header(self, name: bytes) -> bytes:
        flags = 0 if name.isascii() else 1 << 11
        sizes = (zlib.crc32(self.data), len(self.packed), len(self.data))
        return struct.pack("<4H", flags, self.method, 0, 0x21) + struct.pack(
            "<3I2H", *sizes, len(name), 0
        )


def member(name: str, data: bytes) -> Member:
    """Store a record, or deflate it where that is known by heart."""
    full = f"archive/{name}".encode()
    if data == _CODE:
        return Member(full, data, full, _CODE_DEFLATED, 8)
    if name == "version":  # one block of deflate that is stored
        size = len(data)
        packed = b"\1" + struct.pack("<2H", size, size ^ 0xFFFF) + data
        return Member(full, data, full, packed, 8)
    return Member(full, data, full, data)


def zipped(
    members: list[Member], *, gap: bytes = b"", before_end: bytes = b"", behind: int = 0
) -> bytes:
    """Write a zip; `gap` lies in front of the directory, `before_end` behind it.

    Offsets count from `behind` bytes in front of it.
    """
    body, directory = b"", b""
    for one in members:
        start = behind + len(body)
        body += b"PK\3\4" + struct.pack("<H", 20) + one.header(one.local) + one.local + one.packed
        directory += b"PK\1\2" + struct.pack("<2H", 20, 20) + one.header(one.name)
        directory += struct.pack("<3H2I", 0, 0, 0, 0, start) + one.name
    body += gap
    count = len(members)
    start = behind + len(body)
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, len(directory), start, 0)
    return body + directory + before_end + end


def file_of(records: Mapping[str, bytes]) -> bytes:
    return zipped([member(name, data) for name, data in records.items()])


def flipped(data: bytes, at: int = -1) -> bytes:
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def edited(records: Records, **changed: bytes | None) -> Records:
    """Change or drop records, by the names of this module's constants in lower case."""
    names = {key: globals()[key.upper()] for key in changed}
    new = {names[key]: value for key, value in changed.items()}
    return {n: d for n, d in {**records, **new}.items() if d is not None}


def renamed(records: Records, old: str, new: str) -> Records:
    return {(new if name == old else name): data for name, data in records.items()}


def _accepted(plain: Records, good: Records) -> dict[str, bytes]:
    backwards = lines(*reversed(listing(plain).splitlines()))
    bare = good[SIGNATURE].split(b"\n", 1)[1]
    return {
        "good": file_of(good),
        "manifest in another order": file_of(signed(plain, backwards)),
        "another untrusted comment": file_of(
            edited(good, signature=b"untrusted comment: \n" + bare)
        ),
        "no line break at the end": file_of(edited(good, signature=good[SIGNATURE][:-1])),
        "records in another order": file_of(dict(reversed(good.items()))),
    }


def _other_records(good: Records) -> dict[str, bytes]:
    swapped = edited(good, metadata=good[GOLDEN], golden=good[METADATA])
    decomposed = CODE.replace("ö", "o\u0308")  # the same letter for a person
    return {
        "one bit of a weight": file_of(edited(good, weights=flipped(good[WEIGHTS]))),
        "one bit of the program": file_of(edited(good, program=flipped(good[PROGRAM], 4))),
        "metadata changed": file_of(
            edited(good, metadata=good[METADATA].replace(b"clay", b"gold"))
        ),
        "golden vectors changed": file_of(
            edited(good, golden=good[GOLDEN].replace(b"wide", b"wild"))
        ),
        "code changed": file_of(edited(good, code=_CODE + b"\n")),
        "a record emptied": file_of(edited(good, weights=b"")),
        "a record added": file_of({"constants/1": b"more", **good}),
        "an empty record added": file_of({**good, "constants/1": b""}),
        "a record removed": file_of(edited(good, golden=None)),
        "a record renamed": file_of(renamed(good, WEIGHTS, "constants/1")),
        "a record renamed in case": file_of(renamed(good, "version", "Version")),
        "a record renamed in code points": file_of(renamed(good, CODE, decomposed)),
        "two records swapped": file_of(swapped),
    }


def _wrong_signature(plain: Records, good: Records) -> dict[str, bytes]:
    first, second, third, fourth = good[SIGNATURE].splitlines()
    raw, last = base64.b64decode(second), base64.b64decode(fourth)
    weights = edited(plain, weights=flipped(good[WEIGHTS]))
    by_other = replace(OTHER, id=KEY.id)
    # S + L: the same signature to those who do not look.
    scalar = (int.from_bytes(raw[42:], "little") + _ORDER).to_bytes(32, "little")

    def with_lines(a: bytes = second, b: bytes = third, c: bytes = fourth) -> bytes:
        return file_of(edited(good, signature=lines(first, a, b, c)))

    def with_raw(value: bytes) -> bytes:
        return with_lines(base64.b64encode(value))

    return {
        "manifest changed with a weight": file_of(
            edited(weights, manifest=listing(weights), signature=good[SIGNATURE])
        ),
        "manifest changed alone": file_of(edited(good, manifest=flipped(good[MANIFEST], 0))),
        "manifest emptied": file_of(edited(good, manifest=b"")),
        "another key under the id of the right one": file_of(signed(plain, pair=by_other)),
        "a signature of zeros": with_raw(raw[:10] + bytes(64)),
        "one bit of R": with_raw(flipped(raw, 10)),
        "one bit of S": with_raw(flipped(raw, 42)),
        "S plus the order of the group": with_raw(raw[:42] + scalar),
        "comment changed": with_lines(b=third + b"0"),
        "comment's signature changed": with_lines(c=base64.b64encode(flipped(last))),
        "comment's signature is the manifest's": with_lines(c=base64.b64encode(raw[10:])),
    }


def _unreadable(plain: Records, good: Records) -> dict[str, bytes]:
    first, second, third, fourth = good[SIGNATURE].splitlines()
    raw = base64.b64decode(second)
    manifest = listing(plain)

    def with_signature(value: bytes) -> bytes:
        return file_of(edited(good, signature=value))

    return {
        "signature truncated": with_signature(good[SIGNATURE][:-20]),
        "signature cut to its first half": with_signature(lines(first, second)),
        "signature emptied": with_signature(b""),
        "signature with a line more": with_signature(lines(first, second, third, fourth, b"")),
        "signature with Windows line breaks": with_signature(
            good[SIGNATURE].replace(b"\n", b"\r\n")
        ),
        "signature of the hashed kind": with_signature(
            lines(first, base64.b64encode(b"ED" + raw[2:]), third, fourth)
        ),
        "base64 with other spare bits": with_signature(
            lines(first, second[:-2] + bytes([second[-2] + 1]) + b"=", third, fourth)
        ),
        "base64 without padding": with_signature(lines(first, second[:-1], third, fourth)),
        "base64 with a space": with_signature(
            lines(first, second[:8] + b" " + second[8:], third, fourth)
        ),
        "no trusted comment": with_signature(lines(first, second, b"comment: x", fourth)),
        "signed manifest without its last line break": file_of(signed(plain, manifest[:-1])),
        "signed manifest with a line twice": file_of(
            signed(plain, manifest + manifest.split(b"\n")[0] + b"\n")
        ),
        "signed manifest with itself in it": file_of(
            signed(plain, manifest + b"0" * 64 + b"  " + MANIFEST.encode() + b"\n")
        ),
        "signed manifest of upper case": file_of(signed(plain, manifest.upper())),
    }


def _odd(good: Records) -> dict[str, bytes]:
    data = file_of(good)
    members = [member(name, content) for name, content in good.items()]
    evil = file_of(edited(good, weights=flipped(good[WEIGHTS])))
    weights = next(m for m in members if m.name.endswith(WEIGHTS.encode()))
    disagree = [replace(m, local=m.local[:-1] + b"1") if m is weights else m for m in members]
    twice = replace(weights, data=b"evil", packed=b"evil")
    in_case = replace(twice, name=b"archive/Constants/0", local=b"archive/Constants/0")
    elsewhere = replace(twice, name=b"other/constants/1", local=b"other/constants/1")
    sneaky = replace(twice, name=b"archive/a/../constants/0", local=b"archive/a/../constants/0")
    # What a reader of 64-bit zips looks for in front of the end.
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, 0, 1)
    return {
        "bytes behind the end": data + b"\0",
        "bytes in front": b"\0" + data,
        "a comment": data[:-2] + b"\1\0x",
        "another file behind": data + evil,
        "another file in front": evil + data,
        "a gap in front of the directory": zipped(members, gap=evil),
        "a 64-bit locator": zipped(members, before_end=locator),
        "a name beside the data that is not the directory's": zipped(disagree),
        "a record twice": zipped([*members, twice]),
        "a record twice, in upper case": zipped([*members, in_case]),
        "two top folders": zipped([*members, elsewhere]),
        "a name that climbs": zipped([*members, sneaky]),
        "truncated": data[:-40],
        "empty": b"",
    }


def pieces(data: bytes, base: bytes) -> list[Json]:
    """Write `data` as stretches of `base`, [start, count], and what is new, in base64."""
    places = {base[i : i + _STRETCH]: i for i in range(len(base) - _STRETCH, -1, -1)}
    found: list[Json] = []
    new, at = b"", 0
    while at < len(data):
        start = places.get(data[at : at + _STRETCH])
        if start is None:
            new += data[at : at + 1]
            at += 1
            continue
        count = _STRETCH
        while data[at : at + count + 1] == base[start : start + count + 1] and at + count < len(
            data
        ):
            count += 1
        found += [base64.b64encode(new).decode()] if new else []
        found.append([start, count])
        new, at = b"", at + count
    return [*found, base64.b64encode(new).decode()] if new else found


def signed_files() -> dict[str, str]:
    """`signed.json`: files, and what a reader with the public key says of each."""
    plain = program()
    good = signed(plain)
    verdicts: dict[str, Callable[[], dict[str, bytes]]] = {
        "signed": lambda: _accepted(plain, good),
        "unsigned": lambda: {
            "nothing signed": file_of(plain),
            "no signature": file_of(edited(good, signature=None)),
            "no manifest": file_of(edited(good, manifest=None)),
        },
        "other-key": lambda: {"signed by another key": file_of(signed(plain, pair=OTHER))},
        "other-records": lambda: _other_records(good),
        "wrong-signature": lambda: _wrong_signature(plain, good),
        "unreadable": lambda: _unreadable(plain, good),
        "odd-zip": lambda: _odd(good),
    }
    cases = [
        {"name": name, "verdict": verdict, "pieces": pieces(data, file_of(good))}
        for verdict, make in verdicts.items()
        for name, data in make().items()
    ]
    about = (
        "Files and what a reader that trusts `public_key` says of them: signed, or why it refuses "
        "the file before anything in it is used. odd-zip: other readers could see other records. "
        "A file is made of pieces: [start, count] is a stretch of `good`, a text is base64."
    )
    value = {
        "about": about,
        "public_key": KEY.public,
        "key_id": "EFCDAB8967452301",
        "other_public_key": OTHER.public,
        "comment": COMMENT.decode(),
        "good": base64.b64encode(file_of(good)).decode(),
        "cases": cases,
    }
    return {"signed.json": text(value)}
