"""Golden vectors: the inputs a file brings with it, and what it must give for them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from torch import Tensor

import runtime_check.artifact.metadata as contract

from ..expected import Expected
from ..image.samples import Sample
from ..inputs import MOST_INPUT_BYTES
from ..plan import Plan

# Bytes that golden vectors add to a file, as they are stored, unless one input takes more alone:
# an example of the user's, which is kept as it is, or noise of above 3 M values.
MOST_GOLDEN = 2_000_000
# Bytes of golden outputs, two million as base64: larger ones are sampled.
MOST_EXPECTED = 1_450_000
# Bytes of golden inputs above which one has to do.
_MOST_INPUTS = 1_500_000

_Case = tuple[Sample, Sequence[Tensor]]


def golden_vectors(plan: Plan, expected: Expected) -> contract.Golden:
    """Return inputs and the outputs the file must give for them, to be replayed on a phone."""
    kept: list[_Case] = [*zip(plan.samples, expected.outputs, strict=True)]
    room = MOST_EXPECTED
    if plan.preprocess is None:
        # Bare networks take megabytes an input; two are enough to prove parity on a phone.
        kept = kept[:1] + kept[2:3] if plan.source.example else kept[1:3]
        kept, room = _fitting(kept)
    most = _values_kept([outputs for _, outputs in kept], room)
    cases = [
        contract.GoldenCase(
            name=sample.name,
            inputs=[contract.TensorData.of(t.numpy()) for t in sample.inputs],
            expected=[contract.SampledData.sampled(t.numpy(), most, seed=index) for t in outputs],
        )
        for index, (sample, outputs) in enumerate(kept)
    ]
    return contract.Golden(tolerance=expected.phone, cases=cases)


def _fitting(cases: list[_Case]) -> tuple[list[_Case], int]:
    """Return the cases whose inputs fit, the first in any case, and the bytes left for outputs."""
    sizes = [sum(_stored(tensor) for tensor in sample.inputs) for sample, _ in cases]
    plain = sum(tensor.nbytes for sample, _ in cases for tensor in sample.inputs)
    if sum(sizes) > _MOST_INPUTS or plain > MOST_INPUT_BYTES:
        cases, sizes = cases[:1], sizes[:1]
    # What a user gives as an example may fill the room alone.
    left = max(MOST_GOLDEN - sum(sizes), MOST_GOLDEN - _MOST_INPUTS)
    return cases, min(MOST_EXPECTED, left)


def _stored(tensor: Tensor) -> int:
    """Return about how many bytes a golden input takes in the file, deflated; rather too many."""
    data = contract.TensorData.of(tensor.numpy()).data
    return len(zlib.compress(data.encode("ascii"), 4))


def _values_kept(outputs: Sequence[Sequence[Tensor]], room: int) -> int:
    """Return how many values of each golden output fit into `room` bytes."""
    tensors = [tensor for sample in outputs for tensor in sample]
    total = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    if total <= room:
        return max(tensor.numel() for tensor in tensors)
    # Small outputs are kept whole, and leave the others more room.
    left, count = room, len(tensors)
    for tensor in sorted(tensors, key=lambda t: t.numel() * t.element_size()):
        size = tensor.numel() * tensor.element_size()
        if size > left // count:
            break
        left, count = left - size, count - 1
    widest = max(tensor.element_size() for tensor in tensors)
    return max(1, left // count // widest)
