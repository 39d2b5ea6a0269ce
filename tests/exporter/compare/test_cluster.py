"""A real cluster of two workers on this machine: the same results, whoever dies meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exporter.compare import cluster
from exporter.compare.cluster import ray_runner
from exporter.compare.result import Comparison, without_measured
from exporter.compare.run import TRIALS, compare
from exporter.errors import UsageError

from .trials import alive, plan, write_pictures

pytest.importorskip("ray", reason="Ray is not installed (pip install '.[ray]')")
ROOT = Path(__file__).parents[3]
STORE = 80 * 2**20  # bytes; the least that Ray takes is 75 MiB

FACTORY = """
import torch
from sizes import WIDTH  # beside it, as one's own modules are

def small():
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, WIDTH, 3, stride=2), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(), torch.nn.Linear(WIDTH, 5),
    ).eval()
    half = (0.5, 0.5, 0.5)
    net.pretrained_cfg = {"input_size": (3, 48, 48), "mean": half, "std": half}
    return net
"""


@pytest.fixture
def two_workers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """Two machines of one core, as far as Ray knows, and a head that only keeps the books."""
    from ray.cluster_utils import Cluster

    before = signal.getsignal(signal.SIGTERM)  # which Ray replaces
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    # What trials read is laid out here, and not in the cache of who runs the tests.
    monkeypatch.setenv("RUNTIME_CHECK_CACHE", str(tmp_path / "cache"))
    shared = {"object_store_memory": STORE}
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **shared})
    try:
        for _ in range(2):
            made.add_node(num_cpus=1, **shared)
        yield made
    finally:
        made.shutdown()
        signal.signal(signal.SIGTERM, before)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A place of one's own with a factory, calibration images, and a plan that needs both."""
    (tmp_path / "mine.py").write_text(FACTORY, encoding="utf-8")
    (tmp_path / "sizes.py").write_text("WIDTH = 8\n", encoding="utf-8")
    write_pictures(tmp_path / "photos", 6)
    (tmp_path / "plan.toml").write_text(
        'models = [{ model = "test_vit", random_weights = true }, "mine:small", "no_such_model"]\n'
        'recipes = ["static"]\ncalibration = "photos"\n'
        'evaluate = "photos"\nrounds = 1\n',
        encoding="utf-8",
    )
    return tmp_path


def command(folder: Path, out: str, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "exporter", "compare", "plan.toml", "-o", out, "--no-count", *more],
        cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def result(folder: Path, out: str) -> dict[str, Any]:
    text = (folder / out / "compare.json").read_text(encoding="utf-8")
    return without_measured(Comparison.model_validate_json(text))


def bytes_of(folder: Path, out: str) -> dict[str, bytes]:
    files = (folder / out / TRIALS).rglob("*.ptl")
    return {file.relative_to(folder / out).as_posix(): file.read_bytes() for file in files}


def workers() -> list[int]:
    """Processes of Ray's that have a trial in their hands."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"ray::_on_worker" in each.read_bytes():
                found.append(int(each.parent.name))
        except OSError:
            continue
    return found


@pytest.mark.slow
def test_a_cluster_gives_what_this_machine_gives_whoever_dies(
    two_workers: Any, folder: Path
) -> None:
    with command(folder, "there", "--ray", two_workers.address) as there:
        until = time.monotonic() + 240
        while not alive(folder) and time.monotonic() < until:
            time.sleep(0.1)
        # A worker dies without a word, with a trial in its hands. Not a whole machine: Ray's
        # driver hangs on to one of those that are here, and it may be that one.
        os.kill(workers()[0], signal.SIGKILL)
        out, errors = there.communicate(timeout=500)
    assert there.returncode == 0, errors
    with command(folder, "here") as here:
        here.communicate(timeout=500)
    assert result(folder, "there") == result(folder, "here")
    files = bytes_of(folder, "here")
    assert len(files) == 2
    assert bytes_of(folder, "there") == files, "the same bytes, wherever they were made"
    assert "3 exports on a cluster that has 2 cores now" in errors
    assert "small-static.ptl" in out
    assert "aylet" not in out + errors, "nothing of Ray's own, even of a machine that dies"
    sent = [path for path in (folder / "cache" / "compare").iterdir() if path.is_dir()]
    assert len(sent) == 2, "the photos, for two purposes, and the code; once each"


@pytest.mark.slow
def test_ctrl_c_ends_what_runs_there(two_workers: Any, folder: Path) -> None:
    with command(folder, "there", "--ray", two_workers.address) as there:
        until = time.monotonic() + 120
        while not alive(folder) and time.monotonic() < until:
            time.sleep(0.1)
        assert alive(folder)
        there.send_signal(signal.SIGINT)
        _, errors = there.communicate(timeout=120)
    assert there.returncode == 130
    assert errors.strip().endswith("error: interrupted.")
    until = time.monotonic() + 30
    while alive(folder) and time.monotonic() < until:
        time.sleep(0.1)
    assert not alive(folder)
    assert not (folder / "there" / "compare.json").exists()


@pytest.mark.parametrize("address", ["127.0.0.1:1", "auto", "ray://127.0.0.1:1", "nonsense"])
def test_no_cluster_is_said_at_once(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")  # `auto`, whatever else runs here
    started = time.monotonic()
    with pytest.raises(UsageError, match=r"--ray: no cluster answers at .*ray start --head"):
        compare(
            plan("no_such_model"), out=tmp_path / "out", count=False, runner=ray_runner(address)
        )
    assert time.monotonic() - started < 60, "and not after Ray's own two minutes"
    assert not (tmp_path / "out").exists()


def test_ray_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(UsageError, match=r"pip install 'torch-mobile-export\[ray\]'"),
        cluster._connected("auto"),
    ):
        pass


def test_the_extra_exists() -> None:
    if sys.version_info < (3, 11):
        pytest.skip("tomllib came with Python 3.11")
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert [*project["optional-dependencies"][cluster.EXTRA]] == ["ray>=2.40,<3"]
    assert cluster.EXTRA in cluster.HOW_TO_INSTALL
