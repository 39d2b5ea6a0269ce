"""Make the mutants of a module: mutmut's operators, and some that aim at verdicts.

mutmut itself leaves out decorated functions and what stands outside of functions: the verdict (a
property of the report) and every threshold. Here they are mutated too.

What is not mutated, by rule and nowhere by hand:

- text: f-strings, strings with a space or a full stop (values in this code are single words), and
  what holds nothing else; `__str__`; what an exception that is raised is raised with;
- values that only people read: keyword arguments and variables named in `READ_BY_PEOPLE`;
- what can only raise or warn: `assert`, which narrows types here, `zip(strict=)`, `np.errstate`;
- types: annotations, aliases (module variables in CapWords); imports; docstrings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import libcst as cst
from libcst import matchers as m
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.file_mutation import MutationVisitor, deep_replace
from mutmut.mutation.mutators import (
    mutation_operators,
    operator_arg_removal,
    operator_string,
)
from mutmut.mutation.pragma_handling import IgnoredCode

READ_BY_PEOPLE = frozenset({
    "reason", "reasons", "detail", "basis", "remark", "remarks", "minimal", "note", "where", "why",
    "shown", "seconds", "started",
})  # fmt: skip
SWAPPED = {
    "any": "all", "all": "any", "max": "min", "min": "max", "fmax": "fmin", "fmin": "fmax",
    "argmax": "argmin", "maximum": "minimum", "minimum": "maximum",
}  # fmt: skip
ERRSTATE = m.Call(func=m.Attribute(attr=m.Name("errstate")))
DEFAULT_DTYPE = m.Attribute(value=m.Name("np"), attr=m.Name("float64"))  # as None is to numpy
NEGATED: dict[type[cst.BaseCompOp], type[cst.BaseCompOp]] = {
    cst.LessThan: cst.GreaterThanEqual,
    cst.LessThanEqual: cst.GreaterThan,
    cst.GreaterThan: cst.LessThanEqual,
    cst.GreaterThanEqual: cst.LessThan,
}


@dataclass(frozen=True, order=True)
class Mutant:
    """One change of one module; `source` is the whole module with it."""

    line: int
    function: str  # qualified, "" outside of functions
    before: str
    after: str
    source: str

    @property
    def key(self) -> str:
        """Name it so that changes elsewhere in the module do not matter."""
        return f"{self.function or '(module)'}: {self.before} => {self.after}"


def operator_word(node: cst.BaseString) -> Iterable[cst.BaseString]:
    """Another word: the first of mutmut's three; the other two differ from it in letters alone."""
    return list(operator_string(node))[:1]


def operator_argument(node: cst.Call) -> Iterable[cst.Call]:
    """Leave out a named argument, or give None for another.

    mutmut does both to both; leaving out what has no default raises TypeError, which any test sees.
    """
    for index, arg in enumerate(node.args):
        if arg.star or is_text(arg.value) or is_for_people(arg):
            continue
        before, after = node.args[:index], node.args[index + 1 :]
        if arg.keyword is not None:
            yield node.with_changes(args=[*before, *after])
        elif not m.matches(arg.value, m.Name("None") | DEFAULT_DTYPE):
            yield node.with_changes(
                args=[*before, arg.with_changes(value=cst.Name("None")), *after]
            )


def operator_condition(node: cst.If | cst.While | cst.CompIf) -> Iterable[cst.CSTNode]:
    """Take a branch always, or never."""
    for value in ("True", "False"):
        if not (isinstance(node, cst.While) and value == "True"):
            yield node.with_changes(test=cst.Name(value))


def operator_clause(node: cst.BooleanOperation) -> Iterable[cst.CSTNode]:
    """Drop one side of `and` and `or`."""
    for side in (node.left, node.right):
        yield side.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])


def operator_negate(node: cst.ComparisonTarget) -> Iterable[cst.CSTNode]:
    """Turn an order around."""
    other = NEGATED.get(type(node.operator))
    if other is not None:
        yield node.with_changes(operator=other())


def operator_extreme(node: cst.Call) -> Iterable[cst.CSTNode]:
    """Swap any and all, max and min."""
    function = node.func
    name = function.attr if isinstance(function, cst.Attribute) else function
    if isinstance(name, cst.Name) and name.value in SWAPPED:
        swapped = cst.Name(SWAPPED[name.value])
        changed = function.with_changes(attr=swapped) if function is not name else swapped
        yield node.with_changes(func=changed)


def operator_statement(node: cst.SimpleStatementLine) -> Iterable[cst.CSTNode]:
    """Leave out a call made for what it does, and a `raise`."""
    if m.matches(node, m.SimpleStatementLine(body=[m.Expr(m.Call()) | m.Raise()])):
        yield node.with_changes(body=[cst.Pass()])


OPERATORS = [
    *(
        pair
        for pair in mutation_operators
        if pair[1] not in (operator_string, operator_arg_removal)
    ),
    (cst.BaseString, operator_word),
    (cst.Call, operator_argument),
    (cst.If, operator_condition),
    (cst.While, operator_condition),
    (cst.CompIf, operator_condition),
    (cst.BooleanOperation, operator_clause),
    (cst.ComparisonTarget, operator_negate),
    (cst.Call, operator_extreme),
    (cst.SimpleStatementLine, operator_statement),
]


