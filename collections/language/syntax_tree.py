"""The syntax tree of a JSONPath: its nodes, its steps, and the caller's values in it.

jsonpath-ng and `nodes` define the nodes; `parsing` makes the tree. A `Placeholder` stands in it for
a value, until `bind` puts a `BoundComparison` in its place. `predicates`, `normal_form`
and `jsonpath` read the tree.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from attrs import field, frozen
from jsonpath_ng.ext.filter import And, Or
from jsonpath_ng.ext.iterable import Keys, Len
from jsonpath_ng.ext.string import Split, Sub
from jsonpath_ng.jsonpath import DatumInContext, Fields, JSONPath, Root, This

from .comparisons import comparison
from .membership import choices
from .nodes import (
    Child,
    Descendants,
    Expression,
    Filter,
    Index,
    Not,
    Operation,
    Slice,
    Str,
    Where,
    WhereNot,
    Wildcard,
)


def _same(value: Any) -> Any:
    return value


@frozen
class Placeholder:
    """Stands on the right of a comparison for a value that the caller gives later."""

    name: str
    convert: Callable[[Any], Any] = field(default=_same, eq=False, repr=False)
    """Makes the stored form of the value, or of each of the values of `in`. See `field_types`."""


@frozen
class BoundValue:
    """The caller's value on the right of a comparison.

    It is wrapped, because a bare JSONPath, list or tuple there would be taken for a part of the
    tree.
    """

    value: Any


class BoundComparison(Expression):
    """A comparison with a caller's value of any type, as a node that jsonpath-ng can evaluate."""

    def __init__(self, target: JSONPath, op: str, value: Any, text: str) -> None:
        super().__init__(target, op, BoundValue(value))
        self._holds = comparison(op, _same, value, text)

    def find(self, datum: Any) -> list[DatumInContext]:
        """The matches of the target that compare, or the datum itself if `!=` finds no match."""
        datum = DatumInContext.wrap(datum)
        matches: list[DatumInContext] = self.target.find(datum)
        if not matches:
            return [datum] if self.op == "!=" else []
        return [match for match in matches if self._holds(match.value)]


def nodes(part: object) -> Iterator[JSONPath]:
    """Every node of a tree, or of a list of trees. A node comes before the nodes inside it."""
    waiting = [part]
    while waiting:
        at = waiting.pop()
        if isinstance(at, JSONPath):
            yield at
            at = list(vars(at).values())
        if isinstance(at, list | tuple):
            waiting.extend(reversed(at))


def steps(path: JSONPath) -> list[JSONPath]:
    """The steps of a path, in order. Each step starts from all values that the last one found."""
    if isinstance(path, Child):
        return steps(path.left) + steps(path.right)
    if isinstance(path, Descendants):
        return [*steps(path.left), Descendants(This(), path.right)]
    return [] if type(path) is This else [path]


def steps_from_root(path: JSONPath) -> list[JSONPath]:
    """The steps of a path, without the `$` that it may begin with."""
    found = steps(path)
    return found[1:] if found and isinstance(found[0], Root) else found


def refers_to_root(part: object) -> bool:
    """Whether a tree, or a list of trees, has a `$` anywhere."""
    return any(isinstance(node, Root) for node in nodes(part))


def is_local(path: Iterable[JSONPath]) -> bool:
    """Whether the result of these steps depends only on the value that they start from."""
    return all(type(node) in _LOCAL for step in path for node in nodes(step))


def leads_to_one(path: Iterable[JSONPath]) -> bool:
    """Whether these steps lead to one value at most."""
    return all(map(_leads_to_one, path))


def _leads_to_one(step: JSONPath) -> bool:
    if isinstance(step, Fields):
        return len(step.fields) == 1 and step.fields[0] != "*"
    if isinstance(step, Index):
        return len(step.indices) == 1
    if isinstance(step, Operation):
        operands = (step.left, step.right)
        return all(
            leads_to_one(steps_from_root(each)) for each in operands if isinstance(each, JSONPath)
        )
    return type(step) in (Len, Split, Str, Sub)


def may_fail(part: object) -> bool:
    """Whether there may be values for which a tree, or a list of trees, cannot be evaluated."""
    return any(type(node) not in _SURE for node in nodes(part))


def bind(part: Any, values: Mapping[str, Any], text: str) -> Any:
    """A tree, or a list of trees, with values in the place of the placeholders.

    `text` is the source of the tree, for error messages. What has no placeholder is shared, and
    the rest is copied. Raises QueryError for a value that its comparison cannot take.
    """
    binder = binder_of(part, text)
    return part if binder is None else binder(values)


Binder = Callable[[Mapping[str, Any]], Any]
"""Gives a part of a tree with values in the place of its placeholders."""


def binder_of(part: Any, text: str) -> Binder | None:
    """The function that does what `bind` does, for who binds one tree often.

    None if the part has no placeholder.
    """
    if isinstance(part, list | tuple):
        kind, inside = type(part), list[tuple[Any, Binder | None]]()
        for each in part:  # a comprehension would take a frame more of a deeply nested tree
            inside.append((each, binder_of(each, text)))
        if all(binder is None for _, binder in inside):
            return None
        return lambda values: kind(
            [each if binder is None else binder(values) for each, binder in inside]
        )
    if isinstance(part, Expression) and isinstance(part.value, Placeholder):
        return _comparison_binder(part, part.value, text)
    if not isinstance(part, JSONPath):
        return None
    bound: list[tuple[str, Binder]] = []
    for name, attribute in vars(part).items():
        if (binder := binder_of(attribute, text)) is not None:
            bound.append((name, binder))
    if not bound:
        return None

    def bind_node(values: Mapping[str, Any]) -> Any:
        copy = object.__new__(type(part))
        vars(copy).update(vars(part))
        for name, binder in bound:
            setattr(copy, name, binder(values))
        return copy

    return bind_node


def _comparison_binder(node: Expression, placeholder: Placeholder, text: str) -> Binder:
    op, target, target_binder = node.op, node.target, binder_of(node.target, text)
    name, convert = placeholder.name, placeholder.convert

    def bind_comparison(values: Mapping[str, Any]) -> BoundComparison:
        given = values[name]
        value = choices(given, convert, text) if op == "in" else convert(given)
        bound = target if target_binder is None else target_binder(values)
        return BoundComparison(bound, op, value, text)

    return bind_comparison


# The steps that can be evaluated on any value.
_SURE = frozenset(
    {
        *(And, BoundComparison, Child, Descendants, Expression, Fields, Filter, Index, Keys, Len),
        *(Not, Or, Slice, This, Wildcard),
    }
)
# The nodes that look at their starting value only, and not at what is around it. The others do:
# `$`, `parent` and `path`.
_LOCAL = _SURE | {Operation, Split, Str, Sub, Where, WhereNot}
