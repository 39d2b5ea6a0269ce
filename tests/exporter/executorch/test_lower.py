"""`format="pte"` from end to end, against the same thing written by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import exporter
from exporter.errors import CaptureError
from exporter.options import PreprocessingChoice
from runtime_check import read_artifact
from runtime_check.checking import check
from runtime_check.options import CheckOptions

pytest.importorskip("executorch", reason="ExecuTorch is an extra: pip install '.[executorch]'")

MEAN, STD = (0.4, 0.5, 0.3), (0.2, 0.25, 0.3)


class TwoHeads(nn.Module):
    """Class scores and a map, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 8, 3, padding=1)
        self.head = nn.Linear(8, 5)
        self.mask = nn.Conv2d(8, 4, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        y = torch.relu(self.body(x))
        return {"classes": self.head(y.mean((2, 3))), "mask": self.mask(y)}


@pytest.fixture(scope="module")
def module() -> TwoHeads:
    torch.manual_seed(3)
    return TwoHeads().eval()


@pytest.fixture(scope="module")
def artifact(module: TwoHeads, tmp_path_factory: pytest.TempPathFactory) -> exporter.Artifact:
    return exporter.export(
        module,
        format="pte",
        out=tmp_path_factory.mktemp("pte"),
        name="heads",
        input="image",
        input_shape=(1, 3, 32, 32),
        preprocessing=PreprocessingChoice(
            mean=MEAN, std=STD, crop_pct=0.9, interpolation="bicubic", crop_mode="center"
        ),
    )


def by_hand(module: TwoHeads, photo: np.ndarray) -> list[Tensor]:
    """torchvision's resize of the shorter side to 35, a crop of 32 from the middle, the module."""
    height, width = photo.shape[:2]
    size = (35, int(35 * height / width)) if width <= height else (int(35 * width / height), 35)
    resized = Image.fromarray(photo).resize(size, Image.Resampling.BICUBIC)
    left, top = round((size[0] - 32) / 2), round((size[1] - 32) / 2)
    cropped = np.asarray(resized.crop((left, top, left + 32, top + 32)))
    x = torch.from_numpy(cropped.copy()).permute(2, 0, 1).float() / 255
    x = (x - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    with torch.no_grad():
        given = module(x[None])
    return [given["classes"][0], given["mask"][0]]


@pytest.mark.parametrize("size", [(40, 60), (133, 81), (32, 32), (97, 1203)])
def test_a_photo_goes_in_and_what_the_module_gives_comes_out(
    size: tuple[int, int], module: TwoHeads, artifact: exporter.Artifact
) -> None:
    photo = np.random.default_rng(sum(size)).integers(0, 256, (*size, 3), np.uint8)
    for got, wanted in zip(artifact(photo), by_hand(module, photo), strict=True):
        # A level of 255 here and there: Pillow rounds weights otherwise.
        torch.testing.assert_close(got.reshape(wanted.shape), wanted, rtol=0, atol=0.03)
        assert float((got.reshape(wanted.shape) - wanted).abs().mean()) < 2e-4


def test_the_file_says_what_it_is(artifact: exporter.Artifact) -> None:
    meta = read_artifact(artifact.path).metadata
    assert artifact.path.name == "heads.pte"
    assert (meta.format, meta.capture.method) == ("pte", "export")
    assert meta.program is not None
    assert meta.program.methods == ["preprocess", "forward"]
    assert meta.produced_by.bytecode_version is None
    assert (meta.produced_by.executorch or "").startswith("1.3.")
    assert [o.name for o in meta.output.tensors] == ["classes", "mask"]
    assert meta.input.kind == "image"
    assert meta.input.max_side == 2048
    assert [row.stage for row in meta.ledger][-2:] == ["captured", "saved + reloaded"]


def test_the_checker_proves_it(artifact: exporter.Artifact, module: TwoHeads) -> None:
    report = check(artifact.path, CheckOptions(examples=5, properties=("golden", "metadata")))
    assert report, [str(r) for r in report.results]
    assert report.runtime_detail.startswith("ExecuTorch 1.3.")


def test_reports_of_both_formats_lie_side_by_side(artifact: exporter.Artifact) -> None:
    names = {path.name for path in artifact.path.parent.iterdir()}
    assert names == {"heads.pte", "heads.pte.report.json", "heads.pte.report.html"}
    assert exporter.load(artifact.path).report is not None


def test_too_large_a_photo_is_refused_before_it_runs(artifact: exporter.Artifact) -> None:
    for shape in [(2049, 100, 3), (7, 100, 3), (300, 9, 3)]:
        with pytest.raises(ValueError, match="sides of 8 to 2048 pixels, at most 32 times as long"):
            artifact(np.zeros(shape, np.uint8))
    with pytest.raises(ValueError, match="takes a RGB photo"):
        artifact(np.zeros((50, 50, 4), np.uint8))


def test_a_map_over_the_photo_is_refused(module: TwoHeads, tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="does not see its size"):
        exporter.export(
            module,
            format="pte",
            out=tmp_path,
            task="image-segmentation",
            output="class_map",
            input_shape=(1, 3, 32, 32),
            preprocessing=PreprocessingChoice(mean=MEAN, std=STD),
        )
    assert not list(tmp_path.iterdir())
