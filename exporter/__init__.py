"""Export PyTorch vision models to verified lite-interpreter files."""

from .errors import ExportError
from .pipeline import Artifact, PreprocessingChoice, export
from .quantization import QuantizeChoice

__all__ = ["Artifact", "ExportError", "PreprocessingChoice", "QuantizeChoice", "export"]
