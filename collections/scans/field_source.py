"""Source that tests the wanted fields of a page, and that takes values out of them.

A generated loop takes a quarter of the time of the closures in `predicates`. It knows the types
that records mostly hold: None, bool, int, float, str. It compares these as `comparisons` does. A
row with a value of another type, such as a Decimal, an array or a registered type, is *unsure*:
the loop notes its place, and goes on as if the condition were true. No condition is negated. So a
row that is false all the same is false for sure.

No text of the user's gets into the source: names become hexadecimal, values become variables.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from types import NoneType
from typing import Any, Final

import msgspec

from stones.collections.language.arithmetic import FloatLiteral
from stones.collections.language.comparisons import MISSING
from stones.collections.language.normal_form import EACH, AllOf, AnyOf, Leaf, Part
from stones.collections.language.pattern_search import search_of
from stones.collections.stored_description import ReadDescription

from .documents import Rows, Structs, Tree, attribute, structs

Path = Sequence[str]
Test = Callable[[Rows, list[int]], list[int]]
"""Gives the places of the rows that match. It adds places of unsure rows to the list."""
Take = Callable[[Rows, list[int]], list[tuple[Any, ...]]]
"""Gives the values of some paths for each row. It adds places of unsure rows to the list."""


class TooComplicatedError(Exception):
    """A filter for which no source is generated."""


class Unsure:
    """The type of UNSURE, which stands for a value of which only the value lane can tell."""


UNSURE: Final = Unsure()

_ATOMS = frozenset({NoneType, bool, int, float, str, bytes})
_MOST_NODES = 200
_DEEPEST = 20


class FieldSource:
    """The source of one filter, and of the values that are taken from its matches."""

    def __init__(
        self,
        whole: AllOf,
        wanted: Sequence[Path],
        description: ReadDescription,
        *,
        tags_are_dicts: bool,
    ) -> None:
        """`tags_are_dicts` says that a dict may be a value of any type, as in JSON.

        Raises TooComplicatedError for a filter of which the fields can tell nothing.
        """
        self._unsettled = description.unsettled
        self._computed = description.computed
        self._tags_are_dicts = tags_are_dicts
        self._values: dict[str, Any] = {}
        self._nodes = 0
        if self._computed is None:
            raise TooComplicatedError
        self._tree = _tree([*_paths(whole), *wanted, *([name] for name in self._computed)])
        self._structs = structs(self._tree)
        self._kinds = {tree: f"row_{n}" for n, tree in enumerate(self._structs.inner)}
        self.row = self._structs.row
        """The Struct that holds the wanted fields of a record."""
        tests = self._parts(whole, 0)
        if not self._tree or (tests and not wanted and {*tests} == {_UNSURE}):
            raise TooComplicatedError
        lines = ["for i, r in enumerate(rows):"]
        # A row that lacks a computed field is unsure, whatever else it holds.
        self._missing = " or ".join(f"r.{attribute(name)} is U" for name in self._computed)
        if self._missing:
            lines.append(f" if {self._missing}: odd.append(i); found.append(i); continue")
        lines += map(_unless, tests)
        self.test: Test = self._function(["found = []", *lines, " found.append(i)"])
        """Gives the places of the matches."""
        self.take: Take = self._function(["found = []", *self._taking(wanted)])
        """Gives the wanted values of rows."""

    def _function(self, lines: Sequence[str]) -> Any:
        names = [*self._values]
        source = f"def make({', '.join(names)}):\n def function(rows, odd):\n"
        source += "".join(f"  {line}\n" for line in lines) + "  return found\n return function\n"
        make = _made(source, self._structs, self._tags_are_dicts)
        return make(*self._values.values())

    def _taking(self, wanted: Sequence[Path]) -> list[str]:
        lines = ["for i, r in enumerate(rows):"]
        if self._missing:
            lines.append(f" if {self._missing}: odd.append(i)")
        for number, path in enumerate(wanted):
            lines += [
                f" v{number} = {self._reach(path)}",
                f" if type(v{number}) not in atoms:",
                f"  if v{number} is U: v{number} = M",
                "  else: odd.append(i)",
            ]
        taken = "".join(f"v{number}, " for number in range(len(wanted)))
        return [*lines, f" found.append(({taken}))"]

    # -- conditions ----------------------------------------------------------------------------

    def _part(self, part: Part, depth: int) -> str:
        self._nodes += 1
        if self._nodes > _MOST_NODES or depth > _DEEPEST:
            raise TooComplicatedError
        if isinstance(part, AllOf | AnyOf):
            word = " and " if isinstance(part, AllOf) else " or "
            parts = self._parts(part, depth + 1)
            return f"({word.join(parts)})" if parts else str(isinstance(part, AllOf))
        return (self._leaf(part) if isinstance(part, Leaf) else None) or _UNSURE

    def _parts(self, group: AllOf | AnyOf, depth: int) -> list[str]:
        """The expressions of the parts. The others may make it needless to ask an unsure part."""
        return sorted((self._part(each, depth) for each in group.parts), key=_UNSURE.__eq__)

    def _leaf(self, leaf: Leaf) -> str | None:
        """The expression of a condition. None if the fields cannot tell."""
        path, op, value = _names(leaf), leaf.op, leaf.value
        if path is None:
            return None
        if leaf.path[-1] is EACH or op == "contains":
            test = _items_test(op, value) if (leaf.path[-1] is EACH) is (op == "==") else None
            if test is None:
                return None
            found = f"{self._value(test)}({self._reach(path)})"
            return f"(e if (e := {found}) is not None else {_UNSURE})"
        reach = f"(v := {self._reach(path)})"
        if op == "exists":
            return f"({reach} is not U and (v is not O or {_UNSURE}))"
        if op == "missing":
            return f"({reach} is U or v is O and {_UNSURE})"
        kind = type(value)
        if op == "=~" and kind is str:
            search = self._value(search_of(value))
            return f"({search}(v) is not None if type({reach}) is str else {_OTHER})"
        if op not in ("==", "!=", "<", "<=", ">", ">="):
            return None
        if kind is bool or value is None:
            return self._identity(reach, op, value)
        if kind is FloatLiteral:
            kind, value = float, float(value)
        if kind not in (str, int, float):
            return None
        same = "(k := type({0})) is str" if kind is str else "(k := type({0})) is int or k is float"
        other = f"k in plain or {_UNSURE}" if op == "!=" else f"k not in plain and {_UNSURE}"
        return f"(v {op} {self._value(value)} if {same.format(reach)} else {other})"

    def _identity(self, reach: str, op: str, value: bool | None) -> str:
        if op in ("<", ">"):
            return "False"
        if op == "!=":
            return f"({reach} is not {value} and (type(v) in plain or {_UNSURE}))"
        return f"({reach} is {value} or {_OTHER})"

    def _value(self, value: Any) -> str:
        """The variable of a value."""
        name = f"c{len(self._values)}"
        self._values[name] = value
        return name

    # -- paths ---------------------------------------------------------------------------------

    def _reach(self, path: Path) -> str:
        """The expression for what a path leads to: a value, U where it leads nowhere, or O."""
        tree, reach = self._tree, self._present(f"r.{attribute(path[0])}")
        for before, name in pairwise(path):
            tree = dict(tree)[before] or ()
            inner = self._present(f"x.{attribute(name)}")
            kind = self._kinds[tree]
            reach = f"({inner} if type(x := {reach}) is {kind} else nowhere.get(type(x), O))"
        if not self._unsettled.isdisjoint(path):
            return f"(O if (y := {reach}) is U else y)"
        return reach

    def _present(self, reach: str) -> str:
        # A dict with one key in JSON, such as {"$dict": ...}, may be another dict.
        return f"(O if (y := {reach}) is U else y)" if self._tags_are_dicts else reach


_UNSURE = "odd.append(i) is None"
_OTHER = f"type(v) not in plain and {_UNSURE}"


def _unless(test: str) -> str:
    return f" if not {test}: continue"


def _names(leaf: Leaf) -> Path | None:
    """The path of a condition, without `[*]` at its end. None if it has other steps than names."""
    steps = leaf.path[:-1] if leaf.path[-1:] == (EACH,) else leaf.path
    names = [step for step in steps if isinstance(step, str)]
    return names if names and len(names) == len(steps) else None


def _paths(part: Part) -> list[Path]:
    if isinstance(part, AllOf | AnyOf):
        return [path for each in part.parts for path in _paths(each)]
    path = _names(part) if isinstance(part, Leaf) else None
    return [] if path is None else [path]


def _tree(paths: Sequence[Path]) -> Tree:
    grown: dict[str, Any] = {}
    for path in paths:
        at = grown
        for name in path:
            at = at.setdefault(name, {})
    return _frozen(grown)


def _frozen(grown: Mapping[str, Any]) -> Tree:
    return tuple((name, _frozen(inside) if inside else None) for name, inside in grown.items())


@lru_cache(256)
def _made(source: str, known: Structs, tags_are_dicts: bool) -> Callable[..., Any]:
    """The function of some source. To compile it takes up to a millisecond."""
    inner = known.inner.values()
    names: dict[str, Any] = {f"row_{number}": row for number, row in enumerate(inner)}
    plain = {*_ATOMS, msgspec.UnsetType}
    if not tags_are_dicts:
        plain |= {dict, *inner}
    names |= {"U": msgspec.UNSET, "O": UNSURE, "M": MISSING, "atoms": _ATOMS}
    names |= {"plain": frozenset(plain)}
    names["nowhere"] = dict.fromkeys((*_ATOMS, msgspec.UnsetType), msgspec.UNSET)
    exec(compile(source, "<scan>", "exec"), names)
    make: Callable[..., Any] = names["make"]
    return make


def _items_test(op: str, value: Any) -> Callable[[Any], bool | None] | None:
    """The function that tells whether an item of a value equals `value`. It gives None if unsure.

    With `contains` it may also be a part of a text.
    """
    kind = type(value)
    if kind is FloatLiteral:
        kind, value = float, float(value)
    if kind not in (str, int, float):
        return None

    def is_in(items: Sequence[Any]) -> bool:
        if kind is str:
            return value in items
        return any((type(item) is int or type(item) is float) and item == value for item in items)

    def holds(found: Any) -> bool | None:
        if type(found) is list:
            return is_in(found) if _ATOMS.issuperset(map(type, found)) else None
        if op == "contains":
            if type(found) is str:
                return kind is str and value in found
            return False if type(found) in _NO_ITEMS else None
        return False if found is msgspec.UNSET else None

    return holds


_NO_ITEMS = frozenset({NoneType, bool, int, float, bytes, msgspec.UnsetType})
