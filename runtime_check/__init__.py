"""Check that a lite-interpreter file computes what Python computes.

Imports nothing of `exporter`, so an app team can use it alone.
"""

from .artifact.archive import ArtifactFile, read_artifact, read_bytecode
from .artifact.metadata import Golden, Metadata
from .comparison import Comparison, Tolerance, assert_parity, compare
from .errors import ParityError, RuntimeCheckError, UnreadableArtifact, UnsupportedSchema

__version__ = "0.1.0"

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
