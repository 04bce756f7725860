"""What differs between a class and the records of a collection that other classes have written.

The description tells which fields records have. Some records tell more: values that the class does
not take, because the type of a field or the members of an enum have changed. `step_code` writes
the step that brings the records to the class.
"""

from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

from attrs import evolve, frozen

from stones.collections.records.classes import Schema
from stones.collections.records.conversion import Conversion, MisfitError
from stones.collections.records.defaults import VOLATILE, constant_default
from stones.collections.records.fields import Field
from stones.collections.records.parts import Alternatives, Items, Part

from .description import Description, Shape
from .shapes import class_places, classes_inside

Record = tuple[str, Mapping[str, Any]]
"""The key of a record as messages show it, and its stored dict."""


@frozen
class AddedField:
    """A field of the class that records lack. `path` leads to it: `address.city`."""

    path: str
    field: Field
    is_volatile: bool
    """Whether it has a default that is another value each time. Otherwise it has no default."""
    in_all: bool
    """Whether all records lack it, not some."""
    is_reachable: bool
    """Whether a step can name it by the path."""

    def text(self) -> str:
        which = "" if self.in_all else "some "
        reason = (
            "its factory gives another value each time" if self.is_volatile else "it has no default"
        )
        return f"{self.path} is new: {which}records lack it, and {reason}"


@frozen
class GoneField:
    """A field that records have and the class lacks. `path` leads to it."""

    path: str
    is_reachable: bool
    """Whether a step can name it by the path."""
    new_path: str | None = None
    """The path of the field that it may have become."""

    def text(self) -> str:
        likely = "" if self.new_path is None else f", its name may be {self.new_path} now"
        return f"{self.path} is not in the class any more{likely}"


@frozen
class ChangedField:
    """A field of the records whose values in some of them the class does not take."""

    name: str
    misfit_path: str
    """The path to the value that the class does not take, in this field or inside of it."""
    reason: str
    key: str
    """The key of the first record with such a value."""
    conversion: Conversion
    """The conversion of the field."""
    examples: Sequence[Any]
    """Some values of the field that the class does not take."""

    def text(self) -> str:
        return f"{self.misfit_path} in the record of {self.key}: {self.reason}"


@frozen
class GoneClass:
    """A class that a field of records may hold, and that the class has taken out of the union."""

    path: str
    name: str

    def text(self) -> str:
        return f"{self.path} cannot hold {self.name} any more, and records may have it"


@frozen
class Difference:
    """What differs. A difference without parts is false."""

    added: Sequence[AddedField] = ()
    gone: Sequence[GoneField] = ()
    changed: Sequence[ChangedField] = ()
    gone_classes: Sequence[GoneClass] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.gone or self.changed or self.gone_classes)

    def lines(self) -> list[str]:
        """The difference in words, a line for each field."""
        return [
            *(part.text() for part in self.added),
            *(part.text() for part in self.gone),
            *(part.text() for part in self.changed),
            *(part.text() for part in self.gone_classes),
        ]


def difference(
    found: Description,
    schema: Schema,
    records: Iterable[Record] = (),
    touched: frozenset[str] | None = frozenset(),
) -> Difference:
    """What differs between the records of a collection and a class.

    `records` are some records, with the steps that the program has. `touched` are the names that
    these steps may change, None if they may change any: what the description says of them is of the
    time before.
    """
    records = [*records]
    finder = _Finder(records)
    for path, known, shape in class_places(found, schema):
        if touched is not None:
            finder.compare(path, known, shape, touched)
    for name, known_field in schema.fields.items():
        for key, record in records:
            if name in record:
                finder.look_at(name, known_field, key, record[name])
    return finder.difference()


def volatile_fields(
    found: Description, schema: Schema, touched: frozenset[str] | None = frozenset()
) -> list[AddedField]:
    """The fields that no record has, and whose default is another value each time."""
    finder = _Finder([])
    for path, known, shape in class_places(found, schema):
        if touched is not None:
            finder.compare(path, known, shape, touched)
    return [added for added in finder.added if added.is_volatile and added.in_all]


