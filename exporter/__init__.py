"""Export PyTorch vision models to verified lite-interpreter files."""

from .api import export
from .artifact import Artifact
from .errors import ExportError
from .options import PreprocessingChoice
from .quantize.step import QuantizeChoice

__all__ = ["Artifact", "ExportError", "PreprocessingChoice", "QuantizeChoice", "export"]
