"""What is exported: the model, its preprocessing and activation, and the inputs it is judged on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from runtime_check.artifact.metadata import Preprocessing
from runtime_check.reference.wrappers import is_torchscript

from .errors import CaptureError, UsageError
from .evaluation import Evaluation, load_evaluation
from .image.preprocess import MAX_SIDE, MIN_SIDE, ImageModel, Preprocess
from .image.samples import Sample, image_samples, tensor_samples
from .options import Activation, ExportOptions, PreprocessingChoice
from .outputs import run
from .quiet import quiet
from .source import SourceModel, class_count
from .trial import Trial, pristine, try_out

# Work of one run, in multiply-accumulates, above which a model is judged on few inputs: about 3 s
# on one thread. A ViT-B/16 has 2e10 at 224 x 224 pixels, 6e10 at 384 and 3e11 at 768.
MUCH_WORK = 1e11

# How far a sum of float32 probabilities may be from 1: a thousand of them round by 1e-6 or so.
_NEAR_ONE = 1e-4


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What stays fixed while a module is turned into a file.

    `samples` are the arguments of the file's `forward`; `inputs` are what the bare network gets
    for each of them, `[N, C, H, W]`. `evaluation` has labeled images, where the user gave some.
    `axis` is the network output's class axis, which softmax goes over. `said` tells what was
    decided about the activation, where that may surprise.
    """

    source: SourceModel
    preprocess: Preprocess | None  # None: the bare network
    preprocessing: Preprocessing | None
    activation: Literal["softmax", "sigmoid", "none"]
    samples: tuple[Sample, ...]
    inputs: tuple[Tensor, ...]
    evaluation: Evaluation | None = None
    axis: int = -1
    said: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()  # names of outputs that are None, and are left out

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
        return ImageModel(self.preprocess, network, self.activation, axis=self.axis).eval()

    def finish(self, outputs: Sequence[Tensor]) -> list[Tensor]:
        """Apply the activation to a network's outputs, as `whole` does."""
        if self.activation == "softmax":
            return [torch.softmax(t, self.axis) for t in outputs]
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


def make_plan(source: SourceModel, options: ExportOptions) -> Plan:
    """Decide what is exported from what the user asked for and what the model says.

    Raises `UsageError` where the two do not go together.
    """
    stated = _merge(source.preprocessing, source, options.preprocessing)
    if options.input == "image" and stated is None:
        raise UsageError(
            f"{source.name} does not say how it wants images. Give --mean and --std (and "
            "--interpolation, --crop-pct, --crop-mode), or export the bare network with "
            "`--input tensor`."
        )
    image = stated is not None and options.input != "tensor"
    if image and source.input_shape[0] != 1:
        raise UsageError(
            f"--input-shape {','.join(map(str, source.input_shape))}: an image artifact takes one "
            "photo, so the first size is 1. For batches export with `--input tensor`."
        )
    plan = _image_plan(source, stated) if image else _tensor_plan(source, stated, options)
    # A copy is tried: what a module keeps from its first run must not be kept from this one.
    module = pristine(source.module) or source.module
    trial = try_out(source.provenance.model, module, plan.inputs[0])
    if image:
        _require_one_output(source.name, trial)
        plan = _activated(plan, module, trial.outputs[0], options.activation)
    _require_labels(source.name, trial, options)
    _require_scores(source.name, trial, options)
    _require_python(source, options)
    plan = replace(plan, absent=trial.absent)
    return replace(_affordable(plan, trial.work), evaluation=_evaluation(plan, options))


def _require_one_output(name: str, trial: Trial) -> None:
    shapes = [list(output.shape) for output in trial.outputs]
    if not trial.is_tensor or shapes[0][:1] != [1]:
        what = "one" if trial.is_tensor else "several, or one in a tuple or dict"
        raise UsageError(
            f"An image artifact needs a network that returns one tensor, of shape [1, ...] for one "
            f"photo; {name} returns {what}, of shape {', '.join(map(str, shapes[:3]))}. Export it "
            "with `--input tensor`."
        )


def _require_scores(name: str, trial: Trial, options: ExportOptions) -> None:
    """Refuse what compares scores where the network returns something else."""
    asked = options.quantize
    wants = {
        "--quantize auto": asked.method == "auto",
        "--quantize qat": "qat" in asked.methods,
        "--evaluate": asked.evaluate is not None,
    }
    shapes = [list(output.shape) for output in trial.outputs]
    if trial.is_tensor and len(shapes[0]) > 1:
        return
    for option, is_given in wants.items():
        if is_given:
            raise UsageError(
                f"{option} compares scores, one tensor of shape [N, classes]; {name} returns "
                f"{'one' if trial.is_tensor else 'several, or one in a tuple or dict'}, of shape "
                f"{', '.join(map(str, shapes[:3]))}. Export a module around it that returns scores."
            )


def _require_labels(name: str, trial: Trial, options: ExportOptions) -> None:
    """Refuse labels for other outputs than `[N, classes]`: apps read the last size as classes."""
    shape = list(trial.outputs[0].shape)
    if options.labels is not None and len(shape) > 2:
        raise UsageError(
            f"--labels names the classes of an output of shape [N, classes]; {name} returns "
            f"{shape}. Leave --labels out, and keep the names in the app."
        )


