"""Export PyTorch vision models to verified lite-interpreter files."""

from .artifact import Artifact
from .errors import ExportError
from .pipeline import export
from .quantization import QuantizeChoice
from .task import PreprocessingChoice

__all__ = ["Artifact", "ExportError", "PreprocessingChoice", "QuantizeChoice", "export"]
