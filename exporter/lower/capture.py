"""Capture: the Python module becomes a ScriptModule, by evidence.

Scripting keeps control flow but not every module scripts; a trace takes any module but records
one path. `candidates` yields what there is in order of preference, each already compared with
eager on every sample; the pipeline takes the first that also survives optimization and that the
device runtime can load.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.jit._builtins import _get_builtin_table

from runtime_check.comparison import Comparison, Tolerance, compare
from runtime_check.metrics import VALUES, Metric

from ..errors import CaptureError
from ..options import CaptureMethod
from ..outputs import run, run_once
from ..postprocess.detector import plain_suppression
from ..quiet import quiet, without_stderr
from ..rewrites.layers import replace_submodule
from ..rewrites.watch import hooks
from .branches import Branch, find_branches


@dataclass(frozen=True, kw_only=True)
class Captured:
    """A captured network, how it was captured, and why that way."""

    module: torch.jit.ScriptModule
    method: Literal["script", "trace", "mixed"]
    reason: str
    comparison: Comparison
    scripted_modules: tuple[str, ...] = ()
    specialized: tuple[Branch, ...] = ()
    rejected: tuple[str, ...] = field(default=())


# Where an object lay in this process says nothing to anybody, and differs in every report.
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # TorchScript puts the sentence first and the source below it.
    first = lines[0] if lines else type(error).__name__
    return _ADDRESS.sub("", first)[:240]


def _forget_stale_operators(module: nn.Module) -> None:
    """Take values of `module` out of torch's table of operators.

    torch knows operators by `id`, also those that are gone: a list that lies where one of them lay
    is then "a builtin", which ends scripting, once in many runs. What cannot be called is none.
    """
    table = _get_builtin_table()
    for part in module.modules():
        for value in vars(part).values():
            if not callable(value):
                table.pop(id(value), None)


def script(module: nn.Module) -> torch.jit.ScriptModule:
    """Script the module; raise `CaptureError` with TorchScript's first sentence."""
    try:
        # The compiler warns in C++, past Python's warnings: of a dict of tensors and dicts, say.
        with quiet(), without_stderr():
            _forget_stale_operators(module)
            scripted: torch.jit.ScriptModule = torch.jit.script(module).eval()
        return scripted
    except Exception as error:
        raise CaptureError(f"torch.jit.script refuses it: {_first_line(error)}") from error


def trace(module: nn.Module, example: Sequence[Tensor]) -> torch.jit.ScriptModule:
    """Trace the module on `example`; the caller compares and looks for branches."""
    try:
        with quiet(), torch.no_grad(), plain_suppression():
            traced: torch.jit.ScriptModule = torch.jit.trace(
                module, tuple(example), check_trace=False, strict=False
            )
        return traced.eval()
    except Exception as error:
        raise CaptureError(f"torch.jit.trace refuses it: {_first_line(error)}") from error


def _require_mobile(captured: torch.jit.ScriptModule) -> None:
    """Refuse a capture that holds a `with` or makes objects: mobile files have neither."""
    graph: Any = captured.inlined_graph  # kept: a node lives as long as its graph
    # The `with` first: what it enters is an object, too.
    entered = graph.findNode("prim::Enter", True)
    if entered is not None:
        what = entered.input().type().annotation_str.rsplit(".", 1)[-1]
        raise CaptureError(
            f"it keeps `with {what}`, and the mobile interpreter has no `with` (ENTER is not "
            "supported); a trace records what is inside"
        )
    made = graph.findNode("prim::CreateObject", True)
    if made is not None:
        name = made.output().type().annotation_str.rsplit(".", 1)[-1]
        raise CaptureError(
            f"it makes objects of the class {name}, and files of the mobile interpreter hold none; "
            "a trace records what is done with them"
        )


def _first_arguments(
    module: nn.Module, children: Mapping[str, nn.Module], example: Sequence[Tensor]
) -> dict[str, tuple[Any, ...]]:
    """Return the arguments of the first call of each of `children`."""
    seen: dict[str, tuple[Any, ...]] = {}

    def keep(name: str, args: tuple[Any, ...]) -> None:
        seen.setdefault(name, args)

    with hooks(children, before=keep):
        run(module, example)
    return seen


def _script_around(module: nn.Module, example: Sequence[Tensor]) -> torch.jit.ScriptModule:
    """Script a branching module whose children may not script: those are captured apart."""
    try:
        return script(module)
    except CaptureError as whole:
        inputs = _first_arguments(module, dict(module.named_children()), example)
        shell = copy.deepcopy(module)
        for name, child in module.named_children():
            try:
                script(child)
            except CaptureError as error:
                arguments = inputs.get(name)
                if arguments is None or not all(isinstance(a, Tensor) for a in arguments):
                    raise whole from error
                replace_submodule(shell, name, _mixed_module(child, arguments)[0])
        return script(shell)


def _mixed_module(
    module: nn.Module, example: Sequence[Tensor]
) -> tuple[torch.jit.ScriptModule, tuple[str, ...]]:
    """Script the submodules that branch on data and trace the rest around them."""
    branches = find_branches(module, tuple(example))
    names = sorted({branch.module for branch in branches})
    # The outermost of nested branching modules contains the others.
    outermost = [
        n for n in names if not any(n != o and (o == "" or n.startswith(o + ".")) for o in names)
    ]
    if "" in outermost:
        return _script_around(module, example), ("",)
    shell = copy.deepcopy(module)
    branching = {name: module.get_submodule(name) for name in outermost}
    inputs = _first_arguments(module, branching, example)
    for name, child in branching.items():
        replace_submodule(shell, name, _script_around(child, inputs[name]))
    return trace(shell, example), tuple(outermost)


