"""Rung 3: the app's screens under Robolectric, with screenshots a person has looked at.

To renew them, run this, look at every picture, and delete `benchmark.json` there:

    python tests/mobile/android/tools/ui_tests.py tests/mobile/android/screenshots
"""

from __future__ import annotations

import platform
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runtime_check.bench.format import read_bench

from .conftest import ROOT

SCREENSHOTS = Path(__file__).with_name("screenshots")
NAMES = sorted(path.stem for path in SCREENSHOTS.glob("*.png"))
# Text is drawn by the same library everywhere, so little may differ: antialiasing at most.
_LEVELS, _SHARE = 24, 0.002


def differing(one: Image.Image, other: Image.Image) -> float:
    """Share of pixels with a channel more than `_LEVELS` apart; 1 where the sizes differ."""
    if one.size != other.size:
        return 1.0
    left, right = (np.asarray(image.convert("RGB")).astype(int) for image in (one, other))
    return float((np.abs(left - right).max(axis=-1) > _LEVELS).mean())


@pytest.fixture(scope="module")
def taken(tools: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from ui_tests import run_ui_tests

    folder = tmp_path_factory.mktemp("screenshots")
    result = run_ui_tests(folder)
    assert result.returncode == 0, result.stdout[:6000]
    assert "OK (" in result.stdout
    return folder


def test_every_screen_was_taken(taken: Path) -> None:
    assert sorted(path.stem for path in taken.glob("*.png")) == NAMES
    assert len(NAMES) >= 8


@pytest.mark.parametrize("name", NAMES)
def test_the_screen_looks_as_it_did(taken: Path, name: str) -> None:
    share = differing(Image.open(taken / f"{name}.png"), Image.open(SCREENSHOTS / f"{name}.png"))
    assert share <= _SHARE, f"{share:.2%} of the pixels differ: look at {taken / name}.png"


def test_the_comparison_of_screens_can_fail() -> None:
    ready, photo = (Image.open(SCREENSHOTS / f"{name}.png") for name in ("ready", "badge_failed"))
    assert differing(ready, photo) > _SHARE


def test_bench_import_reads_what_the_screen_shares(taken: Path) -> None:
    (device,) = read_bench(taken / "benchmark.json").devices
    assert device.device.platform == "android"
    assert all(len(run.samples_ms) == 7 for run in device.runs)
    assert device.device.app == "dev.torchmobile.demo 0.1.0"


def test_the_whole_app_on_androids_own_library(
    tools: None, default_artifact: Path, tmp_path: Path
) -> None:
    """Assets, LiteModuleLoader, the AAR's library, top-5 on the screen: a cat is a cat."""
    if platform.machine() != "x86_64":
        pytest.skip("the AAR's desktop-loadable library is x86_64")
    from ui_tests import run_ui_tests

    photo = ROOT / "exporter" / "data" / "photos" / "cat.png"
    result = run_ui_tests(tmp_path, [default_artifact], photo)
    assert result.returncode == 0, result.stdout[:6000]
    assert "OK (1 test)" in result.stdout
    assert (tmp_path / "real.png").is_file()
