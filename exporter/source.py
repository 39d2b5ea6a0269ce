"""Source: a timm name, a checkpoint, a factory or a module becomes a `SourceModel`.

`runtime_check` builds the module, here and again when a file is checked. This module adds what only
an export needs: preprocessing, labels, the input shape, and checks of the options.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from runtime_check.artifact.limits import MAX_LABEL, MAX_LABELS
from runtime_check.artifact.metadata import InputTensor, Preprocessing, Provenance
from runtime_check.errors import NoPretrainedWeights, RuntimeCheckError, UnknownModel
from runtime_check.reference.build import Built, build, is_factory
from runtime_check.reference.hub import is_hub_id
from runtime_check.reference.stated import timm_says
from runtime_check.reference.weights import WeightsRead

from .checks import require_name
from .errors import SourceError, UsageError
from .inputs import inputs_like, named_inputs, one_input
from .options import DEFAULT_MODEL, ExportOptions
from .postprocess.detector import photo_of


@dataclass(frozen=True, kw_only=True)
class SourceModel:
    """The model as its author wrote it, in eval mode, float32, and where it came from.

    `takes` are the tensors of its forward, batches of one, `(1, C, H, W)` for image models, and
    `example` are such tensors where the user gave some. `preprocessing` is None for a module that
    says nothing about images. `read` is what reading the weights decided, `taken`
    what was taken off the module (see `Built`).
    """

    name: str
    module: nn.Module
    takes: tuple[InputTensor, ...]
    preprocessing: Preprocessing | None
    labels: tuple[str, ...] | None
    provenance: Provenance
    read: WeightsRead | None = None
    taken: tuple[str, ...] = ()
    example: tuple[np.ndarray, ...] = ()

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of the first input, the picture of image models."""
        return tuple(self.takes[0].shape)

    @property
    def bytes(self) -> int:
        """What its weights take in memory, and about what they take on a disk."""
        tensors = (*self.module.parameters(), *self.module.buffers())
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def source_of(model: str | nn.Module, options: ExportOptions) -> SourceModel:
    """Load what `options` say about the model; see `load_source`."""
    return load_source(
        model,
        weights=options.weights,
        random_weights=options.random_weights,
        labels=options.labels,
        input_shape=options.input_shape,
        input_shapes={each.name: each.shape for each in options.input_shapes},
        example=options.example,
        name=options.name,
        seed=options.seed,
    )


def load_source(
    model: str | nn.Module,
    *,
    weights: Path | None = None,
    random_weights: bool = False,
    labels: Path | tuple[str, ...] | None = None,
    input_shape: tuple[int, ...] | None = None,
    input_shapes: Mapping[str, tuple[int, ...]] | None = None,
    example: Path | None = None,
    name: str | None = None,
    seed: int = 0,
) -> SourceModel:
    """Load a timm name, a hub id (`hf-hub:...`), `package.module:factory`, or a module.

    `weights` is a safetensors file, or a pickle that loads with `weights_only=True`. `labels`
    replaces the model's labels. `input_shapes` are of several inputs, by name; `example` is an
    .npz file of them. `seed` seeds random weights and factories. A module is copied and
    never changed. Raises `SourceError` or `UsageError`.
    """
    _check_options(model, weights, random_weights)
    built = _build(model, weights, random_weights, seed, input_shape)
    _check_numbers(built)
    label = built.provenance.model
    # A timm module built by hand still knows its preprocessing.
    config = _timm_config(built.module)
    preprocessing = (
        photo_of(built.module, input_shape) if config is None else _preprocessing(config)
    )
    if preprocessing is not None and preprocessing.input_size[0] != len(preprocessing.mean):
        # What timm says of photos is of the three channels of the pretrained weights.
        input_shape, preprocessing = input_shape or (1, *preprocessing.input_size), None
    arrays: tuple[np.ndarray, ...] = ()
    if input_shapes:
        takes, preprocessing = named_inputs(label, built.module, input_shapes), None
    elif example is not None:
        (takes, arrays), preprocessing = inputs_like(label, built.module, example), None
    else:
        shape, preprocessing = _one_shape(label, input_shape, preprocessing)
        takes = one_input(built.module, shape)
    if isinstance(labels, Path):
        labels = read_labels(labels)
    elif labels is None and config is not None:
        labels = _imagenet_labels(class_count(built.module))
    name = name or _short_name(built.provenance)
    require_name(name, "The name of the model,")
    return SourceModel(
        name=name,
        module=built.module,
        takes=takes,
        example=arrays,
        preprocessing=preprocessing,
        labels=labels,
        provenance=built.provenance,
        read=built.read,
        taken=built.taken,
    )


def _one_shape(
    model: str, given: tuple[int, ...] | None, preprocessing: Preprocessing | None
) -> tuple[tuple[int, ...], Preprocessing | None]:
    """Return the shape of the one input, and the preprocessing for it."""
    if given is None and preprocessing is None:
        raise UsageError(
            f"{model} does not state its input shape: pass `--input-shape 1,3,H,W` (input_shape= "
            "from Python), or one for each input: `--input-shape NAME=1,3,H,W`."
        )
    if preprocessing is None:
        assert given is not None, "else it was refused"
        return given, None
    if given is None:
        return (1, *preprocessing.input_size), preprocessing
    if len(given) != 4:
        raise UsageError(
            f"--input-shape of {model}, a timm model, is 1,C,H,W, not {','.join(map(str, given))}."
        )
    channels = preprocessing.input_size[0]
    if given[1] != channels:
        raise UsageError(f"{model} takes {channels} channels; --input-shape says {given[1]}.")
    return given, preprocessing.model_copy(update={"input_size": given[1:]})


