from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.artifact import Artifact

from ..artifacts import Models

# `own_models` is imported by tests and, as a user's factory, by the exporter.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Random weights are the same ones whatever ran before: a branch may hang on their signs."""
    import torch

    torch.manual_seed(0)


@pytest.fixture(scope="session")
def default_artifact(models: Models) -> Artifact:
    """The README's first command's artifact, opened from its file."""
    import exporter

    return exporter.load(models.fp32)
