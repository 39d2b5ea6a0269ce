"""Networks of torchvision and Hugging Face as image artifacts, against photos prepared by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import known_models
import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from torch import Tensor, nn
from torch.jit.mobile import _load_for_lite_interpreter

import exporter
from runtime_check.comparison import Tolerance
from runtime_check.metrics import measure, metric_of

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def photos() -> list[np.ndarray]:
    """A tall one, a wide one and a square one, uint8 RGB."""
    return [
        np.ascontiguousarray(pixels)
        for pixels in (
            skimage.data.chelsea()[20:290, 100:330],
            skimage.data.coffee()[:, :560],
            skimage.data.astronaut()[:300, :300],
        )
    ]


def as_timm_has_it(photo: np.ndarray, size: int) -> Tensor:
    """The shorter side to `size` by Pillow, the middle of it, colors normalized."""
    height, width = photo.shape[:2]
    short = min(height, width)
    scaled = (int(size * width / short), int(size * height / short))
    resized = np.asarray(Image.fromarray(photo).resize(scaled, Image.Resampling.BICUBIC))
    top, left = round((scaled[1] - size) / 2), round((scaled[0] - size) / 2)
    middle = resized[top : top + size, left : left + size]
    normalized = (middle / 255.0 - np.array(MEAN)) / np.array(STD)
    return torch.from_numpy(normalized.transpose(2, 0, 1)[None]).float()


def export(module: nn.Module, size: int, out: Path, **options: Any) -> exporter.Artifact:
    return exporter.export(
        module,
        out=out,
        input_shape=(1, 3, size, size),
        preprocessing=exporter.PreprocessingChoice(mean=MEAN, std=STD),
        **options,
    )


def answers(artifact: exporter.Artifact, photo: np.ndarray) -> dict[str, np.ndarray]:
    """What the file gives for a photo, by the names in its metadata."""
    output = artifact.metadata.output
    given = _load_for_lite_interpreter(str(artifact.path))(torch.from_numpy(photo))
    tensors = [given] if output.returned == "tensor" else given
    named = zip(output.tensors, tensors, strict=True)
    return {described.name: tensor.numpy() for described, tensor in named}


def require_equal(
    artifact: exporter.Artifact,
    size: int,
    by_hand: Callable[[Tensor], dict[str, Tensor]],
) -> None:
    """The file on photos: to rounding where none is resized, else to what a gray level does."""
    tolerance = Tolerance.of(artifact.metadata.tolerance)
    for index, photo in enumerate([photos()[0][:size, :size], *photos()]):
        got = answers(artifact, photo)
        with torch.no_grad():
            wanted = {k: v.numpy()[0] for k, v in by_hand(as_timm_has_it(photo, size)).items()}
        assert list(got) == list(wanted)
        for place, name in enumerate(wanted):
            span = float(np.ptp(wanted[name]))
            atol = tolerance.atol_of(place) if index == 0 else 0.02 * span
            assert span > 20 * atol, "else it proves little"
            np.testing.assert_allclose(got[name], wanted[name], rtol=0, atol=atol, err_msg=name)
        metric = metric_of(artifact.metadata)
        agreement = measure(metric, list(wanted.values()), list(got.values()))
        assert (agreement.pixels or agreement.top1 or 0.0) > 0.98


def described(artifact: exporter.Artifact) -> list[tuple[str, list[int], str, str | None]]:
    tensors = artifact.metadata.output.tensors
    return [(t.name, t.shape, t.holds, t.space) for t in tensors]


@pytest.mark.parametrize("name", ["deeplabv3", "lraspp"])
def test_segmentation_of_torchvision(name: str, tmp_path: Path) -> None:
    net = getattr(known_models, name)()
    artifact = export(net, 128, tmp_path)
    assert artifact.metadata.task == "image-segmentation"
    assert not artifact.metadata.output.added
    names = ["out", "aux"] if name == "deeplabv3" else ["out"]
    assert described(artifact) == [(name, [21, 128, 128], "scores", "network") for name in names]
    require_equal(artifact, 128, net)


def test_classes_of_a_hugging_face_model_come_with_their_names(tmp_path: Path) -> None:
    net = known_models.vit()
    artifact = export(net, 64, tmp_path)
    assert artifact.metadata.task == "image-classification"
    assert artifact.metadata.output.labels == ["cat", "dog", "owl"]
    assert described(artifact) == [("logits", [3], "probabilities", None)]
    require_equal(artifact, 64, lambda x: {"logits": net(x).logits.softmax(1)})


def test_names_that_the_library_makes_up_are_left_out(tmp_path: Path) -> None:
    net = known_models.mobilevit()
    artifact = export(net, 64, tmp_path)
    assert artifact.metadata.task == "image-classification"
    assert artifact.metadata.output.labels is None
    assert described(artifact) == [("logits", [4], "probabilities", None)]
    require_equal(artifact, 64, lambda x: {"logits": net(x).logits.softmax(1)})


def test_names_of_classes_that_no_output_has_are_left_out(tmp_path: Path) -> None:
    """A model without its classifier still has the names in its configuration."""
    artifact = export(known_models.vit().vit, 64, tmp_path)
    assert artifact.metadata.output.labels is None
    assert artifact.metadata.output.tensors[0].name == "last_hidden_state"


@pytest.mark.parametrize(
    ("name", "shape"), [("segformer", [5, 16, 16]), ("mobilevit_segmentation", [4, 4, 4])]
)
def test_segmentation_of_hugging_face(name: str, shape: list[int], tmp_path: Path) -> None:
    net = getattr(known_models, name)()
    artifact = export(net, 64, tmp_path)
    assert artifact.metadata.task == "image-segmentation"
    assert described(artifact) == [("logits", shape, "scores", "network")]
    require_equal(artifact, 64, lambda x: {"logits": net(x).logits})
