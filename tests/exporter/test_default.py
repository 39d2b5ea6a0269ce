"""The README's first command's artifact: real weights, a real photo."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from exporter.artifact import Artifact
from exporter.image.samples import PHOTOS, photo
from exporter.source import load_source
from runtime_check.artifact.archive import read_artifact
from runtime_check.artifact.metadata import write_schemas
from runtime_check.reference.reference import pillow_preprocess


def test_parity_and_ledger(default_artifact: Artifact) -> None:
    saved = default_artifact.report.ledger[-1]
    assert saved.stage == "saved + reloaded"
    assert saved.top1 == 1.0
    assert saved.max_abs < default_artifact.metadata.tolerance.atol
    assert saved.sqnr_db > 90
    assert default_artifact.report.preprocessing.max_levels < 1.01


@pytest.mark.parametrize("name", PHOTOS)
def test_photos_get_the_label_that_timm_gives(default_artifact: Artifact, name: str) -> None:
    """Pillow + timm's transform + the original network, against the file on raw pixels."""
    source = load_source("tf_efficientnet_lite0")
    with torch.no_grad():
        expected = source.module(pillow_preprocess(source.preprocessing, photo(name))).softmax(1)[0]
    actual = default_artifact(torch.from_numpy(photo(name).copy()))
    assert int(actual.argmax()) == int(expected.argmax())
    assert float((actual - expected).abs().max()) < 5e-3
    wanted = {"cat": "cat", "coffee": "espresso", "rocket": "missile"}[name]
    assert wanted in default_artifact.metadata.output.labels[int(actual.argmax())]


def test_metadata_round_trips(default_artifact: Artifact) -> None:
    found = read_artifact(default_artifact.path)
    assert found.metadata == default_artifact.metadata
    assert found.metadata.preprocessing.in_graph
    assert len(found.golden.cases) == 5
    for case in found.golden.cases:
        image = case.inputs[0].array()
        assert image.dtype == np.uint8
        assert image.shape[2] == 3


def test_weights_are_stored_once(default_artifact: Artifact) -> None:
    """18.6 MB of float32 parameters; twice that would be the wrong-engine trap."""
    weights = next(p for p in default_artifact.report.parts if p.kind == "weights")
    parameters = sum(row.bytes for row in default_artifact.report.layer_types)
    assert weights.bytes < 1.01 * parameters


def test_schemas_are_current(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    golden = request.config.rootpath / "tests" / "golden"
    for path in write_schemas(tmp_path):
        committed = (golden / path.name).read_text(encoding="utf-8")
        assert committed == path.read_text(encoding="utf-8"), (
            f"run python -m runtime_check.artifact.metadata tests/golden, {path.name} is stale"
        )
