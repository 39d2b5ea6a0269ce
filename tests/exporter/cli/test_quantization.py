"""Options of int8: declared in one place, under one heading of the help."""

from __future__ import annotations

import typing

import pytest

from exporter.cli import options, quantization

DECLARED = {
    name: typing.get_args(kind)[1]
    for name, kind in vars(quantization).items()
    if typing.get_origin(kind) is typing.Annotated
}


@pytest.mark.parametrize("name", DECLARED)
def test_it_is_under_its_heading(name: str) -> None:
    assert DECLARED[name].rich_help_panel in ("Quantization", "Training")
    assert not hasattr(options, name)


def test_there_are_some() -> None:
    assert {"Quantize", "Calibration", "Evaluate", "MinAgreement", "Train"} <= set(DECLARED)
