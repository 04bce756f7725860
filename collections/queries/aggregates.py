"""Aggregates: one value of many. `sum`, `mean`, `min`, `max` and `count`, and distinct values.

Each takes the values one by one, in constant memory. None is no value to an aggregate, and a path
that leads nowhere gives it none.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from decimal import Decimal
from typing import Any, Final, Protocol

from stones.collections.indexes.encoding import OTHER, encode
from stones.collections.language.arithmetic import is_number
from stones.collections.records.registered import are_equal

from .exact_sums import ExactSum


class UnfitValueError(Exception):
    """A value that an aggregate cannot take. The text says why. The caller knows the record."""


class Aggregate(Protocol):
    """Takes values one by one, and has a result at any time."""

    def add(self, value: Any) -> None:
        """Take a value, which is not None. Raises UnfitValueError."""

    def result(self) -> Any:
        """The result for the values so far."""


class Count:
    """How many values there are."""

    def __init__(self) -> None:
        self._count = 0

    def add(self, value: Any) -> None:
        self._count += 1

    def result(self) -> int:
        return self._count


class Sum:
    """The sum of numbers; 0 if there are none."""

    def __init__(self) -> None:
        self._sum = ExactSum()

    def add(self, value: Any) -> None:
        if not is_number(value):
            raise UnfitValueError("is no number")
        self._sum.add(value)

    def result(self) -> float | Decimal:
        return self._sum.total()


class Mean(Sum):
    """The mean of numbers; None if there are none."""

    def result(self) -> Any:
        return self._sum.mean()


class Lowest:
    """The value that comes first in the order of `encode`; the first of equal ones.

    None if there is no value.
    """

    _HIGHEST = False

    def __init__(self) -> None:
        self._value: Any = None
        self._encoded: bytes | None = None

    def add(self, value: Any) -> None:
        encoded = encode(value)
        if encoded == OTHER:
            raise UnfitValueError("has no order")
        before = self._encoded
        if before is None or (encoded > before if self._HIGHEST else encoded < before):
            self._value, self._encoded = value, encoded

    def result(self) -> Any:
        return self._value


class Highest(Lowest):
    """The value that comes last in the order of `encode`; the first of equal ones."""

    _HIGHEST = True


AGGREGATES: Final[Mapping[str, Callable[[], Aggregate]]] = {
    "count": Count,
    "sum": Sum,
    "mean": Mean,
    "min": Lowest,
    "max": Highest,
}


def distinct(values: Iterable[Any]) -> list[Any]:
    """The different values, in the order of `encode`. Of equal values the first one stays.

    >>> distinct(['b', 2, None, 'a', 2.0, True])
    [None, True, 2, 'a', 'b']
    """
    found: dict[Hashable, Any] = {}
    for value in values:
        found.setdefault(identity(value), value)
    return sorted(found.values(), key=encode)


def identity(value: Any) -> Hashable:
    """What equal values have in common, and no others: numbers by value, a bool is no number.

    >>> identity(1) == identity(1.0), identity(1) == identity(True)
    (True, False)
    >>> identity([1, {'a': 2}]) == identity((1.0, {'a': 2}))
    True
    """
    if isinstance(value, str):
        return str.__str__(value)
    encoded = encode(value)
    if encoded != OTHER:
        return encoded
    if isinstance(value, list | tuple):
        return "list", tuple(map(identity, value))
    if isinstance(value, set | frozenset):
        return "set", frozenset(map(identity, value))
    if isinstance(value, dict):
        return "dict", frozenset((identity(key), identity(item)) for key, item in value.items())
    return _ByEquality(value)


class _ByEquality:
    """A value of a registered type, which may have no hash, or an `==` that gives an array."""

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        self._value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByEquality) and are_equal(self._value, other._value)

    def __hash__(self) -> int:
        try:
            return hash(self._value)
        except Exception:  # noqa: BLE001  # a class of the user's own may raise anything
            return hash(type(self._value))
