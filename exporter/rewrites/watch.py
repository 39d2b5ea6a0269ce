"""Watch one forward pass and say which module's output is read by which other module.

Symbolic tracing fails on a fifth of timm's families; watching real tensors works on all of them.
The result is what exact rewrites need to know: "this convolution's output is read by that ReLU
and by nothing else".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# One tensor at one moment: in-place operators make a new version of the same object.
Value = tuple[int, int]


@dataclass(frozen=True)
class Flow:
    """What was read by whom in one forward pass; names are module paths.

    `calls` counts forward calls. `inputs` and `outputs` are the tensors of modules that were
    called once with one tensor and gave one. `readers[value]` names, per operator, the innermost
    module that read it; `<output>` stands for the caller of the whole network.
    """

    calls: dict[str, int]
    inputs: dict[str, Value]
    outputs: dict[str, Value]
    input_dims: dict[str, int]
    input_shapes: dict[str, tuple[int, ...]]
    readers: dict[Value, tuple[str, ...]]
    producers: dict[Value, str] = field(default_factory=dict)

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


class _Watcher(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's own
        self.stack: list[str] = []
        self.versions: dict[int, int] = defaultdict(int)
        self.readers: dict[Value, list[str]] = defaultdict(list)
        self.producers: dict[Value, str] = {}
        # A tensor that died would free its id for another one: keep them all for this one pass.
        self.alive: list[Tensor] = []

    def value(self, tensor: Tensor) -> Value:
        self.alive.append(tensor)
        return (id(tensor), self.versions[id(tensor)])

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        here = self.stack[-1] if self.stack else ""
        read = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        for tensor in read:
            self.readers[self.value(tensor)].append(here)
        out = func(*args, **kwargs)
        schema = func._schema
        if schema.is_mutable:
            for argument, tensor in zip(schema.arguments, args, strict=False):
                info = argument.alias_info
                if info is not None and info.is_write and isinstance(tensor, Tensor):
                    self.versions[id(tensor)] += 1
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor):
                self.producers.setdefault(self.value(leaf), here)
        return out


def watch(module: nn.Module, example: Tensor) -> Flow:
    """Run `module` once on `example` (in eval mode, without gradients) and return its `Flow`."""
    watcher = _Watcher()
    calls: dict[str, int] = defaultdict(int)
    inputs: dict[str, Value] = {}
    outputs: dict[str, Value] = {}
    dims: dict[str, int] = {}
    shapes: dict[str, tuple[int, ...]] = {}

    def before(name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def hook(_: nn.Module, args: tuple[Any, ...]) -> None:
            watcher.stack.append(name)
            calls[name] += 1
            if args and isinstance(args[0], Tensor):
                inputs[name] = watcher.value(args[0])
                # A layer called with different ranks has no single one: -1.
                rank = args[0].dim()
                dims[name] = rank if dims.get(name, rank) == rank else -1
                shapes[name] = tuple(args[0].shape)

        return hook

    def after(name: str) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        def hook(_: nn.Module, __: tuple[Any, ...], out: Any) -> None:
            watcher.stack.pop()
            if isinstance(out, Tensor):
                outputs[name] = watcher.value(out)

        return hook

    handles = []
    for name, child in module.named_modules():
        if name:
            handles.append(child.register_forward_pre_hook(before(name)))
            handles.append(child.register_forward_hook(after(name)))
    try:
        # Not inference mode: its tensors skip the bookkeeping that some in-place code needs.
        with torch.no_grad(), watcher:
            result = module(example)
    finally:
        for handle in handles:
            handle.remove()
    for leaf in tree_leaves(result):
        if isinstance(leaf, Tensor):
            watcher.readers[watcher.value(leaf)].append("<output>")
    repeated = {name for name, count in calls.items() if count != 1}
    return Flow(
        calls=dict(calls),
        inputs={name: value for name, value in inputs.items() if name not in repeated},
        outputs={name: value for name, value in outputs.items() if name not in repeated},
        input_dims=dims,
        input_shapes=shapes,
        readers={value: tuple(names) for value, names in watcher.readers.items()},
        producers=watcher.producers,
    )
