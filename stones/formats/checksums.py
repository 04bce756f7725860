"""What is stored for a value: a first byte, maybe a checksum, and what the serializer wrote.

The first byte has the id of the format (see `stones.formats.metadata`), and the bit `GUARD` where 4
bytes of checksum follow: the CRC-32, big-endian, of the first byte, the key, and what the
serializer wrote, one after the other. The key is in it so that a value which is found under another
key, or under a damaged one, does not pass for the right one. A checksum tells accidents; whoever
means harm can compute it as well.
"""

from collections.abc import Callable
from struct import Struct
from typing import Any
from zlib import crc32

from stones.errors import CorruptValueError

GUARD = 0x80

_CHECKSUM = Struct(">I")
_START = 1 + _CHECKSUM.size
"""Where what the serializer wrote begins, behind a checksum."""


def seal(first: bytes, key: bytes, encoded: bytes) -> bytes:
    """The stored bytes with a checksum."""
    return first + _CHECKSUM.pack(crc32(encoded, crc32(key, crc32(first)))) + encoded


def unseal(key: bytes, raw: bytes) -> bytes:
    """What the serializer wrote, behind a checksum. Raises CorruptValueError if that is wrong."""
    if not is_whole(key, raw):
        raise mismatch(key)
    return raw[_START:]


def is_whole(key: bytes, raw: bytes) -> bool:
    """Whether stored bytes with a checksum are what was written."""
    return raw == seal(raw[:1], key, raw[_START:])


def value_reader(first: int, decode: Callable[[bytes], Any]) -> Callable[[bytes, bytes], Any]:
    """A function of a key and the stored bytes, of which `first` is the first, to the value.

    It raises CorruptValueError where the checksum, or `decode`, tells that the value is damaged.
    """

    def read(key: bytes, raw: bytes) -> Any:
        try:
            return decode(raw[1:])
        except MemoryError:
            raise
        except Exception as error:  # a decoder may raise anything on damaged bytes
            raise corrupt(key, error) from error

    # As in unseal(), but without its calls, which would cost as much as the checksum.
    unpack, start = _CHECKSUM.unpack_from, crc32(bytes([first]))

    def read_guarded(key: bytes, raw: bytes) -> Any:
        encoded = raw[_START:]
        try:
            if crc32(encoded, crc32(key, start)) == unpack(raw, 1)[0]:
                return decode(encoded)
        except MemoryError:
            raise
        except Exception as error:  # too short; and a decoder may raise anything
            raise corrupt(key, error) from error
        raise mismatch(key)

    return read_guarded if first & GUARD else read


def corrupt(key: bytes, error: Exception) -> CorruptValueError:
    """The error for a value that its decoder refuses."""
    return CorruptValueError(
        f"the value of {key!r} cannot be read: {type(error).__name__}: {str(error)[:200]}; it is "
        "damaged, was written by other means, or wants a class that is not here"
    )


def mismatch(key: bytes) -> CorruptValueError:
    """The error for a value that is not what was written."""
    return CorruptValueError(
        f"the value of {key!r} is damaged: it does not match its checksum; restore it from a backup"
    )
