"""Checkpoints of a fine-tuning: whole files that say what they belong to."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch

from runtime_check.files import whole_file

from ..errors import TrainingDataError, UsageError
from .place import Simulated


def fingerprint(simulated: Simulated, images: int, *, options: str) -> str:
    """Say what a checkpoint belongs to: another recipe, model or data must not resume it.

    How many epochs there are, and how many devices train, is none of it.
    """
    state = simulated.module.state_dict()
    recipe = {k: v for k, v in simulated.recipe.as_dict().items() if k != "epochs"}
    text = repr((recipe, sorted((k, tuple(v.shape)) for k, v in state.items()), images))
    digest = hashlib.sha256((text + options).encode())
    for layer in simulated.layers.values():
        digest.update(repr(layer.grids).encode())
    return digest.hexdigest()


def write(state: dict[str, Any], path: Path) -> None:
    """Write `state` (tensors and plain values) so that the file is whole or the one before."""
    try:
        with whole_file(path) as part:
            torch.save(state, part)
    except RuntimeError as error:  # all that torch's writer says
        raise UsageError(
            f"--checkpoint: cannot write {path}: {str(error).splitlines()[0]}. Is the disk full?"
        ) from error


def read(path: Path, belongs_to: str) -> dict[str, Any]:
    """Read a checkpoint onto the CPU, whatever device it comes from.

    Raises TrainingDataError for a damaged one, and for that of something else.
    """
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:
        raise TrainingDataError(
            f"The checkpoint {path} cannot be read. Delete it to start over."
        ) from error
    if state.get("fingerprint") != belongs_to:
        raise TrainingDataError(
            f"The checkpoint {path} belongs to another model, recipe or set of images. Delete it "
            "or name another file."
        )
    return state
