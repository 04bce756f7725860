"""Arrays: a list, a tuple, a set and a frozenset are one kind of value in a JSONPath.

JSON has lists only. A set has no order, and Python gives its items in another order in each
process. So wherever the order shows, `in_order` gives the items of a set in one fixed order.

`nodes`, `ordering` and `predicates` ask for the items.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from .failures import attempt

SETS = (set, frozenset)
ARRAYS = (list, tuple, *SETS)

# Python orders two values of one of these types, with few exceptions. It orders two frozensets
# by inclusion, which is no order to sort by.
_SORTABLE = frozenset({str, int, bytes, date, datetime, time, timedelta, UUID})


def items(array: Any) -> Sequence[Any]:
    """The items of an array, in order. An array that is no set is given back itself."""
    return in_order(array) if isinstance(array, SETS) else array


def in_order(values: AbstractSet[Any]) -> list[Any]:
    """The items of a set in an order that is the same in every process. Costs O(n log n).

    Items of one type have the order of Python. Others are sorted by their types first.

    >>> in_order({3, 1, 2}), in_order({'b', 1, 'a', 0.5})
    ([1, 2, 3], [0.5, 1, 'a', 'b'])
    """
    kinds = {*map(type, values)}
    if len(kinds) == 1 and kinds <= _SORTABLE:
        try:
            return sorted(values)
        except TypeError:  # a naive and an aware datetime
            pass
    return sorted(values, key=_sort_key)


def as_lists(value: Any) -> Any:
    """The same value, with a list in the place of each array, to any depth."""
    if isinstance(value, ARRAYS):
        return [as_lists(inside) for inside in items(value)]
    if type(value) is dict:
        return {name: as_lists(inside) for name, inside in value.items()}
    return value


def _sort_key(item: Any) -> tuple[str, Any]:
    """A key that has an order with the key of any other item."""
    if isinstance(item, str):
        return "str", str(item)
    if isinstance(item, int | float | Decimal) and not isinstance(item, bool) and item == item:
        return "number", item
    if isinstance(item, tuple):
        return "tuple", [_sort_key(inside) for inside in item]
    if isinstance(item, frozenset):
        return "frozenset", sorted(map(_sort_key, item))
    return type(item).__name__, attempt(repr, item, "")
