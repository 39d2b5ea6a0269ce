"""Count ARM64 instructions on the phone's runtime, where that is installed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from runtime_check.artifact.archive import read_artifact
from runtime_check.device.errors import DeviceUnavailable
from runtime_check.device.install import find_installed
from runtime_check.device.runner import run_on_device
from runtime_check.errors import RuntimeCheckError
from runtime_check.files import file_sha256, write_whole
from runtime_check.options import Format

from ..errors import UsageError
from .result import COUNTED, Counted, read_count

RUNTIMES: dict[Format, str] = {"ptl": "arm64-2.1.0", "pte": "arm64-executorch"}


def counting_runtimes(
    formats: Sequence[Format], count: bool | None
) -> tuple[dict[Format, str], list[str]]:
    """Return for each format the installed runtime that can count, and sentences why others cannot.

    `count` is what the user said; None takes what is there. Raises `UsageError` where the user
    asked for counts and a runtime is missing.
    """
    found: dict[Format, str] = {}
    missing: list[str] = []
    if count is False:
        return {}, ["Instructions were not asked for."]
    for format in formats:
        try:
            installed = find_installed(RUNTIMES[format])
        except RuntimeCheckError as error:
            missing.append(str(error))
            continue
        if installed.plugin is None:
            missing.append(f"{RUNTIMES[format]} cannot count here: {installed.plugin_reason}.")
        else:
            found[format] = RUNTIMES[format]
    if count and missing:
        raise UsageError(f"--count: {missing[0]}")
    return found, missing


def count_instructions(folder: Path, file: str, runtime: str) -> Counted:
    """Count the second inference on the file's first golden input, and keep it in `folder`.

    A count that is there is taken. One that fails says why and is not kept.
    """
    path = folder / file
    sha256 = file_sha256(path)
    known = read_count(folder, runtime, sha256)
    if known is not None:
        return known
    try:
        case = read_artifact(path).golden.cases[0]
        inputs = [tensor.array() for tensor in case.inputs]
        ran = run_on_device(path, [inputs], runtime=runtime, count=True)
    except (DeviceUnavailable, RuntimeCheckError) as error:
        return Counted(runtime=runtime, sha256=sha256, instructions=None, reason=str(error))
    (instructions,) = ran.instructions or (None,)
    counted = Counted(runtime=runtime, sha256=sha256, instructions=instructions)
    write_whole(folder / COUNTED, counted.model_dump_json(indent=1) + "\n")
    return counted
