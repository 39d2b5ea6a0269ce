"""A file in a child process: crashes, hangs and floods stay there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from runtime_check.runtimes.host import HostSession, open_host, start_host
from runtime_check.runtimes.lite import write_lite
from runtime_check.runtimes.run import ChildDied, ForwardError

X = [np.zeros((1, 3, 32, 32), np.float32)]


@pytest.fixture(scope="module")
def session() -> Any:
    with start_host(timeout=60) as started:
        yield started


def load(session: HostSession, path: Path, engine: str = "qnnpack") -> None:
    session.load(path=path, engine=engine, threads=1, memory=0)


def test_memory_limit(image_ptl: Any) -> None:
    # Address space is what is limited: another thread's malloc arena takes 64 MB of it, so that the
    # file itself would not always load with less. The photo in float32 alone is 192 MB.
    big = [np.zeros((4000, 4000, 3), np.uint8)]
    with (
        open_host(image_ptl.path, memory=200 * 2**20) as limited,
        pytest.raises(ForwardError, match="more memory than it may have"),
    ):
        limited.forward(big)


def test_a_crash_is_contained(tensor_ptl: Any) -> None:
    # One argument too many overruns the lite interpreter's registers: a real crash of torch.
    with (
        open_host(tensor_ptl.path) as crashing,
        pytest.raises(ChildDied, match=r"crashed while running .*signal"),
    ):
        crashing.forward(X + X)


def test_a_hang_is_stopped(tmp_path: Path) -> None:
    class Endless(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            while bool(x.sum() > -1e30):
                x = x * 1.0
            return x

    path = tmp_path / "endless.ptl"
    write_lite(torch.jit.script(Endless()), path)
    with start_host(timeout=60) as hanging:
        load(hanging, path)
        hanging._timeout = 2.0  # importing torch may take longer than that
        with pytest.raises(ChildDied, match="still running after 2 s"):
            hanging.forward(X)


class Wide(torch.nn.Module):
    """Four bytes seen as 256 MB."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.zeros(1).expand(67108864)  # a literal: TorchScript has 2**26 as float


class Many(torch.nn.Module):
    """Very many outputs."""

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return torch.zeros(1001).unbind(0)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Wide(), "268435456 bytes, and at most 67108864"),
        (Many(), "1001 tensors, more than 1000"),
    ],
)
def test_outputs_that_nobody_could_look_at_are_refused(
    session: HostSession, tmp_path: Path, model: torch.nn.Module, words: str
) -> None:
    path = tmp_path / "floods.ptl"
    write_lite(torch.jit.script(model), path)
    load(session, path)
    for _ in range(2):  # it still answers after that
        with pytest.raises(ForwardError, match=words):
            session.forward(X)


def test_inputs_that_no_file_takes_are_refused_here(session: HostSession, tensor_ptl: Any) -> None:
    load(session, tensor_ptl.path)
    for bad in (np.zeros(2, ">f4"), np.array([None]), np.zeros([1] * 9)):
        with pytest.raises(ForwardError, match="cannot be given"):
            session.forward([bad])
    assert session.forward(X).outputs[0].shape == (1, 10)


def test_repeats_are_timed_one_by_one(session: HostSession, tensor_ptl: Any) -> None:
    load(session, tensor_ptl.path)
    run = session.forward(X, repeats=4)
    assert len(run.seconds) == 4
    assert min(run.seconds) > 0
    assert run.outputs[0].shape == (1, 10)


def test_the_parents_settings_do_not_reach_the_child(
    image_ptl: Any, monkeypatch: pytest.MonkeyPatch, build_image_ptl: Callable[..., Any]
) -> None:
    case = np.full((50, 60, 3), 90, np.uint8)
    with open_host(image_ptl.path) as plain:
        expected = plain.forward([case]).outputs
    before = torch.backends.quantized.engine
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    try:
        torch.backends.quantized.engine = "fbgemm"
        with open_host(image_ptl.path) as other:
            found = other.forward([case]).outputs
    finally:
        torch.backends.quantized.engine = before
    assert found[0].tobytes() == expected[0].tobytes()
