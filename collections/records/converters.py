"""The conversion of a field, by its annotation.

Everything is decided here, once, when a collection is made: what can be stored at all, and by which
functions of `stones.collections.records.plain_values`, `choices` and `shapes`.
"""

import dataclasses
import types
import typing
from collections import abc
from collections.abc import Mapping
from enum import Enum
from typing import Any, Literal, get_args, get_origin

import attrs
from attrs import Attribute

from stones.errors import CollectionError

from .annotations import field_types, unwrap, unwrap_once
from .classes import Field, Shape
from .messages import show_annotation
from .plain_values import ANYTHING, ATOMS, NONE, Conversion, fixed, many, mapping
from .unions import enumeration, literal, tagged, union


class Conversions:
    """Finds the conversions for a record class and all that is inside of it."""

    def __init__(self) -> None:
        # Pairs, since not every annotation can be hashed.
        self._shapes: list[tuple[Any, Shape]] = []
        self._open: list[tuple[Any, Conversion]] = []
        self._owners: list[Any] = []

    def shape(self, annotation: Any) -> Shape:
        """The shape of an attrs class, or of a generic one with its arguments: `Box[int]`.

        Raises CollectionError if one of its fields cannot be stored.
        """
        known = next((shape for known, shape in self._shapes if known == annotation), None)
        if known is not None:
            return known
        cls = get_origin(annotation) or annotation
        shape = Shape(cls)
        self._shapes.append((annotation, shape))
        self._owners.append(annotation)
        shape.fill([self._field(cls, *field) for field in field_types(cls, get_args(annotation))])
        self._owners.pop()
        return shape

    def of(self, annotation: Any) -> Conversion:
        """The conversion for an annotation; CollectionError for what cannot be stored."""
        found = unwrap_once(annotation)
        if found is not annotation:
            return self._through(annotation, found)
        if annotation is Any or annotation is object:
            return ANYTHING
        if annotation is None:
            return NONE
        if annotation is typing.Self:
            return self.shape(self._owners[-1]).conversion
        if _is_union(annotation):
            return self._union(annotation)
        origin, arguments = get_origin(annotation) or annotation, get_args(annotation)
        if origin is Literal:
            return literal(arguments)
        if isinstance(annotation, str | typing.ForwardRef):
            raise CollectionError(f"the annotation {annotation!r} cannot be resolved")
        if not isinstance(origin, type):
            raise CollectionError(f"{show_annotation(annotation)} cannot be stored: {_STORABLE}")
        return self._class(annotation, origin, arguments)

    def _class(self, annotation: Any, origin: type, arguments: tuple[Any, ...]) -> Conversion:
        if origin in ATOMS:
            return ATOMS[origin]
        if origin is tuple or origin in _MANY or origin in _MAPPINGS:
            return self._container(annotation, origin, arguments)
        if issubclass(origin, Enum):
            return enumeration(origin)
        if (reason := not_attrs(origin)) is not None:
            hint = reason if dataclasses.is_dataclass(origin) or attrs.has(origin) else _STORABLE
            raise CollectionError(f"{show_annotation(annotation)} cannot be stored: {hint}")
        return self.shape(annotation).conversion

    def _container(self, annotation: Any, origin: type, arguments: tuple[Any, ...]) -> Conversion:
        name = show_annotation(annotation)
        items = [self.of(argument) for argument in arguments if argument is not Ellipsis]
        if origin in _MAPPINGS:
            return mapping(name, *(items or [ANYTHING, ANYTHING]))
        is_bare = annotation is tuple or annotation is typing.Tuple  # noqa: UP006
        if origin is tuple and not is_bare and Ellipsis not in arguments:
            return fixed(items)
        return many(name, _MANY.get(origin, (tuple,)), *(items or [ANYTHING]))

    def _union(self, annotation: Any) -> Conversion:
        classes: dict[str, Conversion] = {}
        members = []
        for alternative in _alternatives(annotation):
            member = self.of(alternative)
            cls = get_origin(alternative) or alternative
            if not attrs.has(cls):
                members.append(member)
            elif classes.setdefault(cls.__name__, member) is not member:
                raise CollectionError(
                    f"{show_annotation(annotation)} cannot be stored: it has two classes with the "
                    f"name {cls.__name__}"
                )
        return union([*members, *([tagged(classes)] if len(classes) > 1 else classes.values())])

    def _field(self, cls: type, field: "Attribute[Any]", annotation: Any) -> Field:
        try:
            conversion = ANYTHING if annotation is None else self.of(annotation)
        except CollectionError as error:
            raise CollectionError(f"{cls.__name__}.{field.name}: {error}") from error
        return Field(
            field.alias or field.name,
            field.name,
            conversion,
            field.init,
            field.default is not attrs.NOTHING,
        )

    def _through(self, annotation: Any, found: Any) -> Conversion:
        """The conversion of what an alias or a NewType stands for; an alias may be recursive."""
        for known, later in self._open:
            if known == annotation:
                return later
        target: list[Conversion] = []

        def dump(value: Any) -> Any:
            return target[0].dump(value)

        def load(stored: Any) -> Any:
            return target[0].load(stored)

        later = Conversion(show_annotation(annotation), dump, load, (object,), {object})
        self._open.append((annotation, later))
        target.append(self.of(found))
        self._open.pop()
        return target[0]


def not_attrs(cls: Any) -> str | None:
    """Why this is no attrs class, and what to do about it; None if it is one."""
    if not isinstance(cls, type):
        a_record = attrs.has(type(cls))
        return "pass its class, not a record" if a_record else "pass a class made with attrs"
    if "__attrs_attrs__" in cls.__dict__:
        return None
    if attrs.has(cls):
        return "it inherits from an attrs class, decorate it with @attrs.define as well"
    if dataclasses.is_dataclass(cls):
        return "it is a dataclass, decorate it with @attrs.define instead of @dataclass"
    return "it is not an attrs class, decorate it with @attrs.define"


def _alternatives(annotation: Any) -> list[Any]:
    """What a union is made of, those in its aliases included; anything else is its only part."""
    annotation = unwrap(annotation)
    if not _is_union(annotation):
        return [annotation]
    found = []
    for argument in get_args(annotation):
        found += [x for x in _alternatives(argument) if x not in found]
    return found


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (typing.Union, types.UnionType)


_MANY: Mapping[Any, tuple[type, ...]] = {
    list: (list,),
    set: (set,),
    frozenset: (frozenset,),
    abc.MutableSequence: (list,),
    abc.Sequence: (list, tuple),
    abc.Reversible: (list, tuple),
    abc.MutableSet: (set,),
    abc.Set: (set, frozenset),
    abc.Collection: (list, tuple, set, frozenset),
    abc.Iterable: (list, tuple, set, frozenset),
    abc.Container: (list, tuple, set, frozenset),
}
_MAPPINGS = (dict, abc.Mapping, abc.MutableMapping)

_STORABLE = (
    "fields hold None, bool, int, float, str, bytes, dates and times, Decimal, UUID, enums, attrs "
    "classes, and list, tuple, set, frozenset, dict or unions of these"
)
