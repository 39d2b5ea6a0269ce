"""Modules as people have them, exported, and the file against the same thing written by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.jit.mobile import _load_for_lite_interpreter

import exporter
from exporter.errors import ExportError, UsageError
from runtime_check.reference.reference import Reference


def plain() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)
    )


def by_hand(net: nn.Sequential, x: Tensor) -> Tensor:
    """What `plain` computes, from its tensors in float64."""
    conv, head = net[0], net[4]
    y = nn.functional.conv2d(x.double(), conv.weight.double(), conv.bias.double(), stride=2)
    y = y.clamp(min=0).mean((2, 3))
    return (y @ head.weight.double().T + head.bias.double()).detach()


def export(module: nn.Module, out: Path, **options: Any) -> exporter.Artifact:
    options = {"input_shape": (1, 3, 16, 16), "name": "net"} | options
    return exporter.export(module, out=out, **options)


def said(artifact: exporter.Artifact) -> list[str]:
    notes = json.loads(artifact.path.with_suffix(".report.json").read_text())["notes"]
    return [note["text"] for note in notes]


@pytest.mark.parametrize(
    ("wrap", "says"),
    [
        (nn.Sequential.half, "weights were converted to float32 (4 in float16)"),
        (nn.Sequential.bfloat16, "weights were converted to float32 (4 in bfloat16)"),
        (nn.Sequential.double, "weights were converted to float32 (4 in float64)"),
        (nn.DataParallel, "DataParallel around the module was taken off"),
        (torch.compile, "torch.compile around the module was taken off"),
        (torch.jit.script, "the module is TorchScript already and is taken as it is"),
        (
            lambda net: torch.jit.trace(net, torch.zeros(1, 3, 16, 16)),
            "the module is TorchScript already and is taken as it is",
        ),
        (
            lambda net: torch.jit.freeze(torch.jit.script(net.eval())),
            "the module is TorchScript already and is taken as it is",
        ),
    ],
    ids=["half", "bfloat16", "double", "parallel", "compiled", "scripted", "traced", "frozen"],
)
def test_a_file_computes_what_is_in_the_wrapper(wrap: Any, says: str, tmp_path: Path) -> None:
    net = plain()
    artifact = export(wrap(net), tmp_path)  # `half` and the like change `net` itself
    x = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    got = _load_for_lite_interpreter(str(artifact.path))(x)
    torch.testing.assert_close(got.double(), by_hand(net, x), atol=1e-6, rtol=1e-5)
    assert says in said(artifact)


class Parts(nn.Module):
    """A backbone that was wrapped for training, inside of the module."""

    def __init__(self, wrap: Any) -> None:
        super().__init__()
        self.net = plain()
        self.backbone = wrap(self.net)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.backbone(x)
        return y * 2


@pytest.mark.parametrize(
    ("wrap", "name"),
    [(nn.DataParallel, "DataParallel"), (torch.compile, "torch.compile")],
    ids=["parallel", "compiled"],
)
def test_parts_are_unwrapped_too(wrap: Any, name: str, tmp_path: Path) -> None:
    module = Parts(wrap)
    artifact = export(module, tmp_path)
    x = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    got = _load_for_lite_interpreter(str(artifact.path))(x)
    torch.testing.assert_close(got.double(), 2 * by_hand(module.net, x), atol=1e-6, rtol=1e-5)
    assert f"{name} was taken off parts of the module" in said(artifact)


def test_torchscript_is_not_quantized(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="is TorchScript already") as refused:
        export(torch.jit.script(plain()), tmp_path, quantize="dynamic")
    assert "leave --quantize out" in str(refused.value)
    assert not list(tmp_path.iterdir())


class Dense(nn.Module):
    """A segmentation net: it has classes, and gives scores for every pixel."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.num_classes = 5
        self.a, self.b = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.b(torch.relu(self.a(x)))
        return scores


