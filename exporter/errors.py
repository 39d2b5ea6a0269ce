"""Errors of `exporter`: one base, leaves named by cause, messages written for people."""

from __future__ import annotations

from runtime_check.errors import did_you_mean as did_you_mean  # one for both packages


class ExportError(Exception):
    """Tell a person what happened, at which stage, and what to do.

    `exit_code` is what the command line returns: 2 for usage and export errors, 1 for parity.
    """

    exit_code = 2


class UsageError(ExportError):
    """An option or a combination of options makes no sense."""


class SourceError(ExportError):
    """The model, its weights or its labels cannot be loaded."""


class NotReproducible(ExportError):
    """The model gives two answers to one input, so no file can be verified against it."""


class NothingToVerify(ExportError):
    """The model's outputs do not depend on its input, or are mostly rounding."""


class ModelError(ExportError):
    """The model's own code fails on its input, or returns what no app can read."""


class UnsuitableTorch(ExportError):
    """This torch (or timm) cannot do the job."""


class ImageFolderError(ExportError):
    """A folder of images is missing, unreadable, or does not fit the model's labels."""


class CaptureError(ExportError):
    """The module cannot become TorchScript without changing what it computes."""


class OptimizeError(ExportError):
    """The optimized module computes something else, and no repair helped."""


class IncompatibleRuntime(ExportError):
    """The device runtime lacks an operator, an argument or the bytecode version."""


class VerifyError(ExportError):
    """The saved file does not compute what eager Python computes."""

    exit_code = 1


class Untraceable(ExportError):
    """Symbolic tracing (FX) fails on the module, or its graph computes something else."""


class QuantizeError(ExportError):
    """The module cannot be quantized as asked."""


class RecipeError(QuantizeError):
    """The recipe, or a combination of its fields, does not exist."""


class UnknownLayer(QuantizeError):
    """A layer name given by the user matches no layer of the model."""


class NothingQuantized(QuantizeError):
    """Not one layer became int8, so the result would be a float model under another name."""


class NotFinite(QuantizeError):
    """Weights or activations hold NaN or infinity: there is no int8 range to choose."""


class CalibrationError(QuantizeError):
    """The calibration images are missing, or not images of anything."""


class TrainingDataError(QuantizeError):
    """The training images are missing or too few, or the checkpoint belongs to others."""


class WrongEngine(QuantizeError):
    """Weights are packed for a server engine, not for a phone's."""


class UncountedWork(QuantizeError):
    """The network calls an operator whose work is not known, so recipes cannot be compared."""


class BudgetNotMet(QuantizeError):
    """No candidate stays within the accuracy budget; the message carries the whole table."""
