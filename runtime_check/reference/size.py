"""How large a model would be that only the file names, before any memory is spent on it.

Rebuilding happens in the process of the person who checks the file. timm knows names of models of
27 GB, and a repository on the hub may describe any size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import (
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)

from ..artifact.json_text import BadJson, read_json
from ..artifact.metadata import Metadata
from ..errors import BuildError
from .build import is_factory
from .hub import HubError, HubTooLarge, fetch, is_hub_id
from .timm_models import CHECKPOINTS, repository, require_model, untrained

# As float32. ConvNeXt-XLarge has 1.4 GB; a phone gives one app less than that.
MAX_PARAMETER_BYTES = 1_500_000_000
# Four megapixels in three channels: timm's largest input is one megapixel.
MAX_INPUT_VALUES = 3 * 2**22
# A checkpoint may hold moving averages and an optimizer beside the model.
_MAX_CHECKPOINT_BYTES = 4 * MAX_PARAMETER_BYTES
_MAX_CONFIG_BYTES = 2**20
# Counting stops here: the networks of timm have a few thousand modules, and below 30 GB.
_MOST_COUNTED = 100_000_000_000
_MOST_MODULES = 20_000
# Of a network's description on the hub: classes, channels, layers, pixels.
_LARGEST_NUMBER = 1_000_000


class TooLarge(BuildError):
    """The model that the file names, or its input, is larger than what is built unasked."""


def require_affordable(metadata: Metadata, *, exportable: bool, download: bool) -> None:
    """Raise `TooLarge` where the model in the provenance is beyond the limits above.

    Takes seconds and little memory whatever the file names: parameters are counted on torch's
    `meta` device. Factories are not called here; whoever trusts one trusts it to be small.
    `download` says that the weights are to come from where the file says.
    """
    model = metadata.provenance.model
    values = _input_values(metadata)
    if values > MAX_INPUT_VALUES:
        raise TooLarge(
            f"One input of {model} has {values / 1e6:.1f} million values, more than four "
            f"megapixels. {_how_to_allow(model)}"
        )
    if is_factory(model):
        return
    size = parameter_bytes(model, exportable=exportable)
    if size > MAX_PARAMETER_BYTES:
        raise TooLarge(
            f"{model} has {size / 1e9:.1f} GB of parameters, and a model that only the file "
            f"names is built up to {MAX_PARAMETER_BYTES / 1e9:.1f} GB. {_how_to_allow(model)}"
        )
    if download and is_hub_id(model) and metadata.provenance.weights.origin == "hub":
        _check_checkpoint(model)


def _input_values(metadata: Metadata) -> int:
    if metadata.input.kind == "tensor":
        return sum(math.prod(tensor.shape) for tensor in metadata.input.tensors)
    return math.prod(metadata.preprocessing.input_size) if metadata.preprocessing else 0


def _how_to_allow(model: str) -> str:
    return f"To compare all the same, pass --allow-large (or --reference {model})."


class _Enough(Exception):
    """The count has passed its limit."""


def parameter_bytes(name: str, *, exportable: bool) -> int:
    """Count the bytes of the parameters and buffers of a timm model without building it.

    Raises `BuildError` where there is no such model, and `TooLarge` where counting has no end.
    """
    require_model(name)
    if is_hub_id(name):
        _check_config(name)
    try:
        with torch.device("meta"), _limited():
            module = untrained(name, exportable=exportable)
    except _Enough:
        raise TooLarge(
            f"{name} has more than {_MOST_COUNTED / 1e9:.0f} GB of parameters or {_MOST_MODULES} "
            f"modules, and so has no model that is known. {_how_to_allow(name)}"
        ) from None
    except BuildError:
        raise
    except Exception as error:
        raise BuildError(
            f"{name} cannot be built: {type(error).__name__}: {str(error)[:200]}"
        ) from error
    return sum(
        tensor.numel() * tensor.element_size()
        for tensor in (*module.parameters(), *module.buffers())
    )


@contextmanager
def _limited() -> Iterator[None]:
    """Raise `_Enough` while a network is built that does not come to an end."""
    counted, modules = 0, 0

    def parameter(owner: nn.Module, name: str, value: Any) -> None:
        nonlocal counted
        counted += value.numel() * value.element_size() if value is not None else 0
        if counted > _MOST_COUNTED:
            raise _Enough

    def inner(owner: nn.Module, name: str, value: Any) -> None:
        nonlocal modules
        modules += 1
        if modules > _MOST_MODULES:
            raise _Enough

    hooks = [
        register_module_parameter_registration_hook(parameter),
        register_module_module_registration_hook(inner),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _check_config(name: str) -> None:
    """Refuse a description on the hub whose numbers no network has."""
    try:
        [path] = fetch(*repository(name), (("config.json",),), most=_MAX_CONFIG_BYTES)
        left = [read_json(path.read_bytes())]
    except (HubError, BadJson, OSError) as error:
        raise BuildError(f"No configuration for {name}: {error}.") from error
    while left:
        value = left.pop()
        if isinstance(value, (dict, list)):
            left.extend(value.values() if isinstance(value, dict) else value)
        elif isinstance(value, (int, float)) and abs(value) > _LARGEST_NUMBER:
            raise TooLarge(f"The configuration of {name} holds the number {value:.3g}.")


def _check_checkpoint(name: str) -> None:
    """Download the checkpoint of a hub id unless it is larger than any that is read."""
    try:
        fetch(*repository(name), (CHECKPOINTS,), most=_MAX_CHECKPOINT_BYTES)
    except HubTooLarge as error:
        raise TooLarge(f"{error}. {_how_to_allow(name)}") from error
    except HubError:
        pass  # what cannot be reached is said where the model is built
