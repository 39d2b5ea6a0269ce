"""The exported file, callable like the module it was exported from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor

from runtime_check.artifact.archive import read_artifact
from runtime_check.artifact.inputs import check_inputs
from runtime_check.artifact.metadata import Metadata
from runtime_check.runtimes.lite import load_lite, quantized_engine
from runtime_check.runtimes.program import load_program

from .quiet import quiet, without_stderr
from .report.report import Report, read_report


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """An exported file. Calling it runs the file itself, in the runtime that its format is for.

    `report` is None for a file that was loaded without its report beside it; `installed` are the
    copies in apps that the export made.
    """

    path: Path
    metadata: Metadata
    report: Report | None = None
    installed: tuple[Path, ...] = ()

    @cached_property
    def _module(self) -> Any:
        if self.metadata.format == "pte":
            with without_stderr():  # it tells about the machine's processor
                program = load_program(self.path)
            one = self.metadata.output.returned == "tensor"
            return lambda *inputs: program(inputs)[0] if one else program(inputs)
        with quiet(), quantized_engine(required=False):
            return load_lite(self.path)

    def __call__(self, *inputs: Tensor | np.ndarray | Image) -> Any:
        """Run `forward` of the saved file: uint8 RGB `[H, W, 3]` for image artifacts.

        Arrays and Pillow images are taken as they are: no rotation by EXIF, no change of mode.
        Returns what `forward` returns: a tensor, or tuples, lists or dicts of them.

        Raises `ValueError` for inputs the metadata does not allow: the lite interpreter checks
        nothing, and its XNNPACK kernels read past a tensor with too few channels. For a `.pte`,
        `NoExecuTorch` where the extra is not installed.
        """
        tensors = [x if isinstance(x, Tensor) else torch.from_numpy(np.array(x)) for x in inputs]
        check_inputs(self.metadata, tensors)
        with quiet(), quantized_engine(required=False), torch.no_grad():
            return self._module(*tensors)


def load(path: Path | str) -> Artifact:
    """Open an exported file: callable, with its metadata, and its report if that lies beside it.

    Raises `runtime_check.UnreadableArtifact` when the file is missing, damaged or not an export.
    """
    path = Path(path)
    return Artifact(path=path, metadata=read_artifact(path).metadata, report=read_report(path))
