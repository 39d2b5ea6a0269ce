"""Is int8 as good in a `.pte` as in a `.ptl`? Real weights, images that calibrated nothing.

    python -m tests.benchmarks.quantization.formats [fashion lite0 dinov2]

Both formats start from the same float module and the same images; each is rewritten and quantized
as the exporter does for it, since not every pass pays in both. The `.ptl` column is the int8 module
on QNNPACK's engine, whose kernels its file calls. The `.pte` column is the lowered program, run by
ExecuTorch. Needs the extra `executorch` and what `tables.py` needs. Takes about 20 minutes;
writes `formats.md` beside this file.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from exporter.environment import one_thread
from exporter.executorch.delegable import rewrite_program
from exporter.executorch.program import exported, save_program
from exporter.executorch.qdq import to_qdq
from exporter.quantize.apply import QuantizeImages, quantize
from exporter.quantize.describe import Quantized
from exporter.quantize.engine import quantized_engine
from exporter.quantize.evaluate import Accuracy, judge, run_batches
from exporter.quantize.training_data import TrainingSet
from exporter.quiet import quiet
from exporter.recipes import QuantizeMethod, QuantizeRecipe
from exporter.rewrites import left_out
from runtime_check.options import Format
from runtime_check.runtimes.program import load_program
from tests import data_sets
from tests.benchmarks.quantization import data
from tests.benchmarks.quantization.tables import prepared

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Case:
    """A network, its recipes, and images to calibrate on, to train on and to measure on."""

    title: str
    module: nn.Module
    methods: tuple[QuantizeMethod, ...]
    calibration: Sequence[Tensor]
    measured: Sequence[Tensor]
    labels: Tensor
    train: TrainingSet | None = None


def fashion() -> Case:
    """The Fashion-MNIST ViT, on all 10,000 test images."""
    images, labels = data_sets.fashion_images("test")
    train, train_labels = data_sets.fashion_images("train")
    normalized = data_sets.fashion_normalize(train)
    return Case(
        "Fashion-MNIST ViT, 10,000 test images",
        data_sets.fashion_vit(),
        ("static", "dynamic", "qat"),
        list(normalized[:512].split(64)),
        list(data_sets.fashion_normalize(images).split(500)),
        labels,
        data_sets.tensors_as_training_set(
            normalized[:22_000], train_labels[:22_000], validation=2_000
        ),
    )


def lite0() -> Case:
    """EfficientNet-Lite0 on photos; the labels are those of the first 20."""
    module = data_sets.efficientnet_lite0().eval()
    photos = data.photos()
    return Case(
        f"EfficientNet-Lite0, {len(photos.measured)} photos",
        module,
        ("static",),
        data.as_batches(photos.calibration, module),
        data.as_batches(photos.measured, module),
        torch.tensor(photos.labels),
    )


def dinov2() -> Case:
    """DINOv2 ViT-S/14 with a fitted head."""
    made = data.dinov2_with_head()
    measured = made.images[made.measured_from :]
    return Case(
        f"DINOv2 ViT-S/14 with a linear head, {len(measured)} images",
        made.module,
        ("static", "dynamic"),
        made.calibration,
        list(measured.split(8)),
        made.labels[made.measured_from :],
    )


CASES: dict[str, Callable[[], Case]] = {"fashion": fashion, "lite0": lite0, "dinov2": dinov2}


def _quantized(case: Case, method: QuantizeMethod, format: Format) -> Quantized:
    """Rewrite and quantize the network as the exporter does for a format."""
    recipe = QuantizeRecipe.named(method)
    if method == "qat":
        recipe = replace(recipe, epochs=1, learning_rate=1e-4)
    if format == "pte" and method != "dynamic":
        recipe = replace(recipe, cheap_activations=False)
    example = case.measured[0][:1]
    network = prepared(case.module, example, method=method, format=format)
    images = QuantizeImages(example=example, calibration=case.calibration, train=case.train)
    return quantize(network, recipe, images)


def _program(made: Quantized, example: Tensor, method: QuantizeMethod, path: Path) -> None:
    """Lower an int8 network to a program, as the exporter does."""
    module = to_qdq(made.simulated if made.simulated is not None else made.module)
    method_forward = exported(module, [example])
    rewrite_program(method_forward, left_out((), method=method, format="pte"))
    save_program({"forward": method_forward}, path)


def rows(case: Case, scratch: Path) -> Iterator[str]:
    """Yield a line of the table for each recipe, of `case`'s network in both formats."""
    reference = run_batches(case.module, case.measured)
    own = judge(reference, reference, case.labels)
    yield _line(case.title, "none", "float32", own)
    for method in case.methods:
        lite = _quantized(case, method, "ptl")
        with quantized_engine():
            outputs = run_batches(lite.module, case.measured)
        yield _line(case.title, method, "ptl", judge(reference, outputs, case.labels))
        path = scratch / "network.pte"
        _program(_quantized(case, method, "pte"), case.measured[0][:1], method, path)
        run = load_program(path)
        outputs = [
            [torch.cat([run([image[None]])[0].clone() for image in batch])]
            for batch in case.measured
        ]
        yield _line(case.title, method, "pte", judge(reference, outputs, case.labels))


def _line(title: str, method: str, format: str, found: Accuracy) -> str:
    accuracy = "" if found.accuracy is None else f"{found.accuracy:.1%}"
    noise = "" if found.sqnr_db in (None, float("inf")) else f"{found.sqnr_db:.1f}"
    return f"| {title} | {method} | {format} | {noise} | {found.agreement:.1%} | {accuracy} |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, and write it beside this file when all networks are asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], help="all when left out")
    names = parser.parse_args(arguments).cases or list(CASES)
    out = [
        "# int8 in both formats",
        "",
        "Against float32 in Python. `python -m tests.benchmarks.quantization.formats`.",
        "",
        "| network | int8 | format | SQNR dB | top-1 agreement | accuracy |",
        "|---|---|---|---:|---:|---:|",
    ]
    with tempfile.TemporaryDirectory() as scratch, one_thread(), quiet():
        for name in names:
            for line in rows(CASES[name](), Path(scratch)):
                print(line, flush=True)
                out.append(line)
    if len(names) == len(CASES):
        (HERE / "formats.md").write_text("\n".join(out) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
