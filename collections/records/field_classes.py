"""Dataclasses and NamedTuples as the types of fields. They are stored as attrs classes are.

A value is stored as a dict of its fields, each by its annotation. The class of a record itself is
an attrs class (`stones.collections.records.classes`).
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from attrs import frozen

from stones.errors import CollectionError

from .annotations import filled_in, resolved_hints


@frozen
class ClassField:
    """A field of a dataclass or a NamedTuple."""

    name: str
    type: Any
    """Its annotation, or None."""
    is_argument: bool
    """Whether the constructor takes it."""
    has_default: bool
    make_default: Callable[[], Any] | None
    """Makes the default. None if there is none."""
    has_factory: bool = False
    """Whether `make_default` is a function of the user, which may give another value each time."""


def is_empty_container(factory: object) -> bool:
    """Whether a factory is a type that makes an empty value, always the same: `list`, `dict`."""
    return any(factory is kind for kind in _EMPTY)


def is_named_tuple(cls: Any) -> bool:
    """Whether a class is a NamedTuple, or was made by `collections.namedtuple`."""
    return isinstance(cls, type) and issubclass(cls, tuple) and hasattr(cls, "_fields")


def has_fields(cls: Any) -> bool:
    """Whether a class is a dataclass or a NamedTuple."""
    return is_named_tuple(cls) or (isinstance(cls, type) and dataclasses.is_dataclass(cls))


def class_fields(cls: Any, arguments: Sequence[Any]) -> list[ClassField]:
    """The fields of a dataclass or a NamedTuple. `arguments` fill in a generic class.

    Raises CollectionError for an annotation with a name that cannot be resolved, and for a class
    that inherits from a dataclass and is none itself.
    """
    hints = resolved_hints(cls)
    if is_named_tuple(cls):
        return [
            ClassField(
                name,
                filled_in(cls, name, hints.get(name), arguments),
                True,
                name in cls._field_defaults,
                _constant(cls._field_defaults[name]) if name in cls._field_defaults else None,
            )
            for name in cls._fields
        ]
    if "__dataclass_fields__" not in cls.__dict__:
        raise CollectionError(
            f"{cls.__name__} cannot be stored: it inherits from a dataclass; decorate it with "
            "@dataclass as well"
        )
    missing = dataclasses.MISSING
    return [
        ClassField(
            field.name,
            filled_in(cls, field.name, hints.get(field.name), arguments),
            field.init,
            field.default is not missing or field.default_factory is not missing,
            _default_maker(field),
            field.default_factory is not missing and not is_empty_container(field.default_factory),
        )
        for field in dataclasses.fields(cls)
    ]


def may_change_fields(cls: Any) -> bool:
    """Whether the constructor may do more than set the fields."""
    if is_named_tuple(cls):
        # The class that has the fields was generated. A subclass may have a __new__ of its own.
        made = next(base for base in cls.__mro__ if "_fields" in base.__dict__)
        return cls.__new__ is not made.__new__
    return hasattr(cls, "__post_init__") or not cls.__dataclass_params__.init


def _default_maker(field: "dataclasses.Field[Any]") -> Callable[[], Any] | None:
    if field.default is not dataclasses.MISSING:
        return _constant(field.default)
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory
    return None


def _constant(value: Any) -> Callable[[], Any]:
    return lambda: value


_EMPTY = (list, dict, set, frozenset, tuple, str, bytes, int, float, bool)
