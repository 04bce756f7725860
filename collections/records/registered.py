"""Conversions of registered types: those of `stones.register_type`, and those that stones ships.

A field of such a type is stored as the packed value, as an enum is stored as its value. So queries
see plain values, and the record can be read where the type is not known. Where the packed value
would not show its type, the value itself is stored, and the serializer adds the name of the type:
in unions, and in a field of a base class.
"""

from collections.abc import Sequence
from typing import Any

from attrs import evolve

from stones.formats.registered_types import (
    RegisteredType,
    UnknownValue,
    error_text,
    has_registered_subclass,
    registered_type,
    unknown_type_text,
)

from .conversion import Conversion, Convert, MisfitError, misfit_error
from .plain_values import ANYTHING


class PackedValue:
    """In `Conversion.stored_as`: what `pack` makes. It may be of any type but NoneType."""


def registered(cls: type) -> Conversion | None:
    """The conversion of a field of this class. None if the class and its subclasses are unknown."""
    found = registered_type(cls)
    if found is not None:
        return _packed(found)
    if cls is object or not has_registered_subclass(cls):
        return None
    return _named(cls.__name__, (cls,))


def in_union(cls: type) -> Conversion | None:
    """The conversion of this class where a union has other types too."""
    found = registered_type(cls)
    return registered(cls) if found is None else _named(cls.__name__, found.instances)


def union_with_packed(union: Conversion, classes: Sequence[type]) -> Conversion:
    """A union with these registered classes. It also reads packed values.

    They were stored when the field had only one type. If several classes fit, none is chosen.
    """
    packed = [conversion.load for cls in classes if (conversion := registered(cls)) is not None]

    def load(stored: Any) -> Any:
        try:
            return union.load(stored)
        except MisfitError:
            loaded = [value for load in packed for value in _loaded(load, stored)]
            if len(loaded) != 1:
                raise
            return loaded[0]

    return evolve(union, load=load, native=False, has_forms=True)


def are_equal(left: Any, right: Any) -> bool:
    """Whether two values are equal. Arrays of numpy are equal if they are stored alike."""
    kind = type(left)
    if kind is type(right):
        if kind is dict:
            return left.keys() == right.keys() and all(
                are_equal(value, right[key]) for key, value in left.items()
            )
        if kind is list or kind is tuple:
            return len(left) == len(right) and all(map(are_equal, left, right))
    try:
        equal = left == right
    except Exception:  # noqa: BLE001  # an __eq__ may raise anything, for two shapes for example
        return False
    if not getattr(equal, "shape", ()):
        return bool(equal)
    found = registered_type(kind)  # numpy has compared item by item
    return found is not None and kind is type(right) and bool(found.pack(left) == found.pack(right))


def _loaded(load: Convert, stored: Any) -> list[Any]:
    try:
        return [load(stored)]
    except MisfitError:
        return []


def _packed(found: RegisteredType) -> Conversion:
    name = found.cls.__name__

    def dump(value: Any) -> Any:
        if type(value) not in found.instances:
            error = misfit_error(name, value)
            if isinstance(value, found.cls):
                error.reason += f", a subclass: it would come back as a {name}"
            raise error
        try:
            packed = found.pack(value)
        except (MemoryError, RecursionError):
            raise
        except Exception as error:  # a user's function may raise anything
            raise MisfitError(
                f"pack of the type {found.name!r} failed: {error_text(error)}"
            ) from error
        return ANYTHING.dump(packed)

    def load(stored: Any) -> Any:
        if type(stored) in found.instances:  # it was written by a field of another type
            return stored
        if type(stored) is UnknownValue:
            raise MisfitError(unknown_type_text(stored.name))
        try:
            return found.unpack(stored)
        except (MemoryError, RecursionError):
            raise
        except Exception as error:  # a user's function may raise anything
            misfit = misfit_error(f"what pack of the type {found.name!r} makes", stored)
            misfit.reason += f": {error_text(error)}"
            raise misfit from error

    return Conversion(name, dump, load, found.instances, {PackedValue}, has_forms=True)


def _named(name: str, classes: tuple[type, ...]) -> Conversion:
    def convert(value: Any) -> Any:
        if type(value) is UnknownValue:
            raise MisfitError(unknown_type_text(value.name))
        if not isinstance(value, classes) or registered_type(type(value)) is None:
            raise misfit_error(name, value)
        return value

    return Conversion(name, convert, convert, classes, classes, native=True, hashable=False)
