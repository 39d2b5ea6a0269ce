"""Rungs 2, 5 and 6: a real APK, debug and release; preflight; lint; Gradle's files."""

from __future__ import annotations

import re
import shutil
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

from .conftest import ROOT, RunTool

tomllib = pytest.importorskip("tomllib")
DEMO = ROOT / "android_demo"
MODEL = b"stands for a model: preflight looks at how it is packed, not at what it says" * 50


KEY = "RWQBI0VniavN7zIGHLj5J5wTzhLJXTOPVwYsJc9Z5PwTtJxVLJjK6Rmb"


@pytest.fixture(scope="module", params=["debug", "release"])
def apk(
    request: pytest.FixtureRequest, run_tool: RunTool, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "assets").mkdir()
    (folder / "assets" / "model.ptl").write_bytes(MODEL)
    path = folder / "demo.apk"
    flags = ["--release", "--public-key", KEY] if request.param == "release" else []
    result = run_tool("build_apk.py", *flags, "-o", path, "--assets", folder / "assets")
    assert result.returncode == 0, result.stdout + result.stderr
    return path


def test_the_apk_passes_its_preflight(apk: Path, run_tool: RunTool) -> None:
    result = run_tool("preflight.py", apk)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "FAIL" not in result.stdout
    for said in (
        "signed (v2, v3)", "package dev.torchmobile.demo", "Android API 24 and later, target 36",
        "permissions: ['android.permission.CAMERA']", "ABIs: arm64-v8a, x86_64",
        "1 runtimes are named and there", "model.ptl: 0.0 MB, stored",
        "every class, method and field referred to is there",
        "and on Android 7.0 (API 24) all of Android's is there",
    ):  # fmt: skip
        assert f"ok       {said}" in result.stdout.replace("assets/", ""), said


def test_pages_of_16_kb_are_a_warning_and_strictly_a_failure(apk: Path) -> None:
    """The pinned runtime's libraries have 4 KB pages: preflight has to say so."""
    from preflight import check_libraries

    for strict, verdict in ((False, "warning"), (True, "FAIL")):
        (finding,) = [f for f in check_libraries(apk, strict=strict) if "aligned" in f.what]
        assert finding.verdict == verdict
        assert "libpytorch_jni_lite.so (4 KB)" in finding.what


@pytest.fixture(scope="module", params=["executorch", "both"])
def apk_of(
    request: pytest.FixtureRequest, run_tool: RunTool, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    """The app with another choice of runtimes, through R8, which drops what seems unused."""
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "assets").mkdir()
    (folder / "assets" / "model.pte").write_bytes(MODEL)
    path = folder / "demo.apk"
    flags = ["--release", "--runtimes", request.param, "-o", path, "--assets", folder / "assets"]
    result = run_tool("build_apk.py", *flags)
    assert result.returncode == 0, result.stdout + result.stderr
    return request.param, path


def test_with_executorch_alone_every_library_fits_16_kb_pages(
    apk_of: tuple[str, Path], run_tool: RunTool
) -> None:
    choice, path = apk_of
    result = run_tool("preflight.py", "--strict", path)
    aligned = "ok       all libraries are aligned to 16 KB pages"
    assert (aligned in result.stdout) == (choice == "executorch"), result.stdout
    assert "ok       assets/model.pte: 0.0 MB, stored" in result.stdout
    kept, named = {"executorch": (6, 1), "both": (9, 2)}[choice]
    assert f"ok       {named} runtimes are named and there" in result.stdout
    assert f"ok       {kept} classes native code looks up are kept" in result.stdout
    failed = [line for line in result.stdout.splitlines() if line.startswith("FAIL")]
    # Of the lite interpreter only its own library is left: the other two are newer ones.
    assert len(failed) == result.returncode == int(choice == "both"), result.stdout
    if failed:
        assert re.findall(r"/([^\s/]+\.so) \(4 KB\)", failed[0]) == ["libpytorch_jni_lite.so"] * 2


