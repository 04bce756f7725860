"""What a collection says of itself in the metadata: its record class, its keys, its fields.

The description of the collection NAME claims the keys `NAME/...` for it (see
`stones.stores.claims`). A collection that is opened again must fit the description.
"""

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from stones.collections.records.record_type import RecordType
from stones.errors import CollectionError, CorruptValueError


@frozen
class Description:
    """What is stored of a collection, beside its records."""

    record: str
    """The name of the record class."""
    key: str
    """The type of the keys, as an annotation: `str`, `tuple[str, int]`."""
    fields: list[str]
    """The names of the fields, in their order."""

    @classmethod
    def of_type(cls, record_type: RecordType[Any]) -> "Description":
        """The description of a collection with records of this type."""
        return cls(
            record=record_type.cls.__qualname__,
            key=record_type.key_codec.name,
            fields=list(record_type.fields),
        )

    @classmethod
    def from_stored(cls, name: str, stored: Mapping[str, Any]) -> "Description":
        """The description as it was read for the collection `name`. Raises CorruptValueError."""
        record, key, fields = (stored.get(part) for part in ("record", "key", "fields"))
        texts = [record, key, *(fields if type(fields) is list else [None])]
        if not all(type(text) is str and text.isprintable() for text in texts):
            raise CorruptValueError(
                f"what the store says of the collection {name!r} is damaged: it lacks the "
                "record class, the key type or the fields"
            )
        return cls(record=texts[0], key=texts[1], fields=texts[2:])

    def stored(self) -> dict[str, Any]:
        """What is written to the metadata, as JSON."""
        return {"record": self.record, "key": self.key, "fields": self.fields}

    def check_fits(self, name: str, found: "Description") -> None:
        """Raise CollectionError where the store has other records under this `name`.

        The type of the keys must be the same. The name of the class or the fields must be the same:
        between two openings a class may be renamed or get another field, but not both.
        """
        if found.key != self.key:
            raise CollectionError(
                f"the collection {name!r} has keys of type {found.key:.80}, those of "
                f"{self.record} are {self.key}: give one of the two another name="
            )
        if found.record != self.record and found.fields != self.fields:
            raise CollectionError(
                f"the collection {name!r} holds records of class {found.record:.80}, not "
                f"{self.record}: give one of the two another name="
            )
