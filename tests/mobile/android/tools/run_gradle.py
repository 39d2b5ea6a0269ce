"""Run the real Gradle on the app's build files, :app left out, from what Maven Central has of it.

    python tests/mobile/android/tools/run_gradle.py --prepare     # once: downloads
    python tests/mobile/android/tools/run_gradle.py assemble

`dev.gradleplugins:gradle-api` is all of Gradle's classes in one jar, but for its command line and
its Kotlin DSL. Gradle looks for its modules in the folder of a distribution; `distribution` lays
out such a folder: the jar, the few libraries that are not inside it, and an empty jar for every
other name. What the build needs, Kotlin's plugin above all, comes from Maven Central, each file
checked against `gradle/verification-metadata.xml`; `--write-verification` writes that anew.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from app_tools import HERE
from compile import DEMO, fingerprint
from downloads import ToolError, cache, find_program, made, maven, pins, run, sha256

LAUNCHER = HERE / "gradle" / "RunGradle.java"
VERIFICATION = HERE / "gradle" / "verification-metadata.xml"
# What Google's repository alone has, and what asks for it: these lines go, the rest is run as is.
GOOGLES = re.compile(r'(?m)^.*(":app"|google\(\)|plugins\.android\.).*\n')
# Maven Central, as it is reached here, has another version of the lite interpreter, which the tools
# take too, and no ExecuTorch.
ABSENT = 'include ":runtime:executorch"\n'
# What Gradle's own start script opens of Java.
OPENED = (
    "java.base/java.lang",
    "java.base/java.lang.invoke",
    "java.base/java.net",
    "java.base/java.nio.charset",
    "java.base/java.util",
    "java.base/java.util.concurrent.atomic",
    "java.prefs/java.util.prefs",
)


def _modules(jar: Path) -> tuple[dict[str, str], set[str], set[str]]:
    """Read Gradle's own index: each module's properties, which are plugins, all libraries."""
    properties: dict[str, str] = {}
    plugins: set[str] = set()
    with zipfile.ZipFile(jar) as content:
        for name in content.namelist():
            if name.startswith("gradle-") and name.endswith("-classpath.properties"):
                text = content.read(name).decode()
                properties[name.removesuffix("-classpath.properties")] = text
        for name in ("gradle-plugins.properties", "gradle-implementation-plugins.properties"):
            _, _, names = content.read(name).decode().strip().partition("plugins=")
            plugins.update(names.split(","))
    named = re.findall(r"(?m)^runtime=(.+)$", "\n".join(properties.values()))
    return properties, plugins, {library for line in named for library in line.split(",")}


def distribution() -> Path:
    """Return a folder that Gradle takes for its own distribution, made if need be."""
    jars = maven("gradle")
    whole = next(path for path in jars if path.name.startswith("gradle-api-"))
    version = whole.stem.removeprefix("gradle-api-")
    key = fingerprint([Path(__file__)], *map(sha256, jars))

    def make(part: Path) -> None:
        lib = part / "lib"
        (lib / "plugins").mkdir(parents=True)
        properties, plugins, libraries = _modules(whole)
        for name in sorted(plugins | set(properties)):
            folder = lib / "plugins" if name in plugins else lib
            with zipfile.ZipFile(folder / f"{name}-{version}.jar", "w") as jar:
                text = properties.get(name, "projects=\nruntime=\n")
                jar.writestr(f"{name}-classpath.properties", text)
        for library in libraries:
            # By name without version: Gradle brings Kotlin's libraries of another version.
            base = re.sub(r"-\d[\w.-]*\.jar$", "", library)
            own = [path for path in jars if re.fullmatch(rf"{base}-\d.*\.jar", path.name)]
            if own:
                # No symbolic link: Gradle would look for its home around the file behind it.
                (lib / library).hardlink_to(own[0])
            else:
                zipfile.ZipFile(lib / library, "w").close()
        everything = lib / f"gradle-base-services-{version}.jar"
        everything.unlink()
        # The index is that of one of the jars that went in; Java would trust it. Same length.
        data = whole.read_bytes().replace(b"META-INF/INDEX.LIST", b"META-INF/INDEX.NONE")
        everything.write_bytes(data)

    return made(cache() / f"gradle-{version}-{key}", make)


def launcher(home: Path) -> Path:
    """Compile what stands for Gradle's command line; return the folder of class files."""

    def make(part: Path) -> None:
        command = [find_program("javac"), "-Xlint:all,-path", "-Werror"]
        command += ["-d", str(part), "-cp", f"{home / 'lib'}/*", str(LAUNCHER)]
        run(command, what="Compiling Gradle's launcher")

    return made(cache() / "classes" / f"gradle-launcher-{fingerprint([LAUNCHER], home.name)}", make)


