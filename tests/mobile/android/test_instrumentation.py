"""The golden vectors on an emulator: what can be known of it without one."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from .conftest import ROOT

SOURCES = "app/src/androidTest/kotlin"
SCRIPT = ROOT / ".ci" / "emulator.sh"


def test_the_instrumentation_compiles_against_app_and_android(tools: None, tmp_path: Path) -> None:
    from build_apk import Build, app_classpath, compile_app, link_resources
    from compile import framework_classes, kotlin_sources, kotlinc

    (tmp_path / "assets").mkdir()
    build = Build(
        debuggable=True, runtime="auto", out=tmp_path / "none", assets=tmp_path / "assets"
    )
    app = compile_app(link_resources(tmp_path, build).r_java)
    classpath = [*app, *app_classpath(), framework_classes()]
    classes = kotlinc(
        kotlin_sources(SOURCES), classpath, module="app-android-test", friends=[app[0]]
    )
    assert (classes / "dev/torchmobile/demo/GoldenInstrumentation.class").is_file()


def test_gradle_and_the_script_name_the_same_instrumentation() -> None:
    gradle = (ROOT / "android_demo/app/build.gradle.kts").read_text(encoding="utf-8")
    named = re.search(r'testInstrumentationRunner = "(dev\.torchmobile\.demo\.\w+)"', gradle)
    assert named
    # The plugin's name for the APK of tests is the app's with `.test` behind it.
    assert f"dev.torchmobile.demo.test/{named[1]} " in SCRIPT.read_text(encoding="utf-8")
    (source,) = (ROOT / "android_demo" / SOURCES).rglob(f"{named[1].rpartition('.')[2]}.kt")
    assert "package dev.torchmobile.demo\n" in source.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("INSTRUMENTATION_STATUS_CODE: 0\nINSTRUMENTATION_CODE: -1", 0),
        ("INSTRUMENTATION_STATUS_CODE: -2\nINSTRUMENTATION_CODE: 0", 1),
        ("INSTRUMENTATION_RESULT: shortMsg=Process crashed.\nINSTRUMENTATION_CODE: 0", 1),
        ("INSTRUMENTATION_STATUS: Error=Unable to find instrumentation info", 1),
    ],
)
def test_the_script_passes_only_where_the_device_says_so(
    tmp_path: Path, said: str, code: int
) -> None:
    """A stand-in for adb: it takes every command, and answers the instrumentation's."""
    apk = tmp_path / "android_demo/app/build/outputs/apk"
    apk.mkdir(parents=True)
    (tmp_path / ".ci").mkdir()
    script = tmp_path / ".ci" / SCRIPT.name
    script.write_bytes(SCRIPT.read_bytes())
    adb = tmp_path / "adb"
    adb.write_text(
        f'#!/bin/sh\necho "$@" >>{tmp_path}/asked\n[ "$1" = shell ] && printf "{said}\\n"\nexit 0\n'
    )
    adb.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", str(script)],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    asked = (tmp_path / "asked").read_text().splitlines()
    assert [line.split()[0] for line in asked] == ["install", "install", "shell"]
