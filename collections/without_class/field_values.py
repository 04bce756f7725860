"""The values of fields as people type them, and as JSON has them.

With a class, its annotations tell the types. Without it, the stored records tell them.
"""

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from stones.collections.collection_reader import CollectionReader, queried_records
from stones.collections.records.conversion import Conversion, MisfitError
from stones.collections.records.plain_forms import fields_of, from_json
from stones.collections.records.plain_values import ANYTHING
from stones.collections.records.record_type import RecordType
from stones.errors import RecordError
from stones.formats.typed_json import parse_typed_json

from .observed import NONE_SO_FAR


@frozen(eq=False, repr=False)  # which takes less than half the time to make
class FieldValues:
    """How the values of the fields of a collection are typed.

    >>> from attrs import define
    >>> from stones import Collection, MemoryStore, key
    >>> @define
    ... class User:
    ...     name: str = key()
    ...     age: int | None
    >>> values = FieldValues.of(Collection(MemoryStore(), User))
    >>> values.names, values.key_names, values.types('age')
    (('name', 'age'), ('name',), ('int', 'None'))
    >>> values.from_text('age', '36')
    36
    """

    key_names: tuple[str, ...]
    """The fields that are the key. Empty if keys are generated, or if the store does not tell."""
    _type: RecordType[Any]
    _fields: Mapping[str, Conversion]

    @classmethod
    def of(cls, collection: CollectionReader[Any, Any]) -> "FieldValues":
        """The fields of a collection, with or without its class."""
        of_records = queried_records(collection).records.type
        new = of_records.for_new_dicts()
        return cls(of_records.key_fields, new, fields_of(new.conversion))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the fields, in order."""
        return tuple(self._fields)

    def types(self, name: str) -> tuple[str, ...]:
        """The types that a field may have. ('Any',) if any value may be there."""
        conversion = self._field(name)
        if conversion is NONE_SO_FAR:
            return (ANYTHING.name,)
        return tuple(each.name for each in conversion.members or (conversion,))

    def from_text(self, name: str, text: str) -> Any:
        """The value that a person means by a text. Raises RecordError for an unknown field.

        A field that holds text gets the text. Otherwise it is a number, a date and so on, or JSON.
        A text that is of no type of the field is given back as it is.
        """
        conversion = self._field(name)
        if conversion is ANYTHING:
            return _json_or_text(text)
        if conversion is NONE_SO_FAR:
            return _json_or_text(text) if text else None
        from stones.collections.records.text_forms import from_text

        return from_text(conversion, _parse_json)(text)

    def check(self, name: str, value: Any) -> None:
        """Raise RecordError for a value that is of no type of the field."""
        try:
            self._field(name).dump(value)
        except MisfitError as error:
            raise RecordError(f"{name}: {error}") from error.__cause__

    def from_json(self, values: Any) -> Any:
        """The dict of a record with the types of its fields: JSON has a date as text."""
        convert = from_json(self._type.conversion)
        return values if convert is None else convert(values)

    def _field(self, name: str) -> Conversion:
        self._type.check_fields([name])
        return self._fields[name]


def _json_or_text(text: str) -> Any:
    try:
        return _parse_json(text)
    except ValueError:
        return text


def _parse_json(text: str) -> Any:
    return parse_typed_json(text.encode("utf-8", "surrogatepass"))
