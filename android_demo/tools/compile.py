"""Compile Kotlin with the real compiler, from pinned artifacts; no Gradle."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from downloads import cache, find_program, made, maven, run, sha256

DEMO = Path(__file__).resolve().parents[1]
JVM_TARGET = "11"


def joined(paths: Iterable[Path]) -> str:
    """Write a class path."""
    return os.pathsep.join(str(path) for path in paths)


def kotlin_sources(*folders: str) -> list[Path]:
    """Return all Kotlin files below folders of this project, in order."""
    return sorted(file for folder in folders for file in (DEMO / folder).rglob("*.kt"))


def fingerprint(sources: Iterable[Path], *more: str) -> str:
    """Hash sources (name and bytes) and whatever else decides a build's result."""
    digest = hashlib.sha256()
    for text in more:
        digest.update(text.encode() + b"\0")
    for path in sources:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def kotlinc(
    sources: Sequence[Path], classpath: Sequence[Path], *, module: str, friends: Sequence[Path] = ()
) -> Path:
    """Compile `sources` (Kotlin, and Java to refer to) into a folder of class files.

    Results are kept in the cache by their inputs. Warnings are errors. What is `internal` in
    `friends` is visible, as a Gradle module's own tests see it.
    """
    key = fingerprint(sources, JVM_TARGET, *(str(path) for path in classpath))

    def make(part: Path) -> None:
        command = [
            find_program("java"), "-Xmx1500m",
            "-cp", joined(maven("kotlinc")), "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler",
            "-no-stdlib", "-no-reflect", "-Werror", "-module-name", module,
            "-jvm-target", JVM_TARGET, "-cp", joined(classpath), "-d", str(part),
            *([f"-Xfriend-paths={','.join(map(str, friends))}"] if friends else []),
            *map(str, sources),
        ]  # fmt: skip
        run(command, what=f"Compiling {module}")

    return made(cache() / "classes" / f"{module}-{key}", make)


def core_classpath() -> list[Path]:
    """Return what :core compiles against and needs at run time."""
    return maven("core")


def aar_classes(aar: Path) -> Path:
    """Return `classes.jar` of an AAR."""

    def make(part: Path) -> None:
        with zipfile.ZipFile(aar) as content:
            part.write_bytes(content.read("classes.jar"))

    return made(cache() / f"{aar.stem}-{sha256(aar)[:12]}-classes.jar", make)


def framework_classes() -> Path:
    """Return the Android framework's classes without its resources, for compilers.

    Android's own test classes for Java 17 are left out: R8 3.3 cannot read their records.
    """
    source = maven("android")[0]

    def make(part: Path) -> None:
        with zipfile.ZipFile(source) as whole, zipfile.ZipFile(part, "w") as classes:
            for info in whole.infolist():
                name = info.filename
                if name.endswith(".class") and not name.startswith("libcore/internal/Java"):
                    classes.writestr(name, whole.read(info))

    return made(source.with_name(f"{source.stem}-classes.jar"), make)


def java_classes() -> Path:
    """Return `java.*` as a jar for D8 and R8: android-all leaves it to the Java it runs on."""
    home = Path(find_program("javac")).resolve().parents[1]

    def make(part: Path) -> None:
        with zipfile.ZipFile(part, "w") as classes:
            for module in ("java.base", "java.logging", "java.sql"):
                # A .jmod is a zip with four bytes before it, its class files below `classes/`.
                with zipfile.ZipFile(home / "jmods" / f"{module}.jmod") as whole:
                    for info in whole.infolist():
                        if info.filename.startswith(("classes/java/", "classes/javax/")):
                            name = info.filename.removeprefix("classes/")
                            classes.writestr(name, whole.read(info))

    return made(cache() / f"java-{fingerprint([home / 'release'])}.jar", make)
