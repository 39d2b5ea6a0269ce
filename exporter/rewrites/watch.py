"""Watch one forward pass: which operators run, and which module reads which other's output.

Symbolic tracing fails on a fifth of timm's families; watching real tensors works on all of them.
The result is what exact rewrites need to know: "this convolution's output is read by that ReLU
and by nothing else".
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

# One tensor at one moment: in-place operators make a new version of the same object.
Value = tuple[int, int]

# What a network is run on: its one tensor, or all of its arguments.
Example = Tensor | tuple[Tensor, ...]

Before = Callable[[str, tuple[Any, ...]], None]
After = Callable[[str, tuple[Any, ...], Any], None]
# An operator (torch._ops.OpOverload), its arguments, and what it returned.
Record = Callable[[Any, tuple[Any, ...], dict[str, Any], Any], None]


def arguments(example: Example) -> tuple[Tensor, ...]:
    """Return an example as the arguments of a call."""
    return (example,) if isinstance(example, Tensor) else example


@contextmanager
def hooks(
    modules: Mapping[str, nn.Module],
    *,
    before: Before | None = None,
    after: After | None = None,
) -> Iterator[None]:
    """Call `before(name, args)` and `after(name, args, output)` around each forward of `modules`.

    The hooks are removed at the end of the `with` block, also when a forward raises. TorchScript
    modules take none and are left out.
    """

    def enter(name: str, call: Before) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        return lambda _, args: call(name, args)

    def leave(name: str, call: After) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        return lambda _, args, output: call(name, args, output)

    with ExitStack() as stack:
        for name, module in modules.items():
            if isinstance(module, torch.jit.ScriptModule):
                continue
            if before is not None:
                stack.callback(module.register_forward_pre_hook(enter(name, before)).remove)
            if after is not None:
                stack.callback(module.register_forward_hook(leave(name, after)).remove)
        yield


class Recorder(TorchDispatchMode):
    """Call `record` after each operator that runs within the `with` block."""

    def __init__(self, record: Record) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch annotates none of it
        self.record = record

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        self.record(func, args, kwargs or {}, result)
        return result


def calls_of(
    module: nn.Module, children: Mapping[str, nn.Module], example: Example
) -> dict[str, list[tuple[Tensor, Tensor]]]:
    """Run `module` once; return input and output of every call of `children` (tensors only)."""
    calls: dict[str, list[tuple[Tensor, Tensor]]] = {}

    def keep(name: str, args: tuple[Any, ...], output: Any) -> None:
        if args and isinstance(args[0], Tensor) and isinstance(output, Tensor):
            calls.setdefault(name, []).append((args[0], output))

    with torch.no_grad(), hooks(children, after=keep):
        module(*arguments(example))
    return calls


@dataclass(frozen=True)
class Flow:
    """What was read by whom in one forward pass; names are module paths.

    `calls` counts forward calls. `inputs` and `outputs` are the tensors of modules that were
    called once, with one tensor, and returned one. `input_dims` are the ranks of inputs, -1 where
    they differ between calls. `readers[value]` names, per operator, the innermost module that read
    it; `<output>` stands for the caller of the whole network.
    """

    calls: dict[str, int]
    inputs: dict[str, Value]
    outputs: dict[str, Value]
    input_dims: dict[str, int]
    readers: dict[Value, tuple[str, ...]]

    def only_readers(self, name: str) -> frozenset[str]:
        """Name the modules that read the output of module `name`; empty when unknown."""
        value = self.outputs.get(name)
        return frozenset(self.readers.get(value, ())) if value is not None else frozenset()

    def feeds_only(self, name: str, reader: str) -> bool:
        """Whether `reader` takes the output of `name` as its input, and nothing else reads it."""
        return (
            name in self.outputs
            and self.calls.get(name) == 1
            and self.inputs.get(reader) == self.outputs[name]
            and self.only_readers(name) == {reader}
        )


class _Values:
    """Number tensors without keeping them alive, and count the writes to each."""

    def __init__(self) -> None:
        # Weak references, not ids: the id of a dead tensor is reused.
        self.numbers: WeakIdKeyDictionary = WeakIdKeyDictionary()
        self.count = 0
        self.versions: Counter[int] = Counter()

    def of(self, tensor: Tensor) -> Value:
        if tensor not in self.numbers:
            self.numbers[tensor] = self.count
            self.count += 1
        number = self.numbers[tensor]
        return (number, self.versions[number])

    def written(self, tensor: Tensor) -> None:
        self.versions[self.of(tensor)[0]] += 1


def watch(module: nn.Module, example: Example) -> Flow:
    """Run `module` once on `example` (in eval mode, without gradients) and return its `Flow`."""
    values = _Values()
    stack: list[str] = []
    calls: Counter[str] = Counter()
    inputs: dict[str, Value] = {}
    outputs: dict[str, Value] = {}
    dims: dict[str, int] = {}
    readers: dict[Value, list[str]] = defaultdict(list)

    def record(operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any], _: Any) -> None:
        for leaf in tree_leaves((args, kwargs)):
            if isinstance(leaf, Tensor):
                readers[values.of(leaf)].append(stack[-1] if stack else "")
        if operator._schema.is_mutable:
            for argument, tensor in zip(operator._schema.arguments, args, strict=False):
                info = argument.alias_info
                if info is not None and info.is_write and isinstance(tensor, Tensor):
                    values.written(tensor)

    def before(name: str, args: tuple[Any, ...]) -> None:
        stack.append(name)
        calls[name] += 1
        if args and isinstance(args[0], Tensor):
            inputs[name] = values.of(args[0])
            rank = args[0].dim()
            dims[name] = rank if dims.get(name, rank) == rank else -1

    def after(name: str, _: tuple[Any, ...], output: Any) -> None:
        stack.pop()
        if isinstance(output, Tensor):
            outputs[name] = values.of(output)

    children = {name: child for name, child in module.named_modules() if name}
    # Not inference mode: its tensors skip bookkeeping that some in-place code needs.
    with torch.no_grad(), hooks(children, before=before, after=after), Recorder(record):
        result = module(*arguments(example))
    for leaf in tree_leaves(result):
        if isinstance(leaf, Tensor):
            readers[values.of(leaf)].append("<output>")
    return Flow(
        calls=dict(calls),
        inputs={name: value for name, value in inputs.items() if calls[name] == 1},
        outputs={name: value for name, value in outputs.items() if calls[name] == 1},
        input_dims=dims,
        readers={value: tuple(names) for value, names in readers.items()},
    )
