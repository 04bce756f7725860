"""The stored bytes of the values of a page, and which of them the fast lanes can read.

A value has a first byte, and maybe a checksum, before the bytes of its serializer. The fast lanes
read values in the format that the store writes now, whose checksum is right. The others are left to
the value lane, which meets any damage.
"""

from collections.abc import Sequence
from functools import cached_property
from operator import itemgetter

from stones.formats.checksums import matches_checksum
from stones.formats.codec import Codec

_first_byte = itemgetter(0)


class Page:
    """Neighbouring values of a store."""

    def __init__(
        self, keys: Sequence[bytes], raws: Sequence[bytes], first: int, *, checksums: bool
    ) -> None:
        self.raws = raws
        """The stored bytes of the values."""
        self.joined = b"".join(raws)
        """The stored bytes of all values, one after the other."""
        self._keys = keys
        self._first = first
        self._checksums = checksums

    @cached_property
    def unreadable(self) -> frozenset[int]:
        """The places of the values that only the value lane can read."""
        first, raws = self._first, self.raws
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
    def has_checksums(self) -> bool:
        """Whether a checksum follows the first byte of each readable value."""
        return self._checksums


class PageMaker:
    """Makes the pages of one scan."""

    def __init__(self, codec: Codec) -> None:
        self.first = codec.serialized
        """The first byte of the values that the fast lanes can read."""
        self.checksums = codec.metadata.checksums
        """Whether a checksum follows the first byte. The keys are needed to check it."""
        self.start = 5 if self.checksums else 1
        """Where the serializer's bytes begin in a value that the fast lanes can read."""

    def page(self, keys: Sequence[bytes], raws: Sequence[bytes]) -> Page:
        """The page of these values."""
        return Page(keys, raws, self.first, checksums=self.checksums)
