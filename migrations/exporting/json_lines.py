r"""JSON Lines: each row is a line of JSON, which can be imported again without loss.

An entry of a store is `{"key": ..., "value": ...}`. A record is the dict of its fields, with
`"_key"` first if its class has no key fields. What JSON has no form for is tagged, as the
serializer `json` does it: `{"$tuple": [1, 2]}`. A key that is no UTF-8 text is `{"$bytes": ...}`.
"""

from collections.abc import Callable, Iterator
from typing import Any

from stones.errors import SerializerError
from stones.formats.json_serializer import encode_quickly
from stones.formats.messages import show
from stones.formats.serializers import serializer

from .sources import Picked, Row, Source

Write = Callable[[bytes], object]
LINES = 500
"""So many lines are written at once."""


def write_json_lines(source: Source, picked: Picked | None, write: Write) -> Iterator[int]:
    """Write the rows. Gives, now and then, how many more were written."""
    line = _record_line(source) if source.are_records else _entry_line
    if picked is not None:
        line = _picked_line(picked, line)
    lines: list[bytes] = []
    for row in source.rows():
        try:
            lines.append(line(row))
        except (SerializerError, RecursionError) as error:
            raise _refusal(row, error) from error
        if len(lines) == LINES:
            write(b"".join(lines))
            lines.clear()
            yield LINES
    write(b"".join(lines))
    yield len(lines)


def _refusal(row: Row, error: Exception) -> SerializerError:
    where = show(row[1] if row[0] is None else row[0])
    reason = str(error)
    try:
        serializer("json").encode(row[1])
    except SerializerError as found:  # it tells the path to the part that cannot be held
        reason = str(found)
    return SerializerError(f"{where} cannot be exported: {reason}")


def _entry_line(row: Row) -> bytes:
    key, value = row
    return b'{"key":%b,"value":%b}\n' % (_key_text(key), encode_quickly(value))


def _record_line(source: Source) -> Callable[[Row], bytes]:
    def line(row: Row) -> bytes:
        return encode_quickly(row[1]) + b"\n"

    def line_with_key(row: Row) -> bytes:
        key, value = row
        return encode_quickly({"_key": key, **value}) + b"\n"

    return line_with_key if source.has_keys else line


def _picked_line(picked: Picked, line: Callable[[Row], bytes]) -> Callable[[Row], bytes]:
    return lambda row: line((row[0], picked(row[1])))


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
