"""Build a PyTorch model from its name, and say where it came from: the only place that does.

The exporter builds here what it exports, and the checker builds it again from the provenance in
the file. Both must get the same module with the same weights, so neither has a builder of its own.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from ..artifact.metadata import Provenance, Weights
from ..blame import authors_code
from ..errors import BuildError, did_you_mean
from ..files import file_sha256
from . import timm_models
from .detectors import as_detector, is_detector
from .fine_tuned import fine_tuned
from .hub import is_hub_id
from .packaged import PACKAGED, packaged_file
from .timm_models import ImageSize
from .weights import WeightsRead, dtype_name, load_into, load_weights, state_dict_sha256
from .wrappers import (
    copied,
    is_torchscript,
    unwrap,
    unwrap_parts,
    without_gradients,
    wrapped_parts,
    wrappers_of,
)


@dataclass(frozen=True, kw_only=True)
class Built:
    """A module as its author wrote it, in eval mode, float32, without gradients.

    `read` is what reading its weights decided; None where nobody here read them. `taken` says, in
    sentences, what was taken off the module, or that it came as TorchScript.
    """

    module: nn.Module
    provenance: Provenance
    read: WeightsRead | None = None
    taken: tuple[str, ...] = ()

    def sentences(self) -> list[str]:
        """Say what a reader of a report should know of how the module came to be."""
        return [*self.taken, *(self.read.sentences() if self.read is not None else ())]


def is_factory(name: str) -> bool:
    """Say whether `name` is somebody's own code, `package.module:factory`."""
    return ":" in name and not is_hub_id(name)


