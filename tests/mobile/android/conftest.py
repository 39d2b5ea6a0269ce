"""The app's own tools, and the artifacts its rungs run on.

Nothing is downloaded here: `python android_demo/tools/prepare.py` does that once, about 700 MB.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ...artifacts import Models

ROOT = Path(__file__).resolve().parents[3]
TOOLS = ROOT / "android_demo" / "tools"
sys.path.insert(0, str(TOOLS))


@pytest.fixture(scope="session")
def tools() -> Path:
    """The folder of the app's tools, where everything they need is there."""
    if sys.version_info < (3, 11):
        pytest.skip("the app's tools read TOML: Python 3.11 or later")
    if not sys.platform.startswith("linux"):
        pytest.skip("aapt2 and the runtime's x86_64 libraries run on Linux")
    from downloads import absent

    gone = absent()
    if gone:
        pytest.skip(f"not here: {', '.join(gone)}")
    return TOOLS


@pytest.fixture(scope="session")
def run_tool(tools: Path):
    """Run one of the app's commands as a person would; return the finished process."""

    def run(name: str, *arguments: object, timeout: int = 550) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(tools / name), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)

    return run


@pytest.fixture(scope="session")
def default_artifact(models: Models) -> Path:
    """The first command's artifact."""
    return models.fp32
