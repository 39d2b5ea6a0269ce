"""Drop calls that do nothing: they hide the patterns that other passes look for."""

from __future__ import annotations

from torch import Tensor, fx

from .fx import module_of, observe, replace_argument, replace_node, tidy
from .layers import DOES_NOTHING


def drop_identities(graph: fx.GraphModule, example: Tensor) -> int:
    """Remove dropout, Identity, and calls that return what they were given or None.

    timm's attention asks twice a block whether there is a mask; without one the answers are None
    and the scores themselves.
    """
    values = observe(graph, example)
    dropped = 0
    instead: dict[fx.Node, fx.Node] = {}
    for node in list(graph.graph.nodes):
        if isinstance(module_of(graph, node), DOES_NOTHING) and len(node.all_input_nodes) == 1:
            instead[node] = node.all_input_nodes[0]
        elif node in values.same and not _torch_function(node):
            # What it gave back may have been dropped itself.
            instead[node] = instead.get(values.same[node], values.same[node])
        elif node in values.nothing and not _torch_function(node) and node.users:
            # An argument's default, or a function of such: FX has already decided by it.
            for user in list(node.users):
                replace_argument(user, node, None)
            if node.op == "placeholder":
                continue
            graph.graph.erase_node(node)
            dropped += 1
        if node in instead:
            replace_node(graph, node, instead[node])
            dropped += 1
    tidy(graph)
    return dropped


def _torch_function(node: fx.Node) -> bool:
    """Whether a node is one of torch's own functions, which may return their input at times."""
    module = getattr(node.target, "__module__", None) or ""
    return node.op == "call_function" and module.split(".")[0] in ("torch", "_operator", "builtins")
