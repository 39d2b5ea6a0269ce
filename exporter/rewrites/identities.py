"""Remove no-ops: they hide the patterns that other passes look for."""

from __future__ import annotations

from torch import fx

from .fx import module_of, observe, replace_argument, replace_node, tidy
from .layers import NO_OPS
from .watch import Example


def drop_identities(graph: fx.GraphModule, example: Example) -> int:
    """Remove dropout, Identity, and calls that return their input or None; return how many.

    timm's attention calls two such functions per block: without a mask they return None and the
    scores themselves.
    """
    values = observe(graph, example)
    removed = 0
    replacement: dict[fx.Node, fx.Node] = {}
    for node in list(graph.graph.nodes):
        if isinstance(module_of(graph, node), NO_OPS) and len(node.all_input_nodes) == 1:
            replacement[node] = node.all_input_nodes[0]
        elif node in values.same and not _torch_function(node):
            # The input that it returns may have been removed itself.
            replacement[node] = replacement.get(values.same[node], values.same[node])
        elif node in values.nothing and not _torch_function(node) and node.users:
            # A default argument, or a function of one: FX has already branched on it.
            for user in list(node.users):
                replace_argument(user, node, None)
            if node.op == "placeholder":
                continue
            graph.graph.erase_node(node)
            removed += 1
        if node in replacement:
            replace_node(graph, node, replacement[node])
            removed += 1
    tidy(graph)
    return removed


def _torch_function(node: fx.Node) -> bool:
    """Whether a node is one of torch's own functions, which may return their input at times."""
    module = getattr(node.target, "__module__", None) or ""
    return node.op == "call_function" and module.split(".")[0] in ("torch", "_operator", "builtins")
