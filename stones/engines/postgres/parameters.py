"""Values as the wire protocol has them in binary form, for statements with bound parameters."""

import struct
from collections.abc import Iterable, Sequence

BYTES = 17
BIGINT = 20
TEXT = 25
BYTES_ARRAY = 1001
TEXT_ARRAY = 1009
BIGINT_ARRAY = 1016
UUID_ARRAY = 2951
"""The numbers that PostgreSQL gives its types. They have not changed since its beginnings."""
UUID = 2950

_HEAD = struct.Struct("!iiiii")
_SIZE = struct.Struct("!i")
_NULL = _SIZE.pack(-1)


def bigint(number: int) -> bytes:
    """A number of 64 bits. Raises OverflowError for a larger number.

    >>> bigint(258)
    b'\\x00\\x00\\x00\\x00\\x00\\x00\\x01\\x02'
    """
    return number.to_bytes(8, "big", signed=True)


def bytes_array(values: Sequence[bytes | None]) -> bytes:
    """An array of bytes; None is NULL.

    >>> bytes_array([b'a', None])[20:]
    b'\\x00\\x00\\x00\\x01a\\xff\\xff\\xff\\xff'
    """
    return _array(BYTES, values)


def text_array(texts: Sequence[str]) -> bytes:
    """An array of texts."""
    return _array(TEXT, [text.encode() for text in texts])


def uuid_array(values: Sequence[bytes]) -> bytes:
    """An array of UUIDs, each of 16 bytes."""
    return _array(UUID, values)


def bigint_array(numbers: Iterable[int]) -> bytes:
    """An array of numbers of 64 bits. Raises OverflowError for a larger number."""
    return _array(BIGINT, [bigint(number) for number in numbers])


def _array(of: int, values: Sequence[bytes | None]) -> bytes:
    size = _SIZE.pack
    parts = [_HEAD.pack(1, None in values, of, len(values), 1)]
    for value in values:
        parts += (_NULL,) if value is None else (size(len(value)), value)
    return b"".join(parts)


def number_of(raw: bytes | None) -> int:
    """The number in a field of type bigint; 0 for NULL."""
    return 0 if raw is None else int.from_bytes(raw, "big", signed=True)
