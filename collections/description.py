"""What a collection says of itself in the metadata: its record class, its keys, its fields.

The description of the collection NAME claims the keys `NAME/...` for it (see
`stones.stores.claims`). It also tells which fields the records have had, and which default a field
had when it was added. `shapes` compares it with the class of a program. The names of classes are
hints for messages. It also tells which steps of migrations the records have had: see
`record_steps`.
"""

import re
from collections.abc import Mapping
from typing import Any

from attrs import evolve, field, frozen

from stones.errors import CorruptValueError

from .record_steps import UNSTEPPED, StepState

PARTS = (
    *("record", "key", "fields", "defaults", "absent", "mixed", "classes", "positions"),
    *("nested", "steps", "stepped"),
)
"""The parts of a description that this version knows. It keeps other ones as they are."""

_POSITION = re.compile(r"(\{\}|\[[0-9]{0,6}\]){0,30}")


@frozen
class Shape:
    """The fields that the dicts of one class have, or have had."""

    fields: tuple[str, ...] = ()
    """The names of all fields that were ever written."""
    defaults: Mapping[str, Any] = field(factory=dict)
    """The defaults of fields that were added when there were records, in the JSON of stones."""
    absent: tuple[str, ...] = ()
    """The fields that some records may lack, and that have no kept default."""
    mixed: tuple[str, ...] = ()
    """The fields whose dicts may name their class, or may not: it is or was in a union."""
    classes: Mapping[str, Mapping[str, int]] = field(factory=dict)
    """The classes inside of each field: their names, and their places in `Description.shapes`."""
    positions: Mapping[str, tuple[str, ...]] = field(factory=dict)
    """Where the dicts of these classes are in the value of a field: see `Part.positions`.

    A field that is left out has them itself, or was written by an earlier version of stones.
    """

    def stored(self) -> dict[str, Any]:
        """The parts that are not empty, as JSON. `fields` is always there."""
        parts = {
            "defaults": dict(self.defaults),
            "absent": [*self.absent],
            "mixed": [*self.mixed],
            "classes": {name: dict(places) for name, places in self.classes.items()},
            "positions": {name: [*found] for name, found in self.positions.items()},
        }
        return {"fields": [*self.fields], **{name: part for name, part in parts.items() if part}}

    @classmethod
    def from_stored(cls, stored: Mapping[str, Any], shapes: int) -> "Shape":
        """The shape as it was read. `shapes` is how many there are. Raises ValueError."""
        defaults = stored.get("defaults", {})
        classes = stored.get("classes", {})
        _check_names(defaults)
        _check_names(classes)
        for places in classes.values():
            _check_names(places)
            if not all(type(place) is int and 0 <= place < shapes for place in places.values()):
                raise ValueError("a class inside a field is at no place")
        return cls(
            fields=_names(stored.get("fields")),
            defaults=defaults,
            absent=_names(stored.get("absent", [])),
            mixed=_names(stored.get("mixed", [])),
            classes=classes,
            positions=_positions(stored.get("positions", {})),
        )


@frozen
class Description:
    """What is stored of a collection, beside its records."""

    record: str
    """The name of the record class that wrote last."""
    key: str
    """The type of the keys, as an annotation: `str`, `tuple[str, int]`."""
    shapes: tuple[Shape, ...]
    """The shape of the records, and the shapes of the classes inside."""
    others: Mapping[str, Any] = field(factory=dict)
    """Parts that a later version of stones has written."""
    steps: StepState = UNSTEPPED
    """Which steps the records have had, without the cursors."""
    later: Mapping[int, tuple[Shape, ...]] = field(factory=dict)
    """The shapes of records that have had a step above `steps.done`, by the number of the step.

    `shapes` are the shapes of the others. Empty unless records are being brought to a step.
    """

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the fields of the records."""
        return self.shapes[0].fields

    @classmethod
    def from_stored(cls, name: str, stored: Mapping[str, Any]) -> "Description":
        """The description as it was read for the collection `name`. Raises CorruptValueError."""
        try:
            record, key = _names([stored.get("record"), stored.get("key")])
            nested = stored.get("nested", [])
            if type(nested) is not list or not all(type(shape) is dict for shape in nested):
                raise ValueError("the shapes of the classes inside are no dicts")
            return cls(
                record=record,
                key=key,
                shapes=_shapes([stored, *nested]),
                others={part: value for part, value in stored.items() if part not in PARTS},
                steps=StepState.from_numbers(stored.get("steps", {})),
                later=_later(stored.get("stepped", {})),
            )
        except ValueError as error:
            raise CorruptValueError(
                f"what the store says of the collection {name!r} is damaged: {error}"
            ) from error

    def stored(self) -> dict[str, Any]:
        """What is written to the metadata, as JSON."""
        own, *nested = [shape.stored() for shape in self.shapes]
        stored = {"record": self.record, "key": self.key, **own, **self.others}
        parts = {
            "nested": nested,
            "steps": self.steps.numbers(),
            "stepped": {
                str(step): [shape.stored() for shape in shapes]
                for step, shapes in sorted(self.later.items())
            },
        }
        return {**stored, **{name: part for name, part in parts.items() if part}}

    def named(self, record: str) -> "Description":
        """The same, last written by a class of this name."""
        return evolve(self, record=record)


def _shapes(stored: list[Any]) -> tuple[Shape, ...]:
    return tuple(Shape.from_stored(shape, len(stored)) for shape in stored)


def _later(stored: Any) -> dict[int, tuple[Shape, ...]]:
    if type(stored) is not dict:
        raise ValueError("the shapes of its later steps are not a dict")
    for step, shapes in stored.items():
        if not step.isdecimal() or not step.isascii() or len(step) > 9:
            raise ValueError("a later step of its records is no number")
        if type(shapes) is not list or not shapes or not all(type(x) is dict for x in shapes):
            raise ValueError("the shapes of a later step are no dicts")
    return {int(step): _shapes(shapes) for step, shapes in stored.items()}


def _names(found: Any) -> tuple[str, ...]:
    """A list of names from the store. A name that is not printable might control a terminal."""
    if type(found) is not list:
        raise ValueError("it lacks the record class, the key type or the fields")
    for name in found:
        if type(name) is not str or not name.isprintable():
            raise ValueError("it lacks the record class, the key type or the name of a field")
    return tuple(found)


def _positions(found: Any) -> dict[str, tuple[str, ...]]:
    _check_names(found)
    positions = {name: _names(inside) for name, inside in found.items()}
    if not all(_POSITION.fullmatch(one) for inside in positions.values() for one in inside):
        raise ValueError("the position of a class inside a field is none")
    return positions


def _check_names(found: Any) -> None:
    if type(found) is not dict:
        raise ValueError("the defaults or the classes of its fields are not a dict")
    _names([*found])
