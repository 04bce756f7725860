"""The paths of queries for the records of one class: each is parsed and checked once.

`jsonpath` parses a text, whatever the records are. `field_types` knows where its steps lead in the
class. A collection has one `RecordPaths`, and its queries use it.
"""

from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

from stones.collections.records.conversion import Conversion
from stones.errors import QueryError

from .bound_filter import BoundFilter
from .field_types import FieldTypes
from .jsonpath import Filter, SearchPath, ValuePath, parse_filter, parse_search, parse_values
from .typed_conditions import recorded_filter, recorded_path

# As many as texts that `jsonpath` keeps.
_CACHE_SIZE = 512


class RecordPaths:
    """The paths for the records with this conversion.

    Each method returns the path of a text. All raise QueryError for a text that does not parse, and
    for a name that is no field. `extra_fields` are names that records may have beside the fields
    of the class, `extra_inside` those that the dicts of classes inside may have. Both may become
    more later. A RecordPaths may be shared between threads.

    >>> from attrs import define
    >>> from stones.collections.records.record_type import record_type
    >>> @define
    ... class User:
    ...     name: str
    ...     age: int
    >>> paths = RecordPaths(record_type(User).conversion)
    >>> paths.values('name').find({'name': 'Ada', 'age': 36})
    ['Ada']
    >>> paths.filter('$[?(@.agee > 30)]')
    Traceback (most recent call last):
        ...
    stones.errors.QueryError: '$[?(@.agee > 30)]': User has no field 'agee': did you mean 'age'?
    """

    def __init__(
        self,
        record: Conversion,
        extra_fields: Collection[str] = (),
        extra_inside: Collection[str] = (),
    ) -> None:
        def types(text: str, *, by_attributes: bool = False) -> FieldTypes:
            return FieldTypes(record, extra_fields, extra_inside, text, by_attributes=by_attributes)

        def named(text: str) -> FieldTypes:
            return types(text, by_attributes=True)

        cached = lru_cache(_CACHE_SIZE)
        self._filter = cached(lambda text: parse_filter(text).with_types(types(text)))
        self._values = cached(lambda text: parse_values(text).with_types(types(text)))
        # What functions have recorded: the same texts, with names of attributes in them.
        self._recorded = cached(lambda text: parse_filter(text).with_types(named(text)))
        self._fields = cached(lambda text: parse_values(text).by_attributes(named(text)))
        self._may_be_bool = cached(lambda text: parse_values(text).may_be_bool(named(text)))
        self._search = cached(lambda text: parse_search(text).with_types(types(text)))

    def filter(self, text: str) -> Filter:
        """The filter of records that a text describes, as for `find()`."""
        return self._filter(text) if isinstance(text, str) else parse_filter(text)

    def bound_filter(self, path: Any, values: Mapping[str, Any]) -> BoundFilter:
        """The filter of records that a text with these values describes, or a function of a record.

        Raises QueryError for a function that returns no condition, does what cannot be recorded,
        or uses a field as a condition that is no bool.
        """
        if not _is_function(path):
            return self.filter(path).bound(values)
        if values:
            raise QueryError(
                "find() takes values for a path, not for a function: put them into the function"
            )
        recorded = recorded_filter(path)
        for flag in recorded.flags:
            if not self._may_be_bool(flag):
                raise QueryError(
                    f"{recorded.text!r}: {flag} is no bool, and so no condition: compare it with "
                    "a value"
                )
        found: Filter = self._recorded(recorded.text)
        return found.bound(recorded.values)

    def path_of(self, path: Any) -> ValuePath:
        """The path inside a record that a text describes, or a function of a record.

        The path of a function gives what a record has in the field, not what is stored.
        """
        if not _is_function(path):
            return self.values(path)
        found: ValuePath = self._fields(recorded_path(path))
        return found

    def values(self, text: str) -> ValuePath:
        """The path inside a record that a text describes, as for `Query.values()`."""
        return self._values(text) if isinstance(text, str) else parse_values(text)

    def search(self, text: str) -> SearchPath:
        """The path into the list of all records that a text describes, as for `search()`."""
        return self._search(text) if isinstance(text, str) else parse_search(text)


def _is_function(path: object) -> bool:
    return callable(path) and not isinstance(path, type)
