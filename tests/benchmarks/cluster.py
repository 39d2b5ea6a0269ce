"""What `compare --ray` adds to a trial: errands out, folders back, on a cluster of this machine.

    python -m tests.benchmarks.cluster

Two workers of one core each answer at once with a folder of random bytes, where a trial would have
exported; everything else is what a comparison does. The driver, both workers and the network are
one machine, so this is what the driver can take in, and not what a network can carry. The table
goes to `cluster.md`.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from exporter.compare import memory
from exporter.compare.cluster import _Cluster, _connected
from exporter.compare.local import Resources
from exporter.compare.parcel import pack_folder
from exporter.compare.plan import ComparePlan, ModelChoice
from exporter.compare.pool import Ended
from exporter.compare.remote import Done, Errand
from exporter.compare.result import TrialResult
from exporter.compare.trial import Job

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TABLE = HERE / "cluster.md"
# MB of a trial's folder, and how many such trials.
SIZES: dict[float, int] = {0.1: 200, 5.0: 50, 20.0: 10}
_STORE = 2**30


@contextmanager
def two_workers() -> Iterator[str]:
    """Start a cluster on this machine; yields its address."""
    os.environ["PYTHONPATH"] = str(ROOT)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    store = {"object_store_memory": _STORE}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **store})
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=1, **store)
        yield cluster.address
    finally:
        cluster.shutdown()


def answering(size: int) -> Callable[[Errand, dict[str, Any]], Done]:
    """Return what a worker does instead of exporting: a folder of `size` random bytes."""

    def answer(errand: Errand, references: dict[str, Any]) -> Done:
        key, name = (json.loads(errand.job)[word] for word in ("key", "folder"))
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "file.ptl").write_bytes(os.urandom(size))
            packed = pack_folder(Path(folder))
        result = TrialResult(key=key, name=Path(name).name, file="file.ptl", bytes=size)
        return Done(ended=Ended(code=0, out=result.model_dump_json(), errors=""), folder=packed)

    return answer


def measure(address: str, size: int, count: int) -> float:
    """Return trials per second that come to rest in folders here, for `size` bytes each."""
    choice = ModelChoice(model="test_vit", random_weights=True)
    (trial,) = ComparePlan(models=(choice,)).trials()
    times: list[float] = []
    with tempfile.TemporaryDirectory(dir=ROOT) as out:
        jobs = [Job(trial=trial, key=str(i), folder=Path(out) / str(i)) for i in range(count)]
        # Weighing models is before all trials, and not around each.
        weighed = patch.object(memory, "weigh", lambda models: dict.fromkeys(models, 1_000_000))
        with weighed, _connected(address) as ray:
            cluster = _Cluster(ray, jobs, Resources(), lambda _: times.append(time.monotonic()))
            results = cluster.run(answering(size))
    assert not any(result.failed for result in results.values()), "an answer is missing"
    return (count - 1) / (times[-1] - times[1])  # the first line only says how many there are


def table(rates: dict[float, Sequence[float]]) -> str:
    """Render trials per second, by MB of a trial, as Markdown."""
    lines = [
        "# Around a trial on a cluster",
        "",
        "Errands to two workers of Ray's on this machine, which answer at once, and folders that",
        "are laid out here: median of three runs, and the slowest and fastest.",
        "Regenerate with `python -m tests.benchmarks.cluster`.",
        "",
        "| MB a trial | trials | trials a second | MB a second | 10,000 trials, minutes |",
        "|---:|---:|---:|---:|---:|",
    ]
    for size, found in rates.items():
        rate = statistics.median(found)
        span = f"{rate:.0f} ({min(found):.0f} to {max(found):.0f})"
        lines.append(
            f"| {size:g} | {SIZES[size]} | {span} | {rate * size:.0f} | {10_000 / rate / 60:.1f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure all sizes in turns, three times, and write the table."""
    rates: dict[float, list[float]] = {size: [] for size in SIZES}
    with two_workers() as address:
        for _ in range(3):
            for size, count in SIZES.items():
                rates[size].append(measure(address, int(size * 1e6), count))
                print(f"{size:g} MB: {rates[size][-1]:.1f} trials a second", flush=True)
    TABLE.write_text(table(rates), encoding="utf-8")
    print(TABLE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
