"""Stored bytes of a stones 0.3 database: a value has no format byte and no checksum.

After the first step of a migration such a value has a format byte, and a `Codec` reads it. The
encodings themselves are in `stones.formats.stones03`.
"""

from typing import Any

from stones.errors import FormatMismatchError, ValueTypeError

from .checksums import corrupt
from .codec import Codec
from .messages import show_value
from .metadata import (
    NO_FORMAT,
    STONES03_ENCODINGS,
    STONES03_SUFFIX,
    Format,
    Metadata,
    new_metadata,
)
from .request import FormatRequest


class Stones03Codec(Codec):
    """Values to bytes and back as stones 0.3 did it."""

    def __init__(self, request: FormatRequest) -> None:
        """Raises FormatMismatchError if the request names no serializer, or wants checksums."""
        if request.name is None:
            raise FormatMismatchError(
                "this is a database of stones 0.3, which did not note its serializer: name it, "
                "serialize='pickle' for one made by stone() without any (`stones migrate`: with "
                "--from pickle)"
            )
        if request.checksums:
            raise FormatMismatchError(
                "a database of stones 0.3 has no checksums: open it without checksums=, and give "
                "it some by migrate(store, checksums=True)"
            )
        if request.compress or request.encrypts:
            raise FormatMismatchError(
                "a database of stones 0.3 is neither compressed nor encrypted: open it without "
                "compress= and encrypt=, and give it either by migrate()"
            )
        self.metadata = Metadata(None, Format(NO_FORMAT, request.name), {})
        self.id = self.first = self.serialized = NO_FORMAT
        self.prefix = self.plain_prefix = b""
        self._is_plain = True
        self.read = self.decode
        self.readers = {}
        self._request = request
        from .stones03 import stones03_serializer  # few stores need it

        serializer = request.custom or stones03_serializer(request.name)
        self._dumps, self.loads = serializer.encode, serializer.decode

    def encode(self, key: bytes, value: Any) -> bytes:
        return self._dumps(value)

    def knows(self, raw: bytes) -> bool:
        return True

    def decode(self, key: bytes, raw: bytes) -> Any:
        if not self._request.trusts(self.metadata.write):
            self._request.reader(self.metadata.write, f"the value of {key!r}")  # raises
        try:
            return self.loads(raw)
        except MemoryError:
            raise
        except Exception as error:  # a decoder may raise anything on damaged bytes
            raise corrupt(key, error) from error


def metadata_from_stones03(codec: Stones03Codec) -> Metadata:
    """The metadata of a stones 0.3 database once each of its values has got a format byte."""
    name = codec.metadata.write.serializer
    return new_metadata(name + STONES03_SUFFIX if name in STONES03_ENCODINGS else name)


def check_table(table: object) -> None:
    """Raise ValueTypeError if `table` cannot name a table: it is bytes, or None for no table."""
    if table is not None and not isinstance(table, bytes):
        raise ValueTypeError(
            f"table is the name of a table as bytes, b'name' for instance, not {show_value(table)}"
        )
