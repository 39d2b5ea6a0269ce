from __future__ import annotations

import io
import json
import sys
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save
from torch import nn

from runtime_check.errors import BuildError, NoPretrainedWeights, UnknownModel
from runtime_check.reference.timm_models import (
    import_timm,
    pretrained,
    require_model,
    untrained,
)
from runtime_check.reference.weights import UnreadableWeights, WeightsRead, state_dict_sha256

CONFIG = {
    "architecture": "resnet10t",
    "num_classes": 7,
    "pretrained_cfg": {
        "input_size": [3, 64, 64],
        "num_classes": 7,
        "license": "mit",
        "classifier": "fc",
        "first_conv": "conv1.0",
    },
}


def tuned() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return timm.create_model("resnet10t", num_classes=7)


def test_cached_weights_of_a_timm_name_are_loaded_without_a_network(hub_cache: Any) -> None:
    expected = timm.create_model("resnet10t")
    hub_cache("timm/resnet10t.c3_in1k", {"model.safetensors": save(expected.state_dict())})
    for name in ("resnet10t", "resnet10t.c3_in1k"):
        module, read = pretrained(name, exportable=True)
        assert read == WeightsRead(file="model.safetensors", converted={})
        assert state_dict_sha256(module.state_dict()) == state_dict_sha256(expected.state_dict())
        # timm's own copy of the weights is gone, its preprocessing is not.
        assert "state_dict" not in module.pretrained_cfg
        assert module.pretrained_cfg["input_size"] == (3, 176, 176)


@pytest.mark.parametrize("checkpoint", ["model.safetensors", "pytorch_model.bin"])
def test_a_hub_id_brings_its_own_configuration(checkpoint: str, hub_cache: Any) -> None:
    state = tuned().state_dict()
    pickled = io.BytesIO()
    torch.save(state, pickled)
    data = save(state) if checkpoint.endswith("safetensors") else pickled.getvalue()
    hub_cache("me/net", {"config.json": json.dumps(CONFIG).encode(), checkpoint: data})
    module, _ = pretrained("hf-hub:me/net", exportable=True)
    assert module.num_classes == 7
    assert module.pretrained_cfg["license"] == "mit"
    assert torch.equal(module.fc.bias, state["fc.bias"])
    assert untrained("hf-hub:me/net", exportable=True).num_classes == 7


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return (print, ("ran code from the hub",))


def test_nothing_in_a_checkpoint_of_the_hub_is_run(
    hub_cache: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    pickled = io.BytesIO()
    torch.save({"a": Evil()}, pickled)
    files = {"config.json": json.dumps(CONFIG).encode(), "pytorch_model.bin": pickled.getvalue()}
    hub_cache("me/evil", files)
    with pytest.raises(UnreadableWeights, match="run code"):
        pretrained("hf-hub:me/evil", exportable=True)
    assert "ran code" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("resnet10t.c3_in1k", r"No pretrained weights for resnet10t.c3_in1k: .*be reached"),
        ("hf-hub:me/nowhere", r"No pretrained weights for hf-hub:me/nowhere: .*be reached"),
        ("nest_tiny", "timm has none"),
    ],
)
def test_weights_that_are_not_to_be_had(name: str, says: str, hub_cache: Any) -> None:
    with pytest.raises(NoPretrainedWeights, match=says):
        pretrained(name, exportable=True)


def test_files_of_the_hub_that_are_no_timm_model(hub_cache: Any) -> None:
    hub_cache("me/bert", {"config.json": b"{}", "model.safetensors": save(tuned().state_dict())})
    with pytest.raises(NoPretrainedWeights, match="timm cannot load them"):
        pretrained("hf-hub:me/bert", exportable=True)
    with pytest.raises(BuildError, match="No configuration for hf-hub:me/none"):
        untrained("hf-hub:me/none", exportable=True)


def test_wrong_names_get_a_suggestion() -> None:
    require_model("resnet18.a1_in1k")
    with pytest.raises(UnknownModel, match=r"no model called 'resnet81'. Did you mean .*resnet18"):
        require_model("resnet81")
    # Too short to be near to anything, but a part of something.
    with pytest.raises(UnknownModel, match=r"Did you mean .*dinov2"):
        require_model("dinov2")
    with pytest.raises(UnknownModel, match=r"no weights called 'resnet18.a7_in1k'.*a1_in1k"):
        require_model("resnet18.a7_in1k")


def test_a_tag_counts_without_its_weights_too() -> None:
    """It stands for other classes, another normalization and another input than the default."""
    assert untrained("vit_tiny_patch16_224", exportable=True).num_classes == 1000
    tagged = untrained("vit_tiny_patch16_224.augreg_in21k", exportable=True)
    assert tagged.num_classes == 21843
    assert tagged.pretrained_cfg["tag"] == "augreg_in21k"


def test_without_timm_the_cure_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(BuildError, match=r"Building resnet18 needs timm.*pip install timm"):
        require_model("resnet18")
    with pytest.raises(BuildError, match=r"This needs timm"):
        import_timm("This")


def test_random_weights_have_a_head_that_depends_on_the_input() -> None:
    """timm's own MLP-Mixer begins with zeros there."""
    assert not timm.create_model("mixer_s32_224").head.weight.count_nonzero()
    module = untrained("mixer_s32_224", exportable=True)
    assert module.get_parameter("head.weight").count_nonzero()
