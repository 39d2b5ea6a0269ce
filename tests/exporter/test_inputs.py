"""Several inputs, of any dtype: named by forward's parameters, by their shapes or by an example."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.jit.mobile import _load_for_lite_interpreter

import exporter
from exporter.errors import UsageError


def trunk() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def run(artifact: exporter.Artifact, *inputs: np.ndarray) -> list[np.ndarray]:
    given = [torch.from_numpy(array) for array in inputs]
    return [_load_for_lite_interpreter(str(artifact.path))(*given).numpy()]


class Two(nn.Module):
    """A picture, and how it is to be looked at: two inputs of different types."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.trunk, self.table = trunk(), nn.Embedding(7, 8)

    def forward(self, image: Tensor, words: Tensor) -> Tensor:
        y: Tensor = self.trunk(image) * self.table(words).mean(1)
        return y


def test_several_inputs_of_any_dtype_by_an_example(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    image = rng.standard_normal((1, 3, 16, 20)).astype(np.float32)
    words = rng.integers(0, 7, (1, 4))
    words[0, :2] = 0, 6
    np.savez(tmp_path / "inputs.npz", words=words, image=image)
    net = Two().eval()
    artifact = exporter.export(net, out=tmp_path, name="two", example=tmp_path / "inputs.npz")
    takes = artifact.metadata.input.tensors
    assert [(t.name, t.dtype, t.shape) for t in takes] == [
        ("image", "float32", [1, 3, 16, 20]), ("words", "int64", [1, 4]),
    ]  # fmt: skip
    assert (takes[1].low, takes[1].high) == (0, 6)
    for seed in range(3):
        drawn = np.random.default_rng(seed)
        x = drawn.standard_normal((1, 3, 16, 20)).astype(np.float32)
        w = drawn.integers(0, 7, (1, 4))
        with torch.no_grad():
            wanted = net(torch.from_numpy(x), torch.from_numpy(w)).numpy()
        np.testing.assert_allclose(run(artifact, x, w)[0], wanted, atol=1e-5)


class Difference(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.trunk = trunk()

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return (self.trunk(a) - 2 * self.trunk(b)).sum(1)


def test_several_inputs_by_their_shapes(tmp_path: Path) -> None:
    net = Difference().eval()
    shapes = {"b": (1, 3, 20, 20), "a": (1, 3, 16, 16)}
    artifact = exporter.export(net, out=tmp_path, name="two", input_shape=shapes)
    assert [t.name for t in artifact.metadata.input.tensors] == ["a", "b"]
    a, b = torch.randn(1, 3, 16, 16), torch.randn(1, 3, 20, 20)
    with torch.no_grad():
        wanted = net(a, b).numpy()
    np.testing.assert_allclose(run(artifact, a.numpy(), b.numpy())[0], wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("shapes", "says"),
    [
        ({"a": (1, 3, 16, 16)}, "does not give b, and forward of .* takes a, b"),
        ({"a": (1, 3, 16, 16), "c": (1, 3, 16, 16)}, "names the input 'c'"),
        ({"a": (1, 3, 16, 0), "b": (1,)}, "positive sizes"),
    ],
)
def test_inputs_that_do_not_fit_are_one_sentence(
    shapes: dict[str, tuple[int, ...]], says: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=says):
        exporter.export(Difference(), out=tmp_path, input_shape=shapes)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"a": np.zeros((1, 3), np.float16)}, "a is float16, and files take"),
        ({"a": np.zeros((0, 3))}, "a has 0 values"),
        ({"a": np.array([[np.nan]])}, "a holds NaN"),
        ({}, "holds no array"),
        ({"c": np.zeros(3)}, "names the input 'c'"),
        ({"a": np.array([None])}, "no .npz file of plain arrays"),
    ],
)
def test_examples_that_cannot_be_are_one_sentence(
    arrays: dict[str, np.ndarray], says: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "inputs.npz", **arrays)
    with pytest.raises(UsageError, match=says):
        exporter.export(Difference(), out=tmp_path / "out", example=tmp_path / "inputs.npz")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [None, b"", b"PK nothing"])
def test_files_that_are_no_example(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "inputs.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=r"numpy\.savez"):
        exporter.export(Difference(), out=tmp_path / "out", example=path)


def test_two_ways_of_saying_it_are_refused(tmp_path: Path) -> None:
    shapes = {"a": (1, 3, 16, 16), "b": (1, 3, 16, 16)}
    with pytest.raises(UsageError, match="give one"):
        exporter.export(Difference(), out=tmp_path, input_shape=shapes, example=tmp_path / "x.npz")
    with pytest.raises(UsageError, match="takes one photo and nothing else"):
        exporter.export(Difference(), out=tmp_path, input_shape=shapes, input="image")
    with pytest.raises(UsageError, match=r"--evaluate takes photos.*several inputs \(a, b\)"):
        exporter.export(Difference(), out=tmp_path, input_shape=shapes, evaluate=tmp_path)
