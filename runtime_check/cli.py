"""The command line: `python -m runtime_check FILE.ptl`, and `bench`, `device`, `fuzz`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from . import __version__
from .choices import choice, chosen
from .device.cli import app as device_app
from .errors import RuntimeCheckError
from .files import write_whole
from .options import (
    DEFAULT_DEADLINE,
    DEFAULT_MEMORY,
    DEFAULT_TIMEOUT,
    PEER_NAMES,
    PROPERTY_NAMES,
    CheckOptions,
    Demands,
    PeerName,
    ProfileName,
    PropertyName,
    RuntimeName,
    bytes_of,
    require_limits,
)
from .people import SafeConsole, people_errors, refuse_old_names, run_app
from .places import require_folder, require_writable
from .values import require_seed

# Old names, refused with the new one named.
_RENAMED = {"--runtime": "--run-on"}
_GLOBAL = ("--help", "-h", "--version", "--install-completion", "--show-completion")

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


# Of every command that reads an artifact.
VerifyKey = Annotated[
    str | None,
    typer.Option(
        "--verify-key",
        metavar="PUBLIC",
        help="Public key that must have signed the file: a line (RW...) or NAME.pub.",
    ),
]


def _console(*, stderr: bool = False) -> Console:
    return SafeConsole(stderr=stderr, highlight=False, soft_wrap=False)


@app.callback()
def common(
    traceback: Annotated[
        bool, typer.Option("--traceback", help="Show Python's traceback of an error.")
    ] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Check that a lite-interpreter file computes what Python computes, here and on the device.

    [bold]python -m runtime_check FILE.ptl[/bold] is short for [bold]check FILE.ptl[/bold].
    Exit codes: 0 what was asked for holds, 1 the file failed, 2 usage or unreadable file, 3 no
    verdict: nothing is proven, one way or the other.
    """
    if version:
        _console().print(f"torch-mobile-check {__version__}")
        raise typer.Exit


