"""Run model files on the runtimes' own Android libraries, in a desktop Java on Linux x86-64.

    python tests/mobile/android/tools/desktop_native.py FILE.ptl ... FILE.pte ...

The binaries that ship in the APK (`libpytorch_jni_lite.so` and `libexecutorch.so`, x86_64), loaded
through the app's own Kotlin classes, replay the golden inputs. Two things make Android's libraries
loadable by glibc: their symbol versions are stripped, and `native/bionic.c` supplies what only
Android's C library has. Exit 1 when a file fails its golden inputs, 2 when it cannot be tried.
"""

from __future__ import annotations

import argparse
import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

from app_tools import HERE
from build_apk import app_classpath
from compile import fingerprint, joined, kotlinc
from downloads import ToolError, cache, find_program, made, run, sha256
from runtimes import libraries, native_libraries

SHIM_NAMES = ("libc.so", "libm.so", "libdl.so", "liblog.so", "libandroid.so")
BIONIC = HERE / "native" / "bionic.c"
# In both C libraries, with another contract: their capitalized namesakes are in bionic.c.
RENAMED = (
    "fflush", "fwrite", "fputc", "getc", "ungetc", "vfprintf", "fprintf",
    "strerror_r", "newlocale", "setlocale", "sysconf",
)  # fmt: skip

_LOAD, _DYNAMIC = 1, 2
_STRTAB, _STRSZ = 5, 10
# DT_VERSYM, DT_VERDEF, DT_VERDEFNUM, DT_VERNEED, DT_VERNEEDNUM
_VERSION_TAGS = {0x6FFFFFF0, 0x6FFFFFFC, 0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF}
_IGNORED_TAG = 0x6FFFFEF0  # a number the dynamic linker knows nothing of and skips


def adapt(library: bytes) -> bytes:
    """Strip the symbol versions of an ELF64 library and capitalize its `RENAMED` references.

    Android's versions (`malloc@LIBC`) name a library glibc is not. The names change in place, so
    every offset stays as it is.
    """
    data = bytearray(library)
    (at,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    headers = [struct.unpack_from("<IIQQQQQQ", data, at + index * size) for index in range(count)]
    loads = [(header[3], header[2], header[5]) for header in headers if header[0] == _LOAD]
    start, length = next((h[2], h[5]) for h in headers if h[0] == _DYNAMIC)
    values: dict[int, int] = {}
    for entry in range(start, start + length, 16):
        tag, value = struct.unpack_from("<QQ", data, entry)
        values[tag] = value
        if tag in _VERSION_TAGS:
            struct.pack_into("<Q", data, entry, _IGNORED_TAG)
    strings = next(
        values[_STRTAB] - address + offset
        for address, offset, long in loads
        if address <= values[_STRTAB] < address + long
    )
    end = strings + values[_STRSZ]
    table = bytes(data[strings:end])
    for name in RENAMED:
        old = b"\0" + name.encode() + b"\0"
        table = table.replace(old, b"\0" + name.capitalize().encode() + b"\0")
    data[strings:end] = table
    return bytes(data)


def native_folder(runtimes: str = "lite", version: str = "auto") -> Path:
    """Return a folder with the adapted libraries and the shim, made if need be."""
    aars = libraries(runtimes, version).aars
    key = fingerprint([BIONIC, Path(__file__)], *map(sha256, aars))

    def make(part: Path) -> None:
        part.mkdir()
        for name, library in native_libraries(aars, "x86_64").items():
            (part / name).write_bytes(adapt(library))
        command = [find_program("gcc"), "-shared", "-fPIC", "-O1", "-Wall", "-Werror"]
        command += ["-o", str(part / SHIM_NAMES[0]), str(BIONIC), "-Wl,-soname,libc.so", "-lm"]
        run(command, what="Compiling bionic.c")
        for name in SHIM_NAMES[1:]:
            (part / name).symlink_to(SHIM_NAMES[0])

    return made(cache() / f"native-{key}", make)


def environment(native: Path) -> dict[str, str]:
    """Return this process's environment, so that Java finds the libraries in `native`.

    The shim needs no preloading: only libraries that ask for `libc.so` by Android's name get it.
    libc++ does: Java brings libstdc++ along, whose `__cxa_throw` would come first otherwise, and an
    exception thrown with it ends the process instead of being caught.
    """
    return {
        **os.environ,
        "LD_LIBRARY_PATH": str(native),
        "LD_PRELOAD": str(native / "libc++_shared.so"),
    }


def runtimes_for(files: list[Path]) -> str:
    """Return what an app needs to be built with to open all of these files."""
    kinds = {path.suffix == ".pte" for path in files}
    return "both" if len(kinds) == 2 else "executorch" if True in kinds else "lite"


def replay(
    files: list[Path], version: str = "auto", runtimes: str | None = None
) -> list[dict[str, Any]]:
    """Replay the golden inputs of `files`; return one report a file."""
    runtimes = runtimes or runtimes_for(files)
    sources = [HERE / "native/Replay.kt"]
    classpath = app_classpath(runtimes, version)
    classes = kotlinc(sources, classpath, module="replay")
    native = native_folder(runtimes, version)
    command = [
        find_program("java"), f"-Djava.library.path={native}",
        "-cp", joined([classes, *classpath]), "dev.torchmobile.replay.ReplayKt",
        *map(str, files),
    ]  # fmt: skip
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, env=environment(native)
    )
    lines = [line for line in result.stdout.splitlines() if line.startswith("{")]
    if result.returncode or len(lines) != len(files):
        raise ToolError(f"Java ended with {result.returncode}:\n{result.stderr[-3000:]}")
    return [json.loads(line) for line in lines]


def main() -> int:
    """Replay the files named; print what the app's badge would say."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--runtime", default="auto", help="version of pytorch_android_lite")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    missing = [str(path) for path in options.files if not path.is_file()]
    if missing:
        sys.stderr.write(f"No such file: {', '.join(missing)}\n")
        return 2
    try:
        runtimes = runtimes_for(options.files)
        aars = libraries(runtimes, options.runtime).aars
        reports = replay(options.files, options.runtime)
    except (ToolError, subprocess.TimeoutExpired) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if options.json:
        sys.stdout.write(json.dumps(reports) + "\n")
    else:
        names = ", ".join(aar.name for aar in aars)
        sys.stdout.write(f"the x86_64 libraries of {names}\n")
        for report in reports:
            sys.stdout.write(f"{Path(report['file']).name}: {report['sentence']}\n")
    return 0 if all(report["passes"] for report in reports) else 1


if __name__ == "__main__":
    sys.exit(main())
