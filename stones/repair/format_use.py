"""How much of a store is in which format, found without decoding a value. For `info`."""

from collections import Counter

from attrs import frozen

from stones.formats.checksums import CHECKSUM_BIT
from stones.formats.compression import content_size
from stones.formats.encryption import HEAD, TAG
from stones.formats.metadata import Metadata

_HEAD = 18
"""The longest head of a frame of zstd without its magic number, in bytes."""


@frozen
class FormatUse:
    """The values of a store that are in one format."""

    id: int | None
    """The first byte of the values, without the bit for a checksum.

    None for empty values, which are damaged, and in a database of stones 0.3.
    """
    checksums: bool
    """Whether the values have a checksum."""
    serializer: str | None
    """The serializer of the values. None if the store does not list the format, as in stones 0.3.
    """
    values: int
    """How many values are in the format."""
    size: int
    """The bytes of these values."""
    compression: str | None = None
    """How the values are compressed: 'zstd', or None."""
    encrypted: bool = False
    """Whether the values are encrypted."""
    plain_size: int | None = None
    """The bytes that these values would have if they were neither compressed nor encrypted.

    None if the store does not tell: for values that are compressed and then encrypted, and for a
    damaged value.
    """
    dictionary_size: int = 0
    """The bytes of the dictionary by which the values are compressed."""


class Frames:
    """The bytes that compressed values had, by the first byte of the values.

    Those of encrypted values are not seen without the key.
    """

    def __init__(self, metadata: Metadata | None) -> None:
        self.sizes = Counter[int | None]()
        self.unknown = set[int | None]()
        self.compressed = frozenset(
            first
            for format in (metadata.formats.values() if metadata is not None else ())
            for first in (format.id, format.id | CHECKSUM_BIT)
            if format.compression is not None and format.encryption is None
        )

    def add(self, first: int | None, raw: bytes) -> None:
        """Take the stored bytes of a compressed value."""
        start = 5 if first is not None and first & CHECKSUM_BIT else 1
        size = content_size(raw[start : start + _HEAD])
        if size is None:
            self.unknown.add(first)
        else:
            self.sizes[first] += start + size


def format_use(
    first: int | None, metadata: Metadata | None, count: int, size: int, frames: Frames
) -> FormatUse:
    """The use of the format whose values begin with the byte `first`. None: empty values."""
    format = None
    if first is not None and metadata is not None:
        format = metadata.formats.get(first & ~CHECKSUM_BIT)
    if first is None or format is None:
        id = None if first is None else first & ~CHECKSUM_BIT
        return FormatUse(id, first is not None and first >= CHECKSUM_BIT, None, count, size)
    plain_size: int | None = size
    if format.encryption is not None:
        plain_size = None if format.compression else size - count * (HEAD + TAG)
    elif format.compression is not None:
        plain_size = None if first in frames.unknown else frames.sizes[first]
    assert metadata is not None
    dictionary = metadata.dictionaries.get(format.dictionary or 0, b"")
    return FormatUse(
        format.id,
        first >= CHECKSUM_BIT,
        format.serializer,
        count,
        size,
        format.compression,
        format.encryption is not None,
        plain_size,
        len(dictionary),
    )
