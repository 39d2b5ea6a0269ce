"""Check that a lite-interpreter file computes what Python computes.

Imports nothing of `exporter`, so an app team can use it alone. Names are imported when they are
first used: nothing here waits for torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .faces import face

if TYPE_CHECKING:
    from .artifact.archive import ArtifactFile as ArtifactFile
    from .artifact.archive import read_artifact as read_artifact
    from .artifact.archive import read_bytecode as read_bytecode
    from .artifact.metadata import Golden as Golden
    from .artifact.metadata import Metadata as Metadata
    from .checking import Report as Report
    from .checking import check as check
    from .comparison import Comparison as Comparison
    from .comparison import Tolerance as Tolerance
    from .comparison import assert_parity as assert_parity
    from .comparison import compare as compare
    from .errors import NotVouchedFor as NotVouchedFor
    from .errors import ParityError as ParityError
    from .errors import RuntimeCheckError as RuntimeCheckError
    from .errors import UnreadableArtifact as UnreadableArtifact
    from .errors import UnsupportedSchema as UnsupportedSchema
    from .loading import LoadedFile as LoadedFile
    from .loading import load as load
    from .options import CheckOptions as CheckOptions

__version__ = "0.2.0.dev0"

_HOMES = {
    "ArtifactFile": "artifact.archive",
    "CheckOptions": "options",
    "Comparison": "comparison",
    "Golden": "artifact.metadata",
    "LoadedFile": "loading",
    "Metadata": "artifact.metadata",
    "NotVouchedFor": "errors",
    "ParityError": "errors",
    "Report": "checking",
    "RuntimeCheckError": "errors",
    "Tolerance": "comparison",
    "UnreadableArtifact": "errors",
    "UnsupportedSchema": "errors",
    "assert_parity": "comparison",
    "check": "checking",
    "compare": "comparison",
    "load": "loading",
    "read_artifact": "artifact.archive",
    "read_bytecode": "artifact.archive",
}
__all__ = [*_HOMES, "__version__"]
__getattr__, __dir__ = face(__name__, _HOMES)
