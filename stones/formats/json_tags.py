"""Reading the tags of JSON: each tag takes one kind of value, and refuses any other.

A person may type a tag, for `stones put`. So an error says what the tag takes. A tag takes only
what `stones.formats.json_serializer` writes: `{"$int": "12"}` may mean 12, or 18 in hexadecimal.
"""

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from .messages import show, show_value
from .registered_types import unpack_value
from .tags import BY_NAME


def untag(key: str, value: Any) -> Any:
    """The value of a dict with the one item `key`, a dollar sign and the name of a tag.

    Raises ValueError for an unknown tag, and for a value that the tag does not take. Raises
    UnknownTypeError for a value of a type that is not registered here.
    """
    if key == _REGISTERED:  # its errors name the type
        if type(value) is not list or len(value) != 2 or type(value[0]) is not str:
            raise _refusal(key, value)
        return unpack_value(value)
    kind, unpack = _READERS.get(key, _UNKNOWN)
    if type(value) is not kind:
        kind, unpack = _other_reader(key, value)
    try:
        return unpack(value)
    except KeyError as error:  # of ZoneInfo
        raise ValueError(f"{key} {show(value)}: the time zone is not known here") from error
    except (TypeError, ValueError, ArithmeticError, AttributeError, LookupError, OSError) as error:
        raise _refusal(key, value) from error


def _other_reader(key: str, value: Any) -> tuple[type, Callable[[Any], Any]]:
    """How to read a value that is not of the usual type for its tag. Raises ValueError."""
    tag = BY_NAME.get(key[1:])
    if tag is None:
        raise ValueError(
            f"{show(key)} is not a tag that this version of stones knows: it knows "
            f"{', '.join(f'${known}' for known in BY_NAME)}; a dict with such a key is written as "
            '{"$dict": [[key, value]]}'
        )
    if tag.name in ("datetime", "time"):
        if type(value) is not list or list(map(type, value)) != [str, str]:
            raise _refusal(key, value)
    elif key in _READERS:
        raise _refusal(key, value)
    return type(value), tag.unpack


def _refusal(key: str, value: Any) -> ValueError:
    return ValueError(
        f"{key} takes {_TAKES.get(key[1:], 'another value')}, not {show_value(value)}"
    )


def _int(text: str) -> int:
    if not _HEXADECIMAL.fullmatch(text):
        raise ValueError
    return int(text, 16)


def _timedelta(parts: list[Any]) -> timedelta:
    if list(map(type, parts)) != [int, int, int]:
        raise ValueError
    return timedelta(*parts)


def _dict(pairs: list[Any]) -> dict[Any, Any]:
    if not {*map(type, pairs)} <= {list}:
        raise ValueError
    return dict(pairs)


_HEXADECIMAL = re.compile(r"-?0x[0-9a-f]+", re.ASCII | re.IGNORECASE)
_TAKES: Mapping[str, str] = {
    "tuple": "an array",
    "set": "an array of values that can be in a set",
    "frozenset": "an array of values that can be in a set",
    "int": 'hexadecimal text such as "0x1f"',
    "datetime": 'text such as "2024-05-06T07:08:09+02:00"',
    "date": 'text such as "2024-05-06"',
    "time": 'text such as "07:08:09"',
    "timedelta": "an array of the days, seconds and microseconds",
    "Decimal": 'text such as "1.50"',
    "UUID": 'text such as "12345678-1234-5678-1234-567812345678"',
    "float": 'text such as "nan" or "-inf"',
    "bytes": "text in base64",
    "str": '{"$bytes": ...} with the UTF-8 of the text',
    "dict": "an array of [key, value] pairs whose keys can be in a dict",
    "type": "an array of the name of a registered type and a packed value",
    "list": "an array",
}
"""What each tag takes, in words."""

_REGISTERED = "$type"
_LISTS = {"tuple", "set", "frozenset", "timedelta", "dict", "type", "list"}
_OWN: Mapping[str, Callable[[Any], Any]] = {"int": _int, "timedelta": _timedelta, "dict": _dict}
_READERS: Mapping[str, tuple[type, Callable[[Any], Any]]] = {
    f"${name}": (
        list if name in _LISTS else bytes if name == "str" else str,
        _OWN.get(name) or BY_NAME[name].unpack,
    )
    for name in _TAKES
}
"""The usual type of the value of each tag, and the function that reads it."""

_UNKNOWN: tuple[type | None, Callable[[Any], Any]] = (None, repr)
