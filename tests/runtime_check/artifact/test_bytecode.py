"""What a file asks of a runtime, read without unpickling it."""

from __future__ import annotations

import pickle
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


def function(*rows: tuple[Any, ...], calls: tuple[int, ...] = ()) -> tuple[Any, ...]:
    instructions = (*(("OP", index, 0) for index in calls), ("RET", 0, 0))
    return ("__torch__.forward", (("instructions", instructions), ("operators", rows)))


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


@pytest.mark.parametrize(
    "value", [(), (8, ()), ("eight",), (8, ("f", (("operators", ()),))), (8, function(calls=(4,)))]
)
def test_anything_else_is_refused(value: Any) -> None:
    with pytest.raises(UnreadableArtifact):
        parse_bytecode(pickle.dumps(value, 2))


def test_the_record_is_in_the_archive(tensor_ptl: Any) -> None:
    with zipfile.ZipFile(tensor_ptl.path) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith("/bytecode.pkl")]
        assert parse_bytecode(archive.read(name)) == read_bytecode(tensor_ptl.path)
