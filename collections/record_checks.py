"""What a collection lets in: records, dicts of records, and values for fields.

`Collection` asks before it reads or writes. Each error names the collection.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Generic, TypeVar

from stones.collections.records.messages import same_name_hint
from stones.collections.records.record_type import RecordType
from stones.errors import RecordError
from stones.formats.messages import show, show_key, show_value

from .generated_keys import new_key

R = TypeVar("R")


class RecordChecks(Generic[R]):
    """The checks of the collection `name` with records of this type. All raise RecordError."""

    def __init__(self, record_type: RecordType[R], name: str) -> None:
        self._type = record_type
        self._name = name
        self._cls, self._key_of = record_type.cls, record_type.key_of

    @cached_property
    def _type_of_dicts(self) -> RecordType[R]:
        return self._type.for_new_dicts()

    def key_for(self, record: R) -> Any:
        """The key to store a record under: its own, or a new one if the class has no key field."""
        if type(record) is self._cls:  # the usual case in line, for add_many()
            key = self._key_of(record)
            if key is not None:
                return key
        key = self._own_key(record)
        return new_key() if key is None else key

    def check_key(self, key: Any, record: R) -> None:
        """Refuse a record of another class, and a record with another key than `key`."""
        own = self._own_key(record)
        if own is not None and own != key:
            raise RecordError(
                f"{self._name}[{show_key(key)}]: the record has another key, {show_key(own)}; "
                "to change the key of a record, add() the new one and delete() the old one"
            )

    def to_dict(self, record: R) -> dict[str, Any]:
        """The stored dict of a record, which shares nothing with the record."""
        key = self._own_key(record)
        try:
            return self._type.dump(record)
        except RecordError as error:
            place = self._name if key is None else f"{self._name}[{show_key(key)}]"
            raise RecordError(f"{place}: {error}") from error

    def from_dict(self, values: Mapping[str, Any]) -> R:
        """The record of a stored dict."""
        stored = dict(values) if isinstance(values, Mapping) else values
        try:
            return self._type_of_dicts.load(stored)
        except RecordError as error:
            raise RecordError(f"{self._name}: {error}") from error

    def stored_values(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The stored form of the values that `find()` gets for fields."""
        self._type.check_fields(values)
        try:
            return self._type.stored_values(values)
        except RecordError as error:
            raise RecordError(f"{self._name}.find(): {error}") from error

    def _own_key(self, record: R) -> Any:
        if not isinstance(record, self._type.cls):
            raise RecordError(
                f"{self._name} holds records of class {self._type.cls.__name__}, not "
                f"{show_value(record)}{same_name_hint(self._type.cls, record)}"
            )
        key = self._type.key_of(record)
        if key is None and self._type.key_fields:
            raise RecordError(f"{self._name}: the key of the record is None: {show(record)}")
        return key
