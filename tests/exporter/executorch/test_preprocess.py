"""Preprocessing for ExecuTorch against `Preprocess`, to the bit: eager, exported, in a program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from exporter.executorch.preprocess import capture_preprocess, exportable_preprocess
from exporter.executorch.program import save_program
from exporter.image.preprocess import Preprocess
from exporter.image.samples import photo
from runtime_check.artifact.metadata import Preprocessing
from runtime_check.reference.reference import pillow_preprocess

MODES = ("center", "squash", "border")
SIZES = ((3, 24, 24), (3, 20, 33), (1, 17, 30), (4, 24, 16))
MAX_SIDE = 2048


def spec(channels: int, height: int, width: int, **changes: object) -> Preprocessing:
    values = {
        "input_size": (channels, height, width),
        "interpolation": "bicubic",
        "crop_pct": 0.875,
        "crop_mode": "center",
        "mean": (0.485, 0.456, 0.406, 0.3)[:channels],
        "std": (0.229, 0.224, 0.225, 0.2)[:channels],
        "in_graph": True,
    }
    return Preprocessing.model_validate({**values, **changes})


def picture(height: int, width: int, channels: int, seed: int) -> Tensor:
    """Noise with flat places: of four channels, whole areas are opaque or invisible."""
    draw = np.random.default_rng(seed)
    image = draw.integers(0, 256, (height, width, channels), dtype=np.uint8)
    image[: height // 3, :, channels - 1] = 0
    image[height // 2 :, width // 2 :] = 255
    return torch.from_numpy(image)


@settings(max_examples=150, deadline=None)
@given(
    height=st.integers(8, 300) | st.integers(8, MAX_SIDE),
    width=st.integers(8, 300) | st.integers(8, MAX_SIDE),
    size=st.sampled_from(SIZES),
    crop_pct=st.sampled_from([0.8, 0.875, 1.0, 1.25]),
    mode=st.sampled_from(MODES),
    interpolation=st.sampled_from(["bicubic", "bilinear"]),
)
def test_any_size_to_the_bit(
    height: int,
    width: int,
    size: tuple[int, int, int],
    crop_pct: float,
    mode: str,
    interpolation: str,
) -> None:
    assume(max(height, width) <= 32 * min(height, width))
    chosen = spec(*size, crop_pct=crop_pct, crop_mode=mode, interpolation=interpolation)
    ours = Preprocess(chosen, min_side=8, max_side=MAX_SIDE)
    image = picture(height, width, size[0], seed=height * MAX_SIDE + width)
    assert torch.equal(exportable_preprocess(ours, MAX_SIDE)(image), ours(image))


@pytest.mark.parametrize("size", [(24, 24), (24, 16), (27, 19)])
def test_a_picture_of_the_right_size_stays_as_it_is(size: tuple[int, int]) -> None:
    """Invisible colors too, which any resize of four channels would drop."""
    ours = Preprocess(spec(4, *size, crop_pct=1.0), min_side=8, max_side=MAX_SIDE)
    image = picture(*size, 4, seed=1)
    levels = exportable_preprocess(ours, MAX_SIDE)(image) * ours.std + ours.mean
    assert torch.equal(levels.round()[0].permute(1, 2, 0), image.to(torch.float32))


def test_photos_are_as_pillow_makes_them() -> None:
    chosen = spec(3, 96, 96)
    ours = Preprocess(chosen, min_side=8, max_side=MAX_SIDE)
    image = photo("cat")
    actual = exportable_preprocess(ours, MAX_SIDE)(torch.from_numpy(image.copy()))
    levels = ((actual - pillow_preprocess(chosen, image)) * ours.std).abs()
    assert float(levels.max()) < 1.01
    assert float((levels >= 0.5).float().mean()) < 2e-3


@dataclass(frozen=True, kw_only=True)
class Lowered:
    ours: Preprocess
    exported: Callable[[Tensor], Tensor]
    execute: Callable[[Tensor], Tensor]
    planned: int  # bytes


def lowered(chosen: Preprocessing, folder: Path) -> Lowered:
    pytest.importorskip("executorch", reason="ExecuTorch is an extra: pip install '.[executorch]'")
    from executorch.runtime import Runtime

    ours = Preprocess(chosen, min_side=8, max_side=MAX_SIDE)
    captured = capture_preprocess(ours, MAX_SIDE)
    file = save_program({"preprocess": captured}, folder / "preprocess.pte")
    method = Runtime.get().load_program(file.path).load_method("preprocess")
    assert method is not None

    def execute(image: Tensor) -> Tensor:
        output: Tensor = method.execute([image])[0]
        # The next call writes to the same memory.
        return output.clone()

    return Lowered(
        ours=ours,
        exported=captured.module(),
        execute=execute,
        planned=file.planned_bytes["preprocess"],
    )


@pytest.fixture(
    scope="module",
    params=[
        {"size": (3, 24, 24)},
        {"size": (3, 20, 33), "crop_mode": "border", "interpolation": "bilinear"},
        {"size": (4, 24, 16), "crop_pct": 1.0},
        {"size": (1, 17, 30), "crop_mode": "squash", "crop_pct": 1.25},
    ],
    ids=["center", "border", "alpha", "squash"],
)
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Lowered:
    changes = dict(request.param)
    return lowered(spec(*changes.pop("size"), **changes), tmp_path_factory.mktemp("program"))


# Least and largest, longest and the network's own size, where nothing is resized.
SIDES = ((8, 8), (MAX_SIDE, 1500), (8, 256), (480, 15), (24, 16), (24, 24), (61, 300), (199, 97))


@pytest.mark.parametrize(("height", "width"), SIDES)
def test_exported_and_lowered_to_the_bit(program: Lowered, height: int, width: int) -> None:
    image = picture(height, width, program.ours.channels, seed=height + width)
    expected = program.ours(image)
    assert torch.equal(program.exported(image), expected)
    assert torch.equal(program.execute(image), expected)


@pytest.mark.parametrize(
    ("height", "width"), [(7, 9), (9, 7), (1, 1), (8, 257), (300, 9), (2049, 100), (90, 2050)]
)
def test_the_program_refuses_what_is_beyond_the_limits(
    program: Lowered, height: int, width: int
) -> None:
    """It would compute something else: the checks of `Preprocess` are not in it."""
    with pytest.raises(RuntimeError, match=r"0x1[02]"):
        program.execute(picture(height, width, program.ours.channels, seed=0))
    assert program.execute(picture(9, 9, program.ours.channels, seed=0)).isfinite().all()


@settings(max_examples=60, deadline=None)
@given(height=st.integers(1, 2200), width=st.integers(1, 2200))
def test_limits_are_those_of_ours(height: int, width: int) -> None:
    ours = Preprocess(spec(1, 8, 8), min_side=8, max_side=MAX_SIDE)
    image = torch.zeros(height, width, 1, dtype=torch.uint8)
    try:
        ours(image)
    except ValueError:
        with pytest.raises(IndexError):
            exportable_preprocess(ours, MAX_SIDE)(image)
    else:
        exportable_preprocess(ours, MAX_SIDE)(image)


def test_planned_memory(tmp_path: Path) -> None:
    """All of it is taken when a program is loaded: the photo, and less than as much again."""
    photo_bytes = (MAX_SIDE + 1) ** 2 * 3
    assert photo_bytes < lowered(spec(3, 96, 96), tmp_path).planned < 2 * photo_bytes
