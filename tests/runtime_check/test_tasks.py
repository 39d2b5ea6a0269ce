"""Tasks, by the names that others use."""

from __future__ import annotations

from typing import get_args

import pytest
from pydantic import TypeAdapter, ValidationError

from runtime_check.tasks import Task

# https://huggingface.co/docs/transformers/main_classes/pipelines
PIPELINES = {
    "image-classification",
    "image-segmentation",
    "image-feature-extraction",
    "image-to-image",
    "depth-estimation",
    "keypoint-detection",
    "keypoint-matching",
    "object-detection",
    "zero-shot-image-classification",
    "zero-shot-object-detection",
    "mask-generation",
}


def test_what_the_pipelines_have_is_called_as_they_call_it() -> None:
    """Two have no pipeline: their names are made alike."""
    own = set(get_args(Task)) - PIPELINES
    assert own == {"multi-label-classification", "image-regression"}


@pytest.mark.parametrize("name", ["Image-Classification", "classification", "", "segmentation"])
def test_no_other_name_is_one(name: str) -> None:
    tasks: TypeAdapter[Task] = TypeAdapter(Task)
    assert tasks.validate_python("object-detection") == "object-detection"
    with pytest.raises(ValidationError):
        tasks.validate_python(name)
