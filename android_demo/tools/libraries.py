"""The Android libraries of this project: what each is made of, and what it needs."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from compile import (
    DEMO,
    aar_classes,
    core_classpath,
    fingerprint,
    framework_classes,
    kotlin_sources,
    kotlinc,
)
from downloads import EXECUTORCH, cache, from_npm, made, maven, runtime_aar

# A jar's bytes do not depend on when it was made.
_THEN = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, kw_only=True)
class Library:
    """One module: its folder, the modules it builds on, and the classes of others it needs.

    `classpath` takes the version of `pytorch_android_lite`.
    """

    folder: str
    uses: tuple[str, ...] = ()
    classpath: Callable[[str], list[Path]]
    summary: str

    @property
    def sources(self) -> list[Path]:
        """Kotlin."""
        return kotlin_sources(f"{self.folder}/src/main/kotlin")

    @property
    def resources(self) -> list[Path]:
        """Services, and rules for R8."""
        return sorted(p for p in self.resource_folder.rglob("*") if p.is_file())

    @property
    def resource_folder(self) -> Path:
        """Where they lie, as in the jar."""
        return DEMO / self.folder / "src/main/resources"


def _core(_version: str) -> list[Path]:
    return []


def _photos(_version: str) -> list[Path]:
    return [framework_classes()]


def _lite(version: str) -> list[Path]:
    return [*maven("app"), aar_classes(runtime_aar(version))]


def _executorch(_version: str) -> list[Path]:
    fbjni, loader = maven("executorch")
    return [loader, *map(aar_classes, [fbjni, from_npm(EXECUTORCH)])]


LIBRARIES = {
    "core": Library(
        folder="core",
        classpath=_core,
        summary="Models of torch-mobile-export: contract, verification, results by task",
    ),
    "runtime-photos": Library(
        folder="runtime/photos",
        uses=("core",),
        classpath=_photos,
        summary="Photos for models: Android's Uri and Bitmap, EXIF, colors as Python reads them",
    ),
    "runtime-lite": Library(
        folder="runtime/lite",
        uses=("core", "runtime-photos"),
        classpath=_lite,
        summary="Runs .ptl files: PyTorch's lite interpreter",
    ),
    "runtime-executorch": Library(
        folder="runtime/executorch",
        uses=("core", "runtime-photos"),
        classpath=_executorch,
        summary="Runs .pte files: ExecuTorch",
    ),
}


def classes(name: str, version: str = "auto") -> Path:
    """Compile a library; return its folder of class files."""
    library = LIBRARIES[name]
    used = [classes(other) for other in library.uses]
    classpath = [*used, *core_classpath(), *library.classpath(version)]
    return kotlinc(library.sources, classpath, module=name)


def jar(name: str, version: str = "auto") -> Path:
    """Pack a library: classes, services, rules for R8."""
    library = LIBRARIES[name]
    compiled = classes(name, version)
    files = {path.relative_to(compiled).as_posix(): path for path in compiled.rglob("*")}
    files |= {p.relative_to(library.resource_folder).as_posix(): p for p in library.resources}
    key = fingerprint([Path(__file__), *library.resources], compiled.name)

    def make(part: Path) -> None:
        write_jar(part, {name: path for name, path in files.items() if path.is_file()})

    return made(cache() / f"{name}-{key}.jar", make)


def write_jar(target: Path, files: dict[str, Path]) -> None:
    """Write a jar whose bytes depend on its files alone."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name, _THEN), files[name].read_bytes())


def services(names: list[str]) -> dict[str, bytes]:
    """Merge what the libraries name in `META-INF/services`."""
    merged: dict[str, bytes] = {}
    for name in names:
        root = LIBRARIES[name].resource_folder
        for path in LIBRARIES[name].resources:
            place = path.relative_to(root).as_posix()
            if place.startswith("META-INF/services/"):
                merged[place] = merged.get(place, b"") + path.read_bytes()
    return merged
