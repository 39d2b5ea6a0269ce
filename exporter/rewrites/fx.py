"""Look at traced networks: shapes, operators, the layers behind nodes. Shared by every pass."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as functional
from torch import Tensor, fx, nn

from .watch import Example, arguments

ADDS = (operator.add, operator.iadd, torch.add)
MULS = (operator.mul, operator.imul, torch.mul)
ELEMENTWISE = (*ADDS, *MULS, operator.sub, operator.truediv, torch.sub, torch.div)
MATMULS = (torch.matmul, operator.matmul)
CLAMP_CALLS = (functional.relu, functional.relu6, functional.hardtanh, torch.relu)
# Elementwise functions; `layers.ACTIVATIONS` are the same as modules.
ACTIVATION_CALLS = (
    *CLAMP_CALLS,
    functional.gelu,
    functional.silu,
    functional.hardswish,
    functional.hardsigmoid,
    functional.mish,
    torch.sigmoid,
    torch.tanh,
)


@dataclass(frozen=True)
class Values:
    """What one run of a traced network returned: shapes, and results that are not new tensors."""

    shapes: dict[fx.Node, tuple[int, ...]]
    nothing: frozenset[fx.Node]  # nodes that returned None
    same: dict[fx.Node, fx.Node]  # nodes that returned one of their inputs


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
            for source in n.all_input_nodes:
                if n.op == "call_function" and self.env.get(source) is result:
                    self.same[n] = source
        elif result is None and n.op in ("call_function", "placeholder"):
            self.nothing.add(n)
        return result


def observe(module: fx.GraphModule, example: Example) -> Values:
    """Run the graph once; the example's batch is doubled, which tells it from sizes of one.

    Where the graph takes no such batch, or an input has none, the example is run as it is: then
    outputs alone, which are compared after every pass, tell a wrong guess.
    """
    given, observer = arguments(example), _Observer(module)
    with torch.no_grad():
        try:
            observer.run(*(torch.cat([t, t]) for t in given))
        except Exception:  # noqa: BLE001  a network of a fixed batch size is a valid network
            observer = _Observer(module)
            observer.run(*given)
    return Values(observer.shapes, frozenset(observer.nothing), observer.same)


# --- what a node is ------------------------------------------------------------------------------


def module_of(graph: fx.GraphModule, node: Any) -> nn.Module | None:
    """Return the layer that a node calls; None for any other node."""
    if isinstance(node, fx.Node) and node.op == "call_module":
        return graph.get_submodule(str(node.target))
    return None


def tensor_of(graph: fx.GraphModule, node: Any) -> Tensor | None:
    """Return the parameter or buffer that a node reads; None for any other node."""
    if isinstance(node, fx.Node) and node.op == "get_attr":
        value = operator.attrgetter(str(node.target))(graph)
        return value if isinstance(value, Tensor) else None
    return None


def calls_method(node: Any, *methods: str) -> bool:
    """Whether a node calls one of the tensor methods `methods`."""
    return isinstance(node, fx.Node) and node.op == "call_method" and node.target in methods


def calls_function(node: Any, functions: tuple[Any, ...]) -> bool:
    """Whether a node calls one of `functions`."""
    return isinstance(node, fx.Node) and node.op == "call_function" and (node.target in functions)


def reshapes(node: Any) -> bool:
    """Whether a node returns its input in another shape."""
    return calls_method(node, "reshape", "view")


def takes_softmax(node: Any) -> bool:
    """Whether a node takes a softmax."""
    return calls_method(node, "softmax") or calls_function(
        node, (torch.softmax, functional.softmax)
    )


def argument(node: fx.Node, index: int, name: str, default: Any = None) -> Any:
    """Return an argument of a call, whether it was passed by position or by name."""
    return node.kwargs.get(name, node.args[index] if len(node.args) > index else default)


def only_user(node: Any) -> fx.Node | None:
    """Return the only node that reads `node`; None if none or several do."""
    if isinstance(node, fx.Node) and len(node.users) == 1:
        return next(iter(node.users))
    return None


# --- changing a graph ----------------------------------------------------------------------------


def replace_node(graph: fx.GraphModule, node: fx.Node, by: fx.Node) -> None:
    """Let the readers of `node` read `by`, and remove `node` from the graph."""
    node.replace_all_uses_with(by)
    graph.graph.erase_node(node)


def add_module(graph: fx.GraphModule, name: str, module: nn.Module) -> None:
    """Register `module` under a dotted name whose parent exists."""
    parent, _, leaf = name.rpartition(".")
    setattr(graph.get_submodule(parent), leaf, module)


def give_own_module(graph: fx.GraphModule, node: fx.Node, suffix: str, new: nn.Module) -> None:
    """Let `node` call a module of its own; other callers keep the old one."""
    calls = [n for n in graph.graph.nodes if n.op == "call_module" and n.target == node.target]
    name = str(node.target)
    if len(calls) > 1:
        name = f"{name}_{suffix}".replace(".", "_")
    add_module(graph, name, new.eval())
    node.target = name


def replace_argument(node: fx.Node, old: fx.Node, new: Any) -> None:
    """Replace `old` by `new` (a node or a constant) among the arguments of `node`."""

    def mapped(value: fx.Node) -> Any:
        return new if value is old else value

    node.args = cast(Any, fx.map_arg(node.args, mapped))
    node.kwargs = cast(Any, fx.map_arg(node.kwargs, mapped))


def tidy(graph: fx.GraphModule) -> None:
    """Remove dead code, check the graph and compile it."""
    graph.graph.eliminate_dead_code()
    graph.delete_all_unused_submodules()
    graph.graph.lint()
    graph.recompile()
