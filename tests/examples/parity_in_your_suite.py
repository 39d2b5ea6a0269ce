"""Parity in your own test suite: what an app team's `test_model.py` can look like.

    python own_module.py build
    pytest parity_in_your_suite.py --artifact build/clothes_by_name.ptl

`--artifact` comes with `runtime_check`: it adds one test for each property of the file, parity with
the Python model among them. The tests below are your own, about your model.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from own_module import LABELS, MEAN, STD, make, picture

import runtime_check
from runtime_check import LoadedFile, Tolerance


@pytest.fixture(scope="module")
def network(request: pytest.FixtureRequest) -> Iterator[LoadedFile]:
    """The file, in a child process under limits: a crash of it fails a test, not the run."""
    with runtime_check.load(Path(request.config.getoption("--artifact")[0])) as loaded:
        yield loaded


def test_the_file_computes_what_our_module_computes(network: LoadedFile) -> None:
    module = make()
    for index in range(10):
        pixels, _ = picture(index)
        images = (torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255 - MEAN) / STD
        with torch.no_grad():
            expected = module(images).softmax(1)[0].numpy()
        tolerance = Tolerance(atol=1e-3)  # ours: probabilities to a tenth of a percent
        runtime_check.assert_parity(expected, network(pixels), tolerance, what=f"picture {index}")


def test_accuracy_is_what_we_measured(network: LoadedFile) -> None:
    pictures = [picture(index) for index in range(200)]
    right = [LABELS[int(np.argmax(network(pixels)))] == label for pixels, label in pictures]
    assert np.mean(right) > 0.8


def test_labels_are_ours(network: LoadedFile) -> None:
    assert network.metadata.output.labels == LABELS
