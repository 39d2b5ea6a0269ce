"""What is exported: the model, its preprocessing and activation, and the inputs it is judged on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from runtime_check.artifact.metadata import Format, Output, Preprocessing
from runtime_check.metrics import Metric, metric_for
from runtime_check.reference.detectors import detection_of
from runtime_check.reference.wrappers import is_torchscript

from .agreement import Inputs
from .errors import ModelError, UsageError
from .evaluation import Evaluation, load_evaluation
from .image.preprocess import MAX_SIDE, MIN_SIDE, Preprocess
from .image.samples import Sample, image_samples, tensor_samples
from .inputs import require_room
from .meaning.infer import infer
from .meaning.outputs import Asked, Meaning, Seen
from .options import Budget, ExportOptions, PreprocessingChoice
from .outputs import Path, run
from .source import SourceModel, class_count, stated_labels
from .trial import Trial, pristine, try_out
from .whole import Whole, finish, scripted

# Pixels of a photo's longer side. A .pte sets the memory for the largest photo aside at load: 29 MB
# for this side, 104 MB for twice as much.
LARGEST: dict[Format, int] = {"ptl": MAX_SIDE, "pte": 2048}

# Work of one run, in multiply-accumulates, above which a model is judged on few inputs: about 3 s
# on one thread. A ViT-B/16 has 2e10 at 224 x 224 pixels, 6e10 at 384 and 3e11 at 768.
MUCH_WORK = 1e11


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What stays fixed while a module is turned into a file.

    `samples` are the arguments of the file's `forward`; `inputs` are what the bare network gets
    for each of them. `meaning` is what its outputs are, and what is done to them; `paths` say where
    they are in what the module returns. `evaluation` has labeled images, where the user gave some.
    """

    source: SourceModel
    preprocess: Preprocess | None  # None: the bare network
    preprocessing: Preprocessing | None
    meaning: Meaning
    paths: tuple[Path, ...]
    samples: tuple[Sample, ...]
    inputs: tuple[Inputs, ...]
    evaluation: Evaluation | None = None
    is_tensor: bool = True  # the module returns a tensor, not a container of some
    absent: tuple[str, ...] = ()  # names of outputs that are None, and are left out

    @property
    def reader(self) -> Preprocess | None:
        """What calibration images go through, also where the artifact leaves it to the app."""
        if self.preprocess is not None or self.preprocessing is None:
            return self.preprocess
        return Preprocess(self.preprocessing, min_side=MIN_SIDE, max_side=MAX_SIDE).eval()

    def metric_of(self, outputs: Sequence[Tensor]) -> Metric:
        """Return what the task is judged by; `outputs` are the network's for the first sample."""
        finished = self.finish(outputs, 0)
        described = self.described(finished)
        return metric_for(self.meaning.task, described.tensors, described.detection)

    def whole(self, network: nn.Module) -> nn.Module:
        """Wrap a network as `forward` will be shipped, in eager Python, unless it is so already."""
        if self.preprocess is None and self.is_tensor and self.meaning.is_plain:
            return network
        return Whole(self.preprocess, network, self.meaning).eval()

    def finish(self, outputs: Sequence[Tensor], sample: int) -> list[Tensor]:
        """Turn the network's outputs for a sample into what the file gives."""
        return finish(self.meaning, outputs, self.samples[sample].inputs[0], self.preprocess)

    def shipped(self, network: torch.jit.ScriptModule) -> torch.jit.ScriptModule:
        """Wrap a captured network in TorchScript; raises `CaptureError`."""
        return scripted(
            network,
            self.meaning,
            self.preprocess,
            arguments=len(self.inputs[0]),
            paths=self.paths,
        )

    def before_activations(self) -> Plan:
        """Return the same with the scores that softmax, sigmoid and argmax are taken of."""
        return replace(self, meaning=self.meaning.before_activations())

    def described(self, outputs: Sequence[Tensor]) -> Output:
        """Return the contract's words for what the file gives, `outputs` for its first sample."""
        space = "network" if self.preprocess is not None else None
        output = self.meaning.described(outputs, self.source.labels, space)
        return output.model_copy(update={"detection": detection_of(self.source.module)})


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
    draft = (
        _image_draft(source, stated, LARGEST[options.format])
        if image
        else _tensor_draft(source, stated, options)
    )
    # A copy is tried: what a module keeps from its first run must not be kept from this one.
    module = pristine(source.module) or source.module
    trial = _tried(source, module, draft.inputs[0], options)
    _require_python(source, options)
    source = _labeled(source, trial)
    draft = replace(_affordable(draft, trial.work), source=source)
    meaning = infer(_seen(draft, module, trial), asked_of(options), is_image=image)
    plan = Plan(
        source=source,
        preprocess=draft.preprocess,
        preprocessing=draft.preprocessing,
        meaning=meaning,
        paths=trial.paths,
        samples=draft.samples,
        inputs=draft.inputs,
        is_tensor=trial.is_tensor,
        absent=trial.absent,
    )
    _require_photos_to_do(source, options)
    metric = plan.metric_of(trial.outputs)
    _require_metric(plan, metric, trial, options)
    return replace(plan, evaluation=_evaluation(plan, metric, options))


