"""Errors of `runtime_check`: one base, leaves named by cause, messages written for people."""

from __future__ import annotations


class RuntimeCheckError(Exception):
    """Tell a person what happened, where, and what to do.

    `exit_code` is what the command line returns: 2 for usage and unreadable files, 1 for parity.
    """

    exit_code = 2


class UnreadableArtifact(RuntimeCheckError):
    """The file is no lite-interpreter artifact, or is damaged."""


class UnsupportedSchema(RuntimeCheckError):
    """The metadata's major schema version is one this release does not know."""


class ParityError(RuntimeCheckError):
    """Two computations that should agree do not."""

    exit_code = 1
