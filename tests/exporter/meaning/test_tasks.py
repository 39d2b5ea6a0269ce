"""For every task: a photo fed by hand and the module as its user calls it, against the file.

Nothing of the exporter is in the reference: Pillow and timm read the photo, the module computes,
and what the file adds (an activation, a map of classes, length 1) is written out here.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import create_transform
from torch import Tensor, nn
from torch.jit.mobile import _load_for_lite_interpreter

import exporter
from exporter import outputs
from exporter.errors import UsageError
from runtime_check.outputs import flatten

MEAN, STD = (0.5, 0.4, 0.45), (0.25, 0.22, 0.3)
SIZE = (24, 32)


def trunk(channels: int = 3, width: int = 8) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


class Net(nn.Module):
    """A trunk, a dense layer for every pixel, and a head; `shape` says what of it is returned."""

    def __init__(self, shape: Callable[[Tensor, Tensor], Any], *, channels: int = 3) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.trunk, self.head = trunk(channels), nn.Linear(8, 6)
        self.dense = nn.Conv2d(channels, 5, 3, padding=1)
        self.shape = shape

    def forward(self, x: Tensor) -> Any:
        return self.shape(self.head(self.trunk(x)), self.dense(x))


def picture(height: int, width: int, seed: int = 1) -> np.ndarray:
    rows, columns = np.mgrid[0:height, 0:width] / max(height, width)
    rng = np.random.default_rng(seed)
    waves = [np.sin(9 * (a * rows + b * columns) + c) for a, b, c in rng.uniform(0, 2, (3, 3))]
    return np.uint8(127 + 120 * np.stack(waves, -1))


def read_by_hand(photo: np.ndarray, mode: str = "squash") -> Tensor:
    """What the network sees of a photo: Pillow and timm."""
    transform = create_transform(
        (3, *SIZE), is_training=False, interpolation="bicubic", mean=MEAN, std=STD,
        crop_pct=1.0, crop_mode=mode,
    )  # fmt: skip
    return transform(Image.fromarray(photo))[None]


def exported(module: nn.Module, out: Path, **options: Any) -> exporter.Artifact:
    choice = exporter.PreprocessingChoice(mean=MEAN, std=STD, crop_mode="squash")
    shape = (1, 3, *SIZE)
    return exporter.export(
        module, out=out, name="net", input_shape=shape, **{"preprocessing": choice} | options
    )


def run(artifact: exporter.Artifact, *inputs: np.ndarray) -> list[np.ndarray]:
    given = [torch.from_numpy(array) for array in inputs]
    value = _load_for_lite_interpreter(str(artifact.path))(*given)
    return [t.numpy() for t in (value if isinstance(value, list) else [value])]


def as_eager(
    artifact: exporter.Artifact, module: nn.Module, wanted: Callable[[Any], list[np.ndarray]]
) -> None:
    """Compare on the network's own size, where nothing is resized, and on others."""
    for height, width in (SIZE, (48, 64), (61, 40)):
        photo = picture(height, width)
        with torch.no_grad():
            expected = wanted(module.eval()(read_by_hand(photo)))
        got = run(artifact, photo)
        stated = artifact.metadata.output.tensors
        assert [a.shape for a in got] == [a.shape for a in expected]
        assert [str(a.dtype) for a in got] == [t.dtype for t in stated]
        # Where the photo is resized, a gray level may round the other way.
        atol = 1e-5 if (height, width) == SIZE else 0.03
        for one, other in zip(got, expected, strict=True):
            np.testing.assert_allclose(one, other, atol=atol)


def softmax(scores: np.ndarray) -> np.ndarray:
    e = np.exp(scores - scores.max())
    return e / e.sum()


def test_classification(tmp_path: Path) -> None:
    net = Net(lambda scores, _: scores)
    net.num_classes = 6
    labels = ["a", "b", "c", "d", "e", "f"]
    artifact = exported(net, tmp_path, labels=labels)
    as_eager(artifact, net, lambda out: [softmax(out.numpy()[0])])
    meta = artifact.metadata
    assert meta.task == "image-classification"
    (tensor,) = meta.output.tensors
    assert (tensor.axes, tensor.holds, tensor.space) == (["classes"], "probabilities", None)
    assert [(s.function, s.axis) for s in meta.output.added] == [("softmax", 1)]
    assert meta.output.labels == labels


