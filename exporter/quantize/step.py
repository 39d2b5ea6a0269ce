"""Quantize: what the user chose becomes an int8 module, with evidence, or an error.

The recipes and their arithmetic are in `exporter.quantize`; this is where they meet the pipeline:
images through the model's own preprocessing, the budget, and what the metadata says about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from runtime_check.artifact.metadata import Quantization
from runtime_check.metrics import Metric, metric_for

from ..errors import UsageError
from ..image.folders import SkippedImages
from ..notes import Note
from ..options import NOISE, QuantizeOptions
from ..outputs import run
from ..plan import Plan
from ..progress import Listener, silent
from ..recipes import AUTO
from ..rewrites.watch import Example
from .apply import QuantizeImages, quantize
from .auto import choose
from .describe import LayerReport, Quantized
from .images import calibration_images, exam_images, training_images
from .place import CalibrationChoice
from .processes import leave_together
from .qat import Trained


@dataclass(frozen=True, kw_only=True)
class QuantizedNetwork:
    """The network to capture: int8, or the float one it was given.

    `skipped` sums up the image files that could not serve; `calibration` is what it chose.
    """

    module: nn.Module
    simulated: nn.Module | None  # the fake-quantized twin, for the ledger
    described: Quantization
    notes: tuple[Note, ...]
    layers: tuple[LayerReport, ...] = ()
    trained: Trained | None = None
    skipped: tuple[SkippedImages, ...] = ()
    calibration: CalibrationChoice | None = None

    @property
    def is_int8(self) -> bool:
        """Whether anything became int8."""
        return self.described.method != "none"


def quantize_network(
    module: nn.Module, plan: Plan, options: QuantizeOptions, tell: Listener = silent
) -> QuantizedNetwork:
    """Make `module` int8 as `options` say, on images that go through the plan's preprocessing.

    Calibration sees exactly what the shipped network will. Raises `QuantizeError` and its leaves,
    and `ImageFolderError`; `SystemExit` in all but the first of processes that trained together.
    """
    if options.method == "none":
        return QuantizedNetwork(module=module, simulated=None, described=Quantization(), notes=())
    metric = network_metric(module, plan)
    calibration, notes, skipped = calibration_images(options, plan, tell)
    exam = None
    if options.method == AUTO:
        calibration, exam, how, unfit = exam_images(options, plan, metric, calibration, skipped)
        notes.append(how)
        skipped += unfit
    at_once = None
    given = plan.inputs[0]
    if len(given) == 1 and not takes_batches(module, given[0], plan.inputs[-1][0]):
        at_once = 1
        notes.append(_require_one_image(module, plan))
        calibration = _one_by_one(calibration)
        exam = exam and replace(exam, measured=_one_by_one(exam.measured))
    train, unfit = training_images(options, plan, metric)
    skipped += unfit
    images = QuantizeImages(
        example=given[0] if len(given) == 1 else given,
        calibration=calibration,
        allow_noise=options.calibration == NOISE,
        train=train,
        checkpoint=options.checkpoint,
        at_once=at_once,
        training=options.training,
    )
    if exam is None:
        quantized = quantize(module, options.recipes[0], images, metric=metric, tell=tell)
        notes += [Note("quantize", text) for text in quantized.notes]
    else:
        found = choose(module, options.recipes, images, exam, tell=tell)
        quantized = found.quantized
        notes += [Note("auto", text) for text in (*found.notes, found.table())]
    leave_together()
    return _network(quantized, notes, skipped)


def network_metric(module: nn.Module, plan: Plan) -> Metric:
    """Return what the task is judged by on the bare network's outputs, where int8 is measured.

    That is before what the file adds: scores and not the map or the probabilities made of them.
    """
    bare = []
    for output in plan.meaning.outputs:
        turned = any(step.function != "normalize" for step in output.steps)
        holds = "scores" if turned else output.holds
        bare.append(replace(output, holds=holds, steps=(), is_mapped=False))
    meaning = replace(plan.meaning, outputs=tuple(bare), drops_batch=(False,) * len(bare))
    outputs = run(module, plan.inputs[0])
    return metric_for(meaning.task, meaning.described(outputs, None, None).tensors)


def takes_batches(module: nn.Module, example: Tensor, other: Tensor) -> bool:
    """Say whether two images give what each gives alone: else images are run one by one."""
    first, second = run(module, (example,)), run(module, (other,))
    try:
        both = run(module, (torch.cat([example, other]),))
    except Exception:  # noqa: BLE001  a network of a fixed batch size is a valid network
        return False
    return len(first) == len(second) == len(both) and all(
        one.dim() > 0 and one.shape == two.shape and _alike(torch.cat([one, two]), got)
        for one, two, got in zip(first, second, both, strict=True)
    )


def _alike(one: Tensor, other: Tensor) -> bool:
    """Whether two outputs are the same but for rounding, which may turn a class here and there."""
    if one.shape != other.shape or not one.numel():
        return one.shape == other.shape
    if not one.is_floating_point():
        return float((one == other).double().mean()) > 0.99
    return torch.allclose(one, other, rtol=1e-3, atol=1e-3 * float(one.abs().max()))


def _require_one_image(module: nn.Module, plan: Plan) -> Note:
    """Say that images go one by one; raise `UsageError` where the network does not take one."""
    name, example = plan.source.name, plan.inputs[0][0]
    try:
        run(module, (example[:1],))
    except Exception as error:
        raise UsageError(
            f"{name} takes {len(example)} images at once and no other number, and int8 is "
            "calibrated and judged on one after the other. Export it for one image "
            f"(--input-shape {','.join(map(str, (1, *example.shape[1:])))})."
        ) from error
    text = f"{name} takes no batches: images are run one by one, and training adds up gradients"
    return Note("quantize", text)


def _one_by_one(batches: Sequence[Example]) -> list[Example]:
    return [image for batch in batches if isinstance(batch, Tensor) for image in batch.split(1)]


def _network(
    made: Quantized, notes: Sequence[Note], skipped: tuple[SkippedImages, ...]
) -> QuantizedNetwork:
    recipe = made.recipe
    return QuantizedNetwork(
        module=made.module,
        simulated=made.simulated,
        described=Quantization.model_validate(
            {
                "method": recipe.method,
                "mode": recipe.mode,
                "engine": "qnnpack",
                "scheme": recipe.scheme,
                "recipe": str(recipe),
                "int8_layers": made.int8_layers,
                "float_layers": list(made.float_layers),
            }
        ),
        notes=tuple(notes),
        layers=made.layers,
        trained=made.trained,
        skipped=skipped,
        calibration=made.calibration,
    )
