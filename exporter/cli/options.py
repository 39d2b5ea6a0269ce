"""Every option of the command line, once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

# --- several commands --------------------------------------------------------------------------

Out = Annotated[
    Path,
    typer.Option(
        "-o",
        "--out",
        help="Folder for NAME.ptl, report.json and report.html.",
        rich_help_panel="Output",
    ),
]
Install = Annotated[
    list[Path] | None,
    typer.Option(
        "--install",
        metavar="APP...",
        help="App folders to copy the file into: `--install android_demo ios_demo`.",
        rich_help_panel="Output",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON, nothing else.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Print errors only.")]
Traceback = Annotated[bool, typer.Option("--traceback", help="On an error, show Python's trace.")]


# --- export -----

Model = Annotated[
    str, typer.Argument(help="A timm name, a hub id (hf-hub:...), or package.module:factory.")
]
Name = Annotated[
    str | None,
    typer.Option(help="Name of the file and in the metadata.", rich_help_panel="Output"),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        help="Checkpoint: safetensors, or a pickle of tensors only.", rich_help_panel="Model"
    ),
]
RandomWeights = Annotated[
    bool,
    typer.Option(
        "--random-weights", help="Untrained: for sizes and speed only.", rich_help_panel="Model"
    ),
]
Labels = Annotated[
    Path | None, typer.Option(help="Text file, one label a line.", rich_help_panel="Model")
]
Seed = Annotated[int, typer.Option(help="Seed of random weights.", rich_help_panel="Model")]
Input = Annotated[
    str,
    typer.Option(
        help="image: uint8 photo in, preprocessing in the graph. tensor: the bare network. "
        "auto: image where the model says how it wants images.",
        metavar="auto|image|tensor",
        rich_help_panel="Input and output",
    ),
]
InputShape = Annotated[
    str | None,
    typer.Option(
        help="Your own module's input, such as 1,3,224,224.",
        metavar="N,C,H,W",
        rich_help_panel="Input and output",
    ),
]
Activation = Annotated[
    str,
    typer.Option(
        help="What follows the network in an image artifact.",
        metavar="auto|softmax|sigmoid|none",
        rich_help_panel="Input and output",
    ),
]
Mean = Annotated[
    str | None,
    typer.Option(help="Override, such as 0.485,0.456,0.406.", rich_help_panel="Input and output"),
]
Std = Annotated[
    str | None,
    typer.Option(help="Override, such as 0.229,0.224,0.225.", rich_help_panel="Input and output"),
]
Interpolation = Annotated[
    str | None,
    typer.Option(help="Override.", metavar="bicubic|bilinear", rich_help_panel="Input and output"),
]
CropPct = Annotated[
    float | None,
    typer.Option(help="Override: crop size over resize size.", rich_help_panel="Input and output"),
]
CropMode = Annotated[
    str | None,
    typer.Option(
        help="Override.", metavar="center|squash|border", rich_help_panel="Input and output"
    ),
]
Capture = Annotated[
    str,
    typer.Option(
        help="auto takes the first that agrees with eager and loads on the runtime.",
        metavar="auto|script|trace|mixed",
        rich_help_panel="Steps",
    ),
]
AllowSpecialization = Annotated[
    bool,
    typer.Option(
        "--allow-specialization",
        help="Let a trace freeze branches that depend on the input.",
        rich_help_panel="Steps",
    ),
]
Disable = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PASS",
        help="Leave out a pass; `inspect` and the report name them. Repeatable.",
        rich_help_panel="Steps",
    ),
]
Runtime = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="Device runtime it must load on: pytorch-2.1.0 (default) or pytorch-1.13. Repeatable.",
        rich_help_panel="Steps",
    ),
]
Verify = Annotated[
    bool,
    typer.Option(
        help="Compare the saved file with eager in a fresh process.", rich_help_panel="Steps"
    ),
]
Device = Annotated[
    str | None,
    typer.Option(
        metavar="RUNTIME",
        help="Run it on a device runtime too: arm64-2.1.0 (`python -m runtime_check device`).",
        rich_help_panel="Steps",
    ),
]
Quantize = Annotated[
    str,
    typer.Option(
        help="Or a recipe's name; `recipes` lists them.",
        metavar="none|dynamic|static|qat|auto",
        rich_help_panel="Quantisation",
    ),
]
Mode = Annotated[
    str,
    typer.Option(
        help="auto: FX, or eager where FX cannot trace the model.",
        metavar="auto|fx|eager",
        rich_help_panel="Quantisation",
    ),
]
Scheme = Annotated[
    str,
    typer.Option(
        help="xnnpack: symmetric, fast. qnnpack: affine.",
        metavar="xnnpack|qnnpack",
        rich_help_panel="Quantisation",
    ),
]
Observer = Annotated[
    str | None,
    typer.Option(
        help="How activation ranges are found.",
        metavar="minmax|moving_average|histogram",
        rich_help_panel="Quantisation",
    ),
]
Granularity = Annotated[
    str | None,
    typer.Option(
        help="Of weight scales.",
        metavar="per_tensor|per_channel",
        rich_help_panel="Quantisation",
    ),
]
Rounding = Annotated[
    str | None,
    typer.Option(
        help="Of convolutions' weights in static int8.",
        metavar="auto|compensated|nearest",
        rich_help_panel="Quantisation",
    ),
]
FloatLayers = Annotated[
    str | None,
    typer.Option(
        help="Layers to keep in float: names or patterns, commas between.",
        rich_help_panel="Quantisation",
    ),
]
Equalize = Annotated[
    bool,
    typer.Option(
        help="Rescale neighbouring layers first; exact in float.",
        rich_help_panel="Quantisation",
    ),
]
Calibration = Annotated[
    str | None,
    typer.Option(
        help="Folder of typical images; or the word noise, for sizes and speed only.",
        metavar="DIR",
        rich_help_panel="Quantisation",
    ),
]
CalibrationImages = Annotated[
    int, typer.Option(help="At most so many of them.", rich_help_panel="Quantisation")
]
Evaluate = Annotated[
    Path | None,
    typer.Option(
        help="auto judges candidates on these; class folders give accuracy.",
        metavar="DIR",
        rich_help_panel="Quantisation",
    ),
]
MaxAccuracyDrop = Annotated[
    float | None,
    typer.Option(help="auto's budget, in points.", rich_help_panel="Quantisation"),
]
MinAgreement = Annotated[
    float | None,
    typer.Option(
        help="auto's budget without labels: top-1 agreement, 0 to 1.",
        rich_help_panel="Quantisation",
    ),
]
Train = Annotated[
    Path | None,
    typer.Option(
        help="QAT: class folders, or plain images to distil on.",
        metavar="DIR",
        rich_help_panel="Quantisation",
    ),
]
Epochs = Annotated[int | None, typer.Option(help="QAT.", rich_help_panel="Quantisation")]
LearningRate = Annotated[float | None, typer.Option(help="QAT.", rich_help_panel="Quantisation")]
Checkpoint = Annotated[
    Path | None,
    typer.Option(help="QAT: resume from and save to.", rich_help_panel="Quantisation"),
]
