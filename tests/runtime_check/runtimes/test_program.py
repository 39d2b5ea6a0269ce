"""Programs in a process of their own: what runs, what it says where nothing does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from runtime_check.errors import UnreadableArtifact
from runtime_check.runtime import open_runtime
from runtime_check.runtimes import program
from runtime_check.runtimes.program import NoExecuTorch, executorch_version, load_program
from runtime_check.runtimes.run import ForwardError

from ...programs import Small, small_program


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("program") / "small.pte"
    path.write_bytes(small_program())
    return path


def by_hand(x: np.ndarray) -> list[np.ndarray]:
    return [np.maximum(x @ Small.weight.numpy().T, 0), x + 1]


def test_it_runs_in_a_fresh_process(small: Path) -> None:
    x = np.linspace(-2, 2, 8, dtype=np.float32).reshape(2, 4)
    with open_runtime("host", small) as runtime:
        run = runtime.forward([x])
        assert runtime.description.startswith(f"ExecuTorch {executorch_version()} on ")
        assert runtime.engine == "xnnpack"
    for got, wanted in zip(run.outputs, by_hand(x), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-6)


def test_bytes_behind_the_program_are_ignored(small: Path, tmp_path: Path) -> None:
    longer = tmp_path / "longer.pte"
    longer.write_bytes(small.read_bytes() + b"anything" * 100)
    outputs = load_program(longer)([torch.ones(2, 4)])
    np.testing.assert_allclose(outputs[1].numpy(), np.full((2, 4), 2.0))


@pytest.mark.parametrize("shape", [(3, 4), (2, 5), (2, 4, 1)])
def test_another_size_is_an_error_with_a_sentence(small: Path, shape: tuple[int, ...]) -> None:
    with (
        open_runtime("host", small) as runtime,
        pytest.raises(ForwardError, match="forward failed"),
    ):
        runtime.forward([np.zeros(shape, np.float32)])


def test_a_cut_program_does_not_load(small: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.pte"
    cut.write_bytes(small.read_bytes()[:400])
    with (
        pytest.raises(UnreadableArtifact, match="does not load in ExecuTorch"),
        open_runtime("host", cut),
    ):
        pass


def test_without_executorch_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise program.PackageNotFoundError(name)

    monkeypatch.setattr(program, "version", absent)
    with pytest.raises(NoExecuTorch, match=r"pip install 'torch-mobile-export\[executorch\]'"):
        executorch_version()
