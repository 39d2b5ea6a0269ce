"""Real exports, ended by real signals at any step: the old file or the new, never a mixture."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys
import exporter
from runtime_check.stopping import command_line, stop_in_order
from tests.fuzzed_models import net

stop_in_order()
module = net()
module[4].bias.data.add_(float(sys.argv[2]))
with command_line():
    exporter.export(
        module, input_shape=(1, 3, 16, 16), out=sys.argv[1], name="a",
        on_step=lambda step: print(step, flush=True),
    )
print("done", flush=True)
"""
NAMES = {"a.ptl", "a.report.html", "a.report.json"}


@contextmanager
def an_export(out: Path, bias: float) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(out), str(bias)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:  # fmt: skip
        yield process


def steps_of(out: Path, bias: float) -> list[str]:
    with an_export(out, bias) as process:
        printed, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return printed.split()


def hashes(out: Path) -> dict[str, str]:
    return {
        p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in out.iterdir() if p.is_file()
    }


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A finished export, and the steps that it went through."""
    folder = tmp_path_factory.mktemp("old")
    return folder, steps_of(folder, 0.0)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("share", [0.2, 0.7, 1.0])
def test_an_export_that_is_ended_leaves_the_old_file_or_the_new(
    share: float, number: signal.Signals, old: tuple[Path, list[str]], tmp_path: Path
) -> None:
    finished, steps = old
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    before = hashes(out)
    assert set(before) == NAMES
    last = round(share * (len(steps) - 2))  # the last line says that it is done
    with an_export(out, 1.0) as process:
        assert process.stdout is not None
        for _ in range(last + 1):
            process.stdout.readline()
        time.sleep(0.02)
        process.send_signal(number)
        process.communicate(timeout=60)
    assert process.returncode in (-number, 128 + number, 0)
    left = {name: value for name, value in hashes(out).items() if name in NAMES}
    assert set(left) == NAMES
    new = sum(left[name] != before[name] for name in NAMES)
    assert new in (0, len(NAMES)), "a mixture of the old and the new"
    if number == signal.SIGTERM:
        assert {p.name for p in out.iterdir()} == NAMES
    # The next run cleans up whatever is left, and succeeds.
    assert steps_of(out, 2.0)[-1] == "done"
    assert {p.name for p in out.iterdir()} == NAMES
    assert not set(hashes(out).values()) & set(before.values())
