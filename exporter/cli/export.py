"""The commands that export: the default model, and any other."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ..errors import UsageError, did_you_mean
from . import options, quantization
from .show import as_json, print_json, progress, show_export, show_files, show_next, show_top

if TYPE_CHECKING:
    from runtime_check.options import Format

    from ..artifact import Artifact


def default(
    context: typer.Context,
    out: options.Out = Path("build"),
    format: options.Format = "ptl",
    install: options.Install = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    traceback: options.Traceback = False,
) -> None:
    """Turn a PyTorch vision model into a verified file for Android and iOS.

    Without a command: export the default model (tf_efficientnet_lite0 with its ImageNet weights,
    which come with a package) into `build/` and classify a photo with the saved file.
    """
    if context.invoked_subcommand is not None:
        _refuse_before(context.invoked_subcommand, context)
        return
    from ..api import export as run_export
    from ..options import DEFAULT_MODEL

    formats = formats_named(format)
    with progress(not (json or quiet)) as (on_step, _):
        artifacts = [
            run_export(DEFAULT_MODEL, out=out, format=each, install=install or (), on_step=on_step)
            for each in formats
        ]
    tops = [_classify(artifact, "cat") for artifact in artifacts]
    if json:
        made = [
            {
                **as_json(artifact),
                "photo": "cat",
                "top5": [{"label": name, "probability": share} for name, share in top],
            }
            for artifact, top in zip(artifacts, tops, strict=True)
        ]
        print_json(made[0] if len(made) == 1 else made)
    elif not quiet:
        _show(artifacts)
        show_top(tops[-1], "cat")
        again = "" if format == "ptl" else f"--format {format} "
        show_next(artifacts[-1].path, artifacts[-1].installed, again)


def _show(artifacts: Sequence[Artifact]) -> None:
    """Print what an export printed for each format, and where there are several, them together."""
    for artifact in artifacts:
        show_export(artifact)
    if len(artifacts) > 1:
        show_files(artifacts)


def formats_named(text: str) -> tuple[Format, ...]:
    """Read `--format`: one, or several with commas between, each once."""
    known: dict[str, Format] = {"ptl": "ptl", "pte": "pte"}
    formats = []
    for word in (part.strip() for part in text.split(",")):
        if word not in known:
            hint = did_you_mean(word, [*known], most=1)
            raise UsageError(f"--format takes ptl, pte or ptl,pte, not {text!r:.60}.{hint}")
        if known[word] not in formats:
            formats.append(known[word])
    return tuple(formats)


def _refuse_before(command: str, context: typer.Context) -> None:
    """Raise `UsageError` for options given before a command: it would not see them."""
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if source is not None and source.name == "COMMANDLINE" and parameter.name != "traceback":
            option = max(parameter.opts, key=len)
            raise UsageError(f"{option} comes after the command: `{command} ... {option}`.")


def export(
    model: options.Model,
    out: options.Out = Path("build"),
    format: options.Format = "ptl",
    name: options.Name = None,
    install: options.Install = None,
    weights: options.Weights = None,
    random_weights: options.RandomWeights = False,
    labels: options.Labels = None,
    seed: options.Seed = 0,
    input: options.Input = "auto",
    input_shape: options.InputShape = None,
    example: options.Example = None,
    task: options.TaskOption = None,
    output: options.OutputOption = "auto",
    unit: options.Unit = None,
    activation: options.Activation = "auto",
    mean: options.Mean = None,
    std: options.Std = None,
    interpolation: options.Interpolation = None,
    crop_pct: options.CropPct = None,
    crop_mode: options.CropMode = None,
    capture: options.Capture = "auto",
    allow_specialization: options.AllowSpecialization = False,
    disable: options.Disable = None,
    target: options.Target = None,
    verify: options.Verify = True,
    run_on: options.RunOn = None,
    sign: options.Sign = None,
    quantize: quantization.Quantize = "none",
    mode: quantization.Mode = None,
    scheme: quantization.Scheme = None,
    observer: quantization.Observer = None,
    granularity: quantization.Granularity = None,
    rounding: quantization.Rounding = None,
    float_layers: quantization.FloatLayers = None,
    equalize: quantization.Equalize = None,
    calibration: quantization.Calibration = None,
    calibration_images: quantization.CalibrationImages = None,
    evaluate: quantization.Evaluate = None,
    max_accuracy_drop: quantization.MaxAccuracyDrop = None,
    min_agreement: quantization.MinAgreement = None,
    min_sqnr: quantization.MinSqnr = None,
    train: quantization.Train = None,
    epochs: quantization.Epochs = None,
    learning_rate: quantization.LearningRate = None,
    checkpoint: quantization.Checkpoint = None,
    ranges: quantization.Ranges = None,
    accelerator: quantization.Accelerator = "cpu",
    precision: quantization.Precision = "32",
    augment: quantization.Augment = "none",
    workers: quantization.Workers = 0,
    batch_size: quantization.BatchSize = 32,
    warmup: quantization.Warmup = 0.05,
    ema: quantization.Ema = None,
    balanced: quantization.Balanced = False,
    patience: quantization.Patience = None,
    log_dir: quantization.LogDir = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    traceback: options.Traceback = False,
) -> None:
    """Export MODEL to OUT/NAME.ptl (or .pte) with a report.

    Examples:

    `python -m exporter export deit_tiny_patch16_224 --weights deit.safetensors`

    `python -m exporter export mypackage.models:make --input-shape 1,3,96,96 -o out`
    """
    from ..api import export as run_export
    from ..options import Budget, PreprocessingChoice
    from ..recipes import recipes_named
    from ..training import TrainingOptions

    formats = formats_named(format)
    recipe = recipes_named(
        quantize,
        training=train is not None,
        mode=mode,
        scheme=scheme,
        observer=observer,
        granularity=granularity,
        rounding=rounding,
        float_layers=None if float_layers is None else tuple(float_layers),
        equalize=equalize,
        epochs=epochs,
        learning_rate=learning_rate,
        ranges=ranges,
        seed=seed,
    )
    budget = Budget(
        max_accuracy_drop=max_accuracy_drop, min_agreement=min_agreement, min_sqnr_db=min_sqnr
    )
    training = TrainingOptions(
        accelerator=accelerator,
        precision=precision,
        workers=workers,
        batch_size=batch_size,
        augment=augment,
        warmup=warmup,
        ema=ema,
        balanced=balanced,
        patience=patience,
        log_dir=log_dir,
    )
    choice = PreprocessingChoice(
        interpolation=interpolation,
        crop_pct=crop_pct,
        crop_mode=crop_mode,
        mean=_floats(mean, "--mean"),
        std=_floats(std, "--std"),
    )
    # `python -m` puts the working folder on the path, the console script does not.
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, "")
    with progress(not (json or quiet)) as (on_step, on_progress):
        run = partial(
            run_export,
            model,
            out=out,
            install=install or (),
            name=name,
            weights=weights,
            random_weights=random_weights,
            labels=labels,
            seed=seed,
            input=input,
            input_shape=_shapes(input_shape),
            example=example,
            task=task,
            output=output,
            unit=unit,
            activation=activation,
            preprocessing=choice,
            capture=capture,
            allow_specialization=allow_specialization,
            disable=disable or (),
            target=tuple(target) if target else None,
            quantize=recipe,
            calibration=calibration,
            calibration_images=calibration_images,
            evaluate=evaluate,
            train=train,
            checkpoint=checkpoint,
            training=training,
            budget=None if budget == Budget() else budget,
            verify=verify,
            run_on=run_on,
            sign=sign,
            on_step=on_step,
            on_progress=on_progress,
        )
        artifacts = [run(format=each) for each in formats]
    if json:
        made = [as_json(artifact) for artifact in artifacts]
        print_json(made[0] if len(made) == 1 else made)
    elif not quiet:
        _show(artifacts)
        show_next(artifacts[-1].path, artifacts[-1].installed, f"export {model} ... ", sign)


def _classify(artifact: Artifact, name: str) -> list[tuple[str, float]]:
    """Classify a packaged photo with the saved file; return the top five."""
    from ..image.samples import photo

    values, indices = artifact(photo(name)).topk(5)
    labels = artifact.metadata.output.labels or []
    return [(labels[i], float(v)) for v, i in zip(values, indices.tolist(), strict=True)]


def _floats(text: str | None, option: str) -> tuple[float, ...] | None:
    try:
        return None if text is None else tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"{option} takes numbers with commas between, not {text!r}.") from error


def _shapes(texts: list[str] | None) -> tuple[int, ...] | dict[str, tuple[int, ...]] | None:
    """Read `1,3,64,64`, or `a=1,3,64,64` for each of several inputs."""
    if not texts:
        return None
    named = ["=" in text for text in texts]
    if not any(named) and len(texts) == 1:
        return _sizes(texts[0], "--input-shape")
    if not all(named):
        raise UsageError(
            "--input-shape is given once, or once for each input with its name: "
            "`--input-shape image=1,3,64,64 --input-shape mask=1,1,64,64`."
        )
    pairs = [text.split("=", 1) for text in texts]
    if len({name for name, _ in pairs}) != len(pairs):
        raise UsageError("--input-shape gives one input's shape twice.")
    return {name: _sizes(text, f"--input-shape {name}=") for name, text in pairs}


def _sizes(text: str, option: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in re.split("[,x]", text))
    except ValueError as error:
        raise UsageError(
            f"{option} takes whole numbers with commas between, not {text!r}."
        ) from error
