"""The options that every class of stores has, checked before the store is opened."""

from collections.abc import Callable
from typing import Any

from stones.errors import (
    KeyTypeError,
    SerializerError,
    StoreOpenError,
    UnsupportedError,
    ValueTypeError,
)
from stones.formats.encryption_keys import Encrypt
from stones.formats.messages import show
from stones.formats.request import FormatRequest, check_checksums

Functions = tuple[Callable[[Any], bytes], Callable[[bytes], Any]] | tuple[()]
"""`dump_load=(encode, decode)`: two functions in place of a serializer; () is neither."""


def checked_request(
    key_type: type,
    value_type: type,
    serialize: str | None,
    dump_load: Functions,
    trust_pickle: bool | None,
    checksums: bool | None,
    compress: str | bool | None,
    encrypt: Encrypt,
    default_serializer: str,
) -> FormatRequest:
    """How the opener of a store wants its values. Raises an error for an option that cannot be.

    The errors are KeyTypeError, SerializerError, ValueTypeError and EncryptionKeyError.
    """
    if key_type not in (bytes, str):
        raise KeyTypeError(f"key_type is bytes or str, not {show(key_type)}")
    if not (serialize is None or isinstance(serialize, str)):
        raise SerializerError(f"serialize is the name of a serializer, not {show(serialize)}")
    if not isinstance(value_type, type):
        raise ValueTypeError(f"value_type is a class, list for instance, not {show(value_type)}")
    check_checksums(checksums)
    return FormatRequest.from_arguments(
        serialize, dump_load, trust_pickle, checksums, default_serializer, compress, encrypt
    )


def check_unpacked(request: FormatRequest, kind: str) -> None:
    """Raise UnsupportedError if values are to be compressed or encrypted in a file for people."""
    if request.compress or request.encrypts:
        option = "compress=" if request.compress else "encrypt="
        raise UnsupportedError(
            f"{kind} does not support {option}: open another kind of store, LmdbStore or "
            "SqliteStore for instance"
        )


def check_durability(durability: object, names: tuple[str, ...]) -> None:
    """Raise StoreOpenError unless the option `durability` is one of these names."""
    if durability not in names:
        raise StoreOpenError(f"durability is one of {', '.join(names)}, not {show(durability)}")