@app.command()
def check(
    file: Annotated[
        Path, typer.Argument(help="The artifact, FILE.ptl or FILE.pte.", show_default=False)
    ],
    run_on: Annotated[
        RuntimeName,
        choice(
            "--run-on", literal=RuntimeName, help="Runtime that runs the file.", metavar="RUNTIME"
        ),
    ] = "host",
    examples: Annotated[
        int | None,
        typer.Option(min=1, help="Number of inputs for each property, instead of the profile's."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the inputs.")] = 0,
    profile: Annotated[
        ProfileName,
        choice("--profile", literal=ProfileName, help="Effort: ci is quick, nightly is thorough."),
    ] = "ci",
    reference: Annotated[
        str | None,
        typer.Option(help="timm name or package.module:factory, instead of the file's own."),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Checkpoint of the reference: safetensors or state dict.")
    ] = None,
    trust_factory: Annotated[
        bool,
        typer.Option("--trust-factory", help="Import and call the factory that the file names."),
    ] = False,
    allow_large: Annotated[
        bool,
        typer.Option("--allow-large", help="Build the model the file names whatever its size."),
    ] = False,
    property_: Annotated[
        list[str] | None,
        choice("--property", "-p", literal=PropertyName, help="Property to check. Repeatable."),
    ] = None,
    replay: Annotated[
        Path | None, typer.Option(help="Saved counterexample (.npz) to judge again.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="File for the report: FILE.html or FILE.json.")
    ] = None,
    counterexamples: Annotated[Path, typer.Option(help="Folder for counterexamples.")] = Path(
        "counterexamples"
    ),
    timeout: Annotated[
        float, typer.Option(help="Seconds for one answer of the runtime.")
    ] = DEFAULT_TIMEOUT,
    deadline: Annotated[
        float, typer.Option(help="Seconds for all of its answers together.")
    ] = DEFAULT_DEADLINE,
    memory: Annotated[
        float, typer.Option(help="GiB the file may use beyond torch's own.")
    ] = DEFAULT_MEMORY / 2**30,
    atol: Annotated[
        float | None, typer.Option(min=0, help="Largest difference of any value you accept.")
    ] = None,
    rtol: Annotated[
        float | None, typer.Option(min=0, help="The same as a share of the value, added to it.")
    ] = None,
    min_sqnr: Annotated[
        float | None, typer.Option(help="Least SQNR against Python, dB, over all inputs.")
    ] = None,
    min_agreement: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Least agreement with Python, 0 to 1: top-1, pixels, boxes or cosine.",
        ),
    ] = None,
    count: Annotated[
        bool,
        typer.Option("--count", help="Count ARM instructions of one inference (device runtimes)."),
    ] = False,
    verify_key: VerifyKey = None,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Fail on notes, and where there is no reference, too."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Check a file's properties: parity with Python, golden vectors, determinism and more."""
    of_many = {"--property": property_, "--examples": examples, "--profile": profile != "ci"}
    _refuse(of_many, replay is not None, "beside --replay, which judges one saved input")
    options = CheckOptions(
        run_on=run_on,
        profile=profile,
        examples=examples,
        seed=seed,
        properties=chosen(property_, PROPERTY_NAMES),
        replay=replay,
        reference=reference,
        weights=weights,
        trust_factory=trust_factory,
        allow_large=allow_large,
        counterexamples=counterexamples,
        timeout=timeout,
        deadline=deadline,
        memory=bytes_of(memory),
        count=count,
        demands=Demands(atol=atol, rtol=rtol, min_sqnr_db=min_sqnr, min_agreement=min_agreement),
        verify_key=verify_key,
    )
    _check(file, options, report=report, strict=strict, as_json=as_json)


def _check(
    file: Path, options: CheckOptions, *, report: Path | None, strict: bool, as_json: bool
) -> None:
    from .checking import EXIT_CODES, check
    from .report import print_report, to_json, write_html

    require_writable(report, "--report", endings=(".html", ".json"))
    if options.counterexamples != CheckOptions.counterexamples:
        require_folder(options.counterexamples, "--counterexamples")
    with _console(stderr=True).status(f"opening {escape(file.name)}") as spinner:
        result = check(file, options, listener=spinner.update)
    if report is not None and report.suffix == ".json":
        write_whole(report, to_json(result))
    elif report is not None:
        write_html(result, report)
    if as_json:
        sys.stdout.write(to_json(result))
    else:
        print_report(result, _console())
    doubts = not result.has_reference or any(r.status == "noted" for r in result.results)
    code = EXIT_CODES[result.outcome]
    raise typer.Exit(1 if strict and doubts and code == 0 else code)


@app.command()
def fuzz(
    file: Annotated[Path, typer.Argument(help="A good artifact to damage.", show_default=False)],
    mutations: Annotated[int, typer.Option(min=1, help="Number of damaged copies.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the damage.")] = 0,
    timeout: Annotated[float, typer.Option(help="Seconds for one load or one run.")] = 20.0,
    memory: Annotated[float, typer.Option(help="GiB a copy may use beyond torch's own.")] = 2.0,
    keep: Annotated[
        Path | None, typer.Option(help="Folder for copies that crashed or hung the loader.")
    ] = None,
    verify_key: VerifyKey = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Damage a file in thousands of seeded ways and see that every copy gets a verdict.

    A crash or hang of torch's native loader stays in a child process and is a finding; exit code
    1 means that a damaged copy was taken for a good one with other outputs.
    """
    from .fuzz.fuzz import fuzz_file
    from .fuzz.show import print_fuzz, to_json

    require_seed(seed)
    require_limits(timeout, bytes_of(memory))
    require_folder(keep, "--keep")
    result = fuzz_file(
        file,
        mutations=mutations,
        seed=seed,
        timeout=timeout,
        memory=bytes_of(memory),
        keep=keep,
        verify_key=verify_key,
        progress=None if as_json else _console(stderr=True),
    )
    if as_json:
        sys.stdout.write(to_json(result))
    else:
        print_fuzz(result, _console())
    raise typer.Exit(0 if result else 1)


@app.command()
def bench(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Artifacts to time.", show_default=False)
    ] = None,
    against: Annotated[
        list[str] | None,
        choice(
            "--against", literal=PeerName, help="Peer to time as well. Repeatable.", metavar="PEER"
        ),
    ] = None,
    threads: Annotated[
        list[int] | None,
        typer.Option(min=1, help="Thread count; 1 and 2 when none is given. Repeatable."),
    ] = None,
    rounds: Annotated[
        int | None, typer.Option(min=3, help="Number of interleaved rounds, 30 by default.")
    ] = None,
    reference: Annotated[
        str | None, typer.Option(help="timm name or package.module:factory of the peers' model.")
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="Checkpoint of the peers' model.")] = None,
    trust_factory: Annotated[
        bool, typer.Option("--trust-factory", help="Call the factory that the file names.")
    ] = False,
    allow_large: Annotated[
        bool, typer.Option("--allow-large", help="Build the model the file names at any size.")
    ] = False,
    peer_python: Annotated[
        list[str] | None,
        typer.Option(help="PEER=PYTHON: interpreter of another environment for it. Repeatable."),
    ] = None,
    imported: Annotated[
        list[Path] | None,
        typer.Option("--import", help="Benchmark JSON that a phone app shared. Repeatable."),
    ] = None,
    verify_key: VerifyKey = None,
    output: Annotated[Path | None, typer.Option("-o", "--out", help="File for the JSON.")] = None,
    plot: Annotated[Path | None, typer.Option(help="File for a plot, FILE.svg.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Time files and peers side by side: load, first, median, p95, peak memory, ratios."""
    from .bench.format import read_bench
    from .bench.show import print_bench, write_plot

    peers = chosen(against, PEER_NAMES)
    pythons = _pairs(peer_python or [], peers)
    of_files = {"--against": against, "--threads": threads, "--rounds": rounds}
    of_any = {"--peer-python": peer_python, "--verify-key": verify_key}
    _refuse({**of_files, **of_any}, not files, "without a file to time")
    of_peers = {"--reference": reference, "--weights": weights, "--trust-factory": trust_factory}
    _refuse({**of_peers, "--allow-large": allow_large}, not peers, "without --against")
    require_writable(output, "--out")
    require_writable(plot, "--plot", endings=(".svg",))
    results = [read_bench(path) for path in imported or []]
    if files:
        from .bench.run import run_bench

        results.append(
            run_bench(
                files,
                against=peers,
                threads=threads or (1, 2),
                rounds=rounds or 30,
                reference=reference,
                weights=weights,
                trust_factory=trust_factory,
                allow_large=allow_large,
                pythons=pythons,
                verify_key=verify_key,
                progress=None if as_json else _console(stderr=True),
            )
        )
    if not results:
        raise RuntimeCheckError(
            "Nothing to time: name a FILE.ptl or FILE.pte, or --import a benchmark JSON."
        )
    merged = results[0].merged(results[1:])
    if output is not None:
        write_whole(output, merged.model_dump_json(indent=2) + "\n")
    if plot is not None:
        write_plot(merged, plot)
    if as_json:
        sys.stdout.write(json.dumps(merged.model_dump(mode="json"), indent=2) + "\n")
    else:
        print_bench(merged, _console())


def _refuse(options: Mapping[str, object], where: bool, why: str) -> None:
    """Refuse those of the options that were given where they would be ignored."""
    for option, value in options.items():
        if (value or value == "") and where:
            raise RuntimeCheckError(f"{option} has no meaning {why}.")


def _pairs(texts: list[str], peers: Sequence[str]) -> dict[str, str]:
    for text in texts:
        peer = text.split("=", 1)[0]
        if "=" not in text:
            raise RuntimeCheckError(f"--peer-python takes PEER=PYTHON, not {text!r}.")
        if peer not in peers:
            raise RuntimeCheckError(f"--peer-python {text} goes with --against {peer}.")
    return {text.split("=", 1)[0]: text.split("=", 1)[1] for text in texts}


app.add_typer(device_app, name="device")


def _file_first(arguments: list[str]) -> list[str]:
    """Put `check` in front of a bare file name: the question people come with."""
    names = {command.name or command.callback.__name__ for command in app.registered_commands
             if command.callback is not None}  # fmt: skip
    names |= {str(group.name) for group in app.registered_groups}
    if not arguments or arguments[0] in names or arguments[0] in _GLOBAL:
        return arguments
    return ["check", *arguments]


def main(arguments: list[str] | None = None) -> None:
    """Run the command line, and end the process with its exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    # Of all commands, and wherever it stands: errors are caught here.
    rest = [word for word in words if word != "--traceback"]
    with people_errors(traceback=rest != words):
        refuse_old_names(rest, _RENAMED)
        code = run_app(app, _file_first(rest) or ["--help"], program="python -m runtime_check")
    sys.exit(code)
