"""Watching one forward pass: hooks that always go, operators as they run, who reads what."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from exporter.rewrites.watch import Recorder, calls_of, hooks, watch


class InPlace(nn.Module):
    """A ReLU that overwrites its input, which is read again afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 1)
        self.relu = nn.ReLU(inplace=True)
        self.second = nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        z = self.relu(y)
        return self.second(z) + y


class Raises(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise ValueError("the author's own")


def test_hooks_are_told_names_arguments_and_outputs() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    told: list[tuple[Any, ...]] = []
    children = dict(net.named_children())
    x = torch.randn(1, 2)
    with hooks(
        children,
        before=lambda name, args: told.append(("before", name, len(args))),
        after=lambda name, args, output: told.append(("after", name, tuple(output.shape))),
    ):
        net(x)
    once = [
        ("before", "0", 1),
        ("after", "0", (1, 3)),
        ("before", "1", 1),
        ("after", "1", (1, 3)),
    ]
    assert told == once
    net(x)
    assert told == once


def test_hooks_are_removed_when_the_forward_raises() -> None:
    net = nn.Sequential(nn.Linear(2, 2), Raises())
    calls: list[str] = []
    with (
        pytest.raises(ValueError, match="own"),
        hooks(dict(net.named_modules()), before=lambda name, _: calls.append(name)),
    ):
        net(torch.randn(1, 2))
    assert calls == ["", "0", "1"]
    assert not any(m._forward_pre_hooks or m._forward_hooks for m in net.modules())


def test_watching_leaves_no_hooks_behind_either() -> None:
    net = nn.Sequential(nn.Linear(2, 2), Raises())
    with pytest.raises(ValueError, match="own"):
        watch(net, torch.randn(1, 2))
    assert not any(m._forward_pre_hooks or m._forward_hooks for m in net.modules())


def test_operators_are_recorded_with_what_they_took_and_gave() -> None:
    x = torch.randn(2)
    calls: list[tuple[Any, ...]] = []
    with Recorder(lambda *call: calls.append(call)):
        y = x + 1
    ((operator, args, kwargs, result),) = calls
    assert operator is torch.ops.aten.add.Tensor
    assert args[0] is x
    assert kwargs == {}
    assert result is y


def test_every_call_of_a_layer_is_kept() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    net.append(net[0])
    x = torch.randn(1, 2)
    (first, second) = calls_of(net, {"0": net[0]}, x)["0"]
    assert first[0] is x
    assert second[0].shape == second[1].shape == (1, 2)


def test_in_place_readers_are_seen() -> None:
    flow = watch(InPlace().eval(), torch.randn(1, 3, 8, 8))
    # `y` is not what `first` gave any more when `+` reads it.
    assert flow.feeds_only("first", "relu")
    assert flow.only_readers("relu") == {"", "second"}
    assert not flow.feeds_only("relu", "second")


def test_a_layer_after_an_in_place_activation_reads_the_activation() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 3)).eval()
    flow = watch(net, torch.randn(1, 3, 8, 8))
    assert flow.feeds_only("0", "1")
    assert flow.feeds_only("1", "2")
    assert flow.only_readers("2") == {"<output>"}


def test_what_leaves_the_network_is_read_by_its_caller() -> None:
    flow = watch(nn.Sequential(nn.Linear(2, 2), nn.ReLU()).eval(), torch.randn(1, 2))
    assert flow.feeds_only("0", "1")
    assert flow.only_readers("1") == {"<output>"}


def test_a_layer_called_twice_has_no_single_input() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.linear(self.linear(x)[0])

    flow = watch(Twice().eval(), torch.randn(1, 2))
    assert flow.calls == {"linear": 2}
    assert flow.inputs == flow.outputs == {}
    assert flow.input_dims == {"linear": -1}


def test_a_new_tensor_at_the_address_of_a_dead_one_is_another_value() -> None:
    class Chain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.ReLU() for _ in range(50))

        def forward(self, x: Tensor) -> Tensor:
            for layer in self.layers:
                x = layer(x)
            return x

    flow = watch(Chain().eval(), torch.randn(4))
    assert len(set(flow.outputs.values())) == 50
    assert all(flow.feeds_only(f"layers.{i}", f"layers.{i + 1}") for i in range(49))
