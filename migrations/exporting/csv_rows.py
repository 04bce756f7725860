"""CSV as RFC 4180 and spreadsheets have it: UTF-8, commas, CRLF, a header.

None, no value      an empty cell
bool                true, false
str                 itself
int, float          as Python writes it; nan, inf
Decimal, UUID       its text
date, datetime, time    ISO 8601
timedelta           the seconds
bytes               base64
everything else     JSON: a list, a tuple and a set as an array, a dict as an object
"""

import csv
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from io import StringIO
from types import NoneType
from typing import Any
from uuid import UUID

import msgspec

from stones.collections.indexes.encoding import MISSING
from stones.collections.language.arrays import in_order
from stones.formats.json_serializer import are_plain, encode, encode_lines, is_plain

from .columns import columns_of
from .sources import Picked, Source

Write = Callable[[bytes], object]


def write_csv(source: Source, picked: Picked | None, write: Write) -> Iterator[int]:
    """Write the rows. Gives, now and then, how many more were written."""
    columns = columns_of(source, picked)
    text = StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns.names)

    def flush() -> None:
        write(text.getvalue().encode("utf-8", "surrogatepass"))
        text.seek(0)
        text.truncate()

    for page in columns.pages(source):
        writer.writerows(zip(*map(_texts, page), strict=True))
        flush()
        yield len(page[0])
    flush()


def _texts(column: Sequence[Any]) -> Iterable[str]:
    """The texts of the cells of a column. In most columns all values have the same type."""
    kinds = {*map(type, column)}
    if len(kinds) > 1:
        return map(cell_text, column)
    (kind,) = kinds
    if kind is str or kind is float:  # the writer has floats as `repr` does
        return column
    if kind is int:
        return _ints(column)
    return map(_FORMS[kind], column) if kind in _FORMS else _jsons(column)


def cell_text(value: Any) -> str:
    """The text of a value in a cell."""
    form = _FORMS.get(type(value))
    return _json(value) if form is None else form(value)


def _ints(column: Sequence[int]) -> Iterable[str]:
    try:
        return [*map(str, column)]
    except ValueError:
        return map(_int, column)


def _int(value: int) -> str:
    try:
        return str(value)
    except ValueError:  # Python limits the digits
        return str(Decimal(value))


def _jsons(column: Sequence[Any]) -> Iterable[str]:
    """The JSON of values, as `_json` has it. Plain values are encoded by one call."""
    if are_plain(column):
        try:
            return encode_lines(column).decode().split("\n")[: len(column)]
        except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError):
            pass
    return map(_json, column)


def _json(value: Any) -> str:
    try:
        return msgspec.json.encode(value if is_plain(value) else _plain(value)).decode()
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError):
        return encode(value).decode("utf-8", "replace")  # tagged, where JSON has no form


def _plain(value: Any) -> Any:
    kind = type(value)
    if kind in _PLAIN:
        return value
    if isinstance(value, Mapping):
        return {str(key) if type(key) is not str else key: _plain(x) for key, x in value.items()}
    if isinstance(value, set | frozenset):
        return [_plain(item) for item in in_order(value)]
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    form = _FORMS.get(kind)
    if form is None:
        raise TypeError
    return form(value)


_PLAIN = (str, int, float, bool, NoneType)
_FORMS: Mapping[Any, Callable[[Any], str]] = {
    type(MISSING): lambda _: "",
    NoneType: lambda _: "",
    bool: lambda value: "true" if value else "false",
    str: lambda value: value,
    int: _int,
    float: repr,
    Decimal: str,
    UUID: str,
    date: date.isoformat,
    datetime: datetime.isoformat,
    time: time.isoformat,
    timedelta: lambda value: repr(value.total_seconds()),
    bytes: lambda value: b64encode(value).decode(),
}
"""The text of the values of each type that is not JSON in a cell."""
