"""The stored bytes of a value: their size and format, and what they look like.

No value is decoded here, decompressed or decrypted. So a pickle runs no code.
"""

from attrs import frozen

from stones.formats.checksums import CHECKSUM_BIT, matches_checksum
from stones.formats.codec import Codec
from stones.formats.compression import content_size
from stones.formats.encryption import HEAD, TAG
from stones.formats.metadata import Format, format_name
from stones.stores.database_reader import DatabaseReader

MOST_BYTES = 1024
"""Of a value, a page shows at most so many bytes."""
LARGEST = 32 << 20
"""A larger value is not decoded for a page."""
_WIDTH = 16


@frozen
class DumpLine:
    """A line of stored bytes."""

    offset: str
    hexadecimal: str
    text: str
    """The bytes as ASCII, with a dot for each other byte."""


@frozen
class StoredValue:
    """The stored bytes of a value."""

    size: int
    """How many bytes there are."""
    first: int | None
    """The first byte, which names the format. None without one, as in a store of stones 0.3."""
    format: str
    """The format in words: 'json with checksums, compressed by zstd, encrypted'."""
    content_size: int | None = None
    """The bytes that the serializer made. None if that cannot be told without the key."""
    is_compressed: bool = False
    is_encrypted: bool = False
    has_checksum: bool = False
    problem: str = ""
    """Why the bytes are damaged."""

    @classmethod
    def of(cls, database: DatabaseReader, codec: Codec, key: bytes, raw: bytes) -> "StoredValue":
        """The format and size of the stored bytes of a key. O(bytes) with a checksum."""
        if database.is_stones03:
            return cls(len(raw), None, "stones 0.3, without a format byte", len(raw))
        if not raw:
            return cls(0, None, "none", problem="a value has at least one byte: this is damaged")
        first = raw[0]
        format = codec.metadata.formats.get(first & ~CHECKSUM_BIT)
        has_checksum = bool(first & CHECKSUM_BIT)
        if format is None:
            name = f"unknown: the store has no format {first & ~CHECKSUM_BIT}"
            return cls(len(raw), first, name, has_checksum=has_checksum)
        is_encrypted = format.encryption is not None
        is_damaged = has_checksum and not matches_checksum(key, raw)
        return cls(
            len(raw),
            first,
            format_name(format.serializer, has_checksum, format.compression, is_encrypted),
            _content_size(format, raw, 5 if has_checksum else 1),
            format.compression is not None,
            is_encrypted,
            has_checksum,
            "it does not match its checksum: it is damaged" if is_damaged else "",
        )

    @property
    def may_be_decoded(self) -> bool:
        """Whether the value is small enough to be decoded for a page."""
        return max(self.size, self.content_size or 0) <= LARGEST


def _content_size(format: Format, raw: bytes, start: int) -> int | None:
    if format.compression is None:
        return len(raw) - start - (HEAD + TAG if format.encryption else 0)
    # What is compressed and then encrypted has its size inside.
    return None if format.encryption else content_size(raw[start : start + 18])


def dump(raw: bytes, most: int = MOST_BYTES) -> tuple[DumpLine, ...]:
    r"""The first bytes as lines of 16.

    >>> dump(b'ab\xff')
    (DumpLine(offset='0000', hexadecimal='61 62 ff', text='ab.'),)
    """
    return tuple(
        DumpLine(f"{at:04x}", line.hex(" "), "".join(map(_character, line)))
        for at in range(0, min(len(raw), most), _WIDTH)
        for line in [raw[at : min(at + _WIDTH, most)]]
    )


def _character(byte: int) -> str:
    return chr(byte) if 32 <= byte < 127 else "."
