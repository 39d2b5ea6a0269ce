"""What the loading process is set to, by processes that are never started."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from runtime_check.artifact.metadata import (
    Golden,
    GoldenCase,
    SampledData,
    TensorData,
    ToleranceSpec,
)
from runtime_check.comparison import Tolerance
from runtime_check.errors import UnreadableArtifact
from runtime_check.metrics import Metric
from runtime_check.properties.base import Check, PropertyResult
from runtime_check.properties.load_anywhere import load_anywhere
from runtime_check.runtimes.run import ChildDied, ForwardError, OutOfTime, Run

# The package has a function of that name.
module = importlib.import_module("runtime_check.properties.load_anywhere")
Outputs = list[np.ndarray]

FILE = Path("a.ptl")
# Two threads where the environment asks for four, and one where it asks for one.
FIRST = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
SECOND = {"OMP_NUM_THREADS": "4", "OMP_DYNAMIC": "TRUE"}


def answered(inputs: Sequence[np.ndarray]) -> Outputs:
    """Two outputs, of three values in all."""
    return [inputs[0] * 2, inputs[0][:1] + inputs[1]]


def _case(name: str, value: float) -> GoldenCase:
    inputs = [np.float32([value, -value]), np.float32([value + 1])]
    return GoldenCase(
        name=name,
        inputs=[TensorData.of(array) for array in inputs],
        expected=[SampledData.of(array) for array in answered(inputs)],
    )


STATED = ToleranceSpec(atol=0.25, rtol=0.125, basis="by hand")
GOLDEN = Golden(tolerance=STATED, cases=[_case("one", 1.0), _case("two", 2.0)])


@dataclass
class Processes:
    """Fresh processes that answer honestly, plus what `off` says; it may also raise.

    `off(process, case)` numbers the processes and the golden cases.
    """

    off: Callable[[int, int], float] = lambda process, case: 0.0
    costly: bool = False
    opened: list[tuple[str, int, Mapping[str, str]]] = field(default_factory=list)
    asked: list[tuple[int, int]] = field(default_factory=list)  # process, threads
    ended: int = 0
    in_time: int = 0  # how often time was asked for
    refuses: Callable[[int], None] = lambda process: None
    late_at: int = 10**9
    golden: Golden = GOLDEN
    bent: float = 0.0  # by how much the last value of the first output is off

    @contextmanager
    def open(
        self,
        path: Path,
        *,
        engine: str,
        threads: int,
        timeout: float,
        memory: int,
        environment: Mapping[str, str],
    ) -> Iterator[Any]:
        assert (path, timeout, memory) == (FILE, 7.0, 12345)
        self.refuses(len(self.opened))
        self.opened.append((engine, threads, dict(environment)))
        process, calls = len(self.opened) - 1, iter(range(9))

        def forward(inputs: Sequence[np.ndarray], *, threads: int) -> Run:
            assert self.in_time == len(self.asked) + 1
            self.asked.append((process, threads))
            case = next(calls)
            stated = GOLDEN.cases[case].inputs
            assert [a.tolist() for a in inputs] == [s.array().tolist() for s in stated]
            outputs = answered(inputs)
            outputs[1] += np.float32(self.off(process, case))
            outputs[0][-1] += np.float32(self.bent)
            return Run(outputs=outputs, seconds=(0.0,))

        yield SimpleNamespace(forward=forward)
        self.ended += 1

    def require_time(self) -> None:
        if self.in_time == self.late_at:
            raise OutOfTime("too long")
        self.in_time += 1

    def result(self, monkeypatch: pytest.MonkeyPatch, *engines: str) -> PropertyResult:
        monkeypatch.setattr(module, "open_host", self.open)
        monkeypatch.setattr(
            torch.backends, "quantized", SimpleNamespace(supported_engines=list(engines))
        )
        check = SimpleNamespace(
            runtime=SimpleNamespace(costly=self.costly, deaths=0, require_time=self.require_time),
            artifact=SimpleNamespace(golden=self.golden),
            metadata=SimpleNamespace(format="ptl"),
            metric=Metric(kind="classes", outputs=2),
            file=FILE,
            timeout=7.0,
            memory=12345,
        )
        result = load_anywhere(cast(Check, check))
        assert result.name == "load-anywhere"
        return result


def in_process(which: int, value: float, *, case: int | None = None) -> Callable[[int, int], float]:
    """Off by `value` in one process, in all of its cases or in one."""
    return lambda process, at: value if process == which and case in (None, at) else 0.0


def test_each_environment_replays_all_golden_vectors_in_a_process_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    processes = Processes()
    result = processes.result(monkeypatch, "qnnpack", "none")
    assert processes.opened == [("qnnpack", 1, FIRST), ("qnnpack", 2, SECOND)]
    assert processes.asked == [(0, 1), (0, 1), (1, 2), (1, 2)]
    assert processes.ended == 2
    assert (result.status, result.fault, result.examples) == ("passed", "", 2)
    assert result.reason == "the same under 2 thread environments"
    assert result.comparison is not None
    assert result.comparison.elements == 6
    assert result.comparison.tolerance == Tolerance(atol=0.25, rtol=0.125)


@pytest.mark.parametrize("case", [0, 1])
@pytest.mark.parametrize("process", [0, 1])
def test_a_difference_under_either_environment_breaks_it(
    process: int, case: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second outputs are 3 and 5: 0.25 and an eighth of that are allowed."""
    bound = 0.25 + 0.125 * (3.0, 5.0)[case]
    within = Processes(in_process(process, bound - 0.01, case=case))
    assert within.result(monkeypatch).status == "passed"
    processes = Processes(in_process(process, bound + 0.01, case=case))
    result = processes.result(monkeypatch, "fbgemm")
    assert (result.status, result.fault) == ("failed", "differs")
    assert len(processes.opened) == process + 1
    environment = (FIRST, SECOND)[process]
    assert result.reason.startswith(f"loaded under {environment}: 6 values, max|d| ")
    assert result.comparison is not None
    assert result.comparison.problem == "values"
    assert result.comparison.max_abs == pytest.approx(bound + 0.01)
    assert result.comparison.worst == (2 + 3 * case,)


