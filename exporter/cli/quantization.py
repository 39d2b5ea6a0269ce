"""Every option of the command line that is about int8, once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from runtime_check.choices import choice

from .. import recipes, training

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


def _training(name: str, help: str, metavar: str | None = None) -> Any:
    return typer.Option(name, metavar=metavar, help=help, rich_help_panel="Training")


Ranges = Annotated[
    recipes.ActivationRanges | None,
    choice(
        "--ranges",
        literal=recipes.ActivationRanges,
        help="QAT: ranges of activations. fixed: by calibration. learned: with the weights (LSQ).",
        panel="Training",
    ),
]
Accelerator = Annotated[
    training.Accelerator,
    choice(
        "--accelerator",
        literal=training.Accelerator,
        help="Device to calibrate, judge and train on; conversion is the CPU's.",
        panel="Training",
    ),
]
Precision = Annotated[
    training.Precision,
    choice(
        "--precision",
        literal=training.Precision,
        help="QAT: precision of matrix products.",
        panel="Training",
    ),
]
Augment = Annotated[
    training.Augmentation,
    choice(
        "--augment",
        literal=training.Augmentation,
        help="QAT: timm's augmentation. light: crops and flips. rand: RandAugment too.",
        panel="Training",
    ),
]
Workers = Annotated[int, _training("--workers", "QAT: processes that read images.", "N")]
BatchSize = Annotated[int, _training("--batch-size", "QAT: images of a step, a process.", "N")]
Warmup = Annotated[
    float, _training("--warmup", "QAT: share of the steps in which the learning rate rises.")
]
Ema = Annotated[
    float | None,
    _training("--ema", "QAT: decay of an average of the weights, which is then kept.", "DECAY"),
]
Balanced = Annotated[bool, _training("--balanced", "QAT: draw every class equally often.")]
Patience = Annotated[
    int | None,
    _training("--patience", "QAT: epochs without a better one after which it ends.", "N"),
]
LogDir = Annotated[
    Path | None,
    _training("--log-dir", "QAT: folder for metrics.csv, and TensorBoard where installed.", "DIR"),
]
