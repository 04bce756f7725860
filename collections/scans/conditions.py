"""The conditions of a filter as the lanes need them: `normal_form`, and nothing with several forms.

A lane knows `==` with one value. So `in`, and a value in several forms, become disjunctions here.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from stones.collections.language.bound_filter import BoundFilter
from stones.collections.language.comparisons import Forms
from stones.collections.language.normal_form import (
    EACH,
    AllOf,
    AnyOf,
    Leaf,
    Part,
    Rest,
    normal_form,
)
from stones.collections.stored_description import ReadDescription

Predicate = Callable[[Any], Any]
"""Tells whether the dict of a record matches. The result counts as true or false."""


def conditions(filters: Iterable[BoundFilter]) -> AllOf:
    """What a record fulfils that matches all filters. None of them has a `selector`."""
    whole = normal_form([each for filter in filters for each in filter.expressions])
    return AllOf(tuple(map(_simple, whole.parts)))


def predicate(filters: Iterable[BoundFilter]) -> Predicate | None:
    """The function that tells whether a record matches all filters. None if every record does."""
    tests = [each.predicate for each in filters if each.predicate is not None]
    if len(tests) < 2:
        return tests[0] if tests else None
    return lambda record: all(test(record) for test in tests)


def leads_through(path: Sequence[Any], description: ReadDescription) -> bool:
    """Whether a path may lead to a value that a query sees though it is not stored."""
    if not description.varies:
        return False
    if EACH in path:
        names = description.unsettled if path[0] is EACH else description.unsettled_inside
        if names:
            return True
    return not description.unsettled.isdisjoint(path)


def _simple(part: Part) -> Part:
    if isinstance(part, AllOf):
        return AllOf(tuple(map(_simple, part.parts)))
    if isinstance(part, AnyOf):
        return AnyOf(tuple(map(_simple, part.parts)))
    return _simple_leaf(part) if isinstance(part, Leaf) else part


def _simple_leaf(leaf: Leaf) -> Part:
    if leaf.op == "in":
        return _any_equal(leaf, leaf.value)
    if type(leaf.value) is Forms and leaf.op != "=~":
        forms = [_simple_leaf(Leaf(leaf.path, leaf.op, form)) for form in leaf.value.forms]
        return AllOf(tuple(forms)) if leaf.op == "!=" else AnyOf(tuple(forms))
    return leaf


def _any_equal(leaf: Leaf, values: Any) -> Part:
    if type(values) is not tuple:
        return Rest()
    return AnyOf(tuple(_simple_leaf(Leaf(leaf.path, "==", value)) for value in values))
