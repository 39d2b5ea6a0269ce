"""Read the weights in a TorchScript archive as data: its code is neither loaded nor run.

The archive's `data.pkl` is the tree of the module's attributes, in which each tensor names a record
of bytes. The tree is read by `artifact.pickles`, which builds nothing but names and numbers.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..artifact.pickles import Node, read_tree
from ..artifact.zips import OddZip, check_zip
from ..errors import UnreadableArtifact

if TYPE_CHECKING:
    import torch

# The networks of timm have a few thousand; a file may share one among many on many levels.
_MOST_MODULES = 100_000
_MOST_PICKLE_BYTES = 64 * 2**20
_DTYPES = {
    "FloatStorage": "float32",
    "DoubleStorage": "float64",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
}
_REBUILD = "torch._utils _rebuild_tensor_v2"


def is_torchscript(path: Path) -> bool:
    """Say whether the file is an archive that `torch.jit.save` wrote."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        names = {name.partition("/")[2] for name in archive.namelist()}
    return {"constants.pkl", "data.pkl"} <= names


def read_torchscript(path: Path) -> dict[str, torch.Tensor]:
    """Return every tensor that is an attribute of the module or of one inside it, by its name.

    These are parameters and buffers, persistent or not: the archive does not tell them apart.
    Raises `UnreadableArtifact` for an archive that torch did not write, or a quantized one.
    """
    try:
        with path.open("rb") as stream:
            check_zip(stream)
            with zipfile.ZipFile(stream) as archive:
                return _weights(archive)
    except UnreadableArtifact:
        raise
    except (OddZip, zipfile.BadZipFile, zlib.error, *_ODD) as error:
        raise UnreadableArtifact(f"it is not as torch writes it ({error}).") from error


# What a tree of another form than torch's runs into.
_ODD = (OSError, EOFError, ValueError, TypeError, LookupError, RuntimeError, NotImplementedError)


def _weights(archive: zipfile.ZipFile) -> dict[str, torch.Tensor]:
    root = next(n for n in archive.namelist() if n.endswith("/data.pkl")).rpartition("/")[0]
    order = f"{root}/byteorder"
    if order in archive.namelist() and archive.read(order) != b"little":
        raise UnreadableArtifact("it was written on a big-endian machine.")
    if archive.getinfo(f"{root}/data.pkl").file_size > _MOST_PICKLE_BYTES:
        raise UnreadableArtifact("its data.pkl is implausibly long.")
    tree = read_tree(archive.read(f"{root}/data.pkl"))
    storages: dict[str, bytes] = {}
    found = {}
    for name, node in _attributes(tree):
        found[name] = _tensor(node, archive, root, storages)
    return found


def _attributes(root: Any) -> Iterator[tuple[str, Node]]:
    """Yield the tensors below a module: a `BUILD` of an object and the dict of its attributes."""
    if not isinstance(root, Node) or root.kind != "BUILD":
        raise TypeError("its data.pkl holds no module")
    left, visited = [("", root)], 0
    while left:
        prefix, module = left.pop()
        visited += 1
        if visited > _MOST_MODULES:
            raise ValueError(f"it has more than {_MOST_MODULES} modules")
        values = module[1]
        if not isinstance(values, Node) or values.kind != "dict":
            continue
        for key, value in zip(values[::2], values[1::2], strict=True):
            if not isinstance(value, Node):
                continue
            if value.kind == "BUILD":
                left.append((f"{prefix}{key}.", value))
            elif value.kind == "REDUCE" and _called(value) == _REBUILD:
                yield f"{prefix}{key}", value
            elif value.kind == "REDUCE" and "_rebuild_qtensor" in _called(value):
                raise UnreadableArtifact(
                    f"{prefix}{key} is quantized, and no weight of a float model."
                )


def _called(node: Node) -> str:
    return node[0].text if isinstance(node[0], Node) else ""


def _tensor(
    node: Node, archive: zipfile.ZipFile, root: str, storages: dict[str, bytes]
) -> torch.Tensor:
    """Make a tensor of its storage, offset, sizes and strides; a copy."""
    import torch

    storage, offset, sizes, strides = node[1][:4]
    _, kind, key, _, count = storage[0]
    dtype = getattr(torch, _DTYPES[kind.text.split()[-1]])
    key = _record(key)
    if key not in storages:
        storages[key] = archive.read(f"{root}/data/{key}")
    data = storages[key]
    if len(data) != count * dtype.itemsize:
        raise ValueError(f"the record data/{key} has {len(data)} bytes, not {count} values")
    if not data:
        return torch.zeros(tuple(sizes), dtype=dtype)
    flat = torch.frombuffer(bytearray(data), dtype=dtype)
    return flat.as_strided(tuple(sizes), tuple(strides), offset).clone()


def _record(key: Any) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a record called {key!r}")
    return key


def without_derived(
    state: Mapping[str, torch.Tensor], derived: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Leave out buffers that the model makes itself and does not save, where both have one value.

    `derived` are those of the model. Another value stays, and so is refused as unknown: it may be
    of another input size.
    """
    import torch

    def known(name: str, value: torch.Tensor) -> bool:
        own = derived.get(name)
        return own is not None and not own.is_meta and torch.equal(own, value)

    return {name: value for name, value in state.items() if not known(name, value)}
