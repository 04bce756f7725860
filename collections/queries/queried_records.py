"""QueriedRecords: the records of a collection, with all that a query needs to ask for them."""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from stones.collections.later import Later
from stones.collections.record_checks import RecordChecks
from stones.collections.stored_records import StoredRecords
from stones.errors import QueryError, RecordError
from stones.formats.messages import show_key, show_value

if TYPE_CHECKING:
    from stones.collections.language import jsonpath
    from stones.collections.language.bound_filter import BoundFilter
    from stones.collections.language.jsonpath import ValuePath
    from stones.collections.language.record_paths import RecordPaths
    from stones.collections.planning.sort_fields import SortField
else:
    jsonpath = Later("stones.collections.language.jsonpath")

K = TypeVar("K")
R = TypeVar("R")

PathOrFunction = str | Callable[[R], Any]
"""A path into a record: as JSONPath, or as a function of a record that returns a field of it."""


class QueriedRecords(Generic[K, R]):
    """The stored records of a collection, the paths into them, and the checks of values.

    All methods raise errors for what does not fit the class, before anything is read.
    """

    def __init__(self, records: StoredRecords[K, R], checks: RecordChecks[R]) -> None:
        self.records, self.checks = records, checks

    @cached_property
    def paths(self) -> "RecordPaths":
        """The paths into the records. Only here is the language of queries loaded."""
        from stones.collections.language.record_paths import RecordPaths

        return RecordPaths(self.records.type.conversion, *self.records.extra_fields())

    def filters(
        self, path: str | Callable[[R], int] | None, values: Mapping[str, Any]
    ) -> "tuple[BoundFilter, ...]":
        """The filters that the arguments of `find()` stand for."""
        if path is not None:
            return (self.paths.bound_filter(path, values),)
        stored = self.checks.stored_values(values)
        return (jsonpath.equality_filter(stored),) if stored else ()

    def value_paths(self, texts: Iterable[str]) -> "tuple[ValuePath, ...]":
        """The paths into a record. Raises QueryError for an unknown field."""
        return tuple(self.paths.values(text) for text in texts)

    def paths_of(self, paths: Iterable[PathOrFunction[R]]) -> "tuple[ValuePath, ...]":
        """The paths into a record, some of them as functions of a record."""
        return tuple(map(self.paths.path_of, paths))

    def field_paths(self) -> "dict[str, ValuePath]":
        """The path to each field of the class, by its name."""
        # In quotes, a name is no word of the language, such as `contains`.
        return {name: self.paths.values(f'$["{name}"]') for name in self.records.type.fields}

    def sort_fields(self, names: Iterable[Any]) -> "tuple[SortField, ...]":
        """The fields that the arguments of `order_by()` stand for.

        Raises QueryError for a name that is no path to one value.
        """
        from stones.collections.language.normal_form import EACH
        from stones.collections.planning.sort_fields import (
            SortField,
            path_text,
            split_direction,
        )

        fields: list[SortField] = []
        for name in names:
            text, descending = split_direction(name)
            path = self.paths.values(text)
            if not path.leads_to_one:
                raise QueryError(
                    f"order_by({text!r}): the path may find several values in a record; records "
                    "are sorted by one"
                )
            steps = path.steps
            spelling = text if not steps or EACH in steps else path_text(steps)
            fields.append(SortField(spelling, descending, steps, path.find))
        if not fields:
            raise QueryError("order_by() takes one path or more: order_by('-age', 'name')")
        return tuple(fields)

    def check_changes(self, changes: Mapping[str, Any]) -> None:
        """Raise RecordError for fields that no `update()` may change, or not to these values."""
        of_type, name = self.records.type, self.records.name
        of_type.check_fields(changes)
        for field in of_type.key_fields:
            if field in changes:
                raise RecordError(
                    f"{name}.update(): {field} is the key, or a part of it: add() records with "
                    "other keys, and delete() these"
                )
        try:
            of_type.stored_values(changes)
        except RecordError as error:
            raise RecordError(f"{name}.update(): {error}") from error

    def shown(self, stored: bytes) -> str:
        """A record in messages: `User['ada@example.org']`."""
        return f"{self.records.name}[{show_key(self.records.decode_key(stored))}]"

    def refuse(self, stored: bytes, path: str, value: Any, reason: str) -> NoReturn:
        """Raise QueryError for what a path has found in a record."""
        raise QueryError(f"{self.shown(stored)}: {path}: {show_value(value)} {reason}")
