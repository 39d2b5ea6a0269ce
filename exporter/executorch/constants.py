"""Compute what an exported program computes of its parameters alone, and keep the results.

torch's scripts do this when they are frozen, ExecuTorch does not: position embeddings would be
resampled for every photo, by operators that phones do not have (`_upsample_bicubic2d_aa`), biases
of windows gathered, and standardized weights would be no weights to XNNPACK.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from .graph import constant, tidy

# A result that is larger than all it is made of is stored up to this many bytes.
_SMALL = 2**20
# int8 layers are known by these.
_QUANTIZED = "quantized_decomposed"


def fold_constants(exported: ExportedProgram) -> int:
    """Replace what does not depend on the inputs by its value, in place; return how many values.

    Left in: calls that change a tensor in place and what they change, random numbers, pairs of
    quantize and dequantize, and tensors above a MiB that only repeat what they are made of.
    """
    values = _stored(exported)
    changing = _changed_in_place(exported.graph)
    for node in exported.graph.nodes:
        if node.op != "call_function" or node in changing or not _is_foldable(node.target):
            continue
        if not all(read in values for read in node.all_input_nodes):
            continue
        with torch.no_grad():
            args, kwargs = fx.map_arg((node.args, node.kwargs), values.__getitem__)
            value = node.target(*args, **kwargs)
        if _is_worth_its_room(value, args):
            values[node] = value
    return _replace(exported, values)


def _stored(exported: ExportedProgram) -> dict[fx.Node, Any]:
    """Return the parameters, buffers and constants of a program, by their nodes."""
    kept: Mapping[str, Any] = {**exported.constants, **exported.state_dict}
    signature = exported.graph_signature
    names = {
        spec.arg.name: spec.target
        for spec in signature.input_specs
        if spec.kind in (InputKind.PARAMETER, InputKind.BUFFER, InputKind.CONSTANT_TENSOR)
        and spec.target not in signature.buffers_to_mutate.values()
    }
    return {
        node: kept[str(names[node.name])].detach()
        for node in exported.graph.nodes
        if node.op == "placeholder" and node.name in names
    }


def _changed_in_place(graph: fx.Graph) -> set[fx.Node]:
    """Return the calls that change a tensor in place, and all that shares memory with it."""
    found: set[fx.Node] = set()
    for node in reversed(graph.nodes):
        schema = getattr(node.target, "_schema", None)
        if schema is not None and schema.is_mutable:
            found.add(node)
        if node in found and (node.target is operator.getitem or _shares_memory(schema)):
            found.update(node.all_input_nodes)
    return found


def _shares_memory(schema: Any) -> bool:
    return schema is not None and any(given.alias_info is not None for given in schema.returns)


def _is_foldable(target: Any) -> bool:
    if target is operator.getitem:
        return True
    return (
        isinstance(target, torch._ops.OpOverload)
        and target.namespace != _QUANTIZED
        and torch.Tag.nondeterministic_seeded not in target.tags
    )


def _bytes(value: object) -> int:
    parts = value if isinstance(value, list | tuple) else [value]
    return sum(part.nbytes for part in parts if isinstance(part, Tensor))


def _is_worth_its_room(value: object, args: Any) -> bool:
    made_of: list[int] = []
    fx.node.map_aggregate(args, lambda each: made_of.append(_bytes(each)))
    return _bytes(value) <= max(_SMALL, sum(made_of))


def _replace(exported: ExportedProgram, values: Mapping[fx.Node, Any]) -> int:
    """Let what depends on the inputs read stored values."""
    folded = 0
    for node, value in values.items():
        is_read = any(user not in values for user in node.users)
        if node.op != "call_function" or not isinstance(value, Tensor) or not is_read:
            continue
        # Expanded and transposed results get memory of their own.
        stored = constant(exported, f"folded_{node.name}", value.contiguous().clone())
        node.replace_all_uses_with(stored, delete_user_cb=lambda user: user not in values)
        folded += 1
    tidy(exported)
    return folded
