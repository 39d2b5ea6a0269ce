from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest

from runtime_check import CheckOptions, RuntimeCheckError
from runtime_check.device.toolchain import RUNTIMES
from runtime_check.options import (
    PROFILES,
    PROPERTY_NAMES,
    ProfileName,
    RuntimeName,
    bytes_of,
)
from runtime_check.properties import PROPERTIES


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"run_on": "pytorch-2.1.0"}, "no runtime 'pytorch-2.1.0': host, arm64-2.1.0,"),
        ({"run_on": "arm64-2.1"}, "Did you mean arm64-2.1.0?"),
        ({"profile": "lazy"}, "no profile 'lazy': ci, nightly."),
        ({"properties": ("golden", "beauty")}, "no property 'beauty': golden, metadata"),
        ({"examples": 0}, "at least one example, not 0"),
        ({"timeout": 0.0}, "above 0 s"),
        ({"memory": -1}, "not below 0 bytes"),
        ({"timeout": float("inf")}, "above 0 s and at most 604800 s"),
        ({"timeout": float("nan")}, "not nan s"),
        ({"deadline": float("inf")}, "above 0 s and at most 604800 s"),
        ({"deadline": 0.0}, "not 0 s"),
        ({"memory": 2**50 + 1}, "at most 1125899906842624"),
        ({"seed": 2**70}, "--seed takes a whole number from 0 to"),
        ({"seed": "abc"}, "--seed takes a whole number, not 'abc'"),
        ({"counterexamples": "x"}, "--counterexamples takes a path, not 'x'"),
        ({"count": True}, "--count is for emulated device runtimes"),
    ],
)
def test_what_does_not_exist_is_refused_when_it_is_asked_for(
    wrong: dict[str, Any], words: str
) -> None:
    with pytest.raises(RuntimeCheckError, match=re.escape(words)):
        CheckOptions(**wrong)


@pytest.mark.parametrize("gibibytes", [float("nan"), float("inf"), -1, 1e300])
def test_memory_is_a_number_of_gibibytes(gibibytes: float) -> None:
    assert bytes_of(0.5) == 2**29
    with pytest.raises(RuntimeCheckError, match="--memory takes GiB"):
        bytes_of(gibibytes)


def test_the_names_are_those_of_what_there_is() -> None:
    assert tuple(PROPERTIES) == PROPERTY_NAMES
    assert tuple(PROFILES) == get_args(ProfileName)
    assert set(RUNTIMES) == set(get_args(RuntimeName))


def test_options_are_values() -> None:
    options = CheckOptions(properties=("golden",), replay=Path("a.npz"))
    assert options == CheckOptions(properties=("golden",), replay=Path("a.npz"))
    assert hash(options) == hash(CheckOptions(properties=("golden",), replay=Path("a.npz")))


def test_options_do_not_wait_for_torch() -> None:
    code = (
        "import sys, runtime_check; runtime_check.CheckOptions(seed=3);"
        "sys.exit(bool({'torch', 'numpy', 'pydantic', 'hypothesis'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
