"""Where an index may see other values than a query does, and must not answer.

An index sees the stored dict with the defaults that the description keeps (see `kept_view`). A
query sees the defaults of its class too.
"""

import json
from collections.abc import Iterable

from jsonpath_ng.jsonpath import Descendants, Fields

from stones.collections.language.syntax_tree import nodes
from stones.collections.records.classes import Schema

from .description import Description, Shape
from .kept_view import has_defaults


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
        if any(name in shape.positions for shape in shapes) and has_defaults(description):
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
        if old.positions != new.positions and has_defaults(after):
            names.update(new.positions.keys() | old.positions.keys())
    return frozenset(names)


def goes_through(path: str, names: Iterable[str]) -> bool:
    """Whether a path has one of the names."""
    return not set(path.split(".")).isdisjoint(names)


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
