"""What records are sorted by: the fields of an `order_by`, as values.

`Query` makes them, a `Selection` holds them, and `result_order` sorts by them.
"""

from collections.abc import Callable, Sequence
from typing import Any

from attrs import field, frozen

from stones.collections.indexes.encoding import MISSING, encode
from stones.collections.language.comparisons import MISSING as NOT_FOUND
from stones.collections.language.jsonpath_ng_evaluation import Finder
from stones.collections.language.normal_form import Each, Step
from stones.errors import QueryError
from stones.formats.messages import show_value

_COMPLEMENT = bytes(range(255, -1, -1))


@frozen
class SortField:
    """One path that records are sorted by: from low to high unless it is `descending`."""

    text: str
    """The path in one spelling, whatever the caller's was: `address.city`."""
    descending: bool
    steps: tuple[Step, ...] | None = field(eq=False)
    """Its steps, if it is made of names and places only. An index may have the same path."""
    find: Finder = field(eq=False, repr=False)
    """Lists the value that the path leads to in a record, or nothing."""

    def encoded(self, record: Any) -> bytes:
        """The value of a record as bytes whose order is the order of this field.

        No encoding is the beginning of another one, so several may stand in a row.
        """
        found = self.find(record)
        return self.of_value(found[0] if found else MISSING)

    def of_value(self, value: Any) -> bytes:
        """The bytes of a value, or of MISSING."""
        raw = encode(value)
        return raw.translate(_COMPLEMENT) if self.descending else raw


def split_direction(name: Any) -> tuple[str, bool]:
    """The path of a name that is given to `order_by`, and whether a `-` stands before it.

    >>> split_direction('-age')
    ('age', True)
    """
    if not isinstance(name, str):
        raise QueryError(f"order_by() takes paths such as 'age' or '-age', not {show_value(name)}")
    text = name.strip()
    return (text[1:], True) if text.startswith("-") else (text, False)


def path_text(path: Sequence[Step]) -> str:
    """A path of names and places in one spelling.

    >>> path_text(('address', 'city')), path_text(('a b', 0))
    ('address.city', '["a b"][0]')
    """
    text = "".join(map(_step_text, path))
    return text.removeprefix(".")


def _step_text(step: Step) -> str:
    if isinstance(step, Each):
        return "[*]"
    if isinstance(step, int):
        return f"[{step}]"
    if step.isidentifier():
        return f".{step}"
    escaped = step.replace("\\", "\\\\").replace('"', '\\"')
    return f'["{escaped}"]'


Place = Callable[[bytes, Any], bytes]
"""Gives the place of a record in an order, of its key without the prefix, and its dict."""


def place_of_values(fields: Sequence[SortField]) -> Place:
    """The same of the values that the fields lead to, instead of the dict.

    What a field does not lead to is `comparisons.MISSING`. More values may follow.
    """
    encoders = [each.of_value for each in fields]
    if len(encoders) == 1:
        (encode_only,) = encoders
        return lambda key, values: (
            encode_only(MISSING if (value := values[0]) is NOT_FOUND else value) + key
        )

    def place(key: bytes, values: Sequence[Any]) -> bytes:
        known = [MISSING if value is NOT_FOUND else value for value in values[: len(encoders)]]
        return (
            b"".join([encode(value) for encode, value in zip(encoders, known, strict=True)]) + key
        )

    return place


def place_of(fields: Sequence[SortField]) -> Place:
    """The function that gives the places of records: bytes that sort as the records do.

    A place is the encoded values of the fields, and then the key. No two records have the same.
    """
    match fields:
        case []:
            return lambda key, _: key
        case [only]:
            return lambda key, record: only.encoded(record) + key
        case _:
            encoders = [each.encoded for each in fields]
            return lambda key, record: b"".join([encode(record) for encode in encoders]) + key
