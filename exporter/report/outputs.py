"""What a file gives, in words: its task, what was added to the network, each output in a row."""

from __future__ import annotations

from dataclasses import dataclass

from runtime_check.artifact.metadata import Metadata, OutputTensor
from runtime_check.artifact.output import describe_output

_ADDED = {
    "softmax": "softmax over classes",
    "sigmoid": "sigmoid",
    "argmax": "the best class of each pixel (argmax)",
    "resize": "the map resized to the photo",
    "normalize": "scaled to length 1 (normalize)",
}
_FEW = 2  # outputs that are described in a sentence


def task_line(metadata: Metadata) -> str:
    """Say what the outputs are for, how that is known, and what was added to the network."""
    basis = f": {metadata.task_basis}" if metadata.task_basis else ""
    return f"task {metadata.task or 'unknown'}{basis}; added: {added(metadata)}"


def added(metadata: Metadata) -> str:
    """Name what was added to the outputs, `nothing` where that is so."""
    tensors = metadata.output.tensors
    words = []
    for step in metadata.output.added:
        where = f" ({tensors[step.output].name})" if len(tensors) > 1 else ""
        words.append(_ADDED[step.function] + where)
    return ", ".join(words) or "nothing"


def returned(metadata: Metadata) -> str:
    """Say what comes out in a clause; many outputs are only named."""
    tensors = metadata.output.tensors
    if len(tensors) <= _FEW:
        return "; ".join(describe_output(metadata.output, i) for i in range(len(tensors)))
    names = ", ".join(tensor.name for tensor in tensors[: _FEW + 1])
    return f"{len(tensors)} outputs: {names}{', ...' if len(tensors) > _FEW + 1 else ''}"


@dataclass(frozen=True)
class OutputRow:
    """One output as the page lists it; `atol` where each output has a tolerance of its own."""

    name: str
    holds: str
    axes: str
    dtype: str
    unit: str
    lies: str
    atol: float | None


def output_rows(metadata: Metadata) -> list[OutputRow]:
    """Return a row for each output, in the order in which they are returned."""
    atols = metadata.tolerance.outputs
    return [
        OutputRow(
            name=tensor.name,
            holds=tensor.holds.replace("_", " "),
            axes=axes(tensor),
            dtype=tensor.dtype,
            unit=tensor.unit or "",
            lies={"photo": "the photo", "network": "what the network sees"}.get(
                tensor.space or "", ""
            ),
            atol=atols[index] if index < len(atols) else None,
        )
        for index, tensor in enumerate(metadata.output.tensors)
    ]


def axes(tensor: OutputTensor) -> str:
    """Write the dimensions with their sizes: `C 5 × H 48 × W 64`; a number names itself."""
    sizes = [
        word if word == str(size) else f"{word} {size}"
        for word, size in zip(tensor.axes, tensor.shape, strict=True)
    ]
    return " × ".join(sizes) or "one number"
