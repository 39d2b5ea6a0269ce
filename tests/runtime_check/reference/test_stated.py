"""A false statement that agrees with itself is seen by what timm says of the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from torch import nn

from runtime_check.artifact.archive import read_artifact
from runtime_check.reference.build import build
from runtime_check.reference.stated import stated_otherwise
from runtime_check.testing.archives import with_metadata

from ...artifacts import Models
from ..properties.checks import check, one


def test_the_default_models_own_file_states_the_same(models: Models) -> None:
    metadata = read_artifact(models.fp32).metadata
    network = build("tf_efficientnet_lite0", weights="random").module
    assert stated_otherwise(metadata, network) == []
    assert stated_otherwise(metadata, nn.Identity()) == []


@pytest.mark.slow
def test_swapped_labels_and_another_mean_are_worth_a_look(models: Models, tmp_path: Path) -> None:
    def swap(metadata: dict[str, Any]) -> None:
        labels = metadata["output"]["labels"]
        labels[281], labels[282] = labels[282], labels[281]
        metadata["preprocessing"]["std"] = [0.25, 0.5, 0.5]

    path = with_metadata(models.fp32, tmp_path / "a.ptl", swap)
    result = one(check(path, tmp_path, "metadata", examples=2))
    assert result.status == "noted"
    assert "2 labels that are not ImageNet's (first: class 281 is 'tiger cat'" in result.reason
    assert "std [0.25, 0.5, 0.5] where timm has [0.5, 0.5, 0.5]" in result.reason
