from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st

from runtime_check.artifact.metadata import InputTensor, Preprocessing, TensorInput
from runtime_check.properties.inputs import (
    FINITE_CONTENTS,
    IMAGE_CONTENTS,
    NONFINITE_CONTENTS,
    ImageRecipe,
    TensorRecipe,
    image_recipes,
    tensor_recipes,
    unresized_size,
    usual_recipes,
)
from runtime_check.properties.search import draw

from .fakes import photo_input

BOUNDS = photo_input(min_side=8, max_side=3000)
TENSOR = TensorInput(tensors=[InputTensor(name="x", shape=[1, 3, 8, 8])], dynamic_batch=True)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(image_recipes(BOUNDS, max_pixels=40_000))
def test_images_are_what_the_contract_says_and_repeat(recipe: ImageRecipe) -> None:
    (image,) = recipe.build()
    assert image.dtype == np.uint8
    assert image.shape == (recipe.height, recipe.width, 3)
    assert image.flags.c_contiguous
    assert min(image.shape[:2]) >= 8
    assert max(image.shape[:2]) <= 3000
    assert np.array_equal(image, recipe.build()[0])


def test_elongated_and_extreme_images_are_reached() -> None:
    drawn = image_recipes(BOUNDS)
    find(drawn, lambda r: r.width > 10 * r.height)
    find(drawn, lambda r: r.height > 10 * r.width)
    find(drawn, lambda r: (r.height, r.width) == (8, 8))
    for content in IMAGE_CONTENTS:
        find(drawn, lambda r, c=content: r.content == c)


def test_a_failing_image_shrinks_to_the_plainest() -> None:
    smallest = find(
        image_recipes(BOUNDS, max_pixels=40_000), lambda r: bool((r.build()[0] > 200).all())
    )
    assert smallest.content == "constant"
    assert smallest.seed == 0


def test_natural_images_have_soft_neighbors() -> None:
    def roughness(content: str) -> float:
        image = ImageRecipe(content, 96, 96, 128, 3).build()[0].astype(float)
        return float(np.abs(np.diff(image, axis=1)).mean())

    assert roughness("pink") < roughness("noise") / 5
    assert roughness("blobs") < roughness("noise") / 5
    assert ImageRecipe("pink", 96, 96, 128, 3).build()[0].std() > 20


@settings(max_examples=60, deadline=None)
@given(
    tensor_recipes(TENSOR, contents=FINITE_CONTENTS + NONFINITE_CONTENTS, batches=st.integers(2, 4))
)
def test_tensors_hold_what_their_name_says(recipe: TensorRecipe) -> None:
    (array,) = recipe.build()
    assert array.dtype == np.float32
    assert array.shape == (recipe.batch, 3, 8, 8)
    assert np.isfinite(array).all() == (recipe.content not in NONFINITE_CONTENTS)
    if recipe.content == "denormal":
        tiny = np.finfo(np.float32).tiny
        assert ((np.abs(array) < tiny) & (array != 0)).any()
    if recipe.content == "negative-zero":
        assert np.signbit(array).any()
        assert not array.any()
    if recipe.content == "large":
        assert np.abs(array).max() > 1e3


def test_the_size_that_timm_only_crops() -> None:
    spec = Preprocessing(
        input_size=(3, 224, 224),
        interpolation="bicubic",
        crop_pct=0.875,
        crop_mode="center",
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
        in_graph=True,
    )
    assert unresized_size(spec) == (256, 256)
    assert unresized_size(spec.model_copy(update={"crop_mode": "squash"})) == (224, 224)


@pytest.mark.parametrize(("color", "channels"), [("L", 1), ("RGB", 3), ("RGBA", 4)])
def test_photos_have_the_channels_of_their_color(color: str, channels: int) -> None:
    spec = BOUNDS.model_copy(update={"color": color})
    drawn = draw(image_recipes(spec, max_pixels=4_000), 30, 0)
    for recipe in drawn:
        (image,) = recipe.build()
        assert (image.dtype, image.shape[2]) == (np.uint8, channels)
        assert image.flags.c_contiguous
    # No channel repeats another, so that one in another's place shows.
    for content in ("gradient", "blobs", "pink", "noise"):
        (image,) = ImageRecipe(content, 20, 31, 255, 3, channels).build()
        for one, other in itertools.combinations(range(channels), 2):
            assert not np.array_equal(image[..., one], image[..., other])
    (green,) = ImageRecipe("gradient", 20, 31, 255, 3, 1).build()
    assert np.array_equal(green[..., 0], ImageRecipe("gradient", 20, 31, 255, 3).build()[0][..., 1])


