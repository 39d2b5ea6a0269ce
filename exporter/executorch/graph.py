"""Edit the graph of an exported program: calls of operators, with what they give.

Calls of operators are added, and constants: the program's inputs and outputs stay those it had.
Every new node knows its shape.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, InputSpec, TensorArgument

aten = torch.ops.aten


class Editor:
    """Put new calls of operators in front of one node of a graph."""

    def __init__(self, graph: fx.Graph, before: fx.Node) -> None:
        self.graph = graph
        self.before = before

    def __call__(self, operator: Any, *args: Any) -> fx.Node:
        """Call `operator` on nodes and constants; its result's shape and type are computed."""
        with self.graph.inserting_before(self.before):
            node = self.graph.call_function(operator, args)
        node.meta["val"] = operator(*fx.map_arg(args, value_of))
        for key in ("stack_trace", "nn_module_stack", "source_fn_stack"):
            if key in self.before.meta:
                node.meta[key] = self.before.meta[key]
        return node


def value_of(node: fx.Node) -> Any:
    """Return the fake tensor that stands for a node's result."""
    return node.meta["val"]


def static_shape(node: Any) -> tuple[int, ...] | None:
    """Return the shape of a node's tensor; None where a size is not known before it runs."""
    value = node.meta.get("val") if isinstance(node, fx.Node) else None
    if not isinstance(value, Tensor) or not all(isinstance(size, int) for size in value.shape):
        return None
    return tuple(value.shape)


def constant(exported: ExportedProgram, name: str, tensor: Tensor) -> fx.Node:
    """Return the node of a constant called `name`, which `tensor` is on the first call."""
    nodes: list[fx.Node] = [node for node in exported.graph.nodes if node.op == "placeholder"]
    for node in nodes:
        if node.target == name:
            return node
    specs = exported.graph_signature.input_specs
    # Lifted tensors stand before the inputs that the caller gives.
    index = next(i for i, spec in enumerate(specs) if spec.kind is InputKind.USER_INPUT)
    with exported.graph.inserting_before(nodes[index]):
        made: fx.Node = exported.graph.placeholder(name)
    made.meta["val"] = value_of(nodes[index]).fake_mode.from_tensor(tensor)
    specs.insert(index, InputSpec(InputKind.BUFFER, TensorArgument(name), name, persistent=True))
    exported.state_dict[name] = tensor
    return made


def replace(node: fx.Node, by: fx.Node) -> None:
    """Let the readers of `node` read `by`, and remove `node`."""
    node.replace_all_uses_with(by)
    node.graph.erase_node(node)


def calls(exported: ExportedProgram, *operators: Any) -> list[fx.Node]:
    """List the nodes that call one of `operators`."""
    return [
        node
        for node in exported.graph.nodes
        if node.op == "call_function" and node.target in operators
    ]


def tidy(exported: ExportedProgram) -> None:
    """Remove calls that nothing reads, check the graph and compile it."""
    exported.graph.eliminate_dead_code()
    exported.graph.lint()
    exported.graph_module.recompile()