def _tried(source: SourceModel, module: nn.Module, given: Inputs, options: ExportOptions) -> Trial:
    model = source.provenance.model
    try:
        return try_out(model, module, given)
    except ModelError as error:
        if source.provenance.source != "timm" or options.input_shape is None:
            raise
        raise UsageError(
            f"{model} does not take pictures of {source.input_shape[2]} x {source.input_shape[3]}. "
            "Sides that its patches or windows divide may do. "
            f"It said: {str(error).rstrip('.')}."
        ) from error


@dataclass(frozen=True, kw_only=True)
class _Draft:
    """What is known of a plan before the module has run."""

    source: SourceModel
    preprocess: Preprocess | None
    preprocessing: Preprocessing | None
    samples: tuple[Sample, ...]
    inputs: tuple[Inputs, ...]


def asked_of(options: ExportOptions) -> Asked:
    """Return what the user said of the outputs."""
    return Asked(
        task=options.task,
        activation=options.activation,
        output=options.output,
        unit=options.unit,
    )


def _labeled(source: SourceModel, trial: Trial) -> SourceModel:
    """Take the labels in the model's configuration where nobody gave any and an output fits."""
    labels = stated_labels(source.module) if source.labels is None else None
    if labels is None or not any(t.shape[1:2] == (len(labels),) for t in trial.outputs):
        return source
    return replace(source, labels=labels)


def _seen(draft: _Draft, module: nn.Module, trial: Trial) -> Seen:
    """Run the module on the other samples and on a batch of two: what its outputs show."""
    source = draft.source
    rest = [tuple(run(module, given)) for given in draft.inputs[1:]]
    shape = source.input_shape
    return Seen(
        name=source.name,
        names=trial.names,
        samples=(trial.outputs, *rest),
        batch=_batch_axes(module, draft.inputs, trial.outputs),
        classes=class_count(module),
        is_headless=_is_headless(module),
        labels=source.labels,
        size=(shape[2], shape[3]) if len(shape) == 4 and len(source.takes) == 1 else None,
    )


def _is_headless(module: nn.Module) -> bool:
    """Whether a timm model says that it has no classifier, wherever it came from."""
    return hasattr(module, "pretrained_cfg") and getattr(module, "num_classes", None) == 0


def _batch_axes(
    module: nn.Module, inputs: Sequence[Inputs], outputs: Sequence[Tensor]
) -> tuple[int | None, ...]:
    """Return the axis of each output that doubles with the batch; None where none alone does."""
    size = inputs[0][0].shape[:1]
    if any(t.shape[:1] != size or not size for t in inputs[0]):
        return tuple(None for _ in outputs)
    try:
        doubled = run(module, tuple(torch.cat([t, t]) for t in inputs[0]))
    except Exception:  # noqa: BLE001  a network of a fixed batch size is a valid network
        return tuple(0 if size[0] > 1 and t.shape[:1] == size else None for t in outputs)
    if len(doubled) != len(outputs):
        return tuple(None for _ in outputs)
    return tuple(_grown(one, two) for one, two in zip(outputs, doubled, strict=True))


def _grown(one: Tensor, two: Tensor) -> int | None:
    if one.dim() != two.dim():
        return None
    grown = [i for i, (a, b) in enumerate(zip(one.shape, two.shape, strict=True)) if a != b]
    doubled = len(grown) == 1 and two.shape[grown[0]] == 2 * one.shape[grown[0]]
    return grown[0] if doubled else None


