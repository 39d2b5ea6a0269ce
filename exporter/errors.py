"""Errors of `exporter`: one base, leaves named by cause, messages written for people."""

from __future__ import annotations


class ExportError(Exception):
    """Tell a person what happened, at which stage, and what to do.

    `exit_code` is what the command line returns: 2 for usage and export errors, 1 for parity.
    """

    exit_code = 2


class UsageError(ExportError):
    """An option or a combination of options makes no sense."""


class SourceError(ExportError):
    """The model, its weights or its labels cannot be had."""


class UnsuitableTorch(ExportError):
    """This torch (or timm) cannot do the job."""


class CaptureError(ExportError):
    """The module cannot become TorchScript without changing what it computes."""


class OptimizeError(ExportError):
    """The optimised module computes something else, and no repair helped."""


class IncompatibleRuntime(ExportError):
    """The device runtime lacks an operator, an argument or the bytecode version."""


class VerifyError(ExportError):
    """The saved file does not compute what eager Python computes."""

    exit_code = 1
