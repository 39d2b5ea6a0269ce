"""Measure what torch's two lite formats cost to load: zip (what we write) and flatbuffer.

    python -m tests.benchmarks.formats [--rounds N]

Each model is exported once, and the same lite module, with the same metadata and golden vectors,
is written as flatbuffer too. Each load takes place in a fresh process on one thread, with the file
in the page cache; contestants take turns, and medians and paired ratios over the rounds are told.
This torch loads through Python; torch 2.1.0's x86-64 build through `load_probe.cpp`, where it is
installed (`python -m runtime_check device install x86-2.1.0`); its ARM64 build under emulation
says only whether it can read the file. ONNX Runtime loads deit_tiny in float32 for comparison.
Writes `formats.md` beside this file.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import importlib.metadata
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime_check.artifact.metadata import GOLDEN_RECORD, METADATA_RECORD
from runtime_check.device.errors import DeviceUnavailable
from runtime_check.device.toolchain import (
    cache_root,
    compile_program,
    emulator_command,
    ensure_prefix,
    find_runtime,
    require_runtime,
    wheel_folder,
)
from tests.benchmarks.memory import ANONYMOUS, PEAK, RESIDENT, forget_peak, memory

HERE = Path(__file__).parent
# Model, quantisation.
CASES = (
    ("deit_tiny_patch16_224", "none"),
    ("deit_tiny_patch16_224", "static"),
    ("tf_efficientnet_lite0", "none"),
)
# Loads are timed in the first, which runs natively; the phone's own instruction set is emulated.
_RUNTIMES = ("x86-2.1.0", "arm64-2.1.0")
_SHAPE = (1, 3, 224, 224)
_ONNX = "onnxruntime"
# What libraries of Android builds without flatbuffer hold (torch's mobile/import.cpp).
_REFUSAL = b"Flatbuffer input file but the build hasn't enabled flatbuffer"
_ANDROID = "1.12.2"


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """One file, and the command that loads it in a fresh process."""

    case: str
    reader: str
    format: str
    path: Path
    command: tuple[str, ...]


# --- the fresh process ---------------------------------------------------------------------------


def load_lite(path: Path) -> dict[str, Any]:
    """Load a lite file here, run it once, and return seconds, memory and the output's digest."""
    import torch
    from torch.jit.mobile import _load_for_lite_interpreter

    from exporter.environment import phone_engine
    from exporter.quiet import quiet

    torch.set_num_threads(1)
    values = torch.arange(torch.Size(_SHAPE).numel(), dtype=torch.float32)
    ramp = values.remainder(255).div(255).reshape(_SHAPE)
    with phone_engine(), quiet(), torch.inference_mode():
        forget_peak()
        before, started = memory(), time.perf_counter()
        module = _load_for_lite_interpreter(str(path))
        seconds, loaded = time.perf_counter() - started, memory()
        started = time.perf_counter()
        output = module(ramp)
        first, ran = time.perf_counter() - started, memory()
    digest = hashlib.sha256(output.contiguous().numpy().tobytes()).hexdigest()
    return _measured(before, loaded, ran, seconds, first, digest)


def load_onnx(path: Path) -> dict[str, Any]:
    """Do the same with ONNX Runtime."""
    import numpy as np

    onnxruntime: Any = importlib.import_module(_ONNX)  # optional, and untyped
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    ramp = (np.arange(np.prod(_SHAPE), dtype=np.float32) % 255 / 255).reshape(_SHAPE)
    forget_peak()
    before, started = memory(), time.perf_counter()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    seconds, loaded = time.perf_counter() - started, memory()
    started = time.perf_counter()
    session.run(None, {session.get_inputs()[0].name: ramp})
    first, ran = time.perf_counter() - started, memory()
    return _measured(before, loaded, ran, seconds, first, "")


def _measured(
    before: Mapping[str, int],
    loaded: Mapping[str, int],
    ran: Mapping[str, int],
    load: float,
    first: float,
    digest: str,
) -> dict[str, Any]:
    return {
        "before": before, "loaded": loaded, "ran": ran,
        "load": load, "first": first, "digest": digest,
    }  # fmt: skip


# --- the files -----------------------------------------------------------------------------------


