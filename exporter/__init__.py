"""Export PyTorch vision models to verified lite-interpreter files.

Names are imported when they are first used: `python -m exporter --help` does not wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import export as export
    from .artifact import Artifact as Artifact
    from .artifact import load as load
    from .errors import ExportError as ExportError
    from .options import Budget as Budget
    from .options import PreprocessingChoice as PreprocessingChoice
    from .package.sign import sign as sign
    from .recipes import QuantizeRecipe as QuantizeRecipe

__version__ = "0.2.0.dev0"

_HOMES = {
    "Artifact": "artifact",
    "Budget": "options",
    "ExportError": "errors",
    "PreprocessingChoice": "options",
    "QuantizeRecipe": "recipes",
    "export": "api",
    "load": "artifact",
    "sign": "package.sign",
}
__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
