"""int8 through the whole pipeline, down to the saved file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from own_models import ConvNormNet
from torch import Tensor, nn
from torch.utils.mobile_optimizer import optimize_for_mobile

import exporter
from exporter.artifact import Artifact
from exporter.errors import ExportError, UsageError
from exporter.quantize.step import takes_batches
from runtime_check.artifact.archive import read_artifact
from runtime_check.comparison import Tolerance, compare
from runtime_check.runtimes.host import open_host
from runtime_check.runtimes.lite import write_lite

from ...artifacts import Models, write_photos

SHAPE = (1, 3, 32, 32)
HALVES = exporter.PreprocessingChoice(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def int8_default(models: Models) -> Artifact:
    return exporter.load(models.int8)


def test_the_default_model_in_int8(int8_default: Artifact) -> None:
    stages = [row.stage for row in int8_default.report.ledger]
    assert stages == [
        "eager fp32",
        "prepared",
        "fake-quantized",
        "quantized",
        "captured",
        "optimized",
        "saved + reloaded",
    ]
    saved = int8_default.report.ledger[-1]
    assert saved.top1 == 1.0
    assert saved.sqnr_db > 8
    described = int8_default.metadata.quantization
    assert (described.method, described.scheme, described.engine) == (
        "static",
        "xnnpack",
        "qnnpack",
    )
    assert described.int8_layers == 50
    assert int8_default.report.file_bytes < 0.3 * 18.8e6


def test_golden_vectors_are_the_int8_models_own(int8_default: Artifact) -> None:
    """What a phone is held to is the int8 model in Python, in quantization steps."""
    found = read_artifact(int8_default.path)
    tolerance = found.golden.tolerance
    assert tolerance.step is not None
    assert tolerance.atol >= 8 * tolerance.step * 0.999
    with open_host(int8_default.path) as session:
        for case in found.golden.cases:
            outputs = session.forward([t.array() for t in case.inputs]).outputs
            assert compare(
                [t.array() for t in case.expected], outputs, Tolerance(atol=3 * tolerance.step)
            )


@pytest.fixture
def server_engine() -> Iterator[str]:
    engines = torch.backends.quantized.supported_engines
    engine = next((e for e in ("x86", "fbgemm") if e in engines), None)
    if engine is None:
        pytest.skip("this torch has no server engine")
    before = torch.backends.quantized.engine
    torch.backends.quantized.engine = engine
    yield engine
    torch.backends.quantized.engine = before


def _linears() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(*[nn.Linear(256, 256) for _ in range(4)]).eval()


def test_the_engine_set_while_exporting_decides_the_file(
    server_engine: str, tmp_path: Path
) -> None:
    """Trap 2 of the facts: under the wheels' default engine weights are written twice."""
    parameters = 4 * 256 * 256
    plain = torch.ao.quantization.quantize_dynamic(_linears(), {nn.Linear}, dtype=torch.qint8)
    recipe = optimize_for_mobile(torch.jit.script(plain))
    write_lite(recipe, tmp_path / "plain.ptl")
    assert (tmp_path / "plain.ptl").stat().st_size > 1.9 * parameters
    ours = exporter.export(
        _linears(),
        out=tmp_path / "ours",
        input_shape=(1, 256),
        quantize="dynamic",
    )
    weights = next(p.bytes for p in ours.report.parts if p.kind == "weights")
    assert weights < 1.1 * parameters
    assert torch.backends.quantized.engine == server_engine
    # A module packed for servers is packed anew for the phone while it is copied.
    repacked = exporter.export(plain, out=tmp_path / "repacked", input_shape=(1, 256))
    weights = next(p.bytes for p in repacked.report.parts if p.kind == "weights")
    assert weights < 1.1 * parameters


