from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from runtime_check.checking import Report, check_artifact, open_check
from runtime_check.properties import PROPERTIES, nonfinite
from runtime_check.properties.base import PropertyResult
from runtime_check.properties.counterexample import load_counterexample
from runtime_check.runtimes.run import Run
from runtime_check.testing.archives import with_golden, with_metadata
from runtime_check.testing.models import ModelRecipe


def check(path: Path, tmp_path: Path, *properties: str, **options: Any) -> Report:
    options.setdefault("trust_factory", True)
    return check_artifact(
        path, properties=properties or None, folder=tmp_path / "found", examples=8, **options
    )


def one(report: Report) -> PropertyResult:
    (result,) = report.results
    return result


@pytest.mark.parametrize("which", ["tensor_ptl", "image_ptl", "int8_ptl"])
def test_a_good_file_holds(which: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    made = request.getfixturevalue(which)
    report = check(made.path, tmp_path)
    assert report, [r.reason for r in report.results]
    assert [r.name for r in report.results] == list(PROPERTIES)
    ran = {r.name for r in report.results if r.status in ("passed", "noted")}
    image = which != "tensor_ptl"
    assert ran == set(PROPERTIES) - ({"batch", "nonfinite"} if image else {"preprocessing"})
    assert not (tmp_path / "found").exists()


def test_every_property_asks_a_question() -> None:
    assert all(function.__doc__ for function in PROPERTIES.values())


def test_without_a_reference_the_rest_still_runs(image_ptl: Any, tmp_path: Path) -> None:
    names = ("golden", "parity", "preprocessing", "determinism")
    report = check(image_ptl.path, tmp_path, *names, trust_factory=False)
    assert report
    assert not report.has_reference
    assert "import code that the file chose" in report.reference
    status = {r.name: r.status for r in report.results}
    assert status["parity"] == "skipped"
    assert status["golden"] == status["preprocessing"] == status["determinism"] == "passed"


def test_other_weights_are_found_shrunk_saved_and_replayed(
    build_tensor_ptl: Callable[..., Any], tmp_path: Path
) -> None:
    other = ModelRecipe("depthwise", 2, 16, True, False, "relu", 32, 8).build()
    made = build_tensor_ptl(tmp_path / "other.ptl", net=other)
    factory = "runtime_check.testing.models:small_classifier"
    report = check(made.path, tmp_path, "parity", reference=factory)
    result = one(report)
    assert result.status == "failed"
    assert "not the weights the file was made from" in report.reference
    assert result.comparison is not None
    assert result.comparison.passing is not None
    # The plainest input that there is already fails: hypothesis must have found it.
    assert "content='zero'" in result.minimal
    assert "seed=0" in result.minimal

    assert result.counterexample is not None
    saved = load_counterexample(result.counterexample)
    assert saved.property == "parity"
    assert not np.allclose(saved.expected[0], saved.actual[0])
    again = check(
        made.path,
        tmp_path,
        replayed=result.counterexample,
        reference="runtime_check.testing.models:small_classifier",
    )
    assert one(again).status == "failed"
    # Without any reference the saved outputs stand in for it.
    alone = check(made.path, tmp_path, replayed=result.counterexample, trust_factory=False)
    assert one(alone).status == "failed"


def test_weights_that_are_not_the_files_own_are_no_reference(
    tensor_ptl: Any, tmp_path: Path
) -> None:
    path = with_metadata(
        tensor_ptl.path,
        tmp_path / "a.ptl",
        lambda m: m["provenance"]["weights"].update(sha256="0" * 64),
    )
    report = check(path, tmp_path, "parity")
    assert one(report).status == "skipped"
    assert "other weights" in one(report).reason


def test_wrong_preprocessing_is_found(image_ptl: Any, tmp_path: Path) -> None:
    def swap(metadata: dict[str, Any]) -> None:
        metadata["preprocessing"]["mean"] = [0.3, 0.6, 0.1]

    path = with_metadata(image_ptl.path, tmp_path / "mean.ptl", swap)
    assert one(check(path, tmp_path, "parity")).status == "failed"
    assert one(check(path, tmp_path, "preprocessing")).status == "failed"


@pytest.mark.parametrize("trust", [True, False])
def test_wrong_interpolation_is_found_even_without_a_reference(
    image_ptl: Any, tmp_path: Path, trust: bool
) -> None:
    def claim(metadata: dict[str, Any]) -> None:
        metadata["preprocessing"].update(interpolation="nearest")

    path = with_metadata(image_ptl.path, tmp_path / "crop.ptl", claim)
    result = one(check(path, tmp_path, "preprocessing", trust_factory=trust))
    assert result.status == "failed"
    assert "grey levels" in result.reason


def test_wrong_crop_is_found(image_ptl: Any, tmp_path: Path) -> None:
    def claim(metadata: dict[str, Any]) -> None:
        metadata["preprocessing"].update(crop_pct=0.5)

    path = with_metadata(image_ptl.path, tmp_path / "crop.ptl", claim)
    assert one(check(path, tmp_path, "parity")).status == "failed"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m["output"].update(labels=["a", "b"]), "2 labels for 10 outputs"),
        (lambda m: m["output"].update(activation="softmax"), "probabilities"),
        (lambda m: m["operators"].update({"aten::relu": 3}), "operators stated"),
        (lambda m: m["produced_by"].update(bytecode_version=5), "bytecode version 5"),
        (lambda m: m["output"]["tensors"].append({"shape": [1]}), "1 outputs, the metadata"),
    ],
)
def test_metadata_that_lies_is_found(
    tensor_ptl: Any, tmp_path: Path, change: Callable[[Any], None], words: str
) -> None:
    path = with_metadata(tensor_ptl.path, tmp_path / "a.ptl", change)
    result = one(check(path, tmp_path, "metadata"))
    assert result.status == "failed"
    assert words in result.reason


