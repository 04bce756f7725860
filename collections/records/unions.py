"""Conversions of values that are one of several things: enums, literals, unions.

`converters` builds these conversions, from the conversions of `plain_values`. A stored value must
show which of the things it is. This is checked when a collection is made.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum, Flag
from types import NoneType
from typing import Any

from stones.errors import CollectionError

from .plain_values import ANYTHING, ATOMS, NONE, Conversion, Convert, MisfitError, misfit_error

TAG = "_type"
"""The key in a stored dict that names its class, where an annotation allows several classes."""


def enumeration(cls: type[Enum]) -> Conversion:
    """A member of an enum, stored as its value.

    Raises CollectionError for an enum without members, and for a member whose value is not plain.
    """
    if not len(cls):
        raise CollectionError(f"{cls.__name__} cannot be stored: it has no members")
    stored_as: set[Any] = set()
    hashable = True
    for member in cls:
        try:
            value = ANYTHING.dump(member.value)
            stored_as.add((type(value), value))
        except MisfitError as error:
            raise CollectionError(f"the value of {member!s} cannot be stored: {error}") from error
        except TypeError:  # the value has no hash, such as a list
            stored_as.add(type(value))
            hashable = False

    def dump(member: Any) -> Any:
        if not isinstance(member, cls):
            raise misfit_error(cls.__name__, member)
        return ANYTHING.dump(member.value)

    def load(value: Any) -> Any:
        try:
            return cls(value)
        except Exception as error:  # `_missing_` may raise anything
            raise misfit_error(f"the value of a {cls.__name__}", value) from error

    if issubclass(cls, Flag):
        stored_as = {int}  # members can be combined, to values that no member has
    return Conversion(cls.__name__, dump, load, (cls,), stored_as, hashable=hashable)


def literal(options: Sequence[Any]) -> Conversion:
    """One of these values. The type counts as well: 1 is not True."""
    name = f"Literal[{', '.join(map(repr, options))}]"
    pairs = [(option, _stored_option(option)) for option in options]
    dumps = {(type(option), option): stored for option, stored in pairs}
    loads = {(type(stored), stored): option for option, stored in pairs}

    def look_up(value: Any, table: Mapping[Any, Any]) -> Any:
        try:
            return table[type(value), value]
        except (KeyError, TypeError):  # TypeError if the value has no hash
            raise misfit_error(name, value) from None

    return Conversion(
        name,
        lambda value: look_up(value, dumps),
        lambda stored: look_up(stored, loads),
        tuple({type(option) for option in options}),
        loads.keys(),
        native=not any(isinstance(option, Enum) for option in options),
        hashable=True,
    )


def union(members: Sequence[Conversion]) -> Conversion:
    """A value of one of several types.

    Raises CollectionError if a stored value would not show which of the types it has.
    """
    for number, one in enumerate(members):
        for other in members[:number]:
            if _clash(one, other) and not (one.native and other.native):
                raise CollectionError(
                    f"{other.name} | {one.name} cannot be stored: the stored value would not show "
                    "which of the two it is"
                )
    if any(member is ANYTHING for member in members):
        return ANYTHING
    not_none = [member for member in members if member is not NONE]
    conversion = not_none[0] if len(not_none) == 1 else _one_of(not_none)
    return conversion if len(not_none) == len(members) else _optional(conversion)


def tagged_union(classes: Mapping[str, Conversion]) -> Conversion:
    """An instance of one of several attrs classes. `TAG` in its stored dict names the class."""
    name = " | ".join(classes)
    by_class = {
        kind: (tag, conversion)
        for tag, conversion in classes.items()
        for kind in conversion.value_types
    }

    def dump(record: Any) -> Any:
        if type(record) not in by_class:
            raise misfit_error(name, record)
        tag, conversion = by_class[type(record)]
        return {TAG: tag, **conversion.dump(record)}

    def load(stored: Any) -> Any:
        tag = stored.get(TAG) if isinstance(stored, dict) else None
        if not isinstance(tag, str) or tag not in classes:
            raise misfit_error(f"a dict whose {TAG!r} is {' or '.join(map(repr, classes))}", stored)
        fields = {key: value for key, value in stored.items() if key != TAG}
        return classes[tag].load(fields)

    members = tuple(classes.values())
    tag_field = {TAG: ATOMS[str]}
    return Conversion(name, dump, load, tuple(by_class), {dict}, members=members, fields=tag_field)


def _stored_option(option: Any) -> Any:
    if not isinstance(option, Enum):
        return option
    members = enumeration(type(option))
    if not members.hashable:
        raise CollectionError(f"Literal[{option!s}] cannot be stored: its value has no hash")
    return members.dump(option)


def _clash(one: Conversion, other: Conversion) -> bool:
    """Whether a stored value may come from both conversions."""

    def covers(one: Conversion, other: Conversion) -> bool:
        return any(
            form in one.stored_as or (isinstance(form, tuple) and form[0] in one.stored_as)
            for form in other.stored_as
        )

    forms = {*one.stored_as, *other.stored_as}
    return object in forms or covers(one, other) or covers(other, one)


def _optional(conversion: Conversion) -> Conversion:
    dump, load = conversion.dump, conversion.load
    return Conversion(
        f"{conversion.name} | None",
        lambda value: None if value is None else dump(value),
        lambda stored: None if stored is None else load(stored),
        (*conversion.value_types, NoneType),
        {*conversion.stored_as, NoneType},
        conversion.exact_type,
        native=conversion.native,
        hashable=conversion.hashable,
        members=(conversion, NONE),
    )


def _one_of(members: Sequence[Conversion]) -> Conversion:
    name = " | ".join(member.name for member in members)
    # Exact types come first, because a bool is also an int, and a datetime also a date.
    exact_types = {member.exact_type for member in members if member.exact_type}

    def for_types(choices: Sequence[tuple[tuple[type, ...], Convert]]) -> Convert:
        def convert(value: Any) -> Any:
            if type(value) in exact_types:
                return value
            fitting = [convert for types, convert in choices if isinstance(value, types)]
            if len(fitting) == 1:
                return fitting[0](value)
            for convert in fitting:
                try:
                    return convert(value)
                except MisfitError:
                    continue
            raise misfit_error(name, value)

        return convert

    return Conversion(
        name,
        for_types([(member.value_types, member.dump) for member in members]),
        for_types([(_types(member.stored_as), member.load) for member in members]),
        tuple({kind for member in members for kind in member.value_types}),
        {form for member in members for form in member.stored_as},
        native=all(member.native for member in members),
        hashable=all(member.hashable for member in members),
        members=members,
    )


def _types(stored_as: Iterable[Any]) -> tuple[type, ...]:
    return tuple({form[0] if isinstance(form, tuple) else form for form in stored_as})
