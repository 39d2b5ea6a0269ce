from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import runtime_check
from runtime_check import CheckOptions, RuntimeCheckError


def test_one_call_checks_a_file(tensor_ptl: Any, tmp_path: Path) -> None:
    names: list[str] = []
    options = CheckOptions(
        properties=("parity", "golden"),
        examples=3,
        trust_factory=True,
        counterexamples=tmp_path,
    )
    threads = torch.get_num_threads()
    report = runtime_check.check(tensor_ptl.path, options, listener=names.append)
    assert report
    assert names == ["golden", "parity"]  # cheap and telling first
    assert [result.name for result in report.results] == names
    assert report.has_reference
    assert report.examples == 3
    assert report.runtime == "host"
    assert report.runtime_detail.endswith("engine qnnpack")
    assert torch.get_num_threads() == threads


def test_a_path_may_be_text_and_options_may_be_left_out(tensor_ptl: Any) -> None:
    golden = CheckOptions(properties=("golden",))
    assert runtime_check.check(str(tensor_ptl.path), golden)
    with pytest.raises(RuntimeCheckError, match=r"There is no file absent\.ptl"):
        runtime_check.check("absent.ptl")


def test_the_host_counts_no_instructions() -> None:
    with pytest.raises(RuntimeCheckError, match="--count is for emulated device runtimes"):
        CheckOptions(properties=("golden",), count=True)