def write_zip(name: str, method: str, folder: Path) -> Path:
    """Export `name` as a bare network, as users do: the zip format."""
    import exporter

    made = exporter.export(
        name, out=folder, input="tensor", random_weights=name.startswith("deit"), verify=False,
        quantize=method, calibration="noise" if method == "static" else None,
    )  # fmt: skip
    return made.path


def write_flatbuffer(path: Path) -> Path:
    """Write the lite module of a `.ptl`, with its metadata and golden vectors, as flatbuffer."""
    import torch
    from torch.jit.mobile import _load_for_lite_interpreter

    from exporter.environment import phone_engine
    from exporter.quiet import quiet

    with zipfile.ZipFile(path) as archive:
        root = archive.namelist()[0].split("/", 1)[0]
        extra = {
            record.removeprefix("extra/"): archive.read(f"{root}/{record}").decode()
            for record in (METADATA_RECORD, GOLDEN_RECORD)
        }
    target = path.with_suffix(".ff")
    save: Any = torch._C._save_mobile_module  # what `_use_flatbuffer=True` ends in
    with phone_engine(), quiet():  # int8 weights are packed for the engine set now
        save(_load_for_lite_interpreter(str(path))._c, str(target), extra)
    return target


def write_onnx(path: Path, target: Path) -> None:
    """Write the float model that a `.ptl` was made from as ONNX (as `bench.peers` does)."""
    import torch

    from exporter.quiet import quiet
    from runtime_check.artifact.archive import read_artifact
    from runtime_check.reference.reference import build_reference

    reference = build_reference(read_artifact(path).metadata, exportable=False)
    with quiet():
        # The classic exporter: it needs no further package.
        torch.onnx.export(
            reference.network, (torch.zeros(_SHAPE),), str(target), opset_version=17, dynamo=False
        )


# --- the other runtimes --------------------------------------------------------------------------


def build_probe(name: str, folder: Path) -> tuple[str, ...]:
    """Compile the probe against an installed runtime's torch; return the command to start it."""
    runtime = find_runtime(name)
    require_runtime(runtime)
    assert runtime.wheel is not None
    root = wheel_folder(runtime.wheel) / "torch"
    if not root.is_dir():
        raise DeviceUnavailable(
            f"not installed here (python -m runtime_check device install {name})"
        )
    program = folder / f"probe-{name}"
    flags = ["-D_GLIBCXX_USE_CXX11_ABI=0"]  # as torch's wheels of that time are built
    compile_program(
        [HERE / "load_probe.cpp"], program, arch=runtime.arch, torch_root=root, flags=flags
    )
    emulator = () if runtime.arch == "native" else emulator_command(ensure_prefix())
    return (*emulator, str(program))


def run_once(contestant: Contestant) -> dict[str, Any]:
    """Load a contestant's file in a fresh process; `error` holds a refusal's first sentence."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        contestant.command, capture_output=True, text=True, check=False, env=environment
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        # A traceback ends with what was raised, the probe says nothing else.
        said = next((x for x in lines if "Error: " in x), lines[0]).split(". ")[0]
        return {"error": said[:200]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _android() -> str:
    """Say what Android's own library holds about flatbuffer, where a test has fetched it."""
    for library in sorted((cache_root() / "android").glob("native-*/libpytorch_jni_lite.so")):
        if _REFUSAL in library.read_bytes():
            return f"no: it holds the refusal '{_REFUSAL.decode()}' (read, not run)"
        return "its library holds no refusal (read, not run)"
    return "not known: its library is not in the cache"


# --- measuring and telling -----------------------------------------------------------------------


def play(contestants: Sequence[Contestant], rounds: int) -> dict[Contestant, list[dict[str, Any]]]:
    """Load every file once a round, in rotating order, after a round that warms the caches."""
    found: dict[Contestant, list[dict[str, Any]]] = {c: [] for c in contestants}
    for turn in range(-1, rounds):
        shift = turn % len(contestants)
        for contestant in [*contestants[shift:], *contestants[:shift]]:
            if any("error" in run for run in found[contestant]):
                continue
            result = run_once(contestant)
            if turn >= 0 or "error" in result:
                found[contestant].append(result)
        print(f"round {turn + 1} of {rounds}", file=sys.stderr, flush=True)
    return found


