"""How much memory an export takes, from the model's size alone, and how much there is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from .plan import Trial

# Python with torch and timm, and the process that checks the file beside it, as `peak_mb` in
# `compare.json` counts them: the libraries that both map, twice.
_IMPORTS = 1_700_000_000
# An export holds up to ten times the weights of small models, and up to five of large ones
# (`tests/benchmarks/export_cost.md`): activations of five inputs are most of it in small ones.
_TIMES_WEIGHTS = 5
_ACTIVATIONS = 300_000_000  # at `_SIDE`; they grow with the picture's area
_CALIBRATING = 1_300_000_000  # those of calibration images, at `_SIDE`
_SIDE = 224
# What lowering for ExecuTorch takes on top: its compiler, and one more copy.
_COMPILER = 900_000_000
# Left to everything else on the machine.
_SHARE = 0.9
_SECONDS = 900


def estimate(trial: Trial, weights: int | None) -> int | None:
    """Return the bytes that an export takes, for `weights` bytes; None where these are unknown."""
    if weights is None:
        return None
    lowering = _COMPILER + weights if trial.format == "pte" else 0
    area = max(1.0, ((trial.input_size or _SIDE) / _SIDE) ** 2)
    activations = area * (_ACTIVATIONS + (_CALIBRATING if trial.calibrates else 0))
    return _IMPORTS + int(activations) + _TIMES_WEIGHTS * weights + lowering


def available() -> int:
    """Return the bytes that new processes can take here, within the limit of a container."""
    free = _free()
    for limit, used in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        (
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        ),
    ):
        left = _number(limit), _number(used)
        if left[0] is not None and left[1] is not None:
            free = min(free, max(0, left[0] - left[1]))
    return int(_SHARE * free)


def _number(path: str) -> int | None:
    try:
        return int(Path(path).read_text(encoding="ascii"))
    except (OSError, ValueError):  # no container, or `max`
        return None


def _free() -> int:
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return _installed() // 2  # what is free is not known: half of it may be taken
    found = dict(line.split(":", 1) for line in text.splitlines())
    return int(found["MemAvailable"].split()[0]) * 1024


def _installed() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def weigh(models: Sequence[str]) -> dict[str, int | None]:
    """Return the bytes of each model's parameters and buffers; None where that is not known.

    timm's are built on torch's meta device, where weights take no memory; one of your own is made
    by its factory. Both in a process of their own, since a factory is somebody's code.
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "exporter.compare.memory", *models],
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    lines = done.stdout.strip().splitlines()
    found: Mapping[str, int | None] = json.loads(lines[-1]) if not done.returncode and lines else {}
    return {model: found.get(model) for model in models}


def _weigh_one(model: str) -> int | None:
    import torch

    from runtime_check.reference.build import build, is_factory
    from runtime_check.reference.size import parameter_bytes

    try:
        if not is_factory(model):
            return parameter_bytes(model, exportable=False)
        module = build(model).module
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return None
    tensors = (*module.parameters(), *module.buffers())
    return sum(t.numel() * t.element_size() for t in tensors if isinstance(t, torch.Tensor))


def main(models: Sequence[str]) -> None:
    """Print the bytes of each model as JSON."""
    print(json.dumps({model: _weigh_one(model) for model in models}))  # noqa: T201  its answer


if __name__ == "__main__":
    main(sys.argv[1:])
