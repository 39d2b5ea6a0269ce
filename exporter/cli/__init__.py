"""The command line: each command is one call of the Python interface."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn, cast

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from runtime_check.artifact.metadata import LedgerRow
from runtime_check.errors import RuntimeCheckError

from ..errors import ExportError, UsageError
from ..progress import Listener

app = typer.Typer(
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
stdout = Console(highlight=False)
stderr = Console(stderr=True, highlight=False)
APPS = ("android_demo", "ios_demo")

# --- options that several commands share ---------------------------------------------------------

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


# --- errors --------------------------------------------------------------------------------------


def fail(error: Exception, *, traceback: bool) -> NoReturn:
    """Print one paragraph for a person and exit with the error's code."""
    if traceback:
        raise error
    known = isinstance(error, (ExportError, RuntimeCheckError))
    code = cast(Any, error).exit_code if known else 2
    text = (
        str(error)
        if known
        else (
            f"This should not have happened: {type(error).__name__}: {error}. Please report it "
            "with what `--traceback` prints."
        )
    )
    stderr.print(Text("error: ", style="bold red").append(text, style="default"))
    raise typer.Exit(code)


@contextmanager
def people_errors(traceback: bool) -> Iterator[None]:
    """Turn every error into a paragraph and an exit code."""
    try:
        yield
    except (typer.Exit, typer.Abort):
        raise
    except Exception as error:  # noqa: BLE001  the last line of defence before a person
        fail(error, traceback=traceback)


def _numbers(
    text: str | None, option: str, kind: type[int] | type[float]
) -> tuple[Any, ...] | None:
    if text is None:
        return None
    try:
        values = tuple(kind(part) for part in text.replace("x", ",").split(","))
    except ValueError as error:
        raise UsageError(f"{option} takes numbers with commas between, not {text!r}.") from error
    if kind is int and any(value < 1 for value in values):
        raise UsageError(f"{option} takes positive sizes, not {text!r}.")
    return values


# --- what is shown -------------------------------------------------------------------------------


