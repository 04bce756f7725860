"""How a value in a record compares with the value in a filter.

jsonpath-ng decides how values of the types of JSON compare. Functions made for one type do the same
here, faster. If a record holds a value of an unusual type, jsonpath-ng compares it. A caller's
value (`{name}`, see `parsing`) may be of a type that no literal has. It compares like this:

- None, a bool, int, float, str, list or dict compares as the same literal does. A bool is not a
  number. Only two numbers or two strings have an order. Between all others, `<=` and `>=` mean
  `==`, and `<` and `>` are false.
- A date, datetime, time, timedelta, bytes or UUID has the order of Python with values of its own
  type. A Decimal has it with all numbers. Two values that Python cannot order, such as a naive and
  an aware datetime, have no order here either, and are not equal.
- A value of any other type (a set, a tuple) has `==` and `!=` only, as in Python.

So a literal number equals a stored Decimal of the same value, but has no order with it, as in
jsonpath-ng. Bind a Decimal to compare with stored Decimals: `find('$[?(@.price < {limit})]',
limit=Decimal('9.90'))`.

`predicates` and `syntax_tree` ask for the functions.
"""

import operator
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from jsonpath_ng.ext.filter import Expression
from jsonpath_ng.jsonpath import This

from stones.collections.records.unordered import UnorderedValue
from stones.errors import QueryError

from .jsonpath_ng_evaluation import evaluator

Predicate = Callable[[Any], bool]
"""Tells whether a record matches."""

Getter = Callable[[Any], Any]
"""Gets the one value that a path leads to from a record, or MISSING."""


class Missing:
    """The type of MISSING, the result of a path that leads nowhere. A path may lead to None."""


MISSING = Missing()

_OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

# Exact types that never equal a str and have no order with it; and the same for a number.
_NEVER_STR = frozenset({Missing, type(None), bool, int, float, bytes, list, tuple, dict})
_NEVER_NUMBER = frozenset({Missing, type(None), bool, str, bytes, list, tuple, dict})


def comparison(op: str, get: Getter, value: Any, text: str) -> Predicate:
    """The function that compares what `get` gets from a record with `value`.

    `op` is the operator of JSONPath. `text` is the whole path, for errors. Raises QueryError if
    `op` is `=~` and `value` is not a regular expression.
    """
    kind = type(value)
    if op == "=~":
        return _pattern_match(get, value, text)
    if kind is UnorderedValue:
        return _unordered_comparison(op, get, value)
    if kind is bool or value is None:
        return _identity_comparison(op, get, value)
    if kind is str or kind is int or kind is float:
        return _plain_comparison(op, get, value, _unusual_comparison(op, value, text))
    holds = _unusual_comparison(op, value, text)
    if op == "!=":
        return lambda record: (found := get(record)) is MISSING or holds(found)
    return lambda record: (found := get(record)) is not MISSING and holds(found)


def comparison_of_two(op: str, text: str) -> Callable[[Any, Any], bool]:
    """The function that tells whether two values of a record compare: `@.spent > @.limit`."""
    compare = _OPERATORS[op]

    def holds(left: Any, right: Any) -> bool:
        kind = type(left)
        if kind is type(right) and (kind is str or kind is int or kind is float):
            return bool(compare(left, right))
        return bool(evaluator(Expression(This(), op, right), text)(left))

    return holds


def compare_without_order(op: str, equal: bool) -> bool:
    """The result of `op` for two values without an order; `equal` tells if they are equal."""
    if op == "!=":
        return not equal
    return equal and op not in ("<", ">")


# -- one function for each kind of value -------------------------------------------------------


def _pattern_match(get: Getter, pattern: Any, text: str) -> Predicate:
    if not isinstance(pattern, str):
        raise QueryError(f"{text!r}: =~ takes a regular expression as a str, not {pattern!r:.80}")
    try:
        search = re.compile(pattern).search
    except re.error as error:
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


def _unordered_comparison(op: str, get: Getter, value: UnorderedValue) -> Predicate:
    if op in ("<", ">"):
        return lambda _: False
    wanted = op != "!="
    return lambda record: (value == get(record)) is wanted


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


def _unusual_comparison(op: str, value: Any, text: str) -> Predicate:
    """The comparison for values of all types. It is slower. The value must not be MISSING."""
    if isinstance(value, bool | int | float | str | list | dict):
        find = evaluator(Expression(This(), op, value), text)
        return lambda found: bool(find(found))

    compare, comparable = _OPERATORS[op], _types_ordered_with(value)

    def holds(found: Any) -> bool:
        try:
            if isinstance(found, comparable) and not isinstance(found, bool):
                return bool(compare(found, value))
            equal = not isinstance(found, bool) and bool(found == value)
        except (TypeError, ArithmeticError):  # a naive and an aware datetime, a NaN: not equal
            equal = False
        return compare_without_order(op, equal)

    return holds


def _types_ordered_with(value: Any) -> tuple[type, ...]:
    """The types that have an order with this value. JSON does not have the type of the value."""
    if isinstance(value, Decimal):
        return (Decimal, int, float)
    kinds = (datetime, date, time, timedelta, bytes, UUID)
    return next(((kind,) for kind in kinds if isinstance(value, kind)), ())
