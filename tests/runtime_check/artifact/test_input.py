"""What `forward` takes, as the contract states it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from runtime_check.artifact.input import ImageInput, InputTensor, TensorInput

from ...stated import GEOMETRY


@pytest.mark.parametrize(("color", "channels"), [("RGB", 3), ("L", 1), ("RGBA", 4)])
def test_a_photo_has_as_many_channels_as_its_color(color: Any, channels: int) -> None:
    spec = ImageInput.model_validate(
        {"color": color, "min_side": 8, "max_side": 64, "geometry": GEOMETRY}
    )
    assert spec.channels == channels


@pytest.mark.parametrize(
    "wrong",
    [
        {"color": "CMYK"},
        {"geometry": None},
        {"min_side": 65},
        {"min_side": 4097, "max_side": 5000},
        {"geometry": {**GEOMETRY, "resize": "fit"}},
    ],
)
def test_photos_that_cannot_be(wrong: dict[str, Any]) -> None:
    good = {"min_side": 8, "max_side": 64, "geometry": GEOMETRY}
    ImageInput.model_validate(good)
    with pytest.raises(ValidationError):
        ImageInput.model_validate(good | wrong)


@pytest.mark.parametrize(
    ("low", "high", "fits"),
    [(None, None, True), (0, 1, True), (1, 1, True), (0, None, False), (None, 1, False),
     (2, 1, False), (0, float("inf"), False)],
)  # fmt: skip
def test_a_range_has_two_ends_in_order(low: Any, high: Any, fits: bool) -> None:
    record = {"name": "x", "shape": [2], "low": low, "high": high}
    if fits:
        InputTensor.model_validate(record)
        return
    with pytest.raises(ValidationError):
        InputTensor.model_validate(record)


def test_inputs_have_names_of_their_own() -> None:
    def tensors(*names: str) -> dict[str, Any]:
        return {"dynamic_batch": False, "tensors": [{"name": n, "shape": [1]} for n in names]}

    TensorInput.model_validate(tensors("a", "b"))
    with pytest.raises(ValidationError, match="two inputs of one name"):
        TensorInput.model_validate(tensors("a", "a"))
