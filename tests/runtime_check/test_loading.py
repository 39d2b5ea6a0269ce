from __future__ import annotations

import gc
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import runtime_check
from runtime_check import NotVouchedFor, UnreadableArtifact
from runtime_check.comparison import Tolerance, assert_parity
from runtime_check.loading import LoadedFile


def process(model: LoadedFile) -> int:
    pid: int = model.runtime._worker.process.pid  # type: ignore[attr-defined]  # of the child
    return pid


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_file_is_a_function_of_arrays(tensor_ptl: Any) -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 32, 32)).astype(np.float32)
    with torch.no_grad():
        expected = tensor_ptl.module(torch.from_numpy(x)).numpy()
    with runtime_check.load(tensor_ptl.path) as model:
        actual = model(x)
        assert isinstance(actual, np.ndarray)
        assert_parity(expected, actual, Tolerance.of(model.metadata), what="a batch of two")
        with pytest.raises(ValueError, match="this artifact takes"):
            model(x[:, :2])
        with pytest.raises(ValueError, match="this artifact takes"):
            model(x, x)


def test_images_are_taken_as_they_are(image_ptl: Any) -> None:
    (case, *_) = runtime_check.read_artifact(image_ptl.path).golden.cases
    with runtime_check.load(image_ptl.path) as model:
        actual = model(case.inputs[0].array())
        with pytest.raises(ValueError, match="one image, not 2"):
            model(*[case.inputs[0].array()] * 2)
    np.testing.assert_allclose(actual, case.expected[0].array(), atol=1e-5)


def test_the_process_ends_with_the_object(tensor_ptl: Any) -> None:
    model = runtime_check.load(tensor_ptl.path)
    first = process(model)
    assert alive(first)
    model.close()
    assert not alive(first)
    model = runtime_check.load(tensor_ptl.path)
    second = process(model)
    del model
    gc.collect()
    assert not alive(second)


def test_a_file_that_is_not_an_artifact_starts_nothing(tmp_path: Path) -> None:
    path = tmp_path / "empty.ptl"
    path.write_bytes(b"")
    with pytest.raises(UnreadableArtifact, match="is empty"):
        runtime_check.load(path)


def test_a_signed_file_runs_as_it_was_verified(signed_ptl: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.ptl"
    path.write_bytes(signed_ptl.path.read_bytes())
    (case, *_) = runtime_check.read_artifact(path).golden.cases
    with runtime_check.load(path, verify_key=signed_ptl.key) as model:
        path.unlink()
        actual = model(case.inputs[0].array())
        copy = model.artifact.path
    np.testing.assert_allclose(actual, case.expected[0].array(), atol=1e-5)
    assert not copy.exists()


def test_a_file_that_nobody_signed_is_not_loaded(tensor_ptl: Any, signed_ptl: Any) -> None:
    with pytest.raises(NotVouchedFor, match=re.escape(str(tensor_ptl.path))) as caught:
        runtime_check.load(tensor_ptl.path, verify_key=signed_ptl.key)
    assert caught.value.doubt == "unsigned"
