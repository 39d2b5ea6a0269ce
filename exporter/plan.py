"""What is exported: the model, its preprocessing and activation, and what it is judged on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from runtime_check.artifact.metadata import Preprocessing

from .errors import CaptureError, ExportError, UsageError
from .image.preprocess import MAX_SIDE, MIN_SIDE, ImageModel, Preprocess
from .image.samples import Sample, image_samples, tensor_samples
from .outputs import run
from .quiet import quiet
from .source import SourceModel

InputKind = Literal["auto", "image", "tensor"]
Activation = Literal["auto", "softmax", "sigmoid", "none"]
# A run of the model that takes longer is slow.
SLOW_SECONDS = 3.0


@dataclass(frozen=True, kw_only=True)
class PreprocessingChoice:
    """What the user says about preprocessing; None takes what the model says."""

    interpolation: str | None = None
    crop_pct: float | None = None
    crop_mode: str | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Task:
    """What stays fixed while a module is turned into a file."""

    source: SourceModel
    preprocess: Preprocess | None  # None: the bare network
    preprocessing: Preprocessing | None
    activation: Literal["softmax", "sigmoid", "none"]
    samples: tuple[Sample, ...]
    networks: tuple[Tensor, ...]  # what the network itself gets for each sample

    @property
    def reader(self) -> Preprocess | None:
        """What calibration images go through, also where the artifact leaves it to the app."""
        if self.preprocess is not None or self.preprocessing is None:
            return self.preprocess
        return Preprocess(self.preprocessing, min_side=MIN_SIDE, max_side=MAX_SIDE).eval()

    def whole(self, network: nn.Module) -> nn.Module:
        """Wrap a network with preprocessing and activation as `forward` will be shipped."""
        if self.preprocess is None:
            return network
        return ImageModel(self.preprocess, network, self.activation).eval()

    def finish(self, outputs: Sequence[Tensor]) -> list[Tensor]:
        """Apply the activation to a network's outputs, as `whole` does."""
        if self.activation == "softmax":
            return [torch.softmax(t, -1) for t in outputs]
        return [torch.sigmoid(t) for t in outputs] if self.activation == "sigmoid" else [*outputs]

    def shipped(self, network: torch.jit.ScriptModule) -> torch.jit.ScriptModule:
        """Wrap and script a captured network."""
        if self.preprocess is None:
            return network
        try:
            with quiet():
                scripted: torch.jit.ScriptModule = torch.jit.script(self.whole(network)).eval()
        except RuntimeError as error:
            # A scripted network may be typed as returning a tensor or a list of them.
            lines = [line for line in str(error).splitlines() if line.startswith("Expected")]
            raise CaptureError(
                "an image artifact needs a network that returns one tensor, and this capture does "
                f"not promise that ({lines[0] if lines else type(error).__name__}); export it with "
                "`--input tensor`"
            ) from error
        return scripted


def _merge(
    found: Preprocessing | None, source: SourceModel, choice: PreprocessingChoice
) -> Preprocessing | None:
    values = {k: v for k, v in choice.__dict__.items() if v is not None}
    if found is None:
        if not values:
            return None
        if choice.mean is None or choice.std is None or len(source.input_shape) != 4:
            raise UsageError(
                "This module does not say how it wants images. For preprocessing in the graph give "
                "at least --mean and --std, and --input-shape 1,3,H,W."
            )
        size = source.input_shape[1:]
        values = {"interpolation": "bicubic", "crop_pct": 1.0, "crop_mode": "center", **values}
        return Preprocessing.model_validate({**values, "input_size": size, "in_graph": False})
    return Preprocessing.model_validate({**found.model_dump(), **values})


def plan(
    source: SourceModel, kind: InputKind, choice: PreprocessingChoice | None, activation: Activation
) -> Task:
    """Decide what is exported from what the user asked for and what the model says.

    Raises `UsageError` where the two do not go together.
    """
    spec = _merge(source.preprocessing, source, choice or PreprocessingChoice())
    if kind == "image" and spec is None:
        raise UsageError(
            f"{source.name} does not say how it wants images. Give --mean and --std (and "
            "--interpolation, --crop-pct, --crop-mode), or export the bare network with "
            "`--input tensor`."
        )
    image = kind == "image" or (kind == "auto" and spec is not None)
    preprocess = None
    if image:
        assert spec is not None
        spec = spec.model_copy(update={"in_graph": True})
        preprocess = Preprocess(spec, min_side=MIN_SIDE, max_side=MAX_SIDE).eval()
        samples = tuple(image_samples())
        networks = tuple(run(preprocess, s.inputs)[0] for s in samples)
        # A classifier says how many classes it has; a feature extractor says none.
        classes = int(getattr(source.module, "num_classes", 0) or 0)
        chosen = (
            ("softmax" if classes > 1 or source.labels else "none")
            if (activation == "auto")
            else activation
        )
    else:
        samples = tuple(tensor_samples(source.input_shape))
        networks = tuple(s.inputs[0] for s in samples)
        chosen = "none" if activation == "auto" else activation
        if chosen != "none":
            raise UsageError(
                f"--activation {chosen} goes with --input image; the bare network's outputs are "
                "given as they are."
            )
    return Task(
        source=source,
        preprocess=preprocess,
        preprocessing=spec,
        activation=chosen,
        samples=samples,
        networks=networks,
    )


def affordable(task: Task) -> Task:
    """Judge slow models on fewer inputs; the ledger states how many there were.

    An export runs the model some sixty times on five inputs. At 15 s a run (a ViT at 768 x 768
    pixels on one thread) that would be a quarter of an hour.
    """
    started = time.perf_counter()
    run(task.whole(task.source.module), task.samples[0].inputs)
    if time.perf_counter() - started < SLOW_SECONDS:
        return task
    return replace(task, samples=task.samples[:2], networks=task.networks[:2])


def check_outputs(task: Task, reference: Sequence[Sequence[Tensor]]) -> None:
    """Raise where eager's own outputs are nothing to be verified against.

    `ExportError` for NaN and infinity, `UsageError` for labels that do not match.
    """
    shapes = [tuple(t.shape) for t in reference[0]]
    labels = task.source.labels
    for sample, outputs in zip(task.samples, reference, strict=True):
        for tensor in outputs:
            if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                raise ExportError(
                    f"Eager {task.source.name} returns NaN or infinity for the sample "
                    f"{sample.name!r}: there is nothing to be verified against. Check the weights."
                )
    if labels is not None and shapes[0] and shapes[0][-1] != len(labels):
        raise UsageError(
            f"{len(labels)} labels, but the model has {shapes[0][-1]} outputs. Pass the matching "
            "file with --labels."
        )
