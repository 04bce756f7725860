"""How the classes of a program and the description of a collection fit together.

The description has a `Shape` for the record class, and for each class inside. A class is found by
the field that holds it. Its name matters only where a field holds several classes. So a class may
be renamed.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from typing import Any

from attrs import evolve

from stones.collections.records.class_tag import TAG
from stones.collections.records.classes import Schema
from stones.collections.records.conversion import MisfitError
from stones.collections.records.defaults import COMPUTED, VOLATILE, constant_default
from stones.collections.records.fields import Field
from stones.collections.records.parts import Part
from stones.collections.records.plain_values import ATOMS
from stones.collections.records.reading_rules import KeptDefaults
from stones.errors import SerializerError
from stones.formats import json_serializer

from .description import Description, Shape


def new_description(record: str, key: str, schema: Schema) -> Description:
    """The description of a collection without records."""
    shapes = _GrowingShapes([Shape()])
    shapes.add(schema, has_records=False)
    return Description(record, key, tuple(shapes.shapes))


def merged(found: Description, schema: Schema) -> Description:
    """The description `found` of a collection with records, before this class writes another one.

    Its fields become all fields that were ever written. It keeps the default of each new field. A
    program whose class lacks a field takes away neither.
    """
    shapes = _GrowingShapes([*found.shapes])
    shapes.add(schema, has_records=True)
    return evolve(found, shapes=tuple(shapes.shapes))


def varies(found: Description, schema: Schema) -> bool:
    """Whether some records may be stored otherwise than this class would store them."""
    defaults = any(shape.defaults for _, shape in _pairs(found, schema))
    return defaults or _varies_beyond_defaults(found, schema)


def default_text(found: Description, schema: Schema) -> bytes | None:
    """All kept defaults as JSON. None if records vary in other ways than by these."""
    if _varies_beyond_defaults(found, schema):
        return None
    return json.dumps([dict(shape.defaults) for shape in found.shapes]).encode()


def unsettled_names(found: Description, schema: Schema) -> tuple[set[str], set[str]]:
    """The names that a stored dict may lack though a query sees a value there, or the reverse.

    First the names in the records, then those in the dicts of classes inside. They are the fields
    that were added or left out while there were records. `_type` is among them where the dicts of a
    field may name their class or may not.
    """
    names: tuple[set[str], set[str]] = (set(), set())
    for place, shape in enumerate(found.shapes):
        names[place > 0].update(shape.defaults, shape.absent)
    for known, place in _places(found, schema):
        shape = found.shapes[place]
        names[place > 0].update(known.fields.keys() - {*shape.fields})
        if shape.mixed or _has_other_classes(known, shape):
            names[1].add(TAG)
    return names


def computed_names(found: Description, schema: Schema) -> frozenset[str] | None:
    """The fields of a record that a stored dict may lack, and whose default the class computes.

    The class then reads the whole dict, and its converters may change any other value. None if
    such fields are in a class inside, or if the class of a dict inside has to be guessed.
    """
    computed: set[str] = set()
    for known, place in _places(found, schema):
        shape = found.shapes[place]
        lacking = (known.fields.keys() - {*shape.fields} | {*shape.absent}) - shape.defaults.keys()
        names = lacking & known.fields.keys()
        if (names and place > 0) or shape.mixed or _has_other_classes(known, shape):
            return None
        computed |= names
    return frozenset(computed)


def class_places(found: Description, schema: Schema) -> Iterator[tuple[str, Schema, Shape]]:
    """Each class that has a shape, with the path of a field that holds it, and with the shape.

    The path of the record class is empty. A class in several fields is given for each of its
    shapes, with the first path to it.
    """
    paths = {(schema, 0): ""}
    for known, place in _places(found, schema):
        path, shape = paths[known, place], found.shapes[place]
        yield path, known, shape
        for name, classes in classes_inside(known).items():
            places = shape.classes.get(name, {})
            for class_name, inside in classes.items():
                at = _place_of(class_name, classes, places)
                if at is not None:
                    paths.setdefault((inside, at), f"{path}.{name}" if path else name)


def has_new_fields(found: Description, schema: Schema) -> bool:
    """Whether a class has a field that no stored dict of it has, so far as the store tells."""
    return any(
        shape.fields and not known.fields.keys() <= {*shape.fields}
        for _, known, shape in class_places(found, schema)
    )


def kept_defaults(found: Description, schema: Schema) -> Mapping[Part, KeptDefaults]:
    """The defaults that the description keeps, for each class that has some."""
    kept: dict[Part, dict[str, Callable[[], Any]]] = {}
    for known, shape in _pairs(found, schema):
        for name, packed in shape.defaults.items():
            if name in known.fields:
                kept.setdefault(known, {}).setdefault(name, _unpacking(name, packed))
    return kept


class _GrowingShapes:
    """The shapes of a description, while the classes of a program are added to them."""

    def __init__(self, shapes: list[Shape]) -> None:
        self.shapes = shapes
        self._places: dict[tuple[Schema, bool], int] = {}
        self._waiting: list[tuple[Schema, int, bool]] = []

    def add(self, schema: Schema, *, has_records: bool) -> None:
        """Add the record class and the classes inside it."""
        if not has_records:
            self._places[schema, False] = 0
        self._waiting.append((schema, 0, has_records))
        done = set()
        while self._waiting:
            step = self._waiting.pop(0)
            if step not in done:
                done.add(step)
                self._add_class(*step)

    def _add_class(self, schema: Schema, place: int, is_old: bool) -> None:
        """Add a class to the shape at `place`. If it `is_old`, there may be dicts of this shape."""
        before = self.shapes[place]
        defaults, absent = dict(before.defaults), [*before.absent]
        for name, field in schema.fields.items():
            is_new = is_old and name not in before.fields
            if is_new or name in absent:
                packed = _packed_default(schema, name)
                if packed is not COMPUTED:
                    defaults[name] = packed
                    absent = [other for other in absent if other != name]
                elif is_new:
                    absent.append(field.name)
        lacking = [name for name in before.fields if name not in schema.fields]
        absent += [name for name in lacking if name not in defaults and name not in absent]
        new = [name for name in schema.fields if name not in before.fields]
        self.shapes[place] = evolve(
            before, fields=(*before.fields, *new), defaults=defaults, absent=tuple(absent)
        )
        for name, classes in classes_inside(schema).items():
            # A shape without fields is new here, but dicts of it may be older.
            has_dicts = is_old and (name in before.fields or not before.fields)
            self._add_inside(place, schema.fields[name], classes, has_dicts)

    def _add_inside(
        self, place: int, field: Field, classes: Mapping[str, Schema], is_old: bool
    ) -> None:
        """Add the classes inside one field of the shape at `place`."""
        shape, name = self.shapes[place], field.name
        places = dict(shape.classes.get(name, {}))
        mixes = is_old and (not places or (len(classes) == 1) != (len(places) == 1))
        for known, schema in classes.items():
            found = _place_of(known, classes, places)
            if found is None:
                places[known] = found = self._new_place(schema, is_old)
            self._waiting.append((schema, found, is_old))
        mixed = (*shape.mixed, name) if mixes and name not in shape.mixed else shape.mixed
        self.shapes[place] = evolve(
            shape,
            classes={**shape.classes, name: places},
            positions={**shape.positions, **_positions(shape, field)},
            mixed=mixed,
        )

    def _new_place(self, schema: Schema, is_old: bool) -> int:
        if (schema, is_old) not in self._places:
            self._places[schema, is_old] = len(self.shapes)
            self.shapes.append(Shape())
        return self._places[schema, is_old]


def _positions(shape: Shape, field: Field) -> dict[str, tuple[str, ...]]:
    """Where the dicts of the classes in a field are: see `Shape.positions`."""
    part = field.conversion.part
    found = {*shape.positions.get(field.name, ()), *(part.positions() if part else ())}
    return {} if found <= {""} else {field.name: tuple(sorted(found))}


def _varies_beyond_defaults(found: Description, schema: Schema) -> bool:
    for known, shape in _pairs(found, schema):
        if shape.absent or shape.mixed or {*shape.fields} != known.fields.keys():
            return True
        if _has_other_classes(known, shape):
            return True
    return False


def _has_other_classes(known: Schema, shape: Shape) -> bool:
    """Whether a field may hold other classes now than those that the shape has."""
    for name, classes in classes_inside(known).items():
        places = shape.classes.get(name, {})
        is_one = len(classes) == len(places) == 1
        if not is_one and classes.keys() != places.keys():
            return True
    return False


def _pairs(found: Description, schema: Schema) -> Iterator[tuple[Schema, Shape]]:
    """Each class with each of its shapes, without the classes that have no shape."""
    return ((known, found.shapes[place]) for known, place in _places(found, schema))


def _places(found: Description, schema: Schema) -> Iterator[tuple[Schema, int]]:
    """Each class with the place of each of its shapes, without the classes that have no shape."""
    waiting = [(schema, 0)]
    done = set()
    while waiting:
        known, place = step = waiting.pop(0)
        if step in done:
            continue
        done.add(step)
        shape = found.shapes[place]
        yield known, place
        for name, classes in classes_inside(known).items():
            places = shape.classes.get(name, {})
            for class_name, inside in classes.items():
                at = _place_of(class_name, classes, places)
                if at is not None:
                    waiting.append((inside, at))


def _place_of(name: str, classes: Mapping[str, Schema], places: Mapping[str, int]) -> int | None:
    """The place of a class in a field. The only class of a field may have been renamed."""
    if len(classes) == len(places) == 1:
        return next(iter(places.values()))
    return places.get(name)


def classes_inside(schema: Schema) -> dict[str, dict[str, Schema]]:
    """The classes inside each field that has some, by their names."""
    inside: dict[str, dict[str, Schema]] = {}
    for name, field in schema.fields.items():
        for part in field.conversion.part.classes() if field.conversion.part else ():
            if isinstance(part, Schema):
                classes = inside.setdefault(name, {})
                taken = [*classes.values()]
                if part not in taken:  # two classes of different modules may have the same name
                    own = part.name
                    classes[f"{own} {len(taken) + 1}" if own in classes else own] = part
    return inside


def _packed_default(schema: Schema, name: str) -> Any:
    """The default of a field as the description keeps it. COMPUTED if it cannot be kept."""
    default = constant_default(schema.cls, schema.fields[name])
    if default is COMPUTED or default is VOLATILE:
        return COMPUTED
    try:
        return json.loads(json_serializer.encode(default))
    except (SerializerError, RecursionError):
        return COMPUTED


def _unpacking(name: str, packed: Any) -> Callable[[], Any]:
    """The function that gives a kept default, a new one at each call."""

    def unpacked() -> Any:
        try:
            return json_serializer.decode(json.dumps(packed).encode())
        except Exception as error:  # a damaged description may hold anything
            raise MisfitError(
                f"the kept default cannot be read: {error!r:.200}", f".{name}"
            ) from error

    known: list[Any] = []

    def default() -> Any:
        if not known:
            known.append(unpacked())
        value = known[0]
        return value if type(value) in ATOMS else deepcopy(value)

    return default