def _growth(run: Mapping[str, Any], when: str, field: str) -> float:
    base = ANONYMOUS if field == ANONYMOUS else RESIDENT
    return float(run[when][field] - run["before"][base]) / 1e6


def _paired(own: Sequence[Mapping[str, Any]], base: Sequence[Mapping[str, Any]], key: str) -> float:
    return statistics.median(float(a[key] / b[key]) for a, b in zip(own, base, strict=True))


@dataclass(frozen=True, kw_only=True)
class Row:
    """Medians of one contestant; `load_ratio` is against the zip file in the same reader."""

    case: str
    reader: str
    format: str
    megabytes: float
    load_ms: float
    load_ratio: float
    first_ms: float
    resident: float
    anonymous: float
    peak: float
    peak_run: float


def summarise(found: Mapping[Contestant, Sequence[dict[str, Any]]]) -> list[Row]:
    """Reduce the rounds to rows; contestants that refused their file have none."""
    rows = []
    for contestant, runs in found.items():
        if any("error" in run for run in runs):
            continue
        base = next(
            (
                other
                for one, other in found.items()
                if (one.case, one.reader, one.format) == (contestant.case, contestant.reader, "zip")
            ),
            runs,
        )

        def median(when: str, field: str, runs: Sequence[dict[str, Any]] = runs) -> float:
            return statistics.median(_growth(run, when, field) for run in runs)

        rows.append(
            Row(
                case=contestant.case,
                reader=contestant.reader,
                format=contestant.format,
                megabytes=contestant.path.stat().st_size / 1e6,
                load_ms=1e3 * statistics.median(run["load"] for run in runs),
                load_ratio=_paired(runs, base, "load"),
                first_ms=1e3 * statistics.median(run["first"] for run in runs),
                resident=median("loaded", RESIDENT),
                anonymous=median("ran", ANONYMOUS),
                peak=median("loaded", PEAK),
                peak_run=median("ran", PEAK),
            )
        )
    return rows


def conclude(rows: Sequence[Row], verdicts: Sequence[tuple[str, str, str]]) -> str:
    """Say in one sentence which format the exporter writes, and why, from what was measured."""
    shares: dict[str, list[float]] = {"load": [], "peak": [], "anonymous": []}
    # What the phone's own version needs, where it was timed.
    phone = next((row.reader for row in rows if row.reader in _RUNTIMES), "")
    reader = phone or (rows[0].reader if rows else "")
    rows = [row for row in rows if row.reader == reader]
    zipped = {row.case: row for row in rows if row.format == "zip"}
    for row in rows:
        if row.format == "flatbuffer" and row.case in zipped:
            base = zipped[row.case]
            shares["load"].append(row.load_ratio)
            shares["peak"].append(row.peak_run / base.peak_run)
            shares["anonymous"].append(row.anonymous / base.anonymous)
    if not shares["load"]:
        return "The exporter writes zip: no reader measured here takes flatbuffer."
    ranges = {name: f"{min(v):.2f} to {max(v):.2f}" for name, v in shares.items()}
    refused = [reader for reader, _, says in verdicts if says.startswith("no: ")]
    reach = (
        f"{' and '.join(dict.fromkeys(refused))} cannot read it"
        if refused
        else "what an app ships with is not tried here"
    )
    return (
        f"The exporter writes zip: on {reader} flatbuffer takes {ranges['load']} of its load time, "
        f"{ranges['anonymous']} of its memory that no file backs and {ranges['peak']} of its peak "
        f"with the first result, but {reach}, and its metadata and golden vectors would no "
        "longer be records of a zip, which `runtime_check` and the iOS app read without running "
        "the file."
    )


