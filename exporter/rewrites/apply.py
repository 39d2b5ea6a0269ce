"""Prepare: run the passes, compare outputs after each, and undo those that fail.

Matches come from watching the module run and from its traced graph, never from layer names, so
they hold for anybody's code.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, fx, nn

from runtime_check.comparison import Tolerance, compare
from runtime_check.metrics import VALUES, Metric

from ..outputs import run_once
from .layers import Edit, replace_submodule
from .passes import PASSES, ChangeGraph, FindEdits, Pass, PassEffect
from .trace import trace
from .watch import Example, arguments

Effects = dict[str, PassEffect]

_NOTHING = PassEffect("none", why="nothing matched")


@dataclass(frozen=True, kw_only=True)
class Rewritten:
    """The rewritten module (the original where nothing matched) and what became of each pass."""

    module: nn.Module
    effects: Mapping[str, PassEffect]


@dataclass(frozen=True)
class Evidence:
    """What a network must go on computing: `outputs[i]` for `inputs[i]`, within `tolerance`.

    Inputs are the arguments of the network's forward; outputs are flat lists of tensors.
    """

    inputs: Sequence[tuple[Tensor, ...]]
    outputs: Sequence[Sequence[Tensor]]
    tolerance: Tolerance
    metric: Metric = VALUES  # the task's where it decides what is compared with what

    @property
    def example(self) -> Example:
        """The first input: the tensor that is the only argument, else all of them."""
        first = self.inputs[0]
        return first[0] if len(first) == 1 else first

    def against(self, module: nn.Module) -> str:
        """Return how the outputs of `module` differ, or "" if they do not."""
        for network_input, expected in zip(self.inputs, self.outputs, strict=True):
            actual = run_once(module, network_input)
            wanted, got = [t.numpy() for t in expected], [t.numpy() for t in actual]
            result = compare(wanted, got, self.tolerance, self.metric)
            if not result:
                return f"outputs differ, {result}"
        return ""


def rewrite(
    module: nn.Module,
    evidence: Evidence,
    *,
    left_out: Mapping[str, PassEffect] | None = None,
    passes: Sequence[Pass] = PASSES,
) -> Rewritten:
    """Run the passes on modules and on the traced graph, except those in `left_out`.

    A pass that raises, or after which the outputs are outside the evidence's tolerance, is undone
    and reported as such. `module` is never changed: its modules are copied before the first edit,
    its weights are shared.
    """
    effects: Effects = {}
    if isinstance(module, torch.jit.ScriptModule):  # there is no Python to rewrite
        return Rewritten(module=module, effects=effects)
    for level in (_on_modules, _on_graph):
        module, more = level(module, passes, left_out or {}, evidence)
        effects |= more
    return Rewritten(module=module.eval(), effects=effects)


def edited(module: nn.Module, edits: Sequence[Edit]) -> nn.Module:
    """Return a copy of the modules with some replaced; tensors are shared, none is written to."""
    tensors = (*module.parameters(), *module.buffers())
    copied = copy.deepcopy(module, {id(tensor): tensor for tensor in tensors})
    for edit in edits:
        replace_submodule(copied, edit.name, edit.module)
    return copied


def edit_modules(module: nn.Module, example: Example) -> nn.Module:
    """Run the passes on modules without comparing outputs; the result shares all tensors.

    For int8, which is compared as a whole later: passes that only change layouts are skipped.
    Running them on an already rewritten module changes nothing.
    """
    for one in PASSES:
        if one.on == "modules" and not one.layout_only:
            module = edited(module, cast(FindEdits, one.run)(module, example))
    return module.eval()


def _on_modules(
    module: nn.Module,
    passes: Sequence[Pass],
    left_out: Mapping[str, PassEffect],
    evidence: Evidence,
) -> tuple[nn.Module, Effects]:
    """Run the passes on modules one by one; passes that find nothing are not reported."""
    effects: Effects = {}
    for one in (p for p in passes if p.on == "modules"):
        if one.name in left_out:
            effects[one.name] = left_out[one.name]
            continue
        try:
            edits = cast(FindEdits, one.run)(module, evidence.example)
            if not edits:
                continue
            candidate = edited(module, edits)
            problem = evidence.against(candidate)
        except Exception as error:  # noqa: BLE001  passes run on anybody's code
            problem = f"it raised {error}"
        if problem:
            effects[one.name] = PassEffect("undone", why=problem)
        else:
            module = candidate
            effects[one.name] = PassEffect("applied", len(edits) // one.per_edit, one.says)
    return module, effects


def _on_graph(
    module: nn.Module,
    passes: Sequence[Pass],
    left_out: Mapping[str, PassEffect],
    evidence: Evidence,
) -> tuple[nn.Module, Effects]:
    """Run the passes on the traced graph; return the module itself where none pays off."""
    passes = [one for one in passes if one.on == "graph"]
    off = {one.name: left_out[one.name] for one in passes if one.name in left_out}
    enabled = [one for one in passes if one.name not in left_out]
    if not enabled or not any(t.dim() == 4 for t in arguments(evidence.example)):
        return module, off
    try:
        traced, _ = trace(module, evidence.example)
    except Exception as error:  # noqa: BLE001  tracing runs anybody's code
        return module, off | {one.name: PassEffect("none", why=str(error)) for one in enabled}
    current, effects = _each_on_graph(traced, enabled, evidence, compared=False)
    if _pays(enabled, effects) and evidence.against(current):
        current, effects = _each_on_graph(traced, enabled, evidence, compared=True)
    if _pays(enabled, effects):
        return current, off | effects
    failed = {name: effect for name, effect in effects.items() if effect.status == "undone"}
    return module, off | {one.name: failed.get(one.name, _NOTHING) for one in enabled}


def _each_on_graph(
    graph: fx.GraphModule, passes: Sequence[Pass], evidence: Evidence, *, compared: bool
) -> tuple[fx.GraphModule, Effects]:
    """Run each pass on a copy of the graph; if `compared`, undo those that change the outputs."""
    effects: Effects = {}
    for one in passes:
        # A graph of its own over the same layers: no weight is copied.
        candidate = fx.GraphModule(graph, copy.deepcopy(graph.graph)).eval()
        try:
            count = cast(ChangeGraph, one.run)(candidate, evidence.example)
            problem = evidence.against(candidate) if count and compared else ""
        except Exception as error:  # noqa: BLE001  passes run on anybody's code
            problem = f"it raised {error}"
        if problem:
            effects[one.name] = PassEffect("undone", why=problem)
        elif count:
            graph, effects[one.name] = candidate, PassEffect("applied", count, one.says)
        else:
            effects[one.name] = _NOTHING
    return graph, effects


def _pays(passes: Sequence[Pass], effects: Effects) -> bool:
    return any(effects[one.name].count for one in passes if one.worth_a_graph)
