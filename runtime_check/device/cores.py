"""The two implementations of `native/lite_core.h`: what each is built from, and what it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Format = Literal["ptl", "pte"]


@dataclass(frozen=True, kw_only=True)
class Core:
    """A C++ core: the files it runs, its sources, and the wheel's libraries it is linked to."""

    runs: Format
    program: str  # what such a file is called
    magic: bytes  # what it has at byte `magic_at`
    magic_at: int
    package: str  # on PyPI; also the folder in its wheels
    engine: str  # the quantized engine of a phone
    sources: tuple[str, ...]  # in native/, beside the runner
    headers: tuple[str, ...]  # of these, included: a change builds the runner anew
    standard: str
    definitions: tuple[str, ...]
    includes: tuple[str, ...]  # folders below the package's
    libraries: tuple[str, ...]
    kept: tuple[str, ...]  # prefixes of what is unpacked of a wheel
    dropped: tuple[str, ...]  # of these, what running a file on the CPU does not need


LITE = Core(
    runs="ptl",
    program="a lite-interpreter file",
    magic=b"PK\x03\x04",
    magic_at=0,
    package="torch",
    engine="qnnpack",
    sources=("lite_core.cpp",),
    headers=("lite_core.h", "core_common.h"),
    standard="c++17",
    definitions=(),
    includes=("include", "include/torch/csrc/api/include"),
    libraries=("torch_cpu", "c10"),
    kept=("torch/lib/", "torch/include/", "torch.libs/"),
    dropped=(
        "torch/lib/libtorch_python",
        "torch/lib/libshm",
        "torch/lib/libtorch_cuda",
        "torch/lib/libc10_cuda",
        "torch/lib/libcaffe2_nvrtc",
        "torch/lib/libnvfuser",
    ),
)
EXECUTORCH = Core(
    runs="pte",
    program="a program for ExecuTorch",
    magic=b"ET12",
    magic_at=4,
    package="executorch",
    engine="xnnpack",
    sources=("executorch_core.cpp", "trailing_zip.cpp", "inflate.cpp"),
    headers=("lite_core.h", "core_common.h", "trailing_zip.h", "inflate.h"),
    standard="c++20",
    # The headers otherwise ask for one that building PyTorch makes.
    definitions=("C10_USING_CUSTOM_GENERATED_MACROS",),
    includes=("include", "include/executorch/runtime/core/portable_type/c10"),
    libraries=(
        "executorch",
        "executorch_kernels_optimized",
        "executorch_kernels_quantized",
        "executorch_backend_xnnpack",
        "executorch_threadpool",
    ),
    kept=("executorch/lib/lib", "executorch/include/"),
    dropped=(
        "executorch/lib/libexecutorch_backend_coreml",
        "executorch/lib/libexecutorch_backend_mlx",
        "executorch/lib/libexecutorch_backend_openvino",
        "executorch/lib/libexecutorch_backend_qnn",
        "executorch/lib/libexecutorch_etdump",
    ),
)
CORES = (LITE, EXECUTORCH)


def core_of(package: str) -> Core:
    """Return the core that is linked to a package's libraries."""
    return next(core for core in CORES if core.package == package)


def core_for(start: bytes) -> Core | None:
    """Return the core for a file that starts with these bytes (8 are enough); None: neither."""
    for core in CORES:
        if start[core.magic_at :].startswith(core.magic):
            return core
    return None
