"""Every option of the command line that is about int8, once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runtime_check.choices import choice

from .. import recipes

Quantize = Annotated[
    str,
    typer.Option(
        "--quantize",
        metavar="RECIPE",
        help="Quantization: none, dynamic, static, qat or auto; or the name of a recipe "
        "(`recipes` lists them).",
        rich_help_panel="Quantization",
    ),
]
Mode = Annotated[
    recipes.Mode | None,
    choice(
        "--mode",
        literal=recipes.Mode,
        help="How layers are found. auto: FX, or eager where FX cannot trace the model.",
        panel="Quantization",
    ),
]
Scheme = Annotated[
    recipes.Scheme | None,
    choice(
        "--scheme",
        literal=recipes.Scheme,
        help="Number format of activations. xnnpack: symmetric, fast. qnnpack: affine.",
        panel="Quantization",
    ),
]
Observer = Annotated[
    recipes.Observer | None,
    choice(
        "--observer",
        literal=recipes.Observer,
        help="Observer of activation ranges.",
        panel="Quantization",
    ),
]
Granularity = Annotated[
    recipes.Granularity | None,
    choice(
        "--granularity",
        literal=recipes.Granularity,
        help="Granularity of weight scales.",
        panel="Quantization",
    ),
]
Rounding = Annotated[
    recipes.WeightRounding | None,
    choice(
        "--rounding",
        literal=recipes.WeightRounding,
        help="Rounding of convolution weights in static int8.",
        panel="Quantization",
    ),
]
FloatLayers = Annotated[
    list[str] | None,
    typer.Option(
        "--float-layers",
        metavar="LAYER",
        help="Layer to keep in float: a name, or a pattern such as `blocks.0.*`. Repeatable.",
        rich_help_panel="Quantization",
    ),
]
Equalize = Annotated[
    bool | None,
    typer.Option(
        "--equalize/--no-equalize",
        help="Rescale neighboring layers first; exact in float.",
        rich_help_panel="Quantization",
    ),
]
Calibration = Annotated[
    str | None,
    typer.Option(
        "--calibration",
        metavar="DIR",
        help="Folder of typical images, or of network inputs as .npy or .npz (of several inputs, "
        "an array for each); or the word noise, for sizes and speed only.",
        rich_help_panel="Quantization",
    ),
]
CalibrationImages = Annotated[
    int | None,
    typer.Option(
        "--calibration-images",
        metavar="N",
        min=1,
        help="Number of calibration images to use at most (256).",
        rich_help_panel="Quantization",
    ),
]
Evaluate = Annotated[
    Path | None,
    typer.Option(
        "--evaluate",
        metavar="DIR",
        help="Folder of images to judge on. Class folders give the accuracy.",
        rich_help_panel="Quantization",
    ),
]
MaxAccuracyDrop = Annotated[
    float | None,
    typer.Option(
        "--max-accuracy-drop",
        help="auto: largest accuracy drop, in percentage points.",
        rich_help_panel="Quantization",
    ),
]
MinAgreement = Annotated[
    float | None,
    typer.Option(
        "--min-agreement",
        help="auto, without labels: smallest agreement with float32 by the task's metric, 0 to 1.",
        rich_help_panel="Quantization",
    ),
]
MinSqnr = Annotated[
    float | None,
    typer.Option(
        "--min-sqnr",
        metavar="DB",
        help="auto: smallest SQNR of the outputs against float32, in dB (20 for depth, regression "
        "and other values).",
        rich_help_panel="Quantization",
    ),
]
Train = Annotated[
    Path | None,
    typer.Option(
        "--train",
        metavar="DIR",
        help="QAT: folder of training images; class folders, or plain images to distill on.",
        rich_help_panel="Quantization",
    ),
]
Epochs = Annotated[
    int | None,
    typer.Option("--epochs", help="QAT: number of epochs.", rich_help_panel="Quantization"),
]
LearningRate = Annotated[
    float | None,
    typer.Option("--learning-rate", help="QAT: learning rate.", rich_help_panel="Quantization"),
]
Checkpoint = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint",
        metavar="FILE",
        help="QAT: checkpoint to resume from and to save to.",
        rich_help_panel="Quantization",
    ),
]
