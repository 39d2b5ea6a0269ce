"""From a `.ptl` to the `.pte` of the same model, by what the file says of itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import exporter
from exporter.errors import UsageError
from exporter.migrate import migrate, options_of
from exporter.options import PreprocessingChoice

from ..artifacts import Models

pytest.importorskip("executorch", reason="ExecuTorch is an extra: pip install '.[executorch]'")


@pytest.fixture(scope="module")
def ptl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exporter.export(
        "own_models:ConvNormNet",
        out=tmp_path_factory.mktemp("ptl"),
        name="small",
        input="image",
        input_shape=(1, 3, 32, 32),
        seed=4,
        preprocessing=PreprocessingChoice(mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.2)),
    ).path


def test_the_same_model_comes_out(ptl: Path, tmp_path: Path) -> None:
    made = migrate(ptl, out=tmp_path)
    assert made.after.path == tmp_path / "small.pte"
    before, after = made.before.metadata, made.after.metadata
    assert after.provenance == before.provenance
    assert after.preprocessing == before.preprocessing
    assert after.output == before.output
    photo = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    torch.testing.assert_close(made.after(photo), exporter.load(ptl)(photo), rtol=0, atol=1e-4)
    told = "\n".join(made.changes)
    assert "`preprocess` then `forward`" in told
    assert "up to 2048 pixels a side, 8192 before" in told
    with pytest.raises(UsageError, match=r"is a \.pte already"):
        migrate(made.after.path, out=tmp_path)


def test_other_weights_are_refused_before_anything_is_written(
    ptl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import own_models

    class Otherwise(own_models.ConvNormNet):
        def __init__(self) -> None:
            super().__init__()
            with torch.no_grad():
                next(self.parameters()).add_(1)

    monkeypatch.setattr(own_models, "ConvNormNet", Otherwise)
    with pytest.raises(UsageError, match="are not those of the file"):
        migrate(ptl, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_module_without_a_name_is_refused(tmp_path: Path) -> None:
    net = torch.nn.Linear(4, 2).eval()
    file = exporter.export(net, input_shape=(1, 4), out=tmp_path, name="linear").path
    with pytest.raises(UsageError, match="was exported from a module in Python"):
        migrate(file)


@pytest.mark.slow
def test_int8_asks_for_its_images(models: Models) -> None:
    with pytest.raises(UsageError, match="--calibration DIR"):
        migrate(models.int8)


@pytest.mark.slow
def test_what_a_real_file_was_made_with(models: Models) -> None:
    meta = exporter.load(models.int8).metadata
    wanted = options_of(meta)
    assert wanted["quantize"].name == "static-xnnpack-fx"
    assert (wanted["input"], wanted["activation"], wanted["output"]) == ("image", "softmax", "auto")
    assert wanted["preprocessing"].crop_pct == pytest.approx(0.875)
    assert len(wanted["labels"]) == 1000
    assert "input_shape" not in wanted
