"""Comparisons of what a path leads to with a value in the filter, as functions of one record.

`ordering` says how values compare. The functions here do the same, faster: each is made for one
value, and for the types that records mostly hold. The value is a literal, or a caller's value
(`{name}`, see `parsing`) of any type.

`predicates` and `syntax_tree` ask for the functions.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from attrs import frozen

from stones.collections.records.stored_forms import ValueOfForms
from stones.errors import QueryError
from stones.formats.messages import show_value

from .arithmetic import OPERATORS, FloatLiteral
from .failures import attempt
from .membership import being_in, containing
from .ordering import compare, comparer
from .pattern_search import search_of

Predicate = Callable[[Any], bool | None]
"""Tells whether a record matches. None says that this cannot be evaluated: it does not match."""

Getter = Callable[[Any], Any]
"""Gets the one value that a path leads to from a record, or MISSING."""


class Missing:
    """The type of MISSING, the result of a path that leads nowhere. A path may lead to None."""


MISSING = Missing()


@frozen
class Forms:
    """One value in all forms in which records may have it. A value that equals one is equal."""

    forms: tuple[Any, ...]


# Exact types that never equal a str and have no order with it; and the same for a number.
_NEVER = frozenset({Missing, type(None), bool, bytes, list, tuple, dict, set, frozenset})
_NEVER_STR = _NEVER | {int, float, Decimal}
_NEVER_NUMBER = _NEVER | {str}


def comparison(op: str, get: Getter, value: Any, text: str) -> Predicate:
    """The function that compares what `get` gets from a record with `value`.

    `op` is the operator of JSONPath. `text` is the whole path, for errors. Raises QueryError if
    `op` is `=~` and `value` is not a regular expression. The value of `in` is a `Choices`.
    """
    kind = type(value)
    if op == "=~":
        return _pattern_match(get, value, text)
    if op == "in":
        return being_in(get, value, lambda each: comparison("==", _same, each, text), MISSING)
    if op == "contains":
        return containing(get, value, comparison("==", _same, value, text))
    if kind is Forms:
        tests = [comparison(op, get, form, text) for form in value.forms]
        if op == "!=":
            return lambda record: all(test(record) for test in tests)
        return lambda record: any(test(record) for test in tests)
    if kind is ValueOfForms:
        return _comparison_of_forms(op, get, value, text)
    if kind is bool or value is None:
        return _identity_comparison(op, get, value)
    holds = comparer(op, value)
    if kind is str or kind is int or kind is float or kind is FloatLiteral:
        plain = float(value) if kind is FloatLiteral else value
        return _plain_comparison(op, get, plain, holds)
    if op == "!=":
        return lambda record: (found := get(record)) is MISSING or holds(found)
    return lambda record: (found := get(record)) is not MISSING and holds(found)


def comparison_of_two(op: str) -> Callable[[Any, Any], bool]:
    """The function that tells whether two values of a record compare: `@.spent > @.limit`."""
    operate = OPERATORS[op]

    def holds(left: Any, right: Any) -> bool:
        kind = type(left)
        if kind is type(right) and (kind is str or kind is int or kind is float):
            return bool(operate(left, right))
        return compare(op, left, right)

    return holds


def _same(value: Any) -> Any:
    return value


# -- one function for each kind of value -------------------------------------------------------


def _pattern_match(get: Getter, pattern: Any, text: str) -> Predicate:
    if not isinstance(pattern, str):
        raise QueryError(
            f"{text!r}: =~ takes a regular expression as a str, not {show_value(pattern)}"
        )
    try:
        search = search_of(pattern)
    except (re.error, ValueError, OverflowError, RecursionError) as error:
        raise QueryError(f"{text!r}: {pattern!r} is not a regular expression: {error}") from error

    def test(record: Any) -> bool:
        found = get(record)
        return isinstance(found, str) and search(found) is not None

    return test


def _identity_comparison(op: str, get: Getter, value: bool | None) -> Predicate:
    # JSON's true, false and null are not numbers, and have no order.
    if op == "!=":
        return lambda record: get(record) is not value
    if op in ("<", ">"):
        return lambda _: False
    return lambda record: get(record) is value


def _comparison_of_forms(op: str, get: Getter, value: ValueOfForms, text: str) -> Predicate:
    wanted = op != "!="

    def equal(record: Any) -> bool:
        return attempt(value.__eq__, get(record), False) is wanted

    if op in ("==", "=", "!="):
        return equal
    by_form = comparison(op, get, value.stored, text)  # only one form has an order
    if op in ("<", ">"):
        return by_form
    return lambda record: by_form(record) or equal(record)


def _plain_comparison(op: str, get: Getter, value: Any, unusual: Predicate) -> Predicate:
    """A comparison with a str or a number, which most comparisons are."""
    one, other = (str, str) if type(value) is str else (int, float)
    never = _NEVER_STR if one is str else _NEVER_NUMBER

    # Six functions that differ in one operator. One function that calls operator.gt and the like
    # would make a filter with a single comparison a third slower.
    def equal(record: Any) -> Any:
        found = get(record)
        if (kind := type(found)) is one or kind is other:
            return found == value
        return kind not in never and unusual(found)

    def unequal(record: Any) -> Any:
        found = get(record)
        if (kind := type(found)) is one or kind is other:
            return found != value
        return kind in never or unusual(found)

    def less(record: Any) -> Any:
        found = get(record)
        if (kind := type(found)) is one or kind is other:
            return found < value
        return kind not in never and unusual(found)

    def at_most(record: Any) -> Any:
        found = get(record)
        if (kind := type(found)) is one or kind is other:
            return found <= value
        return kind not in never and unusual(found)

    def greater(record: Any) -> Any:
        found = get(record)
        if (kind := type(found)) is one or kind is other:
            return found > value
        return kind not in never and unusual(found)

    def at_least(record: Any) -> Any:
        found = get(record)
        if (kind := type(found)) is one or kind is other:
            return found >= value
        return kind not in never and unusual(found)

    tests: dict[str, Predicate] = {"==": equal, "=": equal, "!=": unequal, "<": less}
    tests |= {"<=": at_most, ">": greater, ">=": at_least}
    return tests[op]