def several(**ranges: tuple[float, float] | None) -> TensorInput:
    """Tensors of every dtype; of those that are named, values within this."""
    dtypes = ("float32", "float64", "int32", "int64", "uint8", "bool")
    tensors = []
    for dtype in dtypes:
        low, high = ranges.get(dtype) or (None, None)
        tensor = {"name": dtype, "shape": [1, 40], "dtype": dtype, "low": low, "high": high}
        tensors.append(tensor)
    return TensorInput.model_validate({"tensors": tensors, "dynamic_batch": True})


LIMITS = {
    "float32": (0.5, 2.0), "float64": (-3.0, -1.0), "int32": (5, 9), "int64": (-2, 1),
    "uint8": (250, 255), "bool": (0, 1),
}  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(tensor_recipes(several(**LIMITS), contents=FINITE_CONTENTS))
def test_values_lie_within_what_a_file_says_it_takes(recipe: TensorRecipe) -> None:
    for array, (dtype, (low, high)) in zip(recipe.build(), LIMITS.items(), strict=True):
        assert (str(array.dtype), array.shape) == (dtype, (1, 40))
        assert low <= array.min()
        assert array.max() <= high


def filled(content: str, **ranges: tuple[float, float] | None) -> dict[str, np.ndarray]:
    specs = tuple(((1, 40), str(t.dtype)) for t in several().tensors)
    limits = tuple(ranges.get(dtype) for _, dtype in specs)
    arrays = TensorRecipe(content, None, 3, specs, limits).build()
    return {str(array.dtype): array for array in arrays}


def test_each_content_fills_a_range_in_its_own_way() -> None:
    large = filled("large", **LIMITS)
    for dtype, (low, high) in LIMITS.items():
        assert set(large[dtype].ravel().tolist()) == {low, high}
    # The value nearest to zero.
    zero = filled("zero", **LIMITS)
    assert {dtype: set(array.ravel().tolist()) for dtype, array in zero.items()} == {
        "float32": {0.5}, "float64": {-1.0}, "int32": {5}, "int64": {0}, "uint8": {250},
        "bool": {False},
    }  # fmt: skip
    constant = filled("constant", **LIMITS)
    assert {len(np.unique(array)) for array in constant.values()} == {1}
    drawn = filled("normal", **LIMITS)
    assert {len(np.unique(drawn[dtype])) for dtype in ("float32", "float64")} == {40}
    assert set(drawn["int32"].ravel().tolist()) == {5, 6, 7, 8, 9}
    assert set(drawn["bool"].ravel().tolist()) == {False, True}


def test_one_value_of_each_float_is_not_finite_within_a_range_too() -> None:
    for content in NONFINITE_CONTENTS:
        for dtype, array in filled(content, **LIMITS).items():
            broken = array[~np.isfinite(array)]
            assert len(broken) == (1 if dtype.startswith("float") else 0)
            assert all(str(value) == content for value in broken.tolist())


def test_a_range_is_that_of_its_own_tensor() -> None:
    """The others are drawn as where no file says anything."""
    ranged, plain = filled("large", int32=(5, 9)), filled("large")
    assert set(ranged["int32"].ravel().tolist()) == {5, 9}
    assert np.array_equal(ranged["float32"], plain["float32"])
    assert np.abs(plain["float32"]).max() > 1e3
    assert set(plain["bool"].ravel().tolist()) == {False, True}
    spec = several(int64=(-2, 1))
    (recipe, *_) = draw(tensor_recipes(spec), 3, 0)
    assert recipe.ranges == (None, None, None, (-2.0, 1.0), None, None)  # type: ignore[union-attr]  # drawn for tensors
    (recipe, *_) = draw(tensor_recipes(several()), 3, 0)
    assert recipe.ranges == ()  # type: ignore[union-attr]  # drawn for tensors


@pytest.mark.parametrize("color", ["L", "RGBA"])
def test_the_usual_inputs_are_what_the_file_takes(color: str, tensor_ptl: Any) -> None:
    spec = BOUNDS.model_copy(update={"color": color})
    metadata = tensor_ptl.metadata.model_copy(update={"input": spec})
    for recipe in usual_recipes(metadata):
        assert recipe.build()[0].shape == (64, 64, spec.channels)
    ranged = tensor_ptl.metadata.model_copy(update={"input": several(**LIMITS)})
    one, other = (recipe.build() for recipe in usual_recipes(ranged))
    for first, second, (dtype, (low, high)) in zip(one, other, LIMITS.items(), strict=True):
        assert str(first.dtype) == dtype
        assert low <= min(first.min(), second.min())
        assert max(first.max(), second.max()) <= high
        assert not np.array_equal(first, second)