def _cell(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def ledger_table(rows: Sequence[LedgerRow], title: str) -> Table:
    """Lay out the ledger; what was not measured stays blank."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("stage")
    for heading in ("max |d|", "SQNR dB", "top-1", "top-5", "accuracy", "ms", "MB"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            row.stage,
            "0" if row.max_abs == 0 else _cell(row.max_abs, ".1e"),
            _cell(row.sqnr_db, ".1f"),
            _cell(row.top1, ".1%"),
            _cell(row.top5, ".1%"),
            _cell(row.accuracy, ".2%"),
            _cell(row.ms, ".1f"),
            _cell(row.mb, ".1f"),
        )
    return table


@contextmanager
def progress(enabled: bool) -> Iterator[tuple[Callable[[str], None], Listener]]:
    """Show which step is running, and how far a long one is; yield the listeners of `export`."""
    if not (enabled and stderr.is_terminal):
        yield (lambda step: None), (lambda what, done, total: None)
        return
    from rich.console import Group
    from rich.live import Live
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    steps = Progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    long = Progress(TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn())
    bars: dict[str, Any] = {}

    def step(name: str) -> None:
        for bar in bars.values():
            long.remove_task(bar)
        bars.clear()
        for task in steps.tasks:
            steps.update(task.id, total=1, completed=1)
        steps.add_task(name, total=None)

    def tell(what: str, done: int, total: int) -> None:
        if what not in bars:  # one bar at a time
            for bar in bars.values():
                long.remove_task(bar)
            bars.clear()
            bars[what] = long.add_task(what, total=total or None)
        long.update(bars[what], completed=done)

    with Live(Group(steps, long), console=stderr, transient=True):
        yield step, tell


def _show_export(artifact: Any, installed: Sequence[Path]) -> None:
    report, meta = artifact.report, artifact.metadata
    stdout.print(
        ledger_table(report.ledger, f"{meta.name}, {report.ledger[0].inputs} inputs, one thread")
    )
    stdout.print()
    stdout.print(f"captured by {meta.capture.method}: {meta.capture.reason}", style="dim")
    for note in report.notes:
        stdout.print(Text(str(note), style="yellow" if note.is_warning else "dim"))
    for verdict in meta.runtimes:
        good = "ran on " if verdict.how == "executed" else "loads on "
        word = Text(good, "green") if verdict.compatible else Text("does not load on ", "red")
        stdout.print(word.append(f"{verdict.runtime}: {verdict.detail}", "default"))
    stdout.print(
        Text("tolerance ", "dim").append(f"{meta.tolerance.atol:.2g}: {meta.tolerance.basis}")
    )
    stdout.print()
    stdout.print(f"[bold]{artifact.path}[/] ({report.file_bytes / 1e6:.1f} MB)", soft_wrap=True)
    stdout.print(f"{artifact.path.parent / 'report.html'}", soft_wrap=True)
    for path in installed:
        stdout.print(f"installed: {path}", soft_wrap=True)


def _show_next(path: Path, installed: Sequence[Path], again: str) -> None:
    stdout.print("\n[bold]next[/]")
    stdout.print(f"  python -m exporter inspect {path}", soft_wrap=True)
    stdout.print(f"  python -m runtime_check {path}", soft_wrap=True)
    if not installed:
        stdout.print(f"  python -m exporter {again}--install {' '.join(APPS)}", soft_wrap=True)


def _classify(artifact: Any, name: str) -> list[tuple[str, float]]:
    """Classify a packaged photo with the saved file; return the top five."""
    import torch

    from ..image.samples import photo

    probabilities = artifact(torch.from_numpy(photo(name).copy()))
    values, indices = probabilities.topk(5)
    labels = artifact.metadata.output.labels
    return [(labels[i], float(v)) for v, i in zip(values, indices.tolist(), strict=True)]


def _show_top(top: Sequence[tuple[str, float]], photo: str) -> None:
    stdout.print(f"\n[bold]the saved file on a photo of a {photo}[/]")
    for label, probability in top:
        bar = "█" * round(30 * probability)
        stdout.print(f"  {probability:6.1%} {bar:30s} {label}")


# --- commands ------------------------------------------------------------------------------------


@app.callback(invoke_without_command=True)
def default(
    context: typer.Context,
    out: Out = Path("build"),
    install: Install = None,
    json: Json = False,
    quiet: Quiet = False,
    traceback: Traceback = False,
) -> None:
    """Turn a PyTorch vision model into a verified `.ptl` for Android and iOS.

    Without a command: export the default model (tf_efficientnet_lite0 with its ImageNet weights,
    which come with a package) into `build/` and classify a photo with the saved file.
    """
    if context.invoked_subcommand is not None:
        return
    with people_errors(traceback):
        from ..api import export as run_export
        from ..install import install as place
        from ..install import models_folder
        from ..source import DEFAULT_MODEL

        for folder in install or []:
            models_folder(folder)
        with progress(not (json or quiet)) as (on_step, _):
            artifact = run_export(DEFAULT_MODEL, out=out, on_step=on_step)
        installed = [place(artifact.path, folder) for folder in install or []]
        top = _classify(artifact, "cat")
        if json:
            _print_json(
                {
                    "path": str(artifact.path),
                    "photo": "cat",
                    "top5": [{"label": n, "probability": p} for n, p in top],
                    "installed": [str(p) for p in installed],
                    "report": artifact.report.model_dump(mode="json"),
                }
            )
        elif not quiet:
            _show_export(artifact, installed)
            _show_top(top, "cat")
            _show_next(artifact.path, installed, "")


def _print_json(value: Any) -> None:
    import json

    sys.stdout.write(json.dumps(value, indent=1) + "\n")


@app.command()
def export(
    model: Annotated[
        str, typer.Argument(help="A timm name, a hub id (hf-hub:...), or package.module:factory.")
    ],
    out: Out = Path("build"),
    name: Annotated[
        str | None,
        typer.Option(help="Name of the file and in the metadata.", rich_help_panel="Output"),
    ] = None,
    install: Install = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Checkpoint: safetensors, or a pickle of tensors only.", rich_help_panel="Model"
        ),
    ] = None,
    random_weights: Annotated[
        bool,
        typer.Option(
            "--random-weights", help="Untrained: for sizes and speed only.", rich_help_panel="Model"
        ),
    ] = False,
    labels: Annotated[
        Path | None, typer.Option(help="Text file, one label a line.", rich_help_panel="Model")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of random weights.", rich_help_panel="Model")] = 0,
    input: Annotated[
        str,
        typer.Option(
            help="image: uint8 photo in, preprocessing in the graph. tensor: the bare network. "
            "auto: image where the model says how it wants images.",
            metavar="auto|image|tensor",
            rich_help_panel="Input and output",
        ),
    ] = "auto",
    input_shape: Annotated[
        str | None,
        typer.Option(
            help="Your own module's input, such as 1,3,224,224.",
            metavar="N,C,H,W",
            rich_help_panel="Input and output",
        ),
    ] = None,
    activation: Annotated[
        str,
        typer.Option(
            help="What follows the network in an image artifact.",
            metavar="auto|softmax|sigmoid|none",
            rich_help_panel="Input and output",
        ),
    ] = "auto",
    mean: Annotated[
        str | None,
        typer.Option(
            help="Override, such as 0.485,0.456,0.406.", rich_help_panel="Input and output"
        ),
    ] = None,
    std: Annotated[
        str | None,
        typer.Option(
            help="Override, such as 0.229,0.224,0.225.", rich_help_panel="Input and output"
        ),
    ] = None,
    interpolation: Annotated[
        str | None,
        typer.Option(
            help="Override.", metavar="bicubic|bilinear", rich_help_panel="Input and output"
        ),
    ] = None,
    crop_pct: Annotated[
        float | None,
        typer.Option(
            help="Override: crop size over resize size.", rich_help_panel="Input and output"
        ),
    ] = None,
    crop_mode: Annotated[
        str | None,
        typer.Option(
            help="Override.", metavar="center|squash|border", rich_help_panel="Input and output"
        ),
    ] = None,
    capture: Annotated[
        str,
        typer.Option(
            help="auto takes the first that agrees with eager and loads on the runtime.",
            metavar="auto|script|trace|mixed",
            rich_help_panel="Steps",
        ),
    ] = "auto",
    allow_specialization: Annotated[
        bool,
        typer.Option(
            "--allow-specialization",
            help="Let a trace freeze branches that depend on the input.",
            rich_help_panel="Steps",
        ),
    ] = False,
    disable: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PASS",
            help="Leave out a pass; `inspect` and the report name them. Repeatable.",
            rich_help_panel="Steps",
        ),
    ] = None,
    runtime: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Device runtime it must load on: pytorch-2.1.0 (default) or "
            "pytorch-1.13. Repeatable.",
            rich_help_panel="Steps",
        ),
    ] = None,
    verify: Annotated[
        bool,
        typer.Option(
            help="Compare the saved file with eager in a fresh process.", rich_help_panel="Steps"
        ),
    ] = True,
    device: Annotated[
        str | None,
        typer.Option(
            metavar="RUNTIME",
            help="Run it on a device runtime too: arm64-2.1.0 (`python -m runtime_check device`).",
            rich_help_panel="Steps",
        ),
    ] = None,
    quantize: Annotated[
        str,
        typer.Option(
            help="Or a recipe's name; `recipes` lists them.",
            metavar="none|dynamic|static|qat|auto",
            rich_help_panel="Quantisation",
        ),
    ] = "none",
    mode: Annotated[
        str,
        typer.Option(
            help="auto: FX, or eager where FX cannot trace the model.",
            metavar="auto|fx|eager",
            rich_help_panel="Quantisation",
        ),
    ] = "auto",
    scheme: Annotated[
        str,
        typer.Option(
            help="xnnpack: symmetric, fast. qnnpack: affine.",
            metavar="xnnpack|qnnpack",
            rich_help_panel="Quantisation",
        ),
    ] = "xnnpack",
    observer: Annotated[
        str | None,
        typer.Option(
            help="How activation ranges are found.",
            metavar="minmax|moving_average|histogram",
            rich_help_panel="Quantisation",
        ),
    ] = None,
    granularity: Annotated[
        str | None,
        typer.Option(
            help="Of weight scales.",
            metavar="per_tensor|per_channel",
            rich_help_panel="Quantisation",
        ),
    ] = None,
    rounding: Annotated[
        str | None,
        typer.Option(
            help="Of convolutions' weights in static int8.",
            metavar="auto|compensated|nearest",
            rich_help_panel="Quantisation",
        ),
    ] = None,
    float_layers: Annotated[
        str | None,
        typer.Option(
            help="Layers to keep in float: names or patterns, commas between.",
            rich_help_panel="Quantisation",
        ),
    ] = None,
    equalize: Annotated[
        bool,
        typer.Option(
            help="Rescale neighbouring layers first; exact in float.",
            rich_help_panel="Quantisation",
        ),
    ] = True,
    calibration: Annotated[
        str | None,
        typer.Option(
            help="Folder of typical images; or the word noise, for sizes and speed only.",
            metavar="DIR",
            rich_help_panel="Quantisation",
        ),
    ] = None,
    calibration_images: Annotated[
        int, typer.Option(help="At most so many of them.", rich_help_panel="Quantisation")
    ] = 256,
    evaluate: Annotated[
        Path | None,
        typer.Option(
            help="auto judges candidates on these; class folders give accuracy.",
            metavar="DIR",
            rich_help_panel="Quantisation",
        ),
    ] = None,
    max_accuracy_drop: Annotated[
        float | None,
        typer.Option(help="auto's budget, in points.", rich_help_panel="Quantisation"),
    ] = None,
    min_agreement: Annotated[
        float | None,
        typer.Option(
            help="auto's budget without labels: top-1 agreement, 0 to 1.",
            rich_help_panel="Quantisation",
        ),
    ] = None,
    train: Annotated[
        Path | None,
        typer.Option(
            help="QAT: class folders, or plain images to distil on.",
            metavar="DIR",
            rich_help_panel="Quantisation",
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="QAT.", rich_help_panel="Quantisation")] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="QAT.", rich_help_panel="Quantisation")
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="QAT: resume from and save to.", rich_help_panel="Quantisation"),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
    traceback: Traceback = False,
) -> None:
    """Export MODEL to OUT/NAME.ptl with a report.

    Examples:

    `python -m exporter export deit_tiny_patch16_224 --weights deit.safetensors`

    `python -m exporter export mypackage.models:make --input-shape 1,3,96,96 -o out`
    """
    with people_errors(traceback):
        from ..api import export as run_export
        from ..install import install as place
        from ..install import models_folder
        from ..options import PreprocessingChoice
        from ..quantize.step import QuantizeChoice

        for folder in install or []:
            models_folder(folder)
        _choose(mode, "--mode", ("auto", "fx", "eager"))
        _choose(scheme, "--scheme", ("xnnpack", "qnnpack"))
        _choose(input, "--input", ("auto", "image", "tensor"))
        _choose(activation, "--activation", ("auto", "softmax", "sigmoid", "none"))
        _choose(capture, "--capture", ("auto", "script", "trace", "mixed"))
        choice = PreprocessingChoice(
            interpolation=cast(Any, interpolation),
            crop_pct=crop_pct,
            crop_mode=cast(Any, crop_mode),
            mean=_numbers(mean, "--mean", float),
            std=_numbers(std, "--std", float),
        )
        # `python -m` puts the working folder on the path, the console script does not.
        if "" not in sys.path and str(Path.cwd()) not in sys.path:
            sys.path.insert(0, "")
        with progress(not (json or quiet)) as (on_step, on_progress):
            artifact = run_export(
                model,
                out=out,
                name=name,
                weights=weights,
                random_weights=random_weights,
                labels=labels,
                seed=seed,
                input=cast(Any, input),
                input_shape=_numbers(input_shape, "--input-shape", int),
                activation=cast(Any, activation),
                preprocessing=choice,
                capture=cast(Any, capture),
                allow_specialization=allow_specialization,
                disable=disable or (),
                target=tuple(runtime) if runtime else "pytorch-2.1.0",
                quantize=QuantizeChoice(
                    method=quantize,
                    mode=cast(Any, mode),
                    scheme=cast(Any, scheme),
                    observer=observer,
                    granularity=granularity,
                    rounding=rounding,
                    float_layers=tuple(part for part in (float_layers or "").split(",") if part),
                    equalize=equalize,
                    calibration=calibration,
                    images=calibration_images,
                    evaluate=evaluate,
                    max_accuracy_drop=max_accuracy_drop,
                    min_agreement=min_agreement,
                    train=train,
                    epochs=epochs,
                    learning_rate=learning_rate,
                    checkpoint=checkpoint,
                    seed=seed,
                ),
                verify=verify,
                run_on=device,
                on_step=on_step,
                on_progress=on_progress,
            )
        installed = [place(artifact.path, folder) for folder in install or []]
        if json:
            _print_json(
                {
                    "path": str(artifact.path),
                    "installed": [str(p) for p in installed],
                    "report": artifact.report.model_dump(mode="json"),
                }
            )
        elif not quiet:
            _show_export(artifact, installed)
            _show_next(artifact.path, installed, f"export {model} ... ")


def _choose(value: str, option: str, known: Sequence[str]) -> None:
    import difflib

    if value not in known:
        near = difflib.get_close_matches(value, known, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise UsageError(f"{option} is one of {', '.join(known)}, not {value!r}.{hint}")


@app.command()
def inspect(
    file: Annotated[Path, typer.Argument(help="A .ptl file.")],
    json: Json = False,
    traceback: Traceback = False,
) -> None:
    """Show what is inside a `.ptl`, without loading or running it."""
    with people_errors(traceback):
        from runtime_check.artifact.archive import read_artifact

        found = read_artifact(file)
        meta = found.metadata
        if json:
            _print_json(
                {"file": str(file), "bytes": found.bytes, "metadata": meta.model_dump(mode="json")}
            )
            return
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(style="bold")
        table.add_column()
        given = meta.input
        if given.kind == "image":
            takes = f"uint8 RGB photo, height x width x 3, sides {given.min_side}..{given.max_side}"
        else:
            takes = ", ".join(f"{t.dtype} {t.shape}" for t in given.tensors)
            takes += ", any batch" if given.dynamic_batch else ", this batch only"
        gives = ", ".join(f"{t.dtype} {t.shape}" for t in meta.output.tensors)
        labels = f"{len(meta.output.labels)} labels" if meta.output.labels else "no labels"
        pre, by = meta.preprocessing, meta.produced_by
        rows = [
            ("name", meta.name),
            ("file", f"{found.bytes / 1e6:.1f} MB, {len(found.records)} records"),
            ("takes", takes),
            ("gives", f"{gives}, {meta.output.activation}, {labels}"),
            (
                "preprocessing",
                "none stated"
                if pre is None
                else f"{'in the graph' if pre.in_graph else 'left to the app'}: {pre.input_size}, "
                f"{pre.interpolation}, {pre.crop_mode} crop {pre.crop_pct:g}, "
                f"mean {list(pre.mean)}, std {list(pre.std)}",
            ),
            ("quantization", meta.quantization.method),
            ("captured", f"{meta.capture.method}: {meta.capture.reason}"),
            ("passes", "; ".join(f"{p.name}: {p.effect}" for p in meta.passes)),
            (
                "made by",
                f"exporter {by.exporter}, torch {by.torch}, timm {by.timm}, "
                f"bytecode {by.bytecode_version}",
            ),
            (
                "weights",
                f"{meta.provenance.weights.origin}: {meta.provenance.weights.detail}, "
                f"SHA-256 {meta.provenance.weights.sha256[:16]}…",
            ),
            ("licence", meta.provenance.licence or "not stated"),
            ("tolerance", f"{meta.tolerance.atol:.2g} ({meta.tolerance.basis})"),
            *(
                (
                    f"on {v.runtime}",
                    ("loads" if v.compatible else "does not load") + f": {v.detail}",
                )
                for v in meta.runtimes
            ),
            ("operators", ", ".join(f"{name} x{count}" for name, count in meta.operators.items())),
        ]
        for row in rows:
            table.add_row(*row)
        stdout.print(table)
        stdout.print()
        stdout.print(ledger_table(meta.ledger, "ledger"))


@app.command()
def models(
    pattern: Annotated[str, typer.Argument(help="Part of a name, or a pattern with *.")] = "*",
    json: Json = False,
    traceback: Traceback = False,
) -> None:
    """List timm models that can be exported."""
    with people_errors(traceback):
        import difflib

        import timm
        from timm.models import get_pretrained_cfg

        from runtime_check.reference.reference import packaged_file

        wanted = pattern if "*" in pattern else f"*{pattern}*"
        names = timm.list_models(wanted)
        if not names:
            near = difflib.get_close_matches(pattern.strip("*"), timm.list_models(), n=5)
            hint = f" Did you mean {', '.join(near)}?" if near else ""
            raise UsageError(f"timm {timm.__version__} has no model like {pattern!r}.{hint}")
        rows = []
        for name in names:
            config = get_pretrained_cfg(name)
            size = "x".join(map(str, config.input_size)) if config else ""
            source = (
                "package"
                if packaged_file(name)
                else ("hub" if config is not None and config.has_weights else "none")
            )
            rows.append((name, size, source, (config.license or "") if config else ""))
        if json:
            keys = ("name", "input_size", "weights", "licence")
            _print_json([dict(zip(keys, row, strict=True)) for row in rows])
            return
        table = Table(box=None, pad_edge=False)
        for heading in ("model", "input", "weights", "licence"):
            table.add_column(heading)
        for row in rows:
            table.add_row(*row)
        stdout.print(table)
        stdout.print(f"{len(rows)} models", style="dim")


@app.command()
def recipes(json: Json = False, traceback: Traceback = False) -> None:
    """List the quantisation recipes: what becomes int8, and when."""
    with people_errors(traceback):
        from ..quantize.recipes import RECIPES

        rows = [recipe.describe() for recipe in RECIPES.values()]
        if json:
            _print_json(rows)
            return
        # The modes of a recipe differ in how layers are found, not in what becomes of them.
        alike: dict[tuple[str, ...], list[str]] = {}
        shown = ("kernels", "layers", "weights", "activations", "needs")
        for row in rows:
            alike.setdefault(tuple(row[key] for key in shown), []).append(row["recipe"])
        for values, names in alike.items():
            stdout.print(Text(", ".join(names), "bold"))
            table = Table(box=None, show_header=False, pad_edge=False)
            table.add_column(style="dim", min_width=13)
            for key, value in zip(shown, values, strict=True):
                if value != "-":
                    table.add_row(f"  {key}", value)
            stdout.print(table)
        stdout.print("-fx: symbolic tracing first. Without: layer by layer, on every model.")


@app.command()
def doctor(json: Json = False, traceback: Traceback = False) -> None:
    """Check torch, XNNPACK, engines, timm, disk and optional tools; say what to do."""
    with people_errors(traceback):
        from ..environment import diagnose

        findings = diagnose()
        if json:
            _print_json([finding.__dict__ for finding in findings])
        else:
            table = Table(box=None, show_header=False, pad_edge=False)
            words = {
                True: Text("OK", "green"),
                False: Text("BAD", "bold red"),
                None: Text("–", "dim"),
            }
            for finding in findings:
                detail = f"{finding.found}  {finding.advice}".strip()
                table.add_row(words[finding.ok], finding.what, detail)
            stdout.print(table)
        if any(finding.ok is False for finding in findings):
            raise typer.Exit(2)


def _spread_install(arguments: Sequence[str]) -> list[str]:
    """Let `--install` take several folders: `--install a b` becomes `--install a --install b`."""
    spread: list[str] = []
    taking = False
    for argument in arguments:
        if argument == "--install":
            taking = True
        elif (
            taking
            and not argument.startswith("-")
            and (spread[-1] == "--install" or argument in APPS or Path(argument).is_dir())
        ):
            if spread[-1] != "--install":
                spread.append("--install")
        else:
            taking = False
        spread.append(argument)
    return spread


def _help_with_model(arguments: Sequence[str]) -> None:
    """Recognise `python -m exporter resnet18`, which forgot the command."""
    import difflib

    first = next(iter(arguments), "")
    commands = [
        command.name or cast(Any, command.callback).__name__ for command in app.registered_commands
    ]
    if not first or first.startswith("-") or first in commands:
        return
    near = difflib.get_close_matches(first, commands, n=1)
    hint = f"Did you mean `{near[0]}`?" if near else f"Did you mean `export {first}`?"
    stderr.print(
        Text("error: ", style="bold red").append(
            f"There is no command {first!r}. {hint} Commands: {', '.join(commands)}.",
            style="default",
        )
    )
    raise SystemExit(2)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    given = _spread_install(sys.argv[1:] if arguments is None else arguments)
    _help_with_model(given)
    app(args=given, prog_name="python -m exporter")
