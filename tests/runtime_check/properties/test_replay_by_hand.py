"""A saved input is judged again as its property judged it, or by what was saved with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from runtime_check import properties
from runtime_check.comparison import Tolerance, compare
from runtime_check.errors import RuntimeCheckError
from runtime_check.options import PropertyName
from runtime_check.properties import EXAMINERS, PROPERTIES, replay
from runtime_check.properties.base import Check, Verdict
from runtime_check.properties.counterexample import Counterexample

from .fakes import a_check, honest

Outputs = list[np.ndarray]
GIVEN = np.random.default_rng(0).standard_normal((1, 3, 8, 8)).astype(np.float32)


def saved(
    name: str, *, natural: bool = True, expected: Sequence[np.ndarray] | None = None
) -> Counterexample:
    """Something saved of this property; without `expected`, with what is right."""
    return Counterexample(
        property=name,
        seed=0,
        recipe="the recipe",
        natural=natural,
        problem="whatever",
        artifact="a.ptl",
        artifact_sha256="",
        runtime="scripted",
        inputs=(GIVEN,),
        expected=tuple(honest([GIVEN]) if expected is None else expected),
        actual=(),
    )


def off(amount: float) -> Callable[[int, Sequence[np.ndarray]], Outputs]:
    return lambda _, inputs: [honest(inputs)[0] + np.float32(amount)]


def test_every_property_has_its_own_name() -> None:
    assert list(PROPERTIES) == list(get_args(PropertyName))
    functions: dict[str, Any] = {**PROPERTIES}
    examiners: dict[str, Any] = {**EXAMINERS}
    for name, examine in examiners.items():
        assert examine.__name__ == f"examine_{name}"
        assert functions[name].__name__ == name
    # The others draw nothing that could be saved.
    assert set(PROPERTIES) - set(EXAMINERS) == {"golden", "load-anywhere"}


@pytest.mark.parametrize("reference", [True, False])
def test_a_property_that_is_not_known_is_named(
    reference: bool, tensor_ptl: Any, tmp_path: Path
) -> None:
    changes = {} if reference else {"reference": None}
    with (
        a_check(tensor_ptl.path, tmp_path, **changes) as check,
        pytest.raises(RuntimeCheckError, match=r"'likeness', .* not know: parity, nonfinite, "),
    ):
        replay(check, saved("likeness"))


@pytest.mark.parametrize("natural", [True, False])
def test_the_examiner_of_its_property_judges_what_was_saved(
    natural: bool, tensor_ptl: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Any, ...]] = []
    verdicts = [
        Verdict(values=1, comparison=compare(GIVEN, GIVEN, Tolerance())),
        Verdict(problem="no", fault="hung", comparison=compare(GIVEN, -GIVEN, Tolerance())),
    ]

    def examine(*given: Any) -> Verdict:
        asked.append(given)
        return verdicts[len(asked) - 1]

    monkeypatch.setitem(properties.EXAMINERS, "batch", examine)
    again = saved("batch", natural=natural)
    with a_check(tensor_ptl.path, tmp_path) as check:
        good, bad = replay(check, again), replay(check, again)
    assert asked == [(check, again.inputs, natural)] * 2
    assert (good.name, good.status, good.fault) == ("batch", "passed", "")
    assert (good.examples, good.minimal) == (1, "the recipe")
    assert good.comparison is verdicts[0].comparison
    assert (bad.name, bad.status, bad.fault, bad.reason) == ("batch", "failed", "hung", "no")
    assert (bad.examples, bad.minimal) == (1, "the recipe")
    assert bad.comparison is verdicts[1].comparison


def test_a_verdict_about_no_value_proves_nothing(
    tensor_ptl: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(properties.EXAMINERS, "batch", lambda *given: Verdict(values=0))
    with a_check(tensor_ptl.path, tmp_path) as check:
        result = replay(check, saved("batch"))
    assert (result.status, result.fault) == ("undecided", "too-few")


@pytest.mark.parametrize("name", ["parity", "nonfinite"])
@pytest.mark.parametrize(("amount", "ok"), [(0.5e-5, True), (2e-5, False)])
def test_without_a_reference_the_saved_outputs_judge(
    name: str, amount: float, ok: bool, tensor_ptl: Any, tmp_path: Path
) -> None:
    """The file states 1e-5."""
    with a_check(tensor_ptl.path, tmp_path, off(amount), reference=None) as check:
        result = replay(stated_only(check), saved(name))
    assert (result.name, result.status) == (name, "passed" if ok else "failed")
    assert (result.fault, result.examples) == ("" if ok else "differs", 1)
    assert result.minimal == "the recipe"
    assert result.comparison is not None
    assert (result.comparison.elements, result.comparison.tolerance.atol) == (3, 1e-5)
    assert result.comparison.max_abs == pytest.approx(amount, rel=0.1)
    assert result.comparison.worst_expected in honest([GIVEN])[0]
    assert ok or result.reason == str(result.comparison)


def stated_only(check: Check) -> Check:
    """The check as it is where nothing was measured."""
    return replace(check, allowance=replace(check.allowance, rounding=None))


def test_larger_outputs_may_be_further_off(tensor_ptl: Any, tmp_path: Path) -> None:
    large = [honest([GIVEN])[0] * np.float32(1e4)]

    def answer(call: int, x: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [large[0] + np.float32(2**-8)]

    with a_check(tensor_ptl.path, tmp_path, answer, reference=None) as check:
        assert replay(stated_only(check), saved("parity", expected=large))
        assert not replay(stated_only(check), saved("parity"))


def test_with_a_reference_the_saved_outputs_judge_nothing(tensor_ptl: Any, tmp_path: Path) -> None:
    wrong = [honest([GIVEN])[0] + 1]
    with a_check(tensor_ptl.path, tmp_path) as check:
        for name in ("parity", "nonfinite"):
            assert replay(check, saved(name, expected=wrong)).status == "passed"
    with a_check(tensor_ptl.path, tmp_path, off(1.0)) as check:
        assert replay(check, saved("parity", expected=wrong)).fault == "differs"


@pytest.mark.parametrize("name", ["determinism", "batch", "metadata"])
def test_a_property_that_needs_no_reference_judges_without_one(
    name: str, tensor_ptl: Any, tmp_path: Path
) -> None:
    wrong = [honest([GIVEN])[0] + 1]
    with a_check(tensor_ptl.path, tmp_path, reference=None) as check:
        result = replay(check, saved(name, expected=wrong))
    assert (result.name, result.status, result.examples) == (name, "passed", 1)


@pytest.mark.parametrize("answer", [lambda _, x: [], lambda _, x: [honest(x)[0][:, :1]]])
def test_outputs_of_another_kind_than_the_saved_ones_fail(
    answer: Callable[[int, Sequence[np.ndarray]], Outputs], tensor_ptl: Any, tmp_path: Path
) -> None:
    with a_check(tensor_ptl.path, tmp_path, answer, reference=None) as check:
        result = replay(check, saved("parity"))
    assert (result.status, result.fault, result.examples) == ("failed", "differs", 1)
    assert result.reason
