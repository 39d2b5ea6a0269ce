"""Step 3, quantize: what the user chose becomes an int8 module, with evidence, or an error.

The recipes and their arithmetic are in `exporter.quantize`; this is where they meet the pipeline:
images through the model's own preprocessing, the budget, and what the metadata says about it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from runtime_check.artifact.metadata import Quantization

from ..errors import UsageError
from ..notes import Note
from ..outputs import run
from ..progress import Listener, silent
from . import (
    RECIPES,
    Budget,
    Quantized,
    QuantizeRecipe,
    calibration_batches,
    choose,
    find_recipe,
    make_recipe,
    quantize,
    training_set,
)

# Passes of this step that `--disable` knows.
METHODS = ("none", "dynamic", "static", "qat", "auto")
NOISE = "noise"


@dataclass(frozen=True, kw_only=True)
class QuantizeChoice:
    """What the user says about quantisation.

    `method` is one of `METHODS` or the name of a recipe. `calibration` and `evaluate` are folders
    of images (class folders give accuracy), `calibration="noise"` asks for noise by name. `train`
    is for QAT: class folders named like the labels, or plain images to distil on.
    """

    method: str = "none"
    mode: Literal["auto", "fx", "eager"] = "auto"
    scheme: Literal["xnnpack", "qnnpack"] = "xnnpack"
    observer: str | None = None
    granularity: str | None = None
    rounding: str | None = None
    float_layers: tuple[str, ...] = ()
    equalize: bool = True
    cheap_activations: bool = True
    calibration: Path | str | None = None
    images: int = 256
    evaluate: Path | None = None
    max_accuracy_drop: float | None = None
    min_agreement: float | None = None
    train: Path | None = None
    epochs: int | None = None
    learning_rate: float | None = None
    checkpoint: Path | None = None
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class QuantizedNetwork:
    """The network to capture: int8, or the float one it was given."""

    module: nn.Module
    simulated: nn.Module | None  # the fake-quantised twin, for the ledger
    described: Quantization
    notes: tuple[Note, ...]


def recipe_of(choice: QuantizeChoice) -> QuantizeRecipe:
    """Turn a choice into a recipe; raise `UsageError` or `RecipeError` with a did-you-mean."""
    if choice.method in RECIPES and choice.method not in METHODS:
        named = find_recipe(choice.method)
        return replace(named, cheap_activations=choice.cheap_activations)
    if choice.method not in METHODS:
        find_recipe(choice.method)  # raises, with the nearest names
    method = cast(Any, choice.method)
    scheme: Any = "qnnpack" if method == "dynamic" else choice.scheme
    return make_recipe(
        method,
        mode=cast(Any, choice.mode),
        scheme=scheme,
        observer=cast(Any, choice.observer),
        weights=cast(Any, choice.granularity),
        rounding=cast(Any, choice.rounding),
        float_layers=choice.float_layers,
        equalize=choice.equalize,
        cheap_activations=choice.cheap_activations,
        epochs=choice.epochs,
        learning_rate=choice.learning_rate,
        seed=choice.seed,
    )


def quantize_network(
    module: nn.Module,
    choice: QuantizeChoice,
    *,
    example: Tensor,
    preprocess: nn.Module | None,
    labels: Sequence[str] | None,
    tell: Listener = silent,
) -> QuantizedNetwork:
    """Quantise `module` as chosen; `example` is one preprocessed input, N,C,H,W.

    `preprocess` is the in-graph preprocessing (uint8 H,W,3 to 1,C,H,W): calibration sees exactly
    what the shipped network will. Raises `QuantizeError` and its leaves.
    """
    if choice.method == "none":
        return QuantizedNetwork(module=module, simulated=None, described=Quantization(), notes=())
    through = _reader(preprocess)
    noise = choice.calibration == NOISE
    if choice.method == "auto":
        return _auto(module, choice, example, through, labels, tell)
    recipe = recipe_of(choice)
    notes: list[Note] = []
    batches: Sequence[Tensor] | None = None
    if recipe.needs_calibration:
        batches, notes = _calibration(choice, example, through, tell)
    made = quantize(
        module,
        recipe,
        example=example,
        calibration=batches,
        allow_noise=noise,
        train=None
        if choice.train is None
        else training_set(choice.train, through, classes=_classes(choice.train, labels)),
        checkpoint=choice.checkpoint,
        tell=tell,
    )
    return _network(made, [*notes, *(Note("quantize", text) for text in made.notes)])


def _reader(preprocess: nn.Module | None) -> Callable[[Image.Image], Tensor]:
    def through(image: Image.Image) -> Tensor:
        if preprocess is None:
            raise UsageError(
                "Calibration images need preprocessing, and this module does not say how it wants "
                "images: give --mean and --std, or calibrate on `--calibration noise`."
            )
        pixels = torch.from_numpy(np.array(image.convert("RGB")))
        return run(preprocess, (pixels,))[0][0]

    return through


def _classes(folder: Path, labels: Sequence[str] | None) -> Sequence[str] | None:
    """Labels, where the folder is sorted into classes; None for plain images (distillation)."""
    if not folder.is_dir() or labels is None:
        return None
    return labels if any(child.is_dir() for child in folder.iterdir()) else None


def _calibration(
    choice: QuantizeChoice,
    example: Tensor,
    through: Callable[[Image.Image], Tensor],
    tell: Listener,
) -> tuple[Sequence[Tensor], list[Note]]:
    if choice.calibration is None:
        raise UsageError(
            "Static quantisation takes its ranges from images: give `--calibration DIR` with 50 to "
            "500 typical ones. For sizes and speed only, `--calibration noise`."
        )
    if choice.calibration == NOISE:
        generator = torch.Generator().manual_seed(choice.seed)
        shape = (8, *example.shape[1:])
        noise = torch.randn(shape, generator=generator)
        warning = "CALIBRATED ON NOISE: the ranges mean nothing for real images."
        return [noise], [Note("noise", warning)]
    found = calibration_batches(
        Path(choice.calibration),
        through,
        limit=choice.images,
        tell=tell,
    )
    notes = [Note("quantize", f"calibrated on {found.images} images")]
    if found.skipped:
        shown = ", ".join(found.skipped[:3])
        text = f"{len(found.skipped)} unreadable calibration images skipped ({shown})"
        notes.append(Note("quantize", text))
    return found.batches, notes


def _auto(
    module: nn.Module,
    choice: QuantizeChoice,
    example: Tensor,
    through: Callable[[Image.Image], Tensor],
    labels: Sequence[str] | None,
    tell: Listener,
) -> QuantizedNetwork:
    batches, notes = _calibration(choice, example, through, tell)
    truth: Tensor | None = None
    if choice.evaluate is not None:
        # A training set without training: images with their classes, in order.
        data = training_set(choice.evaluate, through, classes=_classes(choice.evaluate, labels))
        measured = [
            data.load(range(start, min(start + 16, data.count)))
            for start in range(0, data.count, 16)
        ]
        truth = data.labels
        notes.append(Note("auto", f"judged on {data.count} images"))
    else:
        images = torch.cat(list(batches))
        if len(images) < 8:
            raise UsageError(
                f"{len(images)} images are too few to calibrate on some and judge on others. Give "
                "at least 8, or `--evaluate DIR`."
            )
        # Every fourth image judges, and is not calibrated on.
        judging = torch.arange(len(images)) % 4 == 0
        measured = list(images[judging].split(16))
        batches = list(images[~judging].split(16))
        text = f"judged on {int(judging.sum())} images held out from calibration"
        notes.append(Note("auto", text))
    demands = {"max_accuracy_drop": choice.max_accuracy_drop, "min_agreement": choice.min_agreement}
    given = {name: value for name, value in demands.items() if value is not None}
    options: dict[str, Any] = {"budget": Budget(**given)} if given else {}
    found = choose(
        module,
        example=example,
        calibration=batches,
        measured=measured,
        labels=truth,
        mode=cast(Any, choice.mode),
        train=None
        if choice.train is None
        else training_set(choice.train, through, classes=_classes(choice.train, labels)),
        checkpoint=choice.checkpoint,
        allow_noise=choice.calibration == NOISE,
        cheap_activations=choice.cheap_activations,
        tell=tell,
        **options,
    )
    made = found.chosen.quantized
    notes += [Note("auto", text) for text in (*found.notes, found.table())]
    if made is None:
        return QuantizedNetwork(
            module=module,
            simulated=None,
            described=Quantization(),
            notes=tuple(notes),
        )
    return _network(made, notes)


def _network(made: Quantized, notes: Sequence[Note]) -> QuantizedNetwork:
    recipe = made.recipe
    return QuantizedNetwork(
        module=made.module,
        simulated=made.simulated,
        described=Quantization.model_validate(
            {
                "method": recipe.method,
                "mode": recipe.mode,
                "engine": "qnnpack",
                "scheme": recipe.scheme,
                "recipe": str(recipe),
                "int8_layers": made.int8_layers,
                "float_layers": list(made.float_layers),
            }
        ),
        notes=tuple(notes),
    )
