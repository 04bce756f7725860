"""Which types the fields of records have in some of the stored records.

The description of a collection has the names of the fields, and no types. So the first and the
last records tell which types a field has. What is written has to be of these.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from types import NoneType
from typing import Any, TypeVar

from attrs import define, evolve, field

from stones.collections.description import Description
from stones.collections.records.class_tag import TAG
from stones.collections.records.conversion import Conversion
from stones.collections.records.plain_values import ANYTHING, ATOMS, NONE, container, mapping
from stones.collections.records.reading_rules import ReadingRules
from stones.collections.records.registered import registered
from stones.collections.records.unions import union
from stones.engine import Transaction
from stones.errors import CollectionError, StoneError
from stones.formats.codec import Codec
from stones.stores.database_reader import DATA
from stones.stores.spans import Span

from .dict_schema import DictSchema, optional_fields

RECORDS = 50
"""So many records are looked at, from the first on and from the last on."""
_BYTES = 1_000_000
"""The records that are looked at have about so many bytes at most."""
_DEEPEST = 30
NONE_SO_FAR = evolve(ANYTHING, members=(NONE, ANYTHING))
"""Of a field whose values are all None: anything may be there. An empty cell of CSV is None."""

V = TypeVar("V")


def sample(txn: Transaction, codec: Codec, span: Span) -> list[tuple[bytes, dict[str, Any]]]:
    """The first and the last records of a collection, with their stored keys.

    A record that cannot be decoded is left out.
    """
    found: dict[bytes, dict[str, Any]] = {}
    for reverse in (False, True):
        scan = txn.scan(DATA, span.start, span.stop, reverse=reverse)
        for stored, raw in _up_to(_BYTES // 2, islice(scan, RECORDS)):
            try:
                value = codec.decode(stored, raw)
            except StoneError:  # whoever reads the record is told
                continue
            if type(value) is dict:
                found.setdefault(stored, value)
    return [*found.items()]


def _up_to(size: int, entries: Iterator[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    for stored, raw in entries:
        yield stored, raw
        size -= len(raw)
        if size < 0:
            return


@define(eq=False, repr=False)  # which takes less than half the time to make
class Observed:
    """The values that were found at one place of records."""

    types: set[type] = field(factory=set)
    items: list[Any] = field(factory=list)
    """The items of the lists, tuples and sets."""
    dicts: list[dict[Any, Any]] = field(factory=list)

    @classmethod
    def of(cls, values: Sequence[Any]) -> "Observed":
        """What some values have in common."""
        found = cls({*map(type, values)})
        for value in values:
            if type(value) is dict:
                found.dicts.append(value)
            elif type(value) in _CONTAINERS:
                found.items += value
        return found


_CONTAINERS = (list, tuple, set, frozenset)


def written_schema(
    description: Description, records: Sequence[Mapping[str, Any]], rules: ReadingRules
) -> DictSchema:
    """The schema by which records are written: each field has the types that it has in `records`.

    A field that no record tells about may hold anything.
    """
    return _Writing(description, rules).schema(description.record, 0, records, 0)


class _Writing:
    def __init__(self, description: Description, rules: ReadingRules) -> None:
        self._shapes = description.shapes
        self._rules = rules

    def schema(
        self, name: str, place: int, dicts: Sequence[Mapping[str, Any]], depth: int
    ) -> DictSchema:
        shape = self._shapes[place]
        schema = DictSchema(name, self._rules, optional_fields(shape))
        schema.functions.load = schema.functions.dump
        schema.fill_with(
            {
                field: self._conversion(
                    [each[field] for each in dicts if field in each],
                    shape.classes.get(field, {}),
                    shape.positions.get(field),
                    depth,
                )
                for field in shape.fields
            }
        )
        return schema

    def _conversion(
        self,
        values: Sequence[Any],
        places: Mapping[str, int],
        positions: Collection[str] | None,
        depth: int,
    ) -> Conversion:
        """How values are written. `positions` tell where in them dicts of classes are, if known."""
        if depth > _DEEPEST:
            return ANYTHING
        observed = Observed.of(values)
        types = observed.types - {int} if float in observed.types else observed.types
        if types == {NoneType}:  # which does not tell what else the field may be
            return NONE_SO_FAR
        members = [
            self._member(kind, observed, places, positions, depth)
            for kind in sorted(types, key=lambda kind: (kind is NoneType, kind.__name__))
        ]
        if not members:
            return ANYTHING
        try:
            return union(members)
        except CollectionError:  # a stored value would not tell which of the two it is
            return ANYTHING

    def _member(
        self,
        kind: type,
        observed: Observed,
        places: Mapping[str, int],
        positions: Collection[str] | None,
        depth: int,
    ) -> Conversion:
        if kind in ATOMS:
            return ATOMS[kind]
        if kind in _CONTAINERS:
            inside = _behind("]", positions)
            item = self._conversion(observed.items, places, inside, depth + 1)
            shown = f"{item.name}, ..." if kind is tuple else item.name
            name = kind.__name__ if item is ANYTHING else f"{kind.__name__}[{shown}]"
            return container(name, (kind,), item)
        if kind is dict:
            return self._of_dicts(observed.dicts, places, positions, depth + 1)
        return registered(kind) or ANYTHING

    def _of_dicts(
        self,
        dicts: Sequence[dict[Any, Any]],
        places: Mapping[str, int],
        positions: Collection[str] | None,
        depth: int,
    ) -> Conversion:
        names = {name for each in dicts for name in each}
        are_own = positions is None or "" in positions
        if are_own and len(places) == 1 and TAG not in names:
            ((name, place),) = places.items()
            if names <= {*self._shapes[place].fields}:
                return self.schema(name, place, dicts, depth).conversion
        if are_own and (len(places) > 1 or TAG in names):  # one of several classes
            return mapping("dict", ATOMS[str], ANYTHING)
        keys = [key for each in dicts for key in each]
        values = [value for each in dicts for value in each.values()]
        key = self._conversion(keys, {}, None, depth)
        inside = _behind("}", positions)
        return mapping("dict", key, self._conversion(values, places, inside, depth))


def _behind(end: str, positions: Collection[str] | None) -> Collection[str] | None:
    """The positions inside of the items of lists, or inside of the values of dicts."""
    if positions is None:
        return None
    first = [position.partition(end) for position in positions]
    return {rest for head, found, rest in first if found and head.strip("0123456789") in ("[", "{")}
