"""What a file says of itself: nothing of the machine, and what was measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from own_models import Branching, ConvNormNet, Heads
from PIL import Image

import exporter
from exporter.artifact import Artifact
from exporter.image.samples import photo
from exporter.lower.lowered import portable
from exporter.report.report import read_report
from runtime_check.artifact.archive import read_artifact

SHAPE = (1, 3, 32, 32)


@pytest.fixture(scope="module")
def module() -> Heads:
    return Heads().eval()


@pytest.fixture(scope="module")
def heads(module: Heads, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return exporter.export(
        module, out=tmp_path_factory.mktemp("heads"), input_shape=(1, 3, 16, 16), name="heads"
    )


def test_outputs_are_described_in_order_with_shape_and_type(heads: Artifact) -> None:
    tensors = [(t.dtype, t.shape) for t in heads.metadata.output.tensors]
    assert tensors == [("float32", [1, 5]), ("float32", [1, 2])]


def test_golden_vectors_are_what_eager_gives(module: Heads, heads: Artifact) -> None:
    """Recomputed here from the golden inputs, by the module itself."""
    golden = read_artifact(heads.path).golden
    assert [case.name for case in golden.cases] == ["normal-0", "normal-1"]
    for case in golden.cases:
        with torch.no_grad():
            outputs = module(torch.from_numpy(case.inputs[0].array().copy()))
        for expected, output in zip(case.expected, outputs, strict=True):
            assert np.array_equal(expected.array(), output.numpy())


def test_the_verdicts_count_the_operators_of_the_file(heads: Artifact) -> None:
    verdict = next(v for v in heads.metadata.runtimes if v.runtime == "pytorch-2.1.0")
    assert verdict.compatible
    assert verdict.detail == f"all {len(heads.metadata.operators)} operators are there, bytecode 8"


def test_the_report_names_what_a_user_has_to_know(tmp_path: Path) -> None:
    """A network that takes one image only: said in the notes, by kind."""

    class OneOnly(ConvNormNet):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x).reshape(1, 10)

    artifact = exporter.export(OneOnly(), out=tmp_path, input_shape=SHAPE, verify=False)
    assert not artifact.metadata.input.dynamic_batch
    assert [note.kind for note in artifact.report.notes if note.kind == "batch"] == ["batch"]


def test_which_weights_were_taken_is_in_the_report(tmp_path: Path) -> None:
    state = ConvNormNet().half().state_dict()
    torch.save({"model": state, "model_ema": state}, tmp_path / "w.pth")
    artifact = exporter.export(
        ConvNormNet(),
        weights=tmp_path / "w.pth",
        out=tmp_path / "out",
        input_shape=SHAPE,
        verify=False,
    )
    read = artifact.report.weights
    assert (read.file, read.entry, read.others) == ("w.pth", "model_ema", ("model",))
    assert set(read.converted) == {"float16"}
    assert read_report(artifact.path) == artifact.report
    notes = [note.text for note in artifact.report.notes if note.kind == "weights"]
    assert notes == [
        "of the weights in w.pth, model_ema was taken, not model",
        f"weights were converted to float32 ({read.converted['float16']} in float16)",
    ]


def test_frozen_branches_are_named_without_the_machines_folders(tmp_path: Path) -> None:
    artifact = exporter.export(
        Branching(), out=tmp_path, input_shape=SHAPE, capture="script", verify=False
    )
    assert str(tmp_path) not in artifact.metadata.model_dump_json()
    assert portable("if x in /home/me/code/net.py:12") == "if x in net.py:12"
    assert portable(r"C:\Users\me\net.py:3") == "net.py:3"


def test_what_training_did_is_in_the_report(tmp_path: Path) -> None:
    """QAT's epochs, why a layer stayed in float and its kernel's error were thrown away."""
    for index in range(16):
        folder = tmp_path / "photos" / f"class{index % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        at = 8 * index
        Image.fromarray(photo("cat")[at : at + 64, at : at + 64]).save(folder / f"{index}.png")
    artifact = exporter.export(
        ConvNormNet(),
        out=tmp_path / "out",
        input_shape=SHAPE,
        input="image",
        preprocessing=exporter.PreprocessingChoice(mean=(0.5,) * 3, std=(0.5,) * 3),
        labels=[f"class{index}" for index in range(10)],
        quantize=exporter.QuantizeRecipe(method="qat", epochs=2, float_layers=("head",)),
        calibration=tmp_path / "photos",
        train=tmp_path / "photos",
    )
    report = artifact.report
    assert report is not None
    assert report.training is not None
    assert [epoch.epoch for epoch in report.training.epochs] == [1, 2]
    assert report.training.metric == "accuracy"
    assert 0 <= report.training.best_epoch <= 2
    layers = {layer.name: layer for layer in report.layers}
    assert layers["head"].why_float
    assert any(layer.int8 and layer.kernel_steps is not None for layer in report.layers)
    page = artifact.path.with_suffix(".report.html").read_text(encoding="utf-8")
    assert "Accuracy by epoch." in page
    assert layers["head"].why_float in page


class Bright(torch.nn.Module):
    """Two scores for every pixel: dark, and bright."""

    def __init__(self) -> None:
        super().__init__()
        self.num_classes = 2
        self.gain = torch.nn.Parameter(torch.ones(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = x.mean(1, keepdim=True) * self.gain
        return torch.cat([-mean, mean], 1)


def test_a_segmentations_masks_are_in_the_report(tmp_path: Path) -> None:
    artifact = exporter.export(
        Bright(),
        out=tmp_path,
        input_shape=SHAPE,
        input="image",
        preprocessing=exporter.PreprocessingChoice(mean=(0.5,) * 3, std=(0.5,) * 3),
        labels=["dark", "bright"],
    )
    assert artifact.report is not None
    assert artifact.metadata.task == "image-segmentation"
    views = {view.name: view for view in artifact.report.golden}
    assert set(views) == {"cat", "coffee", "rocket", "gradient", "noise"}
    for view in views.values():
        assert view.bars is None
        assert view.drawing is not None
        assert view.drawing.expected == view.drawing.actual
        assert (view.drawing.width, view.drawing.height) == (view.width, view.height)
        assert sum(share.expected for share in view.drawing.legend) == pytest.approx(1.0)
    # The rocket stands in a dark sky.
    drawing = views["rocket"].drawing
    assert drawing is not None
    assert drawing.legend[0].label == "dark"
    assert drawing.legend[0].expected > 0.8
    page = artifact.path.with_suffix(".report.html").read_text(encoding="utf-8")
    assert "Classes of rocket by the saved file" in page


def test_the_parts_of_a_file_add_up_to_it(heads: Artifact) -> None:
    """Unpacked sizes were counted once: text is deflated, and the sum was more than the file."""
    assert heads.report is not None
    assert sum(part.bytes for part in heads.report.parts) == heads.path.stat().st_size
    assert heads.report.parts[-1].bytes > 0, "the zip itself"