def test_noise_has_to_be_asked_for_and_is_loud(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--calibration DIR"):
        exporter.export(
            ConvNormNet(),
            out=tmp_path / "a",
            input_shape=SHAPE,
            quantize="static",
        )
    artifact = exporter.export(
        ConvNormNet(),
        out=tmp_path / "b",
        input_shape=SHAPE,
        quantize="static",
        calibration="noise",
    )
    assert any(note.kind == "noise" for note in artifact.report.notes)
    assert artifact.metadata.quantization.int8_layers == 3


@pytest.mark.parametrize(
    ("quantize", "calibration", "says"),
    [
        ("static-xnpack", None, "Did you mean static-xnnpack"),
        ("static", "nowhere", "nowhere"),
        (exporter.QuantizeRecipe(float_layers=("nothing",)), "noise", "nothing"),
        ("qat", "noise", "--train DIR"),
        ("dynamic", "noise", "`--calibration` has no meaning for `dynamic`"),
        ((), "noise", "one or more int8 recipes"),
        ((exporter.QuantizeRecipe(method="none"),), "noise", "float32 is the reference"),
    ],
)
def test_mistakes_leave_nothing(
    tmp_path: Path, quantize: Any, calibration: str | None, says: str
) -> None:
    with pytest.raises(ExportError, match=says):
        exporter.export(
            ConvNormNet(),
            out=tmp_path / "o",
            input_shape=SHAPE,
            quantize=quantize,
            calibration=calibration,
        )
    assert not (tmp_path / "o").exists()


def test_a_budget_nobody_meets_shows_the_table_and_writes_nothing(
    photos: Path, tmp_path: Path
) -> None:
    """Asked to be 200 points better than float, every candidate fails."""
    for index, path in enumerate(sorted(photos.glob("*.png"))[:12]):
        folder = tmp_path / "labeled" / f"l{index % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / path.name).write_bytes(path.read_bytes())
    with pytest.raises(ExportError, match=r"(?s)within the budget.*\| recipe \|"):
        exporter.export(
            ConvNormNet(),
            out=tmp_path / "o",
            input="image",
            input_shape=SHAPE,
            labels=[f"l{n}" for n in range(10)],
            preprocessing=HALVES,
            quantize="auto",
            calibration=photos,
            evaluate=tmp_path / "labeled",
            budget=exporter.Budget(max_accuracy_drop=-200),
        )
    assert not (tmp_path / "o").exists()


def test_auto_picks_within_the_budget_and_shows_the_table(photos: Path, tmp_path: Path) -> None:
    artifact = exporter.export(
        ConvNormNet(),
        out=tmp_path,
        input="image",
        input_shape=SHAPE,
        preprocessing=HALVES,
        task="image-classification",
        quantize="auto",
        calibration=photos,
        budget=exporter.Budget(min_agreement=0.5),
    )
    assert artifact.metadata.quantization.method != "none"
    assert any("| recipe |" in note.text for note in artifact.report.notes)
    assert any("held out" in note.text for note in artifact.report.notes)


class Fixed(ConvNormNet):
    """Reshapes to a batch of a fixed size."""

    size = 1

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).reshape(self.size, 10)


def test_a_network_of_one_image_trains_image_by_image(photos: Path, tmp_path: Path) -> None:
    recipe = exporter.QuantizeRecipe.named("qat", epochs=1, learning_rate=1e-5)
    artifact = exporter.export(
        Fixed().eval(),
        out=tmp_path,
        input="image",
        input_shape=SHAPE,
        preprocessing=HALVES,
        task="image-classification",
        quantize=recipe,
        calibration=photos,
        train=photos,
    )
    assert artifact.metadata.quantization.method == "qat"
    assert len(artifact.report.training.epochs) == 1
    assert artifact.report.training.before >= 0.5
    (note,) = (n.text for n in artifact.report.notes if "one by one" in n.text)
    assert note.startswith("Fixed takes no batches")


def test_a_network_of_four_images_is_refused_with_what_to_do(photos: Path, tmp_path: Path) -> None:
    class Four(Fixed):
        size = 4

    with pytest.raises(ExportError, match=r"Four takes 4 images at once.*--input-shape 1,3,32,32"):
        exporter.export(
            Four().eval(),
            out=tmp_path / "o",
            input_shape=(4, *SHAPE[1:]),
            quantize="static",
            calibration="noise",
        )
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("forward", "takes"),
    [
        (lambda x: x.mean((2, 3)), True),
        (lambda x: (x.mean((2, 3)), x.amax((1, 2, 3))), True),
        (lambda x: x.mean((2, 3)) - x.amax(), False),  # of both: not what either is alone
        (lambda x: x.mean((2, 3)).reshape(1, -1), False),  # as many numbers, in another place
        (lambda x: (x.mean((2, 3)), torch.arange(4.0)), False),
        (lambda x: x.reshape(1, 3, -1), False),
        (lambda x: (x > x.mean()).long(), False),
        (lambda x: (x > 0).long(), True),
    ],
)
def test_batches_are_taken_where_each_image_gives_what_it_gives_alone(
    forward: Callable[[Tensor], Any], takes: bool
) -> None:
    class Net(nn.Module):
        def forward(self, x: Tensor) -> Any:
            return forward(x)

    x = torch.linspace(-1, 2, 3 * 8 * 8).reshape(1, 3, 8, 8)
    assert takes_batches(Net(), x, 0.5 * x.flip(-1)) is takes
