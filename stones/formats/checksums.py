"""The stored bytes of a value: a first byte, maybe a checksum, and the serializer's bytes.

The first byte is the id of the format (`stones.formats.metadata`). If its bit `CHECKSUM_BIT` is
set, 4 bytes of checksum follow: a CRC-32, big-endian, of the first byte, the key and the
serializer's bytes, in this order. It contains the key, so that a value under a wrong or damaged key
does not pass for the right one.

A checksum reveals accidents. It does not stop an attacker, who can compute it too.
"""

from collections.abc import Callable
from struct import Struct
from typing import Any
from zlib import crc32

from stones.errors import CorruptValueError, FormatMismatchError

from .messages import show_error
from .registered_types import cause_in, unknown_type_in, unknown_type_text

CHECKSUM_BIT = 0x80
"""The bit of the first byte that says that a checksum follows."""

_CHECKSUM = Struct(">I")
_START = 1 + _CHECKSUM.size
"""Where the serializer's bytes begin in stored bytes with a checksum."""


def with_checksum(first: bytes, key: bytes, encoded: bytes) -> bytes:
    """The stored bytes, from the first byte, the key and the serializer's bytes."""
    return first + _CHECKSUM.pack(crc32(encoded, crc32(key, crc32(first)))) + encoded


def without_checksum(key: bytes, raw: bytes) -> bytes:
    """The serializer's bytes. Raises CorruptValueError if the checksum does not match."""
    if not matches_checksum(key, raw):
        raise mismatch(key)
    return raw[_START:]


def matches_checksum(key: bytes, raw: bytes) -> bool:
    """Whether stored bytes with a checksum are the bytes that were written."""
    return raw == with_checksum(raw[:1], key, raw[_START:])


def value_reader(first: int, decode: Callable[[bytes], Any]) -> Callable[[bytes, bytes], Any]:
    """A function that decodes the stored bytes of a key which start with the byte `first`.

    The function raises CorruptValueError if the checksum is wrong or `decode` fails, and
    FormatMismatchError if the value is of a type that is not registered.
    """

    def read(key: bytes, raw: bytes) -> Any:
        try:
            return decode(raw[1:])
        except MemoryError:
            raise
        except Exception as error:  # a decoder may raise anything on damaged bytes
            raise corrupt(key, error) from error

    # As without_checksum(), in line: its calls would cost as much as the checksum.
    unpack, start = _CHECKSUM.unpack_from, crc32(bytes([first]))

    def read_checked(key: bytes, raw: bytes) -> Any:
        encoded = raw[_START:]
        try:
            if crc32(encoded, crc32(key, start)) == unpack(raw, 1)[0]:
                return decode(encoded)
        except MemoryError:
            raise
        except Exception as error:  # too few bytes, or the decoder failed
            raise corrupt(key, error) from error
        raise mismatch(key)

    return read_checked if first & CHECKSUM_BIT else read


def corrupt(key: bytes, error: Exception) -> CorruptValueError | FormatMismatchError:
    """The error for a value on which its decoder failed with `error`.

    A value whose type is not registered is not damaged: for that it is a FormatMismatchError.
    """
    unknown = unknown_type_in(error)
    if unknown is not None:
        return FormatMismatchError(
            f"the value of {key!r} cannot be read: {unknown_type_text(unknown)}"
        )
    return CorruptValueError(
        f"the value of {key!r} cannot be read: {show_error(cause_in(error))}; it is "
        "damaged, another program wrote it, or its class cannot be imported here"
    )


def mismatch(key: bytes) -> CorruptValueError:
    """The error for a value that does not match its checksum."""
    return CorruptValueError(
        f"the value of {key!r} is damaged: it does not match its checksum; restore it from a backup"
    )
