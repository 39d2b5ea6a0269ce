"""Look at traced networks: shapes, operators, the layers behind nodes. Shared by every rewrite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeGuard, cast

import torch
from torch import Tensor, fx, nn


@dataclass(frozen=True)
class Values:
    """What one run of a traced network gave: shapes, and values that are no new tensors."""

    shapes: dict[fx.Node, tuple[int, ...]]
    nothing: frozenset[fx.Node]  # nodes that gave None
    same: dict[fx.Node, fx.Node]  # nodes that gave back the very object they were given


class _Observer(fx.Interpreter):
    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.shapes: dict[fx.Node, tuple[int, ...]] = {}
        self.nothing: set[fx.Node] = set()
        self.same: dict[fx.Node, fx.Node] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if isinstance(result, Tensor):
            self.shapes[n] = tuple(result.shape)
            for given in n.all_input_nodes:
                if n.op == "call_function" and self.env.get(given) is result:
                    self.same[n] = given
        elif result is None and n.op in ("call_function", "placeholder"):
            self.nothing.add(n)
        return result


def observe(module: fx.GraphModule, example: Tensor) -> Values:
    """Run the graph once; the example's batch is doubled, so that it is told from sizes of one."""
    observer = _Observer(module)
    with torch.no_grad():
        observer.run(torch.cat([example, example]))
    return Values(observer.shapes, frozenset(observer.nothing), observer.same)


def module_of(graph: fx.GraphModule, node: Any) -> nn.Module | None:
    """Return the layer that a node calls; None for any other node."""
    if isinstance(node, fx.Node) and node.op == "call_module":
        return graph.get_submodule(str(node.target))
    return None


def tidy(graph: fx.GraphModule) -> None:
    """Drop what nothing reads any more, check the graph and compile it."""
    graph.graph.eliminate_dead_code()
    graph.delete_all_unused_submodules()
    graph.graph.lint()
    graph.recompile()


def calls_method(node: Any, method: str) -> bool:
    """Whether a node calls the tensor method `method`."""
    return isinstance(node, fx.Node) and node.op == "call_method" and node.target == method


def calls_function(node: Any, functions: tuple[Any, ...]) -> bool:
    """Whether a node calls one of `functions`."""
    return isinstance(node, fx.Node) and node.op == "call_function" and (node.target in functions)


def is_plain_linear(module: nn.Module | None) -> TypeGuard[nn.Linear]:
    """Whether a layer is a Linear with no forward of its own."""
    return isinstance(module, nn.Linear) and type(module).forward is nn.Linear.forward


def give_own_module(graph: fx.GraphModule, node: fx.Node, suffix: str, new: nn.Module) -> None:
    """Give `node` a module of its own; others that call the old one keep it."""
    calls = [n for n in graph.graph.nodes if n.op == "call_module" and n.target == node.target]
    name = str(node.target)
    if len(calls) > 1:
        name = f"{name}_{suffix}".replace(".", "_")
    parent, _, leaf = name.rpartition(".")
    setattr(graph.get_submodule(parent), leaf, new.eval())
    node.target = name


def is_plain_convolution(module: nn.Module | None) -> TypeGuard[nn.Conv2d]:
    """Whether a layer is a Conv2d that pads with zeros and has no forward of its own."""
    return (
        isinstance(module, nn.Conv2d)
        and type(module).forward is nn.Conv2d.forward
        and module.padding_mode == "zeros"
    )


def part_of(layer: nn.Linear | nn.Conv2d, outputs: slice, inputs: slice, bias: bool) -> nn.Module:
    """Return the layer from some inputs to some outputs, over a view of the same weights.

    `bias` says whether the bias of these outputs goes along. A convolution has to have one group.
    """
    weight = layer.weight.detach()[outputs, inputs]
    kept = layer.bias.detach()[outputs] if bias and layer.bias is not None else None
    new: nn.Linear | nn.Conv2d
    if isinstance(layer, nn.Linear):
        new = nn.Linear(weight.shape[1], weight.shape[0], bias=kept is not None, device="meta")
    else:
        new = nn.Conv2d(
            weight.shape[1],
            weight.shape[0],
            cast(tuple[int, int], layer.kernel_size),
            stride=cast(tuple[int, int], layer.stride),
            padding=cast(tuple[int, int], layer.padding),
            dilation=cast(tuple[int, int], layer.dilation),
            bias=kept is not None,
            device="meta",
        )
    new.weight = nn.Parameter(weight, requires_grad=False)
    if kept is not None:
        new.bias = nn.Parameter(kept, requires_grad=False)
    return new.eval()
