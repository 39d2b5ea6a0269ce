"""`.github/workflows`: linted by actionlint, actions pinned, and in step with the apps."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
APPS = ROOT / ".github" / "workflows" / "apps.yml"
ACTIONLINT = "v1.7.12"


def actionlint() -> Path:
    """Build it once from the Go module proxy, which checks its hash; keep it in the cache."""
    if shutil.which("go") is None:
        pytest.skip("actionlint is built with Go, which is not here")
    cache = os.environ.get("RUNTIME_CHECK_CACHE") or Path.home() / ".cache/torch-mobile-export"
    folder = Path(cache) / f"actionlint-{ACTIONLINT}"
    if not (folder / "actionlint").is_file():
        done = subprocess.run(
            ["go", "install", f"github.com/rhysd/actionlint/cmd/actionlint@{ACTIONLINT}"],
            env={**os.environ, "GOBIN": str(folder)},
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )
        if done.returncode:
            pytest.skip(f"actionlint could not be fetched with Go: {done.stderr[-300:]}")
    return folder / "actionlint"


def lint(*files: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(actionlint()), "-no-color", *map(str, files)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_actionlint_is_content() -> None:
    assert WORKFLOWS
    done = lint(*WORKFLOWS)
    assert done.returncode == 0, done.stdout + done.stderr


def test_actionlint_finds_a_job_that_waits_for_none(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yml"
    broken.write_text(APPS.read_text(encoding="utf-8").replace("needs: models", "needs: model"))
    done = lint(broken)
    assert done.returncode == 1
    assert 'needs job "model" which does not exist' in done.stdout


def test_every_action_is_pinned_by_its_commit() -> None:
    for path in WORKFLOWS:
        used = re.findall(r"(?m)^\s*(?:- )?uses: (.+)$", path.read_text(encoding="utf-8"))
        assert used
        for action in used:
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action
        # One action, one version.
        assert len({action.partition("@")[0] for action in used}) == len(set(used))


def test_the_workflow_takes_gradle_as_the_wrapper_does() -> None:
    wrapper = ROOT / "android_demo/gradle/wrapper/gradle-wrapper.properties"
    properties = wrapper.read_text(encoding="utf-8")
    version = re.search(r"distributions/gradle-([\d.]+)-bin\.zip", properties)
    assert version
    assert f'gradle-version: "{version[1]}"' in APPS.read_text(encoding="utf-8")
    assert re.search(r"(?m)^distributionSha256Sum=[0-9a-f]{64}$", properties)


def test_the_workflow_builds_what_the_emulator_gets() -> None:
    workflow = APPS.read_text(encoding="utf-8")
    settings = (ROOT / "android_demo/settings.gradle").read_text(encoding="utf-8")
    (tasks,) = re.findall(r"gradle --no-daemon .*\n\s+(.+)", workflow)
    # `assemble` is every module and both builds of the app; that of the tests is not among them.
    assert tasks.split() == ["assemble", ":core:test", ":app:assembleDebugAndroidTest"]
    assert {'include ":core"', 'include ":app"'} <= set(settings.splitlines())


def test_the_workflow_runs_scripts_that_are_there() -> None:
    scripts = re.findall(r"bash (\.ci/\w+\.sh)", APPS.read_text(encoding="utf-8"))
    assert sorted(scripts) == [".ci/emulator.sh", ".ci/simulator.sh"]
    for script in scripts:
        done = subprocess.run(["bash", "-n", str(ROOT / script)], timeout=30, check=False)
        assert done.returncode == 0


def test_the_podfile_is_swapped_for_the_simulator(tmp_path: Path) -> None:
    """The script's own piece of Python, on the Podfile as it is."""
    script = (ROOT / ".ci/simulator.sh").read_text(encoding="utf-8")
    piece = re.search(r"<<'PY'\n(.*?)\nPY\n", script, flags=re.DOTALL)
    assert piece
    shutil.copyfile(ROOT / "ios_demo/Podfile", tmp_path / "Podfile")
    command = ["python3", "-c", piece[1]]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    pods = re.findall(r"(?m)^\s*pod '([\w-]+)'", (tmp_path / "Podfile").read_text())
    assert pods == ["VoizeLibTorch-Lite"]
    (tmp_path / "Podfile").write_text("platform :ios, '17.0'\n")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert "not where it was" in done.stderr
