"""The libraries that run models: PyTorch's lite interpreter, ExecuTorch, or both; and our own."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from compile import aar_classes
from downloads import EXECUTORCH, from_npm, maven, runtime_aar

CHOICES = ("lite", "executorch", "both")


@dataclass(frozen=True)
class Libraries:
    """What one choice of runtimes brings: jars of classes, and AARs with native libraries.

    Of two libraries of one name the first AAR's is taken.
    """

    classes: list[Path]
    aars: list[Path]


def libraries(choice: str, version: str = "auto") -> Libraries:
    """Return what `choice` of `CHOICES` needs; `version` is that of `pytorch_android_lite`."""
    if choice == "lite":
        aar = runtime_aar(version)
        return Libraries([*maven("app"), aar_classes(aar)], [aar])
    # fbjni's own AAR has its classes and a libfbjni.so for 16 KB pages, which PyTorch's AAR has
    # not. An app can have only one: where both runtimes are packed, this one.
    fbjni, loader = maven("executorch")
    aars = [fbjni, from_npm(EXECUTORCH)]
    if choice == "both":
        aars.append(runtime_aar(version))
    return Libraries([loader, *map(aar_classes, aars)], aars)


def own_libraries(choice: str) -> list[str]:
    """Return the libraries of this project that an app of `choice` takes in."""
    runtimes = {"lite": ["lite"], "executorch": ["executorch"], "both": ["lite", "executorch"]}
    return ["core", "runtime-photos", *(f"runtime-{name}" for name in runtimes[choice])]


def native_libraries(aars: Sequence[Path], abi: str) -> dict[str, bytes]:
    """Read every library of `abi` in the AARs, by its name."""
    found: dict[str, bytes] = {}
    for aar in aars:
        with zipfile.ZipFile(aar) as content:
            for member in content.namelist():
                folder, _, name = member.rpartition("/")
                if folder == f"jni/{abi}" and name.endswith(".so") and name not in found:
                    found[name] = content.read(member)
    return found
