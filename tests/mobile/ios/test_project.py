"""Rung 5: the Xcode project, the pod and the property lists, as files."""

from __future__ import annotations

import json
import plistlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from exporter.install import models_folder
from runtime_check.artifact.archive import read_artifact
from runtime_check.artifact.metadata import parse_metadata
from runtime_check.device.cores import EXECUTORCH, LITE

from ...artifacts import Models
from .tools import APP, GOLDEN, NATIVE, PACKAGE, Swift

PROJECT = APP / "LiteDemo.xcodeproj/project.pbxproj"
ID = re.compile(r"[0-9A-F]{24}")

# Foundation's own reader of old property lists: Core Foundation, in C.
FOUNDATION = """
import Foundation
let data = try Data(contentsOf: URL(fileURLWithPath: CommandLine.arguments[1]))
let list = try PropertyListSerialization.propertyList(from: data, options: [], format: nil)
let json = try JSONSerialization.data(withJSONObject: list, options: [.sortedKeys])
FileHandle.standardOutput.write(json)
"""


def parse(path: Path) -> dict[str, Any]:
    parser = pytest.importorskip("openstep_parser", reason="pip install pbxproj")
    with path.open(encoding="utf-8") as stream:
        parsed: dict[str, Any] = parser.OpenStepDecoder.ParseFromFile(stream)
    return parsed


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return parse(PROJECT)


