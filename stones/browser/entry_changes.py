"""Changes of entries that are in no collection: each only if the entry is as it was shown.

As `record_changes`, for a key of the store or of a namespace, with any value.
"""

from hashlib import sha256
from typing import Any

from attrs import frozen

from stones.errors import DuplicateKeyError, InvalidKeyError, StoneError
from stones.formats.messages import show_key
from stones.stores.namespaces.owner import writable_at
from stones.stores.reader import Reader
from stones.stores.store import Store

from .field_texts import JSON, json_value, value_text


class ChangedEntryError(StoneError):
    """The entry is not as it was shown: another one has changed or deleted it."""

    def __init__(self, message: str, now: "ShownEntry | None") -> None:
        super().__init__(message)
        self.now = now
        """The entry as it is now. None if it was deleted."""


@frozen
class ShownEntry:
    """An entry as a form shows it."""

    notation: str | None
    """`text` for a str, or `json`. None for a value that cannot be typed."""
    text: str
    version: str


def shown_entry(store: Reader[Any, Any], key: bytes) -> ShownEntry | None:
    """The entry for a form. None if it is not there."""
    raw = store.database.get(key) if key else None
    if raw is None:
        return None
    notation, text = value_text(store.database.decode(key, raw)) or (None, "")
    return ShownEntry(notation, text, sha256(raw).hexdigest())


def edit_entry(store: Store[Any, Any], key: bytes, version: str, notation: str, text: str) -> None:
    """Give the key another value. Raises ChangedEntryError, RecordError for what is no JSON."""
    value = _value(notation, text)

    def change() -> None:
        _check(store, key, version)
        _put(store, key, value)

    store.transact(change)


def delete_entry(store: Store[Any, Any], key: bytes, version: str) -> None:
    """Delete the entry. Raises ChangedEntryError."""

    def change() -> None:
        _check(store, key, version)
        mapping, inside = writable_at(store, key)
        del mapping[inside]

    store.transact(change)


def add_entry(store: Store[Any, Any], key: bytes, notation: str, text: str) -> None:
    """Add a key. Raises DuplicateKeyError if it is there, RecordError for what is no JSON."""
    value = _value(notation, text)
    if not key:
        raise InvalidKeyError("a key has at least one byte: type a key")

    def change() -> None:
        if key in store:
            raise DuplicateKeyError(f"the key {show_key(key)} is there already: edit it")
        _put(store, key, value)

    store.transact(change)


def _put(store: Store[Any, Any], key: bytes, value: Any) -> None:
    mapping, inside = writable_at(store, key)
    mapping[inside] = value


def _value(notation: str, text: str) -> Any:
    return json_value(text) if notation == JSON else text


def _check(store: Store[Any, Any], key: bytes, version: str) -> None:
    now = shown_entry(store, key)
    if now is None:
        raise ChangedEntryError("this key was deleted since you opened it", None)
    if now.version != version:
        raise ChangedEntryError("this value was changed since you opened it", now)
