"""How any two values compare: equality, and the order where there is one.

- Numbers compare by value (see `arithmetic`), texts as in Python.
- A date, datetime, time, timedelta, bytes or UUID has the order of Python with values of its own
  type.
- Two arrays are equal if their items are, one by one. If one of them is a set, the order of the
  items does not count. Two dicts are equal if their fields are. None and a bool equal themselves.
- Values of all other types are equal as in Python. Two arrays of numpy are equal if they are
  stored alike.
- All values without an order: `<=` and `>=` mean `==`, and `<` and `>` are false. Two values that
  Python cannot compare, such as a naive and an aware datetime, are not equal.

For the types of JSON, jsonpath-ng compares in the same way. `comparisons` has the faster functions
for one known value, and `nodes` compares with these.
"""

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from stones.collections.records.registered import are_equal

from .arithmetic import OPERATORS, compare_numbers, exact, is_number
from .arrays import ARRAYS, SETS
from .failures import attempt

_KINDS = (datetime, date, time, timedelta, bytes, UUID)


def compare(op: str, left: Any, right: Any) -> bool:
    """Whether two values compare so. Never raises an error.

    >>> compare('==', {1, 2}, [2, 1]), compare('==', [1], [True]), compare('<=', 'a', 1)
    (True, False, False)
    """
    plain = type(left)
    if plain is type(right) and (plain is int or plain is str or plain is float):
        return bool(OPERATORS[op](left, right))
    if is_number(left) and is_number(right):
        return compare_numbers(op, left, right)
    if isinstance(left, str) and isinstance(right, str):
        return bool(OPERATORS[op](left, right))
    kind = _kind(left)
    if kind is not None and _kind(right) is kind:
        return _compare_by_python(op, left, right)
    return compare_without_order(op, equal(left, right))


def comparer(op: str, value: Any) -> Callable[[Any], bool]:
    """`compare` with a fixed value on the right."""
    kind = _kind(value)
    if kind is not None:
        return lambda found: (
            _compare_by_python(op, found, value)
            if _kind(found) is kind
            else compare_without_order(op, equal(found, value))
        )
    if not is_number(value) or (decimal := exact(value)).is_nan():
        return lambda found: compare(op, found, value)
    operate = OPERATORS[op]
    return lambda found: (
        operate(found, decimal)
        if type(found) is Decimal and not found.is_nan()
        else compare(op, found, value)
    )


def compare_without_order(op: str, equal: bool) -> bool:
    """The result of `op` for two values without an order; `equal` tells if they are equal."""
    if op == "!=":
        return not equal
    return equal and op not in ("<", ">")


def equal(left: Any, right: Any) -> bool:
    """Whether two values are equal, to any depth. Never raises an error."""
    pairs = [(left, right)]
    while pairs:
        left, right = pairs.pop()
        if isinstance(left, bool) or isinstance(right, bool):
            same = left is right
        elif is_number(left) and is_number(right):
            same = compare_numbers("==", left, right)
        elif isinstance(left, ARRAYS) and isinstance(right, ARRAYS):
            same = len(left) == len(right)
            if isinstance(left, SETS) or isinstance(right, SETS):
                same = same and attempt(_have_the_same_items, (left, right), False)
            else:
                pairs.extend(zip(left, right, strict=False))
        elif isinstance(left, dict) and isinstance(right, dict):
            same = left.keys() == right.keys() and {*map(_key, left)} == {*map(_key, right)}
            if same:
                pairs.extend((value, right[key]) for key, value in left.items())
        elif isinstance(left, (*ARRAYS, dict)) or isinstance(right, (*ARRAYS, dict)):
            same = False
        else:
            same = attempt(_are_equal_in_python, (left, right), False)
        if not same:
            return False
    return True


def _kind(value: Any) -> type | None:
    """The type of the values that this value has an order with. JSON does not have the type."""
    return next((kind for kind in _KINDS if isinstance(value, kind)), None)


def _compare_by_python(op: str, left: Any, right: Any) -> bool:
    try:
        return bool(OPERATORS[op](left, right))
    except (TypeError, ValueError, OverflowError):  # a naive and an aware datetime
        return op == "!="


def _are_equal_in_python(pair: tuple[Any, Any]) -> bool:
    return are_equal(*pair)


def _have_the_same_items(pair: tuple[Any, Any]) -> bool:
    left, right = pair
    return {*map(_key, left)} == {*map(_key, right)}


def _key(item: Any) -> Any:
    """A value to look up an item of a set by. Equal items, and no others, have equal keys."""
    if isinstance(item, bool):
        return "bool", item
    if is_number(item):
        return item if item == item else object()
    if isinstance(item, SETS):
        return "set", frozenset(map(_key, item))
    if isinstance(item, list | tuple):
        return "list", tuple(map(_key, item))
    return item