def _check_options(
    model: str | nn.Module,
    weights: Path | None,
    random_weights: bool,
) -> None:
    if weights is not None and random_weights:
        raise UsageError("--weights and --random-weights cannot be combined.")
    if isinstance(model, nn.Module) or is_factory(model):
        if random_weights:
            raise UsageError(
                "--random-weights goes with a timm architecture name: your own module has its own "
                "weights."
            )
        return
    if is_hub_id(model) and weights is not None:
        raise UsageError(
            "--weights goes with a timm architecture name, not with a hub id: the hub id "
            "names its own weights."
        )
    if is_hub_id(model) and random_weights:
        raise UsageError("--random-weights goes with a timm architecture name.")


def _build(
    model: str | nn.Module,
    weights: Path | None,
    random_weights: bool,
    seed: int,
    shape: tuple[int, ...] | None,
) -> Built:
    size = (shape[2], shape[3]) if shape is not None and len(shape) == 4 else None
    try:
        return build(
            model,
            weights="random" if random_weights else weights,
            seed=seed,
            img_size=size,
        )
    except UnknownModel as error:
        raise SourceError(
            f"{error} `python -m exporter models PATTERN` lists what there is; your own model "
            "goes in as `package.module:factory`."
        ) from error
    except NoPretrainedWeights as error:
        raise SourceError(
            f"{error} Either download the model's safetensors file on a connected machine and "
            "pass it with `--weights FILE`, or export the architecture with `--random-weights` to "
            f"try sizes and speed. `python -m exporter` alone exports {DEFAULT_MODEL}, whose real "
            "weights come with a package."
        ) from error
    except RuntimeCheckError as error:
        raise SourceError(str(error)) from error


def _check_numbers(built: Built) -> None:
    """Refuse NaN; infinity can be intended (an open bound of a clamp), and outputs are checked."""
    for key, value in built.module.state_dict().items():
        # Modules that are already int8 keep dtypes and packed tuples in their state dict.
        if (
            isinstance(value, Tensor)
            and value.is_floating_point()
            and bool(torch.isnan(value).any())
        ):
            where = f"{built.provenance.model} ({built.provenance.weights.detail})"
            raise SourceError(
                f"{where}: the parameter {key} holds NaN. Such a model cannot be verified; take a "
                "checkpoint from before training diverged."
            )


def _short_name(provenance: Provenance) -> str:
    """Return the artifact's name if the user gave none."""
    model = provenance.model
    if provenance.source == "factory":
        return model.rsplit(":", 1)[1].replace(".", "_")
    if provenance.source == "module":
        return model.rsplit(":", 1)[1]
    return model.split("/")[-1] if is_hub_id(model) else model.split(".")[0]


def _timm_config(module: nn.Module) -> dict[str, Any] | None:
    try:
        return timm_says(module)
    except RuntimeCheckError as error:
        raise SourceError(str(error)) from error


def _preprocessing(config: dict[str, Any]) -> Preprocessing:
    try:
        return Preprocessing(
            input_size=config["input_size"],
            interpolation=config["interpolation"],
            crop_pct=config["crop_pct"],
            crop_mode=config["crop_mode"] or "center",
            mean=config["mean"],
            std=config["std"],
            in_graph=False,
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise SourceError(
            f"The model's own preprocessing (its pretrained_cfg) cannot be used: "
            f"{'.'.join(map(str, first['loc']))}: {first['msg']}."
        ) from error


def class_count(module: nn.Module) -> int:
    """Return how many classes a model says it has; 0 where it says none, or no number."""
    count = getattr(module, "num_classes", None)
    if count is None:
        count = len(_id2label(module))
    return count if isinstance(count, int) else 0


def stated_labels(module: nn.Module) -> tuple[str, ...] | None:
    """Return the names of classes in a Hugging Face model's configuration; None where none are.

    Whether they name places of an output is for its shape to say: a model without its classifier
    has them too. The names that the library makes up, LABEL_0 and so on, are none.
    """
    names = _id2label(module)
    if sorted(names) != [*range(len(names))]:
        return None
    labels = tuple(str(names[index]).strip() for index in range(len(names)))
    made_up = all(label == f"LABEL_{index}" for index, label in enumerate(labels))
    fits = len(labels) <= MAX_LABELS and all(0 < len(label) <= MAX_LABEL for label in labels)
    return labels if labels and not made_up and fits else None


def _id2label(module: nn.Module) -> Mapping[Any, Any]:
    names = getattr(getattr(module, "config", None), "id2label", None)
    return names if isinstance(names, Mapping) else {}


def _imagenet_labels(classes: int) -> tuple[str, ...] | None:
    from timm.data import ImageNetInfo

    if classes != 1000:
        return None
    info = ImageNetInfo()
    return tuple(str(info.index_to_description(index)) for index in range(classes))


def read_labels(path: Path) -> tuple[str, ...]:
    """Read one label per line (UTF-8; blank lines at the end are ignored)."""
    try:
        lines = path.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except OSError as error:
        raise SourceError(f"Cannot read the labels file {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{path} is not UTF-8 text; a labels file has one label per line."
        ) from error
    if not any(line.strip() for line in lines):
        raise SourceError(f"The labels file {path} is empty; it needs one label per line.")
    labels = tuple(line.strip() for line in lines)
    if len(labels) > MAX_LABELS or max(map(len, labels)) > MAX_LABEL:
        raise SourceError(
            f"{path} has {len(labels)} lines, the longest of {max(map(len, labels))} characters: a "
            f"labels file has one label per line, at most {MAX_LABELS} of {MAX_LABEL} characters."
        )
    return labels
