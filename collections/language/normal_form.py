"""The conditions of a filter in a form that lanes and plans can look through.

`predicates` makes one function of a whole filter. A lane that looks at stored bytes, and a plan
that looks at an index, need the parts: which path is compared with which value. `normal_form` gives
them: conjunctions (`AllOf`), disjunctions (`AnyOf`) and leaves. What cannot be told as a leaf is a
`Rest`: only the predicate knows what it means.
"""

from collections.abc import Sequence
from typing import Any, Final

from attrs import field, frozen
from jsonpath_ng.ext.filter import And, Expression, Or
from jsonpath_ng.jsonpath import Fields, JSONPath

from .membership import Choices
from .nodes import Index, Wildcard
from .syntax_tree import BoundValue, steps


@frozen
class Each:
    """The step `[*]`: every item of an array, every value of a dict."""


EACH: Final = Each()

Step = str | int | Each
"""A step of a simple path: the name of a field, a place in an array, or `EACH`."""


@frozen
class Leaf:
    """One condition on a simple path. The path begins at the record."""

    path: tuple[Step, ...]
    op: str
    """`==`, `!=`, `<`, `<=`, `>`, `>=`, `=~`, `in`, `contains`, `exists` or `missing`."""
    value: Any = None
    """What the values of the path are compared with, in the stored form.

    It may be any value that `comparisons` takes: a `FloatLiteral`, `Forms` and `ValueOfForms` too.
    The value of `in` is a tuple of such values, any of which may be equal. The value of `contains`
    has the form of an item.
    """


@frozen
class Rest:
    """A condition that is no leaf: `!=` of two paths, arithmetic, a negated group."""

    node: Any = field(default=None, eq=False, repr=False)
    """Its syntax tree."""


@frozen
class AllOf:
    """A conjunction. Without parts it is true for every record."""

    parts: "tuple[Part, ...]" = ()


@frozen
class AnyOf:
    """A disjunction."""

    parts: "tuple[Part, ...]"


Part = AllOf | AnyOf | Leaf | Rest


def normal_form(expressions: Sequence[JSONPath]) -> AllOf:
    """The parts of a filter. The expressions have no placeholders left.

    >>> from stones.collections.language.jsonpath import parse_filter
    >>> parsed = parse_filter('$[?(@.age > 30 && (@.city == "Rome" || @.tags[*] == "x"))]')
    >>> bound = parsed.bound({})
    >>> first, second = normal_form(bound.expressions).parts
    >>> first
    Leaf(path=('age',), op='>', value=30)
    >>> second.parts[1]
    Leaf(path=('tags', Each()), op='==', value='x')
    """
    parts: list[Part] = []
    for expression in expressions:
        part = _part(expression)
        parts += part.parts if isinstance(part, AllOf) else [part]
    return AllOf(tuple(parts))


def _part(node: JSONPath) -> Part:
    if isinstance(node, And):
        return normal_form(node.operands)
    if isinstance(node, Or):
        parts: list[Part] = []
        for operand in node.operands:
            part = _part(operand)
            parts += part.parts if isinstance(part, AnyOf) else [part]
        return AnyOf(tuple(parts))
    return _leaf(node) if isinstance(node, Expression) else Rest(node)


def _leaf(node: Expression) -> Part:
    path = simple_path(node.target)
    if not path or isinstance(node.value, JSONPath):  # a path without steps is the record itself
        return Rest(node)
    value = node.value.value if isinstance(node.value, BoundValue) else node.value
    value = value.values if isinstance(value, Choices) else value
    return Leaf(path, _OPERATORS.get(node.op, node.op), value)


_OPERATORS = {None: "exists", "!": "missing", "=": "=="}


def simple_path(tree: JSONPath) -> tuple[Step, ...] | None:
    """The steps of a path of names, places and `[*]`. None for any other path."""
    return simple_steps(steps(tree))


def simple_steps(nodes: Sequence[JSONPath]) -> tuple[Step, ...] | None:
    """The same of the steps of a path, as `syntax_tree` gives them."""
    path: list[Step] = []
    for step in nodes:
        if isinstance(step, Wildcard):
            path.append(EACH)
        elif type(step) is Fields and len(step.fields) == 1:
            path.append(step.fields[0])
        elif type(step) is Index and len(step.indices) == 1:
            path.append(step.indices[0])
        else:
            return None
    return tuple(path)
