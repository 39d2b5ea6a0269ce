from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

import exporter
from exporter.errors import ExportError, SourceError, UsageError
from exporter.source import class_count, load_source
from runtime_check import CheckOptions, check


def test_default_weights_come_with_a_package() -> None:
    source = load_source("tf_efficientnet_lite0")
    assert source.provenance.weights.origin == "package"
    assert source.provenance.license == "apache-2.0"
    assert source.preprocessing is not None
    assert source.preprocessing.mean == (0.5, 0.5, 0.5)
    assert source.labels is not None
    assert source.labels[281] == "tabby, tabby cat"
    assert not source.module.training


def test_random_weights_are_loud_and_repeatable() -> None:
    first = load_source("resnet10t", random_weights=True)
    second = load_source("resnet10t", random_weights=True)
    other = load_source("resnet10t", random_weights=True, seed=1)
    assert "RANDOM" in first.provenance.weights.detail
    assert first.provenance.weights.sha256 == second.provenance.weights.sha256
    assert first.provenance.weights.sha256 != other.provenance.weights.sha256


def test_safetensors_of_a_fine_tuned_model(tmp_path: Path) -> None:
    """A checkpoint with another number of classes is what people fine-tune."""
    tuned = timm.create_model("resnet10t", num_classes=7)
    save_file(tuned.state_dict(), tmp_path / "tuned.safetensors")
    source = load_source("resnet10t", weights=tmp_path / "tuned.safetensors")
    assert source.module.num_classes == 7
    assert source.labels is None
    assert source.provenance.weights.file_sha256
    assert torch.equal(source.module.fc.bias, tuned.fc.bias)


class Evil:
    def __reduce__(self) -> object:
        return (print, ("code ran while loading weights",))


def test_a_pickle_with_code_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "evil.pth"
    torch.save({"state_dict": Evil()}, path)
    with pytest.raises(SourceError, match=r"evil\.pth"):
        load_source("resnet10t", weights=path)
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(SourceError):
        load_source("resnet10t", weights=path)
    assert "code ran" not in capsys.readouterr().out


def test_weights_that_do_not_fit(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(SourceError, match="does not fit resnet10t"):
        load_source("resnet10t", weights=tmp_path / "other.safetensors")
    with pytest.raises(SourceError, match="nowhere"):
        load_source("resnet10t", weights=tmp_path / "nowhere.safetensors")


def test_nan_weights_are_named(tmp_path: Path) -> None:
    state = timm.create_model("resnet10t").state_dict()
    state["fc.bias"][3] = float("nan")
    save_file(state, tmp_path / "nan.safetensors")
    with pytest.raises(SourceError, match=r"fc\.bias holds NaN"):
        load_source("resnet10t", weights=tmp_path / "nan.safetensors")


def test_unknown_names_get_a_suggestion() -> None:
    with pytest.raises(SourceError, match=r"Did you mean .*resnet18"):
        load_source("resnet81")


def test_unreachable_hub_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Made unreachable here, so that the test says the same on a connected machine."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(SourceError, match=r"cannot be reached.*--weights.*--random-weights"):
        load_source("tiny_vit_11m_224.dist_in22k")


@pytest.mark.parametrize(
    ("model", "options", "says"),
    [
        ("resnet10t", {"weights": Path("w"), "random_weights": True}, "cannot be combined"),
        ("hf-hub:me/net", {"weights": Path("w")}, "names its own weights"),
        ("hf-hub:me/net", {"random_weights": True}, "timm architecture name"),
        ("own_models:Heads", {"random_weights": True}, "has its own weights"),
        (torch.nn.Linear(3, 2), {"random_weights": True}, "has its own weights"),
    ],
)
def test_options_without_a_meaning_are_refused(
    model: Any, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        load_source(model, **options)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("own_models:Heads", "Heads"),
        (torch.nn.Conv2d(3, 2, 1), "Conv2d"),
        ("resnet10t.c3_in1k", "resnet10t"),
    ],
)
def test_an_artifact_is_named_after_its_model(model: Any, name: str) -> None:
    own = not isinstance(model, str) or ":" in model
    options: Any = {"input_shape": (1, 3, 16, 16)} if own else {"random_weights": True}
    assert load_source(model, **options).name == name
    assert load_source(model, name="mine", **options).name == "mine"


@pytest.mark.parametrize("name", ["../up", "n" * 300, "a\nb"])
def test_a_class_name_that_no_file_can_have_asks_for_another(name: str) -> None:
    module = type(name, (torch.nn.Identity,), {})()
    with pytest.raises(UsageError, match=r"(?s)cannot be a file's name.* --name"):
        load_source(module, input_shape=(1, 3))
    assert load_source(module, input_shape=(1, 3), name="fine").name == "fine"


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("own_models:nothing", "has no 'nothing'"),
        ("own_models:Brnching", "Did you mean Branching"),
        ("no_such_module:f", "Cannot import"),
        ("own_models:needs_argument", "needs arguments"),
        ("own_models:not_a_module", "returned a int"),
        ("own_models:broken", "no such thing"),
    ],
)
def test_factories_that_fail(spec: str, says: str) -> None:
    with pytest.raises(SourceError, match=says):
        load_source(spec, input_shape=(1, 3, 8, 8))


def test_own_module_needs_a_shape_and_is_not_changed() -> None:
    module = torch.nn.Linear(3, 2).train()
    with pytest.raises(UsageError, match="--input-shape"):
        load_source(module)
    source = load_source(module, input_shape=(1, 3))
    assert module.training
    assert module.weight.requires_grad
    assert source.module is not module