def test_golden_vectors_that_do_not_replay_are_found(tensor_ptl: Any, tmp_path: Path) -> None:
    def swap(golden: dict[str, Any]) -> None:
        cases = golden["cases"]
        cases[0]["expected"], cases[1]["expected"] = cases[1]["expected"], cases[0]["expected"]

    path = with_golden(tensor_ptl.path, tmp_path / "a.ptl", swap)
    result = one(check(path, tmp_path, "golden"))
    assert result.status == "failed"
    assert "would have passed" in result.reason


class Tame:
    """A runtime that answers anything with zeros."""

    name, description, engine = "tame", "a fake", "none"
    costly, load_seconds, load_peak_bytes = False, 0.0, 0

    def forward(self, inputs: Any, *, threads: int = 1, repeats: int = 1) -> Run:
        return Run(outputs=[np.zeros((1, 10), np.float32)], seconds=(0.0,) * repeats)


def test_hidden_nan_is_noted(tensor_ptl: Any, tmp_path: Path) -> None:
    # Which kernels swallow NaN depends on the processor, so the runtime is a fake here.
    with open_check(tensor_ptl.path, trust_factory=True, examples=4) as opened:
        honest = nonfinite(opened.check)
        hiding = nonfinite(replace(opened.check, runtime=Tame()))
    assert honest.status == "passed"
    assert hiding.status == "noted"
    assert "swallows NaN" in hiding.reason


def test_random_outputs_are_found(build_tensor_ptl: Callable[..., Any], tmp_path: Path) -> None:
    class Noisy(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean((2, 3)) @ torch.ones(3, 10) + torch.rand(1, 10)

    made = build_tensor_ptl(tmp_path / "noisy.ptl", net=Noisy())
    result = one(check(made.path, tmp_path, "determinism"))
    assert result.status == "failed"
    assert "different bits" in result.reason


def test_a_batch_that_mixes_its_rows_is_found(
    build_tensor_ptl: Callable[..., Any], tmp_path: Path
) -> None:
    class Mixing(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean((2, 3)) @ torch.ones(3, 10) - x.mean()

    made = build_tensor_ptl(tmp_path / "mixing.ptl", net=Mixing())
    result = one(check(made.path, tmp_path, "batch"))
    assert result.status == "failed"
    assert "against its rows" in result.reason


def test_int8_is_held_to_its_own_ledger(int8_ptl: Any, tmp_path: Path) -> None:
    def claim(metadata: dict[str, Any]) -> None:
        metadata["ledger"].append({"stage": "saved + reloaded", "sqnr_db": 90.0, "top1": 1.0})

    path = with_metadata(int8_ptl.path, tmp_path / "a.ptl", claim)
    result = one(check(path, tmp_path, "parity"))
    assert result.status == "failed"
    assert "at least 84.0 dB demanded" in result.reason
    assert result.counterexample is not None


def test_the_same_seed_gives_the_same_verdict(image_ptl: Any, tmp_path: Path) -> None:
    first, second = (one(check(image_ptl.path, tmp_path, "parity", seed=5)) for _ in range(2))
    assert first.comparison == second.comparison
    assert first.examples == second.examples


def test_the_processs_engine_and_threads_do_not_change_the_verdict(
    int8_ptl: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = one(check(int8_ptl.path, tmp_path, "golden"))
    engine, threads = torch.backends.quantized.engine, torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    try:
        torch.backends.quantized.engine = "fbgemm"
        torch.set_num_threads(3)
        found = one(check(int8_ptl.path, tmp_path, "golden"))
        assert torch.get_num_threads() == 3
    finally:
        torch.backends.quantized.engine = engine
        torch.set_num_threads(threads)
    assert found.comparison == expected.comparison
