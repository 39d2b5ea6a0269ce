"""From a `.ptl` to the `.pte` of the same model: its metadata says how it was exported."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from runtime_check.artifact.archive import ArtifactFile, read_artifact
from runtime_check.artifact.metadata import Metadata

from . import api
from .artifact import Artifact
from .errors import UsageError
from .guard import export_errors
from .options import Interpolation, PreprocessingChoice
from .recipes import CALIBRATED, QuantizeRecipe
from .source import load_source


@dataclass(frozen=True, kw_only=True)
class Migration:
    """The file as it was, and the one for ExecuTorch; `changes` are what an app's code meets."""

    before: ArtifactFile
    after: Artifact
    changes: tuple[str, ...]


def migrate(
    path: Path | str,
    *,
    out: Path | str = "build",
    weights: Path | str | None = None,
    calibration: Path | str | None = None,
    on_step: Callable[[str], None] | None = None,
) -> Migration:
    """Export the model behind a `.ptl` again, with the same recipe, to `out`/NAME.pte.

    The model is built as the metadata says, and its weights must be the same by SHA-256: `weights`
    is their file, where they came from one. An int8 file needs its `calibration` images again, as
    ExecuTorch computes GELU and softmax exactly and takes other rewrites.

    Raises `UsageError` where the file does not say enough, and what `export` does.
    """
    before = read_artifact(path)
    meta = before.metadata
    if meta.format != "ptl":
        raise UsageError(f"{path} is a .pte already.")
    wanted = options_of(meta)
    if meta.quantization.method == "qat":
        raise UsageError(
            f"{path} was trained (QAT), and the trained weights are not in the file. Export again "
            f"with what it was trained on: `export {meta.provenance.model} --format pte --quantize "
            "qat --train DIR`, or `--quantize static` without training."
        )
    if meta.quantization.method in CALIBRATED and calibration is None:
        raise UsageError(
            f"{path} is int8 ({meta.quantization.method}). Give the images that it was calibrated "
            "on, or others like them: --calibration DIR."
        )
    if meta.provenance.weights.origin == "file" and weights is None:
        raise UsageError(
            f"The weights of {path} came from a file ({meta.provenance.weights.detail}). Give it: "
            "--weights FILE."
        )
    _require_same_weights(meta, wanted, weights)
    after = api.export(
        meta.provenance.model,
        format="pte",
        out=out,
        name=Path(path).stem,
        weights=weights,
        calibration=calibration,
        on_step=on_step,
        **wanted,
    )
    return Migration(before=before, after=after, changes=tuple(_changes(meta, after.metadata)))


def _require_same_weights(
    meta: Metadata, wanted: Mapping[str, Any], weights: Path | str | None
) -> None:
    """Build the model once, to compare its weights before anything is written."""
    shape = wanted.get("input_shape")
    several = isinstance(shape, Mapping)
    with export_errors(meta.provenance.model):
        source = load_source(
            meta.provenance.model,
            weights=None if weights is None else Path(weights),
            random_weights=wanted["random_weights"],
            labels=wanted["labels"],
            input_shape=None if several else shape,
            input_shapes=shape if several else None,
            seed=wanted["seed"],
        )
    if source.provenance.weights.sha256 != meta.provenance.weights.sha256:
        raise UsageError(
            f"The weights of {meta.provenance.model} are not those of the file (SHA-256 "
            f"{source.provenance.weights.sha256[:12]}..., and the file states "
            f"{meta.provenance.weights.sha256[:12]}...). Give them with --weights FILE."
        )


def _changes(before: Metadata, after: Metadata) -> Iterator[str]:
    """Say what an app's code meets that moves from the one file to the other."""
    assert after.program is not None, "it was just made"
    yield "runtime: ExecuTorch (org.pytorch:executorch-android) for pytorch_android_lite"
    calls = " then ".join(f"`{method}`" for method in after.program.methods)
    yield f"call: {calls}; outputs are a flat list: " + ", ".join(
        output.name for output in after.output.tensors
    )
    if before.input.kind == "image" and after.input.kind == "image":
        largest = after.input.max_side
        yield f"photos: up to {largest} pixels a side, {before.input.max_side} before: scale down"
    elif before.input.kind == "tensor" and before.input.dynamic_batch:
        yield "batch: one size, any before"


def options_of(meta: Metadata) -> dict[str, Any]:
    """Return the keywords of `export` that make the same of a model as the metadata describes.

    Raises `UsageError` for a file that was made of a module object, which nobody can name.
    """
    provenance = meta.provenance
    if provenance.source == "module":
        raise UsageError(
            f"{meta.name} was exported from a module in Python, which a file cannot name. Call "
            '`exporter.export(module, format="pte", ...)` where it was exported.'
        )
    steps = [step.function for step in meta.output.added]
    activation = next((f for f in steps if f in ("softmax", "sigmoid")), "none")
    return {
        "random_weights": provenance.weights.origin == "random",
        "seed": provenance.seed or 0,
        "labels": None if meta.output.labels is None else tuple(meta.output.labels),
        "task": meta.task,
        "unit": next((t.unit for t in meta.output.tensors if t.unit is not None), None),
        "output": "normalized" if "normalize" in steps else _representation(steps),
        "activation": "auto" if meta.input.kind == "tensor" else activation,
        "quantize": _recipe(meta),
        **_input(meta),
    }


def _representation(steps: Sequence[str]) -> str:
    return "class_map" if "argmax" in steps else "auto"


def _recipe(meta: Metadata) -> QuantizeRecipe | None:
    stated = meta.quantization
    if stated.method == "none":
        return None
    given: dict[str, Any] = {"method": stated.method, "scheme": stated.scheme}
    if stated.method in CALIBRATED and stated.float_layers:
        given["float_layers"] = tuple(stated.float_layers)
    return QuantizeRecipe(**given)


def _input(meta: Metadata) -> dict[str, Any]:
    """Return what says the input's kind, size and preprocessing."""
    if meta.input.kind == "tensor":
        shapes = {tensor.name: tuple(tensor.shape) for tensor in meta.input.tensors}
        one = len(shapes) == 1
        return {"input": "tensor", "input_shape": next(iter(shapes.values())) if one else shapes}
    stated = meta.preprocessing
    assert stated is not None, "the contract has it for every photo"
    given: dict[str, Any] = {
        "input": "image",
        "preprocessing": PreprocessingChoice(
            interpolation=cast(Interpolation, stated.interpolation),  # of those in the graph
            crop_pct=stated.crop_pct,
            crop_mode=stated.crop_mode,
            mean=stated.mean,
            std=stated.std,
        ),
    }
    if meta.provenance.source == "factory" or meta.provenance.img_size is not None:
        given["input_shape"] = (1, *stated.input_size)
    return given
