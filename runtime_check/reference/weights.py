"""Read weights without running code from the file, and identify them by a hash of their values."""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BuildError, RuntimeCheckError
from .hub import is_hub_id

if TYPE_CHECKING:
    import torch

# Where training scripts put the state dict inside a checkpoint (timm and torchvision use these).
_WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model_state_dict", "model", "module")


class UnreadableWeights(RuntimeCheckError):
    """The file does not hold a state dict that can be read without running code from it."""


def state_dict_sha256(state_dict: Mapping[str, torch.Tensor]) -> str:
    """Hash a state dict: for every entry in order its name, dtype, shape and bytes.

    Names and dtypes are UTF-8 behind a uint32 length, shapes int64 behind their count, values
    little-endian in C order, so that no two state dicts share one stream. Returns 64 hex digits.
    Independent of device and strides. Hash `module.state_dict()`, after loading: safetensors
    files keep their own order of entries.
    """

    digest = hashlib.sha256()
    for name, tensor in _tensors(state_dict):
        for text in (name, str(tensor.dtype).removeprefix("torch.")):
            encoded = text.encode()
            digest.update(struct.pack("<I", len(encoded)))
            digest.update(encoded)
        digest.update(struct.pack(f"<I{tensor.dim()}q", tensor.dim(), *tensor.shape))
        digest.update(_bytes(tensor))
    return digest.hexdigest()


def _bytes(tensor: torch.Tensor) -> memoryview:
    """Return the values in C order, whatever the tensor's layout, strides and dtype."""
    import torch

    plain = tensor.detach().cpu()
    if plain.is_quantized:
        plain = plain.int_repr()
    if plain.layout != torch.strided:
        plain = plain.to_dense()
    plain = plain.resolve_conj().resolve_neg().contiguous()
    # A tensor of one value or none is contiguous with any stride, and `view` wants a stride of 1.
    flat = plain.as_strided((plain.numel(),), (1,))
    # Every torch dtype as bytes: numpy has no bfloat16 to ask for.
    return memoryview(flat.view(torch.uint8).numpy().data)


def _tensors(state_dict: Mapping[str, Any]) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the tensors; quantized modules keep packed tuples and dtypes beside them."""
    import torch

    for name, value in state_dict.items():
        parts = value if isinstance(value, tuple) else (value,)
        for part in parts:
            if isinstance(part, torch.Tensor):
                yield name, part


def load_weights(path: Path | str) -> dict[str, torch.Tensor]:
    """Load a state dict from safetensors, or from a pickle with `weights_only=True`.

    Checkpoints that wrap the state dict (`state_dict`, `model`, `state_dict_ema`, ...) are
    unwrapped and a `module.` prefix from DataParallel is dropped. Raises `UnreadableWeights` for
    anything else; code in the file never runs.
    """
    path = Path(path)
    if not path.is_file():
        hint = " Pass a hub id as the model, not as its weights." if is_hub_id(str(path)) else ""
        raise UnreadableWeights(f"There is no weights file {path}.{hint}")
    loaded = _load_safetensors(path) if path.suffix == ".safetensors" else _load_pickle(path)
    return _unwrap(loaded, path)


def load_into(
    module: torch.nn.Module, state: Mapping[str, torch.Tensor], *, where: str, name: str
) -> None:
    """Load `state`, read from `where`, into the model called `name`.

    Raises `BuildError` unless every parameter and buffer is there, and nothing else.
    """
    try:
        missing, unexpected = module.load_state_dict(state, strict=False)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines() if "size mismatch" in line]
        detail = "; ".join(lines[:2]) or str(error).splitlines()[0]
        raise BuildError(
            f"{where} does not fit {name}: {detail[:400]}. Check that the checkpoint was trained "
            "with this very architecture and input size."
        ) from error
    if missing or unexpected:
        parts = []
        if missing:
            parts.append(f"{len(missing)} missing (first: {missing[0]})")
        if unexpected:
            parts.append(f"{len(unexpected)} unknown (first: {unexpected[0]})")
        raise BuildError(
            f"{where} does not fit {name}: of its parameters {' and '.join(parts)}. Check that the "
            "checkpoint was trained with this very architecture."
        )


def _load_safetensors(path: Path) -> object:
    import safetensors
    import safetensors.torch

    try:
        return safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise UnreadableWeights(
            f"{path} cannot be read as safetensors ({error}): it is damaged or has another format. "
            "Download or save it again."
        ) from error


def _load_pickle(path: Path) -> object:
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    # What torch raises for a file of another format depends on its first bytes.
    except Exception as error:
        named = re.search(r"Unsupported global: GLOBAL (\S+)", str(error))
        if not named:
            raise UnreadableWeights(
                f"{path} is not a checkpoint that torch can read: it is damaged or has another "
                "format. Expected .safetensors, or a .pt/.pth state dict."
            ) from error
        raise UnreadableWeights(
            f"{path} contains more than tensors ({named[1]}), and loading it would run code "
            "from the file. On the machine that made it, save only the state dict: "
            "safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')."
        ) from error


def _unwrap(loaded: object, path: Path) -> dict[str, torch.Tensor]:
    import torch

    for key in _WRAPPERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
            break
    if not isinstance(loaded, Mapping) or not loaded:
        raise UnreadableWeights(
            f"{path} contains a {type(loaded).__name__}, not a state dict. Save "
            "`model.state_dict()` instead."
        )
    others = [str(k) for k, v in loaded.items() if not isinstance(v, torch.Tensor)]
    if others:
        raise UnreadableWeights(
            f"{path} is not a plain state dict: {others[0]!r} is not a tensor. Save "
            "`model.state_dict()` instead."
        )
    names = [str(name) for name in loaded]
    wrapped = all(name.startswith("module.") for name in names)
    return {
        (name.removeprefix("module.") if wrapped else name): tensor
        for name, tensor in zip(names, loaded.values(), strict=True)
    }
