"""int8 for more than classifiers: segmentation and embeddings, judged and chosen in their terms."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import exporter
from exporter.artifact import Artifact
from exporter.errors import BudgetNotMet
from exporter.quantize.apply import QuantizeImages
from exporter.quantize.calibrate import calibrate
from exporter.quantize.place import simulate_int8
from exporter.quantize.qat import fine_tune
from exporter.recipes import QuantizeRecipe
from exporter.training import TrainingOptions
from runtime_check.metrics import Metric
from runtime_check.runtimes.host import open_host

from ...data_sets import tensors_as_training_set
from .shapes import (
    HEIGHT,
    WIDTH,
    Embedder,
    Named,
    Segmenter,
    as_input,
    drawn,
    trained_embedder,
    trained_segmenter,
    write,
)

HALVES = exporter.PreprocessingChoice(mean=(0.5,) * 3, std=(0.5,) * 3, crop_mode="squash")
SEEN, _ = drawn(32, seed=2)
NEW, NEW_MAPS = drawn(24, seed=3)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(SEEN, tmp_path_factory.mktemp("shapes") / "seen")


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return trained_segmenter()


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return trained_embedder()


def export(model: nn.Module, out: Path, photos: Path, **options: Any) -> Artifact:
    asked: dict[str, Any] = {"quantize": "static", "preprocessing": HALVES, **options}
    return exporter.export(
        model, out=out, input_shape=(1, 3, HEIGHT, WIDTH), calibration=photos, **asked
    )


def from_file(artifact: Artifact, pictures: np.ndarray, output: int = 0) -> np.ndarray:
    """What the saved file gives for photos, one by one."""
    with open_host(artifact.path) as session:
        return np.stack([session.forward([p.copy()]).outputs[output] for p in pictures])


def eager(model: nn.Module, pictures: np.ndarray) -> Any:
    with torch.no_grad():
        return model(as_input(pictures))


def same_pixels(one: np.ndarray, other: np.ndarray) -> float:
    """Share of pixels of N,C,H,W scores with the same class on both sides."""
    return float((one.argmax(1) == other.argmax(1)).mean())


def least_cosine(one: np.ndarray, other: np.ndarray) -> float:
    lengths = np.sqrt((one**2).sum(1) * (other**2).sum(1))
    return float(((one * other).sum(1) / lengths).min())


def row(artifact: Artifact, name: str) -> dict[str, str]:
    """One row of the table of candidates, by its columns; "" for the chosen one."""
    (table,) = (n.text for n in artifact.report.notes if n.text.startswith("| recipe |"))
    head, _, *rows = [[c.strip() for c in line.split("|")[1:-1]] for line in table.splitlines()]
    cells = [dict(zip(head, cells, strict=True)) for cells in rows]
    (found,) = (c for c in cells if (c["verdict"] == "chosen" if not name else c["recipe"] == name))
    return found


def test_the_network_under_test_has_learned_something(segmenter: Segmenter) -> None:
    classes = eager(segmenter, NEW).argmax(1).numpy()
    assert float((classes == NEW_MAPS).mean()) > 0.95
    assert len(np.unique(classes)) == 3


def test_static_segmentation_keeps_its_pixels(
    segmenter: Segmenter, photos: Path, tmp_path: Path
) -> None:
    artifact = export(segmenter, tmp_path, photos)
    assert artifact.metadata.task == "image-segmentation"
    assert artifact.metadata.quantization.int8_layers == 3
    wanted, got = eager(segmenter, NEW).numpy(), from_file(artifact, NEW)
    assert got.shape == wanted.shape == (24, 3, HEIGHT, WIDTH)
    assert not np.allclose(got, wanted, atol=1e-3)  # it is int8
    assert same_pixels(got, wanted) > 0.98


def test_static_embeddings_keep_their_directions(
    embedder: Embedder, photos: Path, tmp_path: Path
) -> None:
    artifact = export(embedder, tmp_path, photos)
    assert artifact.metadata.task == "image-feature-extraction"
    assert artifact.metadata.quantization.int8_layers == 3
    wanted, got = eager(embedder, NEW).numpy(), from_file(artifact, NEW)
    assert got.shape == (24, 8)
    assert 0.98 < least_cosine(got, wanted) < 1 - 1e-7


@pytest.mark.parametrize("named", [False, True])
def test_auto_chooses_by_the_share_of_pixels(
    named: bool, segmenter: Segmenter, photos: Path, tmp_path: Path
) -> None:
    """The table's figure is that of the file, on the images that were held out."""
    model = Named(segmenter).eval() if named else segmenter
    budget = exporter.Budget(min_agreement=0.9)
    artifact = export(model, tmp_path, photos, quantize="auto", budget=budget)
    assert artifact.metadata.task == "image-segmentation"
    assert artifact.metadata.quantization.method == "static"
    held_out = SEEN[::4]
    wanted = eager(segmenter, held_out).numpy()
    share = same_pixels(from_file(artifact, held_out, output=int(named)), wanted)
    assert share >= 0.9
    assert row(artifact, "none")["pixel agreement"] == "100.0%"
    told = float(row(artifact, "")["pixel agreement"].rstrip("%")) / 100
    assert told == pytest.approx(share, abs=0.0011)


