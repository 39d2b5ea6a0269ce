"""The Podfile, run by Ruby with a stand-in for CocoaPods: which pod, and what its hook writes."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from .tools import APP

# The words of a Podfile, and an installer with the two calls that the hook makes of each target.
STAND_IN = """
require 'json'
require 'pathname'
$pods = []
def platform(*) end
def target(_name) = yield
def pod(*line) = $pods << line
def post_install(&hook) = $hook = hook
Target = Struct.new(:client_root, :xcconfigs) do
  def xcconfig_relative_path(configuration) = "Pods/#{configuration.downcase}.xcconfig"
end
Installer = Struct.new(:aggregate_targets)
folder = Pathname(ARGV[0])
load (folder + 'Podfile').to_s
target = Target.new(folder, { 'Debug' => nil, 'Release' => nil })
ARGV[1].to_i.times { $hook.call(Installer.new([target])) }
puts JSON.generate($pods)
"""
FORK = 'PODS_ROOT = Pods\nFRAMEWORK_SEARCH_PATHS = "VoizeLibTorch-Lite"\n'
LOADED = "OTHER_LDFLAGS = $(inherited) -force_load libtorch_lite.a\n"
OFFICIAL = 'HEADER_SEARCH_PATHS = "LibTorch-Lite/install/include"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    if shutil.which("ruby") is None:
        pytest.skip("no Ruby: apt-get install ruby")
    (tmp_path / "Pods").mkdir()
    for name in ("Podfile", "Runtime.xcconfig"):
        shutil.copy(APP / name, tmp_path / name)
    for name in ("debug", "release"):
        (tmp_path / f"Pods/{name}.xcconfig").write_text(OFFICIAL, encoding="utf-8")
    return tmp_path


def ran(folder: Path, hooks: int = 1) -> list[list[str]]:
    """Run the Podfile, and its hook so many times; return the pods that it names."""
    (folder / "stand_in.rb").write_text(STAND_IN, encoding="utf-8")
    done = subprocess.run(
        ["ruby", "stand_in.rb", str(folder), str(hooks)],
        cwd=folder, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    pods: list[list[str]] = json.loads(done.stdout)
    return pods


@pytest.mark.parametrize(
    ("runtime", "pods"),
    [("lite", [["LibTorch-Lite", "2.1.0"]]), ("executorch", []), ("package", [])],
)
def test_only_the_lite_interpreter_comes_as_a_pod(
    folder: Path, runtime: str, pods: list[list[str]]
) -> None:
    settings = folder / "Runtime.xcconfig"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(
        text.replace("MODEL_RUNTIME = lite\n", f"MODEL_RUNTIME = {runtime}\n"), encoding="utf-8"
    )
    assert ran(folder) == pods


def test_the_line_for_the_simulator_can_be_swapped_in(folder: Path) -> None:
    podfile = folder / "Podfile"
    text = podfile.read_text(encoding="utf-8")
    swapped = text.replace("  pod 'LibTorch-Lite'", "  # pod 'LibTorch-Lite'").replace(
        "  # pod 'VoizeLibTorch-Lite'", "  pod 'VoizeLibTorch-Lite'"
    )
    podfile.write_text(swapped, encoding="utf-8")
    assert ran(folder) == [["VoizeLibTorch-Lite", "2.1.0"]]


def test_the_official_pod_is_left_as_it_is(folder: Path) -> None:
    ran(folder)
    for name in ("debug", "release"):
        assert (folder / f"Pods/{name}.xcconfig").read_text(encoding="utf-8") == OFFICIAL


def test_a_fork_that_does_not_load_by_force_is_made_to(folder: Path) -> None:
    """The first podspec of 2.1.0: without the flag every model fails to load."""
    debug = folder / "Pods/debug.xcconfig"
    debug.write_text(FORK, encoding="utf-8")
    ran(folder)
    text = debug.read_text(encoding="utf-8")
    assert text.startswith(FORK)
    framework = "$(PODS_ROOT)/VoizeLibTorch-Lite/LibTorchLite.xcframework"
    slices = {"iphoneos": "ios-arm64", "iphonesimulator": "ios-arm64_x86_64-simulator"}
    assert text.removeprefix(FORK).splitlines() == [
        f"OTHER_LDFLAGS[sdk={sdk}*] = $(inherited) "
        f'-force_load "{framework}/{slice}/libtorch_lite.a"'
        for sdk, slice in slices.items()
    ]
    assert (folder / "Pods/release.xcconfig").read_text(encoding="utf-8") == OFFICIAL


def test_a_fork_that_loads_by_force_is_not_made_to_twice(folder: Path) -> None:
    """The second podspec; and `pod install` that runs again."""
    debug, release = folder / "Pods/debug.xcconfig", folder / "Pods/release.xcconfig"
    debug.write_text(FORK + LOADED, encoding="utf-8")
    release.write_text(FORK, encoding="utf-8")
    ran(folder, hooks=2)
    assert debug.read_text(encoding="utf-8") == FORK + LOADED
    assert release.read_text(encoding="utf-8").count("-force_load") == 2
