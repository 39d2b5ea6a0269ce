from __future__ import annotations

import ctypes
import importlib.util
import os
from pathlib import Path

import pytest
from hypothesis import settings

from runtime_check.device.errors import DeviceUnavailable
from runtime_check.device.toolchain import require_tools

from .artifacts import Models, export_models, export_programs
from .small_programs import Programs, make_programs

# Several processes may test at once, and children inherit it: threads that spin for a core that
# another holds make everything slower. Set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

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


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """The default model in fp32 and int8, as the command line makes it: once for all tests.

    A folder given by `LITE_MODELS` is taken as it is.
    """
    given = os.environ.get("LITE_MODELS")
    return Models(Path(given)) if given else export_models(_shared(tmp_path_factory))


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """The same for ExecuTorch: `pte` and `pte_int8`."""
    given = os.environ.get("LITE_MODELS")
    if given:
        return Models(Path(given))
    pytest.importorskip("executorch", reason="ExecuTorch is an extra: pip install '.[executorch]'")
    return export_programs(_shared(tmp_path_factory))


@pytest.fixture(scope="session")
def small_programs(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    """Small programs for ExecuTorch: lowered once for all tests, which takes half a minute."""
    if importlib.util.find_spec("executorch") is None:
        pytest.skip("ExecuTorch is an extra: pip install '.[executorch]'")
    return make_programs(_shared(tmp_path_factory))


def _shared(factory: pytest.TempPathFactory) -> Path:
    """A folder for all processes: each of pytest-xdist's has its own below the session's."""
    base = factory.getbasetemp()
    return (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "shipped"
