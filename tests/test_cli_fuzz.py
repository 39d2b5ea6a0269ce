"""Both command lines take any words at all: an exit code, one paragraph, nothing left behind.

The words are drawn from the command lines' own declarations, so a new option is drawn as well. The
long work behind them (exporting, timing, damaging) is cut short where the options have all been
judged; `tests/exporter/cli` and others run it. `CLI_FUZZ_CASES` is how many cases are tried.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import torch
import typer.main
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import exporter.cli
import runtime_check.cli

from . import fuzzed_models
from .runtime_check.conftest import make_tensor

CASES = int(os.environ.get("CLI_FUZZ_CASES", "2000")) // 2
SECONDS = 20.0  # of one case, on a machine that is busy
PROGRAMS = {"exporter": exporter.cli, "runtime_check": runtime_check.cli}
# Fetches hundreds of megabytes; its words are refused by the same parser.
LEFT_OUT = {("runtime_check", "device", "install")}


class Reached(KeyboardInterrupt):
    """The work itself would begin: both command lines let an interrupt through, as 130."""


def reach(*_: Any, **__: Any) -> Any:
    raise Reached


# --- what is drawn --------------------------------------------------------------------------------


def commands(program: str) -> dict[tuple[str, ...], click.Command]:
    """Every command of a program by its words; () is the bare program."""
    root = typer.main.get_command(PROGRAMS[program].app)
    found: dict[tuple[str, ...], click.Command] = {(): root}
    left: list[tuple[tuple[str, ...], click.Command]] = [((), root)]
    while left:
        words, command = left.pop()
        for name, child in getattr(command, "commands", {}).items():
            found[(*words, name)] = child
            left.append(((*words, name), child))
    return {w: c for w, c in found.items() if (program, *w) not in LEFT_OUT}


NUMBERS = (
    "0", "1", "-1", "3", "2.5", "-0.0", "1e-9", "1e9", "1e400", "nan", "inf", "-inf", "0x10",
    str(2**31), str(2**63), str(2**70), "-" + str(2**70), "9" * 400, "1_000", "٣", "", " ", "1,5",
)  # fmt: skip
TEXTS = (
    "", " ", ".", "..", "/", "../../escaped", "a/b", "a" * 300, "a\nb", "\x1b[31mred", "\u202edr",
    "[bold]b[/bold]", "[/]", "{}", "%s", "-", "--", "-x", "é", "日本", "con", "nul\x01", "a=b", "=",
    "a:b", ":", "a:b:c", "os:getcwd", "hf-hub:", "hf-hub:x/y", "none", "auto", "static", "qat",
    "0,0,0", "1,1,1", "0.5,0.5,0.5", "nan,0,0", "1,3,16,16", "1x3x16x16", "1,3,16", "3,16,16",
    "1,1,16,16", "1,3,0,0", "1,3,-4,4", "1,3,60000,60000", "2,3,16,16", "a,b", "1,3,16,16,",
)  # fmt: skip
PATHS = (
    "good.ptl", "empty.ptl", "text.ptl", "labels.txt", "latin.txt", "folder", "photos",
    "weights.pt", "garbage.npz", "report.html", "report.json", "report.txt", "absent",
    "absent/x.html", "pipe", "/proc/nope/x", "/dev/null", "/dev/zero", "good.ptl/x", "loop",
    "x" * 300, "app", "",
)  # fmt: skip
MODELS = (
    *(f"tests.fuzzed_models:{name}" for name in fuzzed_models.NAMES),
    "tests.fuzzed_models:absent", "tests.absent:net", "tests.fuzzed_models:", "resnet18.nope",
    "test_vit", "resnt18", "hf-hub:nobody/nothing",
)  # fmt: skip
SHAPE = ("--input-shape", "1,3,16,16")
# Command lines that work, to which options are added.
WORKS = {
    "exporter": (
        ("export", "tests.fuzzed_models:net", *SHAPE),
        ("export", "tests.fuzzed_models:net", *SHAPE, "--mean", "0.5,0.5,0.5", "--std", "1,1,1"),
        ("export", "tests.fuzzed_models:net", *SHAPE, "--quantize", "static", "--calibration",
         "noise"),
        ("inspect", "good.ptl"),
    ),
    "runtime_check": (("check", "good.ptl"), ("bench", "good.ptl"), ("fuzz", "good.ptl")),
}  # fmt: skip
FAIR = ("1", "2", "5", "0.5", "0.9")  # of numbers, those that are most often allowed


def values(parameter: click.Parameter) -> st.SearchStrategy[str]:
    """Values for one parameter: many that may be meant, most of its own kind, some of any other."""
    name, kind = str(parameter.name), parameter.type
    own: Sequence[str] = TEXTS
    fair: Sequence[str] = ("a", "b", "c1")
    if isinstance(kind, click.types.IntParamType | click.types.FloatParamType):
        own, fair = NUMBERS, FAIR
    elif isinstance(kind, click.Path) or "Path" in type(kind).__name__:
        own, fair = PATHS, ("good.ptl", "photos", "weights.pt", "labels.txt", "new.html", "new")
    elif name in ("model", "reference"):
        own, fair = MODELS, MODELS
    elif isinstance(kind, click.types.FuncParamType):
        own = fair = (*words_of(parameter), *TEXTS[:2])
    odd = st.sampled_from(own) | st.sampled_from((*NUMBERS, *TEXTS, *PATHS))
    return st.sampled_from(fair) | odd


def words_of(parameter: click.Parameter) -> tuple[str, ...]:
    """The words that an option of a few takes, from its help."""
    text = getattr(parameter, "help", "") or ""
    found = re.search(r"One of (.*)\.$", text)
    return tuple(re.split(", | and ", found[1])) if found else ()


@st.composite
def lines(draw: st.DrawFn, program: str) -> list[str]:
    """A command line: a command, its arguments, up to five options."""
    known = commands(program)
    if draw(st.booleans()):
        line = list(draw(st.sampled_from(WORKS[program])))
        command = known[(line[0],)]
        most = 3
    else:
        words = draw(st.sampled_from(sorted(known)))
        command, line, most = known[words], list(words), 5
        for argument in (p for p in command.params if isinstance(p, click.Argument)):
            line += draw(st.lists(values(argument), min_size=0, max_size=2))
    options = [p for p in command.params if isinstance(p, click.Option)]
    for option in draw(st.lists(st.sampled_from(options), max_size=most)) if options else ():
        line.append(draw(st.sampled_from(option.opts)))
        if not option.is_flag:
            line.append(draw(values(option)))
    if draw(st.integers(0, 9)) == 9:
        line.append(draw(st.sampled_from(TEXTS)))
    return [word.replace("\0", "") for word in line]


# --- where it runs --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file of every kind that a path may turn out to be."""
    folder = tmp_path_factory.mktemp("stranger")
    make_tensor(folder / "good.ptl")
    (folder / "empty.ptl").touch()
    (folder / "text.ptl").write_text("not a model", encoding="utf-8")
    (folder / "labels.txt").write_text("a\nb\nc\nd\ne\n", encoding="utf-8")
    (folder / "latin.txt").write_bytes(b"\xff\xfe caf\xe9")
    (folder / "folder").mkdir()
    (folder / "photos").mkdir()
    for index in range(2):
        pixels = np.random.default_rng(index).integers(0, 256, (40, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "photos" / f"{index}.png")
    torch.save(fuzzed_models.net().state_dict(), folder / "weights.pt")
    (folder / "garbage.npz").write_bytes(b"PK\3\4 nothing")
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to("loop")
    (folder / "app").mkdir()
    (folder / "app" / "Podfile").touch()
    return folder


@pytest.fixture(scope="module", autouse=True)
def cut_short(folder: Path) -> Iterator[None]:
    """Stop each command where its work begins, after everything that options decide."""
    import exporter.compare.cluster
    import exporter.compare.local
    import exporter.environment
    import exporter.pipeline
    import runtime_check.bench.run
    import runtime_check.checking
    import runtime_check.device.install
    import runtime_check.fuzz.fuzz

    before = Path.cwd()
    with pytest.MonkeyPatch.context() as patch:
        # Without the default model: its weights load for a second.
        patch.setattr(exporter.pipeline, "expect", reach)
        patch.setattr(runtime_check.checking.Supervised, "__enter__", reach)
        patch.setattr(runtime_check.bench.run, "run_bench", reach)
        patch.setattr(runtime_check.fuzz.fuzz, "fuzz_file", reach)
        patch.setattr(exporter.environment, "diagnose", reach)
        # Its exports are processes of their own, where nothing is cut short.
        patch.setattr(exporter.compare.local, "run_local", reach)
        patch.setattr(exporter.compare.cluster, "_connected", reach)
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("COLUMNS", "100")
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


def tree(folder: Path) -> dict[str, int]:
    """Every file below a folder with its size, links not followed."""
    return {
        str(path.relative_to(folder)): path.lstat().st_size if not path.is_dir() else -1
        for path in sorted(folder.rglob("*"))
    }


def run(program: str, words: list[str]) -> tuple[int | None, str, str]:
    """Run a command line in this process. Returns its exit code, None where it reached its work."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            PROGRAMS[program].main(words)
        except SystemExit as stopped:
            code = stopped.code if isinstance(stopped.code, int) else (1 if stopped.code else 0)
        except Reached:
            code = 130
        else:
            code = 0
    return None if code == 130 else code, out.getvalue(), err.getvalue()


@pytest.mark.timeout(3000)
@pytest.mark.parametrize("program", PROGRAMS)
def test_any_words_at_all(program: str, folder: Path) -> None:
    clean = tree(folder)
    codes: dict[int | None, int] = {}

    @settings(
        max_examples=CASES,
        deadline=None,
        database=None,
        derandomize="CLI_FUZZ_CASES" not in os.environ,
        suppress_health_check=list(HealthCheck),
    )
    @given(lines(program))
    def one_case(words: list[str]) -> None:
        started = time.monotonic()
        code, out, err = run(program, words)
        shown = f"{words}\nexit {code}\n{out}\n{err}"
        assert code in (None, 0, 2), shown
        assert "Traceback" not in out + err, shown
        assert "should not have happened" not in out + err, shown
        assert "\x1b" not in out + err, shown
        assert "\u202e" not in out + err, shown
        if code == 2:
            assert err.startswith("error: "), shown
            assert "\n\n" not in err.strip(), shown
            assert len(err) < 4000, shown
        assert time.monotonic() - started < SECONDS, shown
        if code == 0:  # what was asked for, such as a pair of keys
            for name in tree(folder).keys() - clean.keys():
                (folder / name).unlink()
        assert tree(folder) == clean, shown
        codes[code] = codes.get(code, 0) + 1

    one_case()
    # The drawing is of use only while it gets somewhere.
    assert codes[None] >= CASES // 50, codes
    assert codes[2] >= CASES // 4, codes
