"""How values in one format are written and read: serializer, zstd, AES-GCM, and maybe a checksum.

    first byte | checksum (4), if its bit is set | salt (12), number (4) | content | tag (16)

The content is what the serializer made, maybe compressed. Salt, number and tag are there if the
value is encrypted (`stones.formats.encryption`).
"""

from collections.abc import Callable, Sequence
from hashlib import sha256
from itertools import repeat
from typing import Any

from attrs import frozen

from stones.errors import CorruptValueError, EncryptionKeyError, FormatMismatchError

from .checksums import CHECKSUM_BIT, corrupt, value_reader, with_checksum, without_checksum
from .compression import compressor, decompressing
from .dictionaries import is_sealed, unsealed
from .encryption import EncryptionKey, is_refused
from .metadata import Format, Metadata
from .request import FormatRequest
from .serializers import Encode

Read = Callable[[bytes, bytes], Any]
WrapMany = Callable[[Sequence[bytes], Sequence[bytes]], list[bytes]]
_CHECKED_START = 5
"""Where the content begins in stored bytes with a checksum."""


@frozen(eq=False)
class FormatWriter:
    """Writes values in one format."""

    format: Format
    prefix: bytes
    """The first byte of each value that it writes."""
    dumps: Encode
    """The bytes of a value, by the serializer."""
    dumps_simple: Encode
    """The same for a simple value (see `Serializer`). Raises anything for any other."""
    wrap: Callable[[bytes, bytes], bytes]
    """The stored bytes, from the key of the entry and the serializer's bytes."""
    wrap_many: WrapMany
    """The stored bytes of many values at once, in less time."""

    def encode(self, key: bytes, value: Any) -> bytes:
        """The stored bytes of a value. Raises SerializerError."""
        return self.wrap(key, self.dumps(value))


def format_writer(format: Format, metadata: Metadata, request: FormatRequest) -> FormatWriter:
    """What writes values in `format`.

    Raises FormatMismatchError if the serializer is not known, EncryptionKeyError without the key,
    StoreOpenError without the package for it.
    """
    serializer = request.writer(format, "the store")
    first = format.id | (CHECKSUM_BIT if metadata.checksums else 0)
    return FormatWriter(
        format,
        bytes([first]),
        serializer.encode,
        serializer.encode_simple or serializer.encode,
        *_wrappers(first, format, metadata, request),
    )


def format_reader(
    first: int,
    format: Format,
    metadata: Metadata,
    request: FormatRequest,
    decode: Callable[[bytes], Any],
) -> Read:
    """The function that decodes the stored bytes of a key that begin with the byte `first`.

    `decode` decodes the bytes of the serializer. The function raises CorruptValueError for damaged
    bytes. Raises as `format_writer` does.
    """
    decode = format_decoder(format, metadata, request, decode)
    if format.encryption is None:
        return value_reader(first, decode)
    start = _CHECKED_START if first & CHECKSUM_BIT else 1
    encryption_key = decryption_key(format, metadata, request)
    bound = _bound(first, format, metadata, request)
    read = encryption_key.decrypting(bound, start, decode, _broken)
    if start == 1:
        return read

    def read_checked(key: bytes, raw: bytes) -> Any:
        without_checksum(key, raw)  # raises if it does not match
        return read(key, raw)

    return read_checked


def format_decoder(
    format: Format,
    metadata: Metadata,
    request: FormatRequest,
    decode: Callable[[bytes], Any],
) -> Callable[[bytes], Any]:
    """The function that decodes the content of stored bytes, decrypted if it is encrypted.

    It raises anything on damaged bytes. Raises as `format_writer` does.
    """
    if format.compression is None:
        return decode
    dictionary = _dictionary(format, metadata, request)
    return decompressing(decode, dictionary, is_proved=format.encryption is not None)


def decryption_key(format: Format, metadata: Metadata, request: FormatRequest) -> EncryptionKey:
    """The key that decrypts values in `format`. Raises EncryptionKeyError if it is not known."""
    id = format.encryption or ""
    key = request.keys.find(id, metadata.keys[id])
    if key is None:
        raise EncryptionKeyError(
            "the value is encrypted by a key that is not among those given: open the store with "
            "encrypt=[newest, *older]"
            if len(request.keys)
            else "the value is encrypted: open the store with encrypt=key (`stones` commands: with "
            "--key-file, or STONES_KEY in the environment)"
        )
    return key


def _broken(key: bytes, error: Exception) -> CorruptValueError | FormatMismatchError:
    if is_refused(error):
        return CorruptValueError(
            f"the value of {key!r} cannot be decrypted: it was changed, cut short, or moved from "
            "another key; restore it from a backup"
        )
    return corrupt(key, error)


def _wrappers(
    first: int, format: Format, metadata: Metadata, request: FormatRequest
) -> tuple[Callable[[bytes, bytes], bytes], WrapMany]:
    """The functions `wrap` and `wrap_many` of a writer."""
    prefix = bytes([first])
    has_checksum = bool(first & CHECKSUM_BIT)
    compress = encryptor = encrypt = None
    if format.compression is not None:
        compress = compressor(_dictionary(format, metadata, request))
    if format.encryption is not None:
        encryption_key = decryption_key(format, metadata, request)
        encryptor = encryption_key.encryptor(_bound(first, format, metadata, request))
        encrypt = encryptor.encrypt

    def wrap(key: bytes, encoded: bytes) -> bytes:
        content = encoded if compress is None else compress(encoded)
        if encrypt is not None:
            content = encrypt(key, content)
        return with_checksum(prefix, key, content) if has_checksum else prefix + content

    def wrap_many(keys: Sequence[bytes], encoded: Sequence[bytes]) -> list[bytes]:
        contents = encoded if compress is None else list(map(compress, encoded))
        if encryptor is not None:
            contents = encryptor.encrypt_many(keys, contents)
        if has_checksum:
            return list(map(with_checksum, repeat(prefix), keys, contents))
        return [prefix + content for content in contents]

    return wrap, wrap_many


def _bound(first: int, format: Format, metadata: Metadata, request: FormatRequest) -> bytes:
    """What stands for the format of an encrypted value: its first byte, and a digest of the rest.

    So nobody can change the metadata in such a way that the value is decoded to something else.
    """
    dictionary = _dictionary(format, metadata, request) or b""
    names = f"{format.serializer}\0{format.compression or ''}\0".encode()
    return bytes([first]) + sha256(names + dictionary).digest()


def _dictionary(format: Format, metadata: Metadata, request: FormatRequest) -> bytes | None:
    """The dictionary of a format. Raises CorruptValueError if it is lost or damaged.

    Raises EncryptionKeyError if the key is not known that decrypts it.
    """
    number = format.dictionary
    if number is None:
        return None
    stored = metadata.dictionaries.get(number)
    if stored is None:
        raise CorruptValueError(
            f"the dictionary {number}, by which values are compressed, is lost or damaged: restore "
            "the store from a backup"
        )
    if format.encryption is None or not is_sealed(stored):
        return stored
    key = decryption_key(format, metadata, request)
    try:
        return unsealed(stored, number, key)
    except MemoryError:
        raise
    except Exception as error:
        raise CorruptValueError(
            f"the dictionary {number}, by which values are compressed, cannot be decrypted: it was "
            "changed or cut short; restore the store from a backup"
        ) from error