def _require_photos_to_do(source: SourceModel, options: ExportOptions) -> None:
    """Refuse what takes folders of photos where these are but one of several inputs."""
    asked = options.quantize
    refused = {
        "--train": asked.train is not None,
        "--evaluate": asked.evaluate is not None,
    }
    for option, is_given in refused.items():
        if is_given and len(source.takes) > 1:
            names = ", ".join(takes.name for takes in source.takes)
            raise UsageError(
                f"{option} takes photos, and {source.name} has several inputs ({names}). Leave it "
                "out: --quantize static, dynamic and auto work with `--calibration inputs.npz`, an "
                "array for each input."
            )


def _require_metric(plan: Plan, metric: Metric, trial: Trial, options: ExportOptions) -> None:
    """Refuse what measures a figure that these outputs do not have.

    Accuracy is of classes alone, though `auto` judges on the images of `--evaluate` by any metric;
    values agree by no share, and only floats have noise.
    """
    asked, budget = options.quantize, options.quantize.budget or Budget()
    ranks, agrees = metric.kind == "classes", metric.kind != "none"
    has_noise = any(output.is_floating_point() for output in trial.outputs)
    accuracy = "measures accuracy, which is of classes"
    share = "is a share of classes, pixels, boxes or a cosine (for values, `--min-sqnr DB`)"
    noise = "measures noise, which whole numbers do not have"
    refused = {
        "--evaluate": (asked.evaluate is not None and asked.method != "auto", ranks, accuracy),
        "--max-accuracy-drop": (budget.max_accuracy_drop is not None, ranks, accuracy),
        "--min-agreement": (budget.min_agreement is not None, agrees, share),
        "--min-sqnr": (budget.min_sqnr_db is not None, has_noise, noise),
        "--quantize auto": (asked.method == "auto", agrees or has_noise, noise),
        "--quantize qat": ("qat" in asked.methods, agrees or has_noise, noise),
    }
    for option, (is_given, is_known, why) in refused.items():
        if is_given and not is_known:
            shapes = ", ".join(str(list(output.shape)) for output in trial.outputs[:3])
            raise UsageError(
                f"{option} {why}. {plan.source.name} returns {shapes}, {plan.meaning.basis}."
            )


def _require_python(source: SourceModel, options: ExportOptions) -> None:
    """Refuse to quantize TorchScript: its layers are in compiled code, where none is replaced."""
    if is_torchscript(source.module) and options.quantize.method != "none":
        raise UsageError(
            f"{source.name} is TorchScript already (scripted, traced or loaded), and --quantize "
            f"{options.quantize.method} replaces layers of Python modules. Export the module that "
            "it was made from, or leave --quantize out."
        )


def _evaluation(plan: Plan, metric: Metric, options: ExportOptions) -> Evaluation | None:
    folder = options.quantize.evaluate
    if folder is None or metric.kind != "classes":
        return None
    found = load_evaluation(
        folder,
        plan.source.labels,
        plan.reader,
        as_photos=plan.preprocess is not None,
        output=metric.output,
    )
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


def _image_draft(source: SourceModel, stated: Preprocessing | None, largest: int) -> _Draft:
    assert stated is not None
    in_graph = stated.model_copy(update={"in_graph": True})
    preprocess = Preprocess(in_graph, min_side=MIN_SIDE, max_side=largest).eval()
    samples = tuple(image_samples(stated.input_size[0]))
    return _Draft(
        source=source,
        preprocess=preprocess,
        preprocessing=in_graph,
        samples=samples,
        inputs=tuple(tuple(run(preprocess, sample.inputs)) for sample in samples),
    )


def _tensor_draft(
    source: SourceModel, stated: Preprocessing | None, options: ExportOptions
) -> _Draft:
    activation = options.activation
    if activation not in ("auto", "none"):
        raise UsageError(
            f"--activation {activation} goes with --input image; the bare network's outputs are "
            "given as they are."
        )
    require_room(source.takes)
    samples = tuple(tensor_samples(source.takes, example=source.example))
    return _Draft(
        source=source,
        preprocess=None,
        preprocessing=stated,
        samples=samples,
        inputs=tuple(sample.inputs for sample in samples),
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


def _affordable(plan: _Draft, work: int) -> _Draft:
    """Judge slow models on fewer inputs; the ledger states how many there were.

    An export runs the model some sixty times on five inputs. At 15 s a run (a ViT at 768 x 768
    pixels on one thread) that would be a quarter of an hour.
    """
    if work <= MUCH_WORK:
        return plan
    return replace(plan, samples=plan.samples[:2], inputs=plan.inputs[:2])
