"""Read the operator tables: what a frozen device runtime's lite interpreter can run, offline."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

from ..errors import did_you_mean
from .errors import UnknownRuntime

DEFAULT_RUNTIME = "pytorch-2.1.0"
# Short names people type -> the table.
ALIASES = {
    "pytorch-2.1": "pytorch-2.1.0",
    "pytorch-1.13": "pytorch-1.13.1",
    "pytorch-1.13.0": "pytorch-1.13.1",  # the pod LibTorch-Lite 1.13.0.1; same operators
}


@dataclass(frozen=True)
class Argument:
    """One argument of an operator's schema."""

    name: str
    type: str
    has_default: bool


@dataclass(frozen=True)
class Operator:
    """One operator of the runtime. `arguments` is meaningless where `vararg` is true."""

    name: str
    arguments: tuple[Argument, ...]
    vararg: bool
    mobile: bool  # the Android build has it, not only the desktop build of the same release
    inferred: bool  # `mobile` was judged by namespace: newer than the Android build compared with


@dataclass(frozen=True)
class OperatorTable:
    """Everything a device runtime release can resolve when it loads a file."""

    runtime: str
    bytecode: tuple[int, int]  # lowest and highest version it reads
    classes: frozenset[str]  # custom classes of the mobile build, fully qualified
    operators: dict[str, Operator]

    def has(self, name: str, *, mobile: bool = True) -> bool:
        """Say whether the runtime resolves `name.overload`; `mobile=False` asks the desktop."""
        operator = self.operators.get(name)
        return operator is not None and (operator.mobile or not mobile)

    def get(self, name: str) -> Operator:
        """Return the operator; raise `KeyError` when the runtime has none of that name."""
        return self.operators[name]

    def max_args(self, name: str) -> int | None:
        """Return how many arguments a file may pass, None for any number or an unknown name.

        A file that passes more was made by a torch whose schema is newer: it loads there, and
        fails when it runs.
        """
        operator = self.operators.get(name)
        if operator is None or operator.vararg:
            return None
        return len(operator.arguments)

    def min_args(self, name: str) -> int | None:
        """Return how many arguments have no default, None for any number or an unknown name."""
        operator = self.operators.get(name)
        if operator is None or operator.vararg:
            return None
        return sum(1 for argument in operator.arguments if not argument.has_default)

    def names(self, *, mobile: bool = True) -> tuple[str, ...]:
        """List the operators by name, sorted."""
        return tuple(sorted(n for n, o in self.operators.items() if o.mobile or not mobile))

    def similar(self, name: str, *, limit: int = 3) -> tuple[str, ...]:
        """List operators of this runtime whose names are close to `name`, best first.

        Other overloads of the same operator come first.
        """
        names = self.names()
        base = name.split(".", 1)[0]
        overloads = [n for n in names if n.split(".", 1)[0] == base and n != name]
        close = difflib.get_close_matches(name, names, n=limit + 1, cutoff=0.75)
        nearest = dict.fromkeys(n for n in [*overloads, *close] if n != name)
        return tuple(nearest)[:limit]


def available_runtimes() -> tuple[str, ...]:
    """List the runtimes that have a table, the default first."""
    folder = resources.files("runtime_check") / "data" / "operators"
    names = [e.name.removesuffix(".json") for e in folder.iterdir() if e.name.endswith(".json")]
    return tuple(sorted(names, key=lambda name: (name != DEFAULT_RUNTIME, name)))


def resolve_runtime(runtime: str) -> str:
    """Turn a name or an alias into a table's name; raise `UnknownRuntime` with a did-you-mean."""
    names = available_runtimes()
    name = ALIASES.get(runtime, runtime)
    if name in names:
        return name
    hint = did_you_mean(runtime, [*names, *ALIASES], most=1, cutoff=0.5)
    raise UnknownRuntime(f"No operator table for {runtime!r}.{hint} There are: {', '.join(names)}.")


def load_table(runtime: str = DEFAULT_RUNTIME) -> OperatorTable:
    """Load the operator table of a runtime, by name or alias; raise `UnknownRuntime`."""
    return _load(resolve_runtime(runtime))


@lru_cache(maxsize=8)
def _load(name: str) -> OperatorTable:
    source = resources.files("runtime_check") / "data" / "operators" / f"{name}.json"
    data = json.loads(source.read_text(encoding="utf-8"))
    operators = {}
    for operator, entry in data["operators"].items():
        arguments = []
        for argument, kind, *flags in entry["args"]:
            flag = flags[0] if flags else ""
            arguments.append(Argument(argument, kind, has_default="d" in flag))
        operators[operator] = Operator(
            name=operator,
            arguments=tuple(arguments),
            vararg=bool(entry.get("vararg")),
            mobile=bool(entry["mobile"]),
            inferred=bool(entry.get("inferred")),
        )
    low, high = data["bytecode"]
    return OperatorTable(
        runtime=data["runtime"],
        bytecode=(low, high),
        classes=frozenset(name for name, mobile in data["classes"].items() if mobile),
        operators=operators,
    )
