"""Every option of the command line, once; those about int8 are in `quantization`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runtime_check.choices import choice
from runtime_check.tasks import Task

from ..options import Activation as ActivationKind
from ..options import CaptureMethod, InputKind, Representation
from ..options import CropMode as CropModeKind
from ..options import Interpolation as InterpolationKind

# Old names, refused with the new one named.
RENAMED = {"--runtime": "--target", "--device": "--run-on"}


# --- several commands --------------------------------------------------------------------------

Out = Annotated[
    Path,
    typer.Option(
        "-o",
        "--out",
        metavar="DIR",
        help="Folder for NAME.ptl, NAME.report.json and NAME.report.html.",
        rich_help_panel="Output",
    ),
]
Format = Annotated[
    str,
    typer.Option(
        "--format",
        metavar="FORMAT",
        help="[cyan]ptl[/]: torch's lite interpreter. [cyan]pte[/]: ExecuTorch, an extra. "
        "[cyan]ptl,pte[/]: a file for each.",
        rich_help_panel="Output",
    ),
]
Install = Annotated[
    list[Path] | None,
    typer.Option(
        "--install",
        metavar="APP",
        help="App folder to copy the file into, such as `android_demo`. Repeatable.",
        rich_help_panel="Output",
    ),
]
Sign = Annotated[
    Path | None,
    typer.Option(
        "--sign",
        metavar="KEY",
        help="Secret key that vouches for the file: `python -m exporter keygen NAME` makes one.",
        rich_help_panel="Output",
    ),
]
VerifyKey = Annotated[
    str | None,
    typer.Option(
        "--verify-key",
        metavar="PUBLIC",
        help="Public key that must have signed the file: a line (RW...) or NAME.pub.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON, nothing else.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]
# `main` reads it: errors are caught there, those of options too.
Traceback = Annotated[
    bool, typer.Option("--traceback", help="Show Python's traceback of an error.")
]

# --- model and output ----------------------------------------------------------------------------

Model = Annotated[
    str, typer.Argument(help="A timm name, a hub id (hf-hub:...), or package.module:factory.")
]
Name = Annotated[
    str | None,
    typer.Option("--name", help="Name of the file and in its metadata.", rich_help_panel="Output"),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        metavar="FILE",
        help="Checkpoint: safetensors, or a pickle of tensors only.",
        rich_help_panel="Model",
    ),
]
RandomWeights = Annotated[
    bool,
    typer.Option(
        "--random-weights",
        help="Untrained weights: for sizes and speed only.",
        rich_help_panel="Model",
    ),
]
Labels = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        metavar="FILE",
        help="Text file with one label per line.",
        rich_help_panel="Model",
    ),
]
Seed = Annotated[
    int,
    typer.Option("--seed", help="Seed of random weights and of training.", rich_help_panel="Model"),
]

# --- input and output ----------------------------------------------------------------------------

Input = Annotated[
    InputKind,
    choice(
        "--input",
        literal=InputKind,
        help="What `forward` takes. image: a uint8 photo, preprocessing in the graph. tensor: what "
        "the bare network takes. auto: image where the model says how it wants images.",
        panel="Input and output",
    ),
]
InputShape = Annotated[
    list[str] | None,
    typer.Option(
        "--input-shape",
        metavar="N,C,H,W",
        help="Input shape, such as 1,3,224,224; a timm model has its own. Repeatable for several "
        "inputs, by name: image=1,3,224,224.",
        rich_help_panel="Input and output",
    ),
]
Example = Annotated[
    Path | None,
    typer.Option(
        "--example",
        metavar="FILE.npz",
        help="Arrays named like forward's parameters, whose shapes, dtypes and ranges are taken. "
        "The file keeps them as its golden input.",
        rich_help_panel="Input and output",
    ),
]
TaskOption = Annotated[
    Task | None,
    choice(
        "--task",
        literal=Task,
        help="What the outputs are for; inferred where they show it.",
        panel="Input and output",
    ),
]
OutputOption = Annotated[
    Representation,
    choice(
        "--output",
        literal=Representation,
        help="class_map: the class of each of the photo's pixels. normalized: embeddings of "
        "length 1.",
        panel="Input and output",
    ),
]
Unit = Annotated[
    str | None,
    typer.Option(
        "--unit",
        metavar="WORD",
        help="Unit of an output's values, such as years or m.",
        rich_help_panel="Input and output",
    ),
]
Activation = Annotated[
    ActivationKind,
    choice(
        "--activation",
        literal=ActivationKind,
        help="Activation after the network in an image artifact.",
        panel="Input and output",
    ),
]
Mean = Annotated[
    str | None,
    typer.Option(
        "--mean",
        metavar="R,G,B",
        help="Override the mean, such as 0.485,0.456,0.406.",
        rich_help_panel="Input and output",
    ),
]
Std = Annotated[
    str | None,
    typer.Option(
        "--std",
        metavar="R,G,B",
        help="Override the standard deviation, such as 0.229,0.224,0.225.",
        rich_help_panel="Input and output",
    ),
]
Interpolation = Annotated[
    InterpolationKind | None,
    choice(
        "--interpolation",
        literal=InterpolationKind,
        help="Override the interpolation of the resize.",
        panel="Input and output",
    ),
]
CropPct = Annotated[
    float | None,
    typer.Option(
        "--crop-pct",
        help="Override the crop size as a share of the resize size.",
        rich_help_panel="Input and output",
    ),
]
CropMode = Annotated[
    CropModeKind | None,
    choice(
        "--crop-mode",
        literal=CropModeKind,
        help="Override the way to crop.",
        panel="Input and output",
    ),
]

# --- steps ---------------------------------------------------------------------------------------

Capture = Annotated[
    CaptureMethod,
    choice(
        "--capture",
        literal=CaptureMethod,
        help="Capture method. auto takes the first whose file agrees with eager and loads on the "
        "target.",
        panel="Steps",
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
        "--disable",
        metavar="PASS",
        help="Pass to leave out; `inspect` and the report name them. Repeatable.",
        rich_help_panel="Steps",
    ),
]
Target = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        metavar="RUNTIME",
        help="Runtime the file must load on: pytorch-2.1.0 (default) or pytorch-1.13. Repeatable.",
        rich_help_panel="Steps",
    ),
]
RunOn = Annotated[
    str | None,
    typer.Option(
        "--run-on",
        metavar="RUNTIME",
        help="Device runtime to run the file on as well: arm64-2.1.0, which `python -m "
        "runtime_check device` installs.",
        rich_help_panel="Steps",
    ),
]
Verify = Annotated[
    bool,
    typer.Option(
        "--verify/--no-verify",
        help="Compare the saved file with eager in a fresh process.",
        rich_help_panel="Steps",
    ),
]
