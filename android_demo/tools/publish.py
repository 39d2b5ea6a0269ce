"""Publish the Android libraries into a local Maven repository, without Gradle.

    python android_demo/tools/publish.py [FOLDER]         # default: android_demo/build/maven

For each library: jar (with its rules for R8), sources, POM, checksums, and `maven-metadata.xml`
that lists what is in the folder. Then in `settings.gradle`: `maven { url = uri("FOLDER") }`.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.sax.saxutils import escape

from build_apk import versions
from compile import DEMO
from downloads import ToolError
from libraries import LIBRARIES, jar, write_jar

GROUP = "dev.torchmobile"
# What each needs of others: group:name, its version's name in the catalog, scope, and type.
NEEDS = {
    "core": [
        ("org.jetbrains.kotlin:kotlin-stdlib", "kotlin", "compile", "jar"),
        ("com.google.code.gson:gson", "gson", "runtime", "jar"),
    ],
    "runtime-photos": [],
    "runtime-lite": [("org.pytorch:pytorch_android_lite", "pytorch", "runtime", "aar")],
    "runtime-executorch": [("org.pytorch:executorch-android", "executorch", "runtime", "aar")],
}
CHECKSUMS = ("md5", "sha1", "sha256", "sha512")


def _dependency(coordinates: str, version: str, scope: str, kind: str) -> str:
    group, _, name = coordinates.partition(":")
    of_kind = "" if kind == "jar" else f"\n      <type>{kind}</type>"
    return f"""
    <dependency>
      <groupId>{group}</groupId>
      <artifactId>{name}</artifactId>
      <version>{version}</version>{of_kind}
      <scope>{scope}</scope>
    </dependency>"""


def pom(name: str) -> str:
    """Describe a library for Maven and Gradle."""
    known = versions()
    version = known["torchmobile"]
    needs = [_dependency(f"{GROUP}:{n}", version, "compile", "jar") for n in LIBRARIES[name].uses]
    needs += [_dependency(c, known[v], scope, kind) for c, v, scope, kind in NEEDS[name]]
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>{GROUP}</groupId>
  <artifactId>{name}</artifactId>
  <version>{version}</version>
  <name>{name}</name>
  <description>{escape(LIBRARIES[name].summary)}</description>
  <licenses>
    <license>
      <name>Apache-2.0</name>
    </license>
  </licenses>
  <dependencies>{"".join(needs)}
  </dependencies>
</project>
"""


def sources(name: str, target: Path) -> None:
    """Pack what a library was compiled from."""
    library = LIBRARIES[name]
    kotlin = DEMO / library.folder / "src/main/kotlin"
    files = {path.relative_to(kotlin).as_posix(): path for path in library.sources}
    files |= {p.relative_to(library.resource_folder).as_posix(): p for p in library.resources}
    write_jar(target, files)


def _order(version: str) -> list[tuple[int, str]]:
    """Sort versions by their numbers: 0.10.0 comes after 0.9.0."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in version.split(".")]


def metadata(name: str, folder: Path) -> str:
    """List the versions of a library that lie in `folder`."""
    there = sorted((p.parent.name for p in folder.glob("*/*.pom")), key=_order)
    listed = "".join(f"\n      <version>{version}</version>" for version in there)
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<metadata>
  <groupId>{GROUP}</groupId>
  <artifactId>{name}</artifactId>
  <versioning>
    <latest>{there[-1]}</latest>
    <release>{there[-1]}</release>
    <versions>{listed}
    </versions>
  </versioning>
</metadata>
"""


def _put(path: Path, data: bytes) -> None:
    """Write a file and its checksums."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    for kind in CHECKSUMS:
        digest = hashlib.new(kind, data, usedforsecurity=False).hexdigest()
        path.with_name(f"{path.name}.{kind}").write_text(digest, encoding="ascii")


def publish(repository: Path) -> list[str]:
    """Write every library into `repository`; return their coordinates."""
    version = versions()["torchmobile"]
    # All are compiled before one is written.
    jars = {name: jar(name) for name in LIBRARIES}
    for name, classes in jars.items():
        folder = repository.joinpath(*GROUP.split("."), name)
        stem = folder / version / f"{name}-{version}"
        with tempfile.TemporaryDirectory() as scratch:
            packed = Path(scratch) / "sources.jar"
            sources(name, packed)
            _put(Path(f"{stem}-sources.jar"), packed.read_bytes())
        _put(Path(f"{stem}.jar"), classes.read_bytes())
        _put(Path(f"{stem}.pom"), pom(name).encode())
        _put(folder / "maven-metadata.xml", metadata(name, folder).encode())
    return [f"{GROUP}:{name}:{version}" for name in jars]


def main() -> int:
    """Publish as the command line says; exit 2 where that fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=DEMO / "build" / "maven")
    options = parser.parse_args()
    try:
        published = publish(options.folder)
    except (ToolError, subprocess.TimeoutExpired, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write("".join(f"{name}\n" for name in published))
    return 0


if __name__ == "__main__":
    sys.exit(main())
