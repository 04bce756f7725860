"""The keys of the dict face: bytes, or str, which is stored as UTF-8."""

from contextlib import suppress
from typing import Any

from stones.errors import InvalidKeyError, KeyTooLongError, KeyTypeError
from stones.formats.messages import show, show_value


def encode_key(key: object) -> bytes:
    """The stored form of a key.

    Raises KeyTypeError for another type, InvalidKeyError for the empty key and for text that UTF-8
    cannot hold.
    """
    # As in encode_bound(), without its calls: half of the time of encoding a short key.
    if type(key) is str:
        try:
            stored = key.encode()
        except UnicodeEncodeError:
            stored = _utf8(key)
    else:
        stored = encode_bound(key)
    if not stored:
        raise InvalidKeyError("a key has at least 1 byte: the empty key cannot be stored")
    return stored


def encode_bound(key: object) -> bytes:
    """The stored form of a bound or a prefix: as `encode_key`, but it may be empty."""
    if isinstance(key, str):
        return _utf8(key)
    if isinstance(key, bytes):
        return bytes(key)  # an instance of a subclass is another object
    raise KeyTypeError(f"a key is bytes or str, not {show_value(key)}")


def encode_new_key(key: object, max_size: int) -> bytes:
    """The stored form of a key that is to be written. `max_size` is the engine's limit in bytes.

    Raises KeyTooLongError too.
    """
    stored = key if type(key) is bytes and key else encode_key(key)
    if len(stored) > max_size:
        raise KeyTooLongError(
            f"a key has at most {max_size} bytes, {stored[:40]!r}... has {len(stored)}: "
            "shorten it, or store under a hash of it"
        )
    return stored


def decode_key(stored: bytes, key_type: type) -> Any:
    """The key that a user gets: `stored` itself, or with the key type str its text."""
    return stored.decode("utf-8", "surrogateescape") if key_type is str else stored


def _utf8(key: str) -> bytes:
    """UTF-8; lone surrogates stand for bytes that are not UTF-8, as `decode_key` shows them.

    See PEP 383.
    """
    try:  # not suppress(): it takes as long as all the rest of encoding a key
        return key.encode()
    except UnicodeEncodeError:
        pass
    with suppress(UnicodeEncodeError):
        stored = key.encode("utf-8", "surrogateescape")
        # Surrogates for bytes that are UTF-8 after all would come back as another str.
        if stored.decode("utf-8", "surrogateescape") == key:
            return stored
    raise InvalidKeyError(f"{show(key)} cannot be a key: it has no UTF-8")
