"""Where the instructions of one inference go, by kernel."""

from __future__ import annotations

import pytest

from runtime_check.device.install import find_installed
from runtime_check.device.profile import profile

from .conftest import SavedModel


def test_arm_profile_names_the_kernels(arm_runtime: str, float_model: SavedModel) -> None:
    if find_installed(arm_runtime).plugin is None:
        pytest.skip(find_installed(arm_runtime).plugin_reason)
    counted = profile(float_model.path, float_model.inputs, runtime=arm_runtime)
    assert sum(s.instructions for s in counted.symbols) == counted.instructions
    assert any(s.symbol.startswith("xnn_f32") for s in counted.symbols[:10])


def test_arm_int8_runs_on_xnnpack(arm_runtime: str, int8_model: SavedModel) -> None:
    if find_installed(arm_runtime).plugin is None:
        pytest.skip(find_installed(arm_runtime).plugin_reason)
    counted = profile(int8_model.path, int8_model.inputs, runtime=arm_runtime)
    assert any(s.symbol.startswith("xnn_qs8") for s in counted.symbols[:30])
