"""What was written by the module's own side is read back, and gives the outputs of that module."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel

from runtime_check.errors import BuildError
from runtime_check.reference.fine_tuned import fine_tuned, fitting
from runtime_check.reference.weights import fitted, load_weights

NAME = "mobilenetv3_small_050"


def trained(**options: int) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        module: nn.Module = timm.create_model(NAME, **options).eval()
        for key, value in module.state_dict().items():
            if key.endswith("running_mean"):
                value.uniform_(-0.1, 0.1)
    return module


def photo(channels: int = 3) -> torch.Tensor:
    return torch.rand(2, channels, 64, 64, generator=torch.Generator().manual_seed(1))


def prefixed(prefix: str, module: nn.Module) -> dict[str, torch.Tensor]:
    return {prefix + key: value for key, value in module.state_dict().items()}


WRITERS: dict[str, tuple[Callable[[nn.Module, Path], None], str]] = {
    "compiled.pth": (
        lambda m, p: torch.save(torch.compile(m).state_dict(), p),
        "_orig_mod. was stripped from the names of the weights in compiled.pth",
    ),
    "lightning.ckpt": (
        lambda m, p: torch.save({"state_dict": prefixed("model.", m), "epoch": 3}, p),
        "model. was stripped from the names of the weights in lightning.ckpt",
    ),
    "torchvision_ema.pth": (
        lambda m, p: torch.save(
            {
                "model": trained(num_classes=3).state_dict(),
                "model_ema": AveragedModel(m).state_dict(),
            },
            p,
        ),
        "of the weights in torchvision_ema.pth, model_ema was taken, not model; "
        "module. was stripped from the names of the weights in torchvision_ema.pth",
    ),
    "timm_train.pth.tar": (
        lambda m, p: torch.save(
            {"arch": NAME, "state_dict": m.state_dict(), "args": argparse.Namespace(lr=0.1)}, p
        ),
        "",
    ),
    "net.pth": (lambda m, p: torch.save({"net": m.state_dict(), "acc": 0.9}, p), ""),
    "net.safetensors": (
        lambda m, p: save_file(prefixed("net.", m), p),
        "net. was stripped from the names of the weights in net.safetensors",
    ),
    "scripted.pt": (
        lambda m, p: torch.jit.save(torch.jit.script(m), str(p)),
        "the weights in scripted.pt, a TorchScript archive, were read as data",
    ),
    "traced.pt": (
        lambda m, p: torch.jit.save(torch.jit.trace(m, photo()), str(p)),
        "the weights in traced.pt, a TorchScript archive, were read as data",
    ),
}


@pytest.mark.parametrize("file", WRITERS)
def test_the_outputs_are_those_of_the_module_that_was_saved(file: str, tmp_path: Path) -> None:
    write, says = WRITERS[file]
    module = trained(num_classes=5)
    write(module, tmp_path / file)
    read_back, read = fine_tuned(NAME, tmp_path / file, exportable=False)
    assert "; ".join(read.sentences()) == says
    with torch.inference_mode():
        assert torch.equal(read_back.eval()(photo()), module(photo()))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_becomes_float32(dtype: torch.dtype, tmp_path: Path) -> None:
    module = trained(num_classes=5).to(dtype)
    torch.save(prefixed("module.", module), tmp_path / "w.pth")
    read_back, read = fine_tuned(NAME, tmp_path / "w.pth", exportable=False)
    assert "converted to float32" in read.sentences()[-1]
    assert str(dtype)[6:] in read.sentences()[-1]
    with torch.inference_mode():
        assert torch.equal(read_back.eval()(photo()), module.float()(photo()))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"in_chans": 1, "num_classes": 5}, ["1 input channel"]),
        ({"in_chans": 4}, ["4 input channels"]),
        ({"num_classes": 0}, ["no classifier, it returns features"]),
        (
            {"num_classes": 0, "in_chans": 2},
            ["no classifier, it returns features", "2 input channels"],
        ),
        ({"num_classes": 5}, []),
    ],
)
def test_classes_and_channels_are_read_off_the_tensors(
    options: dict[str, int], says: list[str], tmp_path: Path
) -> None:
    module = trained(**options)
    torch.save(prefixed("_orig_mod.", module), tmp_path / "w.pth")
    read_back, read = fine_tuned(NAME, tmp_path / "w.pth", exportable=False)
    assert list(read.built) == says
    channels = options.get("in_chans", 3)
    assert read_back.pretrained_cfg["input_size"] == (channels, 224, 224)
    with torch.inference_mode():
        assert torch.equal(read_back.eval()(photo(channels)), module(photo(channels)))


def test_buffers_that_timm_derives_do_not_hinder_a_torchscript_archive(tmp_path: Path) -> None:
    module = timm.create_model("swin_tiny_patch4_window7_224", depths=(2, 2, 2, 2), embed_dim=24)
    assert set(dict(module.named_buffers())) - set(module.state_dict())
    x = torch.rand(1, 3, 224, 224)
    torch.jit.save(torch.jit.trace(module.eval(), x), str(tmp_path / "w.pt"))
    torch.save(module.state_dict(), tmp_path / "w.pth")
    scripted, plain = load_weights(tmp_path / "w.pt"), load_weights(tmp_path / "w.pth")
    state = fitted(module, scripted).state
    assert state.keys() == plain.state.keys()
    assert all(torch.equal(state[key], plain.state[key]) for key in state)


def test_where_it_does_not_fit_the_models_it_fits_are_named(tmp_path: Path) -> None:
    torch.save(prefixed("module.", trained(num_classes=5, in_chans=1)), tmp_path / "w.pth")
    with pytest.raises(BuildError, match=f"does not fit mobilenetv3_small_075.* timm's {NAME}"):
        fine_tuned("mobilenetv3_small_075", tmp_path / "w.pth", exportable=True)
    # Not by its name, but by what the file says of itself.
    torch.save({"arch": NAME, "state_dict": trained().state_dict()}, tmp_path / "w.pth")
    checkpoint = load_weights(tmp_path / "w.pth")
    assert fitting(checkpoint, "resnet18", exportable=True)[:1] == [NAME]
    # A file may say anything.
    for said in ("resnet34", "no_such", "os:system"):
        torch.save({"arch": said, "state_dict": trained().state_dict()}, tmp_path / "w.pth")
        assert said not in fitting(load_weights(tmp_path / "w.pth"), "vgg11", exportable=True)


def test_nothing_is_named_where_nothing_fits(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(2)}, tmp_path / "w.pth")
    with pytest.raises(BuildError, match=r"does not fit resnet10t.*architecture\.$"):
        fine_tuned("resnet10t", tmp_path / "w.pth", exportable=True)