def _require_python(source: SourceModel, options: ExportOptions) -> None:
    """Refuse to quantize TorchScript: its layers are in compiled code, where none is replaced."""
    if is_torchscript(source.module) and options.quantize.method != "none":
        raise UsageError(
            f"{source.name} is TorchScript already (scripted, traced or loaded), and --quantize "
            f"{options.quantize.method} replaces layers of Python modules. Export the module that "
            "it was made from, or leave --quantize out."
        )


def _evaluation(plan: Plan, options: ExportOptions) -> Evaluation | None:
    folder = options.quantize.evaluate
    if folder is None:
        return None
    as_photos = plan.preprocess is not None
    found = load_evaluation(folder, plan.source.labels, plan.reader, as_photos=as_photos)
    if found is not None or options.quantize.method == "auto":  # which can judge by agreement
        return found
    if plan.source.labels is None:
        raise UsageError(
            "--evaluate measures accuracy, and this model has no labels to match class folders "
            "with. Give them with --labels FILE, one a line."
        )
    raise UsageError(
        f"--evaluate {folder} has no class folders, so there is no accuracy to measure. Sort the "
        "images into one folder a class, named like the labels."
    )


def _image_plan(source: SourceModel, stated: Preprocessing | None) -> Plan:
    assert stated is not None
    in_graph = stated.model_copy(update={"in_graph": True})
    preprocess = Preprocess(in_graph, min_side=MIN_SIDE, max_side=MAX_SIDE).eval()
    samples = tuple(image_samples())
    return Plan(
        source=source,
        preprocess=preprocess,
        preprocessing=in_graph,
        activation="none",
        samples=samples,
        inputs=tuple(run(preprocess, sample.inputs)[0] for sample in samples),
    )


def _activated(plan: Plan, module: nn.Module, output: Tensor, asked: Activation) -> Plan:
    """Decide the activation of an image artifact, and the axis it goes over.

    `output` is what `module` gives for the first of the plan's inputs. Unless one was asked for,
    only a classifier's scores `[1, classes]` get one, and probabilities get no second softmax.
    Raises `UsageError` where softmax was asked for and there is no class axis.
    """
    name, shape = plan.source.name, list(output.shape)
    if asked == "softmax" and len(shape) not in (2, 4):
        raise UsageError(
            "--activation softmax goes over classes, of [1, classes] or [1, classes, H, W]; "
            f"{name} returns {shape}, which does not say what its classes are. Leave it out, or "
            "apply it in the module."
        )
    plan = replace(plan, axis=1 if len(shape) == 4 else -1)
    if asked != "auto":
        return replace(plan, activation=asked)
    # A classifier says how many classes it has; a feature extractor says none.
    classes = class_count(plan.source.module)
    if classes <= 1 and not plan.source.labels:
        return plan
    if len(shape) != 2:
        said = f"no activation was added: {name} returns {shape}, not [1, classes]"
        return replace(plan, said=(said,))
    if _are_probabilities(output) and all(
        _are_probabilities(run(module, (x,))[0]) for x in plan.inputs[1:]
    ):
        said = f"no softmax was added: {name} returns probabilities already, for every sample"
        return replace(plan, said=(said,))
    return replace(plan, activation="softmax")


def _are_probabilities(output: Tensor) -> bool:
    """Say whether `output`, `[N, classes]`, is nonnegative and its rows sum to 1."""
    if not output.is_floating_point() or output.shape[-1] < 2:
        return False
    sums = output.double().sum(-1)
    near = (sums - 1).abs() <= _NEAR_ONE
    return bool((output >= 0).all()) and bool(near.all())


def _tensor_plan(source: SourceModel, stated: Preprocessing | None, options: ExportOptions) -> Plan:
    activation = options.activation
    if activation not in ("auto", "none"):
        raise UsageError(
            f"--activation {activation} goes with --input image; the bare network's outputs are "
            "given as they are."
        )
    samples = tuple(tensor_samples(source.input_shape))
    return Plan(
        source=source,
        preprocess=None,
        preprocessing=stated,
        activation="none",
        samples=samples,
        inputs=tuple(sample.inputs[0] for sample in samples),
    )


def _merge(
    stated: Preprocessing | None, source: SourceModel, choice: PreprocessingChoice
) -> Preprocessing | None:
    """Let what the user says override what the model says about its images."""
    values = {k: v for k, v in choice.__dict__.items() if v is not None}
    for option in ("mean", "std"):
        given, channels = values.get(option), source.input_shape[1:2]
        if given is not None and (len(given),) != channels:
            raise UsageError(
                f"--{option} has {len(given)} numbers, and {source.name} takes "
                f"{channels[0] if channels else 'no'} channels: give one number a channel."
            )
    if stated is not None:
        return Preprocessing.model_validate({**stated.model_dump(), **values})
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


def _affordable(plan: Plan, work: int) -> Plan:
    """Judge slow models on fewer inputs; the ledger states how many there were.

    An export runs the model some sixty times on five inputs. At 15 s a run (a ViT at 768 x 768
    pixels on one thread) that would be a quarter of an hour.
    """
    if work <= MUCH_WORK:
        return plan
    return replace(plan, samples=plan.samples[:2], inputs=plan.inputs[:2])
