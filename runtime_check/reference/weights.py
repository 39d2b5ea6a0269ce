"""Read weights without running code from the file, and identify them by a hash of their values."""

from __future__ import annotations

import argparse
import hashlib
import re
import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BuildError, RuntimeCheckError, UnreadableArtifact
from .hub import is_hub_id
from .prefixes import strip
from .torchscript import is_torchscript, read_torchscript, without_derived

if TYPE_CHECKING:
    import torch

# Where training scripts put the state dict inside a checkpoint (timm and torchvision use these).
_WRAPPERS = (
    *("state_dict_ema", "model_ema", "state_dict", "model_state_dict", "model", "module"),
    *("net", "network"),
)


class DoesNotFit(BuildError):
    """The weights have other names or shapes than the model."""


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
        for text in (name, dtype_name(tensor)):
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


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The weights in the file `path`, and which they are where it holds several.

    `entry` is the key they were found under, None where the file is the state dict itself;
    `others` are the keys of further weights, which were not taken. `architecture` is what the file
    says that it was trained as. `scripted` says that it is a TorchScript archive. `prefix` is what
    was stripped from the names of the file, and `left_out` are the names that did not have it; see
    `fitted`.
    """

    path: Path
    state: Mapping[str, torch.Tensor]
    entry: str | None = None
    others: tuple[str, ...] = ()
    architecture: str | None = None
    scripted: bool = False
    prefix: str = ""
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class WeightsRead:
    """What was decided in reading weights.

    `entry` and what follows are the checkpoint's. `converted` counts the tensors that became
    float32, by the dtype that they had. `built` is how the model was made to fit the tensors.
    """

    file: str | None = None
    entry: str | None = None
    others: tuple[str, ...] = ()
    scripted: bool = False
    prefix: str = ""
    left_out: tuple[str, ...] = ()
    built: tuple[str, ...] = ()
    converted: Mapping[str, int]

    def sentences(self) -> list[str]:
        """Say what a reader of a report should know; nothing about an ordinary file."""
        said = []
        if self.others:
            said.append(
                f"of the weights in {self.file}, {self.entry} was taken, "
                f"not {' or '.join(self.others)}"
            )
        if self.scripted:
            said.append(f"the weights in {self.file}, a TorchScript archive, were read as data")
        if self.prefix:
            said.append(f"{self.prefix} was stripped from the names of the weights in {self.file}")
        if self.left_out:
            said.append(
                f"{len(self.left_out)} other tensors in {self.file} were left out (first: "
                f"{self.left_out[0]})"
            )
        if self.built:
            said.append(f"as the weights in {self.file} are, so the model: {', '.join(self.built)}")
        if self.converted:
            counts = ", ".join(f"{count} in {dtype}" for dtype, count in self.converted.items())
            said.append(f"weights were converted to float32 ({counts})")
        return said


def load_weights(path: Path | str) -> Checkpoint:
    """Read a state dict from safetensors, from a TorchScript archive, or from a pickle.

    Pickles are read with `weights_only=True`, and `argparse.Namespace` beside it: timm's training
    script saves its options so. Checkpoints that wrap the state dict (`state_dict`, `model`,
    `state_dict_ema`, `net`, ...) are unwrapped, averaged weights (EMA) before others. Raises
    `UnreadableWeights` for anything else; code in the file never runs.
    """
    path = Path(path)
    if not path.is_file():
        hint = " Pass a hub id as the model, not as its weights." if is_hub_id(str(path)) else ""
        raise UnreadableWeights(f"There is no weights file {path}.{hint}")
    if path.suffix == ".safetensors":
        return _unwrap(_load_safetensors(path), path)
    if is_torchscript(path):
        return replace(_unwrap(_load_torchscript(path), path), scripted=True)
    return _unwrap(_load_pickle(path), path)


def fitted(module: torch.nn.Module, checkpoint: Checkpoint) -> Checkpoint:
    """Strip the prefix without which the names in `checkpoint` fit `module`, if there is one.

    Of a TorchScript archive, buffers are left out that `module` makes itself and does not save.
    """
    wanted = module.state_dict()
    checkpoint = _without_parallel_parts(checkpoint, wanted)
    found = strip(checkpoint.state, wanted)
    state: Mapping[str, torch.Tensor] = checkpoint.state
    if found.prefix:
        inside = (name for name in state if name.startswith(found.prefix))
        state = {name.removeprefix(found.prefix): state[name] for name in inside}
    if checkpoint.scripted:
        derived = {name: value for name, value in module.named_buffers() if name not in wanted}
        state = without_derived(state, derived)
    prefix = checkpoint.prefix + found.prefix
    left_out = (*checkpoint.left_out, *found.left_out)
    return replace(checkpoint, state=state, prefix=prefix, left_out=left_out)


def _without_parallel_parts(
    checkpoint: Checkpoint, wanted: Mapping[str, torch.Tensor]
) -> Checkpoint:
    """Leave out `.module.` in the middle of names, from a DataParallel around a part of a model.

    Only where the names then are those that are `wanted`.
    """
    plain = {name.replace(".module.", "."): value for name, value in checkpoint.state.items()}
    if plain.keys() == checkpoint.state.keys() or plain.keys() != wanted.keys():
        return checkpoint
    return replace(checkpoint, state=plain)


def without_module(checkpoint: Checkpoint) -> Checkpoint:
    """Strip DataParallel's `module.` where all names have it, whatever the model calls them."""
    plain = {name: value for name, value in checkpoint.state.items() if name != "n_averaged"}
    if not all(name.startswith("module.") for name in plain):
        return checkpoint
    state = {name.removeprefix("module."): value for name, value in plain.items()}
    return replace(checkpoint, state=state, prefix="module.")


