"""Values of files that have fewer types than Python, such as JSON, as a class stores them.

JSON has no dates. So a file of another program holds the text of a date, and the class says that
it is a date. The functions here make the stored value of such a form, where nothing is lost. Any
other value stays as it is. Then the conversion of the class refuses it, with the path to it.

What JSON becomes, by the annotation:

    date               ISO 8601 text of a date; a datetime at midnight UTC
    datetime, time     ISO 8601 text, to the microsecond; a datetime needs its time
    Decimal            text, an int, and a number of JSON as it is written in the file
    UUID               its text
    int                a float without a fraction, up to 2 ** 53
    tuple, set, ...    an array
    dict[int, ...]     the keys, which JSON has as text
    a set of records, a dict with other keys   the list that stones stores

`text_forms` has the forms of the text in cells of CSV.
"""

import math
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, Self
from uuid import UUID

from stones.errors import RecordError
from stones.formats.messages import show

from .class_tag import TAG
from .classes import Schema
from .conversion import Conversion, Convert
from .plain_values import ANYTHING, ATOMS, NONE


class JsonFloat(float):
    """A number of JSON with a fraction or an exponent, and how the file writes it."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Self:
        made = super().__new__(cls, text)
        made.text = text
        return made


def finite_float(text: str) -> float:
    """The float of a number in JSON. Raises RecordError (a ValueError) if it is too large."""
    number = float(text)
    if math.isinf(number):
        raise RecordError(f"the number {show(text)} is out of the range of float")
    return number


def from_json(conversion: Conversion) -> Convert | None:
    """The function that makes the stored value of what JSON gives. None if all stays as it is.

    It changes the dicts of classes in place.
    """
    return Forms(has_decimals(conversion)).of(conversion)


def has_decimals(conversion: Conversion) -> bool:
    """Whether a Decimal may be in the stored values: then the text of numbers matters."""
    seen: set[Conversion] = set()
    waiting = [conversion]
    while waiting:
        each = waiting.pop()
        if each is ATOMS[Decimal]:
            return True
        if each not in seen:
            seen.add(each)
            waiting += [*each.members, *each.items, *fields_of(each).values()]
    return False


def needs_form(conversion: Conversion) -> bool:
    """Whether a field of a class holds values that JSON never gives, such as a date or a tuple."""
    return any(
        not field.stored_types & {object, bool, int, float, str, list, dict}
        for field in fields_of(conversion).values()
    )


def fields_of(conversion: Conversion) -> Mapping[str, Conversion]:
    """Of a class: the conversions of its fields, as they are stored. Empty for another type."""
    part = conversion.part
    if conversion.fields is None or not isinstance(part, Schema):
        return {}
    # Not `conversion.fields`, which are for values before the converters of attrs.
    return {name: field.conversion for name, field in part.fields.items()}


class Forms:
    """The functions for conversions, and for those inside them.

    Makes the function of each conversion once, since a type may contain itself.

    `has_texts` says whether a `JsonFloat` may be among the values.
    """

    def __init__(self, has_texts: bool) -> None:
        self._has_texts = has_texts
        self._made: dict[Conversion, Convert | None] = {}
        self._unfinished: set[Conversion] = set()

    def of(self, conversion: Conversion) -> Convert | None:
        if conversion in self._made:
            return self._made[conversion]
        if conversion in self._unfinished:  # inside itself
            return lambda value: self._call(conversion, value)
        self._unfinished.add(conversion)
        self._made[conversion] = made = self._make(conversion)
        return made

    def _call(self, conversion: Conversion, value: Any) -> Any:
        convert = self._made[conversion]
        return value if convert is None else convert(value)

    def _make(self, conversion: Conversion) -> Convert | None:
        if conversion is ANYTHING or conversion is ATOMS[float]:
            return _without_texts if self._has_texts else None
        for kind, convert in ATOM_FORMS.items():
            if conversion is ATOMS[kind]:
                return convert
        if conversion.members:
            return self._one_of(conversion)
        if conversion.fields is not None:
            return self._fields(fields_of(conversion))
        if conversion.key is not None:
            return self._mapping(conversion.key, conversion.items[0])
        if conversion.items:
            return self._items(conversion)
        return None

    def _one_of(self, conversion: Conversion) -> Convert | None:
        members = [member for member in conversion.members if member is not NONE]
        made = [(member, self.of(member)) for member in members]
        if len(made) == 1:
            convert = made[0][1]
            if convert is None:
                return None
            return lambda value: None if value is None else convert(value)
        kinds = conversion.stored_types - {object, list, dict}
        classes = {member.name: convert for member, convert in made if member.fields is not None}
        others = [
            convert for member, convert in made if member.fields is None and convert is not None
        ]

        def convert_one(value: Any) -> Any:
            if type(value) in kinds:
                return value
            if type(value) is dict and classes:
                name = value.get(TAG) if len(classes) > 1 else next(iter(classes))
                convert = classes.get(name) if type(name) is str else None
                return value if convert is None else convert(value)
            found = [new for convert in others if (new := convert(value)) is not value]
            return found[0] if len(found) == 1 else value

        return convert_one

    def _fields(self, fields: Mapping[str, Conversion]) -> Convert | None:
        made = {name: self.of(field) for name, field in fields.items()}
        rules = [
            (name, frozenset(fields[name].exact_types), convert)
            for name, convert in made.items()
            if convert is not None
        ]
        if not rules:
            return None

        def convert_fields(value: Any) -> Any:
            if type(value) is not dict:
                return value
            for name, exact_types, convert in rules:
                item = value.get(name)
                if item is not None and type(item) not in exact_types:
                    value[name] = convert(item)
            return value

        return convert_fields

    def _mapping(self, key: Conversion, item: Conversion) -> Convert | None:
        convert_key = _key_form(key, self.of(key))
        convert_item = self.of(item)
        if convert_key is None and convert_item is None:
            return None

        def convert_dict(value: Any) -> Any:
            if type(value) is not dict:
                return value
            changed = {
                convert_key(name) if convert_key else name: convert_item(each)
                if convert_item
                else each
                for name, each in value.items()
            }
            return changed if len(changed) == len(value) else value

        return convert_dict

    def _items(self, conversion: Conversion) -> Convert | None:
        made = [self.of(item) for item in conversion.items]
        kind = next(iter(conversion.stored_types))
        if list in conversion.stored_types:
            kind = list
        is_fixed = kind is tuple and conversion.copied is None and len(made) != 1
        if kind is list and made[0] is None:
            return None

        def convert_items(value: Any) -> Any:
            if type(value) not in (list, kind) or (is_fixed and len(value) != len(made)):
                return value
            converts = made if is_fixed else made * len(value)
            items = [
                item if convert is None else convert(item)
                for item, convert in zip(value, converts, strict=False)
            ]
            with suppress(TypeError):  # an item that has no hash
                changed = kind(items)
                if len(changed) == len(items):
                    return changed
            return value

        return convert_items


# -- single values -----------------------------------------------------------------------------


def _date(value: Any) -> Any:
    kind = type(value)
    if kind is str:
        with suppress(ValueError):
            return date.fromisoformat(value)
    if kind is datetime and value.utcoffset() is not None:
        moment = value.astimezone(UTC)
        if moment.time() == time():
            return moment.date()
    return value


def _datetime(value: Any) -> Any:
    if type(value) is str and _HAS_TIME.search(value) and not _TOO_FINE.search(value):
        with suppress(ValueError):
            return datetime.fromisoformat(value)
    return value


def _time(value: Any) -> Any:
    if type(value) is str and not _TOO_FINE.search(value):
        with suppress(ValueError):
            return time.fromisoformat(value)
    return value


def _decimal(value: Any) -> Any:
    kind = type(value)
    if kind is JsonFloat:
        return Decimal(value.text)
    if kind is int:
        return Decimal(value)
    if kind is str:
        with suppress(ArithmeticError):
            return Decimal(value)
    return value


def _uuid(value: Any) -> Any:
    if type(value) is str:
        with suppress(ValueError):
            return UUID(value)
    return value


def _int(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT:
        return int(value)
    return value


def _without_texts(value: Any) -> Any:
    """The value with plain floats in the place of `JsonFloat`."""
    kind = type(value)
    if kind is JsonFloat:
        return finite_float(value.text)
    if kind is list and value:
        return [_without_texts(item) for item in value]
    if kind is dict and value:
        return {name: _without_texts(item) for name, item in value.items()}
    return value


def _key_form(key: Conversion, convert: Convert | None) -> Convert | None:
    """For the keys of a dict, which JSON has as text."""
    if key is ATOMS[int]:
        return int_of_text
    if key is ANYTHING or str in key.stored_types:
        return None
    return convert


def int_of_text(value: Any) -> Any:
    """The int of a text that Python would write for it. Any other value stays."""
    if type(value) is str and _INT.fullmatch(value):
        return int(value)
    return value


ATOM_FORMS: Mapping[type, Convert] = {
    date: _date,
    datetime: _datetime,
    time: _time,
    Decimal: _decimal,
    UUID: _uuid,
    int: _int,
}
_INT = re.compile(r"0|-?[1-9][0-9]{0,4000}", re.ASCII)
"""An int as Python writes it: with a leading zero it would come back as another text."""
_HAS_TIME = re.compile(r"\d[T ]\d\d")
_TOO_FINE = re.compile(r"[.,]\d{6}\d*[1-9]")
"""Digits after the microseconds, which would be lost."""
_EXACT = 2**53
