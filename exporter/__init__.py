"""Export PyTorch vision models to verified lite-interpreter files.

Names are imported when they are first used: `python -m exporter --help` does not wait for torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime_check.faces import face

if TYPE_CHECKING:
    from .api import export as export
    from .artifact import Artifact as Artifact
    from .artifact import load as load
    from .errors import ExportError as ExportError
    from .options import Budget as Budget
    from .options import PreprocessingChoice as PreprocessingChoice
    from .package.sign import sign as sign
    from .recipes import QuantizeRecipe as QuantizeRecipe
    from .training import TrainingOptions as TrainingOptions

__version__ = "0.2.0.dev0"

_HOMES = {
    "Artifact": "artifact",
    "Budget": "options",
    "ExportError": "errors",
    "PreprocessingChoice": "options",
    "QuantizeRecipe": "recipes",
    "TrainingOptions": "training",
    "export": "api",
    "load": "artifact",
    "sign": "package.sign",
}
__all__ = [*_HOMES, "__version__"]
__getattr__, __dir__ = face(__name__, _HOMES)
