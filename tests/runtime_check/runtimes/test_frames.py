"""What passes between a process and the child that runs a file: data, never objects."""

from __future__ import annotations

import io
import json
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime_check.runtimes.frames import MAX_HEADER, read_frame, unsendable, write_frame


def framed(header: object, data: bytes = b"") -> io.BytesIO:
    text = json.dumps(header).encode()
    return io.BytesIO(struct.pack("<I", len(text)) + text + data)


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", "float64", "bool"])
def test_what_is_written_is_read(dtype: str) -> None:
    tensors = [
        np.arange(6).reshape(2, 3).astype(dtype),
        np.zeros((0, 4), dtype),
        np.array(1, dtype),
    ]
    # Frames carry values, not strides.
    tensors.append(tensors[0].T)
    stream = io.BytesIO()
    write_frame(stream, {"do": "forward", "threads": 2}, tensors)
    stream.seek(0)
    header, read = read_frame(stream)
    assert header == {"do": "forward", "threads": 2}
    assert all(
        np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(tensors, read, strict=True)
    )


def test_the_layout_is_length_header_bytes() -> None:
    """Written by hand here, as the C++ runner writes it."""
    values = struct.pack("<2f", 1.5, -2.0)
    stream = framed({"ok": True, "tensors": [{"shape": [2], "dtype": "float32"}]}, values)
    header, (array,) = read_frame(stream)
    assert header == {"ok": True}
    assert array.tolist() == [1.5, -2.0]


def test_a_closed_pipe_is_told_from_nonsense() -> None:
    with pytest.raises(EOFError):
        read_frame(io.BytesIO())
    with pytest.raises(EOFError):
        read_frame(framed({"tensors": [{"shape": [2], "dtype": "float32"}]}, b"\0" * 7))


def tensor(shape: object, dtype: object = "float32") -> dict[str, object]:
    return {"shape": shape, "dtype": dtype}


@pytest.mark.parametrize(
    "header",
    [
        # Not what a header is.
        [], 1, "x", None, {}, {"tensors": None}, {"tensors": {}}, {"tensors": "ab"},
        {"tensors": [1]}, {"tensors": [None]}, {"tensors": [[]]}, {"tensors": [{}]},
        {"tensors": [tensor([1])] * 1001},
        # Dtypes: objects, records, dates, other byte orders, what is no name.
        *[{"tensors": [tensor([1], dtype)]}
          for dtype in ("object", "O", "V8", "i4,i4", "M8[s]", ">f4", "S100000000", "", "no", 3,
                        None, [], {}, ["float32"])],
        # Shapes: 2**31 * 2**31 * 4 is 0 in int64, and 2**62 * 4 too.
        *[{"tensors": [tensor(shape)]}
          for shape in (None, 3, "3", {}, [-1], [2**40], [2**31, 2**31], [2**62, 4], [1.5], [True],
                        [None], [[1]], ["1"], [10**400], [0, 2**62, 2**62], [0, 2**63], [1] * 9,
                        [-1, -1], [0, -1])],
        {"tensors": [tensor([2**23])] * 129},
    ],
)  # fmt: skip
def test_a_child_cannot_hand_back_objects_or_floods(header: object) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        read_frame(framed(header, b"\0" * 64))


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 100_000, b"NaN", b'{"tensors": [1e999]}',
     b'{"tensors": [], "tensors": []}', b"9" * 100_000, b"[]," * 100_000],
)  # fmt: skip
def test_a_header_that_is_no_json(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        read_frame(io.BytesIO(struct.pack("<I", len(text)) + text))


def test_a_header_has_a_limit() -> None:
    with pytest.raises(ValueError, match="header"):
        read_frame(io.BytesIO(struct.pack("<I", MAX_HEADER + 1)))


def test_an_answer_has_a_limit_for_all_tensors_together() -> None:
    two = {"tensors": [tensor([4]), tensor([4])]}
    header, tensors = read_frame(framed(two, b"\0" * 32), most=32)
    assert header == {}
    assert [t.shape for t in tensors] == [(4,), (4,)]
    with pytest.raises(ValueError, match="tensors of 32 bytes, more than 31"):
        read_frame(framed(two, b"\0" * 32), most=31)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([np.zeros(1, ">f4")], "dtype >f4"),
        ([np.array([None])], "dtype object"),
        ([np.zeros(1, "M8[s]")], "dtype datetime64"),
        ([np.zeros([1] * 9)], "9 dimensions"),
        ([np.zeros(0)] * 1001, "1001 tensors"),
    ],
)
def test_what_fits_no_frame_is_said_before_it_is_sent(value: list[np.ndarray], reason: str) -> None:
    assert reason in unsendable(value)
    assert not unsendable([np.zeros((1,) * 8, "float32"), np.array(True)])


class Guarded(io.BytesIO):
    """A stream that notes the most that was asked of it at once."""

    most = 0

    def read(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        assert size >= 0
        self.most = max(self.most, size)
        return super().read(size)


def _frame(header: object, data: bytes) -> bytes:
    return framed(header, data).getvalue()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    | st.sampled_from(["float32", "int64", "object", 2**31, 2**62, -1]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from(["tensors", "shape", "dtype", "ok"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
ENTRIES = st.lists(
    st.fixed_dictionaries({"shape": JSON | st.lists(JSON, max_size=10), "dtype": JSON}) | JSON,
    max_size=4,
)
HEADERS = JSON | st.fixed_dictionaries({"tensors": ENTRIES})


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A good frame with some bytes replaced, and cut or prolonged."""
    stream = io.BytesIO()
    tensors = [np.ones((2, 3), np.float32), np.zeros(0, np.uint8), np.array(7)]
    write_frame(stream, {"ok": True, "seconds": [0.5]}, tensors)
    data = bytearray(stream.getvalue())
    for _ in range(draw(st.integers(0, 4))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))]) + draw(st.binary(max_size=8))


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=200) | mutated() | st.builds(_frame, HEADERS, st.binary(max_size=99)))
def test_whatever_a_child_sends_is_a_frame_or_one_of_two_errors(data: bytes) -> None:
    stream = Guarded(data)
    try:
        header, tensors = read_frame(stream, most=1000)
    except (EOFError, ValueError):
        pass
    else:
        assert isinstance(header, dict)
        assert sum(t.nbytes for t in tensors) <= 1000
    assert stream.most <= MAX_HEADER
