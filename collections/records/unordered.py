"""Values with a set or a dict inside that is stored as a list.

A set of records is stored as a list of dicts, and a dict with such keys as a list of pairs. The
order of the list means nothing. So two stored forms of one value may differ, and a query must not
compare them as lists.
"""

from functools import lru_cache
from typing import Any

from .conversion import Conversion, MisfitError


def comparable(kind: Conversion, stored: Any) -> Any:
    """A value that equals each stored form of the value that `stored` is one form of."""
    return UnorderedValue(kind, stored) if _has_unordered(kind) else stored


class UnorderedValue:
    """Equals all stored values that are read as the same value. It has no order with any."""

    def __init__(self, kind: Conversion, stored: Any) -> None:
        self._kind = kind
        self._stored = stored
        self._value = kind.load(stored)

    def __eq__(self, found: object) -> bool:
        if found == self._stored:
            return True
        try:
            return bool(self._kind.load(found) == self._value)
        except MisfitError:
            return False

    __hash__ = None  # type: ignore[assignment]  # mypy wants a hash of every class

    def __repr__(self) -> str:
        return repr(self._value)


@lru_cache(1024)  # a class may have many fields
def _has_unordered(kind: Conversion) -> bool:
    seen: set[Conversion] = set()
    waiting = [kind]
    while waiting:
        each = waiting.pop()
        if each.is_unordered:
            return True
        if each not in seen:
            seen.add(each)
            waiting += [*each.members, *each.items, *(each.fields or {}).values()]
    return False
