"""Install the device runtimes into the cache: the pinned wheel, the runner, the qemu plugin.

`install` is idempotent and atomic: a folder appears under its final name when everything in it is
done, and its name holds a hash of what it was built from, so a changed source is built anew.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import RuntimeCheckError
from ..files import atomic_folder
from .cores import LITE
from .errors import DeviceUnavailable, InstallFailed
from .toolchain import (
    NATIVE,
    RUNTIMES,
    DeviceRuntime,
    Say,
    cache_root,
    compile_program,
    emulator_command,
    ensure_prefix,
    ensure_wheel,
    find_runtime,
    require_runtime,
    wheel_folder,
)

DEFAULT_RUNTIME = "arm64-2.1.0"
_RUNNER_SOURCE = "runner.cpp"
_PLUGIN_SOURCE = "instruction_count.c"
# Newest API first would also work; qemu refuses a plugin whose version it does not speak.
_PLUGIN_VERSIONS = (1, 2, 3, 4, 5)


@dataclass(frozen=True, kw_only=True)
class InstalledRuntime:
    """A runtime that is ready to run: how to start its runner, and what it can count."""

    runtime: DeviceRuntime
    folder: Path
    runner: Path
    prefix: Path | None  # qemu's library prefix; None for a native runner
    plugin: Path | None
    plugin_reason: str  # why there is no plugin, "" when there is one

    def command(self, *, plugin_arguments: str = "") -> list[str]:
        """Build the command that starts the runner, with the plugin where arguments are given."""
        if self.prefix is None:
            return [str(self.runner)]
        plugin = f"{self.plugin},{plugin_arguments}" if plugin_arguments and self.plugin else None
        return [*emulator_command(self.prefix, plugin=plugin), str(self.runner)]


@dataclass(frozen=True, kw_only=True)
class RuntimeStatus:
    """What `device status` says about one runtime."""

    name: str
    description: str
    installed: bool
    detail: str  # what is there, or what to do
    instruction_counts: str  # "yes", or why not
    folder: Path | None
    size_bytes: int


def _host_torch() -> tuple[Path, str, list[str]]:
    """Return the installed torch's folder, version and the compiler flags its ABI needs."""
    import torch

    abi = int(bool(torch._C._GLIBCXX_USE_CXX11_ABI))
    flags = [f"-D_GLIBCXX_USE_CXX11_ABI={abi}"]
    return Path(torch.__file__).resolve().parent, str(torch.__version__), flags


def _recipe(runtime: DeviceRuntime) -> tuple[Path, str, list[str]]:
    """Return the package's folder, what identifies that build, and the compiler flags."""
    if runtime.wheel is None:
        root, version, flags = _host_torch()
        return root, f"{version} at {root}", flags
    root = wheel_folder(runtime.wheel) / runtime.wheel.package
    if runtime.core is LITE:
        return root, runtime.wheel.sha256, ["-D_GLIBCXX_USE_CXX11_ABI=0"]
    return root, runtime.wheel.sha256, [f'-DEXECUTORCH_VERSION="{runtime.version}"']


def _build_key(runtime: DeviceRuntime) -> str:
    root, identity, flags = _recipe(runtime)
    core = runtime.core
    built = [flags, core.standard, core.definitions, core.includes, core.libraries]
    digest = hashlib.sha256(json.dumps([identity, str(root), built]).encode())
    for name in (_RUNNER_SOURCE, *core.sources, *core.headers, _PLUGIN_SOURCE):
        digest.update((NATIVE / name).read_bytes())
    return digest.hexdigest()[:16]


def _folder_of(runtime: DeviceRuntime) -> Path:
    return cache_root() / "runtimes" / f"{runtime.name}-{_build_key(runtime)}"


def _describe(runtime: DeviceRuntime, folder: Path) -> InstalledRuntime:
    notes = json.loads((folder / "build.json").read_text(encoding="utf-8"))
    plugin = folder / "instruction_count.so"
    return InstalledRuntime(
        runtime=runtime,
        folder=folder,
        runner=folder / "runner",
        prefix=None if runtime.arch == "native" else ensure_prefix(),
        plugin=plugin if plugin.is_file() else None,
        plugin_reason=str(notes["plugin_reason"]),
    )


def find_installed(name: str = DEFAULT_RUNTIME) -> InstalledRuntime:
    """Return an installed runtime; raise `DeviceUnavailable` with the command that installs it."""
    runtime = find_runtime(name)
    require_runtime(runtime)
    folder = _folder_of(runtime)
    if not (folder / "build.json").is_file() or not _recipe(runtime)[0].is_dir():
        older = any(folder.parent.glob(f"{name}-*")) if folder.parent.is_dir() else False
        state = "was built from another version of its sources" if older else "is not installed"
        raise DeviceUnavailable(
            f"The device runtime {name} {state}. Run: python -m runtime_check device install {name}"
        )
    return _describe(runtime, folder)


