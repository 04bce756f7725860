"""How each serializer writes names and values: what the bytes lane looks for.

The bytes come from the serializers themselves, so that the two cannot differ. A serializer of the
user's own is not here.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from attrs import frozen

from stones.formats.serializers import serializer

from . import number_patterns
from .number_patterns import NumberForms

_LITERAL_TYPES = frozenset({str, bool, type(None), bytes, date, UUID})


@frozen
class Marker:
    """Bytes that are in few pages, and where in it is the byte that is in the fewest."""

    text: bytes
    rarest: int

    def is_in(self, joined: bytes) -> bool:
        """Whether some bytes contain it.

        To look at each place of a rare byte takes a third of the time that Python's search takes.
        """
        rare, before = self.text[self.rarest : self.rarest + 1], self.rarest
        at = -1
        for _ in range(_PATIENCE):
            at = joined.find(rare, at + 1)
            if at < 0:
                return False
            if at >= before and joined.startswith(self.text, at - before):
                return True
        return self.text in joined


_PATIENCE = 64

Head = tuple[bytes, Marker | None]
"""What stands before a value, and what is in each value of a record that has that."""


@frozen(eq=False)
class Notation:
    """How one serializer writes what a dict holds."""

    serializer: str
    pair_ends: Sequence[Head]
    """What may stand between the name of a field and its value, first what is usual.

    The second part is in each value that has it. JSON writes a dict whose keys are not all str as a
    list of pairs, with a comma in between.
    """
    registered: Marker
    """How a value of a registered type begins. It may equal a value of any type."""
    numbers: NumberForms | None = None
    """How numbers are written. None: by their digits."""
    is_known: bool = True
    """Whether the bytes of a name and of its value are known. If not, only letters are.

    Pickle writes a text letter by letter, but only once: later it refers to the first place.
    """

    def encoded(self, value: Any) -> bytes:
        """The bytes of a value, wherever it is inside a record. Raises SerializerError."""
        return serializer(self.serializer).encode(value)

    def heads(self, name: str) -> "Sequence[Head]":
        """What may stand before the value of a field with this name."""
        return _heads(self, name)

    def letters(self, text: str) -> bytes:
        """How the letters of a text are written, inside of a longer text too."""
        return text.encode() if self.numbers is not None else self.encoded(text)[1:-1]

    def can_hold(self, value: Any) -> bool:
        """Whether all values that equal this one, but for registered types, have the same bytes."""
        kind = type(value)
        if kind is str:
            return is_encodable(value)
        return kind in _LITERAL_TYPES


NOTATIONS: Final[Mapping[str, Notation]] = {
    "msgpack": Notation(
        "msgpack", ((b"", None),), Marker(b"\x93\xc7\x00\x0f", 1), number_patterns.MSGPACK
    ),
    "cbor": Notation(
        "cbor", ((b"", None),), Marker(b"\xd8\x1b\x83\x64type", 1), number_patterns.CBOR
    ),
    "json": Notation(
        "json", ((b":", None), (b",", Marker(b'{"$dict":', 2))), Marker(b'{"$type":', 2)
    ),
    "pickle": Notation("pickle", (), Marker(b"", 0), is_known=False),
}
"""The notations by the names of the serializers."""


@lru_cache(1024)
def _heads(notation: Notation, name: str) -> Sequence[Head]:
    encoded = notation.encoded(name)
    return [(encoded + end, marker) for end, marker in notation.pair_ends]


def is_encodable(text: str) -> bool:
    """Whether a text has no lone surrogates, which each serializer writes in a way of its own."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
