"""Export PyTorch vision models to verified lite-interpreter files."""

from .artifact import Artifact
from .errors import ExportError
from .pipeline import export
from .plan import PreprocessingChoice
from .quantize.step import QuantizeChoice

__all__ = ["Artifact", "ExportError", "PreprocessingChoice", "QuantizeChoice", "export"]
