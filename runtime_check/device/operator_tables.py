"""Write `runtime_check/data/operators/*.json` from the real torch builds.

Run as `python -m runtime_check.device.operator_tables --out DIR`. Two sources:

(a) the ARM64 wheel of the release. `native/list_operators.cpp` runs in it (under qemu) and lists
    every operator its lite interpreter resolves, with the schema's arguments.
(b) the Android library of the AAR: which of those operators it really contains, read from the
    schema strings in `libpytorch_jni_lite.so`.

With the AAR of the same release (`--aar VERSION=FILE`), (b) decides for every operator.
Else it is done with the newest AAR that Maven Central's mirror has here (1.12.2, beside the wheel
of 1.12.1), and carried over by name: what that Android build lacked of its own release is what the
mobile build leaves out, namely full-JIT machinery (fusers, profiling, static runtime) and desktop
backends. Operators newer than it are judged by the same namespaces; the table says which.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import RuntimeCheckError
from ..files import file_sha256, write_whole
from ..scratch import temporary_folder
from .cores import LITE
from .errors import InstallFailed
from .toolchain import (
    NATIVE,
    RUNTIMES,
    WHEEL_1_12_1,
    Wheel,
    compile_program,
    emulator_command,
    ensure_prefix,
    ensure_wheel,
    require_tools,
)

_AAR_LIBRARY = "jni/arm64-v8a/libpytorch_jni_lite.so"
_COMPARED_AAR = "1.12.2"
# Desktop, distributed and test namespaces: absent from the Android build of 1.12.2, or newer than
# it and compiled only with oneDNN, c10d or the full JIT, none of which a mobile build has.
_DESKTOP_NAMESPACES = frozenset(
    {"static_runtime", "_test", "c10d", "inductor", "mkldnn", "mkldnn_prepacked", "onednn"}
)
# prim operators that register_prim_ops_fulljit.cpp and the graph fusers bring.
_FULL_JIT_PRIM = re.compile(r"prim::(.*MKLDNN.*|mkldnn_.*|oneDNN.*|.*Fusion.*|.*_copy)(\.|$)")
_NAME = re.compile(rb"(?:aten|prim|prims|quantized)::[A-Za-z_0-9]+(?:\.[A-Za-z_0-9]+)?")
_CLASS = re.compile(rb"__torch__\.torch\.classes\.[A-Za-z_0-9.]+")
_SCHEMA = re.compile(rb"(?<![\w.:])(?:(\w+)::)?(\w+)(?:\.(\w+))?\([^\0\n]*\) *-> *[^\0\n]+(?=\0)")


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What one wheel's lite interpreter resolves."""

    torch: str
    bytecode: tuple[int, int]
    operator_version: tuple[int, int]
    types: list[str]
    classes: list[str]
    operators: dict[str, dict[str, Any]] = field(repr=False)


def _candidates(library: bytes) -> list[str]:
    strings = re.split(rb"[^\x20-\x7e]+", library)
    names = {text.decode() for text in strings if _NAME.fullmatch(text)}
    names.update(match.group().rstrip(b".").decode() for match in _CLASS.finditer(library))
    return sorted(names)


