from __future__ import annotations

import numpy as np
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
)

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