@pytest.fixture(scope="module")
def objects(project: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = project["objects"]
    return found


def of_kind(objects: dict[str, dict[str, Any]], isa: str) -> list[dict[str, Any]]:
    return [o for o in objects.values() if o["isa"] == isa]


def target_settings(objects: dict[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    (target,) = of_kind(objects, "PBXNativeTarget")
    for config in objects[target["buildConfigurationList"]]["buildConfigurations"]:
        yield objects[config]["buildSettings"]


# --- the project file itself


def test_a_project_library_reads_it(project: dict[str, Any]) -> None:
    """pbxproj has types for every object it knows; it must know the target and its phases."""
    pbxproj = pytest.importorskip("pbxproj", reason="pip install pbxproj")
    loaded = pbxproj.XcodeProject.load(str(PROJECT))
    assert set(loaded.objects.get_keys()) == set(project["objects"])
    assert [t.name for t in loaded.objects.get_targets()] == ["LiteDemo"]
    assert project["objectVersion"] == "77"


def test_a_second_parser_reads_the_same(
    swift: Swift, project: dict[str, Any], tmp_path: Path
) -> None:
    source = tmp_path / "read.swift"
    source.write_text(FOUNDATION, encoding="utf-8")
    program = tmp_path / "read"
    built = swift.run(["swiftc", str(source), "-o", str(program)])
    assert built.returncode == 0, built.stderr
    done = swift.run([str(program), str(PROJECT)])
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == project
    cut = tmp_path / "cut.pbxproj"
    cut.write_text(PROJECT.read_text(encoding="utf-8")[:-40], encoding="utf-8")
    assert swift.run([str(program), str(cut)]).returncode != 0


def references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if ID.fullmatch(key):
                yield key
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)
    elif isinstance(value, str) and ID.fullmatch(value):
        yield value


def loose_ends(project: dict[str, Any]) -> tuple[set[str], set[str]]:
    """Return the ids that lead nowhere, and the objects that nothing leads to."""
    objects = project["objects"]
    reached: set[str] = set()
    waiting = [project["rootObject"]]
    dangling: set[str] = set()
    while waiting:
        current = waiting.pop()
        if current in reached:
            continue
        if current not in objects:
            dangling.add(current)
            continue
        reached.add(current)
        waiting += references(objects[current])
    return dangling, set(objects) - reached


def test_no_id_dangles_and_every_object_is_reachable(project: dict[str, Any]) -> None:
    assert loose_ends(project) == (set(), set())


def test_loose_ends_would_be_found(project: dict[str, Any]) -> None:
    for name in project["objects"]:
        if name == project["rootObject"]:
            continue
        broken = {**project, "objects": {k: v for k, v in project["objects"].items() if k != name}}
        assert name in loose_ends(broken)[0]
    extra = {**project["objects"], "F" * 24: {"isa": "PBXBuildFile"}}
    assert loose_ends({**project, "objects": extra})[1] == {"F" * 24}


def test_comments_name_what_they_stand_beside(objects: dict[str, dict[str, Any]]) -> None:
    """The comments are for people; one that is out of date misleads them."""
    for name, comment in re.findall(
        r"([0-9A-F]{24}) /\* (.*?) \*/", PROJECT.read_text(encoding="utf-8")
    ):
        thing = objects[name]
        said = thing.get("name") or thing.get("path") or thing.get("productName")
        if said and thing["isa"] not in ("PBXProject", "XCConfigurationList"):
            assert Path(said).name == comment, name


def test_the_scheme_names_the_target(project: dict[str, Any]) -> None:
    scheme = ElementTree.parse(PROJECT.parent / "xcshareddata/xcschemes/LiteDemo.xcscheme")
    (target,) = [k for k, o in project["objects"].items() if o["isa"] == "PBXNativeTarget"]
    built = scheme.findall(".//BuildableReference")
    assert len(built) >= 3
    for reference in built:
        assert reference.get("BlueprintIdentifier") == target
        assert reference.get("ReferencedContainer") == "container:LiteDemo.xcodeproj"


# --- what it refers to


def test_every_folder_and_file_exists(objects: dict[str, dict[str, Any]]) -> None:
    groups = of_kind(objects, "PBXGroup")
    assert all("path" not in group for group in groups), "paths below are taken from ios_demo/"
    for thing in of_kind(objects, "PBXFileReference"):
        if thing["sourceTree"] != "BUILT_PRODUCTS_DIR":
            assert thing["sourceTree"] in ("<group>", "SOURCE_ROOT")
            assert (APP / thing["path"]).exists(), thing["path"]
    (app,) = of_kind(objects, "PBXFileSystemSynchronizedRootGroup")
    assert (APP / app["path"]).is_dir()
    (exceptions,) = of_kind(objects, "PBXFileSystemSynchronizedBuildFileExceptionSet")
    for name in exceptions["membershipExceptions"]:
        assert (APP / app["path"] / name).is_file()


def test_the_core_has_one_source() -> None:
    for link, real in (
        ("Sources/LiteCore/lite_core.cpp", "lite_core.cpp"),
        ("Sources/LiteCore/core_common.h", "core_common.h"),
        ("Sources/LiteCore/include/lite_core.h", "lite_core.h"),
        *((f"Sources/ExecuTorchCore/{name}", name) for name in EXECUTORCH.sources),
        *((f"Sources/ExecuTorchCore/{name}", name) for name in EXECUTORCH.headers[1:]),
        ("Sources/ExecuTorchCore/include/lite_core.h", EXECUTORCH.headers[0]),
    ):
        assert (PACKAGE / link).is_symlink(), "a checkout without symlinks cannot build the app"
        assert not (PACKAGE / link).readlink().is_absolute()
        assert (PACKAGE / link).resolve() == (NATIVE / real).resolve()


def test_the_package_offers_the_product_that_is_linked(
    objects: dict[str, dict[str, Any]],
) -> None:
    (package,) = of_kind(objects, "XCLocalSwiftPackageReference")
    (product,) = of_kind(objects, "XCSwiftPackageProductDependency")
    manifest = (APP / package["relativePath"] / "Package.swift").read_text(encoding="utf-8")
    assert f'.library(name: "{product["productName"]}"' in manifest


def test_sources_and_models_are_in_their_phases(objects: dict[str, dict[str, Any]]) -> None:
    def files(isa: str) -> set[str]:
        (phase,) = of_kind(objects, isa)
        built = [objects[name] for name in phase["files"]]
        return {objects[b["fileRef"]]["path"] for b in built if "fileRef" in b}

    assert files("PBXSourcesBuildPhase") == {
        "LiteClassifier/Sources/LiteCore/lite_core.cpp",
        "LiteClassifier/Sources/LiteRuntime/LiteFile.swift",
        *(f"LiteClassifier/Sources/ExecuTorchCore/{name}" for name in EXECUTORCH.sources),
    }
    # A folder reference: whatever `--install` puts there is in the app, without a project change.
    assert files("PBXResourcesBuildPhase") == {"Models"}
    (models,) = [o for o in of_kind(objects, "PBXFileReference") if o["path"] == "Models"]
    assert models["lastKnownFileType"] == "folder"


def test_settings_of_the_target(objects: dict[str, dict[str, Any]]) -> None:
    seen = list(target_settings(objects))
    assert len(seen) == 2
    for settings in seen:
        # The pod asks for C++14, and its own headers need 17: only the target can overrule it.
        assert settings["CLANG_CXX_LANGUAGE_STANDARD"] == "c++17"
        assert (APP / settings["INFOPLIST_FILE"]).is_file()
        assert (APP / settings["SWIFT_OBJC_BRIDGING_HEADER"]).is_file()
        # -force_load and the pod's headers come from the pod's xcconfig; nothing may drop them.
        assert settings["HEADER_SEARCH_PATHS"][0] == "$(inherited)"
        core = settings["HEADER_SEARCH_PATHS"][1].strip('"').replace("$(SRCROOT)", str(APP))
        assert (Path(core.replace('\\"', "")) / "lite_core.h").is_file()
        for added in ("OTHER_LDFLAGS", "GCC_PREPROCESSOR_DEFINITIONS"):
            assert settings[added][0] == "$(inherited)"
        for signing in ("DEVELOPMENT_TEAM", "PRODUCT_BUNDLE_IDENTIFIER", "CODE_SIGN_STYLE"):
            assert signing not in settings, "it would overrule Signing.xcconfig"


def test_configurations_take_the_pod_and_the_signing(
    objects: dict[str, dict[str, Any]],
) -> None:
    (target,) = of_kind(objects, "PBXNativeTarget")
    names = set()
    for config in objects[target["buildConfigurationList"]]["buildConfigurations"]:
        configuration = objects[config]
        path = APP / objects[configuration["baseConfigurationReference"]]["path"]
        lines = path.read_text(encoding="utf-8").splitlines()
        name = configuration["name"]
        names.add(name)
        pods = f"Pods/Target Support Files/Pods-{target['name']}/Pods-{target['name']}"
        assert f'#include? "{pods}.{name.lower()}.xcconfig"' in lines
        assert '#include "Signing.xcconfig"' in lines
        # The pod's settings are of one layer with this file's, which must not set them again.
        assert '#include "Runtime.xcconfig"' in lines
    assert names == {"Debug", "Release"}
    signing = (APP / "Signing.xcconfig").read_text(encoding="utf-8")
    assert re.search(r"^DEVELOPMENT_TEAM =\s*$", signing, re.M), "nobody's team is checked in"
    assert re.search(r"^PRODUCT_BUNDLE_IDENTIFIER = [\w.]+$", signing, re.M)


# --- the runtime


def runtime_settings() -> dict[str, str]:
    text = (APP / "Runtime.xcconfig").read_text(encoding="utf-8")
    return dict(re.findall(r"^(\w+) = (.+)$", text, re.M))


def resolved(value: str, settings: dict[str, str]) -> str:
    """Replace `$(NAME)` from the inside out, as Xcode does; unknown names are empty."""
    while inner := re.search(r"\$\((\w+)\)", value):
        value = value.replace(inner.group(), settings.get(inner.group(1), ""))
    return value


@pytest.mark.parametrize(
    ("runtime", "built", "linking"),
    [
        ("lite", {*LITE.sources, "LiteFile.swift"}, ""),
        ("executorch", {*EXECUTORCH.sources, "LiteFile.swift"}, "-all_load"),
        # The package has its own, and links it with its own flags.
        ("package", set(), ""),
    ],
)
def test_each_runtime_builds_its_own_core_alone(
    objects: dict[str, dict[str, Any]], runtime: str, built: set[str], linking: str
) -> None:
    settings = {**runtime_settings(), "MODEL_RUNTIME": runtime}
    excluded = resolved("$(EXCLUDED_SOURCE_FILE_NAMES)", settings).split()
    compiled = {*LITE.sources, *EXECUTORCH.sources, "LiteFile.swift"}
    assert compiled - set(excluded) == built
    assert not settings.keys() & {"OTHER_LDFLAGS", "GCC_PREPROCESSOR_DEFINITIONS"}
    for target in target_settings(objects):
        flags = [
            resolved(flag, {**settings, "inherited": "POD"}) for flag in target["OTHER_LDFLAGS"]
        ]
        assert flags == ["POD", linking]
        defined = resolved(target["GCC_PREPROCESSOR_DEFINITIONS"][1], settings)
        assert ("EXECUTORCH_VERSION" in defined) == (runtime == "executorch")


def test_the_runtime_of_a_checkout_is_the_pods() -> None:
    assert runtime_settings()["MODEL_RUNTIME"] == "lite"
    podfile = (APP / "Podfile").read_text(encoding="utf-8")
    assert "pod 'LibTorch-Lite', '2.1.0' if runtime == 'lite'" in podfile
    read = re.search(r"\[/(.+?)/, 1\]", podfile)
    assert read
    text = (APP / "Runtime.xcconfig").read_text(encoding="utf-8")
    found = re.search(read.group(1), text, re.M)
    assert found
    assert found.group(1) == "lite"


# --- the pod


def pods() -> dict[str, str]:
    text = (APP / "Podfile").read_text(encoding="utf-8")
    return dict(re.findall(r"^\s*pod '([^']+)', '([^']+)'", text, re.M))


def test_the_pod_is_the_runtime_that_the_metadata_names(models: Models) -> None:
    named = pods()
    assert set(named) == {"LibTorch-Lite"}
    records = [read_artifact(path).metadata for path in (models.fp32, models.int8)]
    records.append(parse_metadata((GOLDEN / "contract/metadata.json").read_bytes()))
    for metadata in records:
        first = metadata.runtimes[0]
        assert first.runtime == f"pytorch-{named['LibTorch-Lite']}"
        assert first.compatible


def test_the_podfile_fits_the_project(objects: dict[str, dict[str, Any]]) -> None:
    text = (APP / "Podfile").read_text(encoding="utf-8")
    (target,) = of_kind(objects, "PBXNativeTarget")
    assert f"target '{target['name']}' do" in text
    minimum = re.search(r"^platform :ios, '([\d.]+)'", text, re.M)
    assert minimum
    (top,) = of_kind(objects, "PBXProject")
    for config in objects[top["buildConfigurationList"]]["buildConfigurations"]:
        settings = objects[config]["buildSettings"]
        assert settings["IPHONEOS_DEPLOYMENT_TARGET"] == minimum.group(1) == "17.0"
    # One line to swap for the simulator, of the same version.
    assert re.search(r"^\s*# pod 'VoizeLibTorch-Lite', '2\.1\.0'$", text, re.M)


# --- property lists


def test_the_camera_is_explained() -> None:
    info = plistlib.loads((APP / "App/Info.plist").read_bytes())
    assert len(info["NSCameraUsageDescription"]) > 30
    assert info["CFBundleIdentifier"] == "$(PRODUCT_BUNDLE_IDENTIFIER)"
    assert info["CFBundleShortVersionString"] == "$(MARKETING_VERSION)"
    assert info["UIRequiredDeviceCapabilities"] == ["arm64"]
    sources = "".join(p.read_text(encoding="utf-8") for p in (APP / "App").glob("*.swift"))
    # The system's picker runs outside the app and needs no permission; the library itself would.
    assert "PHPhotoLibrary" not in sources
    assert "NSPhotoLibraryUsageDescription" not in info


def test_both_kinds_of_file_are_declared_and_chosen() -> None:
    """What the app opens, what it declares, and what the exporter writes are the same two."""
    info = plistlib.loads((APP / "App/Info.plist").read_bytes())
    declared = {
        kind["UTTypeIdentifier"]: kind["UTTypeTagSpecification"]["public.filename-extension"]
        for kind in info["UTImportedTypeDeclarations"]
    }
    assert sorted(declared.values()) == [["pte"], ["ptl"]]
    (document,) = info["CFBundleDocumentTypes"]
    assert set(document["LSItemContentTypes"]) == set(declared)
    view = (APP / "App/ContentView.swift").read_text(encoding="utf-8")
    assert set(re.findall(r'UTType\(importedAs: "([\w.]+)"\)', view)) == set(declared)


def test_no_key_is_demanded_until_somebody_writes_one() -> None:
    info = plistlib.loads((APP / "App/Info.plist").read_bytes())
    assert info["ModelPublicKey"] == ""
    app = (APP / "App/LiteDemoApp.swift").read_text(encoding="utf-8")
    assert 'forInfoDictionaryKey: "ModelPublicKey"' in app


def test_the_privacy_manifest_says_that_nothing_is_collected() -> None:
    manifest = plistlib.loads((APP / "App/PrivacyInfo.xcprivacy").read_bytes())
    assert manifest["NSPrivacyTracking"] is False
    assert manifest["NSPrivacyTrackingDomains"] == []
    assert manifest["NSPrivacyCollectedDataTypes"] == []
    for entry in manifest["NSPrivacyAccessedAPITypes"]:
        assert entry["NSPrivacyAccessedAPIType"].startswith("NSPrivacyAccessedAPICategory")
        assert all(
            re.fullmatch(r"[0-9A-F]{4}\.\d", r) for r in entry["NSPrivacyAccessedAPITypeReasons"]
        )
    sources = "".join(p.read_text(encoding="utf-8") for p in APP.rglob("*.swift"))
    assert not re.search(r"URLSession|NWConnection|UserDefaults", sources)


def test_install_puts_models_where_the_app_looks() -> None:
    assert models_folder(APP) == APP / "Models"
    entry = (APP / "App/LiteDemoApp.swift").read_text(encoding="utf-8")
    assert 'appendingPathComponent("Models"' in entry
