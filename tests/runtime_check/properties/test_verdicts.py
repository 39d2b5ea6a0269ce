"""Whatever happens to the process, in whatever property, at whatever input: nothing passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime_check.options import Demands
from runtime_check.properties import PROPERTIES, replay
from runtime_check.properties.base import Check, PropertyResult, ReferenceRaised
from runtime_check.properties.counterexample import load_counterexample
from runtime_check.properties.search import explore
from runtime_check.runtimes.run import ChildDied, ForwardError

from .fakes import a_check, honest

Accident = Callable[[Sequence[np.ndarray]], list[np.ndarray]]


def dies(inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    raise ChildDied("it crashed", cause="crashed")


def hangs(inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    raise ChildDied("no answer", cause="hung")


def floods(inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    raise ChildDied("too much", cause="memory")


def raves(inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    raise ChildDied("nonsense", cause="nonsense")


def refuses(inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    raise ForwardError("it raised")


def stumbles(inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    raise KeyError("a mistake of ours")


def is_off(inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    return [honest(inputs)[0] + np.float32(0.25)]


def is_short(inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    return []


def is_empty(inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    return [np.zeros((0, 3), np.float32)]


def is_nan(inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    return [honest(inputs)[0] * np.float32(np.nan)]


ACCIDENTS: dict[str, Accident] = {
    "crashed": dies,
    "hung": hangs,
    "memory": floods,
    "nonsense": raves,
    "raised": refuses,
    "bug": stumbles,
    "off": is_off,
    "short": is_short,
    "empty": is_empty,
    "nan": is_nan,
}
# Properties that run the file through `Check.run`, and which of a run's calls are theirs.
DRAWN = [name for name in PROPERTIES if name not in ("preprocessing", "load-anywhere")]
# Off by the same amount every time: these look for something else.
BLIND = {
    ("off", "determinism"), ("off", "batch"), ("off", "nonfinite"), ("off", "metadata"),
    ("nan", "determinism"), ("nan", "nonfinite"), ("nan", "metadata"), ("nan", "batch"),
}  # fmt: skip
ONCE = "once, and well ever after"


@pytest.mark.parametrize("when", ["first", "middle", "always", ONCE])
@pytest.mark.parametrize("accident", ACCIDENTS)
@pytest.mark.parametrize("name", DRAWN)
def test_nothing_passes_over_an_accident(
    name: str, accident: str, when: str, tensor_ptl: Any, tmp_path: Path
) -> None:
    def answer(call: int, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        struck = {
            "first": call == 0,
            "middle": call >= 2,
            "always": True,
            ONCE: call == 1,
        }[when]
        return ACCIDENTS[accident](inputs) if struck else honest(inputs)

    with a_check(tensor_ptl.path, tmp_path, answer, examples=6) as check:
        result = property_of(name)(check)
    if (accident, name) in BLIND and when == "always":
        return
    if (accident, name) in BLIND and name in ("nonfinite", "metadata"):
        return
    assert result.status in ("failed", "undecided"), result
    assert not result
    assert result.fault
    if accident in ("crashed", "hung", "memory", "nonsense", "raised"):
        assert (result.status, result.fault) == ("failed", accident)
    if accident == "bug":
        assert (result.status, result.fault) == ("undecided", "bug")


def property_of(name: str) -> Callable[[Check], PropertyResult]:
    """The property, without what the metadata of this stand-in for a file would say of itself."""
    if name != "metadata":
        return PROPERTIES[name]  # type: ignore[index]
    from runtime_check.properties.golden import examine_metadata
    from runtime_check.properties.inputs import recipes

    return lambda check: explore(check, "metadata", recipes(check.metadata), examine_metadata)


@pytest.mark.parametrize("name", DRAWN)
def test_an_honest_file_passes_with_as_many_inputs_as_it_says(
    name: str, tensor_ptl: Any, tmp_path: Path
) -> None:
    seen = []

    def answer(call: int, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        seen.append(inputs[0].tobytes())
        return honest(inputs)

    with a_check(tensor_ptl.path, tmp_path, answer, examples=7) as check:
        result = property_of(name)(check)
    assert result.status == "passed", result
    assert result.examples == {"golden": 3, "parity": 9}.get(name, 7)
    if name != "batch":
        assert len(set(seen)) >= result.examples - 2  # zero and negative zero may be drawn twice


@pytest.mark.parametrize("accident", ["crashed", "hung", "raised", "off"])
def test_a_replayed_counterexample_does_not_pass_either(
    accident: str, tensor_ptl: Any, tmp_path: Path
) -> None:
    def answer(call: int, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        return ACCIDENTS[accident](inputs)

    with a_check(tensor_ptl.path, tmp_path, answer) as check:
        found = PROPERTIES["parity"](check)
        assert found.counterexample is not None
        again = replay(check, load_counterexample(found.counterexample))
    assert again.status == "failed"
    assert again.fault == found.fault
    with a_check(tensor_ptl.path, tmp_path) as check:
        assert replay(check, load_counterexample(found.counterexample)).status == "passed"


def test_a_process_that_dies_while_it_is_not_watched_spoils_the_property(
    tensor_ptl: Any, tmp_path: Path
) -> None:
    with a_check(tensor_ptl.path, tmp_path) as check:

        def examine(check: Check, inputs: Sequence[np.ndarray], natural: bool) -> Any:
            from runtime_check.properties.parity import examine_parity

            check.runtime.deaths += 1
            return examine_parity(check, inputs, natural)

        from runtime_check.properties.inputs import recipes

        result = explore(check, "parity", recipes(check.metadata), examine)
    assert (result.status, result.fault) == ("undecided", "restarted")


def divides(x: object) -> object:
    return 1 / 0


def leaves(x: object) -> object:
    raise SystemExit(0)


@pytest.mark.parametrize(
    ("forward", "says"), [(divides, "ZeroDivisionError"), (leaves, "SystemExit: 0 (")]
)
def test_a_reference_that_raises_proves_nothing(
    forward: Callable[[object], object], says: str, tensor_ptl: Any, tmp_path: Path
) -> None:
    with a_check(tensor_ptl.path, tmp_path) as check:
        assert check.reference is not None
        check.reference.network.forward = forward  # type: ignore[method-assign,assignment]
        for name in ("parity", "nonfinite"):
            result = PROPERTIES[name](check)  # type: ignore[index]
            assert (result.status, result.fault) == ("undecided", "reference")
            assert says in result.reason
            assert result.counterexample is None
        with pytest.raises(ReferenceRaised):
            check.expect([np.zeros((1, 3, 8, 8), np.float32)])


def test_outputs_that_do_not_depend_on_the_input_prove_nothing(
    tensor_ptl: Any, tmp_path: Path
) -> None:
    def constant(call: int, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [np.tile(np.float32([1, 2, 3]), (len(inputs[0]), 1))]

    with a_check(tensor_ptl.path, tmp_path, constant) as check:
        assert PROPERTIES["parity"](check).fault == "differs"
        assert check.reference is not None
        import torch

        check.reference.network.forward = lambda x: torch.tensor(  # type: ignore[method-assign]
            [[1.0, 2.0, 3.0]]
        ).repeat(len(x), 1)
        result = PROPERTIES["parity"](check)
    assert (result.status, result.fault) == ("undecided", "constant")


@pytest.mark.parametrize("demand", [{"atol": 0.0}, {"min_sqnr_db": 400.0}, {"rtol": 1e-12}])
def test_a_user_may_demand_more(demand: dict[str, float], tensor_ptl: Any, tmp_path: Path) -> None:
    def nearly(call: int, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [honest(inputs)[0] * np.float32(1 + 2**-22)]

    with a_check(tensor_ptl.path, tmp_path, nearly) as check:
        assert PROPERTIES["parity"](check).status == "passed"
    with a_check(tensor_ptl.path, tmp_path, nearly, demands=Demands(**demand)) as check:
        result = PROPERTIES["parity"](check)
        assert (result.status, result.fault) == ("failed", "differs")
    changes = {"demands": Demands(**demand), "reference": None}
    with a_check(tensor_ptl.path, tmp_path, nearly, **changes) as check:
        assert PROPERTIES["parity"](check).fault == "no-reference"


@pytest.mark.parametrize(
    ("off", "atol", "status"),
    [(1e-6, 1e-5, "passed"), (1e-6, 1e-7, "failed"), (1e-3, 1.0, "failed")],
)
def test_a_golden_vector_is_held_to_the_tighter_of_the_files_bound_and_the_users(
    off: float, atol: float, status: str, tensor_ptl: Any, tmp_path: Path
) -> None:
    """The file states 1e-5."""

    def answer(call: int, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [honest(inputs)[0] + np.float32(off)]

    with a_check(tensor_ptl.path, tmp_path, answer, demands=Demands(atol=atol)) as check:
        result = PROPERTIES["golden"](check)
    assert (result.status, result.fault) == (status, "" if status == "passed" else "differs")
