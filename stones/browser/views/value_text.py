"""One value as text for a page: its type by name, and what it is, cut where it is long.

`value_tree` shows a value with its parts, `cells` a value in a cell of a table.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

from stones.formats.messages import show
from stones.formats.registered_types import UnknownValue

from .texts import printable

_LONGEST_INT = 4000  # Python refuses more digits, because they take long


def type_name(value: Any) -> str:
    """The name of a value's type, as a page shows it.

    >>> from datetime import date
    >>> type_name(date(2020, 1, 31)), type_name(()), type_name(None)
    ('date', 'tuple', 'None')
    """
    if value is None:
        return "None"
    if type(value) is UnknownValue:
        return printable(f"unknown type {value.name}", 100)
    return printable(type(value).__name__, 100)


def plain_text(value: Any, most: int, *, lines: bool = False) -> str | None:
    r"""The text of a value that has no parts, at most `most` characters and a `…`.

    None for a value of another type: `any_text` has a short text for every value.

    >>> plain_text('ada', 10), plain_text(b'\xff', 10), plain_text([1], 10)
    ('ada', "b'\\xff'", None)
    """
    kind = type(value)
    if kind is str:
        return printable(value, most, lines=lines)
    if kind is bytes:
        text = repr(value[:most])
        return text if len(value) <= most else f"{text}…"
    form = _FORMS.get(kind)
    return None if form is None else printable(form(value), most)


def any_text(value: Any, most: int) -> str:
    """A text for any value, in one line. It never fails.

    >>> any_text({'a': (1, 2)}, 50)
    "{'a': (1, 2)}"
    """
    text = plain_text(value, most)
    return printable(show(value), most) if text is None else text


def _int(value: int) -> str:
    digits = value.bit_length() * 3 // 10
    if digits < _LONGEST_INT:
        return str(value)
    return f"about {digits:,} digits, {hex(value)[:60]}…"


_FORMS: Mapping[type, Callable[[Any], str]] = {
    type(None): lambda _: "None",
    bool: str,
    int: _int,
    float: repr,
    Decimal: str,
    UUID: str,
    date: date.isoformat,
    datetime: lambda value: value.isoformat(" "),
    time: time.isoformat,
}
