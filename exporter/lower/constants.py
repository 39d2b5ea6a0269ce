"""Constants in the order of their first use, so that the same network makes the same bytes.

torch's passes walk containers whose order depends on addresses in memory, and leave the constants
of a frozen graph in one order or another. The file's table of constants follows it.
"""

from __future__ import annotations

from typing import Any

_CONSTANT = "prim::Constant"


def order_constants(graph: Any) -> None:
    """Move the constants of `graph` (a `torch.Graph`) to its front, by first use, in place.

    Those inside blocks stay there. What the graph computes stays the same: constants have no
    inputs and no effects.
    """
    nodes = [*graph.nodes()]
    constants = {n.output().unique(): n for n in nodes if n.kind() == _CONSTANT}
    others = [node for node in nodes if node.kind() != _CONSTANT]
    if not others:
        return
    used: dict[int, None] = {}
    for node in others:
        _note_uses(node, used)
    for value in graph.outputs():
        used.setdefault(value.unique(), None)
    ranks = {unique: rank for rank, unique in enumerate(used)}
    for _, node in sorted(constants.items(), key=lambda each: ranks.get(each[0], len(ranks))):
        node.moveBefore(others[0])


def _note_uses(node: Any, used: dict[int, None]) -> None:
    """Add the values that `node` and its blocks read, in order."""
    for value in node.inputs():
        used.setdefault(value.unique(), None)
    for block in node.blocks():
        for inner in block.nodes():
            _note_uses(inner, used)
        for value in block.outputs():
            used.setdefault(value.unique(), None)