def user_home() -> Path:
    """Return where Gradle keeps what it downloaded."""
    return cache() / "gradle-home"


def project(folder: Path, *, verified: bool = True) -> Path:
    """Copy the build into `folder`, without :app and without what only Google's repository has."""
    skipped = shutil.ignore_patterns("app", "build", "docs", "tools", ".gradle", ".kotlin")
    copy = Path(shutil.copytree(DEMO, folder / DEMO.name, ignore=skipped))
    for name in ("settings.gradle", "build.gradle"):
        text, count = GOOGLES.subn("", (copy / name).read_text(encoding="utf-8"))
        if not count:
            raise ToolError(f"{name} has nothing of Google's: its copy was to be cut.")
        (copy / name).write_text(text.replace(ABSENT, ""), encoding="utf-8")
    catalog = copy / "gradle" / "libs.versions.toml"
    text = catalog.read_text(encoding="utf-8")
    served = f'pytorch = "{pinned_runtime()}"'
    catalog.write_text(re.sub(r'(?m)^pytorch = ".*"$', served, text), encoding="utf-8")
    if verified:
        shutil.copyfile(VERIFICATION, copy / "gradle" / VERIFICATION.name)
    return copy


def pinned_runtime() -> str:
    """Return the version of the lite interpreter that was served here."""
    (pin,) = [pin for pin in pins() if "runtime" in pin.groups]
    return pin.coordinates.split(":")[2]


def gradle(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run tasks in the copy that `project` made; Gradle's output is in `stdout`."""
    home = distribution()
    command = [find_program("java"), "-Xmx1500m"]
    command += [f"--add-opens={package}=ALL-UNNAMED" for package in OPENED]
    command += ["-cp", f"{launcher(home)}{os.pathsep}{home / 'lib'}/*", "RunGradle"]
    command += [str(folder), str(home), str(user_home())]
    # In Gradle's process: Kotlin's own daemon would outlive it.
    command += ["-Pkotlin.compiler.execution.strategy=in-process", *arguments]
    return subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=550,
        check=False,
    )


def _prepared() -> Path:
    """Return the file that says: what the libraries' builds download is in `user_home`."""
    scripts = [path for path in DEMO.rglob("*.gradle") if "build" not in path.parts]
    pinned = [VERIFICATION, DEMO / "gradle" / "libs.versions.toml", *sorted(scripts)]
    return user_home() / f"prepared-{fingerprint(pinned)}"


def ready() -> bool:
    """Whether a run needs no network: `--prepare` was here, with the same versions."""
    return _prepared().is_file()


def main() -> int:
    """Run the given tasks, or prepare, or write the hashes anew; exit with Gradle's code."""
    arguments = sys.argv[1:]
    writes = "--write-verification" in arguments
    prepares = arguments == ["--prepare"]
    if prepares and ready():
        return 0
    if prepares:
        arguments = ["assemble", "testClasses"]
    with tempfile.TemporaryDirectory() as scratch:
        try:
            copy = project(Path(scratch), verified=not writes)
            done = gradle(copy, *arguments)
        except ToolError as error:
            sys.stderr.write(f"{error}\n")
            return 2
        sys.stdout.write(done.stdout)
        if writes and done.returncode == 0:
            shutil.copyfile(copy / "gradle" / VERIFICATION.name, VERIFICATION)
        if prepares and done.returncode == 0:
            _prepared().touch()
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