def test_auto_chooses_by_the_smallest_cosine(
    embedder: Embedder, photos: Path, tmp_path: Path
) -> None:
    """Judged on a folder of its own, whose subfolders are not classes of anything."""
    others = write(NEW, tmp_path / "others" / "monday")
    budget = exporter.Budget(min_agreement=0.9)
    artifact = export(
        embedder, tmp_path / "out", photos, quantize="auto", budget=budget, evaluate=others.parent
    )
    assert any("judged on 24 images" in note.text for note in artifact.report.notes)
    share = least_cosine(from_file(artifact, NEW), eager(embedder, NEW).numpy())
    assert share >= 0.9
    assert float(row(artifact, "")["smallest cosine"]) == pytest.approx(share, abs=2e-4)
    assert all(entry.accuracy is None for entry in artifact.report.ledger)


def test_layers_become_float_until_enough_pixels_agree(
    segmenter: Segmenter, photos: Path, tmp_path: Path
) -> None:
    """All of int8 moves some pixel on an edge; the fewest float layers that leave none do."""
    budget = exporter.Budget(min_agreement=1.0)
    artifact = export(segmenter, tmp_path, photos, quantize="auto", budget=budget)
    plain, chosen = row(artifact, "static-xnnpack-fx"), row(artifact, "")
    assert plain["verdict"] == "misses agreement >= 100.0%"
    assert 90.0 < float(plain["pixel agreement"].rstrip("%")) <= 100.0  # rounded
    assert chosen["recipe"] == "static-xnnpack-fx + float layers"
    assert 1 <= int(chosen["int8 layers"]) < 3
    held_out = SEEN[::4]
    assert same_pixels(from_file(artifact, held_out), eager(segmenter, held_out).numpy()) == 1.0


def test_a_cosine_that_nothing_reaches_is_said_with_the_table(
    embedder: Embedder, photos: Path, tmp_path: Path
) -> None:
    """int8 turns every vector a little."""
    recipes = (QuantizeRecipe.named("static-xnnpack", float_layers=("a", "b")),)
    budget = exporter.Budget(min_agreement=1.0)
    with pytest.raises(BudgetNotMet, match=r"(?s)agreement >= 100\.0%.*\| smallest cosine \|"):
        export(embedder, tmp_path / "out", photos, quantize=recipes, budget=budget)
    assert not (tmp_path / "out").exists()


class Whole(nn.Module):
    """Gives whole numbers beside the scores."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        scores = self.inner(x)
        return scores.argmax(1), scores


@pytest.mark.parametrize(
    ("kind", "metric"),
    [
        ("pixels", Metric(kind="pixels", axis=-3)),
        ("named", Metric(kind="pixels", axis=-3, outputs=2, output=1)),
        ("map", Metric(kind="pixels", axis=0, outputs=2)),
        ("vectors", Metric(kind="vectors")),
    ],
)
def test_distillation_repairs_a_damaged_start(
    kind: str, metric: Metric, segmenter: Segmenter, embedder: Embedder
) -> None:
    """Noise on the weights is trained away, towards the float network's answers for the task."""
    made = {
        "pixels": segmenter, "named": Named(segmenter), "map": Whole(segmenter),
        "vectors": embedder,
    }  # fmt: skip
    teacher = made[kind].eval()
    x = as_input(SEEN)
    recipe = QuantizeRecipe.named("qat", mode="eager", epochs=6, learning_rate=3e-3)
    simulated = simulate_int8(copy.deepcopy(teacher), recipe, example=x[:1], calibration=[x])
    calibrate(simulated, [x], metric=metric)
    torch.manual_seed(0)
    with torch.no_grad():
        for layer in simulated.layers.values():
            weight = layer.layer.weight
            weight.add_(torch.randn_like(weight) * 0.7 * weight.std())
    data = tensors_as_training_set(x, None, validation=8)
    trained = fine_tune(
        simulated, teacher, data, metric=metric, training=TrainingOptions(batch_size=8)
    )
    losses = [epoch.loss for epoch in trained.epochs]
    assert losses[-1] < 0.5 * losses[0]
    assert trained.before.accuracy is None
    best = trained.epochs[trained.best_epoch].accuracy
    assert trained.before.agreement < best.agreement > 0.95
    assert (best.miou is not None) == (kind != "vectors")


def test_qat_trains_a_segmentation_through_the_pipeline(
    segmenter: Segmenter, photos: Path, tmp_path: Path
) -> None:
    recipe = QuantizeRecipe.named("qat", epochs=1, learning_rate=1e-4)
    artifact = export(Named(segmenter).eval(), tmp_path, photos, quantize=recipe, train=photos)
    share = same_pixels(from_file(artifact, NEW, output=1), eager(segmenter, NEW).numpy())
    assert share > 0.98
    assert artifact.report.training.metric == "agreement"
    assert artifact.report.training.before > 0.95


def test_only_the_metrics_own_output_decides_on_calibration(segmenter: Segmenter) -> None:
    """`area` is a thousand times larger: by it the ranges would be chosen, if all counted alike."""
    from exporter.quantize.evaluate import judge, noise

    reference, actual = ([[torch.full((2, 4), v), torch.ones(2, 3, 1, 1)]] for v in (0.0, 1e3))
    metric = Metric(kind="pixels", axis=-3, outputs=2, output=1)
    assert noise(reference, actual, metric) == 0.0
    assert noise(reference, actual, Metric(kind="none", outputs=2)) == 8e6
    assert judge(reference, actual, metric=metric).sqnr_db == float("inf")
    images = QuantizeImages(example=as_input(SEEN[:1]), calibration=[as_input(SEEN)])
    from exporter.quantize.apply import quantize

    recipe = QuantizeRecipe.named("static")
    named = quantize(Named(segmenter).eval(), recipe, images, metric=metric)
    plain = quantize(segmenter, recipe, images, metric=Metric(kind="pixels", axis=-3))
    assert named.calibration == plain.calibration
