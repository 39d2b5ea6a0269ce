"""Check that a lite-interpreter file computes what Python computes.

Imports nothing of `exporter`, so an app team can use it alone.
"""

from .artifact import ArtifactFile, read_artifact, read_bytecode
from .compare import Comparison, Tolerance, assert_parity, compare
from .errors import ParityError, RuntimeCheckError, UnreadableArtifact, UnsupportedSchema
from .metadata import Golden, Metadata

__all__ = [
    "ArtifactFile",
    "Comparison",
    "Golden",
    "Metadata",
    "ParityError",
    "RuntimeCheckError",
    "Tolerance",
    "UnreadableArtifact",
    "UnsupportedSchema",
    "assert_parity",
    "compare",
    "read_artifact",
    "read_bytecode",
]
