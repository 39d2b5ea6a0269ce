"""The one call: a model and keywords in, a verified artifact out."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NoReturn

from torch import nn

from runtime_check.options import Format
from runtime_check.tasks import Task

from . import pipeline
from .artifact import Artifact
from .errors import UsageError, did_you_mean
from .guard import export_errors
from .options import (
    NOISE,
    Activation,
    Budget,
    CaptureMethod,
    ExportOptions,
    InputKind,
    NamedShape,
    PreprocessingChoice,
    QuantizeOptions,
    Representation,
    resolve_recipes,
)
from .progress import Clock, Listener, silent
from .recipes import QuantizeRecipe
from .training import TrainingOptions

# Old keywords, refused with the new one named.
_RENAMED = {"runtime": "target", "device": "run_on"}


def export(
    model: str | nn.Module,
    *,
    out: Path | str = "build",
    format: Format = "ptl",
    install: Path | str | Sequence[Path | str] = (),
    name: str | None = None,
    weights: Path | str | None = None,
    random_weights: bool = False,
    labels: Path | str | Sequence[str] | None = None,
    input: InputKind = "auto",
    input_shape: Sequence[int] | Mapping[str, Sequence[int]] | None = None,
    example: Path | str | None = None,
    preprocessing: PreprocessingChoice | None = None,
    task: Task | None = None,
    output: Representation = "auto",
    unit: str | None = None,
    activation: Activation = "auto",
    capture: CaptureMethod = "auto",
    allow_specialization: bool = False,
    target: str | Sequence[str] | None = None,
    quantize: str | QuantizeRecipe | Sequence[QuantizeRecipe] | None = None,
    calibration: Path | str | None = None,
    calibration_images: int | None = None,
    evaluate: Path | str | None = None,
    train: Path | str | None = None,
    checkpoint: Path | str | None = None,
    training: TrainingOptions | None = None,
    budget: Budget | None = None,
    disable: Collection[str] = (),
    verify: bool = True,
    run_on: str | None = None,
    sign: Path | str | None = None,
    seed: int = 0,
    on_step: Callable[[str], None] | None = None,
    on_progress: Listener = silent,
    **unknown: NoReturn,
) -> Artifact:
    """Turn a model into a verified file in `out`, with its reports.

    `format` is "ptl" for torch's lite interpreter, or "pte" for ExecuTorch (an extra).

    `install` is the folder of an Android or iOS app, or several: each gets a copy where it loads
    models. File, reports and copies appear together or not at all.
    `model` is a timm name, a hub id (`hf-hub:...`), `package.module:factory`, or a module. The
    keywords are the fields of `ExportOptions`; `input_shape` of several inputs is a dict by their
    names. `quantize` makes it int8: a recipe or its name, or
    `"auto"` or several recipes, of which the one with the least work within `budget` is taken.
    `calibration` is a folder of typical images (or `"noise"`), `evaluate` one to judge candidates
    on; `train` and `checkpoint` are for QAT, and `training` says how it trains and on which device.
    `on_step` is called with each step's name, `on_progress(what, done, total)` how far a long one
    is.

    Raises `ExportError` and its subclasses; then nothing was written.
    """
    named = model if isinstance(model, str) else type(model).__name__
    with export_errors(named):
        for keyword in unknown:
            raise UsageError(_no_keyword(keyword))
        options = ExportOptions(
            out=_path(out),
            format=format,
            install=_paths(install),
            name=name,
            weights=_path(weights),
            random_weights=random_weights,
            labels=_labels(labels),
            input=input,
            input_shape=None if isinstance(input_shape, Mapping) else _tuple(input_shape),
            input_shapes=_shapes(input_shape),
            example=_path(example),
            task=task,
            output=output,
            unit=unit,
            preprocessing=preprocessing or PreprocessingChoice(),
            activation=activation,
            capture=capture,
            allow_specialization=allow_specialization,
            targets=_tuple(target),
            disable=_tuple(disable),
            verify=verify,
            run_on=run_on,
            sign=_path(sign),
            seed=seed,
            quantize=QuantizeOptions(
                recipe=resolve_recipes(quantize, training=train is not None, seed=seed),
                calibration="noise" if calibration == NOISE else _path(calibration),
                calibration_images=calibration_images,
                evaluate=_path(evaluate),
                train=_path(train),
                checkpoint=_path(checkpoint),
                training=training or TrainingOptions(),
                budget=budget,
            ),
        )
        return pipeline.export(model, options, Clock(on_step), on_progress)


def _no_keyword(keyword: str) -> str:
    if keyword in _RENAMED:
        return f"{keyword}= is called {_RENAMED[keyword]}= now."
    hint = did_you_mean(keyword, list(inspect.signature(export).parameters)[1:-1], most=1)
    return f"export has no keyword {keyword}=.{hint}"


# What is neither, is left as it is: the options say what they take.
def _path(path: Any) -> Any:
    return Path(path) if isinstance(path, (str, PathLike)) else path


def _paths(values: Any) -> Any:
    values = (values,) if isinstance(values, (str, PathLike)) else values
    return tuple(map(_path, values)) if isinstance(values, Iterable) else values


def _tuple(values: Any) -> Any:
    return tuple(values) if isinstance(values, Iterable) and not isinstance(values, str) else values


def _shapes(shapes: Any) -> Any:
    if not isinstance(shapes, Mapping):
        return ()
    return tuple(NamedShape(name=name, shape=_tuple(shape)) for name, shape in shapes.items())


def _labels(labels: Any) -> Any:
    return _path(labels) if isinstance(labels, (str, PathLike)) else _tuple(labels)
