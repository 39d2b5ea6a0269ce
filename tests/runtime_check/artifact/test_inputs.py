from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from runtime_check.artifact.inputs import check_inputs


@pytest.mark.parametrize("of", [np.zeros, lambda shape: torch.zeros(shape).double()])
def test_arrays_and_tensors_must_fit_the_metadata(tensor_ptl: Any, of: Callable[..., Any]) -> None:
    wrong = [[of((1, 3, 32, 32))], [], [of((1, 3, 32))], [of((1, 3, 32, 32))] * 2]
    for inputs in wrong:  # float64, none, a dimension short, one too many
        with pytest.raises(ValueError, match=r"this artifact takes .*float32.*\(any batch\), not"):
            check_inputs(tensor_ptl.metadata, inputs)
    check_inputs(tensor_ptl.metadata, [np.zeros((5, 3, 32, 32), np.float32)])
    check_inputs(tensor_ptl.metadata, [torch.zeros(5, 3, 32, 32)])


def test_a_fixed_batch_is_fixed(tensor_ptl: Any) -> None:
    fixed = tensor_ptl.metadata.input.model_copy(update={"dynamic_batch": False})
    metadata = tensor_ptl.metadata.model_copy(update={"input": fixed})
    check_inputs(metadata, [torch.zeros(1, 3, 32, 32)])
    with pytest.raises(ValueError, match="this artifact takes"):
        check_inputs(metadata, [torch.zeros(2, 3, 32, 32)])


def test_an_image_artifact_takes_one(image_ptl: Any) -> None:
    check_inputs(image_ptl.metadata, [np.zeros((40, 30, 3), np.uint8)])
    with pytest.raises(ValueError, match="one image, not 2"):
        check_inputs(image_ptl.metadata, [np.zeros((4, 4, 3))] * 2)
