"""One recipe applied to real weights: both modes, both schemes."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
from torch import nn

from exporter.errors import (
    CalibrationError,
    NotFinite,
    NothingQuantized,
    QuantizeError,
    TrainingDataError,
    UnknownLayer,
)
from exporter.quantize.apply import QuantizeImages, quantize
from exporter.quantize.evaluate import judge, run_batches, save_for_timing
from exporter.quantize.layers import SimulatedLayer
from exporter.recipes import RECIPES, QuantizeRecipe

from .conftest import MadeInt8, Task
from .nets import (
    Branching,
    against_simulation,
    outputs,
    smooth,
)

POST_TRAINING = [name for name, r in RECIPES.items() if r.method in ("dynamic", "static")]


@pytest.mark.parametrize("name", POST_TRAINING)
def test_every_recipe_keeps_the_vit_accurate(
    fashion_int8: MadeInt8, fashion: Task, name: str
) -> None:
    made = fashion_int8(name)
    found = judge(
        run_batches(fashion.model, fashion.measured),
        outputs(made, fashion.measured),
        fashion.labels,
    )
    # Measured on all 10,000 test images: at least 36 dB, 99.5 % and a drop of at most 0.04 points.
    assert found.sqnr_db > 30.0
    assert found.agreement >= 0.985
    assert abs(found.drop) <= 1.0
    assert made.int8_layers == (25 if "dynamic" in name else 26)
    assert made.recipe.mode == ("fx" if name.endswith("-fx") else "eager")


@pytest.mark.parametrize("name", ["static-xnnpack", "static-xnnpack-fx"])
def test_convnet_with_real_weights_keeps_its_answers(
    lite0_int8: MadeInt8, lite0: Task, name: str
) -> None:
    made = lite0_int8(name)
    found = judge(run_batches(lite0.model, lite0.measured), outputs(made, lite0.measured))
    # Plain FX static gives 8 dB here: the ReLU6 ranges and the weight scales make the rest.
    assert found.sqnr_db > 15.0
    assert found.agreement >= 0.75
    assert made.int8_layers == 50
    assert against_simulation(made, lite0.measured[:1]) > 22.0


def test_qnnpack_scheme_works_on_a_convnet_too(lite0_int8: MadeInt8, lite0: Task) -> None:
    made = lite0_int8("static-qnnpack")
    found = judge(run_batches(lite0.model, lite0.measured), outputs(made, lite0.measured))
    assert found.sqnr_db > 15.0


def test_float_layers_stay_float_and_are_reported(fashion: Task) -> None:
    recipe = QuantizeRecipe.named("static", mode="eager", float_layers=("blocks.0", "head"))
    made = quantize(
        fashion.model,
        recipe,
        fashion.images,
    )
    assert set(made.float_layers) == {
        "blocks.0.attn.qkv",
        "blocks.0.attn.proj",
        "blocks.0.mlp.fc1",
        "blocks.0.mlp.fc2",
        "head",
    }
    assert isinstance(made.module.head, nn.Linear)
    assert {layer.why_float for layer in made.layers if not layer.int8} == {"asked for"}


def test_simulated_twin_can_be_evaluated(fashion_int8: MadeInt8, fashion: Task) -> None:
    made = fashion_int8("static-xnnpack")
    assert any(isinstance(m, SimulatedLayer) for m in made.simulated.modules())
    found = judge(
        run_batches(fashion.model, fashion.measured), run_batches(made.simulated, fashion.measured)
    )
    assert 30.0 < found.sqnr_db < 60.0


def test_size_of_a_fully_quantized_vit(tmp_path: Path) -> None:
    model = timm.create_model("deit_tiny_patch16_224").eval()
    x = torch.randn(2, 3, 224, 224)
    recipe = QuantizeRecipe.named(
        "static", mode="eager", granularity="per_tensor", observer="minmax"
    )
    made = quantize(model, recipe, QuantizeImages(example=x[:1], calibration=[x], allow_noise=True))
    path = tmp_path / "deit.ptl"
    save_for_timing(made.module, x[:1], path)
    parameters = sum(p.numel() for p in model.parameters())
    assert path.stat().st_size <= 1.05 * parameters


def test_engine_is_left_as_it_was(fashion: Task) -> None:
    before = torch.backends.quantized.engine
    quantize(
        fashion.model,
        RECIPES["static-xnnpack"],
        fashion.images,
    )
    assert torch.backends.quantized.engine == before


def test_quantized_nothing_is_an_error(fashion: Task) -> None:
    everything = replace(RECIPES["static-xnnpack"], float_layers=("*",))
    static, x = RECIPES["static-xnnpack"], fashion.example
    with pytest.raises(NothingQuantized, match="Not one of 26"):
        quantize(
            fashion.model,
            everything,
            fashion.images,
        )
    with pytest.raises(NothingQuantized, match="no plain Conv2d or Linear"):
        quantize(nn.Sequential(nn.ReLU()), static, QuantizeImages(example=x, calibration=[x]))
    with pytest.raises(NothingQuantized, match="--quantize static"):
        quantize(
            nn.Conv2d(1, 1, 1).eval(), RECIPES["dynamic"], QuantizeImages(example=fashion.example)
        )


def test_bad_input_is_a_clear_error(fashion: Task) -> None:
    static, x = RECIPES["static-xnnpack"], fashion.example
    with pytest.raises(CalibrationError, match="--calibration"):
        quantize(fashion.model, static, QuantizeImages(example=x))
    with pytest.raises(CalibrationError, match="no calibration image"):
        quantize(fashion.model, static, QuantizeImages(example=x, calibration=[]))
    recipe = replace(static, float_layers=("blocks.0.attn.qkw",))
    with pytest.raises(UnknownLayer, match=r"blocks\.0\.attn\.qkv"):
        quantize(fashion.model, recipe, QuantizeImages(example=x, calibration=fashion.calibration))
    with pytest.raises(TrainingDataError, match="--train"):
        quantize(
            fashion.model,
            RECIPES["qat-xnnpack"],
            QuantizeImages(example=x, calibration=fashion.calibration),
        )


@pytest.mark.parametrize("name", ["static-xnnpack", "dynamic"])
def test_nan_weights_are_named(fashion: Task, name: str) -> None:
    broken = copy.deepcopy(fashion.model)
    with torch.no_grad():
        broken.blocks[3].mlp.fc1.weight[0, 0] = float("nan")
    with pytest.raises(NotFinite, match=r"blocks\.3\.mlp\.fc1\.weight"):
        quantize(
            broken,
            RECIPES[name],
            fashion.images,
        )


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "convit_tiny", "mobilevit_xxs"])
def test_models_that_fx_struggles_with(name: str) -> None:
    torch.manual_seed(0)
    model = timm.create_model(name).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.normal_(module.running_mean, 0.0, 0.2)
    size = model.default_cfg["input_size"][-1]
    x = torch.randn(2, 3, size, size)
    recipe = QuantizeRecipe.named("static", mode="auto", observer="minmax")
    made = quantize(model, recipe, QuantizeImages(example=x[:1], calibration=[x], allow_noise=True))
    found = judge(run_batches(model, [x]), outputs(made, [x]))
    assert made.int8_layers >= 0.9 * len(made.layers)
    assert found.sqnr_db > 8.0


def test_float_reference_is_not_touched(fashion: Task) -> None:
    before = copy.deepcopy(fashion.model.state_dict())
    quantize(
        fashion.model,
        RECIPES["static-xnnpack"],
        fashion.images,
    )
    after = fashion.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_auto_mode_falls_back_to_eager_and_says_why() -> None:
    x = smooth(4, 3, 8)
    with pytest.raises(QuantizeError, match="--mode eager"):
        quantize(
            Branching().eval(),
            QuantizeRecipe.named("static", mode="fx"),
            QuantizeImages(example=x, calibration=[x]),
        )
    made = quantize(
        Branching().eval(),
        QuantizeRecipe.named("static", mode="auto"),
        QuantizeImages(example=x, calibration=[x]),
    )
    assert made.recipe.mode == "eager"
    assert any(note.startswith("Eager mode, because") for note in made.notes)
    assert made.int8_layers == 1
