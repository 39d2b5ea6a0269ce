"""Catch files that were packed for another quantized engine than the phone's.

Phones run QNNPACK and XNNPACK, both behind torch's engine name `qnnpack`. The engine that is set
while weights are packed decides what the saved file holds: `x86`, `onednn` and `fbgemm` make a
fresh copy of the weights each time they are read, so the saver writes them twice.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import torch
from torch import nn

from runtime_check.runtimes.lite import quantized_engine as quantized_engine

from ..errors import WrongEngine

# Smaller equal records (scales, zero biases) are equal by chance, not by a second copy.
_SMALLEST_WEIGHT_RECORD = 1024


# A file of a server engine holds every int8 weight twice: nearly half of its bytes are copies.
_SUSPICIOUS = 0.2


def foreign_packed_layers(module: nn.Module) -> tuple[str, ...]:
    """Name the int8 layers of `module` whose weights are packed for an engine other than QNNPACK.

    QNNPACK keeps the original weight beside the packed one and hands out that very storage;
    the server engines unpack into a new tensor at every call. That difference is what shows.
    """
    foreign = []
    for name, layer in module.named_modules():
        if name.endswith("_packed_params"):
            continue  # the holder inside a Linear that was looked at itself
        if isinstance(getattr(layer, "_packed_params", None), nn.Module | torch.ScriptObject):
            unpack = getattr(layer, "_weight_bias", None)
            if unpack is None:
                continue
            first, second = unpack()[0], unpack()[0]
            if first.data_ptr() != second.data_ptr():
                foreign.append(name)
    return tuple(foreign)


def require_phone_packing(module: nn.Module) -> None:
    """Raise WrongEngine when any int8 layer of `module` is packed for a server engine."""
    foreign = foreign_packed_layers(module)
    if foreign:
        raise WrongEngine(
            f"{len(foreign)} int8 layers (first: {foreign[0]}) are packed for a server engine "
            "(x86, onednn or fbgemm). A phone runs QNNPACK: the file would hold its weights "
            "twice and its 7-bit ranges. Convert the module with "
            'torch.backends.quantized.engine = "qnnpack", or let exporter quantize it.'
        )


def duplicated_weights(path: Path) -> dict[str, int]:
    """Find records of a saved file that are stored more than once: name of the copy -> bytes.

    Records that hold one repeated byte (zero points, zero biases) do not count. Raises ValueError
    when `path` is not a zip archive.
    """
    copies = {}
    seen: set[tuple[int, int]] = set()
    try:
        with zipfile.ZipFile(path) as archive:
            for record in archive.infolist():
                if record.file_size < _SMALLEST_WEIGHT_RECORD:
                    continue
                key = (record.CRC, record.file_size)
                if key in seen and len(set(archive.read(record))) > 1:
                    copies[record.filename] = record.file_size
                seen.add(key)
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path} is not a TorchScript file (not a zip archive).") from error
    return copies


def require_single_weights(path: Path) -> None:
    """Raise WrongEngine when the file at `path` stores its weights twice.

    A few equal records prove nothing: ConViT starts every layer's values as the same identity.
    """
    copies = duplicated_weights(path)
    with zipfile.ZipFile(path) as archive:
        stored = sum(r.file_size for r in archive.infolist() if not r.filename.endswith("pkl"))
    if sum(copies.values()) > _SUSPICIOUS * stored:
        megabytes = sum(copies.values()) / 1e6
        raise WrongEngine(
            f"{path} stores {megabytes:.1f} MB of weights a second time ({len(copies)} records, "
            f"first: {next(iter(copies))}). That happens when int8 weights were packed or the "
            'file was saved with a server engine. Set torch.backends.quantized.engine = "qnnpack" '
            "before quantizing and while saving."
        )
