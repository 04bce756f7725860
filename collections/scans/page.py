"""The stored bytes of the values of a page, and which of them the fast lanes can read.

A value has a first byte, and maybe a checksum, before the bytes of its serializer. The fast lanes
read values in the format of new records, whose checksum is right. If new records are encrypted, or
compressed with a checksum, the fast lanes read what `unpacking` makes of the values. The others are
left to the value lane, which meets any damage.
"""

from collections.abc import Sequence
from functools import cached_property
from operator import itemgetter

from stones.collections.readable_records import RecordReader
from stones.formats.checksums import CHECKSUM_BIT, matches_checksum

from .unpacking import Unpacker, is_proven

_first_byte = itemgetter(0)


class Page:
    """Neighbouring values of a store."""

    def __init__(
        self,
        keys: Sequence[bytes],
        raws: Sequence[bytes],
        first: int,
        *,
        checksums: bool = False,
        are_unpacked: bool = False,
    ) -> None:
        self.raws = raws
        """The stored bytes of the values. If they are unpacked, the serializer's bytes, or b""."""
        self.joined = b"".join(raws)
        """The same bytes, one after the other."""
        self._keys = keys
        self._first = first
        self._checksums = checksums
        self._are_unpacked = are_unpacked

    @cached_property
    def unreadable(self) -> frozenset[int]:
        """The places of the values that only the value lane can read."""
        first, raws = self._first, self.raws
        if self._are_unpacked:
            if all(raws):
                return frozenset()
            return frozenset(place for place, raw in enumerate(raws) if not raw)
        if self._checksums:
            return frozenset(
                place
                for place, (key, raw) in enumerate(zip(self._keys, raws, strict=True))
                if not raw or raw[0] != first or not matches_checksum(key, raw)
            )
        try:
            if {*map(_first_byte, raws)} == {first}:
                return frozenset()
        except IndexError:  # an empty value, which is damaged
            pass
        return frozenset(n for n, raw in enumerate(raws) if not raw or raw[0] != first)

    @property
    def begins_with_format(self) -> bool:
        """Whether each readable value is its first byte and the serializer's bytes, and no more."""
        return not (self._checksums or self._are_unpacked)


class PageMaker:
    """Makes the pages of one scan."""

    def __init__(self, reader: RecordReader) -> None:
        metadata, format = reader.codec.metadata, reader.format
        is_trusted = reader.codec.request.trusts(format)
        self.first = format.id | (CHECKSUM_BIT if metadata.checksums else 0)
        """The first byte of new records."""
        is_readable = not format.is_packed or is_proven(reader.codec, self.first)
        self.can_read = is_trusted and is_readable
        """Whether the fast lanes can read new records."""
        unpacker = Unpacker(reader) if format.is_packed and self.can_read else None
        self._unpacker = unpacker
        self._checksums = metadata.checksums and unpacker is None
        self.start = 0 if unpacker is not None else 5 if metadata.checksums else 1
        """Where the serializer's bytes begin in a value that the fast lanes can read."""
        self.needs_keys = metadata.checksums or unpacker is not None
        """Whether `page` needs the keys of the records."""
        self.decode = reader.decode if unpacker is None else unpacker.decode
        """Decodes a record of the last page, by its stored key and stored bytes."""

    def page(self, keys: Sequence[bytes], raws: Sequence[bytes]) -> Page:
        """The page of these values."""
        if self._unpacker is None:
            return Page(keys, raws, self.first, checksums=self._checksums)
        return Page(keys, self._unpacker.unpack(keys, raws), self.first, are_unpacked=True)
