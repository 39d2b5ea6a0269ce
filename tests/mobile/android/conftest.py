"""The app's own tools, those of its tests, and the artifacts its rungs run on.

Nothing is downloaded here: `python android_demo/tools/prepare.py` does that once, about 1.2 GB.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Protocol

import pytest

from ...artifacts import Models

ROOT = Path(__file__).resolve().parents[3]
APP_TOOLS = ROOT / "android_demo" / "tools"
TEST_TOOLS = Path(__file__).with_name("tools")
# Both are folders of scripts; the tests import them as the scripts import each other.
sys.path[:0] = [str(APP_TOOLS), str(TEST_TOOLS)]


class RunTool(Protocol):
    """Run one of the tools as a person would; return the finished process."""

    def __call__(
        self, name: str, *arguments: object, timeout: int = 550
    ) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture(scope="session")
def tools() -> None:
    """Skip where anything that the tools need is absent."""
    if sys.version_info < (3, 11):
        pytest.skip("the app's tools read TOML: Python 3.11 or later")
    if not sys.platform.startswith("linux"):
        pytest.skip("aapt2 and the runtime's x86_64 libraries run on Linux")
    from downloads import absent

    gone = absent()
    if gone:
        pytest.skip(f"not here: {', '.join(gone)}")


@pytest.fixture(scope="session")
def run_tool(tools: None) -> RunTool:
    def run(name: str, *arguments: object, timeout: int = 550) -> subprocess.CompletedProcess[str]:
        folder = APP_TOOLS if (APP_TOOLS / name).is_file() else TEST_TOOLS
        command = [sys.executable, str(folder / name), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)

    return run


@pytest.fixture(scope="session")
def default_artifact(models: Models) -> Path:
    """The first command's artifact."""
    return models.fp32
