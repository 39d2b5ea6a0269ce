"""Options are validated when they are made."""

from __future__ import annotations

import subprocess
import sys

import pytest

from exporter.errors import UsageError
from exporter.options import ExportOptions, PreprocessingChoice


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


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("input", "imagee", "input is one of auto, image, tensor.* Did you mean image"),
        ("activation", "relu", "activation is one of"),
        ("capture", "tracing", "capture is one of.* Did you mean trace"),
        ("targets", (), "at least one"),
        ("name", "../x", "cannot be a file's name"),
        ("name", "a/b", "cannot be a file's name"),
        ("name", "", "cannot be a file's name"),
        ("name", "..", "cannot be a file's name"),
        ("name", "n" * 300, "cannot be a file's name"),
    ],
)
def test_words_and_names_are_checked_when_made(field: str, value: object, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        ExportOptions(**{field: value})  # type: ignore[arg-type]


def test_preprocessing_is_checked_when_made() -> None:
    assert PreprocessingChoice(interpolation="bicubic", crop_mode="squash").crop_pct is None
    with pytest.raises(UsageError, match="interpolation is one of bicubic, bilinear"):
        PreprocessingChoice(interpolation="nearest")  # type: ignore[arg-type]