def render(
    rows: Sequence[Row], verdicts: Sequence[tuple[str, str, str]], *, rounds: int, torch: str
) -> str:
    """Lay the results out as Markdown."""
    out = [
        "# Zip against flatbuffer",
        "",
        f"One thread; medians of {rounds} rounds, interleaved, a fresh process for each load, the "
        f"file in the page cache; torch {torch}, load average {os.getloadavg()[1]:.1f}; "
        "`python -m tests.benchmarks.formats`. Memory is growth since before the load. "
        "Flatbuffer files are mapped, not read: their pages are resident, and the system may drop "
        "them; `no file behind it` is what it has to keep. The 2.1.0 runtimes drop float weights "
        "once XNNPACK has packed them, as phone builds do; Python cannot, and keeps both.",
        "",
        "| model | loaded by | format | MB | load ms | / zip, paired | first result ms "
        "| resident MB, loaded | peak MB, loading | peak MB, with first result "
        "| no file behind it MB, after it |",
        "|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        ratio = f"{row.load_ratio:.2f}" if row.format == "flatbuffer" else ""
        out.append(
            f"| {row.case} | {row.reader} | {row.format} | {row.megabytes:.1f} | "
            f"{row.load_ms:.1f} | {ratio} | {row.first_ms:.1f} | {row.resident:.1f} | "
            f"{row.peak:.1f} | {row.peak_run:.1f} | {row.anonymous:.1f} |"
        )
    out += ["", "| runtime | file | reads flatbuffer |", "|---|---|---|"]
    out += [f"| {' | '.join(verdict)} |" for verdict in verdicts]
    return "\n".join([*out, "", conclude(rows, verdicts)]) + "\n"


def _says(zipped: Mapping[str, Any], flat: Mapping[str, Any]) -> str:
    if "error" in flat:
        return f"no: {flat['error']}"
    if "error" in zipped:
        return f"yes, but not the zip: {zipped['error']}"
    return "yes, the same output" if zipped["digest"] == flat["digest"] else "yes, ANOTHER output"


def _here(kind: str, path: Path) -> tuple[str, ...]:
    return (sys.executable, "-m", "tests.benchmarks.formats", "--one", kind, str(path))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and write `formats.md` beside this file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--one", nargs=2, metavar=("KIND", "FILE"), help="a fresh process's part")
    options = parser.parse_args(arguments)
    if options.one:
        kind, path = options.one[0], Path(options.one[1])
        print(json.dumps(load_onnx(path) if kind == _ONNX else load_lite(path)))
        return 0

    import torch

    own = f"torch {torch.__version__}"
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        probes: dict[str, tuple[str, ...]] = {}
        missing: dict[str, str] = {}
        for name in _RUNTIMES:
            try:
                probes[name] = build_probe(name, folder)
            except DeviceUnavailable as error:
                missing[name] = str(error)
        timed: list[Contestant] = []
        emulated: list[Contestant] = []
        for name, method in CASES:
            case = f"{name}, {'float32' if method == 'none' else 'int8'}"
            zipped = write_zip(name, method, folder / method)
            files = {"zip": zipped, "flatbuffer": write_flatbuffer(zipped)}
            for form, path in files.items():
                timed.append(
                    Contestant(
                        case=case, reader=own, format=form, path=path, command=_here("lite", path)
                    )
                )
            for runtime, command in probes.items():
                into = timed if find_runtime(runtime).arch == "native" else emulated
                into += [
                    Contestant(
                        case=case, reader=runtime, format=form, path=path,
                        command=(*command, str(path), *map(str, _SHAPE)),
                    )
                    for form, path in files.items()
                ]  # fmt: skip
            if (name, method) == CASES[0] and importlib.util.find_spec(_ONNX):
                target = folder / "float.onnx"
                write_onnx(zipped, target)
                version = importlib.metadata.version(_ONNX)
                timed.append(
                    Contestant(
                        case=case, reader=f"ONNX Runtime {version}", format="onnx", path=target,
                        command=_here(_ONNX, target),
                    )
                )  # fmt: skip
        found = play(timed, options.rounds)
        found_emulated = {c: [run_once(c)] for c in emulated}
        once = {(c.case, c.reader, c.format): r[0] for c, r in {**found, **found_emulated}.items()}
        verdicts = [
            (reader, case, _says(once[case, reader, "zip"], once[case, reader, "flatbuffer"]))
            for reader in (own, *probes)
            for case in dict.fromkeys(c.case for c in timed)
        ]
        verdicts += [(name, "", f"not tried: {why}") for name, why in missing.items()]
        verdicts.append((f"Android's own library, {_ANDROID}", "any", _android()))
        text = render(
            summarise(found), verdicts, rounds=options.rounds, torch=str(torch.__version__)
        )
    print(text)
    (HERE / "formats.md").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
