"""What an export takes, and what there is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from exporter.compare import memory

from .trials import plan


def estimate(weights: int = 20_000_000, **options: Any) -> int:
    (trial,) = plan("a", calibration="noise", **options).trials()
    found = memory.estimate(trial, weights)
    assert found is not None
    assert memory.estimate(trial, None) is None
    return found


def test_an_estimate_grows_with_all_that_takes_memory() -> None:
    small = estimate()
    assert 1.9e9 < small < 2.5e9  # 1.87 were measured of tf_efficientnet_lite0
    assert estimate(346_000_000) - small == 5 * 326_000_000
    assert 2.95e9 < estimate(recipes=("static",)) < 4e9  # 2.93 were measured of the same
    assert estimate(formats=("pte",)) > small
    assert estimate(input_sizes=(448,)) - small == 900_000_000
    assert estimate(input_sizes=(160,)) == small


def test_what_is_free_is_some_of_what_there_is() -> None:
    assert 10**8 < memory.available() < 10**14


def test_a_container_s_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {"/sys/fs/cgroup/memory.max": 3_000_000_000, "/sys/fs/cgroup/memory.current": 10**9}
    monkeypatch.setattr(memory, "_number", limits.get)
    monkeypatch.setattr(memory, "_free", lambda: 10**12)
    assert memory.available() == 1_800_000_000  # nine tenths of what is left


def test_models_are_weighed_without_their_weights() -> None:
    found = memory.weigh(["resnet18", "vit_giant_patch14_dinov2", "no_such_model"])
    # 11,689,512 parameters, and buffers of 20 batch norms.
    assert found["resnet18"] == pytest.approx(4 * 11_689_512, rel=0.002)
    assert found["vit_giant_patch14_dinov2"] > 4_000_000_000
    assert found["no_such_model"] is None


def test_a_factory_is_called_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import torch\ndef make():\n    print('hello')\n    return torch.nn.Linear(10, 10)\n"
    (tmp_path / "nets.py").write_text(code + "def bad():\n    raise SystemExit(3)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(memory.__file__).parents[2]))
    assert memory.weigh(["nets:make", "nets:bad"]) == {"nets:make": 440, "nets:bad": None}