@pytest.mark.parametrize(
    ("error", "status", "fault"),
    [
        (ChildDied("it crashed", cause="crashed"), "failed", "crashed"),
        (ChildDied("no answer", cause="hung"), "failed", "hung"),
        (ForwardError("it raised"), "failed", "raised"),
        (OutOfTime("too long"), "undecided", "late"),
        (KeyError("a mistake of ours"), "undecided", "bug"),
    ],
)
@pytest.mark.parametrize("process", [0, 1])
def test_a_death_under_either_environment_breaks_it(
    process: int, error: Exception, status: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def off(at: int, case: int) -> float:
        if (at, case) == (process, 1):
            raise error
        return 0.0

    processes = Processes(off)
    result = processes.result(monkeypatch, "fbgemm")
    assert (result.status, result.fault, result.comparison) == (status, fault, None)
    assert result.reason == f"loaded under {(FIRST, SECOND)[process]}: {error}"
    assert len(processes.opened) == process + 1


@pytest.mark.parametrize("process", [0, 1])
def test_a_file_that_does_not_load_again_breaks_it(
    process: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(at: int) -> None:
        if at == process:
            raise UnreadableArtifact("does not load")

    result = Processes(refuses=refuses).result(monkeypatch)
    assert (result.status, result.fault) == ("failed", "crashed")
    assert result.reason == f"loaded under {(FIRST, SECOND)[process]}: does not load"


@pytest.mark.parametrize("late_at", range(4))
def test_time_is_asked_for_before_each_answer(
    late_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    processes = Processes(late_at=late_at)
    result = processes.result(monkeypatch)
    assert (result.status, result.fault) == ("undecided", "late")
    assert len(processes.asked) == late_at


@pytest.mark.parametrize("offs", [(0.2, 0.1, 0.5), (0.1, 0.2, 0.5), (0.2, 0.0, 0.0)])
def test_the_worst_comparison_is_the_environments(
    offs: tuple[float, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    result = Processes(lambda process, case: offs[process]).result(monkeypatch, "fbgemm")
    assert result.status == "passed"
    assert result.comparison is not None
    assert result.comparison.max_abs == pytest.approx(0.2)


def test_a_device_has_one_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    processes = Processes(costly=True)
    result = processes.result(monkeypatch, "fbgemm")
    assert (result.status, result.reason) == ("skipped", "a device runtime has one engine")
    assert processes.opened == []


@pytest.mark.parametrize(
    ("engines", "tried"),
    [
        ((), []),
        (("none",), []),
        (("qnnpack", "none"), []),
        (("qnnpack", "none", "onednn", "x86"), ["onednn"]),
        (("fbgemm", "qnnpack"), ["fbgemm"]),
    ],
)
def test_the_first_engine_that_no_phone_has_is_tried_on_one_thread(
    engines: tuple[str, ...], tried: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    processes = Processes()
    result = processes.result(monkeypatch, *engines)
    assert processes.opened[2:] == [(engine, 1, {}) for engine in tried]
    assert processes.asked[4:] == [(2, 1)] * 2 * len(tried)
    assert result.status == "passed"
    remark = f" and under the engine {tried[0]}" if tried else ""
    assert result.reason == f"the same under 2 thread environments{remark}"


def test_a_server_engine_that_differs_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    result = Processes(in_process(2, 50.0)).result(monkeypatch, "fbgemm")
    assert (result.status, result.fault, result.examples) == ("noted", "", 2)
    assert result.reason.startswith(
        "the same under 2 thread environments; the server engine fbgemm, which no phone has, "
        "gives: 6 values, max|d| 50, "
    )


@pytest.mark.parametrize(
    "error", [ForwardError("no kernel"), ChildDied("it crashed", cause="crashed")]
)
def test_a_server_engine_may_refuse(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def off(process: int, case: int) -> float:
        if process == 2:
            raise error
        return 0.0

    result = Processes(off).result(monkeypatch, "fbgemm")
    assert (result.status, result.fault, result.examples) == ("passed", "", 2)
    assert result.reason == (
        "the same under 2 thread environments; the server engine fbgemm refuses it"
    )


def sampled(case: GoldenCase) -> GoldenCase:
    """The case with the first output's first value alone, and figures of both."""
    first, second = case.expected
    sample = SampledData.sampled(first.array(), 1)
    assert sample.array().tolist() == first.array()[:1].tolist()
    return case.model_copy(update={"expected": [sample, second]})


@pytest.mark.parametrize(("bent", "status"), [(0.25, "passed"), (20.0, "failed")])
def test_large_golden_outputs_are_replayed_by_what_is_kept_of_them(
    bent: float, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    golden = GOLDEN.model_copy(update={"cases": [sampled(case) for case in GOLDEN.cases]})
    result = Processes(golden=golden, bent=bent).result(monkeypatch)
    assert (result.status, result.fault) == (status, "" if status == "passed" else "differs")
    assert result.comparison is not None
    # Twice a value, three figures and the second output.
    assert result.comparison.elements == 2 * (1 + 3 + 1)


def test_classes_are_ranked_on_the_first_of_each_samples_outputs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    result = Processes().result(monkeypatch)
    assert result.comparison is not None
    assert (result.comparison.top1, result.comparison.top5) == (1.0, None)
