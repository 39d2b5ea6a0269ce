"""Export PyTorch vision models to verified lite-interpreter files."""

from .errors import ExportError
from .pipeline import Artifact, PreprocessingChoice, export

__all__ = ["Artifact", "ExportError", "PreprocessingChoice", "export"]
