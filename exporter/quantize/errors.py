"""Errors of the quantisation step, named by cause."""

from __future__ import annotations

from ..errors import ExportError


class QuantizeError(ExportError):
    """The module cannot be quantised as asked."""


class RecipeError(QuantizeError):
    """The recipe, or a combination of its fields, does not exist."""


class UnknownLayer(QuantizeError):
    """A layer name given by the user matches no layer of the model."""


class NothingQuantized(QuantizeError):
    """Not one layer became int8, so the result would be a float model under another name."""


class NotFinite(QuantizeError):
    """Weights or activations hold NaN or infinity: there is no int8 range to choose."""


class CalibrationError(QuantizeError):
    """The calibration images are missing, unreadable, or not images of anything."""


class TrainingDataError(QuantizeError):
    """The training images or their class folders do not fit the model."""


class WrongEngine(QuantizeError):
    """Weights are packed for a server engine and not for a phone's."""


class BudgetNotMet(QuantizeError):
    """No candidate stays within the accuracy budget; the message carries the whole table."""
