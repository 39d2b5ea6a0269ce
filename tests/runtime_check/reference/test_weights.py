from __future__ import annotations

import argparse
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel

from runtime_check.errors import BuildError
from runtime_check.reference.weights import (
    UnreadableWeights,
    WeightsRead,
    load_into,
    load_weights,
    state_dict_sha256,
)


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return (print, ("ran code from a checkpoint",))


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4))


def noisy(seed: int = 1) -> nn.Module:
    """The same network after some training: no weight and no statistic as it begins."""
    module = net()
    torch.manual_seed(seed)
    for value in module.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.rand_like(value) + 0.5)
    return module


def test_the_hash_is_pinned_and_sees_every_part() -> None:
    state = {"a": torch.arange(6, dtype=torch.float32).reshape(2, 3)}
    digest = state_dict_sha256(state)
    # Stored in every artifact: a change here makes all of them strangers.
    assert digest == "80e7d3f3e42ede9f518175c99b10df05e5400c88b6921e6609ab1a3a503bcc1e"
    changed = [
        {"b": state["a"]},
        {"a": state["a"].double()},
        {"a": state["a"].reshape(3, 2)},
        {"a": state["a"] + 1},
        {**state, "b": torch.zeros(0)},
    ]
    assert len({digest, *map(state_dict_sha256, changed)}) == 6


def test_the_hash_does_not_see_strides() -> None:
    plain = torch.arange(6.0).reshape(2, 3)
    strided = torch.arange(6.0).reshape(2, 3).T.contiguous().T
    assert state_dict_sha256({"a": plain}) == state_dict_sha256({"a": strided})


@pytest.mark.parametrize(
    ("odd", "plain"),
    [
        # NumPy gives an empty array a stride of 0, and converted networks hold such buffers.
        (torch.from_numpy(np.zeros(0, np.float32)), torch.zeros(0)),
        (torch.arange(6.0).as_strided((1,), (5,)), torch.zeros(1)),
        (torch.arange(6.0).as_strided((1, 1), (7, 9), 2), torch.full((1, 1), 2.0)),
        (torch.ones(1).expand(4), torch.ones(4)),
        (torch.arange(4.0)[::2], torch.tensor([0.0, 2.0])),
        (torch.arange(4.0).flip(0), torch.tensor([3.0, 2.0, 1.0, 0.0])),
        (torch.tensor([1 + 2j]).conj(), torch.tensor([1 - 2j])),
        (torch.tensor([1 + 2j, 3 + 4j]).conj().imag, torch.tensor([-2.0, -4.0])),
        (torch.eye(3).to_sparse(), torch.eye(3)),
        (nn.Parameter(torch.ones(2)), torch.ones(2)),
    ],
)
def test_the_hash_is_of_the_values_alone(odd: torch.Tensor, plain: torch.Tensor) -> None:
    assert state_dict_sha256({"a": odd}) == state_dict_sha256({"a": plain})


@pytest.mark.parametrize("wrap", [None, "state_dict", "model"])
def test_checkpoints_and_safetensors_give_the_same_weights(
    wrap: str | None, tmp_path: Path
) -> None:
    module = net()
    state = module.state_dict()
    torch.save({wrap: state, "epoch": 3} if wrap else state, tmp_path / "w.pth")
    save_file(state, tmp_path / "w.safetensors")
    expected = state_dict_sha256(state)
    for name in ("w.pth", "w.safetensors"):
        other = net()
        other.load_state_dict(load_weights(tmp_path / name).state)
        assert state_dict_sha256(other.state_dict()) == expected


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.", "net.", "model._orig_mod."])
def test_prefixes_of_training_scripts_are_stripped(prefix: str, tmp_path: Path) -> None:
    trained, module = noisy(), net()
    state = {prefix + key: value for key, value in trained.state_dict().items()}
    read = into(module, state, tmp_path / "w.pth")
    assert read.sentences() == [f"{prefix} was stripped from the names of the weights in w.pth"]
    x = torch.randn(2, 3, 9, 9)
    assert torch.equal(module.eval()(x), trained.eval()(x))


