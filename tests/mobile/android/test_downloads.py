"""What is kept in the cache: whole or not at all, and made once, whoever comes at the same time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import APP_TOOLS

MAKER = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from downloads import made

def make(part):
    part.mkdir()
    print("made", flush=True)
    time.sleep(1)
    (part / "class").write_text("whole")

print((made(Path(sys.argv[2]), make) / "class").read_text())
"""


def test_two_that_want_the_same_folder_make_it_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MAKER, str(APP_TOOLS), str(tmp_path / "cache" / "app-r")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = sorted(process.communicate(timeout=60)[0].split() for process in both)
    assert said == [["made", "whole"], ["whole"]]


def test_what_could_not_be_made_is_not_there_and_is_made_again(tmp_path: Path) -> None:
    from downloads import made

    target = tmp_path / "jar"

    def fail(part: Path) -> None:
        part.write_text("half")
        raise RuntimeError("no space")

    with pytest.raises(RuntimeError, match="no space"):
        made(target, fail)
    assert not target.exists()

    def succeed(part: Path) -> None:
        part.write_text("whole")

    assert made(target, succeed).read_text() == "whole"
    assert made(target, fail).read_text() == "whole"
