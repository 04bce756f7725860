"""Which conversion a field gets: chosen by its annotation, once, when a collection is made.

This module knows which annotations can be stored. The conversions themselves are in `plain_values`,
`unions` and `classes`. `annotations` resolves the names, and `record_type` asks for the schema of
its class.
"""

import dataclasses
import types
import typing
from collections import abc
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Literal, get_args, get_origin

import attrs
from attrs import Attribute

from stones.errors import CollectionError
from stones.formats.registered_types import registered_type

from .annotations import field_types, unwrap, unwrap_once
from .classes import Schema
from .conversion import Conversion, Convert
from .field_classes import ClassField, class_fields, has_fields, is_empty_container
from .fields import Field
from .messages import show_annotation
from .parts import Later
from .plain_values import ANYTHING, ATOMS, NONE, container, fixed_tuple, mapping
from .reading_rules import ReadingRules
from .registered import in_union, registered, union_with_packed
from .tagged_unions import TaggedUnion
from .unions import enumeration, literal, union


class ConversionBuilder:
    """Builds the conversions of a record class, and of all types inside it.

    A builder serves one record class: it remembers the classes and aliases that it has met, because
    a type may contain itself. `rules` hold for all classes that it meets.
    """

    def __init__(self, rules: ReadingRules | None = None) -> None:
        self._rules = ReadingRules() if rules is None else rules
        # Lists of pairs, not dicts: an annotation may have no hash.
        self._schemas: list[tuple[Any, Schema]] = []
        self._unfinished: list[tuple[Any, Conversion]] = []
        self._classes: list[Any] = []

    def schema(self, annotation: Any) -> Schema:
        """The schema of an attrs class, or of a generic class with arguments: `Box[int]`.

        Inside a record, also of a dataclass or a NamedTuple.

        Raises CollectionError for a field that cannot be stored.
        """
        known = next((schema for known, schema in self._schemas if known == annotation), None)
        if known is not None:
            return known
        cls = get_origin(annotation) or annotation
        schema = Schema(cls, self._rules)
        self._schemas.append((annotation, schema))
        self._classes.append(annotation)
        arguments = get_args(annotation)
        if attrs.has(cls):
            schema.fill([self._field(cls, *field) for field in field_types(cls, arguments)])
        else:
            schema.fill([self._class_field(cls, field) for field in class_fields(cls, arguments)])
        self._classes.pop()
        return schema

    def conversion(self, annotation: Any) -> Conversion:
        """The conversion of an annotation. Raises CollectionError if it cannot be stored."""
        inside = unwrap_once(annotation)
        if inside is not annotation:
            return self._wrapped(annotation, inside)
        if annotation is Any or annotation is object:
            return ANYTHING
        if annotation is None:
            return NONE
        if annotation is typing.Self:
            return self.schema(self._classes[-1]).conversion
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
        if registered_type(origin) is not None and (found := registered(origin)) is not None:
            return found
        if origin is tuple or origin in _CONTAINERS or origin in _MAPPINGS:
            return self._container(annotation, origin, arguments)
        if issubclass(origin, Enum):
            return enumeration(origin)
        if not attrs.has(origin) and has_fields(origin):
            return self.schema(annotation).conversion
        if (reason := why_not_attrs(origin)) is not None:
            if (found := registered(origin)) is not None:
                return found
            hint = reason if attrs.has(origin) else _STORABLE
            raise CollectionError(f"{show_annotation(annotation)} cannot be stored: {hint}")
        return self.schema(annotation).conversion

    def _container(self, annotation: Any, origin: type, arguments: tuple[Any, ...]) -> Conversion:
        name = show_annotation(annotation)
        items = [self.conversion(argument) for argument in arguments if argument is not Ellipsis]
        if origin in _MAPPINGS:
            return mapping(name, *(items or [ANYTHING, ANYTHING]))
        # UP006 means annotations. Here typing.Tuple is a value, and another one than tuple.
        is_bare = annotation is tuple or annotation is typing.Tuple  # noqa: UP006  # users may write it
        if origin is tuple and not is_bare and Ellipsis not in arguments:
            return fixed_tuple(items)
        return container(name, _CONTAINERS.get(origin, (tuple,)), *(items or [ANYTHING]))

    def _union(self, annotation: Any) -> Conversion:
        classes: dict[str, Schema] = {}
        members: list[Conversion] = []
        registered_classes: list[type] = []
        alternatives = _alternatives(annotation)
        is_optional = sum(x not in (None, types.NoneType) for x in alternatives) == 1
        for alternative in alternatives:
            member = self.conversion(alternative)
            cls = get_origin(alternative) or alternative
            if isinstance(cls, type) and registered_type(cls) is not None and not is_optional:
                registered_classes.append(cls)
                members.append(in_union(cls) or member)
            elif not _has_schema(cls):
                members.append(member)
            elif classes.setdefault(cls.__name__, self.schema(alternative)).conversion != member:
                raise CollectionError(
                    f"{show_annotation(annotation)} cannot be stored: it has two classes with the "
                    f"name {cls.__name__}"
                )
        if len(classes) > 1:
            members.append(TaggedUnion(classes).conversion)
        else:
            members += [schema.conversion for schema in classes.values()]
        made = union(members)
        return union_with_packed(made, registered_classes) if registered_classes else made

    def _field(self, cls: type, field: "Attribute[Any]", annotation: Any) -> Field:
        try:
            conversion = ANYTHING if annotation is None else self.conversion(annotation)
        except CollectionError as error:
            raise CollectionError(f"{cls.__name__}.{field.name}: {error}") from error
        return Field(
            field.alias or field.name,
            field.name,
            conversion,
            field.init,
            field.default is not attrs.NOTHING,
            _converter(field),
            _default_maker(field),
            _has_factory(field),
        )

    def _class_field(self, cls: type, field: ClassField) -> Field:
        try:
            conversion = ANYTHING if field.type is None else self.conversion(field.type)
        except CollectionError as error:
            raise CollectionError(f"{cls.__name__}.{field.name}: {error}") from error
        return Field(
            field.name,
            field.name,
            conversion,
            field.is_argument,
            field.has_default,
            make_default=field.make_default,
            has_factory=field.has_factory,
        )

    def _wrapped(self, annotation: Any, inside: Any) -> Conversion:
        """The conversion of a wrapper, such as an alias or a NewType, around another annotation.

        An alias may contain itself. Its inner occurrence gets a conversion that looks up the outer
        one when it is called.
        """
        for known, later in self._unfinished:
            if known == annotation:
                return later
        target: list[Conversion] = []

        def dump(value: Any) -> Any:
            return target[0].dump(value)

        def load(stored: Any) -> Any:
            return target[0].load(stored)

        later = Conversion(
            show_annotation(annotation),
            dump,
            load,
            (object,),
            {object},
            members=target,
            part=Later(lambda: target[0].part),
        )
        self._unfinished.append((annotation, later))
        target.append(self.conversion(inside))
        self._unfinished.pop()
        return target[0]


