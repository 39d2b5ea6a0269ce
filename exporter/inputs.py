"""What `forward` takes: name, shape, dtype and range of each tensor, from what the user says."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

import numpy as np
from torch import nn

from runtime_check.artifact.archive import MAX_GOLDEN_BYTES
from runtime_check.artifact.metadata import InputTensor
from runtime_check.artifact.tensors import Dtype

from .checks import MOST_ELEMENTS
from .errors import UsageError, did_you_mean

# An .npz may say of itself that it unpacks to anything.
_MOST_BYTES = 8 * MOST_ELEMENTS
# Of one call's tensors: a file brings them with it, as base64 in a record that every reader limits,
# beside outputs of 2 MB and what JSON takes.
MOST_INPUT_BYTES = (MAX_GOLDEN_BYTES - 3 * 2**20) // 4 * 3


def require_room(takes: Sequence[InputTensor]) -> None:
    """Raise `UsageError` where no file could hold one golden input of this size."""
    size = sum(math.prod(spec.shape) * np.dtype(spec.dtype).itemsize for spec in takes)
    if size > MOST_INPUT_BYTES:
        shapes = " and ".join(",".join(map(str, spec.shape)) for spec in takes)
        raise UsageError(
            f"--input-shape {shapes} takes {size / 1e6:.0f} MB, and a file that proves what it "
            f"computes brings an input with it, of {MOST_INPUT_BYTES / 1e6:.0f} MB at most. Export "
            "for a smaller size; for photos give --mean and --std, whose golden inputs are small "
            "whatever the network's size."
        )


def one_input(module: nn.Module, shape: tuple[int, ...]) -> tuple[InputTensor, ...]:
    """Describe the float32 input of a module that takes one."""
    names = [*_parameters(module)]
    return (InputTensor(name=names[0] if names else "input", shape=list(shape)),)


def named_inputs(
    name: str, module: nn.Module, shapes: Mapping[str, tuple[int, ...]]
) -> tuple[InputTensor, ...]:
    """Describe float32 inputs of stated shapes, in the order of forward's parameters.

    `name` is the model's, for messages. Raises `UsageError` for names that are not forward's.
    """
    ordered = _in_order(name, module, list(shapes), "--input-shape")
    return tuple(InputTensor(name=n, shape=list(shapes[n])) for n in ordered)


def inputs_like(
    name: str, module: nn.Module, example: Path
) -> tuple[tuple[InputTensor, ...], tuple[np.ndarray, ...]]:
    """Describe inputs like those of an .npz file, with the arrays themselves.

    Their shapes, dtypes, and the range of their values are taken. Raises `UsageError`.
    """
    arrays = _read(example)
    ordered = _in_order(name, module, list(arrays), "--example")
    described = []
    for key in ordered:
        array = arrays[key]
        low, high = float(array.min()), float(array.max())
        described.append(
            InputTensor.model_validate(
                {
                    "name": key,
                    "shape": list(array.shape),
                    "dtype": str(array.dtype),
                    "low": low,
                    "high": high,
                }
            )
        )
    return tuple(described), tuple(arrays[key] for key in ordered)


def _parameters(module: nn.Module) -> dict[str, bool]:
    """Return the names of forward's parameters, and whether each has to be given."""
    try:
        signature = inspect.signature(module.forward)
    except (TypeError, ValueError):
        return {}
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return {
        name: parameter.default is inspect.Parameter.empty
        for name, parameter in signature.parameters.items()
        if parameter.kind in kinds and name != "self"
    }


def _in_order(model: str, module: nn.Module, given: list[str], option: str) -> list[str]:
    parameters = _parameters(module)
    takes = f"forward of {model} takes {', '.join(parameters) or 'no named parameters'}"
    for name in given:
        if name not in parameters:
            hint = did_you_mean(name, list(parameters), most=1)
            raise UsageError(f"{option} names the input {name!r}, and {takes}.{hint}")
    missing = [name for name, needed in parameters.items() if needed and name not in given]
    if missing:
        raise UsageError(f"{option} does not give {', '.join(missing)}, and {takes}.")
    ordered = [name for name in parameters if name in given]
    if ordered != [*parameters][: len(ordered)]:
        left = next(name for name in parameters if name not in given)
        raise UsageError(
            f"{option} leaves out {left}, which comes before others: a file takes its inputs by "
            "their order. Give it as well."
        )
    return ordered


def _read(path: Path) -> dict[str, np.ndarray]:
    """Read the arrays of an .npz file; raise `UsageError` for what no file can take."""
    known = get_args(Dtype)
    try:
        with np.load(path, allow_pickle=False) as stored:
            sizes = [info.file_size for info in stored.zip.infolist()]
            if sum(sizes) > _MOST_BYTES:
                raise UsageError(f"--example {path} holds {sum(sizes) / 1e6:.0f} MB; {_LESS}")
            arrays = {key: np.asarray(stored[key]) for key in stored.files}
    except FileNotFoundError:
        raise UsageError(f"--example {path} is not there. {_HOW}") from None
    except IsADirectoryError:
        raise UsageError(f"--example {path} is a folder. {_HOW}") from None
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"--example {path} is no .npz file of plain arrays. {_HOW}") from error
    if not arrays:
        raise UsageError(f"--example {path} holds no array. {_HOW}")
    for key, array in arrays.items():
        if str(array.dtype) not in known:
            raise UsageError(
                f"--example {path}: {key} is {array.dtype}, and files take {', '.join(known)}."
            )
        if not array.size or math.prod(array.shape) > MOST_ELEMENTS:
            raise UsageError(f"--example {path}: {key} has {array.size} values; {_LESS}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise UsageError(f"--example {path}: {key} holds NaN or infinity.")
    return arrays


_LESS = f"from 1 to {MOST_ELEMENTS} values can be exported."
_HOW = "Write one in Python: `numpy.savez('inputs.npz', x=array, mask=array)`."