def test_what_torch_and_training_scripts_write_themselves_fits(tmp_path: Path) -> None:
    class Lit(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = torch.compile(noisy())
            self.ema_model = AveragedModel(noisy(2))
            self.criterion = nn.CrossEntropyLoss(weight=torch.ones(4))

    made, module = Lit(), net()
    read = into(module, {"state_dict": made.state_dict()}, tmp_path / "w.ckpt")
    assert (read.entry, read.prefix) == ("state_dict", "ema_model.module.")
    assert len(read.left_out) == 7
    assert set(read.left_out) == {
        "criterion.weight",
        *(f"model._orig_mod.{key}" for key in net().state_dict()),
    }
    assert "7 other tensors in w.ckpt were left out (first: model._orig_mod.0" in str(
        read.sentences()
    )
    x = torch.randn(2, 3, 9, 9)
    assert torch.equal(module.eval()(x), made.ema_model.module.eval()(x))


def test_a_part_that_ran_in_parallel_fits(tmp_path: Path) -> None:
    """Its names have `.module.` in the middle; the module that is loaded has none around it."""
    trained = nn.Sequential(nn.DataParallel(noisy()), nn.Flatten())
    torch.save(trained.state_dict(), tmp_path / "parts.pth")
    assert all(".module." in name for name in trained.state_dict())
    fresh = nn.Sequential(net(), nn.Flatten())
    load_into(fresh, load_weights(tmp_path / "parts.pth"), name="parts")
    for name, value in fresh[0].state_dict().items():
        assert torch.equal(value, noisy().state_dict()[name])


def test_a_prefix_that_is_the_models_own_name_stays(tmp_path: Path) -> None:
    own = nn.ModuleDict({"model": net()})
    read = into(own, nn.ModuleDict({"model": noisy()}).state_dict(), tmp_path / "w.pth")
    assert not read.prefix
    assert torch.equal(own.state_dict()["model.0.weight"], noisy().state_dict()["0.weight"])


def test_a_head_beside_the_prefix_is_not_left_out(tmp_path: Path) -> None:
    """A file of the backbone alone would answer, and not as the network did."""
    state = {f"model.{key}": value for key, value in net().state_dict().items()}
    with pytest.raises(BuildError, match="does not fit net"):
        into(net(), {**state, "head.weight": torch.ones(2)}, tmp_path / "w.pth")


def test_options_of_a_training_script_are_inert(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state, module = noisy().state_dict(), net()
    options = argparse.Namespace(lr=0.1, model="resnet18", sizes=[1, 2])
    saved = {"arch": "net", "state_dict": state, "args": options}
    assert not into(module, saved, tmp_path / "w.pth").sentences()
    assert torch.equal(module.state_dict()["0.weight"], state["0.weight"])
    # What is inside the options is held to the same rule.
    for inside in (Evil(), Path("there")):
        torch.save({**saved, "args": argparse.Namespace(a=inside)}, tmp_path / "w.pth")
        with pytest.raises(UnreadableWeights, match="more than tensors"):
            load_weights(tmp_path / "w.pth")
    assert "ran code" not in capsys.readouterr().out
    # The permission ends with the reading.
    torch.save(saved, tmp_path / "w.pth")
    with pytest.raises(pickle.UnpicklingError, match="Namespace"):
        torch.load(tmp_path / "w.pth", weights_only=True)


def test_a_network_of_any_known_entry_is_found(tmp_path: Path) -> None:
    module, state = net(), noisy().state_dict()
    read = into(module, {"net": state, "acc": 0.9}, tmp_path / "w.pth")
    assert (read.entry, read.others) == ("net", ())
    assert torch.equal(module.state_dict()["0.weight"], state["0.weight"])


def test_nothing_in_a_checkpoint_is_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"a": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(UnreadableWeights, match=r"run code.*safetensors"):
        load_weights(tmp_path / "evil.pth")
    assert "ran code" not in capsys.readouterr().out


def test_files_that_are_not_checkpoints_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    (tmp_path / "b.safetensors").write_bytes(b"\xff" * 40)
    torch.save([1, 2], tmp_path / "c.pth")
    for name, words in (
        ("a.txt", "not a checkpoint"),
        ("b.safetensors", "damaged"),
        ("c.pth", "not a state dict"),
        ("absent.pth", "no weights file"),
    ):
        with pytest.raises(UnreadableWeights, match=words):
            load_weights(tmp_path / name)


def into(module: nn.Module, state: object, path: Path) -> WeightsRead:
    torch.save(state, path)
    return load_into(module, load_weights(path), name="net")


def test_averaged_weights_are_taken_before_others_and_that_is_told(tmp_path: Path) -> None:
    """As torchvision's and timm's training scripts write them."""
    plain, averaged = net().state_dict(), {k: v + 1 for k, v in net().state_dict().items()}
    ema = {"n_averaged": torch.tensor(9), **{f"module.{k}": v for k, v in averaged.items()}}
    optimizer = {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": []}
    files: list[tuple[dict[str, object], str, tuple[str, ...]]] = [
        ({"model": plain, "model_ema": ema, "optimizer": optimizer}, "model_ema", ("model",)),
        ({"state_dict": plain, "state_dict_ema": averaged}, "state_dict_ema", ("state_dict",)),
        ({"model": averaged, "ema": plain, "teacher": plain}, "model", ("ema", "teacher")),
        ({"model": averaged, "model_ema": None, "epoch": 3}, "model", ()),
        ({"model": averaged, "model_ema": {}, "optimizer": optimizer}, "model", ()),
    ]
    for file, entry, others in files:
        module = net()
        read = into(module, file, tmp_path / "w.pth")
        assert (read.file, read.entry, read.others) == ("w.pth", entry, others)
        assert torch.equal(module.state_dict()["0.weight"], averaged["0.weight"])
        if others:
            said, *rest = read.sentences()
            assert rest == (
                ["module. was stripped from the names of the weights in w.pth"]
                if entry == "model_ema"
                else []
            )
            assert said == f"of the weights in w.pth, {entry} was taken, not {' or '.join(others)}"
        else:
            assert not read.sentences()


@pytest.mark.parametrize(
    "dtype",
    [
        *(torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64, torch.bool),
        *(torch.complex64, torch.complex128, torch.float8_e4m3fn),
    ],
)
@pytest.mark.parametrize("name", ["0.weight", "1.running_var"])
def test_what_torch_would_cast_into_floats_is_refused(
    dtype: torch.dtype, name: str, tmp_path: Path
) -> None:
    """Torch copies all of these without a word; their fractions, or their scale, are lost."""
    state = net().state_dict()
    state[name] = state[name].to(dtype)
    says = rf"w\.pth holds {name} in {str(dtype)[6:]}, and net in float32"
    with pytest.raises(UnreadableWeights, match=says):
        into(net(), state, tmp_path / "w.pth")


def test_other_floats_become_float32_and_are_counted(tmp_path: Path) -> None:
    state = net().state_dict()
    state["0.weight"] = state["0.weight"].double() + 1e-12
    state["1.weight"], state["1.bias"] = state["1.weight"].half(), state["1.bias"].half()
    state["1.running_var"] = state["1.running_var"].bfloat16()
    module = net()
    read = into(module, state, tmp_path / "w.pth")
    assert read.converted == {"bfloat16": 1, "float16": 2, "float64": 1}
    assert read.sentences() == [
        "weights were converted to float32 (1 in bfloat16, 2 in float16, 1 in float64)"
    ]
    assert {t.dtype for t in module.parameters()} == {torch.float32}


def test_floats_beyond_float32_are_refused(tmp_path: Path) -> None:
    state = net().state_dict()
    state["1.bias"] = torch.tensor([0, 0, float("inf"), 1e300], dtype=torch.float64)
    with pytest.raises(UnreadableWeights, match=r"1\.bias in float64"):
        into(net(), state, tmp_path / "w.pth")
    state["1.bias"][3] = 0
    assert into(net(), state, tmp_path / "w.pth").converted == {"float64": 1}


@pytest.mark.parametrize(
    ("given", "fits"),
    [
        (torch.tensor(7, dtype=torch.int32), True),
        (torch.tensor(7.0), True),  # as averaging over all entries leaves it
        (torch.tensor(True), True),
        (torch.tensor(7.5), False),
        (torch.tensor(float("nan")), False),
        (torch.tensor(7 + 0j), False),
    ],
)
def test_integers_keep_their_values(given: torch.Tensor, fits: bool, tmp_path: Path) -> None:
    state = {**net().state_dict(), "1.num_batches_tracked": given}
    module = net()
    if fits:
        assert into(module, state, tmp_path / "w.pth").converted == {}
        assert module.state_dict()["1.num_batches_tracked"] == int(given)
    else:
        with pytest.raises(UnreadableWeights, match="num_batches_tracked"):
            into(module, state, tmp_path / "w.pth")
