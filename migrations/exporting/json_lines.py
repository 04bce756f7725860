r"""JSON Lines: each row is a line of JSON, which can be imported again without loss.

An entry of a store is `{"key": ..., "value": ...}`. A record is the dict of its fields, with
`"_key"` first if its class has no key fields. What JSON has no form for is tagged, as the
serializer `json` does it: `{"$tuple": [1, 2]}`. A key that is no UTF-8 text is `{"$bytes": ...}`.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
from attrs import frozen

from stones.errors import SerializerError
from stones.formats.json_serializer import (
    encode_lines,
    encode_quickly,
    is_finite,
    is_plain,
    known_json,
)
from stones.formats.messages import show
from stones.formats.serializers import serializer

from .entry_pages import Page, Row
from .sources import Picked, Source

Write = Callable[[bytes], object]


@frozen
class Form:
    """What a line is made of, by a key and a value."""

    exact: Callable[[Any, Any], bytes]
    """The JSON for any key and value. Raises SerializerError and RecursionError."""
    plain: Callable[[Sequence[Row]], list[Any]]
    """What `encode_lines` takes for rows whose values are plain."""


def write_json_lines(source: Source, picked: Picked | None, write: Write) -> Iterator[int]:
    """Write the rows. Gives, now and then, how many more were written."""
    form = _ENTRY if not source.are_records else _KEYED if source.has_keys else _RECORD
    for page in source.pages():
        if picked is not None:
            page = Page([(key, picked(value)) for key, value in page.rows])
        write(_lines(page, form))
        yield len(page.rows)


def _lines(page: Page, form: Form) -> bytes:
    """The lines of a page. Most values are plain, and then one call encodes all lines."""
    try:
        parts = form.plain(page.rows)
        if page.are_plain:
            text = encode_lines(parts)
            if b'"$' not in text and _is_faithful(text, page):
                return text
        for place, row in enumerate(page.rows):
            if not is_plain(row[1]):
                parts[place] = known_json(_exact(form, row))
        text = encode_lines(parts)
        if _is_faithful(text, page):
            return text
    except (msgspec.MsgspecError, OverflowError, UnicodeError, ValueError, RecursionError):
        pass  # a large int, a lone surrogate, or a value that JSON cannot hold
    return b"".join([_exact(form, row) + b"\n" for row in page.rows])


def _is_faithful(text: bytes, page: Page) -> bool:
    """Whether no null in the text stands for a nan or an infinity."""
    return b"null" not in text or all(is_finite(value) for _, value in page.rows)


def _exact(form: Form, row: Row) -> bytes:
    """The JSON of any row. Raises SerializerError."""
    try:
        return form.exact(*row)
    except (SerializerError, RecursionError) as error:
        raise _refusal(row, error) from error


def _refusal(row: Row, error: Exception) -> SerializerError:
    where = show(row[1] if row[0] is None else row[0])
    reason = str(error)
    try:
        serializer("json").encode(row[1])
    except SerializerError as found:  # it tells the path to the part that cannot be held
        reason = str(found)
    return SerializerError(f"{where} cannot be exported: {reason}")


def _key_text(key: Any) -> bytes:
    if type(key) is bytes:
        try:
            return encode_quickly(key.decode())
        except UnicodeDecodeError:
            return encode_quickly(key)
    try:
        str.encode(key)
    except UnicodeEncodeError:  # of a store whose keys are str: the bytes are not UTF-8
        return encode_quickly(key.encode("utf-8", "surrogateescape"))
    return encode_quickly(key)


def _plain_entries(rows: Sequence[Row]) -> list[Any]:
    try:
        return [{"key": key.decode(), "value": value} for key, value in rows]
    except (UnicodeDecodeError, AttributeError):  # a key is not UTF-8, or is a str
        return [{"key": _key_part(key), "value": value} for key, value in rows]


def _key_part(key: Any) -> Any:
    """A key for `encode_lines`."""
    if type(key) is bytes:
        try:
            return key.decode()
        except UnicodeDecodeError:
            return known_json(encode_quickly(key))
    return key if type(key) is str else known_json(encode_quickly(key))


_ENTRY = Form(
    lambda key, value: b'{"key":%b,"value":%b}' % (_key_text(key), encode_quickly(value)),
    _plain_entries,
)
_RECORD = Form(lambda _, value: encode_quickly(value), lambda rows: [value for _, value in rows])
_KEYED = Form(
    lambda key, value: encode_quickly({"_key": key, **value}),
    lambda rows: [{"_key": _key_part(key), **value} for key, value in rows],
)