def mixed(
    module: nn.Module, example: Sequence[Tensor]
) -> tuple[torch.jit.ScriptModule, tuple[str, ...]]:
    """Capture with branching submodules scripted and the rest traced; return their names too."""
    try:
        return _mixed_module(module, example)
    except CaptureError as error:
        raise CaptureError(
            f"a submodule that branches on data cannot be scripted: {error}"
        ) from error


Sampled = Sequence[tuple[tuple[Tensor, ...], list[Tensor]]]


def agree(
    module: nn.Module, sampled: Sampled, tolerance: Tolerance, metric: Metric = VALUES
) -> Comparison:
    """Compare `module` with the expected outputs on every sample; the worst comparison wins.

    `metric` is the task's where it decides what is compared with what, as among boxes.
    """
    worst: Comparison | None = None
    for inputs, wanted in sampled:
        got = run_once(module, inputs)
        result = compare([w.numpy() for w in wanted], [g.numpy() for g in got], tolerance, metric)
        if (
            worst is None
            or (result.problem and not worst.problem)
            or (
                bool(result.problem) == bool(worst.problem)
                and (result.max_abs or 0.0) > (worst.max_abs or 0.0)
            )
        ):
            worst = result
    return worst if worst is not None else compare([], [], tolerance)


def refuse_specialization(branches: Sequence[Branch]) -> CaptureError:
    """Say which lines a trace would freeze, and the ways out."""
    listed = "; ".join(str(branch) for branch in branches[:5])
    more = f" (and {len(branches) - 5} more)" if len(branches) > 5 else ""
    return CaptureError(
        f"Tracing would freeze control flow that depends on the input: {listed}{more}. Use "
        "`--capture auto`, `script` or `mixed`, which keep the branch; or "
        "`--allow-specialization` if the path taken for the example is the only one you want."
    )


@dataclass(frozen=True, kw_only=True)
class _Way:
    """One way to capture a network; `make` returns it with the names of its scripted modules."""

    name: Literal["script", "trace", "mixed"]
    make: Callable[[], tuple[torch.jit.ScriptModule, tuple[str, ...]]]
    reason: str
    specialized: tuple[Branch, ...] = ()


def candidates(
    module: nn.Module,
    flat: nn.Module,
    sampled: Sampled,
    tolerance: Tolerance,
    *,
    method: CaptureMethod = "auto",
    allow_specialization: bool = False,
    metric: Metric = VALUES,
) -> Iterator[Captured]:
    """Yield captures that agree with eager, best first; raise `CaptureError` when none does.

    `sampled` holds inputs with their eager outputs, of several contents and, for networks that
    take batches, several batch sizes. `flat` is the same network, returning a tuple of tensors,
    for traces: they take no other containers. The reasons of those that failed are in `rejected`.
    """
    rejected: list[str] = []
    yielded = False
    for way in _ways(module, flat, sampled, method, allow_specialization=allow_specialization):
        try:
            captured, scripted = way.make()
            _require_mobile(captured)
            comparison = agree(captured, sampled, tolerance, metric)
        except Exception as error:  # noqa: BLE001  running a capture can raise anything too
            text = str(error) if isinstance(error, CaptureError) else _first_line(error)
            rejected.append(f"{way.name}: {text}")
            continue
        if not comparison:
            rejected.append(f"{way.name}: differs from eager, {comparison}")
            continue
        yielded = True
        yield Captured(
            module=captured,
            method=way.name,
            reason=way.reason,
            comparison=comparison,
            scripted_modules=scripted,
            specialized=way.specialized,
            rejected=tuple(rejected),
        )
    if not yielded:
        branches = find_branches(flat, sampled[0][0]) if method != "script" else ()
        where = f" Data-dependent: {'; '.join(map(str, branches))}." if branches else ""
        raise CaptureError(
            f"No way of capturing this model agrees with eager Python. {' | '.join(rejected)}."
            f"{where} Make the named code scriptable, or move it out of forward."
        )


def _ways(
    module: nn.Module,
    flat: nn.Module,
    sampled: Sampled,
    method: CaptureMethod,
    *,
    allow_specialization: bool,
) -> Iterator[_Way]:
    """Yield the ways that `method` allows in order of preference.

    Raises `CaptureError` for a trace that would freeze branches nobody allowed it to.
    """
    example = sampled[0][0]
    asked = method != "auto"
    if method in ("auto", "script"):
        yield _Way(
            name="script",
            make=lambda: (script(module), ()),
            reason=_why_script(module, asked=asked),
        )
    if method == "script":
        return
    branches = find_branches(flat, example)
    if method == "trace" and branches and not allow_specialization:
        raise refuse_specialization(branches)
    if method == "trace" or (method == "auto" and not branches):
        agreed = f"no input value decides a branch, and outputs agree on {len(sampled)} inputs"
        yield _Way(
            name="trace",
            make=lambda: (trace(flat, example), ()),
            reason="asked for" if asked else agreed,
            specialized=branches,
        )
    if method == "mixed" or (method == "auto" and branches):
        named = ", ".join(dict.fromkeys(b.module or "the model itself" for b in branches))
        yield _Way(
            name="mixed",
            make=lambda: mixed(flat, example),
            reason=f"the input decides branches in {named}: scripted, the rest traced"
            if branches
            else "asked for; nothing branches on data, so all of it is traced",
        )


def _why_script(module: nn.Module, *, asked: bool) -> str:
    if isinstance(module, torch.jit.ScriptModule):
        return "it came as TorchScript"
    return "asked for" if asked else "scripting works and keeps all control flow"
