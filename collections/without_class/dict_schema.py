"""The fields of records whose class is not known, by the stored description.

A record is read as the dict that is stored, with the kept defaults of the fields that it lacks.
What is written has the fields that the description has.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import attrs
from attrs import evolve, frozen

from stones.collections.description import Shape
from stones.collections.dict_positions import Complete, completed_at
from stones.collections.records.class_tag import TAG
from stones.collections.records.classes import Schema
from stones.collections.records.conversion import Conversion, MisfitError, misfit_error
from stones.collections.records.fields import Field
from stones.collections.records.parts import Items, Part, Values
from stones.collections.records.plain_values import ANYTHING
from stones.collections.records.reading_rules import ReadingRules
from stones.formats.registered_types import known


class DictSchema(Schema):
    """The fields of dicts that some class has stored. `optional` are those that a dict may lack.

    The dicts come and go as dicts. `load` adds kept defaults, and `dump` checks names and values.
    """

    def __init__(self, name: str, rules: ReadingRules, optional: Collection[str] = ()) -> None:
        super().__init__(dict, rules, name)
        self._optional = frozenset(optional)
        self.is_reread = True  # `dump` checks more than the types of the values
        self.non_arguments = []
        self.functions.dump = self._dumped
        self.functions.load = self._loaded

    def fill_with(self, conversions: Mapping[str, Conversion]) -> None:
        """Set the fields, in order."""
        self.fields = {
            name: Field(name, name, conversion, True, name in self._optional)
            for name, conversion in conversions.items()
        }
        self.given |= conversions
        self._parts = [(name, each.part) for name, each in conversions.items() if each.part]

    def positions(self) -> Iterator[str]:
        return iter(())  # the description has them, of the classes that have written

    def evolve(self, record: Any, changes: Mapping[str, Any]) -> Any:
        self.check_names(changes)
        return {**record, **changes}

    def _loaded(self, stored: Any) -> Any:
        if type(stored) is not dict:
            raise misfit_error(f"a dict of the fields of {self.name}", stored)
        return known(self.completed(stored, False))

    def _dumped(self, record: Any) -> dict[str, Any]:
        if type(record) is not dict:
            raise misfit_error(f"a dict of the fields of {self.name}", record)
        self.check_names(name for name in record if name != TAG)
        found = {name: record[name] for name in (TAG, *self.fields) if name in record}
        for name, field in self.fields.items():
            if name not in found:
                if not field.has_default:
                    raise MisfitError(f"is missing: each {self.name} has it", f".{name}")
                continue
            try:
                found[name] = field.conversion.dump(found[name])
            except MisfitError as error:
                raise error.within(f".{name}") from error.__cause__
        return found

    def _with_all_fields(self, stored: dict[str, Any], drop: bool) -> dict[str, Any]:
        if not self._is_own(stored) or stored.keys() >= self.fields.keys():
            return stored
        kept = self._rules.kept_defaults(self)
        return {**stored, **{name: kept[name]() for name in kept if name not in stored}}


@frozen(eq=False, repr=False)  # which takes less than half the time to make
class DictsInside(Part):
    """Where the dicts of known classes lie in a field whose type is not known."""

    schemas: Mapping[str, DictSchema]
    known: tuple[str, ...] | None = None
    """The positions of the dicts, if the description tells them."""
    _completing: Mapping[bool, Complete] = attrs.field(init=False)

    @_completing.default
    def _make_completing(self) -> dict[bool, Complete]:
        if self.known is None:
            return {}
        return {
            drop: completed_at(self.known, partial(self._completed, drop=drop))
            for drop in (False, True)
        }

    def classes(self) -> Iterator[Part]:
        return iter(self.schemas.values())

    def positions(self) -> Iterator[str]:
        return iter(())

    def completed(self, stored: Any, drop: bool) -> Any:
        if self.known is not None:
            return self._completing[drop](stored)
        if type(stored) is dict:
            schema = schema_of(stored, self.schemas)
            if schema is not None:
                return schema.completed(stored, drop)
            return Values(self).completed(stored, drop)
        return Items(self).completed(stored, drop)

    def _completed(self, inside: Any, drop: bool) -> Any:
        """A value that is surely the dict of a class, or no dict."""
        schema = schema_of(inside, self.schemas, is_own=True) if type(inside) is dict else None
        return inside if schema is None else schema.completed(inside, drop)

    def carried(self, before: Any, after: Any) -> Any:
        return after


def schema_of(
    stored: Mapping[Any, Any], schemas: Mapping[str, DictSchema], *, is_own: bool = False
) -> DictSchema | None:
    """Which of the schemas a dict has. None if it is a dict of the user, or does not tell.

    `is_own`: it is surely the dict of a class.
    """
    if TAG in stored:
        tag = stored[TAG]
        return schemas.get(tag) if type(tag) is str else None
    if len(schemas) > 1:
        return None
    (schema,) = schemas.values()
    # A field may hold dicts whose values are of the class. Such a dict has names of its own.
    return schema if is_own or not stored or stored.keys() & schema.fields.keys() else None


def read_schema(name: str, shapes: Sequence[Shape], rules: ReadingRules) -> DictSchema:
    """The schema by which records are read. A field may hold anything.

    `shapes` are those of a description: of the records first, then of the classes inside.
    """
    schemas = {(name, 0): DictSchema(name, rules, optional_fields(shapes[0]))}
    waiting = [*schemas]
    while waiting:
        own = waiting.pop()
        shape = shapes[own[1]]
        conversions: dict[str, Conversion] = {}
        for field in shape.fields:
            inside: dict[str, DictSchema] = {}
            for key in shape.classes.get(field, {}).items():
                if key not in schemas:
                    schemas[key] = DictSchema(key[0], rules, optional_fields(shapes[key[1]]))
                    waiting.append(key)
                inside[key[0]] = schemas[key]
            part = DictsInside(inside, shape.positions.get(field)) if inside else None
            conversions[field] = evolve(ANYTHING, part=part) if part else ANYTHING
        schemas[own].fill_with(conversions)
    return schemas[name, 0]


def optional_fields(shape: Shape) -> frozenset[str]:
    """The fields that a dict of this shape may lack."""
    return frozenset((*shape.absent, *shape.defaults))
