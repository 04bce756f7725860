"""Cursors: the place where a page of a query ends, as text that a caller keeps and gives back.

A cursor has the name of the collection, the order, and the place of the last record in it: the
values that the records are sorted by, and the key. So the record itself may be deleted. A checksum
tells damage. It is no signature, and the text is not encrypted.

    cursor   base64 in the alphabet for URLs, without `=`, of: 01, checksum, body
    checksum the first 8 bytes of BLAKE2b of the body
    body     MessagePack: [collection, order, place]
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b
from typing import Any

import msgspec
from msgspec import msgpack

from stones.errors import QueryError
from stones.formats.messages import show, show_value

_VERSION = 1
_CHECKSUM = 8


class CursorBody(msgspec.Struct, array_like=True, frozen=True):
    """What a cursor tells."""

    collection: str
    order: str
    place: bytes


def encode_cursor(collection: str, order: str, place: bytes) -> str:
    """The text of a place in an order.

    >>> decode_cursor(encode_cursor('User', "order_by('age')", b'place'))
    CursorBody(collection='User', order="order_by('age')", place=b'place')
    """
    body = msgpack.encode(CursorBody(collection, order, place))
    raw = bytes([_VERSION]) + _checksum(body) + body
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode_cursor(text: Any) -> CursorBody:
    """What the text of a cursor tells. Raises QueryError for any other text."""
    if not isinstance(text, str):
        raise QueryError(f"after() takes the text that cursor() has given, not {show_value(text)}")
    try:
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        checksum, body = raw[1 : 1 + _CHECKSUM], raw[1 + _CHECKSUM :]
        # Base64 may have other spellings of the same bytes.
        if urlsafe_b64encode(raw).rstrip(b"=").decode() != text or checksum != _checksum(body):
            raise ValueError("damaged")
        if raw[0] != _VERSION:
            raise QueryError(
                f"the cursor {show(text)} is of a later version of stones: start from the first "
                "page"
            )
        return msgpack.decode(body, type=CursorBody)
    except (ValueError, msgspec.MsgspecError) as error:
        if isinstance(error, QueryError):
            raise
        raise QueryError(
            f"{show(text)} is no cursor, or a damaged one: give the whole text that cursor() has "
            "given"
        ) from error


def _checksum(body: bytes) -> bytes:
    return blake2b(body, digest_size=_CHECKSUM).digest()
