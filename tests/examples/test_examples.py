"""Each example runs as a person would run it, in its own process, and prints what it should."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parent


def run(example: str, *arguments: str, cwd: Path) -> str:
    """Run an example with `cwd` as its working folder; return what it printed."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / example), *arguments],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_timm_model(tmp_path: Path) -> None:
    printed = run("timm_model.py", "out", cwd=tmp_path)
    assert (tmp_path / "out" / "tf_efficientnet_lite0.ptl").exists()
    assert re.search(r"\.ptl: 18\.\d MB, max \|d\| \d\.\de-0[67] from eager", printed)
    assert len(re.findall(r"% .*cat", printed)) == 3
    assert "loaded again: tf_efficientnet_lite0" in printed


def test_own_module(tmp_path: Path) -> None:
    printed = run("own_module.py", "out", cwd=tmp_path)
    answers = re.findall(r"(.+): (.+) \d+\.\d%", printed)
    assert len(answers) == 3
    assert all(label == answer for label, answer in answers)
    assert "clothes_by_name.ptl: own_module:make" in printed
