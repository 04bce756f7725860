"""How a value in a record compares with the value in a filter: as in jsonpath-ng, only faster.

Values of the types that JSON has are compared by functions made for their type, and by jsonpath-ng
where the record holds something of an unusual type. How values of other types compare is ours to
say, because no literal can be one (see `stones.collections.queries.jsonpath`).
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

from stones.errors import QueryError

from .jsonpath_ng_evaluation import evaluator

Predicate = Callable[[Any], bool]
"""Does this record match?"""

Getter = Callable[[Any], Any]
"""The one value that a path leads to from a record, or MISSING."""


class Missing:
    """The type of MISSING: what a path leads to where there is nothing. It is not None."""


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

# Exact types that neither equal nor order with a str, and with a number.
_NEVER_STR = frozenset({Missing, type(None), bool, int, float, bytes, list, tuple, dict})
_NEVER_NUMBER = frozenset({Missing, type(None), bool, str, bytes, list, tuple, dict})


def comparison(op: str, of: Getter, value: Any, text: str) -> Predicate:
    """Whether what `of` gets of a record compares with `value`, as a function.

    Raises QueryError for a pattern that is no regular expression.
    """
    kind = type(value)
    if op == "=~":
        return _match(of, value, text)
    if kind is bool or value is None:
        return _identity(op, of, value)
    if kind is str or kind is int or kind is float:
        return _plain_comparison(op, of, value, _unusual_comparison(op, value, text))
    holds = _unusual_comparison(op, value, text)
    if op == "!=":
        return lambda record: (found := of(record)) is MISSING or holds(found)
    return lambda record: (found := of(record)) is not MISSING and holds(found)


def _match(of: Getter, pattern: Any, text: str) -> Predicate:
    if not isinstance(pattern, str):
        raise QueryError(f"{text!r}: =~ takes a regular expression as a str, not {pattern!r:.80}")
    try:
        search = re.compile(pattern).search
    except re.error as error:
        raise QueryError(f"{text!r}: {pattern!r} is no regular expression: {error}") from error

    def test(record: Any) -> bool:
        found = of(record)
        return isinstance(found, str) and search(found) is not None

    return test


def _identity(op: str, of: Getter, value: bool | None) -> Predicate:
    # JSON's true, false and null are no numbers, and have no order.
    if op == "!=":
        return lambda record: of(record) is not value
    if op in ("<", ">"):
        return lambda _: False
    return lambda record: of(record) is value


def _plain_comparison(op: str, of: Getter, value: Any, unusual: Predicate) -> Predicate:
    """With a str or a number, which compare with their like: the bulk of all comparisons."""
    one, other = (str, str) if type(value) is str else (int, float)
    never = _NEVER_STR if one is str else _NEVER_NUMBER

    # Six functions that differ in one character: with operator.gt and the like in one function,
    # a filter with a single comparison takes a third longer.
    def equal(record: Any) -> Any:
        found = of(record)
        if (kind := type(found)) is one or kind is other:
            return found == value
        return kind not in never and unusual(found)

    def unequal(record: Any) -> Any:
        found = of(record)
        if (kind := type(found)) is one or kind is other:
            return found != value
        return kind in never or unusual(found)

    def less(record: Any) -> Any:
        found = of(record)
        if (kind := type(found)) is one or kind is other:
            return found < value
        return kind not in never and unusual(found)

    def at_most(record: Any) -> Any:
        found = of(record)
        if (kind := type(found)) is one or kind is other:
            return found <= value
        return kind not in never and unusual(found)

    def greater(record: Any) -> Any:
        found = of(record)
        if (kind := type(found)) is one or kind is other:
            return found > value
        return kind not in never and unusual(found)

    def at_least(record: Any) -> Any:
        found = of(record)
        if (kind := type(found)) is one or kind is other:
            return found >= value
        return kind not in never and unusual(found)

    tests: dict[str, Predicate] = {"==": equal, "=": equal, "!=": unequal, "<": less}
    tests |= {"<=": at_most, ">": greater, ">=": at_least}
    return tests[op]


def _unusual_comparison(op: str, value: Any, text: str) -> Predicate:
    """For all types, but slower. What is compared must not be MISSING."""
    if isinstance(value, bool | int | float | str | list | dict):
        find = evaluator(Expression(This(), op, value), text)
        return lambda found: bool(find(found))

    compare, alike = _OPERATORS[op], _ordered_with(value)

    def holds(found: Any) -> bool:
        try:
            if isinstance(found, alike) and not isinstance(found, bool):
                return bool(compare(found, value))
            equal = not isinstance(found, bool) and bool(found == value)
        except (TypeError, ArithmeticError):  # naive and aware, NaN: no order, and not equal
            equal = False
        return by_equality(op, equal)

    return holds


def _ordered_with(value: Any) -> tuple[type, ...]:
    """The types that have an order with this value, which is of a type that JSON hasn't."""
    if isinstance(value, Decimal):
        return (Decimal, int, float)
    kinds = (datetime, date, time, timedelta, bytes, UUID)
    return next(((kind,) for kind in kinds if isinstance(value, kind)), ())


# -- two values of a record --------------------------------------------------------------------


def between(op: str, text: str) -> Callable[[Any, Any], bool]:
    """Whether two values of a record compare (`@.spent > @.limit`), as a function."""
    compare = _OPERATORS[op]

    def holds(left: Any, right: Any) -> bool:
        kind = type(left)
        if kind is type(right) and (kind is str or kind is int or kind is float):
            return bool(compare(left, right))
        return bool(evaluator(Expression(This(), op, right), text)(left))

    return holds


def by_equality(op: str, equal: bool) -> bool:
    """A comparison of what has no order."""
    if op == "!=":
        return not equal
    return equal and op not in ("<", ">")
