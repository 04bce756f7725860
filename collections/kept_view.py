"""The stored dict of a record as an index sees it: with the defaults that the description keeps.

Every program must keep every index, whatever its class is. So an index sees what the metadata
tells, and no default of a class. A query sees these too: see `view_differences`.
"""

import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

from stones.collections.records.class_tag import TAG
from stones.errors import CorruptValueError

from .description import Description
from .dict_positions import CONTAINERS, Complete, completed_at

KeptView = Callable[[Any], Any]


def kept_view(description: Description) -> KeptView | None:
    """The function that adds kept defaults to a stored dict. None if no default is kept.

    The stored dict stays as it is. Raises CorruptValueError for a default that cannot be read.

    >>> from stones.collections.description import Shape
    >>> shape = Shape(fields=('name', 'age'), defaults={'age': 0})
    >>> kept_view(Description('User', 'str', (shape,)))({'name': 'ada'})
    {'name': 'ada', 'age': 0}
    """
    if not has_defaults(description):
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


def has_defaults(description: Description) -> bool:
    """Whether a default is kept for some field."""
    return any(shape.defaults for shape in description.shapes)


def _place_of(stored: Mapping[str, Any], places: Mapping[str, int]) -> int | None:
    """The place of the shape of a dict inside. None if the dict does not tell which one it has."""
    if len(places) == 1:
        return next(iter(places.values()))
    tag = stored.get(TAG)
    return places.get(tag) if type(tag) is str else None


def _unpacked(packed: Mapping[str, Any]) -> dict[str, Any]:
    from stones.formats import json_serializer  # few collections keep defaults

    try:
        return {
            name: json_serializer.decode(json.dumps(value).encode())
            for name, value in packed.items()
        }
    except Exception as error:
        raise CorruptValueError(f"a kept default cannot be read: {error!r:.200}") from error
