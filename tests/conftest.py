from __future__ import annotations

import ctypes

import pytest
from hypothesis import settings

from runtime_check.device.errors import DeviceUnavailable
from runtime_check.device.toolchain import require_tools

# The same examples in every run: a failure in CI must be a failure at home. Searching for new
# counterexamples is `python -m runtime_check --profile nightly`'s work.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def core(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The C++ core as a shared library on the installed torch; building it takes half a minute."""
    from .lite_core import build_core

    try:
        require_tools("native")
    except DeviceUnavailable as error:
        pytest.skip(str(error))
    return build_core(tmp_path_factory.mktemp("core"))
