"""One way to run a file, here and on a device runtime."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

from runtime_check.artifact.archive import read_artifact
from runtime_check.device.errors import DeviceUnavailable, UnknownRuntime
from runtime_check.device.install import find_installed
from runtime_check.errors import RuntimeCheckError, UnreadableArtifact
from runtime_check.runtime import Supervised, open_runtime
from runtime_check.runtimes.host import start_host
from runtime_check.runtimes.run import OutOfTime, Run

ARM = "arm64-2.1.0"


@pytest.mark.parametrize("name", ["host", ARM])
def test_golden_vectors_come_out_of_any_runtime(name: str, tensor_ptl: Any) -> None:
    if name == ARM:
        try:
            find_installed(ARM)
        except DeviceUnavailable as error:
            pytest.skip(str(error))
    artifact = read_artifact(tensor_ptl.path)
    case = artifact.golden.cases[0]
    with open_runtime(name, tensor_ptl.path) as runtime:
        run = runtime.forward([i.array() for i in case.inputs], repeats=3)
        assert runtime.name == name
        assert runtime.engine == "qnnpack"
        assert runtime.costly is (name == ARM)
        assert "torch" in runtime.description
        assert runtime.load_seconds > 0
    assert len(run.seconds) == 3
    assert np.allclose(run.outputs[0], case.expected[0].array(), atol=1e-5)


class Slow:
    """A runtime that always answers just in time."""

    name, description, engine, costly = "slow", "a fake", "none", False
    load_seconds, load_peak_bytes = 0.0, 0

    def forward(self, inputs: Sequence[np.ndarray], *, threads: int = 1, repeats: int = 1) -> Run:
        time.sleep(0.2)
        return Run(outputs=[], seconds=(0.2,))


def test_all_answers_together_have_a_deadline() -> None:
    with Supervised(lambda: nullcontext(Slow()), deadline=0.5, shown="a.ptl") as runtime:
        started, answers = time.monotonic(), 0
        while not runtime.is_late:
            runtime.forward([])
            answers += 1
        assert 1 <= answers <= 3  # the third began in time
        assert time.monotonic() - started < 2
        with pytest.raises(OutOfTime, match=r"a\.ptl: its answers took more than 0\.5 s") as caught:
            runtime.forward([])
        assert runtime.deaths == 0
        assert caught.value.exit_code == 3


@pytest.mark.parametrize("timeout", [math.inf, math.nan, 0.0])
def test_no_process_is_started_without_a_limit_of_time(timeout: float, tmp_path: Any) -> None:
    for opened in (
        open_runtime("host", tmp_path / "a.ptl", timeout=timeout),
        open_runtime(ARM, tmp_path / "a.ptl", timeout=timeout),
        start_host(timeout=timeout),
    ):
        with pytest.raises(RuntimeCheckError, match="A time limit is above 0 s"), opened:
            pass


def test_names_and_files_that_are_not_there(tmp_path: Any, tensor_ptl: Any) -> None:
    with pytest.raises(UnknownRuntime, match=ARM), open_runtime("arm65", tensor_ptl.path):
        pass
    (tmp_path / "not.ptl").write_bytes(b"PK")
    with pytest.raises(UnreadableArtifact), open_runtime("host", tmp_path / "not.ptl"):
        pass
