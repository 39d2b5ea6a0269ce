"""Draw small models, for properties of an export pipeline itself.

A bug of the optimizer depends on the model, not on its input: Conv(bias=False)+BatchNorm comes out
wrong of `torch.jit.trace` + `optimize_for_mobile` for every input (pytorch#76807). So the models
are drawn too, as small recipes that shrink towards the shortest stack that still fails.

    @given(model_recipes(), st.integers(0, 99))
    def test_my_export(recipe, seed):
        model, x = recipe.build(), recipe.input(seed)
        assert_parity([model(x).numpy()], [my_export(model, x)(x).numpy()], Tolerance(atol=1e-4))
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from torch import nn

# Simplest first: hypothesis shrinks towards the front.
BLOCKS = ("conv", "depthwise", "residual", "vit", "branch", "heads")
ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "hardswish": nn.Hardswish,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
}


class ConvUnit(nn.Module):
    """Convolution, optional BatchNorm, activation."""

    def __init__(
        self, inputs: int, outputs: int, *, norm: bool, bias: bool, groups: int, activation: str
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias, groups=groups)
        self.norm = nn.BatchNorm2d(outputs) if norm else nn.Identity()
        self.activation = ACTIVATIONS[activation]()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map N x C x H x W to N x D x H x W."""
        y: torch.Tensor = self.activation(self.norm(self.conv(x)))
        return y


class Residual(nn.Module):
    """Add a unit's output to its input."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Keep the shape."""
        y: torch.Tensor = x + self.inner(x)
        return y


class Flip(nn.Module):
    """Choose by the data, which tracing freezes silently: the sign of the input's sum."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Keep the shape."""
        if x.sum() > 0:  # noqa: SIM108  the branch as people write it
            y = x
        else:
            y = -x
        return y


class Attention(nn.Module):
    """One pre-norm transformer block over the positions of a feature map."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map N x T x C to N x T x C."""
        q, k, v = self.qkv(self.norm(x)).chunk(3, dim=-1)
        weights = torch.softmax(q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5, dim=-1)
        x = x + self.project(weights @ v)
        y: torch.Tensor = x + self.mlp(x)
        return y


class Tokens(nn.Module):
    """Flatten a feature map into tokens, run transformer blocks, fold back."""

    def __init__(self, blocks: nn.Module) -> None:
        super().__init__()
        self.blocks = blocks

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Keep the shape N x C x H x W."""
        tokens = self.blocks(x.flatten(2).transpose(1, 2))
        y: torch.Tensor = tokens.transpose(1, 2).reshape(x.shape)
        return y


class Classifier(nn.Module):
    """Stem, body, pooled linear head."""

    def __init__(self, stem: nn.Module, body: nn.Module, width: int, classes: int) -> None:
        super().__init__()
        self.stem = stem
        self.body = body
        self.head = nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map N x 3 x H x W to N x classes logits."""
        y: torch.Tensor = self.head(self.body(self.stem(x)).mean((2, 3)))
        return y


class TwoHeads(nn.Module):
    """Logits and the feature map they came from."""

    def __init__(self, stem: nn.Module, body: nn.Module, width: int, classes: int) -> None:
        super().__init__()
        self.stem = stem
        self.body = body
        self.head = nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map N x 3 x H x W to N x classes and N x C x H x W."""
        features = self.body(self.stem(x))
        return self.head(features.mean((2, 3))), features


@dataclass(frozen=True)
class ModelRecipe:
    """One small model and the size of its input; `build` makes it, the same every time."""

    block: str
    depth: int
    width: int
    norm: bool
    bias: bool
    activation: str
    side: int
    seed: int

    def build(self) -> nn.Module:
        """Make the module: eval mode, random weights and random BatchNorm statistics."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            stem = self._unit(3, 1)
            if self.branches:
                stem = nn.Sequential(Flip(), stem)
            body = nn.Sequential(*(self._block() for _ in range(self.depth)))
            kind = TwoHeads if self.block == "heads" else Classifier
            module = kind(stem, body, self.width, 10)
            randomize_batch_norm(module)
        return module.eval()

    def input(self, seed: int, *, batch: int = 1) -> torch.Tensor:
        """Make one input, batch x 3 x side x side; odd seeds have a negative sum."""
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(batch, 3, self.side, self.side, generator=generator)
        return x - x.mean() + (-0.5 if seed % 2 else 0.5)

    @property
    def branches(self) -> bool:
        """Whether the path depends on the data, so that tracing cannot be right."""
        return self.block == "branch"

    def _unit(self, inputs: int, groups: int) -> nn.Module:
        return ConvUnit(
            inputs,
            self.width,
            norm=self.norm,
            bias=self.bias,
            groups=groups,
            activation=self.activation,
        )

    def _block(self) -> nn.Module:
        if self.block == "depthwise":
            return nn.Sequential(self._unit(self.width, self.width), self._unit(self.width, 1))
        if self.block == "residual":
            return Residual(self._unit(self.width, 1))
        if self.block == "vit":
            return Tokens(Attention(self.width))
        return self._unit(self.width, 1)


@torch.no_grad()
def randomize_batch_norm(module: nn.Module, *, seed: int | None = None) -> nn.Module:
    """Give every BatchNorm statistics and affine parameters that a trained net could have.

    An untrained net has mean 0, variance 1, weight 1, bias 0, with which a normalization that was
    lost or applied twice changes nothing. In place; returns `module`. Without a `seed`, torch's
    default generator draws them.
    """
    generator = None if seed is None else torch.Generator().manual_seed(seed)

    def uniform(like: torch.Tensor, low: float, high: float) -> torch.Tensor:
        return torch.rand(like.shape, generator=generator) * (high - low) + low

    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            if layer.running_mean is not None and layer.running_var is not None:
                layer.running_mean.copy_(uniform(layer.running_mean, -0.2, 0.2))
                layer.running_var.copy_(uniform(layer.running_var, 0.6, 1.4))
            if layer.affine:
                layer.weight.copy_(uniform(layer.weight, 0.7, 1.3))
                layer.bias.copy_(uniform(layer.bias, -0.2, 0.2))
    return module


def model_recipes(*, blocks: tuple[str, ...] = BLOCKS) -> st.SearchStrategy[ModelRecipe]:
    """Draw small models of the given kinds; builds in milliseconds, runs in less."""
    return st.builds(
        ModelRecipe,
        block=st.sampled_from(blocks),
        depth=st.integers(1, 3),
        width=st.sampled_from((4, 8, 16)),
        norm=st.booleans(),
        bias=st.booleans(),
        activation=st.sampled_from(tuple(ACTIVATIONS)),
        side=st.sampled_from((8, 16, 32)),
        seed=st.integers(0, 2**16 - 1),
    )


def small_classifier() -> nn.Module:
    """Make the example model of this package's own tests: depthwise, BatchNorm, ten classes.

    The head is scaled up: an untrained one gives nearly the same probabilities for any input, and
    so would hide what goes wrong before it.
    """
    module = ModelRecipe("depthwise", 2, 16, True, False, "relu", 32, 7).build()
    with torch.no_grad():
        module.get_parameter("head.weight").mul_(20)
    return module