def load_into(module: torch.nn.Module, checkpoint: Checkpoint, *, name: str) -> WeightsRead:
    """Load `checkpoint` into the float32 model called `name`; return what was decided.

    A prefix is stripped from its names first; see `fitted`. Raises `DoesNotFit` unless every
    parameter and buffer is there, and nothing else, and `UnreadableWeights` where another dtype
    would change values; see `check_dtypes`.
    """
    checkpoint = fitted(module, checkpoint)
    read, where = check_dtypes(module, checkpoint, name=name), checkpoint.path
    try:
        missing, unexpected = module.load_state_dict(checkpoint.state, strict=False)
    except RuntimeError as error:
        lines = [line.strip(" \t.") for line in str(error).splitlines() if "size mismatch" in line]
        detail = "; ".join(lines[:2]) or str(error).splitlines()[0]
        raise DoesNotFit(
            f"{where} does not fit {name}: {detail[:400]}. Check that the checkpoint was trained "
            "with this very architecture and input size."
        ) from error
    if missing or unexpected:
        parts = []
        if missing:
            parts.append(f"{len(missing)} missing (first: {missing[0]})")
        if unexpected:
            parts.append(f"{len(unexpected)} unknown (first: {unexpected[0]})")
        raise DoesNotFit(
            f"{where} does not fit {name}: of its parameters {' and '.join(parts)}. Check that the "
            "checkpoint was trained with this very architecture."
        )
    return read


def check_dtypes(module: torch.nn.Module, checkpoint: Checkpoint, *, name: str) -> WeightsRead:
    """Refuse a checkpoint whose values torch would change in copying them to `module`.

    float16, bfloat16 and float64 are rounded to float32, and counted. Anything else in place of
    floating numbers (integers, bool, complex, float8, quantized) has no scale that torch would
    apply, and integers must keep their values. Raises `UnreadableWeights` naming the tensor.
    """
    import torch

    converted: Counter[str] = Counter()
    for key, wanted in module.state_dict().items():
        given = checkpoint.state.get(key)
        # A module that is int8 already holds packed tuples and dtypes beside its tensors.
        if given is None or not isinstance(wanted, torch.Tensor) or given.dtype == wanted.dtype:
            continue
        if not _keeps_values(given, wanted.dtype):
            raise UnreadableWeights(
                f"{checkpoint.path} holds {key} in {dtype_name(given)}, and {name} in "
                f"{dtype_name(wanted)}: copying would change its values. Save the state dict of "
                "the trained float model itself, not one that was quantized or encoded."
            )
        if wanted.is_floating_point():
            converted[dtype_name(given)] += 1
    return WeightsRead(
        file=checkpoint.path.name,
        entry=checkpoint.entry,
        others=checkpoint.others,
        scripted=checkpoint.scripted,
        prefix=checkpoint.prefix,
        left_out=checkpoint.left_out,
        converted=dict(sorted(converted.items())),
    )


def dtype_name(tensor: torch.Tensor) -> str:
    """Return `float32` for torch.float32."""
    return str(tensor.dtype).removeprefix("torch.")


def _keeps_values(given: torch.Tensor, wanted: torch.dtype) -> bool:
    """Say whether copying to `wanted` keeps the values, up to float32's own rounding."""
    import torch

    if wanted.is_floating_point:
        if given.dtype not in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
            return False
        return bool((given.to(wanted).isfinite() == given.isfinite()).all())
    if given.is_quantized or given.is_complex() != wanted.is_complex:
        return False
    return wanted.is_complex or bool((given.to(wanted).to(given.dtype) == given).all())


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
        # A Namespace is a bag of attributes: filling it runs nothing.
        with torch.serialization.safe_globals([argparse.Namespace]):
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


def _load_torchscript(path: Path) -> object:
    try:
        return read_torchscript(path)
    except UnreadableArtifact as error:
        raise UnreadableWeights(
            f"The TorchScript archive {path} cannot be taken for weights: {error} Save "
            "`model.state_dict()` of the float model instead."
        ) from error


def _unwrap(loaded: object, path: Path) -> Checkpoint:
    import torch

    entry, others, architecture = None, [], None
    if isinstance(loaded, Mapping):
        architecture = loaded.get("arch")  # timm's training script
        held = [key for key, value in loaded.items() if _holds_tensors(value)]
        entry = next((key for key in _WRAPPERS if key in held), None)
        if entry is not None:
            others = [str(key) for key in held if key != entry]
            loaded = loaded[entry]
    if not isinstance(loaded, Mapping) or not loaded:
        raise UnreadableWeights(
            f"{path} contains a {type(loaded).__name__}, not a state dict. Save "
            "`model.state_dict()` instead."
        )
    state = {str(name): tensor for name, tensor in loaded.items()}
    wrong = [name for name, value in state.items() if not isinstance(value, torch.Tensor)]
    if wrong:
        raise UnreadableWeights(
            f"{path} is not a plain state dict: {wrong[0]!r} is not a tensor. Save "
            "`model.state_dict()` instead."
        )
    return Checkpoint(
        path=path,
        state=state,
        entry=entry,
        others=tuple(others),
        architecture=architecture if isinstance(architecture, str) else None,
    )


def _holds_tensors(value: object) -> bool:
    """Say whether `value` may be a state dict; an optimizer's has its tensors further down."""
    import torch

    return isinstance(value, Mapping) and any(isinstance(v, torch.Tensor) for v in value.values())
