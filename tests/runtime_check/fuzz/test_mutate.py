"""Damage repeats for the same seed, and reaches what it is meant for."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from runtime_check.artifact.archive import read_artifact
from runtime_check.artifact.records import in_front, read_records, rewrite
from runtime_check.errors import RuntimeCheckError
from runtime_check.fuzz.mutate import Mutation, kinds_for, mutate, plan_mutations


def _repeats(data: bytes) -> None:
    for kind in kinds_for(data):
        damaged = [mutate(data, Mutation(kind, seed)) for seed in range(4)]
        assert damaged == [mutate(data, Mutation(kind, seed)) for seed in range(4)]
        assert any(copy != data for copy in damaged)


def test_mutations_repeat_and_damage(tensor_ptl: Any) -> None:
    kinds = ("one", "other")
    assert plan_mutations(kinds, 30, 4) == plan_mutations(kinds, 30, 4)
    assert plan_mutations(kinds, 30, 4) != plan_mutations(kinds, 30, 5)
    assert [m.kind for m in plan_mutations(kinds, 3, 0)] == ["one", "other", "one"]
    _repeats(tensor_ptl.path.read_bytes())


def test_those_of_a_program_too(tensor_pte: Path) -> None:
    _repeats(tensor_pte.read_bytes())


def test_each_format_has_damage_of_its_own(tensor_ptl: Any, tensor_pte: Path) -> None:
    lite, program = (kinds_for(path.read_bytes()) for path in (tensor_ptl.path, tensor_pte))
    assert set(lite) - set(program) == {"edit a number"}
    assert set(program) - set(lite) == {
        "edit the program", "edit a word of it", "cut the program"
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["edit the program", "edit a word of it", "cut the program"])
def test_a_damaged_program_is_stated_as_an_attacker_would(
    kind: str, tensor_pte: Path, tmp_path: Path
) -> None:
    """Nothing but the native loader can tell: size and hash are those of the damaged program."""
    data = tensor_pte.read_bytes()
    whole = in_front(data)
    reached = set()
    for seed in range(20):
        damaged = mutate(data, Mutation(kind, seed))
        path = tmp_path / "damaged.pte"
        path.write_bytes(damaged)
        try:
            artifact = read_artifact(path)
        except RuntimeCheckError:
            continue  # its mark was hit
        program = in_front(damaged)
        assert artifact.program_bytes == len(program)
        assert kind == "cut the program" or len(program) == len(whole)
        reached.add(program != whole)
    assert True in reached


def test_the_program_stays_in_front_of_records_that_change(tensor_pte: Path) -> None:
    data = tensor_pte.read_bytes()
    (one, _), (other, kept) = read_records(data)
    changed = rewrite(data, {one: b"changed"})
    assert in_front(changed) == in_front(data)
    assert dict(read_records(changed)) == {one: b"changed", other: kept}
    assert in_front(rewrite(data, {}, front=b"12345678ET12")) == b"12345678ET12"


def test_what_was_cut_keeps_its_mark(tensor_pte: Path) -> None:
    data = tensor_pte.read_bytes()
    sizes = [
        len(in_front(mutate(data, Mutation("cut the program", random.Random(i).randrange(99)))))
        for i in range(20)
    ]
    assert min(sizes) >= 8
    assert max(sizes) < len(in_front(data))
