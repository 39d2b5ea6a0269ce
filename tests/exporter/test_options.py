"""Options are validated when they are made."""

from __future__ import annotations

import subprocess
import sys

import pytest

from exporter.errors import UsageError
from exporter.options import ExportOptions


def test_targets_are_resolved() -> None:
    assert ExportOptions(targets=("pytorch-1.13",)).targets == ("pytorch-1.13.1",)
    with pytest.raises(Exception, match=r"pytorch-2\.1\.0"):
        ExportOptions(targets=("pytorch-9",))


def test_sizes_are_positive() -> None:
    with pytest.raises(UsageError, match="--input-shape"):
        ExportOptions(input_shape=(1, 3, 0, 32))


def test_options_need_no_torch() -> None:
    """The command line imports them for `--help`."""
    code = "import sys, exporter.options; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