class Line(nn.Module):
    """A line of text: `[T, N, classes]`, or `[N, T, classes]`."""

    def __init__(self, *, time_first: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.num_classes = 4
        self.time_first = time_first
        self.f = nn.Conv2d(3, 4, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.f(x).mean(2)
        return y.permute(2, 0, 1) if self.time_first else y.permute(0, 2, 1)


class Probabilities(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.num_classes = 3
        self.f = plain()
        nn.init.normal_(self.f[-1].weight, 0, 8.0)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.f(x)
        return scores.softmax(1)


def as_photo(module: nn.Module, out: Path, **options: Any) -> exporter.Artifact:
    halves = exporter.PreprocessingChoice(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    shape = (1, 3, 12, 16)
    return export(module, out, preprocessing=halves, input_shape=shape, **options)


def photo() -> np.ndarray:
    """Of the network's own size, so nothing is resized."""
    return np.random.default_rng(1).integers(0, 256, (12, 16, 3), dtype=np.uint8)


def normalized(image: np.ndarray) -> Tensor:
    return torch.from_numpy((image / 255 - 0.5) / 0.5).permute(2, 0, 1)[None].float()


def answer(artifact: exporter.Artifact) -> np.ndarray:
    output = _load_for_lite_interpreter(str(artifact.path))(torch.from_numpy(photo()))
    return output.numpy()


def softmax(scores: np.ndarray, axis: int) -> np.ndarray:
    e = np.exp(scores - scores.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


@pytest.mark.parametrize("asked", ["auto", "none", "softmax", "sigmoid"])
def test_a_dense_output_has_its_classes_first(asked: Any, tmp_path: Path) -> None:
    net = Dense()
    artifact = as_photo(net, tmp_path, activation=asked)
    with torch.no_grad():
        scores = net(normalized(photo())).numpy()[0]
    wanted = {"softmax": softmax(scores, 0), "sigmoid": 1 / (1 + np.exp(-scores))}
    got = answer(artifact)
    assert got.shape == (5, 12, 16)
    np.testing.assert_allclose(got, wanted.get(asked, scores), atol=1e-5)
    added = [step.function for step in artifact.metadata.output.added]
    assert added == ([] if asked in ("auto", "none") else [asked])
    assert artifact.metadata.task == "image-segmentation"
    (tensor,) = artifact.metadata.output.tensors
    assert (tensor.axes, tensor.space) == (["C", "H", "W"], "network")


def test_the_checker_takes_softmax_over_the_classes_too(tmp_path: Path) -> None:
    net = Dense()
    artifact = as_photo(net, tmp_path, activation="softmax")
    reference = Reference(name="net", network=net.eval(), metadata=artifact.metadata)
    with torch.no_grad():
        scores = net(normalized(photo())).numpy()[0]
    np.testing.assert_allclose(reference.forward([photo()])[0], softmax(scores, 0), atol=1e-5)


def test_labels_of_a_dense_output_name_its_channels(tmp_path: Path) -> None:
    labels = ["a", "b", "c", "d", "e"]
    artifact = as_photo(Dense(), tmp_path, labels=labels)
    (tensor,) = artifact.metadata.output.tensors
    assert tensor.axes[tensor.class_axis or 0] == "C"
    assert artifact.metadata.output.labels == labels
    with pytest.raises(UsageError, match=r"16 labels, but net .*\[1, 5, 12, 16\], 5 classes"):
        as_photo(Dense(), tmp_path, labels=[str(i) for i in range(16)])  # the width is no class


def test_probabilities_get_no_second_softmax(tmp_path: Path) -> None:
    net = Probabilities().eval()
    artifact = as_photo(net, tmp_path)
    with torch.no_grad():
        scores = net.f(normalized(photo())).numpy()[0]
    np.testing.assert_allclose(answer(artifact), softmax(scores, 0), atol=1e-5)
    assert "no softmax was added: net returns probabilities already, for every sample" in said(
        artifact
    )
    assert artifact.metadata.output.added == []
    assert artifact.metadata.output.tensors[0].holds == "probabilities"


def test_scores_get_one(tmp_path: Path) -> None:
    net = Probabilities().f.eval()
    net.num_classes = 3
    artifact = as_photo(net, tmp_path)
    with torch.no_grad():
        scores = net(normalized(photo())).numpy()[0]
    np.testing.assert_allclose(answer(artifact), softmax(scores, 0), atol=1e-5)
    assert [step.function for step in artifact.metadata.output.added] == ["softmax"]
    assert not [text for text in said(artifact) if "softmax was added" in text]


def test_no_step_of_a_line_of_text_is_cut(tmp_path: Path) -> None:
    net = Line(time_first=True)
    artifact = as_photo(net, tmp_path)
    with torch.no_grad():
        wanted = net(normalized(photo())).numpy()
    assert answer(artifact).shape == (16, 1, 4)
    np.testing.assert_allclose(answer(artifact), wanted, atol=1e-5)
    assert artifact.metadata.output.tensors[0].axes == ["16", "N", "classes"]
    net = Line(time_first=False)
    artifact = as_photo(net, tmp_path)
    with torch.no_grad():
        wanted = net(normalized(photo())).numpy()[0]
    assert answer(artifact).shape == (16, 4)
    np.testing.assert_allclose(answer(artifact), wanted, atol=1e-5)
    with pytest.raises(UsageError, match=r"net returns output_0 \[1, 16, 4\], which does not say"):
        as_photo(net, tmp_path, activation="softmax")


class NoGrad(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = plain()

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            y: Tensor = self.net(x)
        return y


class Amp(NoGrad):
    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cuda"):
            y: Tensor = self.net(x)
        return y.float()


@pytest.mark.filterwarnings("ignore:.*CUDA is not available")
@pytest.mark.parametrize("kind", [NoGrad, Amp])
def test_a_with_in_forward_is_traced(kind: type[NoGrad], tmp_path: Path) -> None:
    module = kind()
    artifact = export(module, tmp_path)
    x = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    got = _load_for_lite_interpreter(str(artifact.path))(x)
    torch.testing.assert_close(got.double(), by_hand(module.net, x), atol=1e-6, rtol=1e-5)
    assert artifact.metadata.capture.method == "trace"
    name = "no_grad" if kind is NoGrad else "autocast"
    assert [text for text in said(artifact) if f"script: it keeps `with {name}`" in text]


def test_a_with_that_has_to_be_scripted_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"script: it keeps `with no_grad`.*a trace records"):
        export(NoGrad(), tmp_path, capture="script")
    assert not list(tmp_path.iterdir())


class Auxiliary(nn.Module):
    """Its auxiliary head is off, as in a trained Inception or DeepLab."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.net, self.how = plain(), how

    def forward(self, x: Tensor) -> Any:
        y = self.net(x)
        return {"out": y, "aux": None, "max": y.amax(1)} if self.how == "dict" else (None, y)


@pytest.mark.parametrize(("how", "name", "outputs"), [("dict", "aux", 2), ("tuple", "output_0", 1)])
def test_a_none_among_outputs_is_left_out(
    how: str, name: str, outputs: int, tmp_path: Path
) -> None:
    module = Auxiliary(how)
    artifact = export(module, tmp_path)
    x = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    got = _load_for_lite_interpreter(str(artifact.path))(x)
    got = [got] if isinstance(got, Tensor) else list(got)
    wanted = by_hand(module.net, x)
    wanted = [wanted, wanted.amax(1)][:outputs]
    assert len(got) == outputs
    for g, w in zip(got, wanted, strict=True):
        torch.testing.assert_close(g.double(), w, atol=1e-6, rtol=1e-5)
    assert f"output left out, it is None: {name}" in said(artifact)
    assert len(artifact.metadata.output.tensors) == outputs
