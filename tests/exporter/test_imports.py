"""What is imported, and when: the command line answers before torch is loaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import exporter
from exporter.artifact import Artifact

HEAVY = {"torch", "timm", "torchvision", "PIL", "jinja2", "hypothesis", "numpy"}


def imported(code: str) -> set[str]:
    """Return which of the heavy packages a fresh Python has loaded after `code`."""
    code += f"; import sys; print(*sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    return set(done.stderr.split())


@pytest.mark.parametrize(
    "code",
    [
        "import exporter",
        "import exporter.cli",
        "import runtime_check.errors, runtime_check.device.operators",
        "import exporter; exporter.ExportError, exporter.PreprocessingChoice",
        "from exporter.cli import app; app(['--help'], standalone_mode=False)",
        "from exporter.cli import app; app(['export', '--help'], standalone_mode=False)",
    ],
)
def test_nothing_heavy(code: str) -> None:
    assert imported(code) == set()


def test_inspecting_a_file_does_not_load_torch(default_artifact: Artifact) -> None:
    path = str(default_artifact.path)
    code = f"from exporter.cli import app; app(['inspect', {path!r}], standalone_mode=False)"
    assert imported(code) <= {"numpy"}, "what the metadata is read with"


def test_the_public_names() -> None:
    assert dir(exporter) == sorted(exporter.__all__)
    for name in exporter.__all__:
        assert getattr(exporter, name) is not None
    with pytest.raises(AttributeError, match="exprot"):
        exporter.exprot  # noqa: B018  the access is the test


def test_no_room_imports_the_command_line() -> None:
    package = Path(exporter.__file__).parent
    for path in package.rglob("*.py"):
        inside = path.relative_to(package)
        if inside.parts[0] in ("cli", "__main__.py"):
            continue
        text = path.read_text(encoding="utf-8")
        assert "cli import" not in text and "import cli" not in text, path  # noqa: PT018
