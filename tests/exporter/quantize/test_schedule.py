from __future__ import annotations

import pytest
import torch

from exporter.quantize.schedule import Average, rate_at


def test_the_rate_rises_in_a_line_and_falls_as_a_cosine() -> None:
    assert [rate_at(p, 0.2) for p in (0.0, 0.1, 0.2, 0.6, 1.0)] == pytest.approx(
        [0.0, 0.5, 1.0, 0.5, 0.0]
    )
    assert rate_at(0.4, 0.2) == pytest.approx(0.853553, abs=1e-6)  # (1 + cos 45 degrees) / 2
    assert rate_at(0.0, 0.0) == 1.0


def test_the_average_of_the_weights_and_its_place() -> None:
    weight = torch.nn.Parameter(torch.tensor([1.0]))
    average = Average([weight], decay=0.9)
    for value in (2.0, 3.0):
        weight.data.fill_(value)
        average.update()
    # Decays 1 / 11 and 2 / 12: 1 -> 21 / 11, -> 21 / 66 + 3 * 5 / 6.
    wanted = (1 / 11 * 1.0 + 10 / 11 * 2.0) * 2 / 12 + 3.0 * 10 / 12
    with average.in_place():
        assert weight.item() == pytest.approx(wanted)
    assert weight.item() == 3.0


def test_without_a_decay_the_weights_stay() -> None:
    weight = torch.nn.Parameter(torch.tensor([1.0]))
    average = Average([weight], decay=None)
    weight.data.fill_(2.0)
    average.update()
    with average.in_place():
        assert weight.item() == 2.0
