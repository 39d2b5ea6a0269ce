from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from runtime_check.testing.archives import with_golden
from runtime_check.testing.models import ModelRecipe


def pytest_run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # The package's entry point loads the plugin, as in a user's own project.
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider",
         f"--rootdir={folder}", *arguments, str(folder)],
        capture_output=True, text=True, check=False, cwd=folder,
    )  # fmt: skip


def test_an_artifacts_properties_are_tests(tensor_ptl: Any, tmp_path: Path) -> None:
    (tmp_path / "test_own.py").write_text("def test_own():\n    pass\n")
    done = pytest_run(
        tmp_path, "--artifact", str(tensor_ptl.path), "--artifact-examples", "3",
        "-k", "own or golden or parity or batch",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "3 passed, 1 skipped" in done.stdout
    assert "import code that the file chose" in done.stdout


def test_a_failure_is_the_finding_alone(tensor_ptl: Any, tmp_path: Path) -> None:
    def shift(golden: dict[str, Any]) -> None:
        golden["cases"][0]["expected"] = golden["cases"][1]["expected"]

    path = with_golden(tensor_ptl.path, tmp_path / "bad.ptl", shift)
    done = pytest_run(tmp_path, "--artifact", str(path), "-k", "golden")
    assert done.returncode == 1
    assert "would have passed" in done.stdout
    assert "Traceback" not in done.stdout
    assert "properties.py" not in done.stdout


def test_an_absent_artifact_is_a_usage_error(tmp_path: Path) -> None:
    done = pytest_run(tmp_path, "--artifact", "absent.ptl")
    assert done.returncode == 4
    assert "there is no such file" in done.stderr + done.stdout


def test_a_failing_input_comes_with_the_command_that_judges_it_again(
    build_tensor_ptl: Any, tmp_path: Path
) -> None:
    net = ModelRecipe("depthwise", 2, 16, True, False, "relu", 32, 9).build()
    made = build_tensor_ptl(tmp_path / "other.ptl", net=net)
    reference = "runtime_check.testing.models:small_classifier"
    done = pytest_run(
        tmp_path, "--artifact", str(made.path), "--artifact-reference", reference,
        "--artifact-examples", "2", "-k", "parity",
    )  # fmt: skip
    assert done.returncode == 1
    assert re.search(r"again: python -m runtime_check \S+other.ptl --replay \S+npz", done.stdout)


def test_limits_are_options_and_values_that_are_none_a_usage_error(
    tensor_ptl: Any, tmp_path: Path
) -> None:
    for options, words in (
        (["--artifact-timeout", "inf"], "A time limit is above 0 s"),
        (["--artifact-memory", "nan"], "takes GiB, from 0"),
    ):
        done = pytest_run(tmp_path, "--artifact", str(tensor_ptl.path), *options)
        assert done.returncode == 4
        assert words in done.stderr + done.stdout
    late = pytest_run(
        tmp_path, "--artifact", str(tensor_ptl.path), "--artifact-deadline", "0.000001",
        "--artifact-memory", "4", "--artifact-timeout", "60", "-k", "golden",
    )  # fmt: skip
    assert late.returncode == 1
    assert "undecided (late)" in late.stdout


def test_choices_are_those_of_the_command_line(tmp_path: Path) -> None:
    done = pytest_run(tmp_path, "--artifact-run-on", "desktop")
    assert done.returncode == 4
    assert "arm64-2.1.0" in done.stderr


def test_a_signature_can_be_demanded(signed_ptl: Any, tensor_ptl: Any, tmp_path: Path) -> None:
    common = ("-k", "golden", "--artifact-verify-key", signed_ptl.key)
    assert pytest_run(tmp_path, "--artifact", str(signed_ptl.path), *common).returncode == 0
    done = pytest_run(tmp_path, "--artifact", str(tensor_ptl.path), *common)
    assert done.returncode == 1
    assert "is not signed" in done.stdout