def test_multi_label(tmp_path: Path) -> None:
    net = Net(lambda scores, _: scores)
    artifact = exported(net, tmp_path, task="multi-label-classification")
    as_eager(artifact, net, lambda out: [1 / (1 + np.exp(-out.numpy()[0]))])
    assert artifact.metadata.task == "multi-label-classification"
    assert artifact.metadata.output.tensors[0].holds == "probabilities"


def test_multi_label_by_its_values(tmp_path: Path) -> None:
    """From 0 to 1 and summing to anything: no softmax, and no second sigmoid."""
    net = Net(lambda scores, _: scores.sigmoid())
    net.num_classes = 6
    artifact = exported(net, tmp_path)
    as_eager(artifact, net, lambda out: [out.numpy()[0]])
    assert artifact.metadata.task == "multi-label-classification"
    assert artifact.metadata.output.added == []


def test_regression(tmp_path: Path) -> None:
    net = Net(lambda scores, _: scores[:, :1] * 10 + 40)
    artifact = exported(net, tmp_path, task="image-regression", unit="years")
    as_eager(artifact, net, lambda out: [out.numpy()[0]])
    (tensor,) = artifact.metadata.output.tensors
    assert (artifact.metadata.task, tensor.holds, tensor.unit) == (
        "image-regression", "values", "years",
    )  # fmt: skip


def test_a_number_alone_is_not_guessed_at(tmp_path: Path) -> None:
    artifact = exported(Net(lambda scores, _: scores[:, :1]), tmp_path)
    assert artifact.metadata.task is None
    assert "--task says it" in artifact.metadata.task_basis
    assert artifact.metadata.output.added == []


def test_embedding(tmp_path: Path) -> None:
    net = Net(lambda scores, _: scores)
    artifact = exported(net, tmp_path, task="image-feature-extraction", output="normalized")

    def unit(out: Tensor) -> list[np.ndarray]:
        vector = out.numpy()[0]
        return [vector / np.sqrt((vector**2).sum())]

    as_eager(artifact, net, unit)
    (tensor,) = artifact.metadata.output.tensors
    assert (tensor.axes, tensor.holds) == (["features"], "embedding")


def test_an_embedding_shows_by_its_length(tmp_path: Path) -> None:
    net = Net(lambda scores, _: nn.functional.normalize(scores, dim=1))
    artifact = exported(net, tmp_path)
    as_eager(artifact, net, lambda out: [out.numpy()[0]])
    assert artifact.metadata.task == "image-feature-extraction"


def test_segmentation(tmp_path: Path) -> None:
    net = Net(lambda _, dense: dense)
    artifact = exported(net, tmp_path, labels=["road", "car", "sky", "tree", "house"])
    as_eager(artifact, net, lambda out: [out.numpy()[0]])
    (tensor,) = artifact.metadata.output.tensors
    assert artifact.metadata.task == "image-segmentation"
    assert (tensor.axes, tensor.holds, tensor.space) == (["C", "H", "W"], "scores", "network")


