"""Values to stored bytes and back, as the store's metadata and its opener say.

A `Codec` works for one generation of the metadata (`stones.formats.metadata`) and one request
(`stones.formats.request`). `stones.formats.format_writer` says what stored bytes are made of.
"""

from collections.abc import Callable
from typing import Any

from stones.errors import CorruptValueError, StoneError

from .checksums import CHECKSUM_BIT, value_reader, without_checksum
from .format_writer import FormatWriter, Read, format_decoder, format_reader, format_writer
from .metadata import NO_FORMAT, Format, Metadata
from .request import FormatRequest
from .serializers import CUSTOM


class Codec:
    """Values to stored bytes and back, by one generation of the metadata.

    `first`, `id`, `loads` and `read` are for loops over many values. They save the calls of
    `decode` where a value is in the format that the store writes now, as most values are:

        if raw and raw[0] == codec.id:
            value = codec.loads(raw[1:])        # there is no checksum
        elif raw and raw[0] == codec.first:
            value = codec.read(key, raw)        # it also checks the checksum
        else:
            value = codec.decode(key, raw)      # any format, damaged bytes

    A caller of `loads` turns its errors into CorruptValueError; `read` and `decode` do that
    themselves.
    """

    def __init__(self, metadata: Metadata, request: FormatRequest) -> None:
        """Raises FormatMismatchError if the serializer of new values is not known."""
        self.metadata = metadata
        self._request = request
        writer = request.writer(metadata.write, "the store")
        self._dumps = writer.encode
        self._dumps_simple = writer.encode_simple or writer.encode
        self.prefix = bytes([metadata.first])
        """The first byte of each value that this codec writes, for keys without a rule."""
        self._is_plain = not (metadata.checksums or metadata.write.is_packed or metadata.rules)
        """Whether each new value is the first byte and the serializer's bytes, and nothing else."""
        in_use = [metadata.formats[id] for id in metadata.in_use if id in metadata.formats]
        self._all_encrypted = all(each.encryption for each in [metadata.write, *in_use])
        self._writers: dict[int, FormatWriter] = {}
        self.loads = writer.decode
        """Decodes `raw[1:]` if `raw[0] == id`. Raises anything on damaged bytes."""
        self.read: Read = value_reader(metadata.first, writer.decode)
        """Decodes `key, raw` if `raw[0] == first`. Raises CorruptValueError."""
        self.first = metadata.first if request.trusts(metadata.write) else NO_FORMAT
        """The first byte, as a number, of the values that `read` takes.

        It is `prefix`, or NO_FORMAT if such values are pickled and not trusted, or if the key for
        them was not given.
        """
        self.id = NO_FORMAT if metadata.checksums else self.first
        """The first byte, as a number, of the values that `loads` takes.

        It is `first`, or NO_FORMAT if new values have a checksum, or are encrypted.
        """
        self.readers: dict[int, Read] = {}
        """What decodes `key, raw` as `decode` does, by `raw[0]`, for the formats met so far."""
        if metadata.write.is_packed and self.first != NO_FORMAT:
            self._read_packed(writer.decode)
        self.readers[self.first] = self.read
        self.plain_prefix = b"" if self.id == NO_FORMAT else self.prefix
        """What `removeprefix` takes off the values that `loads` takes, and off no other value."""
        self.serialized = NO_FORMAT if metadata.write.is_packed else self.first
        """The first byte, as a number, of values that have the serializer's bytes as they are.

        These are at the end, after the checksum if there is one. It is `first`, or NO_FORMAT if new
        values are compressed or encrypted.
        """

    def _read_packed(self, decode: Callable[[bytes], Any]) -> None:
        """Set what reads new values which are compressed or encrypted."""
        metadata, write = self.metadata, self.metadata.write
        try:
            self.read = format_reader(metadata.first, write, metadata, self._request, decode)
        except StoneError:  # there is no key, for instance: then `decode` raises it
            self.first = self.id = NO_FORMAT
            return
        if write.encryption is not None:
            self.id = NO_FORMAT
        elif self.id != NO_FORMAT:
            self.loads = format_decoder(write, metadata, self._request, decode)

    def encode(self, key: bytes, value: Any) -> bytes:
        """The stored bytes of a value.

        Raises SerializerError, with the path to the part of the value that cannot be held, and
        EncryptionKeyError if the key for new values was not given.
        """
        if self._is_plain:
            return self.prefix + self._dumps(value)
        return self.writer(key).encode(key, value)

    def encoder(self) -> Callable[[bytes, Any], bytes]:
        """`encode` for a loop over many values, which saves looks at the metadata."""
        dumps, prefix = self._dumps, self.prefix
        if self._is_plain:
            return lambda _, value: prefix + dumps(value)
        if self.metadata.rules:
            return self.encode
        wrap = self.writer(b"").wrap
        return lambda key, value: wrap(key, dumps(value))

    def encode_simple(self, key: bytes, value: Any) -> bytes:
        """The stored bytes, as of `encode`, of what the caller knows to be a simple value.

        `stones.formats.serializers.Serializer` says which values are simple.
        """
        writer = None if self._is_plain else self.writer(key)
        try:
            encoded = (self._dumps_simple if writer is None else writer.dumps_simple)(value)
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001  # an int that is too large for it, or a lone surrogate
            return self.encode(key, value)
        return self.prefix + encoded if writer is None else writer.wrap(key, encoded)

    def wrap(self, key: bytes, encoded: bytes) -> bytes:
        """The stored bytes, from the bytes that the serializer of `writer(key)` made of a value."""
        return self.prefix + encoded if self._is_plain else self.writer(key).wrap(key, encoded)

    def writer(self, key: bytes) -> FormatWriter:
        """What writes new values of this key: a rule may say another format than the store's.

        Raises as `format_writer` does.
        """
        format = self.metadata.format_of(key)
        writer = self._writers.get(format.id)
        if writer is None:
            writer = self._writers[format.id] = format_writer(format, self.metadata, self._request)
        return writer

    def is_current(self, key: bytes, raw: bytes) -> bool:
        """Whether these stored bytes are in the format of new values of the key."""
        return raw[:1] == (self.writer(key).prefix if self.metadata.rules else self.prefix)

    def is_written_by(self, name: str, raw: bytes) -> bool:
        """Whether the serializer `name` made these stored bytes, however they are packed."""
        format = self.metadata.formats.get(raw[0] & ~CHECKSUM_BIT) if raw else None
        return format is not None and format.serializer == name

    def unwrap(self, key: bytes, raw: bytes) -> bytes:
        """The bytes that a serializer made, from the stored bytes. Raises CorruptValueError.

        Raises as `format_reader` does.
        """
        format = self._format_of(key, raw)
        if format.is_packed:
            reader = format_reader(raw[0], format, self.metadata, self._request, bytes)
            return reader(key, raw)  # type: ignore[no-any-return]  # bytes() returned it
        return without_checksum(key, raw) if raw[0] & CHECKSUM_BIT else raw[1:]

    def unwrapping(self, first: int) -> Read:
        """`unwrap` for a loop over many values, which begin with the byte `first`.

        Raises as `unwrap` does.
        """
        format = self._format_of(b"", bytes([first]))
        return format_reader(first, format, self.metadata, self._request, bytes)

    def binds_key(self, raw: bytes) -> bool:
        """Whether these stored bytes are of one key: by a checksum, or by encryption."""
        format = self.metadata.formats[raw[0] & ~CHECKSUM_BIT]
        return raw[0] & CHECKSUM_BIT != 0 or format.encryption is not None

    def knows(self, raw: bytes) -> bool:
        """Whether the metadata lists the format of these stored bytes."""
        return not raw or raw[0] & ~CHECKSUM_BIT in self.metadata.formats

    def misses(self, raw: bytes) -> str:
        """What these stored bytes lack, though each value of the store has it, in words.

        Empty if they have it all. Otherwise a bit that flips could take a checksum off a value, and
        a value in a format that the store had once could take the place of an encrypted one. In a
        migration, a value may also be in the formats that were in use before.
        """
        if not raw:
            return "is empty"
        is_migrating = self.metadata.migration is not None
        if self.metadata.checksums and raw[0] < CHECKSUM_BIT and not is_migrating:
            return "has no checksum, as all values of the store have"
        format = self.metadata.formats.get(raw[0] & ~CHECKSUM_BIT)
        if self._all_encrypted and (format is None or format.encryption is None):
            return "is not encrypted, as all values of the store are"
        return ""

    def has_dictionary(self, raw: bytes) -> bool:
        """Whether the dictionary is here by which these stored bytes are compressed, if any is.

        The end of a migration removes the dictionaries of old formats.
        """
        format = self.metadata.formats.get(raw[0] & ~CHECKSUM_BIT) if raw else None
        number = None if format is None else format.dictionary
        return number is None or number in self.metadata.dictionaries

    def decode(self, key: bytes, raw: bytes) -> Any:
        """The value, from stored bytes in any format that the metadata lists.

        Raises CorruptValueError for damaged bytes, FormatMismatchError if the format is not
        trusted or its serializer is not known.
        """
        read = self.readers.get(raw[0]) if raw else None
        if read is None:
            format = self._format_of(key, raw)
            decode = self._request.reader(format, f"the value of {key!r}").decode
            read = format_reader(raw[0], format, self.metadata, self._request, decode)
            self.readers[raw[0]] = read
        return read(key, raw)

    def _format_of(self, key: bytes, raw: bytes) -> Format:
        if self.knows(raw):
            problem = self.misses(raw)
        else:
            problem = f"has the format {raw[0] & ~CHECKSUM_BIT}, which the store does not list"
        if problem:
            raise CorruptValueError(f"the value of {key!r} {problem}: it is damaged")
        return self.metadata.formats[raw[0] & ~CHECKSUM_BIT]

    def options(self) -> dict[str, Any]:
        """The options that make another store write by the same serializer.

        `metadata` and `request` say the rest, such as compression and the keys.
        """
        custom = self._request.custom
        if custom is not None and self.metadata.write.serializer == CUSTOM:
            named: dict[str, Any] = {"dump_load": (custom.encode, custom.decode)}
        else:
            named = {"serialize": self.metadata.write.serializer}
        return {**named, "checksums": self.metadata.checksums}

    @property
    def request(self) -> FormatRequest:
        """What the opener of the store named and trusts, and the keys that decrypt values."""
        return self._request
