"""The command that compares models, recipes and input sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from runtime_check.printable import printable

from ..errors import UsageError
from . import options, quantization
from .export import formats_named
from .show import print_json, print_table, stderr, stdout

if TYPE_CHECKING:
    from ..compare.plan import ComparePlan
    from ..compare.result import Comparison, Row

_PANEL = "Comparison"
NOTHING_FITS = 1


def compare(
    models: Annotated[
        list[str],
        typer.Argument(help="Models as `export` takes them, or one plan file (`plan.toml`)."),
    ],
    recipes: Annotated[
        str | None,
        typer.Option(
            "--recipes",
            metavar="A,B",
            help="Recipes with commas between, such as none,static,auto (none).",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    input_size: Annotated[
        str | None,
        typer.Option(
            "--input-size",
            metavar="N,M",
            help="Sides of the square pictures that networks get; each model's own unless given.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            "--format", metavar="FORMAT", help="ptl, pte or ptl,pte (ptl).", rich_help_panel=_PANEL
        ),
    ] = None,
    input: Annotated[
        str | None,
        typer.Option(
            "--input",
            metavar="KIND",
            help="What files take, as `export` has it: image, tensor or auto (auto).",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    calibration: quantization.Calibration = None,
    calibration_images: quantization.CalibrationImages = None,
    evaluate: Annotated[
        Path | None,
        typer.Option(
            "--evaluate",
            metavar="DIR",
            help="Folder of images that all files are judged on: class folders give accuracy, "
            "plain images agreement with float32.",
            rich_help_panel="Quantization",
        ),
    ] = None,
    random_weights: options.RandomWeights = False,
    seed: Annotated[
        int | None,
        typer.Option("--seed", help="Seed of random weights.", rich_help_panel="Model"),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            "--budget",
            metavar="LIMITS",
            help="What a file may cost: mb=10,ms=20,minstr=200 (minstr: millions of ARM64 "
            "instructions).",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    pick: Annotated[
        bool,
        typer.Option(
            "--pick",
            help="Copy the best file within the budget into OUT; exit 1 where none is.",
            rich_help_panel=_PANEL,
        ),
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            metavar="N",
            help="Exports at a time: one a core unless given, and never more than fit in memory.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            "--ray",
            metavar="ADDRESS",
            help="Export on a Ray cluster: auto, HOST:PORT or ray://HOST:PORT. Times are still "
            "measured here.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    count: Annotated[
        bool | None,
        typer.Option(
            "--count/--no-count",
            help="Count ARM64 instructions; unless told, where the device runtime is installed.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    out: Annotated[
        Path,
        typer.Option(
            "-o",
            "--out",
            metavar="DIR",
            help="Folder for compare.json, compare.html and all files.",
            rich_help_panel="Output",
        ),
    ] = Path("build/compare"),
    json: options.Json = False,
    quiet: options.Quiet = False,
    traceback: options.Traceback = False,
) -> None:
    """Export MODELS with every recipe and input size, and show which is worth what.

    Every export is a process of its own. Started again, it goes on where it was stopped.

    Examples:

    `python -m exporter compare tf_efficientnet_lite0 --recipes none,static --calibration PHOTOS`

    `python -m exporter compare plan.toml --budget mb=10,ms=20 --pick`
    """
    from ..compare.cluster import ray_runner
    from ..compare.local import Resources, run_local
    from ..compare.plan import Limits
    from ..compare.run import NothingExported
    from ..compare.run import compare as run_compare

    given: dict[str, Any] = {
        "recipes": _words(recipes),
        "input_sizes": _sizes(input_size),
        "formats": None if format is None else formats_named(format),
        "input": input,
        "calibration": _folder(calibration),
        "calibration_images": calibration_images,
        "evaluate": evaluate,
        "seed": seed,
        "budget": None if budget is None else Limits.parse(budget),
    }
    plan = _plan(models, random_weights, {k: v for k, v in given.items() if v is not None})
    resources = Resources(jobs=jobs)
    silent = json or quiet

    def say(text: str) -> None:
        if not silent:
            stderr.print(Text(printable(text), style="dim"), soft_wrap=True)

    runner = run_local if ray is None else ray_runner(ray)
    try:
        found = run_compare(
            plan, out=out, resources=resources, count=count, picks=pick, runner=runner, say=say
        )
    except NothingExported as error:
        if json:
            print_json(error.comparison.model_dump(mode="json"))
        elif not quiet:
            _show_failures(error.comparison.rows[1:])  # the error says the first
        raise
    if json:
        print_json(found.model_dump(mode="json"))
    elif not quiet:
        _show(found, out)
    if pick and found.picked is None:
        if json or quiet:
            stderr.print(Text(found.picked_why))
        raise typer.Exit(NOTHING_FITS)


def _plan(models: Sequence[str], random_weights: bool, given: dict[str, Any]) -> ComparePlan:
    """Make the plan of the command line; options that were given replace those of a plan file."""
    from ..compare.plan import ComparePlan, ModelChoice, read_plan

    files = [model for model in models if model.endswith(".toml")]
    if files and len(models) > 1:
        raise UsageError(f"{files[0]} is a plan file, which names its models: give it alone.")
    if files:
        plan = read_plan(Path(files[0]))
        if random_weights:
            given["models"] = tuple(replace(each, random_weights=True) for each in plan.models)
        return replace(plan, **given)
    chosen = tuple(ModelChoice(model=model, random_weights=random_weights) for model in models)
    return ComparePlan(models=chosen, **given)


def _words(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(word.strip() for word in text.split(","))


def _sizes(text: str | None) -> tuple[int, ...] | None:
    try:
        return None if text is None else tuple(int(word) for word in text.split(","))
    except ValueError as error:
        raise UsageError(
            f"--input-size takes whole numbers with commas between, such as 160,224, not {text!r}."
        ) from error


def _folder(text: str | None) -> Path | str | None:
    return text if text in (None, "noise") else Path(str(text))


def _show_failures(rows: Sequence[Row]) -> None:
    for row in rows:
        if row.failed:
            failed = Text(f"{row.name}.{row.format} failed: ", style="yellow")
            stdout.print(failed.append(printable(row.reason, lines=True), style="default"))


def _show(found: Comparison, out: Path) -> None:
    """Print the table, the failures, the pick, and where everything is."""
    from ..compare.page import best_first, columns, figure, fronts_said, judged_on
    from ..compare.run import HTML, JSON

    fields = columns(found)
    rows = best_first(found)
    table = Table(box=None, pad_edge=False)
    table.add_column("file", no_wrap=True)
    for _, heading in fields:
        table.add_column(Text(heading), justify="right", min_width=len(heading))
    table.add_column("front of", no_wrap=True)
    for row in rows:
        if row.failed:
            continue
        mark = " *" if row.file == found.picked else ""
        style = "dim" if row.within is False else ""
        cells = (Text(figure(row, field)) for field, _ in fields)
        table.add_row(Text(printable(row.file) + mark), *cells, fronts_said(row), style=style)
    print_table(table)
    stdout.print(Text(f"\n{judged_on(found)}", style="dim"))
    if found.timing:
        stdout.print(Text(f"ms: {found.timing}", style="dim"))
    _show_failures(rows)
    if found.picked_why:
        stdout.print(Text(found.picked_why, style="bold" if found.picked else "yellow"))
    if found.picked:
        stdout.print(Text(f"{out / found.picked}"), soft_wrap=True)
    for name in (HTML, JSON):
        stdout.print(Text(f"{out / name}"), soft_wrap=True)
