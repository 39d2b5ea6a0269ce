"""`python -m exporter migrate`, as typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.cli import main


def test_a_file_that_is_none_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["migrate", str(tmp_path / "no.ptl")])
    assert end.value.code == 2
    said = capsys.readouterr()
    assert "There is no file" in said.err
    assert said.out == ""
