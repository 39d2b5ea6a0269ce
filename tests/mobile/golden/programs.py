"""Files with an ExecuTorch program in front of their records, and what a reader must say of them.

The program is none: a reader takes its bytes as they are, and hands them on only where they are the
ones that the metadata were written for.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from .signed import (
    GOLDEN,
    KEY,
    METADATA,
    Records,
    flipped,
    member,
    pieces,
    signed,
    zipped,
)
from .tiny import Json, text, tiny_golden, tiny_metadata

PROGRAM = b"\x18\0\0\0ET12eh00" + b"stands for an ExecuTorch program " * 5
_PAIR = ["preprocess", "forward"]


def described(**changed: Any) -> bytes:
    """`metadata.json` of a file with `PROGRAM`, some of whose fields may be changed."""
    metadata = json.loads(tiny_metadata().model_dump_json())
    about = {
        "sha256": hashlib.sha256(PROGRAM).hexdigest(),
        "bytes": len(PROGRAM),
        "methods": _PAIR,
    }
    metadata |= {"schema_version": "2.1", "format": "pte", "program": about}
    for name, value in changed.items():
        (about if name in about else metadata)[name] = value
    return json.dumps(metadata, ensure_ascii=False).encode()


def records(metadata: bytes | None = None) -> Records:
    """The records behind a program."""
    golden = tiny_golden().model_dump_json().encode()
    return {METADATA: described() if metadata is None else metadata, GOLDEN: golden}


def file_of(held: Records, program: bytes = PROGRAM, behind: int | None = None) -> bytes:
    """Put a zip behind a program; its offsets count from the file's first byte, or as told."""
    members = [member(name, data) for name, data in held.items()]
    return program + zipped(members, behind=len(program) if behind is None else behind)


def _whole() -> dict[str, bytes]:
    vouched = signed(records())
    return {
        "good": file_of(vouched),
        "records in another order": file_of(dict(reversed(vouched.items()))),
        "the network alone": file_of(signed(records(described(methods=["forward"])))),
    }


# What a reader's sentence has to hold, in Python, in Kotlin and in Swift.
_ANOTHER = (
    "its program is not the one that the metadata was written for (SHA-256 of the first {} bytes)"
)
_ALONE = (
    "is an ExecuTorch program (.pte) without metadata and golden vectors behind it: it was cut "
    "off, or not made by this exporter"
)
_ODD = (
    "zip readers could disagree on what it holds: its directory does not lie where its end record "
    "says"
)
_MISSING = "without extra/metadata.json or extra/golden.json: it was not made by this exporter"
SAYS = {
    "one bit of the program": _ANOTHER.format(len(PROGRAM)),
    "another program of the same size": _ANOTHER.format(len(PROGRAM)),
    "a byte between program and zip": _ANOTHER.format(len(PROGRAM) + 1),
    "the program cut": _ANOTHER.format(len(PROGRAM) - 1),
    "the program alone": _ALONE,
    "a zip that counts from its own first byte": _ODD,
    "records on the program's head": _ODD,
    "one bit of the metadata": "extra/metadata.json cannot be read",
    "one bit of the golden vectors": "extra/golden.json cannot be read",
    "no metadata": _MISSING,
    "no golden vectors": _MISSING,
    "metadata of a lite file": (
        "is a .pte, and its metadata is of a .ptl: parts of two files were put together"
    ),
    "a lite file by its own word": "stated for a .pte, and for no other file",
    "no forward": "program.methods",
    "an unknown method": "program.methods",
    "a program of negative size": "program.bytes",
    "bytes behind the end": _ALONE,
    "another file behind": _ODD,
    "truncated": _ALONE,
}


def _damaged() -> dict[str, bytes]:
    vouched = signed(records())
    other = PROGRAM.replace(b"stands", b"stood.")
    without = {name: {n: d for n, d in records().items() if n != name} for name in records()}
    good = file_of(vouched)
    return {
        "one bit of the program": file_of(vouched, flipped(PROGRAM)),
        "another program of the same size": file_of(vouched, other),
        "a byte between program and zip": file_of(vouched, PROGRAM + b"\0"),
        "the program cut": file_of(vouched, PROGRAM[:-1]),
        "the program alone": PROGRAM,
        "a zip that counts from its own first byte": file_of(vouched, behind=0),
        "records on the program's head": file_of(vouched, PROGRAM[:8], behind=4),
        "one bit of the metadata": good.replace(b"clay", b"cmay"),
        "one bit of the golden vectors": good.replace(b'"wide"', b'"wie$"'),
        "no metadata": file_of(signed(without[METADATA])),
        "no golden vectors": file_of(signed(without[GOLDEN])),
        "metadata of a lite file": file_of(signed(records(described(program=None, format="ptl")))),
        "a lite file by its own word": file_of(signed(records(described(format="ptl")))),
        "no forward": file_of(signed(records(described(methods=["preprocess"])))),
        "an unknown method": file_of(signed(records(described(methods=[*_PAIR, "train"])))),
        "a program of negative size": file_of(signed(records(described(bytes=-1)))),
        "bytes behind the end": good + b"\0",
        "another file behind": good + good,
        "truncated": good[:-40],
    }


def program_files() -> dict[str, str]:
    """`programs.json`: files, and what a reader says of each."""
    good = _whole()["good"]
    cases: list[Json] = [
        {"name": name, "verdict": verdict, "says": SAYS.get(name, ""), "pieces": pieces(data, good)}
        for verdict, made in (("whole", _whole()), ("damaged", _damaged()))
        for name, data in made.items()
    ]
    about = (
        "Files with an ExecuTorch program in front of a zip whose offsets count from the file's "
        "first byte. whole: the program is the one its metadata were written for, both records can "
        "be read, and `public_key` signed them. damaged: a reader does not hand the file to the "
        "runtime, and `says` is part of its sentence. A file is made of pieces: "
        "[start, count] is a stretch of `good`, a text base64."
    )
    value = {
        "about": about,
        "public_key": KEY.public,
        "program": base64.b64encode(PROGRAM).decode(),
        "methods": _PAIR,
        "good": base64.b64encode(good).decode(),
        "cases": cases,
    }
    return {"programs.json": text(value)}