@pytest.mark.parametrize("mode", ["squash", "center", "border"])
def test_a_class_for_each_pixel_of_the_photo(mode: Any, tmp_path: Path) -> None:
    net = Net(lambda _, dense: dense).eval()
    choice = exporter.PreprocessingChoice(mean=MEAN, std=STD, crop_mode=mode)
    artifact = exported(net, tmp_path, output="class_map", preprocessing=choice)
    for height, width in ((24, 32), (48, 64), (30, 90), (90, 31)):
        photo = picture(height, width)
        with torch.no_grad():
            classes = net(read_by_hand(photo, mode)).numpy()[0].argmax(0)
        # Where the photo lies in what the network sees: timm's rules, written out.
        ratios = height / SIZE[0], width / SIZE[1]
        if mode == "squash":
            tall, wide = SIZE
        else:
            ratio = min(ratios) if mode == "center" else max(ratios)
            tall, wide = max(1, round(height / ratio)), max(1, round(width / ratio))
        top = round((tall - SIZE[0]) / 2) if tall >= SIZE[0] else -((SIZE[0] - tall) // 2)
        left = round((wide - SIZE[1]) / 2) if wide >= SIZE[1] else -((SIZE[1] - wide) // 2)
        wanted = np.full((height, width), 255)
        for y in range(height):
            for x in range(width):
                row = int(np.floor((y + 0.5) * tall / height - top))
                column = int(np.floor((x + 0.5) * wide / width - left))
                if 0 <= row < SIZE[0] and 0 <= column < SIZE[1]:
                    wanted[y, x] = classes[row, column]
        (got,) = run(artifact, photo)
        assert got.dtype == np.uint8
        assert got.shape == (height, width)
        assert ((got == 255) == (wanted == 255)).all()
        # Where the photo is resized, a gray level may decide between two classes.
        assert np.mean(got != wanted) <= (0 if (height, width) == SIZE else 0.02)
    (tensor,) = artifact.metadata.output.tensors
    assert (tensor.holds, tensor.space, tensor.varies) == ("class_map", "photo", True)
    told = [note.text for note in artifact.report.notes if note.kind == "saturated"]
    assert "a twin that gives them was verified" in told[0]


def test_masks_are_compared_exactly(tmp_path: Path) -> None:
    net = Net(lambda _, dense: dense > 0)
    artifact = exported(net, tmp_path)
    photo = picture(*SIZE)
    with torch.no_grad():
        wanted = net.eval()(read_by_hand(photo)).numpy()[0]
    (got,) = run(artifact, photo)
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got, wanted)
    assert artifact.metadata.tolerance.atol == 0
    assert artifact.metadata.output.tensors[0].holds == "mask"


def test_depth(tmp_path: Path) -> None:
    net = Net(lambda _, dense: dense[:, :1].abs())
    artifact = exported(net, tmp_path, task="depth-estimation", unit="m")
    as_eager(artifact, net, lambda out: [out.numpy()[0]])
    (tensor,) = artifact.metadata.output.tensors
    assert (tensor.holds, tensor.unit, tensor.axes) == ("depth", "m", ["C", "H", "W"])


def test_another_picture(tmp_path: Path) -> None:
    net = Net(lambda _, dense: dense[:, :3].sigmoid())
    artifact = exported(net, tmp_path, task="image-to-image")
    as_eager(artifact, net, lambda out: [out.numpy()[0]])
    assert artifact.metadata.output.tensors[0].holds == "image"


Pair = namedtuple("Pair", "scores dense")


@dataclass
class Found:
    scores: Tensor
    nothing: Tensor | None
    dense: Tensor


@pytest.mark.parametrize(
    ("shape", "names"),
    [
        (lambda s, d: {"mask": d, "area": s}, ["mask", "area"]),
        (lambda s, d: {"z": s, "a": d}, ["z", "a"]),
        (Pair, ["scores", "dense"]),
        (lambda s, d: Found(s, None, d), ["scores", "dense"]),
        (lambda s, d: (d, s), ["output_0", "output_1"]),
        (lambda s, d: [s, {"dense": d, "more": (s * 2, d * 3)}],
         ["output_0", "output_1.dense", "output_1.more.0", "output_1.more.1"]),
    ],
    ids=["dict", "dict-not-sorted", "namedtuple", "dataclass", "tuple", "nested"],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["image", "tensor"])
def test_outputs_keep_their_names_and_their_order(
    kind: Any, shape: Callable[[Tensor, Tensor], Any], names: list[str], tmp_path: Path
) -> None:
    net = Net(shape).eval()
    artifact = exported(net, tmp_path, input=kind)
    assert [t.name for t in artifact.metadata.output.tensors] == names
    photo = picture(*SIZE)
    with torch.no_grad():
        given = read_by_hand(photo)
        scores, dense = net.head(net.trunk(given)).numpy(), net.dense(given).numpy()
    each = {
        "mask": dense, "area": scores, "z": scores, "a": dense, "scores": scores, "dense": dense,
        "output_0": dense if names[1] == "output_1" else scores, "output_1": scores,
        "output_1.dense": dense, "output_1.more.0": scores * 2, "output_1.more.1": dense * 3,
    }  # fmt: skip
    got = run(artifact, photo if kind == "image" else given.numpy())
    for name, array in zip(names, got, strict=True):
        wanted = each[name][0] if kind == "image" else each[name]
        assert array.shape == wanted.shape
        np.testing.assert_allclose(array, wanted, atol=1e-5)


def test_a_gray_photo(tmp_path: Path) -> None:
    net = Net(lambda scores, _: scores, channels=1).eval()
    choice = exporter.PreprocessingChoice(mean=(0.4,), std=(0.2,))
    artifact = exporter.export(
        net, out=tmp_path, name="gray", input_shape=(1, 1, 24, 24), preprocessing=choice
    )
    assert artifact.metadata.input.color == "L"
    photo = np.asarray(Image.fromarray(picture(24, 24)).convert("L"))
    with torch.no_grad():
        given = torch.from_numpy((photo / 255 - 0.4) / 0.2).float()[None, None]
        wanted = net(given).numpy()[0]
    np.testing.assert_allclose(run(artifact, photo[..., None].copy())[0], wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "options", "says"),
    [
        (lambda s, d: s, {"task": "image-segmentation"}, "needs a map over the picture"),
        (lambda s, d: d, {"task": "image-classification"}, r"needs scores \[N, classes\]"),
        (lambda s, d: s, {"task": "object-detection"}, r"needs boxes \[K, 4\]"),
        (lambda s, d: s, {"output": "class_map"}, "needs scores for every pixel"),
        (lambda s, d: d, {"output": "normalized"}, "scales an embedding"),
        (lambda s, d: d, {"output": "class_map", "input": "tensor"}, "leave out `--input tensor`"),
    ],
)
def test_what_was_asked_for_and_cannot_be_is_one_sentence(
    shape: Any, options: dict[str, Any], says: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=says):
        exported(Net(shape), tmp_path, **options)
    assert not list(tmp_path.iterdir())


