r"""JSON Lines: each row is a line of JSON, which can be imported again without loss.

An entry of a store is `{"key": ..., "value": ...}`. A record is the dict of its fields, with
`"_key"` first if its class has no key fields. What JSON has no form for is tagged, as the
serializer `json` does it: `{"$tuple": [1, 2]}`. A key that is no UTF-8 text is `{"$bytes": ...}`.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from attrs import frozen

from stones.errors import SerializerError
from stones.formats.json_serializer import (
    are_plain,
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
    plain: Callable[[Page], list[Any]]
    """What `encode_lines` takes for a page whose values are plain."""


def write_json_lines(source: Source, picked: Picked | None, write: Write) -> Iterator[int]:
    """Write the rows. Gives, now and then, how many more were written."""
    form = _ENTRY if not source.are_records else _KEYED if source.has_keys else _RECORD
    for page in source.pages():
        if picked is not None:
            page = Page(page.keys, [*map(picked, page.values)])
        write(_lines(page, form))
        yield len(page.values)


def _lines(page: Page, form: Form) -> bytes:
    """The lines of a page. Most values are plain, and then one call encodes all lines."""
    try:
        parts = form.plain(page)
        if page.are_plain or are_plain(page.values):
            text = encode_lines(parts)
            # To look for the sign alone is quicker: most texts have none.
            if (b"$" not in text or b'"$' not in text) and _is_faithful(text, page):
                return text
        for place, value in enumerate(page.values):
            if not is_plain(value):
                parts[place] = known_json(_exact(form, (page.keys[place], value)))
        text = encode_lines(parts)
        if _is_faithful(text, page):
            return text
    except (msgspec.MsgspecError, OverflowError, UnicodeError, ValueError, RecursionError):
        pass  # a large int, a lone surrogate, or a value that JSON cannot hold
    return b"".join([_exact(form, row) + b"\n" for row in page.rows()])


def _is_faithful(text: bytes, page: Page) -> bool:
    """Whether no null in the text stands for a nan or an infinity."""
    return b"null" not in text or _are_surely_finite(page) or all(map(is_finite, page.values))


def _are_surely_finite(page: Page) -> bool:
    """Whether the page has no nan and no infinity. It may be False though there is none.

    The values as msgpack show it in a tenth of the time of a look at each of them.
    """
    try:
        return not _NOT_FINITE.search(msgspec.msgpack.encode(page.values))
    except Exception:  # noqa: BLE001  # a value that is not plain may raise anything
        return False


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


def _plain_entries(page: Page) -> list[Any]:
    try:
        keys = [key.decode() for key in page.keys]
    except (UnicodeDecodeError, AttributeError):  # a key is not UTF-8, or is a str
        keys = [*map(_key_part, page.keys)]
    return [{"key": key, "value": value} for key, value in zip(keys, page.values, strict=True)]


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
_RECORD = Form(lambda _, value: encode_quickly(value), lambda page: [*page.values])
_KEYED = Form(
    lambda key, value: encode_quickly({"_key": key, **value}),
    lambda page: [{"_key": _key_part(key), **value} for key, value in page.rows()],
)
_NOT_FINITE = re.compile(rb"\xcb[\x7f\xff][\xf0-\xff]")
"""How msgpack begins a float that is a nan or an infinity. Other bytes may look the same."""
