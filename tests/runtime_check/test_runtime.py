"""One way to run a file, here and on a device runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from runtime_check.artifact.archive import read_artifact
from runtime_check.device.errors import DeviceUnavailable, UnknownRuntime
from runtime_check.device.install import find_installed
from runtime_check.errors import UnreadableArtifact
from runtime_check.runtime import open_runtime

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


def test_names_and_files_that_are_not_there(tmp_path: Any, tensor_ptl: Any) -> None:
    with pytest.raises(UnknownRuntime, match=ARM), open_runtime("arm65", tensor_ptl.path):
        pass
    (tmp_path / "not.ptl").write_bytes(b"PK")
    with pytest.raises(UnreadableArtifact), open_runtime("host", tmp_path / "not.ptl"):
        pass
