"""Build a timm model to fit a checkpoint of it: other classes, other channels, no classifier.

Where it does not fit, the architectures are named whose tensors it does fit.
"""

from __future__ import annotations

import difflib
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import BuildError
from .hub import is_hub_id
from .timm_models import ImageSize, architecture, at_its_size, create, heads, import_timm
from .weights import Checkpoint, DoesNotFit, WeightsRead, fitted, load_into, load_weights

# Building one without memory takes some 0.1 s, a large transformer half a second.
_MOST_COMPARED = 40
_MOST_SECONDS = 5.0
_MOST_NAMED = 3


def fine_tuned(
    name: str, path: Path, *, exportable: bool, img_size: ImageSize | None = None
) -> tuple[nn.Module, WeightsRead]:
    """Build `name` with the checkpoint in `path`, and with its classes and input channels.

    With an `img_size`, height and width, position embeddings are resampled to it.

    Raises `BuildError` where it does not fit, with the nearest architectures that it does fit.
    """
    checkpoint = load_weights(path)
    module, built = _made_for(checkpoint, name, exportable, img_size)
    if img_size is not None:
        checkpoint = at_its_size(module, fitted(module, checkpoint))
    try:
        return module, replace(load_into(module, checkpoint, name=name), built=built)
    except DoesNotFit as error:
        near = fitting(checkpoint, name, exportable=exportable)
        if not near:
            raise
        *others, last = near
        either = f"{', '.join(others)} or {last}" if others else last
        raise BuildError(f"{error} Its names and shapes are those of timm's {either}.") from error


def fitting(checkpoint: Checkpoint, name: str, *, exportable: bool) -> list[str]:
    """Return the timm models nearest to `name` that `checkpoint` fits, at most three.

    Compared are what the checkpoint says it is, the models of the same file of timm's, and those
    of similar names, nearest first, for five seconds at most and without memory for weights.
    """
    found: list[str] = []
    until = time.monotonic() + _MOST_SECONDS
    for candidate in _candidates(checkpoint, name):
        if len(found) == _MOST_NAMED or time.monotonic() > until:
            break
        try:
            with torch.device("meta"):
                module, _ = _made_for(checkpoint, candidate, exportable)
        # What a model computes of its weights while it is built has no values there.
        except Exception:  # noqa: BLE001
            continue
        given = fitted(module, checkpoint).state
        wanted = module.state_dict()
        if {n: t.shape for n, t in given.items()} == {n: t.shape for n, t in wanted.items()}:
            found.append(candidate)
    return found


def _candidates(checkpoint: Checkpoint, name: str) -> list[str]:
    """List models to compare with, nearest first."""
    if is_hub_id(name):
        return []
    timm = import_timm("Comparing with other architectures")
    own, known = name.split(".")[0], timm.list_models()
    family = timm.model_entrypoint(own).__module__.rsplit(".", 1)[-1]
    near = difflib.get_close_matches(own, known, n=_MOST_COMPARED, cutoff=0.5)
    names = {*near, *timm.list_models(module=family)} - {own}

    def likeness(other: str) -> float:
        return difflib.SequenceMatcher(None, own, other).ratio()

    ranked = sorted(sorted(names), key=likeness, reverse=True)[:_MOST_COMPARED]
    said = checkpoint.architecture
    first = [said] if said in known and said != own else []
    return [*first, *(other for other in ranked if other != said)]


def _made_for(
    checkpoint: Checkpoint, name: str, exportable: bool, img_size: ImageSize | None = None
) -> tuple[nn.Module, tuple[str, ...]]:
    """Build `name` as the tensors in `checkpoint` ask for; say in words what is unusual."""
    source = architecture(name)
    module = create(source, exportable, img_size=img_size)
    state = fitted(module, checkpoint).state
    classes, channels = _classes_in(state, module), _channels_in(state, module)
    if classes == getattr(module, "num_classes", classes):
        classes = None
    if classes is not None or channels is not None:
        module = create(source, exportable, classes=classes, channels=channels, img_size=img_size)
    said = []
    if classes == 0:
        said.append("no classifier, it returns features")
    if channels is not None:
        said.append(f"{channels} input channel{'s' if channels != 1 else ''}")
    return module, tuple(said)


def _classes_in(state: Any, module: nn.Module) -> int | None:
    """Return the classes of a checkpoint's classifier, 0 where only that is missing, or None."""
    config: Any = getattr(module, "pretrained_cfg", None) or {}
    classifier = config.get("classifier")
    names = classifier if isinstance(classifier, (tuple, list)) else [classifier]
    for head in names:
        bias = state.get(f"{head}.bias")
        weight = state.get(f"{head}.weight")
        found = bias if bias is not None else weight
        if found is not None and found.dim():
            return int(found.shape[0])
    missing = module.state_dict().keys() - state.keys()
    of_heads = tuple(f"{head}." for head in heads(module))
    return 0 if missing and of_heads and all(n.startswith(of_heads) for n in missing) else None


def _channels_in(state: Any, module: nn.Module) -> int | None:
    """Return the input channels of a checkpoint where they are not those of `module`, or None.

    A first layer may see several pixels as channels, so that its own are a multiple.
    """
    config: Any = getattr(module, "pretrained_cfg", None) or {}
    usual = (config.get("input_size") or (3,))[0]
    first = config.get("first_conv")
    for name in first if isinstance(first, (tuple, list)) else [first]:
        given, own = state.get(f"{name}.weight"), module.state_dict().get(f"{name}.weight")
        if given is None or own is None or min(given.dim(), own.dim()) < 2:
            continue
        channels, rest = divmod(given.shape[1] * usual, own.shape[1])
        return int(channels) if channels and not rest and channels != usual else None
    return None
