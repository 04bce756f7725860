"""GroupedQuery: the records of a query in groups, and an aggregate of each group.

`aggregates` has the aggregates, and tells which values are equal.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import product
from typing import Any

from attrs import define, frozen

from stones.collections.indexes.encoding import encode
from stones.collections.language.jsonpath import ValuePath
from stones.collections.planning.execution import extreme, values
from stones.collections.planning.selection import Selection
from stones.errors import QueryError
from stones.formats.messages import show, show_value
from stones.formats.registered_types import known

from .aggregates import AGGREGATES, Aggregate, Count, UnfitValueError, identity
from .queried_records import QueriedRecords

Spec = str | tuple[str, str]
"""`'count'`, or an aggregate and the path of its values: `('mean', 'score')`."""


class GroupedQuery:
    """The matching records of a query, in groups of equal values. `Query.group_by` makes it.

    Each method reads the records once, and holds one result a group. It returns a dict from the
    value of each group to the result, in the order of the values: None first, then bool, numbers
    and text. The keys are tuples if there are several paths.

    - A record without the value, and one with None there, are in the group None.
    - A path that finds several values puts the record into the group of each different value.
    - 1, 1.0 and Decimal(1) are one group. The first record of the query decides how it is shown.

    >>> from attrs import define
    >>> from stones import Collection, MemoryStore, key
    >>> @define
    ... class City:
    ...     name: str = key()
    ...     country: str
    ...     people: int
    >>> cities: Collection[str, City] = Collection(MemoryStore(), City)
    >>> cities.add_many([City('Cusco', 'PE', 3), City('Lima', 'PE', 10), City('Lagos', 'NG', 15)])
    3
    >>> by_country = cities.find().group_by('country')
    >>> by_country.count()
    {'NG': 1, 'PE': 2}
    >>> by_country.sum('people')
    {'NG': 15, 'PE': 13}
    >>> by_country.min('people'), by_country.max('people'), by_country.mean('people')
    ({'NG': 15, 'PE': 3}, {'NG': 15, 'PE': 10}, {'NG': 15.0, 'PE': 6.5})
    >>> by_country.agg(n='count', people=('sum', 'people'))
    {'NG': {'n': 1, 'people': 15}, 'PE': {'n': 2, 'people': 13}}
    """

    def __init__(
        self, source: QueriedRecords[Any, Any], selection: Selection, paths: Sequence[ValuePath]
    ) -> None:
        self._source = source
        self._selection = selection
        self._paths = paths

    def count(self) -> dict[Any, int]:
        """How many records each group has."""
        return self._one("count")

    def sum(self, path: str) -> dict[Any, Any]:
        """The sum of the numbers at the path in each group; 0 where there are none."""
        return self._one(("sum", path))

    def mean(self, path: str) -> dict[Any, Any]:
        """The mean of the numbers at the path in each group; None where there are none."""
        return self._one(("mean", path))

    def min(self, path: str) -> dict[Any, Any]:
        """The lowest value at the path in each group; None where there is none."""
        return self._one(("min", path))

    def max(self, path: str) -> dict[Any, Any]:
        """The highest value at the path in each group; None where there is none."""
        return self._one(("max", path))

    def agg(self, /, **aggregates: Spec) -> dict[Any, dict[str, Any]]:
        """Several aggregates of each group, as a dict by the names that you give them.

        Each is `'count'`, which counts records, or a pair of `'sum'`, `'mean'`, `'min'`, `'max'` or
        `'count'`, and a path. With a path `'count'` counts the values that are not None.
        Raises QueryError for anything else.
        """
        if not aggregates:
            raise QueryError("agg() takes aggregates: agg(n='count', mean=('mean', 'score'))")
        columns = [self._column(name, spec) for name, spec in aggregates.items()]
        return {
            key: {column.name: each.result() for column, each in zip(columns, found, strict=True)}
            for key, found in self._results(columns)
        }

    def __repr__(self) -> str:
        paths = ", ".join(repr(path.text) for path in self._paths)
        return f"<GroupedQuery of the collection {self._source.records.name!r} by {paths}>"

    def _one(self, spec: Spec) -> dict[Any, Any]:
        column = self._column("", spec)
        return {key: found.result() for key, (found,) in self._results([column])}

    def _column(self, name: str, spec: Any) -> "_Column":
        match spec:
            case "count":
                return _Column(name, "count", Count, None)
            case (str(kind), str(path)) if kind in AGGREGATES:
                (parsed,) = self._source.value_paths([path])
                return _Column(name, kind, AGGREGATES[kind], parsed)
        raise QueryError(
            f"agg({name}={show(spec)}): an aggregate is 'count', or a pair such as "
            f"('mean', 'score') of {', '.join(map(repr, sorted(AGGREGATES)))} and a path"
        )

    def _results(self, columns: "Sequence[_Column]") -> Iterator[tuple[Any, list[Aggregate]]]:
        """The value of each group with its aggregates, in order."""
        groups = self._groups(columns)
        ordered = sorted(groups.values(), key=lambda group: [*map(encode, group.values)])
        seen: dict[Any, Any] = {}
        for group in ordered:
            key = group.values if len(self._paths) > 1 else group.values[0]
            if key in seen:  # 1 and True are two groups, but one key of a dict
                raise QueryError(
                    f"group_by(): {show_value(seen[key])} and {show_value(key)} are different "
                    "values, but one key of a dict: select one type first, with find()"
                )
            seen[key] = key
            yield key, group.aggregates

    def _groups(self, columns: "Sequence[_Column]") -> "dict[Hashable, _Group]":
        source, by = self._source, self._paths
        aggregated = [column.path for column in columns if column.path is not None]
        # Most groups are of a text. A str is its own identity, so one look finds its group.
        by_text: dict[str, _Group] = {}
        groups: dict[Hashable, _Group] = {}
        for stored, found in values(
            source.records, self._selection, [*by, *aggregated], any_order=True
        ):
            first = found[0]
            if len(by) == 1 and len(first) == 1 and type(first[0]) is str:
                group = by_text.get(first[0])
                if group is not None:
                    group.add(source, stored, found)
                    continue
            for identities, group_values in self._groups_of(stored, found[: len(by)]):
                group = groups.get(identities)
                if group is None:
                    group = groups[identities] = _Group.of(group_values, columns, len(by))
                    if len(by) == 1 and type(group_values[0]) is str:
                        by_text[group_values[0]] = group
                group.add(source, stored, found)
        return groups

    def _groups_of(
        self, stored: bytes, found: Sequence[Sequence[Any]]
    ) -> Iterator[tuple[Hashable, tuple[Any, ...]]]:
        """The groups of a record: what tells each from others, and its values."""
        places: list[dict[Hashable, Any]] = []
        for path, items in zip(self._paths, found, strict=True):
            place: dict[Hashable, Any] = {}
            for value in items or (None,):
                try:
                    hash(known(value))
                except TypeError:
                    self._source.refuse(
                        stored,
                        path.text,
                        value,
                        f"cannot be a key of a dict: group by its parts, such as {path.text}[*]",
                    )
                place.setdefault(identity(value), value)
            places.append(place)
        for combination in product(*(place.items() for place in places)):
            yield tuple(key for key, _ in combination), tuple(value for _, value in combination)


@frozen
class _Column:
    name: str
    kind: str
    new: Callable[[], Aggregate]
    path: ValuePath | None
    """None: the records are counted."""


@define
class _Group:
    values: tuple[Any, ...]
    aggregates: list[Aggregate]
    _steps: list[tuple[_Column, Callable[[Any], None], int]]
    """Each aggregate's column, how it takes a value, and the place of its values in what is found.

    The place is 0 if the aggregate counts records.
    """

    @classmethod
    def of(cls, values: tuple[Any, ...], columns: Sequence[_Column], place: int) -> "_Group":
        """An empty group. `place` is that of the first aggregated values in what is found."""
        aggregates = [column.new() for column in columns]
        steps: list[tuple[_Column, Callable[[Any], None], int]] = []
        for column, aggregate in zip(columns, aggregates, strict=True):
            steps.append((column, aggregate.add, 0 if column.path is None else place))
            place += column.path is not None
        return cls(values, aggregates, steps)

    def add(
        self, source: QueriedRecords[Any, Any], stored: bytes, found: Sequence[Sequence[Any]]
    ) -> None:
        """Take what the paths have found in a record."""
        for column, add, place in self._steps:
            if place:
                _add_all(source, stored, column, add, found[place])
            else:
                add(True)


def _add_all(
    source: QueriedRecords[Any, Any],
    stored: bytes,
    column: _Column,
    add: Callable[[Any], None],
    items: Sequence[Any],
) -> None:
    for value in items:
        if value is None:
            continue
        try:
            add(value)
        except UnfitValueError as error:
            assert column.path is not None
            source.refuse(stored, column.path.text, value, f"{error}, for {column.kind}()")


def aggregate_of(
    source: QueriedRecords[Any, Any], selection: Selection, kind: str, path: ValuePath
) -> Any:
    """One aggregate of the values at a path in all records of a selection.

    Raises QueryError, with the record, for a value that the aggregate cannot take.
    """
    column = _Column("", kind, AGGREGATES[kind], path)
    aggregate = column.new()
    if kind in ("min", "max"):
        found = extreme(source.records, selection, path, highest=kind == "max")
        if found is not None:
            return known(found[0]) if found else None
    for stored, (items,) in values(source.records, selection, [path], any_order=True):
        _add_all(source, stored, column, aggregate.add, items)
    return known(aggregate.result())
