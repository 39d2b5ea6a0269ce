"""What a file asks of a runtime, read without unpickling it."""

from __future__ import annotations

import pickle
import time
import tracemalloc
import zipfile
from typing import Any

import pytest
from torch.jit.mobile import _get_model_ops_and_info

from runtime_check.artifact.archive import read_bytecode
from runtime_check.artifact.bytecode import Operator, parse_bytecode
from runtime_check.errors import UnreadableArtifact


def test_torch_itself_counts_the_same_operators(tensor_ptl: Any) -> None:
    ours = read_bytecode(tensor_ptl.path)
    theirs = _get_model_ops_and_info(str(tensor_ptl.path))
    assert {op.full_name for op in ours.operators} == set(theirs)
    for operator in ours.operators:
        assert operator.arguments == theirs[operator.full_name].num_schema_args


def function(*rows: Any, calls: tuple[Any, ...] = (), **tables: Any) -> tuple[Any, ...]:
    instructions = (*(("OP", index, 0) for index in calls), ("RET", 0, 0))
    body = {
        "instructions": instructions,
        "operators": rows,
        "constants": (),
        "types": (),
        "register_size": 3,
    }
    return ("__torch__.forward", tuple((body | tables).items()))


def test_calls_are_counted_over_all_functions() -> None:
    """A bytecode written by hand, in the layout of torch's import.cpp."""
    relu, add = ("aten::relu", "", 1), ("aten::add", "Tensor", 3)
    data = pickle.dumps((8, function(relu, add, calls=(0, 1, 1)), function(add, calls=(0,))), 2)
    bytecode = parse_bytecode(data)
    assert bytecode.version == 8
    assert bytecode.operators == (
        Operator("aten::add", "Tensor", 3),
        Operator("aten::relu", "", 1),
    )
    assert bytecode.calls == {"aten::add.Tensor": 3, "aten::relu": 1}


def test_before_version_6_nothing_says_how_many_arguments() -> None:
    (operator,) = parse_bytecode(pickle.dumps((5, function(("aten::relu", ""))), 2)).operators
    assert operator.arguments is None


RELU = ("aten::relu", "", 1)
SHUFFLED = ("f", tuple(reversed(function(RELU)[1])))
TWICE = ("f", (*function(RELU)[1], ("operators", ())))
BAD: dict[str, Any] = {
    "nothing": (),
    "no_tables": (8, ()),
    "a_word": ("eight",),
    "a_number": 8,
    "one_table": (8, ("f", (("operators", ()),))),
    "no_such_operator": (8, function(calls=(4,))),
    "operator_from_the_end": (8, function(RELU, calls=(-1,))),
    "operator_in_words": (8, function(RELU, calls=("0",))),
    "operator_as_a_fraction": (8, function(RELU, calls=(0.0,))),
    "tables_in_another_order": (8, SHUFFLED),  # runtimes go by their places
    "a_table_twice": (8, TWICE),
    "text_as_a_table": (8, function(operators="abc")),
    "infinite_version": (float("inf"), function()),
    "version_nan": (float("nan"), function()),
    "version_as_text": ("8", function()),
    "version_true": (True, function()),
    "negative_version": (-1, function()),
    "huge_version": (2**62, function()),
    "larger_version": (2**2000, function()),
    "infinite_arguments": (8, function(("aten::relu", "", float("inf")))),
    "huge_arguments": (8, function(("aten::relu", "", 2**40))),
    "a_long_name": (8, function(("a" * 2000, "", 1))),
    "a_number_as_name": (8, function((1, "", 1))),
    "a_type_that_is_none": (8, function(types=(None,))),
}


@pytest.mark.parametrize("value", BAD.values(), ids=BAD.keys())
def test_anything_else_is_refused(value: Any) -> None:
    with pytest.raises(UnreadableArtifact):
        parse_bytecode(pickle.dumps(value, 2))


@pytest.mark.parametrize("shared", ["functions", "operators", "instructions", "types"])
def test_what_is_shared_is_not_walked_for_ever(shared: str) -> None:
    """Some hundred kilobytes that name one table in thousands of functions."""
    rows = tuple(("aten::relu", str(index), 1) for index in range(5_000))
    large = {
        "functions": {},
        "operators": {"operators": rows},
        "instructions": {"instructions": tuple(("RET", 0, 0) for _ in range(5_000))},
        "types": {"types": tuple(str(index) for index in range(5_000))},
    }[shared]
    one = function(*rows)
    value = [8, *(one if shared == "functions" else function(**large) for _ in range(5_000))]
    data = pickle.dumps(tuple(value), 2)
    assert len(data) < 2_000_000
    started = time.perf_counter()
    with pytest.raises(UnreadableArtifact):
        parse_bytecode(data)
    assert time.perf_counter() - started < 10


def test_long_names_that_are_shared_are_not_copied_for_ever() -> None:
    long = "a" * 50_000
    rows = tuple((long, str(index), 1) for index in range(20_000))
    tracemalloc.start()
    with pytest.raises(UnreadableArtifact):
        parse_bytecode(pickle.dumps((8, function(*rows)), 2))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100 * 2**20


def test_the_record_is_in_the_archive(tensor_ptl: Any) -> None:
    with zipfile.ZipFile(tensor_ptl.path) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith("/bytecode.pkl")]
        assert parse_bytecode(archive.read(name)) == read_bytecode(tensor_ptl.path)
