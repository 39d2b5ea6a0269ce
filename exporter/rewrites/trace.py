"""Trace a module symbolically, with leaves where tracing fails.

The graph exposes functional activations (`F.relu(conv(x))`) and reshapes between layers. Int8 is
then placed by the same code as in eager mode, so both modes compute the same numbers wherever
both work.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor, fx, nn
from torch.utils._pytree import tree_leaves

from ..errors import Untraceable
from .layers import is_plain_conv, is_plain_linear
from .watch import Example, arguments

_MOST_LEAVES = 64


class _Tracer(fx.Tracer):
    def __init__(self, leaves: frozenset[str]) -> None:
        super().__init__()
        self.leaves = leaves
        self.path: list[str] = []
        self.failed_in: str | None = None

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return (
            name in self.leaves
            or is_plain_conv(module)
            or is_plain_linear(module)
            or isinstance(module, nn.LayerNorm | nn.BatchNorm2d)
            or super().is_leaf_module(module, name)
        )

    def call_module(
        self,
        m: nn.Module,
        forward: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        name = self.path_of_module(m)
        self.path.append(name)
        try:
            out = super().call_module(m, forward, args, kwargs)
        except Exception:
            # The innermost module fails first; keep that one.
            self.failed_in = self.failed_in if self.failed_in is not None else name
            raise
        self.path.pop()
        return out


def _activation_module(node: fx.Node) -> nn.Module | None:
    """Return the module form of a functional ReLU or ReLU6 node."""
    if node.op == "call_function":
        if node.target in (functional.relu, torch.relu, torch.relu_):
            return nn.ReLU()
        if node.target is functional.relu6:
            return nn.ReLU6()
    if node.op == "call_method" and node.target in ("relu", "relu_"):
        return nn.ReLU()
    return None


def trace(module: nn.Module, example: Example) -> tuple[fx.GraphModule, tuple[str, ...]]:
    """Trace `module` into a GraphModule; return it with the names of its untraced leaves.

    A submodule whose code cannot be traced becomes a leaf: it runs as it is, and its layers are
    still quantized one by one. Raises Untraceable when the top level itself cannot be traced, or
    when the traced graph computes something else.
    """
    leaves: frozenset[str] = frozenset()
    graph: fx.Graph | None = None
    if isinstance(module, fx.GraphModule):
        graph = copy.deepcopy(module.graph)  # already a graph; tracing again adds nothing
    while graph is None:
        tracer = _Tracer(leaves)
        try:
            graph = tracer.trace(module)
        except Exception as error:  # a model's own code under proxies can raise anything
            reason = str(error).strip().split("\n", 1)[0] or type(error).__name__
            if tracer.failed_in is None or len(leaves) >= _MOST_LEAVES:
                raise Untraceable(
                    f"Symbolic tracing (FX) fails on {type(module).__name__}: {reason}"
                ) from error
            leaves |= {tracer.failed_in}
            continue
    traced = fx.GraphModule(module, graph)
    for index, node in enumerate(list(graph.nodes)):
        activation = _activation_module(node)
        if activation is not None:
            name = f"_activation_{index}"
            traced.add_submodule(name, activation)
            with graph.inserting_after(node):
                new = graph.call_module(name, (node.args[0],))
            node.replace_all_uses_with(new)
            graph.erase_node(node)
    traced.recompile()
    traced.eval()
    # A second batch size, because a trace may have recorded the first one as a constant.
    given = arguments(example)
    doubled = _doubled(module, given)
    for inputs in (given,) if doubled is None else (given, doubled):
        if not _same(module, traced, inputs):
            raise Untraceable(
                f"The FX graph of {type(module).__name__} computes something else than the model "
                f"for inputs of {', '.join(str(tuple(t.shape)) for t in inputs)}."
            )
    return traced, tuple(sorted(leaves))


def _doubled(module: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
    """Return twice the batch, the second half flipped; None where the module takes no such thing.

    Networks of a fixed batch do not, nor do those with an input that has no batch. A constant in
    their trace is one in themselves.
    """
    if any(t.dim() == 0 for t in given):
        return None
    inputs = tuple(torch.cat([t, t.flip(-1)]) for t in given)
    try:
        with torch.no_grad():
            module(*inputs)
    except Exception:  # noqa: BLE001  a network of a fixed batch size is a valid network
        return None
    return inputs


def _same(module: nn.Module, traced: fx.GraphModule, inputs: tuple[Tensor, ...]) -> bool:
    with torch.no_grad():
        expected = [leaf for leaf in tree_leaves(module(*inputs)) if isinstance(leaf, Tensor)]
        try:
            # Not called as a module: it would print what it raises on stderr.
            actual = [
                leaf for leaf in tree_leaves(traced.forward(*inputs)) if isinstance(leaf, Tensor)
            ]
        except Exception:  # noqa: BLE001  a recorded shape can fail in any operator
            return False
    return len(expected) == len(actual) and all(
        one.shape == other.shape and _close(one, other)
        for one, other in zip(expected, actual, strict=True)
    )


def _close(one: Tensor, other: Tensor) -> bool:
    if torch.equal(one, other):
        return True
    if not one.is_floating_point() or not one.numel():
        return False
    return torch.allclose(one, other, rtol=1e-4, atol=1e-5 * float(one.abs().max()))
