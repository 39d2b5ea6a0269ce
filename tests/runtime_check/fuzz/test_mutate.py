"""Damage repeats for the same seed."""

from __future__ import annotations

from typing import Any

from runtime_check.fuzz.mutate import MUTATORS, Mutation, mutate, plan_mutations


def test_mutations_repeat_and_damage(tensor_ptl: Any) -> None:
    data = tensor_ptl.path.read_bytes()
    assert plan_mutations(30, 4) == plan_mutations(30, 4) != plan_mutations(30, 5)
    for kind in MUTATORS:
        damaged = [mutate(data, Mutation(kind, seed)) for seed in range(4)]
        assert damaged == [mutate(data, Mutation(kind, seed)) for seed in range(4)]
        assert any(copy != data for copy in damaged)
