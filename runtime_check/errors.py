"""Errors of `runtime_check`: one base, leaves named by cause, messages written for people."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Literal

# Why a file is not vouched for; the apps use the same words.
Doubt = Literal["unsigned", "unreadable", "other-key", "wrong-signature", "other-records"]


def did_you_mean(name: str, known: Iterable[str], *, most: int = 3, cutoff: float = 0.6) -> str:
    """Return " Did you mean A, B or C?" with the nearest of the `known` names, nearest first.

    The leading space lets it follow a sentence. "" where no name is near: `cutoff` is the share of
    characters that have to agree, 0 to 1 (`difflib.SequenceMatcher.ratio`); at most `most` names.
    """
    near = difflib.get_close_matches(name, list(known), n=most, cutoff=cutoff)
    *others, last = near or [""]
    return f" Did you mean {', '.join(others)}{' or ' if others else ''}{last}?" if near else ""


class RuntimeCheckError(Exception):
    """Tell a person what happened, where, and what to do.

    `exit_code` is what the command line returns: 2 for usage and unreadable files, 1 for parity.
    """

    exit_code = 2


class CannotWrite(RuntimeCheckError):
    """A file cannot be written where it was asked for; what was there before still is."""


class UnreadableArtifact(RuntimeCheckError):
    """The file is not a lite-interpreter artifact, or is damaged."""


class UnsupportedSchema(RuntimeCheckError):
    """The metadata's major schema version is one this release does not know."""


class NotVouchedFor(RuntimeCheckError):
    """A signature is demanded, and the file is not signed, or not by that key; `doubt` says which.

    A class of its own: the file may be whole, and still from somebody else.
    """

    def __init__(self, text: str, doubt: Doubt) -> None:
        super().__init__(text)
        self.doubt = doubt


class MissingCryptography(RuntimeCheckError):
    """The package that verifies and makes signatures is not installed."""


class MissingEngine(RuntimeCheckError):
    """This torch was built without the quantized engine that is needed."""


class ParityError(RuntimeCheckError):
    """Two computations that should agree do not."""

    exit_code = 1


class BuildError(RuntimeCheckError):
    """A model cannot be built here from its name, its weights or its factory."""


class UnknownModel(BuildError):
    """timm has no model, or no pretrained weights, of this name."""


class NoPretrainedWeights(BuildError):
    """The pretrained weights are not here and cannot be downloaded."""
