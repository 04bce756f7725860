"""Which fields of the stored records are their key.

The description of a collection has the type of the keys, and not the names of the key fields. A
stored record has its key in its fields, unless the key was generated.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from attrs import frozen

from stones.errors import RecordError
from stones.formats.messages import show

Candidates = tuple[tuple[str, ...], ...]


@frozen
class KeyFields:
    """The fields that may be the key of the records, for each part of the key."""

    candidates: Candidates
    """For each part the fields that equal it in all records. Empty if the keys are generated."""

    @property
    def names(self) -> tuple[str, ...]:
        """The fields that are the key. Of several fields that always equal it, the first one."""
        return tuple(names[0] for names in self.candidates)

    def key_of(self, record: Mapping[str, Any]) -> Any:
        """The key of a record. None if keys are generated. Raises RecordError."""
        key = tuple([_value(record, names) for names in self.candidates])
        if not key:
            return None
        return key if len(key) > 1 else key[0]


def _value(record: Mapping[str, Any], names: Sequence[str]) -> Any:
    """The part of the key that these fields have."""
    values = [record[name] for name in names if name in record]
    if not values:
        raise RecordError(f"{names[0]}: is missing, and it is the key")
    if any(not _is_same(value, values[0]) for value in values):
        raise RecordError(
            f"the records do not show which of the fields {', '.join(names)} is the key, and here "
            "these differ: name the class of the records"
        )
    return values[0]


def find_key_fields(
    fields: Sequence[str], records: Sequence[tuple[Any, Mapping[str, Any]]]
) -> KeyFields | None:
    """The key fields, by some records with their keys. None if the records do not tell.

    >>> find_key_fields(['day', 'city'], [(('Bonn', 7), {'day': 7, 'city': 'Bonn'})]).names
    ('city', 'day')
    """
    if not records:
        return None
    keys = [key for key, _ in records]
    whole = _equal(fields, keys, records)
    if whole:
        return KeyFields((whole,))
    if all(type(key) is UUID for key in keys):
        return KeyFields(())
    if not all(type(key) is tuple for key in keys):
        return None
    parts = [_equal(fields, part, records) for part in zip(*keys, strict=True)]
    if not all(parts):
        return None
    return KeyFields(tuple(_apart(parts)))


def _equal(
    fields: Sequence[str], keys: Sequence[Any], records: Sequence[tuple[Any, Mapping[str, Any]]]
) -> tuple[str, ...]:
    """The fields that have these values in all records."""
    return tuple(
        name
        for name in fields
        if all(
            name in record and _is_same(record[name], key)
            for key, (_, record) in zip(keys, records, strict=True)
        )
    )


def _apart(parts: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The candidates of each part, without the fields that can only be another part."""
    alone = {names[0] for names in parts if len(names) == 1}
    return [
        names if len(names) == 1 else tuple(x for x in names if x not in alone) or names
        for names in parts
    ]


def _is_same(value: Any, key: Any) -> bool:
    return type(value) is type(key) and bool(value == key)


def ambiguous_text(name: str) -> str:
    """Why no record can be written to a collection whose records do not tell the key."""
    return (
        f"the records of {show(name)} do not show which fields are their key: name the class of "
        "the records"
    )
