"""Every property on real `.pte` files, as `python -m runtime_check FILE.pte` runs them."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime_check.artifact.archive import read_artifact
from runtime_check.checking import check
from runtime_check.options import CheckOptions, PropertyName

from ..artifacts import Models

pytest.importorskip("executorch", reason="ExecuTorch is an extra: pip install '.[executorch]'")


@pytest.mark.slow
def test_every_property_holds_in_float32(programs: Models, tmp_path: Path) -> None:
    report = check(programs.pte, CheckOptions(examples=4, counterexamples=tmp_path))
    told = {result.name: f"{result.status}: {result.reason}" for result in report.results}
    assert report.outcome == "proven", told
    assert told["preprocessing"].startswith("passed"), told
    assert report.runtime_detail.startswith("ExecuTorch ")


@pytest.mark.slow
def test_int8_holds_what_does_not_hang_on_few_calibration_photos(
    programs: Models, tmp_path: Path
) -> None:
    """24 photos calibrate it: how often it agrees with float32 is not of the format."""
    properties: tuple[PropertyName, ...] = (
        "golden", "metadata", "preprocessing", "determinism", "load-anywhere",
    )  # fmt: skip
    options = CheckOptions(examples=4, counterexamples=tmp_path, properties=properties)
    report = check(programs.pte_int8, options)
    told = {result.name: f"{result.status}: {result.reason}" for result in report.results}
    assert all(line.startswith("passed") for line in told.values()), told


@pytest.mark.slow
def test_int8_gives_what_our_int8_module_gives(programs: Models) -> None:
    """The ledger has torch's int8 kernels and the file: the same codes, the same answers."""
    rows = {row.stage: row for row in read_artifact(programs.pte_int8).metadata.ledger}
    module, file = rows["quantized"], rows["saved + reloaded"]
    assert file.sqnr_db == pytest.approx(module.sqnr_db, abs=0.05)
    assert (file.top1, file.top5) == (module.top1, module.top5)