def test_the_libraries_of_the_chosen_runtimes_are_packed(apk_of: tuple[str, Path]) -> None:
    from runtimes import libraries, native_libraries

    choice, path = apk_of
    names = {"libexecutorch.so", "libfbjni.so", "libc++_shared.so"}
    names |= {"libpytorch_jni_lite.so"} if choice == "both" else set()
    with zipfile.ZipFile(path) as packed:
        for abi in ("arm64-v8a", "x86_64"):
            found = native_libraries(libraries(choice).aars, abi)
            assert set(found) == names
            for name, data in found.items():
                assert packed.read(f"lib/{abi}/{name}") == data


@pytest.fixture(scope="module")
def apk_for_phones(run_tool: RunTool, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The debug app of one ABI, and what building it said."""
    folder = tmp_path_factory.mktemp("phones")
    (folder / "assets").mkdir()
    path = folder / "demo.apk"
    result = run_tool(
        "build_apk.py", "--abi", "arm64-v8a", "-o", path, "--assets", folder / "assets"
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return path, result.stdout


def test_an_apk_for_phones_has_their_libraries_alone(
    apk_for_phones: tuple[Path, str], run_tool: RunTool
) -> None:
    path, _ = apk_for_phones
    with zipfile.ZipFile(path) as packed:
        folders = {name.split("/")[1] for name in packed.namelist() if name.startswith("lib/")}
    assert folders == {"arm64-v8a"}
    result = run_tool("preflight.py", path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "ok       ABIs: arm64-v8a\n" in result.stdout
    assert "ok       arm64-v8a, what phones are, is among them" in result.stdout


@pytest.mark.parametrize("allowed", [True, False])
def test_a_camera_that_the_permission_implies_is_found(
    allowed: bool, tools: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The manifest, and the same one without its lines on the camera."""
    import build_apk
    from preflight import check_manifest

    main = tmp_path / "main"
    shutil.copytree(build_apk.MAIN, main, ignore=shutil.ignore_patterns("kotlin", "assets"))
    if not allowed:
        manifest = main / "AndroidManifest.xml"
        text, count = re.subn(r"<uses-feature[^>]*/>", "", manifest.read_text(encoding="utf-8"))
        assert count == 3
        manifest.write_text(text, encoding="utf-8")
    monkeypatch.setattr(build_apk, "MAIN", main)
    (tmp_path / "assets").mkdir()
    build = build_apk.Build(
        debuggable=True, runtime="auto", out=tmp_path / "none", assets=tmp_path / "assets"
    )
    linked = build_apk.link_resources(tmp_path, build)
    (finding,) = [f for f in check_manifest(linked.apk) if "features" in f.what]
    assert finding.verdict == ("ok" if allowed else "FAIL")
    assert ("android.hardware.camera" in finding.what) == (not allowed)


def test_the_native_libraries_are_the_aars_own(apk: Path, tools: None) -> None:
    from downloads import runtime_aar

    with zipfile.ZipFile(apk) as packed, zipfile.ZipFile(runtime_aar()) as aar:
        names = [n for n in packed.namelist() if n.startswith("lib/")]
        assert len(names) == 6
        for name in names:
            assert packed.read(name) == aar.read(name.replace("lib/", "jni/"))


def test_a_public_key_is_built_in_where_it_is_given(
    apk: Path, request: pytest.FixtureRequest
) -> None:
    release = request.node.callspec.params["apk"] == "release"
    with zipfile.ZipFile(apk) as packed:
        assert (KEY.encode() in packed.read("resources.arsc")) == release


def test_a_mistyped_public_key_is_refused(run_tool: RunTool, tmp_path: Path) -> None:
    result = run_tool("build_apk.py", "--public-key", KEY[:-1], "-o", tmp_path / "x.apk")
    assert result.returncode == 2
    assert "--public-key takes the line RW..." in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_tampered_apk_fails(apk: Path, tmp_path: Path) -> None:
    from preflight import check_signature

    copy = tmp_path / "tampered.apk"
    shutil.copyfile(apk, copy)
    assert {finding.verdict for finding in check_signature(copy)} == {"ok"}
    with zipfile.ZipFile(copy, "a") as archive:
        archive.writestr("assets/other.ptl", b"0")
    assert {finding.verdict for finding in check_signature(copy)} == {"FAIL"}


def test_references_to_nothing_are_found(
    apk: Path, tools: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without Android's own classes to look in, the check must complain."""
    import preflight

    monkeypatch.setattr(preflight, "framework_classes", preflight.java_classes)
    failed = [f.what for f in preflight.check_code(apk) if f.verdict == "FAIL"]
    assert len(failed) == 1
    assert "android.app.ActionBar" in failed[0]


def test_only_what_a_check_guards_may_be_newer_than_the_oldest_android() -> None:
    """Lines as R8 writes them; what is named on purpose passes, its neighbors do not."""
    from preflight import unguarded

    origin = " (referenced from: void d.n.a(android.view.Window))"
    guarded = [
        "void android.view.Window.setDecorFitsSystemWindows(boolean)",
        "android.view.WindowInsets$Type",
        "int android.view.WindowInsets$Type.ime()",
        "android.graphics.Insets android.view.WindowInsets.getInsets(int)",
        "int android.graphics.Insets.left",
        "void android.widget.ImageButton.setTooltipText(java.lang.CharSequence)",
    ]
    newer = [
        "android.view.WindowInsetsController android.view.Window.getInsetsController()",
        "boolean android.view.WindowInsets.isVisible(int)",
        "android.view.Display android.content.Context.getDisplay()",
    ]
    assert unguarded([name + origin for name in guarded]) == []
    assert unguarded([name + origin for name in newer]) == [name + origin for name in newer]


def test_what_is_no_apk_is_refused_in_words(run_tool: RunTool, tmp_path: Path) -> None:
    (tmp_path / "x.apk").write_bytes(b"not a zip")
    result = run_tool("preflight.py", tmp_path / "x.apk")
    assert result.returncode == 2
    assert "is not an APK" in result.stderr


def test_no_literal_of_a_model_in_the_app() -> None:
    """No mean, size or label: those come from the metadata."""
    folders = ("app/src/main", "core/src/main", "runtime/photos/src/main")
    sources = [path for folder in folders for path in (DEMO / folder).rglob("*.kt")]
    assert len(sources) > 15
    for path in sources:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\b(0\.485|0\.456|0\.406|0\.229|224|299)\b", text), path
        assert "import org.pytorch" not in text, path


def test_each_runtime_is_touched_by_one_file_of_a_library_of_its_own() -> None:
    found = {}
    for folder in ("app", "core", "runtime"):
        for path in (DEMO / folder).rglob("*.kt"):
            imports = re.findall(r"(?m)^import (org\.pytorch(?:\.executorch)?)\.", path.read_text())
            if imports:
                found[path.relative_to(DEMO).parts[:2], path.name] = set(imports)
    assert found == {
        (("runtime", "lite"), "LiteModuleRuntime.kt"): {"org.pytorch"},
        (("runtime", "executorch"), "ExecuTorchRuntime.kt"): {"org.pytorch.executorch"},
    }


def test_gradle_and_the_tools_take_the_same_libraries(tools: None) -> None:
    from libraries import LIBRARIES
    from runtimes import CHOICES, own_libraries

    script = (DEMO / "app/build.gradle.kts").read_text(encoding="utf-8")
    settings = (DEMO / "settings.gradle").read_text(encoding="utf-8")
    named = set(re.findall(r'project\(":([\w:]+)"\)', script))
    taken = {LIBRARIES[name].folder for choice in CHOICES for name in own_libraries(choice)}
    assert {name.replace(":", "/") for name in named} == taken
    included = set(re.findall(r'(?m)^include ":([\w:]+)"', settings)) - {"app"}
    assert {name.replace(":", "/") for name in included} == {
        library.folder for library in LIBRARIES.values()
    }
    for library in LIBRARIES.values():
        gradle = (DEMO / library.folder / "build.gradle").read_text(encoding="utf-8")
        used = {LIBRARIES[name].folder for name in library.uses}
        assert {
            name.replace(":", "/") for name in re.findall(r'project\(":([\w:]+)"\)', gradle)
        } == used
    assert re.search(r'runtimes in listOf\("lite", "executorch", "both"\)', script)
    assert CHOICES == ("lite", "executorch", "both")
    properties = (DEMO / "gradle.properties").read_text(encoding="utf-8")
    assert f"\nruntimes={CHOICES[0]}\n" in properties


def test_the_apk_names_its_runtime_and_r8_kept_the_class(apk: Path, tools: None) -> None:
    from preflight import check_services

    with zipfile.ZipFile(apk) as packed:
        said = packed.read("META-INF/services/dev.torchmobile.core.Runtime").decode().split()
    assert said == ["dev.torchmobile.runtime.lite.LiteModuleRuntime"]
    (finding,) = check_services(apk, {"Ldev/torchmobile/runtime/lite/LiteModuleRuntime;"})
    assert finding.verdict == "ok"
    (lost,) = check_services(apk, {"La/a;"})
    assert lost.verdict == "FAIL"
    assert "LiteModuleRuntime" in lost.what


def test_core_knows_no_android() -> None:
    for path in (DEMO / "core").rglob("*.kt"):
        assert not re.search(r"(?m)^import android", path.read_text(encoding="utf-8")), path


def test_ktlint_is_content(run_tool: RunTool) -> None:
    result = run_tool("lint.py")
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-1000:]


def test_gradle_files_parse(tools: None) -> None:
    """The catalog as TOML, XML as XML; the scripts are run by Gradle or parsed by ktlint."""
    catalog = tomllib.loads((DEMO / "gradle/libs.versions.toml").read_text(encoding="utf-8"))
    for entry in (*catalog["libraries"].values(), *catalog["plugins"].values()):
        assert entry["version"]["ref"] in catalog["versions"]
    files = [path for end in ("gradle", "gradle.kts") for path in DEMO.rglob(f"*.{end}")]
    assert len(files) >= 4
    scripts = "".join(path.read_text(encoding="utf-8") for path in files)
    for alias in re.findall(r"libs\.(?!versions|plugins)([a-z.]+)", scripts):
        assert alias.replace(".", "-") in catalog["libraries"], alias
    for alias in re.findall(r"libs\.plugins\.([a-z.]+)", scripts):
        assert alias.replace(".", "-") in catalog["plugins"], alias
    for path in (DEMO / "app/src/main").rglob("*.xml"):
        ElementTree.parse(path)


def test_gradle_and_the_tools_use_the_same_versions(tools: None) -> None:
    from build_apk import versions
    from downloads import DEFAULT_RUNTIME, pins

    known = versions()
    pinned = {p.coordinates.split(":")[1]: p.coordinates.split(":")[2] for p in pins()}
    assert known["gson"] == pinned["gson"]
    assert known["junit"] == next(
        p.coordinates.split(":")[2] for p in pins() if p.coordinates.startswith("junit:")
    )
    assert known["kotlin"] == pinned["kotlin-stdlib"] == pinned["kotlin-compiler-embeddable"]
    assert known["ktlint"] == pinned["ktlint-cli"]
    assert known["pytorch"] == DEFAULT_RUNTIME


def test_a_build_that_fails_leaves_nothing(tools: None, run_tool: RunTool, tmp_path: Path) -> None:
    out = tmp_path / "x.apk"
    result = run_tool("build_apk.py", "-o", out, "--runtime", "0.0.1")
    assert result.returncode == 2
    assert "pytorch_android_lite 0.0.1 is not served here" in result.stderr
    assert not out.exists()
