"""The stored bytes in the target of a copy: as they are in the source, or encoded anew."""

from collections.abc import Callable, Iterator
from typing import Literal

from stones.engine import Page, Transaction
from stones.errors import MigrationError, SerializerError, StoneError
from stones.formats.codec import Codec
from stones.formats.registered_types import unknown_types_kept
from stones.formats.serializers import SAFE
from stones.stores.database import Database

from .sameness import same


class Conversion:
    """Decodes the values of the source, and encodes them as the target writes them.

    `target` may be the codec of another store. A value that comes back as another one from its
    serializer is an error. So is a value that the serializer cannot hold.
    """

    def __init__(self, source: Database, target: Codec) -> None:
        self._source = source
        self._target = target
        self._keep_types: Literal["all"] | None = (
            "all" if target.metadata.write.serializer in SAFE else None
        )

    def converted(self, pages: Iterator[Page], txn: Transaction) -> Iterator[Page]:
        """Pages of the source, with the stored bytes of the target. `txn` is read."""
        decode = self._source.codec_at(txn).decode
        for keys, values in pages:
            yield keys, [self._convert(decode, *entry) for entry in zip(keys, values, strict=True)]

    def equal(self, key: bytes, present: bytes, wanted: bytes) -> bool:
        """Whether two stored values of the target are the same value, of the same types."""
        with unknown_types_kept("all"):
            try:
                before = self._target.decode(key, present)
            except StoneError:  # it is damaged, and is written anew
                return False
            return same(before, self._target.decode(key, wanted))

    def _convert(self, decode: Callable[[bytes, bytes], object], key: bytes, raw: bytes) -> bytes:
        try:
            with unknown_types_kept(self._keep_types):
                value = decode(key, raw)
                encoded = self._target.encode(key, value)
                is_same = same(value, self._target.decode(key, encoded))
        except SerializerError as error:
            raise MigrationError(
                f"the value of {key!r:.200} cannot be copied: {error}; give the target the "
                "serializer of the source, or leave serialize= out"
            ) from error
        if not is_same:
            raise MigrationError(
                f"the value of {key!r:.200} cannot be copied: the serializer of the target would "
                "give it back as another value"
            )
        return encoded
