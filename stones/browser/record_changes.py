"""Changes of records by a form: each is made only if the record is still as it was shown.

A form holds the version of its record: a hash of the stored bytes. Two people may have the same
form open. The second to send it is refused, and sees both versions.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from attrs import frozen

from stones.collections.collection import Collection
from stones.collections.collection_reader import CollectionReader, queried_records
from stones.collections.without_class.field_values import FieldValues
from stones.errors import RecordError, StoneError
from stones.stores.store import Store

from .field_texts import FieldText, changed_values, field_texts


class ChangedRecordError(StoneError):
    """The record is not as it was shown: another one has changed or deleted it."""

    def __init__(self, message: str, now: "ShownRecord | None") -> None:
        super().__init__(message)
        self.now = now
        """The record as it is now. None if it was deleted."""


@frozen
class ShownRecord:
    """A record as a form shows it."""

    fields: list[FieldText]
    version: str


def shown_record(collection: CollectionReader[Any, Any], key: Any) -> ShownRecord | None:
    """The record for a form. None if it is not there."""
    version = _version(collection, key)
    if version is None:
        return None
    return ShownRecord(field_texts(FieldValues.of(collection), _dict(collection, key)), version)


def edit(
    store: Store[Any, Any],
    collection: Collection[Any, Any],
    key: Any,
    version: str,
    given: Mapping[str, tuple[str, str]],
) -> bool:
    """Change the fields whose text differs from what was shown. Did any?

    Raises ChangedRecordError, and RecordError for a value that does not fit.
    """

    def change() -> bool:
        shown = _checked(collection, key, version)
        values = FieldValues.of(collection)
        changed = changed_values(values, shown.fields, given)
        for name in changed:
            if name in values.key_names:
                raise RecordError(f"{name} is the key: add a new record, and delete this one")
        if changed:
            record = {**_dict(collection, key), **changed}
            collection[key] = collection.from_dict(record)
        return bool(changed)

    return store.transact(change)


def delete(
    store: Store[Any, Any], collection: Collection[Any, Any], key: Any, version: str
) -> None:
    """Delete the record. Raises ChangedRecordError."""

    def change() -> None:
        _checked(collection, key, version)
        del collection[key]

    store.transact(change)


def _checked(collection: Collection[Any, Any], key: Any, version: str) -> ShownRecord:
    now = shown_record(collection, key)
    if now is None:
        raise ChangedRecordError("this record was deleted since you opened it", None)
    if now.version != version:
        raise ChangedRecordError("this record was changed since you opened it", now)
    return now


def _version(collection: CollectionReader[Any, Any], key: Any) -> str | None:
    records = queried_records(collection).records
    raw = records.database.get(records.encode_key(key))
    return None if raw is None else sha256(raw).hexdigest()


def _dict(collection: CollectionReader[Any, Any], key: Any) -> dict[str, Any]:
    return collection.to_dict(collection[key])
