from __future__ import annotations

import pytest

from runtime_check.reference.prefixes import Stripped, strip

MODEL = ["a.weight", "a.bias", "model.b"]


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "net.module._orig_mod.", "model."])
def test_a_prefix_goes_where_that_makes_the_names_fit(prefix: str) -> None:
    names = [prefix + name for name in MODEL]
    assert strip(names, MODEL) == Stripped(prefix=prefix)
    assert strip(names, names) == Stripped(prefix="")
    assert strip(names, ["other"]) == Stripped(prefix="")


def test_only_losses_copies_and_counters_may_be_left_out() -> None:
    inside = [f"model.{name}" for name in MODEL]
    assert strip([*inside, "criterion.weight"], MODEL) == Stripped(
        prefix="model.", left_out=("criterion.weight",)
    )
    assert strip([*inside, "model.n_averaged"], [*MODEL]).prefix == "model."
    averaged = [f"ema_model.module.{name}" for name in MODEL]
    both = [*inside, *averaged, "ema_model.n_averaged"]
    assert strip(both, MODEL) == Stripped(prefix="ema_model.module.", left_out=tuple(inside))
    # Another network, or a head, is not a copy.
    for more in ("head.weight", "teacher.a", "ema.a.weight"):
        assert strip([*inside, more], MODEL) == Stripped(prefix="")


def test_unknown_prefixes_stay() -> None:
    assert strip([f"student.{name}" for name in MODEL], MODEL) == Stripped(prefix="")
    assert strip([], MODEL) == Stripped(prefix="")