class _Finder:
    """Collects what differs."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._records = records
        self.added: list[AddedField] = []
        self._new: list[tuple[str, Field]] = []
        self._gone: list[GoneField] = []
        self._changed: dict[str, ChangedField] = {}
        self._gone_classes: list[GoneClass] = []
        self._unreachable: set[str] = set()

    def compare(self, path: str, known: Schema, shape: Shape, touched: frozenset[str]) -> None:
        """Compare a class with the shape of its dicts."""
        within = f"{path}." if path else ""
        is_reachable = path not in self._unreachable
        for name, inside in classes_inside(known).items():
            if not is_reachable or not _is_reachable(known.fields[name].conversion.part):
                self._unreachable.add(within + name)
            places = shape.classes.get(name, {})
            if len(inside) > 1 or len(places) > 1:
                gone = [other for other in places if other not in inside and name not in touched]
                self._gone_classes += [GoneClass(within + name, other) for other in gone]
        if not shape.fields:  # nothing was kept of these dicts
            return
        for name, known_field in known.fields.items():
            in_all = name not in shape.fields
            if name in touched or not (in_all or name in shape.absent):
                continue
            if in_all:
                self._new.append((within + name, known_field))
            is_volatile = constant_default(known.cls, known_field) is VOLATILE
            if is_volatile or (known_field.is_argument and not known_field.has_default):
                self.added.append(
                    AddedField(within + name, known_field, is_volatile, in_all, is_reachable)
                )
        for name in shape.fields:
            # A field that is in all records is gone. One that some lack may be gone for long.
            is_gone = name not in known.fields and name not in touched
            if is_gone and (name not in shape.absent or self._values(within + name)):
                self._gone.append(GoneField(within + name, is_reachable))

    def look_at(self, name: str, known: Field, key: str, value: Any) -> None:
        """Look whether the class takes a value of a record."""
        try:
            known.conversion.load(value)
        except MisfitError as error:
            path = error.within(f".{name}").path.removeprefix(".")
            # A value inside of a list, a dict or a class is mended in the whole field.
            before = self._changed.get(name)
            if before is not None and len(before.examples) < _EXAMPLES:
                self._changed[name] = evolve(before, examples=(*before.examples, value))
            elif before is None and not self._is_known(name, path):
                changed = ChangedField(name, path, error.reason, key, known.conversion, (value,))
                self._changed[name] = changed
        except RecursionError:  # it is nested too deeply
            return

    def _is_known(self, name: str, path: str) -> bool:
        """Whether a misfit at a path is one of a field that is new or gone."""
        inside = f"{name}." if "[" in path else f"{path}."
        paths = [*(added.path for added in self.added), *(gone.path for gone in self._gone)]
        return any(known == path or known.startswith(inside) for known in paths)

    def difference(self) -> Difference:
        """What was found, with the fields that may have been renamed."""
        pairs = sorted(
            (-_likeness(gone.path, path), gone.path, path)
            for gone in self._gone
            for path, new in self._new
            if _parent(gone.path) == _parent(path) and self._fits(gone.path, new)
        )
        renamed: dict[str, str] = {}
        for likeness, old, new in pairs:
            if -likeness >= _ALIKE and old not in renamed and new not in renamed.values():
                renamed[old] = new
        return Difference(
            [added for added in self.added if added.path not in renamed.values()],
            [evolve(gone, new_path=renamed.get(gone.path)) for gone in self._gone],
            [*self._changed.values()],
            [gone for gone in self._gone_classes if gone.path not in self._changed],
        )

    def _fits(self, path: str, new: Field) -> bool:
        """Whether a field takes the values of another one."""
        try:
            for value in self._values(path):
                new.conversion.load(value)
        except MisfitError:
            return False
        return True

    def _values(self, path: str) -> list[Any]:
        found = [_at(record, path.split(".")) for _, record in self._records]
        return [value for value in found if value is not _MISSING]


_EXAMPLES = 5
"""So many values of a field are kept."""
_ALIKE = 0.6
"""Names that are so much alike may be of the same field. 1 is the same name."""
_MISSING: Any = object()


def _likeness(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other).ratio()


def _parent(path: str) -> str:
    return path.rpartition(".")[0]


def _at(value: Any, names: Sequence[str]) -> Any:
    for name in names:
        if type(value) is not dict or name not in value:
            return _MISSING
        value = value[name]
    return value


def _is_reachable(part: Part | None) -> bool:
    """Whether a step reaches the dicts of a class by a path: not in a dict, nor in a union."""
    match part:
        case Schema():
            return True
        case Items(item):
            return _is_reachable(item)
        case Alternatives(alternatives):
            return all(_is_reachable(inside) for _, inside in alternatives)
        case _:
            return False