def is_text(node: cst.CSTNode) -> bool:
    """Whether a string is a sentence and no value."""
    if isinstance(node, cst.FormattedString):
        return True
    if isinstance(node, cst.ConcatenatedString):
        return is_text(node.left) or is_text(node.right)
    if isinstance(node, cst.IfExp):
        return is_text(node.body) and is_text(node.orelse)
    return isinstance(node, cst.SimpleString) and (" " in node.value or "." in node.value)


def _named(node: cst.CSTNode | None) -> str:
    return node.value if isinstance(node, cst.Name) else ""


def is_for_people(node: cst.CSTNode) -> bool:
    """Whether nothing but words, a time or an exception hangs on a node (see above)."""
    if isinstance(node, cst.Arg):
        return _named(node.keyword) in READ_BY_PEOPLE | {"strict"}
    if isinstance(node, cst.Assign):
        named = (_named(target.target) for target in node.targets)
        return is_text(node.value) or any(name in READ_BY_PEOPLE for name in named)
    if isinstance(node, cst.AnnAssign):
        return _named(node.target) in READ_BY_PEOPLE
    return isinstance(node, cst.FunctionDef) and node.name.value == "__str__"


class _Visitor(MutationVisitor):
    def __init__(self) -> None:
        super().__init__(OPERATORS, IgnoredCode(set(), set(), set()))
        self.functions: list[str] = []
        self.owners: list[tuple[str, int]] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, (cst.FunctionDef, cst.ClassDef)):
            self.functions.append(node.name.value)
        return super().on_visit(node) and not isinstance(node, cst.Raise)

    def on_leave(self, original_node: cst.CSTNode) -> None:
        super().on_leave(original_node)
        if isinstance(original_node, (cst.FunctionDef, cst.ClassDef)):
            self.functions.pop()

    def _create_mutations(self, node: cst.CSTNode) -> None:
        super()._create_mutations(node)
        line = self.get_metadata(PositionProvider, node).start.line
        new = len(self.mutations) - len(self.owners)
        self.owners += [(".".join(self.functions), line)] * new

    def _skip_node_and_children(self, node: cst.CSTNode) -> bool:
        if is_text(node) or is_for_people(node) or isinstance(node, (cst.Assert, cst.Import)):
            return True
        if isinstance(node, cst.ImportFrom) or m.matches(node, ERRSTATE):
            return True
        if isinstance(node, cst.Assign) and not self.functions:
            name = _named(node.targets[0].target)
            if not name.isupper() and name[:1].isupper():
                return True
        if isinstance(node, cst.FunctionDef):
            return False  # decorated ones, too
        return super()._skip_node_and_children(node)


def mutants_of(source: str) -> list[Mutant]:
    """Return the mutants of a module's source, in the order of their lines."""
    wrapper = MetadataWrapper(cst.parse_module(source))
    visitor = _Visitor()
    module = wrapper.visit(visitor)
    made: dict[str, Mutant] = {}
    for mutation, (function, line) in zip(visitor.mutations, visitor.owners, strict=True):
        changed: Any = deep_replace(module, mutation.original_node, mutation.mutated_node)
        before, after = _pair(module, mutation.original_node, mutation.mutated_node)
        if changed.code not in made and changed.code != source:
            made[changed.code] = Mutant(line, function, before, after, changed.code)
    return sorted(made.values())


def _pair(module: cst.Module, old: cst.CSTNode, new: cst.CSTNode) -> tuple[str, str]:
    if isinstance(old, cst.Call) and isinstance(new, cst.Call) and new.func is old.func:
        # Of a long call, the argument that changes.
        kept = {id(arg) for arg in new.args}
        gone = [arg for arg in old.args if id(arg) not in kept]
        if len(gone) == 1:
            name, arg = (
                module.code_for_node(old.func),
                gone[0].with_changes(comma=cst.MaybeSentinel.DEFAULT),
            )
            after = "None" if len(new.args) == len(old.args) else "left out"
            return f"{' '.join(name.split())}(... {_shown(module, arg)} ...)", after
    return _shown(module, old), _shown(module, new)


def _shown(module: cst.Module, node: cst.CSTNode) -> str:
    if isinstance(node, (cst.If, cst.While)):
        return f"{type(node).__name__.lower()} {module.code_for_node(node.test)}"
    return " ".join(module.code_for_node(node).split())


def numbered(mutants: Iterable[Mutant]) -> Iterator[tuple[str, Mutant]]:
    """Yield each with its key; a key that occurs again gets a number."""
    seen: dict[str, int] = {}
    for mutant in mutants:
        seen[mutant.key] = seen.get(mutant.key, 0) + 1
        count = seen[mutant.key]
        yield mutant.key if count == 1 else f"{mutant.key} (no. {count})", mutant
