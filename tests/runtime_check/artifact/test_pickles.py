"""Pickles are read as data."""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime_check import RuntimeCheckError, UnreadableArtifact, read_artifact
from runtime_check.artifact.pickles import Node, read_tree, walk
from runtime_check.testing.archives import (
    with_records,
)


def test_a_pickle_in_the_file_never_runs(tensor_ptl: Any, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    attack = b"cpathlib\nPath.touch\n(cpathlib\nPath\n(V" + str(marker).encode() + b"\ntRtR."
    for record in ("bytecode.pkl", "constants.pkl"):
        path = with_records(tensor_ptl.path, tmp_path / "a.ptl", {record: attack})
        with suppress(RuntimeCheckError):
            read_artifact(path)
    assert not marker.exists()


def plain(value: Any) -> Any:
    """What `pickle` would have made of a tree without calls."""
    if not isinstance(value, Node):
        return value
    parts = [plain(part) for part in value]
    if value.kind == "dict":
        return dict(zip(parts[::2], parts[1::2], strict=True))
    return {"tuple": tuple, "list": list}[value.kind](parts)


ATOMS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text()
)
VALUES = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text() | st.integers(-9, 9), inner)
    ),
    max_leaves=30,
)


@given(VALUES, st.booleans())
def test_it_reads_what_pickle_reads(value: Any, shared: bool) -> None:
    whole = [value, (value, value), {"again": value}] if shared else value
    tree = read_tree(pickle.dumps(whole, 2))
    assert plain(tree) == pickle.loads(pickle.dumps(whole, 2))
    if shared and value != () and isinstance(tree[0], Node):
        assert tree[0] is tree[1][0] is tree[2][1]


@pytest.mark.parametrize("value", [0, 255, 256, 65536, -1, 2**31, 2**63 - 1, -(2**63), "é" * 300])
def test_numbers_and_texts_of_every_width(value: Any) -> None:
    assert read_tree(pickle.dumps(value, 2)) == value


class _Inert(pickle.Unpickler):
    """Real unpickling that can only make numbers, texts and containers."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError("a global")

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("a storage")


@given(st.binary(max_size=3), st.integers(0, 400), st.integers(0, 3))
def test_a_damaged_pickle_reads_as_pickle_reads_it_or_not_at_all(
    patch: bytes, at: int, left_out: int
) -> None:
    value = [1, "two", (3.0, None, [4, {"five": (6, 7), "eight": [True]}]), {"a": 1}, "x" * 300]
    data = pickle.dumps(value, 2)
    data = data[:at] + patch + data[at + left_out :]
    try:
        tree = plain(read_tree(data))
    except (
        UnreadableArtifact,
        KeyError,
        TypeError,
        RecursionError,
    ):  # a call, an odd key, a circle
        return
    assert repr(tree) == repr(_Inert(io.BytesIO(data)).load())


BAD: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "no_end": lambda: pickle.dumps([1], 2)[:-1],
    "append_to_a_tuple": lambda: b"\x80\x02)K\x01a.",
    "appends_to_a_dict": lambda: b"\x80\x02}(K\x01K\x02e.",
    "items_of_a_list": lambda: b"\x80\x02](K\x01K\x02u.",
    "a_key_without_a_value": lambda: b"\x80\x02}(K\x01u.",
    "a_dict_of_one_part": lambda: b"\x80\x02(K\x01d.",
    "a_remembered_mark": lambda: b"\x80\x02(q\x00h\x00t.",
    "a_result_that_is_a_mark": lambda: b"\x80\x02(.",
    "a_memo_that_is_empty": lambda: b"\x80\x02h\x05.",
    "a_large_integer": lambda: pickle.dumps(2**64, 2),
    "a_larger_integer": lambda: pickle.dumps(2**70_000, 2),
    "a_million_opcodes": lambda: b"\x80\x02(" + b"N" * 1_000_001 + b"t.",
    "protocol_4": lambda: pickle.dumps((1, "a"), 4),
    "protocol_6": lambda: b"\x80\x06N.",
    "an_opcode_torch_does_not_write": lambda: b"I1\n.",
}


@pytest.mark.parametrize("make", BAD.values(), ids=BAD.keys())
def test_what_is_not_torchs_is_refused(make: Callable[[], bytes]) -> None:
    with pytest.raises(UnreadableArtifact):
        read_tree(make())


def test_a_tree_is_walked_once_per_node() -> None:
    """Thirty levels that each name the next one twice: 2**30 paths."""
    value: Any = ("leaf",)
    for _ in range(30):
        value = (value, value)
    assert len(list(walk(read_tree(pickle.dumps(value, 2))))) == 31


def test_a_list_that_holds_itself_is_walked() -> None:
    value: list[Any] = []
    value.append(value)
    data = pickle.dumps(value, 2)
    assert "APPEND" in [opcode.name for opcode, _, _ in pickletools.genops(data)]
    assert len(list(walk(read_tree(data)))) == 1
