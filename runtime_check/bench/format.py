"""The benchmark JSON that this tool and both phone apps write, and `bench --import` reads.

One file: one device, several runs. All times are milliseconds of wall clock, all sizes MB of 10^6
bytes; what was not measured is null. The JSON Schema is generated into `tests/golden/`
(`python -m runtime_check.bench.format DIR`).
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from ..artifact.metadata import Frozen
from ..errors import RuntimeCheckError
from ..files import write_whole

BENCHMARK_VERSION = "1.0"


class Device(Frozen):
    """Where the runs were measured."""

    platform: Literal["linux", "macos", "windows", "android", "ios"]
    model: str = Field(description="'Pixel 8', 'iPhone15,2', or the processor's name")
    os: str = Field(description="name and version of the operating system")
    cpu: str = Field(description="instruction set: arm64, x86_64")
    cores: int = Field(ge=1)
    app: str = Field(description="name and version of what measured")


class BenchmarkRun(Frozen):
    """One file (or peer) with one thread count on one device."""

    label: str = Field(description="unique on its device: file or peer, and what sets it apart")
    runtime: str = Field(description="as 'lite interpreter 2.1.0', 'onnxruntime 1.32.0'")
    model: str = Field(description="`name` of the artifact's metadata")
    file: str | None = None
    sha256: str | None = Field(default=None, description="of the file")
    quantization: str = Field(default="none", description="`quantization.method` of the metadata")
    threads: int = Field(ge=1)
    input_shape: list[int] = Field(min_length=1, description="of the first input")
    samples_ms: list[float] = Field(
        min_length=1, description="every timed inference in order, warm-up left out"
    )
    load_ms: float | None = None
    first_ms: float | None = Field(default=None, description="the first inference after loading")
    peak_mb: float | None = Field(
        default=None, description="highest memory of the process less what it held before loading"
    )
    size_mb: float | None = None

    @model_validator(mode="after")
    def _times_are_positive(self) -> BenchmarkRun:
        if min(self.samples_ms) <= 0:
            raise ValueError("samples_ms must be above zero")
        return self

    @property
    def median_ms(self) -> float:
        """The median of the samples."""
        return statistics.median(self.samples_ms)

    @property
    def p95_ms(self) -> float:
        """The 95th percentile: nearest rank, so always a time that was measured."""
        ordered = sorted(self.samples_ms)
        return ordered[max(0, -(-len(ordered) * 95 // 100) - 1)]


class Skipped(Frozen):
    """A peer that did not run, and why."""

    label: str
    reason: str


class DeviceRuns(Frozen):
    """Everything measured on one device; `skipped` are the peers that did not run there."""

    device: Device
    runs: list[BenchmarkRun]
    skipped: list[Skipped] = Field(default=[])
    interleaved: bool = Field(
        default=False,
        description="sample i of every run was taken in the same round, so ratios can be paired",
    )


class Benchmark(Frozen):
    """The whole file."""

    format: Literal["runtime-check-benchmark"] = "runtime-check-benchmark"
    version: str = BENCHMARK_VERSION
    devices: list[DeviceRuns] = Field(min_length=1)

    def merged(self, others: Sequence[Benchmark]) -> Benchmark:
        """Put several benchmarks into one, device after device."""
        return Benchmark(devices=[d for b in (self, *others) for d in b.devices])


def paired_ratio(run: BenchmarkRun, base: BenchmarkRun) -> float:
    """Return the median of `run`'s time over `base`'s within each round; above 1 is slower."""
    pairs = zip(run.samples_ms, base.samples_ms, strict=False)
    return statistics.median(one / other for one, other in pairs)


def read_bench(path: Path | str) -> Benchmark:
    """Read a benchmark JSON; raise `RuntimeCheckError` that names the wrong field."""
    path = Path(path)
    try:
        text = path.read_bytes()
    except OSError as error:
        raise RuntimeCheckError(f"Cannot read {path}: {error.strerror}.") from error
    try:
        version = str(json.loads(text).get("version", "1.0"))
        if version.split(".")[0] != BENCHMARK_VERSION.split(".")[0]:
            raise RuntimeCheckError(
                f"{path} has benchmark version {version}, this release reads 1.x. Update this "
                "package."
            )
        return Benchmark.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise RuntimeCheckError(
            f"{path} is not a benchmark of this tool or its apps: field `{field}`: {first['msg']}."
        ) from error
    except (ValueError, AttributeError, RecursionError) as error:
        raise RuntimeCheckError(
            f"{path} is not JSON ({error}). Share the benchmark from the app again."
        ) from error


def write_schema(folder: Path) -> Path:
    """Write `benchmark.schema.json` into `folder`."""
    path = folder / "benchmark.schema.json"
    schema = json.dumps(Benchmark.model_json_schema(), indent=2, sort_keys=True) + "\n"
    write_whole(path, schema)
    return path


if __name__ == "__main__":
    written = write_schema(Path(sys.argv[1] if len(sys.argv) > 1 else "tests/golden"))
    sys.stdout.write(f"{written}\n")
