"""The stored dict of a record as an index sees it: with the defaults that the description keeps.

Every program must keep every index, whatever its class is. So an index sees what the metadata
tells, and no default of a class. A query sees these too. `view_differs` tells where the two may see
different values, and there an index must not answer.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from typing import Any

from jsonpath_ng.jsonpath import Descendants, Fields

from stones.collections.language.syntax_tree import nodes
from stones.collections.records.classes import TAG, Schema
from stones.errors import CorruptValueError
from stones.formats import json_serializer

from .description import Description, Shape
from .dict_positions import CONTAINERS, Complete, completed_at

KeptView = Callable[[Any], Any]


def kept_view(description: Description) -> KeptView | None:
    """The function that adds kept defaults to a stored dict. None if no default is kept.

    The stored dict stays as it is. Raises CorruptValueError for a default that cannot be read.

    >>> shape = Shape(fields=('name', 'age'), defaults={'age': 0})
    >>> kept_view(Description('User', 'str', (shape,)))({'name': 'ada'})
    {'name': 'ada', 'age': 0}
    """
    if not _has_defaults(description):
        return None
    defaults = [_unpacked(shape.defaults) for shape in description.shapes]

    def completed(stored: Any, place: int) -> Any:
        if type(stored) is not dict:
            return stored
        added = {name: value for name, value in defaults[place].items() if name not in stored}
        for name, complete in fields[place].items():
            inside = stored.get(name)
            changed = inside if type(inside) not in CONTAINERS else complete(inside)
            if changed is not inside:
                added[name] = changed
        return {**stored, **added} if added else stored

    def completing(places: Mapping[str, int]) -> Complete:
        """What completes the dict of one of these classes."""

        def complete(inside: Any) -> Any:
            at = _place_of(inside, places) if type(inside) is dict else None
            return inside if at is None else completed(inside, at)

        return complete

    fields = [
        {
            name: completed_at(shape.positions.get(name, ("",)), completing(places))
            for name, places in shape.classes.items()
        }
        for shape in description.shapes
    ]
    return lambda stored: completed(stored, 0)


def unshared_view(description: Description) -> KeptView | None:
    """The same as `kept_view`. Whoever changes a dict that it gives changes no kept default."""
    view = kept_view(description)
    packed = [value for shape in description.shapes for value in shape.defaults.values()]
    if view is None or not any(type(value) in (list, dict) for value in packed):
        return view

    def unshared(stored: Any) -> Any:
        viewed = view(stored)
        return viewed if viewed is stored else deepcopy(viewed)

    return unshared


def view_differs(path: str, description: Description | None, schema: Schema) -> str | None:
    """Why an index of this path may not see what a query sees, in words. None if it sees the same.

    `schema` is the class that the query is made for.
    """
    if description is None:
        return None
    places, parts = [0], [schema]
    for name in path.split("."):
        shapes = [description.shapes[place] for place in places]
        for shape in shapes:
            reason = _differs(name, shape, parts, alone=len(shapes) == 1)
            if reason is not None:
                return reason
        if any(name in shape.mixed for shape in shapes):
            return f"some records do not tell the class of their {name!r}"
        if any(name in shape.positions for shape in shapes) and _has_defaults(description):
            return f"the dicts of classes in {name!r} have keys of their own"
        places = sorted({at for shape in shapes for at in shape.classes.get(name, {}).values()})
        parts = [inside for part in parts for inside in _classes_inside(part, name)]
        if not places:  # a plain dict, or no dict
            return None
    return None


def condition_differs(expressions: object, description: Description, schema: Schema) -> str | None:
    """Why a partial index may hold other records than a query sees, in words. None if it does not.

    `expressions` are those of the condition. It may go through any values. So each name in it must
    be in all records, wherever it is a name of a field.
    """
    names = names_in(expressions)
    shapes = description.shapes
    lacking = {name for shape in shapes for name in (*shape.defaults, *shape.absent)}
    lacking |= _field_names(schema) - {name for shape in shapes for name in shape.fields}
    found = lacking if names is None else names & lacking
    return f"some records lack {min(found)!r}, which its condition may ask for" if found else None


def names_in(expressions: object) -> frozenset[str] | None:
    """The names of all fields that expressions of a query go through. None if they may be any."""
    names: set[str] = set()
    for node in nodes(expressions):
        if isinstance(node, Descendants):
            return None
        if isinstance(node, Fields):
            names.update(node.fields)
    return None if "*" in names else frozenset(names)


def changed_names(before: Description, after: Description) -> frozenset[str]:
    """The names of fields for which an index sees another value once `after` is written."""
    names = set()
    for place, new in enumerate(after.shapes):
        old = before.shapes[place] if place < len(before.shapes) else Shape()
        if old.classes != new.classes:
            names.update(new.classes.keys() | old.classes.keys())
        names.update(
            name
            for name in new.defaults.keys() | old.defaults.keys()
            if name not in old.defaults
            or name not in new.defaults
            or json.dumps(old.defaults[name]) != json.dumps(new.defaults[name])
        )
        if old.positions != new.positions and _has_defaults(after):
            names.update(new.positions.keys() | old.positions.keys())
    return frozenset(names)


def goes_through(path: str, names: Iterable[str]) -> bool:
    """Whether a path has one of the names."""
    return not set(path.split(".")).isdisjoint(names)


def _has_defaults(description: Description) -> bool:
    return any(shape.defaults for shape in description.shapes)


def _differs(name: str, shape: Shape, parts: list[Schema], *, alone: bool) -> str | None:
    if name not in shape.fields:
        return f"no record was written yet by a class with {name!r}"
    if name in shape.absent:
        return f"some records lack {name!r}, and the class computes it"
    if name not in shape.defaults:
        return None
    if not alone or len(parts) != 1:
        return f"some records lack {name!r}, and it is in several classes"
    lacking = [field for field in parts[0].fields if not _is_given(field, shape)]
    if lacking:  # a dict that lacks this field may stay as it is
        return f"some records lack {name!r}, and may lack {lacking[0]!r} too"
    return None


def _is_given(name: str, shape: Shape) -> bool:
    return name in shape.fields and name not in shape.absent


def _classes_inside(part: Schema, name: str) -> list[Schema]:
    field = part.fields.get(name)
    if field is None or field.conversion.part is None:
        return []
    return [inside for inside in field.conversion.part.classes() if isinstance(inside, Schema)]


def _field_names(schema: Schema) -> set[str]:
    """The names of all fields of a class, and of the classes inside."""
    names: set[str] = set()
    waiting, done = [schema], set()
    while waiting:
        part = waiting.pop()
        if part not in done:
            done.add(part)
            names.update(part.fields)
            waiting += [inside for name in part.fields for inside in _classes_inside(part, name)]
    return names


def _place_of(stored: Mapping[str, Any], places: Mapping[str, int]) -> int | None:
    """The place of the shape of a dict inside. None if the dict does not tell which one it has."""
    if len(places) == 1:
        return next(iter(places.values()))
    tag = stored.get(TAG)
    return places.get(tag) if type(tag) is str else None


def _unpacked(packed: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return {
            name: json_serializer.decode(json.dumps(value).encode())
            for name, value in packed.items()
        }
    except Exception as error:
        raise CorruptValueError(f"a kept default cannot be read: {error!r:.200}") from error
