"""Values that have several stored forms, which are all read as the same value.

A query must not compare their stored forms only. Such values are:

- a set of records, stored as a list of dicts in any order, and a dict with such keys;
- a registered type, stored as the packed value or, in a field of several types, as the value;
- a record inside a record, with fields that the class does not know and keeps.
"""

from functools import lru_cache
from typing import Any

from .conversion import Conversion, MisfitError
from .plain_values import ATOMS
from .registered import are_equal


def comparable(kind: Conversion, stored: Any) -> Any:
    """A value that equals each stored form of the value that `stored` is one form of."""
    return ValueOfForms(kind, stored) if _has_forms(kind) else stored


class ValueOfForms:
    """Equals all stored values that are read as the same value."""

    def __init__(self, kind: Conversion, stored: Any) -> None:
        self._kind = kind
        self.stored = stored
        """The form that the class stores now."""
        self._value = kind.load(stored)

    def __eq__(self, found: object) -> bool:
        kind = type(self.stored)
        if type(found) is kind and kind in ATOMS:  # for speed: two packed values, as they are
            return bool(found == self.stored)
        if isinstance(found, bool) is not (kind is bool):
            return False
        part = self._kind.part
        known = found if part is None else part.completed(found, True)
        if are_equal(known, self.stored):
            return True
        try:
            return are_equal(self._kind.load(found), self._value)
        except MisfitError:
            return False

    __hash__ = None  # type: ignore[assignment]  # mypy wants a hash of every class

    def __repr__(self) -> str:
        return repr(self._value)


@lru_cache(1024)  # a class may have many fields
def _has_forms(kind: Conversion) -> bool:
    seen: set[Conversion] = set()
    waiting = [kind]
    while waiting:
        each = waiting.pop()
        if each.has_forms:
            return True
        if each not in seen:
            seen.add(each)
            waiting += [*each.members, *each.items, *(each.fields or {}).values()]
    return False