def _try_plugin(folder: Path, runtime: DeviceRuntime, version: int) -> str:
    """Build the plugin for one API version and try it; return "" or why it does not work."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return "no C compiler on this machine (apt-get install -y gcc)"
    plugin = folder / "instruction_count.so"
    built = subprocess.run(
        [
            compiler, "-shared", "-fPIC", "-O2", f"-DPLUGIN_VERSION={version}",
            str(NATIVE / _PLUGIN_SOURCE), "-o", str(plugin),
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if built.returncode:
        return f"the plugin does not compile: {built.stderr.strip()[:200]}"
    with tempfile.TemporaryDirectory() as scratch:
        command = emulator_command(ensure_prefix(), plugin=f"{plugin},out={scratch}/counts")
        tried = subprocess.run(
            [*command, str(folder / "runner")],
            input="", capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
    if tried.returncode:
        plugin.unlink()
        lines = tried.stderr.strip().splitlines()
        return f"this qemu does not take the plugin: {lines[-1][:200] if lines else 'no reason'}"
    return ""


def _build_plugin(folder: Path, runtime: DeviceRuntime) -> str:
    if runtime.arch == "native":
        return "only the emulated runtimes count instructions"
    reason = ""
    for version in _PLUGIN_VERSIONS:
        reason = _try_plugin(folder, runtime, version)
        if not reason:
            return ""
    return reason


def _check_starts(folder: Path, runtime: DeviceRuntime) -> None:
    """Start the fresh runner once, so that an install that says it worked did."""
    command = [] if runtime.arch == "native" else emulator_command(ensure_prefix())
    result = subprocess.run(
        [*command, str(folder / "runner")],
        input="", capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    if result.returncode:
        raise InstallFailed(
            f"The runner of {runtime.name} was built but does not start "
            f"(exit code {result.returncode}): {result.stderr.strip()[:400]}"
        )


def install(
    name: str = DEFAULT_RUNTIME, *, force: bool = False, say: Say | None = None
) -> InstalledRuntime:
    """Install a runtime unless it is there already; `force` builds anew.

    Raises `DeviceUnavailable` for missing system packages (naming the apt command) and
    `InstallFailed` for a download, hash or build that went wrong. `say` gets progress lines.
    """
    tell: Say = say or (lambda text: None)
    runtime = find_runtime(name)
    require_runtime(runtime)
    folder = _folder_of(runtime)
    if runtime.wheel is not None:
        ensure_wheel(runtime.wheel, tell)
    if force or not (folder / "build.json").is_file():
        root, identity, flags = _recipe(runtime)
        with atomic_folder(folder) as scratch:
            tell(f"building the runner for {runtime.description}")
            compile_program(
                [NATIVE / source for source in (_RUNNER_SOURCE, *runtime.core.sources)],
                scratch / "runner",
                arch=runtime.arch,
                root=root,
                flags=flags,
                core=runtime.core,
            )
            _check_starts(scratch, runtime)
            tell("building the instruction counter")
            reason = _build_plugin(scratch, runtime)
            notes = {"runtime": name, "torch": identity, "plugin_reason": reason}
            (scratch / "build.json").write_text(json.dumps(notes) + "\n", encoding="utf-8")
        for other in folder.parent.glob(f"{name}-*"):
            if other != folder:
                shutil.rmtree(other, ignore_errors=True)
    return _describe(runtime, folder)


def _size(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file() and not p.is_symlink())


def status(names: Sequence[str] = tuple(RUNTIMES)) -> list[RuntimeStatus]:
    """Say for each runtime whether it is installed, and if not, what to do. Never raises."""
    report = []
    for name in names:
        runtime = find_runtime(name)
        try:
            ready = find_installed(name)
        except RuntimeCheckError as error:
            report.append(
                RuntimeStatus(
                    name=name,
                    description=runtime.description,
                    installed=False,
                    detail=str(error),
                    instruction_counts="not installed",
                    folder=None,
                    size_bytes=0,
                )
            )
            continue
        size = _size(ready.folder)
        if runtime.wheel is not None:
            size += _size(wheel_folder(runtime.wheel))
        report.append(
            RuntimeStatus(
                name=name,
                description=runtime.description,
                installed=True,
                detail="ready",
                instruction_counts=ready.plugin_reason or "yes",
                folder=ready.folder,
                size_bytes=size,
            )
        )
    return report