def test_a_timm_module_takes_images() -> None:
    module = timm.create_model("test_vit")
    with pytest.raises(UsageError, match=r"--input-shape of .*, a timm model, is 1,C,H,W, not"):
        load_source(module, input_shape=(3, 64))


class Own(torch.nn.Linear):
    """Somebody's own module, with names that timm's models have too."""

    pretrained_cfg: object = None
    num_classes: object = "ten"


@pytest.mark.parametrize("config", [None, "x", {}, 3])
def test_a_module_with_a_config_of_its_own_is_no_timm_model(config: object) -> None:
    module = Own(3, 2)
    module.pretrained_cfg = config
    source = load_source(module, input_shape=(1, 3))
    assert source.preprocessing is None
    assert class_count(source.module) == 0


@pytest.mark.parametrize(
    "config",
    [
        {"input_size": (1, 28, 28), "mean": 0.5},
        {"input_size": (3, 8, 8), "std": (0.0, 1, 1)},
        {"input_size": (3, 8, 8), "crop_mode": "weird"},
        {"input_size": 7},
    ],
)
def test_a_config_that_makes_no_sense_is_named(config: object) -> None:
    module = Own(3, 2)
    module.pretrained_cfg = config
    with pytest.raises(SourceError, match=r"its pretrained_cfg\) cannot be used"):
        load_source(module, input_shape=(1, 3, 8, 8))


def test_labels_file(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("cat\nhündchen\n\n", encoding="utf-8")
    source = load_source("own_models:Heads", input_shape=(1, 3, 16, 16), labels=path)
    assert source.labels == ("cat", "hündchen")
    path.write_text("\n")
    with pytest.raises(SourceError, match="empty"):
        load_source("own_models:Heads", input_shape=(1, 3, 16, 16), labels=path)
    path.write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(SourceError, match="UTF-8"):
        load_source("own_models:Heads", input_shape=(1, 3, 16, 16), labels=path)
    path.write_text("cat\n" + "x" * 5000)
    with pytest.raises(SourceError, match="2 lines, the longest of 5000 characters"):
        load_source("own_models:Heads", input_shape=(1, 3, 16, 16), labels=path)


def test_preprocessing_that_no_reader_takes_is_refused() -> None:
    module = timm.create_model("test_vit")
    module.pretrained_cfg["interpolation"] = "random"
    with pytest.raises(SourceError, match=r"pretrained_cfg.*interpolation"):
        load_source(module)


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("own_models:ConvNormNet", {"input_shape": (1, 3, 32, 32)}),
        ("test_vit", {"random_weights": True, "input": "tensor"}),
    ],
)
def test_a_seed_is_enough_to_compare_again(
    model: str, options: dict[str, Any], tmp_path: Path
) -> None:
    artifact = exporter.export(model, seed=5, out=tmp_path, verify=False, **options)
    report = check(
        artifact.path, CheckOptions(properties=("parity",), examples=2, trust_factory=True)
    )
    assert report.has_reference, report.reference
    assert report
    assert artifact.metadata.provenance.seed == 5


def test_a_timm_model_at_another_size(tmp_path: Path) -> None:
    """timm's own transform at that size is what the reference reads photos with."""
    made = exporter.export(
        "resnet10t", random_weights=True, input_shape=(1, 3, 64, 96), out=tmp_path, name="net"
    )
    assert made.metadata.preprocessing is not None
    assert made.metadata.preprocessing.input_size == (3, 64, 96)
    report = check(made.path, CheckOptions(properties=("golden", "parity"), examples=3))
    assert report.outcome == "proven"


@pytest.mark.parametrize(
    ("model", "shape", "says"),
    [
        ("levit_128s", (1, 3, 100, 100), "does not take pictures of 100 x 100"),
        ("xcit_nano_12_p8_224", (1, 3, 100, 100), "does not build .* for pictures of 100 x 100"),
        ("resnet10t", (1, 1, 96, 96), "resnet10t takes 3 channels; --input-shape says 1"),
        ("resnet10t", (3, 96, 96), "a timm model, is 1,C,H,W"),
    ],
)
def test_sizes_that_a_timm_model_does_not_take(
    model: str, shape: tuple[int, ...], says: str, tmp_path: Path
) -> None:
    with pytest.raises(ExportError, match=says):
        exporter.export(model, random_weights=True, input_shape=shape, out=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_transformer_at_another_size_has_its_positions_resampled(tmp_path: Path) -> None:
    """As timm does it, written out: the positions of 10 x 10 patches become those of 6 x 8."""
    from timm.layers import resample_abs_pos_embed

    torch.manual_seed(0)
    trained = timm.create_model("test_vit", num_classes=4).eval()
    state = {
        name: value + 0.1 * torch.randn_like(value) for name, value in trained.state_dict().items()
    }
    save_file(state, tmp_path / "trained.safetensors")
    made = exporter.export(
        "test_vit", weights=tmp_path / "trained.safetensors", input_shape=(1, 3, 96, 128),
        out=tmp_path, name="net", input="tensor",
    )  # fmt: skip
    assert made.metadata.provenance.img_size == (96, 128)
    by_hand = timm.create_model("test_vit", num_classes=4, img_size=(96, 128)).eval()
    resampled = resample_abs_pos_embed(
        state["pos_embed"], new_size=[6, 8], num_prefix_tokens=by_hand.num_prefix_tokens
    )
    by_hand.load_state_dict({**state, "pos_embed": resampled})
    x = torch.randn(1, 3, 96, 128, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(made(x), by_hand(x), atol=1e-4, rtol=1e-4)
    report = check(
        made.path,
        CheckOptions(
            weights=tmp_path / "trained.safetensors", properties=("golden", "parity"), examples=3
        ),
    )
    assert report.outcome == "proven"
