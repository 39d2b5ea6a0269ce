"""NaN that the file hides is noted."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from runtime_check.checking import open_check
from runtime_check.options import CheckOptions
from runtime_check.properties import nonfinite
from runtime_check.runtime import Supervised
from runtime_check.runtimes.run import Run


class Tame:
    """A runtime that answers anything with zeros."""

    name, description, engine = "tame", "a fake", "none"
    costly, load_seconds, load_peak_bytes = False, 0.0, 0

    def forward(self, inputs: Any, *, threads: int = 1, repeats: int = 1) -> Run:
        return Run(outputs=[np.zeros((1, 10), np.float32)], seconds=(0.0,) * repeats)


def test_hidden_nan_is_noted(tensor_ptl: Any, tmp_path: Path) -> None:
    # Which kernels swallow NaN depends on the processor, so the runtime is a fake here.
    with open_check(tensor_ptl.path, CheckOptions(trust_factory=True, examples=4)) as opened:
        honest = nonfinite(opened.check)
        with Supervised(lambda: nullcontext(Tame())) as tame:
            hiding = nonfinite(replace(opened.check, runtime=tame))
    assert honest.status == "passed"
    assert hiding.status == "noted"
    assert "swallows NaN" in hiding.reason
