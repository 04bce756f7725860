"""The default of a field as a stored value, if it is always the same.

A collection keeps the default that a field had when it was added (`stones.collections.shapes`).
"""

import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from stones.errors import SerializerError
from stones.formats import json_serializer

from .fields import Field
from .parts import stable_text

COMPUTED: Any = object()
"""Stands for a default that depends on the record. The class computes it for each record."""
VOLATILE: Any = object()
"""Stands for a default that is another value each time: `factory=uuid4`."""


def constant_default(cls: type, field: Field) -> Any:
    """The stored value of the default of a field of `cls`. COMPUTED or VOLATILE without one.

    A constant and an empty container (`factory=list`) are always the same. Any other factory is
    called several times within some milliseconds, to see whether its value changes. A default that
    depends on the record gives COMPUTED. A field without a default gives COMPUTED too.
    """
    make_default = field.make_default
    if make_default is None:
        return COMPUTED
    if not field.is_argument and any(
        hasattr(cls, hook) for hook in ("__attrs_post_init__", "__post_init__")
    ):
        return COMPUTED  # the constructor does not take it, so it is there to be computed
    dump, load = field.conversion_of_given().dump, field.conversion.load
    # A converter may compute too: `default_if_none(factory=uuid4)`.
    may_change = field.has_factory or field.converter is not None
    try:
        stored = dump(make_default())
        if may_change:
            changes = _changes(stored, lambda: dump(make_default()))
            if changes or (field.has_factory and _is_now(stored)):
                return VOLATILE
        is_constant = _are_equal(stored, dump(load(stored)))
    except Exception:  # noqa: BLE001  # a converter may raise anything
        return COMPUTED
    return stored if is_constant else COMPUTED


def is_volatile(make: Callable[[], Any]) -> bool:
    """Whether a function gives another value each time. It is called several times.

    >>> from uuid import uuid4
    >>> is_volatile(uuid4), is_volatile(list)
    (True, False)
    """
    value = make()
    return _is_now(value) or _changes(value, make)


def _changes(value: Any, make: Callable[[], Any]) -> bool:
    """Whether a function gives another value than this one, which it gave just now."""
    time.sleep(_CLOCK_STEP)
    return not all(_are_equal(value, make()) for _ in range(_CALLS))


_CLOCK_STEP = 0.002
"""Seconds between two calls of a factory, so that one which reads a clock gives another value."""
_CALLS = 4
"""How often a factory is called again. A factory that draws lots may give a value twice."""


def _are_equal(one: Any, other: Any) -> bool:
    # Compared as texts, because NaN does not equal itself. An object of a registered type may have
    # another text each time, but it is packed to the same bytes.
    return stable_text(one) == stable_text(other) or _packed(one) == _packed(other)


def _packed(value: Any) -> bytes | object:
    try:
        return json_serializer.encode(value)
    except (SerializerError, RecursionError):
        return object()


def _is_now(value: Any) -> bool:
    """Whether a value is of this moment, though a clock of seconds or days gives it twice."""
    now = datetime.now(UTC)
    here = now.astimezone().replace(tzinfo=None)
    if isinstance(value, datetime):
        moments = (now,) if value.tzinfo else (here, now.replace(tzinfo=None))
        return any(abs(moment - value) < timedelta(seconds=2) for moment in moments)
    if isinstance(value, date):
        return value in (here.date(), now.date())
    return type(value) in (int, float) and abs(value - now.timestamp()) < 2
