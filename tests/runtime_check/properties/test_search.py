"""The same seed draws the same inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .checks import check, one


def test_the_same_seed_gives_the_same_verdict(image_ptl: Any, tmp_path: Path) -> None:
    first, second = (one(check(image_ptl.path, tmp_path, "parity", seed=5)) for _ in range(2))
    assert first.comparison == second.comparison
    assert first.examples == second.examples