def build(
    model: str | nn.Module,
    *,
    weights: Path | Literal["package", "hub", "random"] | None = None,
    seed: int = 0,
    exportable: bool = True,
    img_size: ImageSize | None = None,
) -> Built:
    """Build a timm name, a hub id, what `package.module:factory` returns, or a copy of a module.

    `weights` is a checkpoint (see `load_weights`) or the origin of a timm model's weights; None
    prefers an installed package over the hub. Modules and factories come with their own weights,
    which only a checkpoint replaces. `seed` seeds torch for random weights and for factories.
    `exportable=False` builds timm models with timm's default layers: the same function with faster
    operators. `img_size` is the height and width of a timm model's input, where those are not its
    own. Raises `BuildError` or `UnreadableWeights`; code in a checkpoint never runs.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if isinstance(model, str) and not is_factory(model):
            return _from_timm(model, weights, seed, exportable, img_size)
        if isinstance(weights, str):
            raise BuildError(f"{model} cannot use {weights} weights: it makes its own.")
        if isinstance(model, str):
            module, taken = _from_factory(model, seed)
            with authors_code(f"Preparing {model} (eval, float32)"):
                return _own(module, "factory", model, weights, seed, taken)
        inner, wrappers = unwrap(model)
        name = _class_name(inner)
        with authors_code(f"Copying {name}"):
            module = copied(inner)
        with authors_code(f"Preparing {name} (eval, float32)"):
            return _own(module, "module", name, weights, None, _taken(inner, wrappers))


def _built(
    module: nn.Module,
    *,
    source: Literal["timm", "factory", "module"],
    model: str,
    origin: Literal["package", "hub", "file", "factory", "random", "module"],
    detail: str,
    checkpoint: Path | None = None,
    license: str | None = None,
    seed: int | None = None,
    read: WeightsRead | None = None,
    taken: tuple[str, ...] = (),
    img_size: ImageSize | None = None,
) -> Built:
    _require_values(module, model)
    module = without_gradients(module)
    if read is not None and read.others:
        detail = f"{detail}: {read.entry}"
    if source == "timm" and license is None:
        license = (getattr(module, "pretrained_cfg", None) or {}).get("license")
    if is_detector(module):
        taken = (*taken, f"{type(module).__name__} is called with one picture at a time")
    return Built(
        module=as_detector(module),
        provenance=Provenance(
            source=source,
            model=model,
            weights=Weights(
                origin=origin,
                detail=detail,
                sha256=state_dict_sha256(module.state_dict()),
                file_sha256=None if checkpoint is None else file_sha256(checkpoint),
            ),
            license=license,
            seed=seed,
            img_size=img_size,
        ),
        read=read,
        taken=taken,
    )


def _from_timm(
    name: str,
    weights: Path | Literal["package", "hub", "random"] | None,
    seed: int,
    exportable: bool,
    img_size: ImageSize | None,
) -> Built:
    timm_models.require_model(name)
    built = partial(_built, source="timm", model=name, img_size=img_size)
    if isinstance(weights, Path):
        module, read = fine_tuned(name, weights, exportable=exportable, img_size=img_size)
        return built(module, origin="file", detail=weights.name, checkpoint=weights, read=read)
    if weights == "random":
        module = timm_models.untrained(name, exportable=exportable, img_size=img_size)
        detail = f"RANDOM, untrained (seed {seed}): outputs mean nothing"
        return built(module, origin="random", detail=detail, seed=seed)
    if weights == "package" or (weights is None and packaged_file(name) is not None):
        module, path = timm_models.from_package(name, exportable=exportable, img_size=img_size)
        return built(
            module,
            origin="package",
            detail=f"{PACKAGED[name].distribution}: {path.name}",
            checkpoint=path,
            license=PACKAGED[name].license,
        )
    module, read_there = timm_models.pretrained(name, exportable=exportable, img_size=img_size)
    return built(module, origin="hub", detail=name, read=read_there)


# --- the user's own ----------------------------------------------------------------------------


def _own(
    module: nn.Module,
    source: Literal["factory", "module"],
    model: str,
    weights: Path | None,
    seed: int | None,
    taken: tuple[str, ...],
) -> Built:
    made = partial(_built, source=source, model=model, seed=seed, taken=taken)
    if weights is None:
        read = WeightsRead(converted=_other_floats(module))
        return made(module, origin=source, detail=model, read=read)
    # Float first: a model made in half precision would round what the checkpoint has in full.
    read = load_into(without_gradients(module), load_weights(weights), name=model)
    return made(
        module,
        origin="file",
        detail=weights.name,
        checkpoint=weights,
        read=read,
    )


def _taken(module: nn.Module, wrappers: tuple[str, ...]) -> tuple[str, ...]:
    """Say what was around `module`, and what it is or was."""
    said = []
    if wrappers:
        said.append(f"{' and '.join(wrappers)} around the module was taken off")
    if is_torchscript(module):
        said.append("the module is TorchScript already and is taken as it is")
    parts = wrapped_parts(module)
    if parts:
        said.append(f"{' and '.join(wrappers_of(parts))} was taken off parts of the module")
    return tuple(said)


def _class_name(module: nn.Module) -> str:
    """Return `package.module:Class`; of TorchScript the class it was made from."""
    if is_torchscript(module):
        name = getattr(module, "original_name", "") or type(module).__name__
        return f"{type(module).__module__}:{name}"
    return f"{type(module).__module__}:{type(module).__name__}"


def _require_values(module: nn.Module, model: str) -> None:
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if is_lazy(tensor) or tensor.is_meta:
            why = "lazy, so it has no shape before the first call" if is_lazy(tensor) else "on meta"
            raise BuildError(
                f"{model} has no weights yet: {name} is {why}. Make the module with real weights "
                "(run a lazy one once, `to_empty` and load a meta one), then export it."
            )


def _other_floats(module: nn.Module) -> dict[str, int]:
    """Count the floating tensors of other dtypes than float32."""
    tensors = [t for t in module.state_dict().values() if isinstance(t, torch.Tensor)]
    floats = [t for t in tensors if t.is_floating_point() and t.dtype != torch.float32]
    return dict(sorted(Counter(map(dtype_name, floats)).items()))


def _from_factory(spec: str, seed: int) -> tuple[nn.Module, tuple[str, ...]]:
    """Call the factory that `spec` names with torch seeded; if it names a module, copy it.

    Returns it without its wrappers, and what was taken off.
    """
    make = _imported(spec)
    if isinstance(make, nn.Module):
        inner, wrappers = unwrap(make)
        with authors_code(f"Copying {spec}"):
            return copied(inner), _taken(inner, wrappers)
    if not callable(make):
        raise BuildError(f"{spec} is a {type(make).__name__}, which is not callable.")
    call: Callable[[], object] = make
    try:
        inspect.signature(call).bind()
    except TypeError as error:
        raise BuildError(
            f"{spec} needs arguments ({error}); pass a function that takes none."
        ) from error
    except ValueError:
        pass  # a builtin without a signature: the call below shows it
    torch.manual_seed(seed)  # again: the import, if it was the first, may have used the generator
    with authors_code(f"Calling {spec}"):
        result = call()
    if not isinstance(result, nn.Module):
        raise BuildError(f"{spec} returned a {type(result).__name__}, not a torch.nn.Module.")
    inner, wrappers = unwrap(result)
    taken = _taken(inner, wrappers)
    if not is_torchscript(inner):
        unwrap_parts(inner)
    return inner, taken


def _imported(spec: str) -> object:
    module_name, _, attribute = spec.partition(":")
    # A console script does not have the working folder on its path, `python -m` does.
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, "")
    if not module_name or module_name.startswith(".") or not attribute:
        raise BuildError(
            f"{spec!r} names no factory. Write it as package.module:factory, such as models:make."
        )
    with authors_code(f"Importing {module_name!r}"):
        try:
            value: object = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if not f"{module_name}.".startswith(f"{error.name}."):
                raise  # it is there, and what it imports is not
            raise BuildError(
                f"Cannot import {module_name!r} (for {spec}): {error}. Run from the folder that "
                "holds it, or put that folder on PYTHONPATH."
            ) from error
        for part in attribute.split("."):
            if not hasattr(value, part):
                hint = did_you_mean(part, dir(value))
                raise BuildError(f"{module_name} has no {part!r}.{hint}")
            value = getattr(value, part)
        return value
