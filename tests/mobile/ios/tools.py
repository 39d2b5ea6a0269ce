"""What the rungs of the iOS tests stand on: Swift, torch builds, and shipped model files.

Everything that is missing is one `Absent` with what to do; the fixtures turn it into a skip, and
CI, which installs everything first (`.ci/ios.sh`), turns skips into failures.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runtime_check.device.install import _host_torch
from runtime_check.device.toolchain import (
    RUNTIMES,
    Wheel,
    cache_root,
    ensure_wheel,
    wheel_folder,
)
from runtime_check.errors import RuntimeCheckError

ROOT = Path(__file__).resolve().parents[3]
APP = ROOT / "ios_demo"
PACKAGE = APP / "LiteClassifier"
NATIVE = ROOT / "runtime_check" / "native"
GOLDEN = ROOT / "tests" / "golden"

# torch 2.1.0, the pod's version, for Apple's arm64.
MACOS_WHEEL = Wheel(
    version="2.1.0",
    python="3.11",
    platform="macosx_11_0_arm64",
    sha256="3cd1dedff13884d890f18eea620184fb4cd8fd3c68ce3300498f427ae93aa962",
)
# ExecuTorch 1.5.1 likewise; its dylibs need no torch.
MACOS_EXECUTORCH = Wheel(
    package="executorch",
    version="1.5.1",
    python="3.11",
    platform="macosx_14_0_arm64",
    sha256="e747dacb39950a2d234e08f230c1e5540f7b297fd32bc8c8f4296a953bb40dc0",
)


class Absent(Exception):
    """A tool is not on this machine; the message says how to get it."""


@dataclass(frozen=True)
class Swift:
    """Where Swift runs: in a Debian folder of its own, or (`root` None) on this machine."""

    root: Path | None

    def run(
        self,
        command: Sequence[str],
        *,
        cwd: Path = ROOT,
        env: Mapping[str, str] | None = None,
        timeout: float = 900,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command where Swift is; the checkout and the cache have the same paths there."""
        variables = {"OMP_NUM_THREADS": "1", **(env or {})}
        if self.root is None:
            return subprocess.run(
                list(command),
                cwd=cwd,
                env={**os.environ, **variables},
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        # Beside torch lie the libraries that its CUDA build wants.
        beside = torch_root()[0].parent
        seen = [ROOT, cache_root(), Path(tempfile.gettempdir()), beside, cwd]
        # Swift looks into /proc. A mount namespace of its own: nothing stays mounted outside.
        script = (
            'root=$1; cwd=$2; shift 2; mount --rbind /proc "$root/proc"; mount --rbind /dev '
            '"$root/dev"; while [ "$1" != -- ]; do mkdir -p "$root$1"; mount --rbind "$1" '
            '"$root$1"; shift; done; shift; exec chroot "$root" /usr/bin/env -C "$cwd" "$@"'
        )
        settings = [f"{key}={value}" for key, value in variables.items()]
        mounts = [str(path) for path in sorted({path.resolve() for path in seen})]
        return subprocess.run(
            [
                "unshare", "--mount", "--propagation", "private", "sh", "-e", "-c", script, "sh",
                str(self.root), str(cwd), *mounts, "--", *settings, "HOME=/root", *command,
            ],
            capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip


def find_swift() -> Swift:
    """Find Swift 6: on the path, or in the folder that `.ci/ios.sh` makes in the cache."""
    if sys.platform == "darwin":
        raise Absent(
            "these rungs stand in for a Mac; on one, build in Xcode and run `swift test` in "
            "ios_demo/LiteClassifier"
        )
    if shutil.which("swift"):
        return Swift(None)
    root = cache_root() / "swift-trixie"
    if not (root / "usr/bin/swiftc").exists():
        raise Absent("no Swift: install Swift 6, or run .ci/ios.sh setup as root on Debian")
    if os.geteuid() != 0:
        raise Absent(f"Swift lies in {root}, which only root can enter (chroot)")
    swift = Swift(root)
    tried = swift.run(["swift", "--version"])
    if tried.returncode:
        raise Absent(f"Swift in {root} does not start here: {tried.stderr.strip()[-300:]}")
    return swift


def torch_root() -> tuple[Path, str, list[str]]:
    """Return a torch to build the core against: its folder, version and compiler flags.

    `TORCH_ROOT` first, then 2.1.0 for this machine where it is in the cache, as phones have it,
    then the installed one.
    """
    given = os.environ.get("TORCH_ROOT")
    if given:
        root = Path(given)
        strings = b"_ZN3c106detail14torchCheckFailEPKcS2_jRKNSt7__cxx11"
        new = strings in (root / "lib/libc10.so").read_bytes()
        return root, "", [f"-D_GLIBCXX_USE_CXX11_ABI={int(new)}"]
    wheel = RUNTIMES["x86-2.1.0"].wheel
    if wheel is not None and wheel_folder(wheel).is_dir():
        return wheel_folder(wheel) / "torch", "2.1.0", ["-D_GLIBCXX_USE_CXX11_ABI=0"]
    return _host_torch()


def ensure_macos(wheel: Wheel) -> Path:
    """Return the folder of a package for Apple's arm64, downloading it when it is absent."""
    try:
        return ensure_wheel(wheel, lambda text: None) / wheel.package
    except RuntimeCheckError as error:
        raise Absent(f"{wheel.package} for macOS: {error}") from error
