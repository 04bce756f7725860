"""The operators that are words: `in` and `contains`, which jsonpath-ng does not know.

Both mean what `==` means, for several values. `@.a in [x, y]` is `@.a == x || @.a == y`, and
`@.a contains x` is true if an item of the array equals `x`. In a text, `contains` finds a text.

`tokens` reads them, `nodes` evaluates them in the slow way, and `comparisons` with the functions
that are made here for the values of one query.
"""

from collections.abc import Callable, Iterable
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from attrs import frozen

from stones.errors import QueryError
from stones.formats.messages import show_value

from .arithmetic import FloatLiteral, exact
from .arrays import ARRAYS
from .ordering import compare

WORDS = frozenset({"in", "contains"})

Test = Callable[[Any], Any]
"""Tells whether a value, which is not missing, passes. The result counts as true or false."""


@frozen
class Choices:
    """The values behind `in`."""

    values: tuple[Any, ...]


def choices(given: Any, convert: Callable[[Any], Any], text: str) -> Choices:
    """The values that a caller gives for the placeholder behind `in`, each of them converted.

    Takes any iterable. Raises QueryError as `check_choices` does. `text` is for errors.
    """
    check_choices(given, f"{text!r}: in")
    return Choices(tuple(map(convert, given)))


def check_choices(given: object, owner: str) -> None:
    """Raise QueryError for what is no iterable, and for a str or bytes: no letters are meant.

    `owner` is what takes the values, for the error.
    """
    if isinstance(given, str | bytes | bytearray | memoryview):
        raise QueryError(
            f"{owner} takes a list of values, not one value, {show_value(given)}: pass a list "
            "of values, or write == for in"
        )
    if not isinstance(given, Iterable):
        raise QueryError(
            f"{owner} takes a list of values, not {show_value(given)}: any iterable will do"
        )


def compare_by_word(op: str, found: Any, value: Any) -> bool:
    """Whether `found in value`, or `found contains value`. The value of `in` is a `Choices`.

    >>> compare_by_word('in', 1.0, Choices((1, 'a'))), compare_by_word('in', True, Choices((1,)))
    (True, False)
    >>> compare_by_word('contains', {'a', 'b'}, 'a'), compare_by_word('contains', 'navy', 'av')
    (True, True)
    """
    if op == "in":
        return any(compare("==", found, each) for each in value.values)
    if isinstance(found, ARRAYS):
        return any(compare("==", item, value) for item in found)
    return isinstance(found, str) and isinstance(value, str) and value in found


def containing(get: Test, value: Any, equals: Test) -> Test:
    """`contains` with this value on the right, for what `get` gets from a record.

    `equals` tells whether an item equals the value.
    """
    is_text = type(value) is str

    def contains(record: Any) -> bool:
        found = get(record)
        if type(found) is str or not isinstance(found, ARRAYS):
            return isinstance(found, str) and isinstance(value, str) and value in found
        if is_text:
            try:
                return value in found
            except Exception:  # noqa: BLE001  # `==` of the user's own types may raise anything
                pass
        return any(map(equals, found))

    return contains


_CONTAINERS = frozenset({list, tuple, dict, set, frozenset})


def being_in(get: Test, chosen: Choices, equality: Callable[[Any], Test], missing: object) -> Test:
    """`in` with these values on the right, for what `get` gets from a record.

    `equality` makes the function for one value. `missing` is what `get` returns where there is no
    value. Costs O(1) a test for values of the usual types, however many there are.
    """
    hashed, simple, others = _by_type(chosen)
    decimals, hashed[type(missing)] = hashed[Decimal], set()
    tests = [equality(value) for value in others]

    def is_in(record: Any) -> bool:
        found = get(record)
        kind = type(found)
        known = hashed.get(kind)
        if known is not None:
            if known is decimals and found.is_nan():  # a signaling NaN has no hash
                return False
            if found in known:
                return True
        elif kind not in _CONTAINERS and any(compare("==", found, value) for value in simple):
            return True
        return bool(tests) and any(equals(found) for equals in tests)

    return is_in


def _by_type(chosen: Choices) -> tuple[dict[type, set[Any]], list[Any], list[Any]]:
    """The values to look up a found value in by its exact type; those values; all other values."""
    # Python finds equal numbers of different types in a set. But a literal such as 0.1 is another
    # number for a float than for a Decimal. So there is a set for each of the two.
    numbers: set[Any] = set()
    hashed: dict[type, set[Any]] = {
        kind: set() for kind in (str, bytes, UUID, date, bool, type(None), Decimal)
    }
    hashed |= {int: numbers, float: numbers}
    simple: list[Any] = []
    others: list[Any] = []
    for value in chosen.values:
        kind = type(value)
        if kind in (int, float, FloatLiteral, Decimal):
            decimal = value if kind is int else exact(value)
            if kind is int or not decimal.is_nan():  # a NaN equals nothing
                numbers.add(float(value) if kind is FloatLiteral else value)
                hashed[Decimal].add(decimal)
                simple.append(value)
        elif kind in hashed:
            hashed[kind].add(value)
            simple.append(value)
        else:
            others.append(value)
    return hashed, simple, others
