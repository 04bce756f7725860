"""Compressed and encrypted values, unpacked for the fast lanes: the bytes that a serializer made.

No damage is passed over that decoding each record would meet. So only values are unpacked that
have a proof to be as they were written: encryption, or a checksum. Compression alone is none, since
a damaged frame may give other bytes. To check these takes as long as decoding the record.
"""

from collections.abc import Sequence
from typing import Any

from stones.collections.readable_records import RecordReader
from stones.errors import StoneError
from stones.formats.checksums import CHECKSUM_BIT
from stones.formats.codec import Codec
from stones.formats.format_writer import Read
from stones.formats.metadata import NO_FORMAT
from stones.stores.database_reader import record_decoder

_MOST_BYTES = 8 << 20
"""A page holds so many unpacked bytes, and the value that brings it to this size."""


class Unpacker:
    """Unpacks the pages of one scan. Values may be in any formats with the same serializer."""

    def __init__(self, reader: RecordReader) -> None:
        """Raises FormatMismatchError if the serializer of new records is not known or trusted."""
        codec, format = reader.codec, reader.format
        self._codec = codec
        self._serializer = format.serializer
        self._readers: dict[int, Read] = {}
        self._keys: Sequence[bytes] = ()
        self._contents: Sequence[bytes] = ()
        self._by_key: dict[bytes, bytes] | None = None
        self._loads = codec.request.reader(format, "a record").decode
        self._decode_packed = record_decoder(codec)
        self.decode = reader.completing(self._decode)
        """Decodes a record as `RecordReader.decode` does. It unpacks no value a second time."""

    def unpack(self, keys: Sequence[bytes], raws: Sequence[bytes]) -> Sequence[bytes]:
        """The serializer's bytes of each value of a page. They are empty for what stays packed.

        That is a value which is damaged, has no proof or another serializer, or is behind
        `_MOST_BYTES`: the value lane reads it at its place.
        """
        contents = []
        room, first = _MOST_BYTES, NO_FORMAT
        read: Read = _left_packed
        for key, raw in zip(keys, raws, strict=True):
            try:
                if raw[0] != first:
                    first, read = raw[0], self._reader(raw[0])
                content = read(key, raw) if room > 0 else b""
            except (IndexError, StoneError, MemoryError):
                content = b""
            room -= len(content)
            contents.append(content)
        self._keys, self._contents, self._by_key = keys, contents, None
        return contents

    def _decode(self, key: bytes, raw: bytes) -> Any:
        if self._by_key is None:
            self._by_key = dict(zip(self._keys, self._contents, strict=True))
        content = self._by_key.get(key)
        if content:
            try:
                return self._loads(content)
            except MemoryError:
                raise
            except Exception:  # noqa: BLE001  # what follows raises the error of this value
                pass
        return self._decode_packed(key, raw)

    def _reader(self, first: int) -> Read:
        read = self._readers.get(first)
        if read is None:
            read = self._readers[first] = self._made(first)
        return read

    def _made(self, first: int) -> Read:
        codec = self._codec
        try:
            read = codec.unwrapping(first)
        except StoneError:
            return _left_packed
        is_same = codec.is_written_by(self._serializer, bytes([first]))
        return read if is_same and is_proven(codec, first) else _left_packed


def is_proven(codec: Codec, first: int) -> bool:
    """Whether values that begin with this byte are known to be as they were written."""
    return first & CHECKSUM_BIT != 0 or codec.binds_key(bytes([first]))


def _left_packed(_key: bytes, _raw: bytes) -> bytes:
    return b""
