from __future__ import annotations

import pytest
import timm
import torch
from own_models import ConvNormNet, NormReadTwice
from torch import nn

from exporter.expected import measure_rounding
from exporter.outputs import run
from exporter.rewrites.prepare import (
    channels_last,
    fold_batch_norm,
    plain_convolutions,
    plain_rms_norms,
    prepare,
    replace_submodule,
)
from runtime_check.compare import Tolerance, compare
from runtime_check.testing.models import randomize_batch_norm


def apply(module: nn.Module, edits: list) -> nn.Module:
    for edit in edits:
        replace_submodule(module, edit.name, edit.module)
    return module


def check(module: nn.Module, find, example: torch.Tensor) -> tuple[int, nn.Module]:
    """Apply a pass and demand equality within the model's own rounding."""
    inputs = [example, torch.randn_like(example) * 2]
    expected = [run(module, (x,)) for x in inputs]
    spec = measure_rounding(module, inputs, expected).network
    edits = find(module, example)
    apply(module, edits)
    for x, wanted in zip(inputs, expected, strict=True):
        result = compare(
            [t.numpy() for t in wanted],
            [t.numpy() for t in run(module, (x,))],
            Tolerance(atol=spec.atol),
        )
        assert result, str(result)
    return len(edits), module


@pytest.mark.parametrize("name", ["resnet10t", "mobilenetv3_small_050", "repghostnet_050"])
def test_batch_norm_folds_exactly(name: str) -> None:
    torch.manual_seed(0)
    module = randomize_batch_norm(timm.create_model(name).eval())
    before = sum(isinstance(m, nn.BatchNorm2d) for m in module.modules())
    edits, module = check(module, fold_batch_norm, torch.randn(1, 3, 96, 96))
    after = sum(isinstance(m, nn.BatchNorm2d) for m in module.modules())
    assert edits == 2 * (before - after)
    assert after < before / 2


def test_folding_is_repeatable() -> None:
    """Which pairs fold must not depend on the memory allocator (storages are reused)."""
    module = randomize_batch_norm(timm.create_model("resnet10t").eval())
    counts = {len(fold_batch_norm(module, torch.randn(1, 3, 96, 96))) for _ in range(5)}
    assert len(counts) == 1


def test_output_read_twice_is_not_folded() -> None:
    module = NormReadTwice().eval()
    assert fold_batch_norm(module, torch.randn(1, 3, 16, 16)) == []


def test_shared_layers_are_not_folded() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3, padding=1)
            self.one, self.two = nn.BatchNorm2d(3), nn.BatchNorm2d(3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.two(self.conv(self.one(self.conv(x))))

    assert fold_batch_norm(Shared().eval(), torch.randn(1, 3, 16, 16)) == []


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "tf_mobilenetv3_small_minimal_100"])
def test_same_padding_becomes_plain(name: str) -> None:
    torch.manual_seed(0)
    module = timm.create_model(name).eval()
    edits, module = check(module, plain_convolutions, torch.randn(1, 3, 96, 96))
    assert edits > 0
    assert all(
        type(m).forward is nn.Conv2d.forward for m in module.modules() if isinstance(m, nn.Conv2d)
    )


def test_standardised_weights_are_computed_once() -> None:
    module = timm.create_model("resnetv2_50d_gn").eval()
    from timm.layers import StdConv2d

    module.stages[0].blocks[0].conv1 = StdConv2d(64, 64, 1)
    edits, _ = check(module.eval(), plain_convolutions, torch.randn(1, 3, 64, 64))
    assert edits == 1


def test_source_module_is_not_changed_and_bad_passes_are_undone(monkeypatch) -> None:
    import exporter.rewrites.prepare as step

    module = ConvNormNet().eval()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    inputs = [torch.randn(1, 3, 16, 16)]
    expected = [run(module, (x,)) for x in inputs]

    def wrong(module: nn.Module, example: torch.Tensor) -> list:
        return [step.Edit("head", nn.Linear(8, 10))]

    monkeypatch.setattr(step, "PREPARE_PASSES", {**step.PREPARE_PASSES, "wrong": wrong})
    monkeypatch.setattr(step, "_effect", lambda name, edits: f"{len(edits)} edits")
    prepared = prepare(module, inputs, expected, Tolerance(atol=1e-5))
    assert all(torch.equal(before[k], v) for k, v in module.state_dict().items())
    effects = {p.name: p.effect for p in prepared.passes}
    assert effects["wrong"].startswith("left out: outputs differ")
    assert compare(
        expected[0][0].numpy(), run(prepared.module, inputs)[0].numpy(), Tolerance(atol=1e-5)
    )


def test_disabled() -> None:
    module = ConvNormNet().eval()
    x = torch.randn(1, 3, 16, 16)
    off = ["fold-batch-norm", "channels-last"]
    prepared = prepare(
        module,
        [x],
        [run(module, (x,))],
        Tolerance(atol=1e-5),
        left_out=dict.fromkeys(off, "disabled"),
    )
    assert prepared.module is module
    assert [p.effect for p in prepared.passes if p.name == "fold-batch-norm"] == ["disabled"]


@pytest.mark.parametrize("name", ["resnet10t", "tf_efficientnet_lite0", "vit_tiny_patch16_224"])
def test_first_convolution_reads_channels_last_once(name: str) -> None:
    torch.manual_seed(0)
    options = {"img_size": 64} if "vit" in name else {}
    module = timm.create_model(name, **options).eval()
    example = torch.randn(1, 3, 64, 64)
    apply(module, plain_convolutions(module, example))
    edits, module = check(module, channels_last, example)
    assert edits == 1
    assert channels_last(module, example) == []
    given = []
    first = next(m for m in module.modules() if isinstance(m, nn.Conv2d))
    first.register_forward_pre_hook(lambda _, args: given.append(args[0]))
    module(example)
    assert given[0].is_contiguous(memory_format=torch.channels_last)


class RmsNet(nn.Module):
    """RMSNorm with and without weights, over one and two dimensions, torch's and timm's."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.RMSNorm(16)
        self.second = nn.RMSNorm((8, 16), eps=1e-3, elementwise_affine=False)
        self.third = timm.layers.RmsNorm(16)
        nn.init.normal_(self.first.weight)
        nn.init.normal_(self.third.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.third(self.second(self.first(x)))


def test_rms_norms_are_written_out() -> None:
    torch.manual_seed(0)
    example = torch.randn(1, 3, 8, 16)
    edits, module = check(RmsNet().eval(), plain_rms_norms, example)
    assert edits == 3
    assert plain_rms_norms(module, example) == []
    assert "rms_norm" not in str(torch.jit.script(module).inlined_graph)
