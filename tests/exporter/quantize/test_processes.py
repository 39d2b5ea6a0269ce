"""Training in several processes, in bf16 and with what else the options say."""

from __future__ import annotations

import csv
import importlib.util
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from exporter.errors import UsageError
from exporter.quantize import processes
from exporter.quantize.processes import device_for, start, world
from exporter.training import TrainingOptions

from .train_together import run

ROOT = Path(__file__).parents[3]
# How far sums in another order take weights of about 0.3: gradients of two processes are averaged,
# those of one are not. Three epochs of Adam at 1e-2, which moves each weight by up to 0.1.
ROUNDING = 1e-4


def alike(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=0.0, atol=ROUNDING)


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Two gloo processes with 4 images each a step; the second dies in epoch 2 and both resume."""
    folder = tmp_path_factory.mktemp("together")
    files = [str(folder / name) for name in ("out.pt", "checkpoint.pt", "kept.pt")]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["--max-restarts=1", "-m", "tests.exporter.quantize.train_together"]
    command += [files[0], "4", *files[1:]]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
        # Else torch's restarted processes may read where those before them listened, and give up.
        "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
    }
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return {**torch.load(files[0]), "kept": Path(files[2])}


@pytest.fixture(scope="module")
def alone() -> tuple[list[float], dict[str, Any]]:
    """One process with the doubled batch, never interrupted."""
    trained, _, state = run(TrainingOptions(batch_size=8))
    return [epoch.loss for epoch in trained.epochs], state


def test_two_processes_of_which_one_was_killed_train_as_one_with_the_doubled_batch(
    together: dict[str, Any], alone: tuple[list[float], dict[str, Any]]
) -> None:
    assert together["first"] == 1  # the second epoch was begun again
    assert together["losses"] == pytest.approx(alone[0], abs=ROUNDING)
    alike(together["state"], alone[1])


def test_what_two_processes_saved_one_goes_on_from(
    together: dict[str, Any], alone: tuple[list[float], dict[str, Any]]
) -> None:
    trained, _, state = run(TrainingOptions(batch_size=8), together["kept"])
    assert trained.resumed_from == 1
    alike(state, alone[1])


def test_bf16_trains_too_and_judges_in_float32(
    alone: tuple[list[float], dict[str, Any]],
) -> None:
    trained, made, state = run(TrainingOptions(batch_size=8, precision="bf16"))
    losses = [epoch.loss for epoch in trained.epochs]
    assert losses == pytest.approx(alone[0], rel=0.05)
    assert losses != alone[0]  # the products were bf16's
    assert all(value.dtype != torch.bfloat16 for value in state.values())
    assert made.int8_layers == 2


def test_logs_have_a_line_for_each_epoch(tmp_path: Path) -> None:
    trained, _, _ = run(TrainingOptions(log_dir=tmp_path))
    rows = list(csv.DictReader(io.StringIO((tmp_path / "metrics.csv").read_text())))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3]
    assert [float(row["loss"]) for row in rows] == pytest.approx([e.loss for e in trained.epochs])
    assert float(rows[-1]["sqnr_db"]) == pytest.approx(trained.epochs[-1].accuracy.sqnr_db)


def test_patience_ends_what_gets_no_better() -> None:
    """A rate of nothing changes nothing, so no epoch is better than the first judgment."""
    trained, _, _ = run(TrainingOptions(patience=2), epochs=9, learning_rate=1e-12)
    assert trained.best_epoch == -1
    assert len(trained.epochs) == 2


def test_an_average_of_the_weights_is_kept() -> None:
    plain, average = (run(TrainingOptions(ema=decay))[2] for decay in (None, 0.999))
    start_of_both = run(TrainingOptions(), learning_rate=1e-12)[2]
    name = "conv.layer.weight"
    moved = [float((state[name] - start_of_both[name]).norm()) for state in (plain, average)]
    assert 0 < moved[1] < moved[0]


def test_processes_are_counted_as_torchrun_says() -> None:
    assert world({}) == (1, 1)
    assert world({"LOCAL_WORLD_SIZE": "4", "WORLD_SIZE": "12"}) == (4, 3)


def test_an_accelerator_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert device_for("auto") == torch.device("cpu")
    with pytest.raises(UsageError, match="--accelerator cuda: this torch finds none"):
        device_for("cuda")


def test_without_the_extra_the_command_to_install_it_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        processes.importlib.util,
        "find_spec",
        lambda name: None if name == "lightning_fabric" else find(name),
    )
    with pytest.raises(UsageError, match=r"pip install .*\[train\]"):
        start(TrainingOptions())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")
@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_a_gpu_trains_as_the_cpu_does(
    precision: Any, alone: tuple[list[float], dict[str, Any]]
) -> None:
    trained, made, state = run(
        TrainingOptions(batch_size=8, accelerator="cuda", precision=precision)
    )
    assert [epoch.loss for epoch in trained.epochs] == pytest.approx(alone[0], rel=0.05)
    assert all(value.device.type == "cpu" for value in state.values())
    assert made.int8_layers == 2
