"""The text of cells of CSV, as a class stores it.

A cell becomes what JSON becomes (see `plain_forms`), and also:

    int, float         a number; an int as Python writes it, without leading zeros
    bool               true, True, TRUE, 1, and so on
    bytes, timedelta   base64, and the seconds
    an enum            its value
    None               an empty cell, where the field may be None
    str                the text, also in a union with other types
    a list, a class    what JSON text in the cell says
"""

import math
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from types import NoneType
from typing import Any

from .conversion import Conversion, Convert
from .plain_forms import ATOM_FORMS, Forms, int_of_text
from .plain_values import ANYTHING, ATOMS, NONE


def from_text(conversion: Conversion, parse_json: Callable[[str], Any]) -> Convert:
    """The function that makes the stored value of the text of a cell. Other values stay.

    `parse_json` reads the cell of a list, a dict or a class. It raises ValueError.
    """
    return _cell(conversion, Forms(has_texts=True), parse_json)


def _cell(conversion: Conversion, forms: Forms, parse_json: Callable[[str], Any]) -> Convert:
    members: Sequence[Conversion] = conversion.members or (conversion,)
    takes_none = any(member is NONE for member in members)
    others = [member for member in members if member is not NONE]
    takes_text = any(
        str in member.stored_types or member is ANYTHING
        for member in others
        if not _is_enum(member)
    )
    converts = [_one_cell(member, forms, parse_json) for member in others]

    def convert(value: Any) -> Any:
        if type(value) is not str:
            return value
        if not value and takes_none:
            return None
        if takes_text:
            return value
        found = [new for each in converts if (new := each(value)) is not value]
        return found[0] if len(found) == 1 else value

    return convert


def _is_enum(conversion: Conversion) -> bool:
    return any(isinstance(form, tuple) for form in conversion.stored_as)


def _one_cell(conversion: Conversion, forms: Forms, parse_json: Callable[[str], Any]) -> Convert:
    for kind, convert in _TEXTS.items():
        if conversion is ATOMS[kind]:
            return convert
    if _is_enum(conversion):
        values = [form[1] for form in conversion.stored_as if isinstance(form, tuple)]
        by_text = {_text_of(value): value for value in values}
        return lambda value: by_text.get(value, value)
    if conversion.members:  # of an alias
        return _cell(conversion, forms, parse_json)
    is_json = conversion.items or conversion.fields is not None
    if not is_json:
        return lambda value: value
    made = forms.of(conversion)

    def convert_json(value: Any) -> Any:
        try:
            found = parse_json(value)
        except ValueError:
            return value
        return found if made is None else made(found)

    return convert_json


def _text_of(value: Any) -> str:
    if type(value) in (bool, NoneType):
        return {True: "true", False: "false", None: ""}[value]
    return str(value)


def _float_text(value: Any) -> Any:
    if type(value) is str and _FLOAT.fullmatch(value):
        number = float(value)
        if math.isfinite(number) or "n" in value.lower():
            return number
    return value


def _bytes_text(value: Any) -> Any:
    if type(value) is str:
        with suppress(ValueError):
            found = b64decode(value, validate=True)
            if b64encode(found).decode() == value:
                return found
    return value


def _timedelta_text(value: Any) -> Any:
    """A duration in seconds, if it comes back as the same text."""
    number = _float_text(value)
    if isinstance(number, float):
        with suppress(ValueError, OverflowError):
            found = timedelta(seconds=number)
            if found.total_seconds() == number:
                return found
    return value


def _bool_text(value: Any) -> Any:
    return _BOOLS.get(value, value) if type(value) is str else value


_TEXTS: Mapping[type, Convert] = {
    **ATOM_FORMS,
    int: int_of_text,
    float: _float_text,
    bool: _bool_text,
    bytes: _bytes_text,
    timedelta: _timedelta_text,
}
_BOOLS = {"true": True, "false": False, "True": True, "False": False}
_BOOLS |= {"TRUE": True, "FALSE": False, "1": True, "0": False}
_FLOAT = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|nan|[-+]?inf", re.ASCII)