def _converter(field: "Attribute[Any]") -> Convert | None:
    converter: Any = field.converter
    convert: Convert | None = converter
    if hasattr(converter, "takes_self"):  # an attrs.Converter
        convert = converter.converter
        if converter.takes_self:
            return None  # it needs the record that is being made
        if converter.takes_field:
            return lambda value: converter.converter(value, field)
    return convert


def _default_maker(field: "Attribute[Any]") -> Callable[[], Any] | None:
    default: Any = field.default
    if getattr(field.converter, "takes_self", False):
        return None
    if hasattr(default, "takes_self"):  # an attrs.Factory
        return None if default.takes_self else default.factory
    return None if default is attrs.NOTHING else lambda: default


def _has_factory(field: "Attribute[Any]") -> bool:
    factory = getattr(field.default, "factory", None)
    return factory is not None and not is_empty_container(factory)


def why_not_attrs(cls: Any) -> str | None:
    """Why this is not an attrs class, and what to do about it. None if it is an attrs class."""
    if not isinstance(cls, type):
        a_record = attrs.has(type(cls))
        return "pass its class, not a record" if a_record else "pass a class made with attrs"
    if "__attrs_attrs__" in cls.__dict__:
        return None
    if attrs.has(cls):
        return "it inherits from an attrs class; decorate it with @attrs.define as well"
    if dataclasses.is_dataclass(cls):
        return "it is a dataclass; decorate it with @attrs.define instead of @dataclass"
    return "it is not an attrs class; decorate it with @attrs.define"


def _alternatives(annotation: Any) -> list[Any]:
    """The alternatives of a union, and of the unions in its aliases. Any other type is its own."""
    annotation = unwrap(annotation)
    if not _is_union(annotation):
        return [annotation]
    found = []
    for argument in get_args(annotation):
        found += [x for x in _alternatives(argument) if x not in found]
    return found


def _has_schema(cls: Any) -> bool:
    """Whether the instances of a class are stored as dicts of their fields."""
    if isinstance(cls, type) and registered_type(cls) is not None:
        return False
    return attrs.has(cls) or has_fields(cls)


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (typing.Union, types.UnionType)


_CONTAINERS: Mapping[Any, tuple[type, ...]] = {
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
    "classes, dataclasses, NamedTuples, and list, tuple, set, frozenset, dict or unions of these; "
    "call stones.register_type() for another type"
)