class Big(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 21, 1)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.conv(x)
        return scores


def test_large_golden_outputs_are_sampled(tmp_path: Path) -> None:
    """21 classes for 512 x 512 pixels are 22 MB for each of the golden inputs."""
    from runtime_check.artifact.archive import read_artifact

    made = exporter.export(Big(), out=tmp_path, name="big", input_shape=(1, 3, 512, 512))
    golden = read_artifact(made.path).golden
    size = sum(len(e.data) for case in golden.cases for e in case.expected)
    assert 500_000 < size < 2_000_000  # the inputs take their share of the same room
    case = golden.cases[0]
    with torch.no_grad():
        wanted = Big()(torch.from_numpy(case.inputs[0].array())).numpy()
    (kept,) = case.expected
    places = np.arange(kept.start, wanted.size, kept.stride)
    np.testing.assert_allclose(kept.array(), wanted.ravel()[places], atol=1e-5)
    # Of every channel, row and column alike.
    for axis, index in enumerate(np.unravel_index(places, wanted.shape)):
        assert set(index) == set(range(wanted.shape[axis]))
    assert kept.mean == pytest.approx(float(wanted.mean()), abs=1e-5)
    assert kept.maximum == pytest.approx(float(wanted.max()), abs=1e-5)


def test_the_cost_is_that_of_a_dozen_runs_of_each_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In every stage of the network; 512 x 512 pixels export in the time that these take."""
    runs: list[torch.Size] = []

    def counted(made: object) -> list[Tensor]:
        tensors = flatten(made)
        runs.append(tensors[0].shape)
        return tensors

    monkeypatch.setattr(outputs, "tensors_in", counted)
    exporter.export(Big(), out=tmp_path, name="big", input_shape=(1, 3, 48, 64))
    assert 40 < len(runs) <= 60
    assert sum(shape[0] for shape in runs) <= 70  # few of them of a batch of two


def test_a_timm_model_without_a_classifier_gives_an_embedding(tmp_path: Path) -> None:
    import timm

    torch.manual_seed(0)
    net = timm.create_model("test_resnet", num_classes=0, exportable=True).eval()
    # timm says a crop of its own, which the one here is instead of.
    choice = exporter.PreprocessingChoice(
        mean=MEAN, std=STD, crop_mode="squash", crop_pct=1.0, interpolation="bicubic"
    )
    artifact = exported(net, tmp_path, preprocessing=choice)
    as_eager(artifact, net, lambda out: [out.numpy()[0]])
    assert artifact.metadata.task == "image-feature-extraction"
