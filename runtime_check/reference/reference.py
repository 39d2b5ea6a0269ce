"""Rebuild the Python side of a comparison from an artifact's provenance.

Preprocessing here is Pillow and timm's own `create_transform`, deliberately independent of what
the graph does: a mistake made twice would agree with itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from ..artifact.metadata import ImageInput, Metadata, Preprocessing, Provenance, Step
from ..errors import BuildError, NoPretrainedWeights, RuntimeCheckError
from ..outputs import flatten
from ..printable import printable
from .build import build, is_factory
from .size import require_affordable
from .timm_models import import_timm


class NoReference(RuntimeCheckError):
    """The Python model cannot be rebuilt here; checks that need no reference still run."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """The model in eager Python, float32, behind the artifact's own interface."""

    name: str
    network: nn.Module
    metadata: Metadata
    note: str = ""  # what a reader of the verdict should know, such as overridden weights

    exact: bool = False  # whether it is float64 at the moment

    def forward(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Compute what the artifact should return for these inputs, output by output."""
        return self.finish(self.raw(inputs), inputs)

    def raw(self, inputs: Sequence[np.ndarray]) -> list[Tensor]:
        """Run the network, up to its activation: what it returns, output by output."""
        if self.metadata.input.kind == "image":
            return self.raw_of(self.preprocess(inputs[0]))
        return self._call(*(torch.from_numpy(array.copy()) for array in inputs))

    def preprocess(self, image: np.ndarray) -> Tensor:
        """Turn uint8 height x width x 3 into float 1 x 3 x h x w by Pillow and timm."""
        assert self.metadata.preprocessing is not None
        return pillow_preprocess(self.metadata.preprocessing, image)

    def raw_of(self, tensor: Tensor) -> list[Tensor]:
        """Run the network on a preprocessed image, 1 x 3 x h x w."""
        return self._call(tensor)

    def classify(self, tensor: Tensor, image: np.ndarray) -> list[np.ndarray]:
        """Run the network and what is added on a preprocessed image, 1 x 3 x h x w."""
        return self.finish(self.raw_of(tensor), [image])

    def _call(self, *tensors: Tensor) -> list[Tensor]:
        if self.exact:
            tensors = tuple(t.double() if t.is_floating_point() else t for t in tensors)
        with torch.inference_mode():
            value = self.network(*tensors)
        try:
            tensors_out = flatten(value)
        except TypeError as error:
            raise NoReference(
                f"In the Python model {error}: there is nothing to compare the artifact with."
            ) from error
        if any(tensor.is_complex() for tensor in tensors_out):
            raise NoReference("The Python model returns complex numbers, and files give real ones.")
        return tensors_out

    def _onto_photo(self, classes: np.ndarray, photo: np.ndarray) -> np.ndarray:
        """Give each pixel of a photo the class of the map's cell that it lies in, uint8."""
        spec = self.metadata.input
        if not isinstance(spec, ImageInput) or classes.ndim != 2:
            raise NoReference(
                f"The file says that a map of shape {list(classes.shape)} is put onto the photo, "
                "and that is none."
            )
        height, width = photo.shape[:2]
        rows, columns = classes.shape
        place = spec.geometry.place(height, width)
        found = np.full((height, width), UNSEEN, np.uint8)
        middles = np.arange(max(height, width))
        down = [place.cell_of(width // 2, int(y), rows, columns) for y in middles[:height]]
        across = [place.cell_of(int(x), height // 2, rows, columns) for x in middles[:width]]
        seen_y = [y for y, cell in enumerate(down) if cell is not None]
        seen_x = [x for x, cell in enumerate(across) if cell is not None]
        picked = classes[[c[0] for c in down if c], :][:, [c[1] for c in across if c]]
        found[np.ix_(seen_y, seen_x)] = picked
        return found

    @contextmanager
    def in_float64(self) -> Iterator[Reference]:
        """Yield the same model in float64; it is float32 again afterwards, bit for bit.

        Converted in place: float32 -> float64 -> float32 is exact, and a copy of a large model
        would double the peak memory.
        """
        self.network.double()
        try:
            yield replace(self, exact=True)
        finally:
            self.network.float()

    def finish(self, tensors: Sequence[Tensor], inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Do to what the network returned what the exporter added, and shape it as the artifact.

        `inputs` are what the file gets: a photo's size counts. Raises `NoReference` for a step
        that cannot be done to it.
        """
        output = self.metadata.output
        arrays = []
        for index, tensor in enumerate(tensors):
            steps = output.steps(index)
            for step in steps:
                tensor = _apply(step, tensor)
            array = tensor.numpy()
            stated = output.tensors[index : index + 1]
            if stated and stated[0].dtype == "uint8" and array.dtype == np.bool_:
                array = array.astype(np.uint8)  # no phone's Java reads bools
            # An image has no batch dimension, and the artifact may return none either.
            if stated and len(stated[0].shape) == array.ndim - 1 and array.shape[0] == 1:
                array = array[0]
            if any(step.function == "resize" for step in steps):
                array = self._onto_photo(array, inputs[0])
            arrays.append(array)
        return arrays


UNSEEN = 255  # of a class map: what the network does not see of the photo


def _apply(step: Step, tensor: Tensor) -> Tensor:
    """Do one added step to what the network returned, its batch axis included."""
    axis = -1 if step.axis is None else step.axis
    if axis >= tensor.dim():
        raise NoReference(
            f"The file says that {step.function} goes over axis {axis}, and the Python model "
            f"returns {list(tensor.shape)} there."
        )
    if step.function == "softmax":
        return torch.softmax(tensor, dim=axis)
    if step.function == "sigmoid":
        return torch.sigmoid(tensor)
    if step.function == "argmax":
        return torch.argmax(tensor, dim=axis)
    if step.function == "normalize":
        return torch.nn.functional.normalize(tensor, dim=axis)
    if step.function == "resize":
        return tensor  # once it is shaped
    raise NoReference(f"What {step.function} does to an output is not known here.")


@lru_cache(maxsize=8)
def timm_transform(preprocessing: Preprocessing) -> Any:
    """Build timm's own evaluation transform: a Pillow image to float 3 x h x w.

    Its first step is the resize, in every crop mode. Raises `BuildError` where timm is missing.

    Source: timm.data.transforms_factory.transforms_imagenet_eval.
    """
    import_timm("Preprocessing as Python does")
    from timm.data import create_transform

    return create_transform(
        input_size=preprocessing.input_size,
        is_training=False,
        interpolation=preprocessing.interpolation,
        mean=preprocessing.mean,
        std=preprocessing.std,
        crop_pct=preprocessing.crop_pct,
        crop_mode=preprocessing.crop_mode,
    )


def pillow_preprocess(preprocessing: Preprocessing, image: np.ndarray) -> Tensor:
    """Apply timm's evaluation transform: uint8 H x W x C to float 1 x C x h x w, by Pillow."""
    tensor: Tensor = timm_transform(preprocessing)(_pillow(image))
    return tensor.unsqueeze(0)


def pillow_resize(preprocessing: Preprocessing, image: np.ndarray) -> np.ndarray:
    """Do only the resize of timm's evaluation transform: uint8 H x W x C in and out, by Pillow."""
    resized = np.array(timm_transform(preprocessing).transforms[0](_pillow(image)))
    return resized.reshape(*resized.shape[:2], -1)


def _pillow(image: np.ndarray) -> Any:
    """Return a photo as Pillow's, gray, RGB or RGBA by its channels."""
    from PIL import Image

    return Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)


def build_reference(
    metadata: Metadata,
    *,
    reference: str | None = None,
    weights: Path | None = None,
    trust_factory: bool = False,
    allow_large: bool = False,
    exportable: bool = True,
) -> Reference:
    """Rebuild the model that the artifact was made from, or raise `NoReference` with the reason.

    `reference` (a timm name or `package.module:factory`) and `weights` replace what the file
    says. A factory that only the *file* names is not called unless `trust_factory`: importing a
    module runs its code, and the file is data from elsewhere. Nor is a model that only the file
    names built beyond the limits in `size.py` unless `allow_large`. The rebuilt weights must have
    the stated SHA-256, unless something was replaced; then a difference is noted.
    `exportable=False` builds timm models as timm does by default: the same function by faster
    operators.
    """
    provenance = metadata.provenance
    reference = reference or None  # an empty name is none, and must not pass for somebody's trust
    if reference is None:
        _check_rebuildable(provenance, trust_factory)
    try:
        if metadata.input.kind == "image":
            import_timm("Preprocessing as Python does")
        if reference is None and not allow_large:
            require_affordable(metadata, exportable=exportable, download=weights is None)
        built = build(
            reference or provenance.model,
            weights=weights or (None if reference else _stated_weights(provenance)),
            seed=provenance.seed or 0,
            exportable=exportable,
            img_size=provenance.img_size,
        )
    except NoPretrainedWeights as error:
        raise NoReference(f"{error} Pass --weights FILE to compare with Python.") from error
    except BuildError as error:
        raise NoReference(str(error)) from error
    stated, actual = provenance.weights, built.provenance.weights
    notes = built.sentences()
    if actual.sha256 != stated.sha256:
        difference = (
            f"weights {actual.sha256[:12]} against {stated.sha256[:12]} in the file's "
            f"provenance ({printable(stated.detail)})"
        )
        if reference is None and weights is None:
            raise NoReference(
                f"{printable(provenance.model)} was rebuilt, but with other weights than the file "
                f"was made from: {difference}. Pass the checkpoint with --weights FILE."
            )
        notes.insert(0, f"not the weights the file was made from: {difference}")
    return Reference(
        name=reference or provenance.model,
        network=built.module,
        metadata=metadata,
        note="; ".join(notes),
    )


def _check_rebuildable(provenance: Provenance, trust_factory: bool) -> None:
    """Refuse a model without a name, and a name that would run code chosen by the file."""
    model = printable(provenance.model)
    if provenance.source == "module":
        raise NoReference(
            f"The file was made from a module in memory ({model}), which a file cannot name. "
            "Pass --reference package.module:factory."
        )
    if is_factory(model) and not trust_factory:
        raise NoReference(
            f"The file names the factory {model}, and calling it would import code that the "
            f"file chose. If you know it, pass --reference {model} (or --trust-factory)."
        )


def _stated_weights(provenance: Provenance) -> Literal["package", "hub", "random"] | None:
    stated = provenance.weights
    if stated.origin == "file":
        raise NoReference(
            f"The weights came from a file ({printable(stated.detail)}). Pass it with "
            "--weights FILE to compare with Python."
        )
    if stated.origin == "factory" or stated.origin == "module":
        return None  # it brings its own
    return stated.origin
