"""Measure what torch's two lite formats cost to load: zip (what we write) and flatbuffer.

    python -m tests.benchmarks.flatbuffer [--rounds N]

Each model is exported once, and the same lite module, with the same metadata and golden vectors,
is written as flatbuffer too. Each load takes place in a fresh process on one thread, with the file
in the page cache; contestants take turns, and medians and paired ratios over the rounds are shown.
This torch loads through Python; torch 2.1.0's x86-64 build through `load_probe.cpp`, where it is
installed (`python -m runtime_check device install x86-2.1.0`); its ARM64 build under emulation
says only whether it can read the file. ONNX Runtime loads deit_tiny in float32 for comparison.
Writes `flatbuffer.md` beside this file.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
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
from tests.benchmarks.flatbuffer_load import ONNX, SHAPE
from tests.benchmarks.flatbuffer_table import RUNTIMES, Contestant, render, summarize

HERE = Path(__file__).parent
# Model, quantization.
CASES = (
    ("deit_tiny_patch16_224", "none"),
    ("deit_tiny_patch16_224", "static"),
    ("tf_efficientnet_lite0", "none"),
)
# What libraries of Android builds without flatbuffer hold (torch's mobile/import.cpp).
_REFUSAL = b"Flatbuffer input file but the build hasn't enabled flatbuffer"
_ANDROID = "1.12.2"


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

    from exporter.quiet import quiet
    from runtime_check.runtimes.lite import load_lite, quantized_engine

    with zipfile.ZipFile(path) as archive:
        root = archive.namelist()[0].split("/", 1)[0]
        extra = {
            record.removeprefix("extra/"): archive.read(f"{root}/{record}").decode()
            for record in (METADATA_RECORD, GOLDEN_RECORD)
        }
    target = path.with_suffix(".ff")
    save: Any = torch._C._save_mobile_module  # what `_use_flatbuffer=True` ends in
    with quantized_engine(), quiet():  # int8 weights are packed for the engine set now
        save(load_lite(path)._c, str(target), extra)
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
            reference.network, (torch.zeros(SHAPE),), str(target), opset_version=17, dynamo=False
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
    compile_program([HERE / "load_probe.cpp"], program, arch=runtime.arch, root=root, flags=flags)
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


def _says(zipped: Mapping[str, Any], flat: Mapping[str, Any]) -> str:
    if "error" in flat:
        return f"no: {flat['error']}"
    if "error" in zipped:
        return f"yes, but not the zip: {zipped['error']}"
    return "yes, the same output" if zipped["digest"] == flat["digest"] else "yes, ANOTHER output"


def _here(kind: str, path: Path) -> tuple[str, ...]:
    return (sys.executable, "-m", "tests.benchmarks.flatbuffer_load", kind, str(path))


def contestants(
    name: str, method: str, probes: Mapping[str, tuple[str, ...]], own: str, folder: Path
) -> list[Contestant]:
    """Write one model in every format and say who loads which file; `own` is the torch here."""
    case = f"{name}, {'float32' if method == 'none' else 'int8'}"
    zipped = write_zip(name, method, folder / method)
    files = {"zip": zipped, "flatbuffer": write_flatbuffer(zipped)}
    found = [
        Contestant(case=case, reader=own, format=form, path=path, command=_here("lite", path))
        for form, path in files.items()
    ]
    for runtime, command in probes.items():
        found += [
            Contestant(
                case=case, reader=runtime, format=form, path=path,
                command=(*command, str(path), *map(str, SHAPE)),
            )
            for form, path in files.items()
        ]  # fmt: skip
    if (name, method) == CASES[0] and importlib.util.find_spec(ONNX):
        target = folder / "float.onnx"
        write_onnx(zipped, target)
        reader = f"ONNX Runtime {importlib.metadata.version(ONNX)}"
        command = _here(ONNX, target)
        found.append(
            Contestant(case=case, reader=reader, format="onnx", path=target, command=command)
        )
    return found


def build_probes(folder: Path) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    """Return the probes that can be built, and why the others cannot."""
    probes: dict[str, tuple[str, ...]] = {}
    missing: dict[str, str] = {}
    for name in RUNTIMES:
        try:
            probes[name] = build_probe(name, folder)
        except DeviceUnavailable as error:
            missing[name] = str(error)
    return probes, missing


def _is_emulated(contestant: Contestant, probes: Mapping[str, tuple[str, ...]]) -> bool:
    return contestant.reader in probes and find_runtime(contestant.reader).arch != "native"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and write `flatbuffer.md` beside this file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=11)
    options = parser.parse_args(arguments)

    import torch

    own = f"torch {torch.__version__}"
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        probes, missing = build_probes(folder)
        everyone = [
            contestant
            for name, method in CASES
            for contestant in contestants(name, method, probes, own, folder)
        ]
        timed = [c for c in everyone if not _is_emulated(c, probes)]
        found = play(timed, options.rounds)
        # Emulation says only whether a file can be read.
        tried = {c: [run_once(c)] for c in everyone if _is_emulated(c, probes)}
        once = {(c.case, c.reader, c.format): r[0] for c, r in {**found, **tried}.items()}
        verdicts = [
            (reader, case, _says(once[case, reader, "zip"], once[case, reader, "flatbuffer"]))
            for reader in (own, *probes)
            for case in dict.fromkeys(c.case for c in everyone)
        ]
        verdicts += [(name, "", f"not tried: {why}") for name, why in missing.items()]
        verdicts.append((f"Android's own library, {_ANDROID}", "any", _android()))
        text = render(
            summarize(found), verdicts, rounds=options.rounds, torch=str(torch.__version__)
        )
    print(text)
    (HERE / "flatbuffer.md").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
