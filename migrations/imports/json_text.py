"""JSON text of any program, and the tags of `stones export`."""

import codecs
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from stones.collections.records.plain_forms import JsonFloat, finite_float
from stones.errors import MigrationError
from stones.formats import json_serializer
from stones.formats.messages import show

Decode = Callable[[bytes], Any]
BOM = codecs.BOM_UTF8
"""The mark that a text in UTF-8 may begin with."""
_OTHER_STARTS: Mapping[bytes, str] = {
    codecs.BOM_UTF16_LE: "UTF-16: save it as UTF-8 first",
    codecs.BOM_UTF16_BE: "UTF-16: save it as UTF-8 first",
    b"\x1f\x8b": "compressed by gzip: unpack it first",
    b"SQLite": "a file of SQLite: name its kind, sqlitedict, shelve or dbm",
}
"""How files begin that are no text in UTF-8, and what to do with them."""


def decoder(exact_numbers: bool) -> Decode:
    """The function that reads JSON as it stands: no dict is a tag.

    With `exact_numbers` a number with a fraction becomes a `JsonFloat`. The function raises
    ValueError. It takes NaN and lone surrogates, which programs in Python write, and a mark at the
    start, which editors on Windows write.
    """
    quick = quick_decoder(exact_numbers).decode
    slow = json.JSONDecoder(parse_float=JsonFloat if exact_numbers else finite_float).decode

    def decode(raw: bytes) -> Any:
        try:
            return quick(raw)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            return _checked(slow, raw)

    return decode


def check_text(path: Path) -> None:
    """Raise MigrationError for a file that is surely no text in UTF-8."""
    with open(path, "rb") as file:
        start = file.read(8)
    for other, what in _OTHER_STARTS.items():
        if start.startswith(other):
            raise MigrationError(f"{show(str(path))} is {what}; nothing was written")


def quick_decoder(exact_numbers: bool) -> "msgspec.json.Decoder[Any]":
    """The decoder of msgspec, which refuses some JSON that programs in Python write."""
    return msgspec.json.Decoder(float_hook=JsonFloat if exact_numbers else None)


def tagged_decoder(exact_numbers: bool) -> Decode:
    """The function that reads the JSON of `stones export`, whose tags become values.

    In a text with tags, numbers are plain floats: an export has a tag for a Decimal.
    """
    plain = decoder(exact_numbers)
    tagged = json_serializer.tagged_decoder(finite_float)

    def decode(raw: bytes) -> Any:
        if b'"$' not in raw or not _TAG.search(raw):
            return plain(raw)
        return _checked(tagged, raw)

    return decode


_TAG = re.compile(rb'"\$(?:[^"\\]|\\.)*"\s*:', re.DOTALL)
"""A name in an object that begins with a dollar sign, and so may be a tag."""


def parse_cell(text: str) -> Any:
    """The value of JSON in a cell of CSV, whose numbers keep their text. Raises ValueError."""
    return _checked(json.JSONDecoder(parse_float=JsonFloat).decode, text.encode())


def _checked(loads: Callable[[str], Any], raw: bytes) -> Any:
    try:
        return loads(str(raw.removeprefix(BOM), "utf-8"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def why(error: Exception) -> str:
    """What is wrong with a JSON text, in one line."""
    if isinstance(error, json.JSONDecodeError):
        return f"it is no JSON: {error.msg} at character {error.pos + 1}"
    if isinstance(error, UnicodeDecodeError):
        return f"it is not UTF-8: byte {error.start + 1} cannot be read"
    return str(error) or type(error).__name__