def list_operators(wheel: Wheel, scratch: Path) -> Listing:
    """Build and run the lister against a wheel; raise `InstallFailed` when it does not run."""
    root = ensure_wheel(wheel, _say) / "torch"
    program = scratch / f"list-{wheel.version}"
    compile_program(
        [NATIVE / "list_operators.cpp"],
        program,
        arch="aarch64",
        root=root,
        flags=["-D_GLIBCXX_USE_CXX11_ABI=0"],
    )
    names = _candidates((root / "lib" / "libtorch_cpu.so").read_bytes())
    result = subprocess.run(
        [*emulator_command(ensure_prefix()), str(program)],
        input="\n".join(names),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if result.returncode:
        raise InstallFailed(
            f"The operator lister failed in torch {wheel.version}: {result.stderr.strip()[:500]}"
        )
    operators: dict[str, dict[str, Any]] = {}
    head: dict[str, Any] = {}
    for line in result.stdout.splitlines():
        entry = json.loads(line)
        if "op" in entry:
            operators[entry.pop("op")] = entry
        else:
            head.update(entry)
    low, high = head["bytecode"]
    first, last = head["operator_version"]
    return Listing(
        torch=head["torch"],
        bytecode=(low, high),
        operator_version=(first, last),
        types=head["types"],
        classes=head["classes"],
        operators=operators,
    )


def android_operators(library: bytes, names: Iterable[str]) -> set[str]:
    """Say which of `names` the Android library registers, from the schema strings it holds.

    aten schemas are stored without their namespace. The linker merges a string into a longer one
    that ends alike (`mm(...)` into `addmm(...)` only where the rest agrees), so an aten or
    quantized name that no string starts with counts when `name(` occurs at all.
    """
    held = set()
    for match in _SCHEMA.finditer(library):
        space = (match[1] or b"aten").decode()
        overload = f".{match[3].decode()}" if match[3] else ""
        held.add(f"{space}::{match[2].decode()}{overload}")
    for name in set(names) - held:
        space, _, rest = name.partition("::")
        needle = rest if space in {"aten", "quantized"} else name
        if f"{needle}(".encode() in library:
            held.add(name)
    return held & set(names)


def fetch_aar(version: str, scratch: Path) -> Path:
    """Fetch the Android library's AAR with Maven; raise `InstallFailed` when it is not served."""
    artifact = f"org.pytorch:pytorch_android_lite:{version}:aar"
    command = [
        "mvn", "-B", "-q", "dependency:copy", f"-Dartifact={artifact}",
        f"-DoutputDirectory={scratch}", "-Dmdep.useBaseVersion=true",
    ]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    path = scratch / f"pytorch_android_lite-{version}.aar"
    if result.returncode or not path.is_file():
        raise InstallFailed(f"Maven does not serve {artifact} here.")
    return path


def _library_of(aar: Path) -> bytes:
    with zipfile.ZipFile(aar) as archive:
        return archive.read(_AAR_LIBRARY)


def _carried_over(name: str, compared: Listing, android: set[str]) -> tuple[bool, bool]:
    """Return (mobile, seen): `seen` when the compared Android build decides, else the namespace."""
    space = name.partition("::")[0]
    if name in compared.operators:
        return name in android, True
    return space not in _DESKTOP_NAMESPACES and not _FULL_JIT_PRIM.match(name), False


def build_table(
    listing: Listing,
    wheel: Wheel,
    *,
    aar: Path | None,
    compared: Listing | None,
    compared_aar: Path | None,
) -> dict[str, Any]:
    """Join the two sources into one table; `aar` of the release wins over the compared one."""
    operators: dict[str, dict[str, Any]] = {}
    inferred = 0
    android: set[str] = set()
    if aar is not None:
        android = android_operators(_library_of(aar), listing.operators)
        origin = {"package": "org.pytorch:pytorch_android_lite", "sha256": file_sha256(aar)}
    elif compared is not None and compared_aar is not None:
        android = android_operators(_library_of(compared_aar), compared.operators)
        origin = {
            "package": f"org.pytorch:pytorch_android_lite:{_COMPARED_AAR}",
            "sha256": file_sha256(compared_aar),
            "compared_with": WHEEL_1_12_1.filename,
            "compared_with_sha256": WHEEL_1_12_1.sha256,
        }
    else:
        raise InstallFailed("No AAR to tell mobile operators from.")
    for name, entry in sorted(listing.operators.items()):
        if aar is not None:
            mobile, seen = name in android, True
        else:
            assert compared is not None
            mobile, seen = _carried_over(name, compared, android)
        inferred += not seen
        operators[name] = {**entry, "mobile": mobile, **({} if seen else {"inferred": True})}
    lacking = sum(1 for entry in operators.values() if not entry["mobile"])
    return {
        "runtime": f"pytorch-{listing.torch}",
        "bytecode": list(listing.bytecode),
        "operator_version": list(listing.operator_version),
        "types": listing.types,
        "classes": {name: name.split(".")[3] not in {"c10d", "mkldnn"} for name in listing.classes},
        "provenance": {
            "wheel": wheel.filename,
            "wheel_sha256": wheel.sha256,
            "how": "runtime_check/native/list_operators.cpp, run in the wheel under qemu",
            "mobile": {
                **origin,
                "how": f"schema strings of {_AAR_LIBRARY}"
                + ("" if aar is not None else ", carried over by name; newer ones by namespace"),
                "operators": len(operators),
                "not_mobile": lacking,
                "inferred": inferred,
            },
        },
        "operators": operators,
    }


def render(table: dict[str, Any]) -> str:
    """Write the table as JSON with one operator a line, sorted, so diffs stay readable."""
    head = [
        f" {json.dumps(key)}: {json.dumps(value, sort_keys=True)},"
        for key, value in table.items()
        if key != "operators"
    ]
    lines = [
        f"  {json.dumps(name)}: {json.dumps(entry, separators=(',', ':'))}"
        for name, entry in sorted(table["operators"].items())
    ]
    return "\n".join(["{", *head, ' "operators": {', ",\n".join(lines), " }", "}", ""])


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201  a maintainer's script


def main(arguments: list[str] | None = None) -> int:
    """Generate every table; exit 2 with one sentence when a source is not available."""
    parser = argparse.ArgumentParser(description="Generate the operator tables.")
    parser.add_argument("--out", type=Path, required=True, help="folder for the JSON files")
    parser.add_argument(
        "--aar", action="append", default=[], metavar="VERSION=FILE", help="the AAR of VERSION"
    )
    options = parser.parse_args(arguments)
    aars = {version: Path(path) for version, _, path in (a.partition("=") for a in options.aar)}
    try:
        require_tools("aarch64")
        with temporary_folder() as scratch:
            for version in ("2.1.0", "1.13.1", _COMPARED_AAR):
                if version not in aars:
                    try:
                        aars[version] = fetch_aar(version, scratch)
                    except InstallFailed as error:
                        _say(str(error))
            compared = list_operators(WHEEL_1_12_1, scratch) if _COMPARED_AAR in aars else None
            for runtime in RUNTIMES.values():
                if runtime.wheel is None or runtime.arch != "aarch64" or runtime.core is not LITE:
                    continue
                listing = list_operators(runtime.wheel, scratch)
                table = build_table(
                    listing,
                    runtime.wheel,
                    aar=aars.get(runtime.version),
                    compared=compared,
                    compared_aar=aars.get(_COMPARED_AAR),
                )
                path = options.out / f"{table['runtime']}.json"
                write_whole(path, render(table))
                _say(f"{path.name}: {json.dumps(table['provenance']['mobile'])}")
    except RuntimeCheckError as error:
        _say(f"error: {error}")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
