"""Conversions of values that are one of several things: enums, literals, unions.

`converters` builds these conversions, from the conversions of `plain_values`. A stored value must
show which of the things it is. This is checked when a collection is made. `tagged_unions` has the
conversion of one of several attrs classes.
"""

from collections.abc import Mapping, Sequence
from enum import Enum, Flag
from types import NoneType
from typing import Any

from stones.errors import CollectionError, SerializerError
from stones.formats.messages import show, show_value
from stones.formats.serializers import serializer

from .conversion import Conversion, Convert, MisfitError, misfit_error
from .parts import alternatives_part
from .plain_values import ANYTHING, ATOMS, ENUM_VALUE, NONE


def enumeration(cls: type[Enum]) -> Conversion:
    """A member of an enum, stored as its value.

    Raises CollectionError for an enum without members, for a member whose value is not plain, and
    for a member that would not come back from its stored value.
    """
    if not len(cls):
        raise CollectionError(f"{cls.__name__} cannot be stored: it has no members")
    stored_as: set[Any] = set()
    hashable = True
    # For members with a plain value, which take a fifth of the time with these. `cls` keeps its
    # members, so no other object has the id of one.
    dumps: dict[int, Any] = {}
    loads: dict[type, dict[Any, Enum]] = {}

    def dump(member: Any) -> Any:
        stored = dumps.get(id(member))
        if stored is not None:
            return stored
        if not isinstance(member, cls):
            raise misfit_error(cls.__name__, member)
        stored = ENUM_VALUE.dump(member.value)
        # A combination of flags is no member of its own. Each member has been tried below.
        if member.name not in cls.__members__ and load(stored) != member:
            raise misfit_error(f"a {cls.__name__} that comes back from its value", member)
        return stored

    def load(value: Any) -> Any:
        kind = type(value)
        if kind in loads and (member := loads[kind].get(value)) is not None:
            return member
        try:
            return cls(value)
        except Exception as error:  # `_missing_` may raise anything
            raise misfit_error(f"the value of a {cls.__name__}", value) from error

    for member in cls:
        try:
            value = dump(member)
        except MisfitError as error:
            raise CollectionError(
                f"the value of {_show_option(member)} cannot be stored: {error}"
            ) from error
        _check_member(member, value, load)
        try:
            stored_as.add((type(value), value))
        except TypeError:  # the value has no hash, such as a list
            stored_as.add(type(value))
            hashable = False
        if type(value) in ATOMS:
            dumps[id(member)] = value
            loads.setdefault(type(value), {})[value] = member
    if issubclass(cls, Flag):
        stored_as = {int}  # members can be combined, to values that no member has
    return Conversion(cls.__name__, dump, load, (cls,), stored_as, hashable=hashable)


def literal(options: Sequence[Any]) -> Conversion:
    """One of these values. The type counts as well: 1 is not True.

    Raises CollectionError for an option that is not plain, and for two options that are stored as
    the same value.
    """
    name = f"Literal[{', '.join(map(_show_option, options))}]"
    dumps: dict[Any, Any] = {}
    loads: dict[Any, Any] = {}
    for option in options:
        stored = _stored_option(option)
        try:
            dumps[type(option), option] = stored
            other = loads.setdefault((type(stored), stored), option)
        except TypeError as error:
            raise CollectionError(f"{name} cannot be stored: {show(option)} has no hash") from error
        if other is not option and (type(other), other) != (type(option), option):
            raise CollectionError(
                f"{name} cannot be stored: {_show_option(other)} and {_show_option(option)} are "
                f"both stored as {show_value(stored)}"
            )
        if stored_again(stored) != stored:
            raise CollectionError(f"{name} cannot be stored: {show(option)} does not equal itself")

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


def _check_member(member: Enum, stored: Any, load: Convert) -> None:
    """Raise CollectionError if the member does not come back from its stored value."""
    try:
        loaded = load(stored_again(stored))
        found = _show_option(loaded)
    except MisfitError:
        loaded, found = None, "no member"
    if loaded is not member:
        raise CollectionError(
            f"{type(member).__name__} cannot be stored: {_show_option(member)} is stored as "
            f"{show_value(stored)}, which comes back as {found}"
        )


def stored_again(stored: Any) -> Any:
    """A stored value as it is read: equal, but other objects. A NaN then equals nothing."""
    codec = serializer("msgpack")
    try:
        return codec.decode(codec.encode(stored))
    except SerializerError as error:
        raise CollectionError(f"the value {show(stored)} cannot be stored: {error}") from error


def _show_option(option: Any) -> str:
    """An option of a Literal as its author writes it. str() of an IntEnum gives the number only."""
    if isinstance(option, Enum) and option.name is not None:
        return f"{type(option).__name__}.{option.name}"
    return show(option)


def _stored_option(option: Any) -> Any:
    if not isinstance(option, Enum):
        try:
            return ANYTHING.dump(option)
        except MisfitError as error:
            raise CollectionError(f"Literal[{show(option)}] cannot be stored: {error}") from error
    members = enumeration(type(option))
    if not members.hashable:
        raise CollectionError(
            f"Literal[{_show_option(option)}] cannot be stored: its value has no hash"
        )
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
    load = conversion.load

    def dump(value: Any) -> Any:
        if value is None:
            return None
        stored = conversion.dump(value)
        if stored is None:
            raise MisfitError(f"{show_value(value)} is stored as None, and would come back as None")
        return stored

    return Conversion(
        f"{conversion.name} | None",
        dump,
        lambda stored: None if stored is None else load(stored),
        (*conversion.value_types, NoneType),
        {*conversion.stored_as, NoneType},
        (*conversion.exact_types, NoneType),
        native=conversion.native,
        hashable=conversion.hashable,
        members=(conversion, NONE),
        part=conversion.part,
        copied=conversion.copied,
        of_class=conversion.of_class,
    )


def _one_of(members: Sequence[Conversion]) -> Conversion:
    name = " | ".join(member.name for member in members)
    # Exact types come first, because a bool is also an int, and a datetime also a date.
    exact_types = dict.fromkeys(kind for member in members for kind in member.exact_types)
    by_value_type = [(member.value_types, member) for member in members]
    by_stored_type = [(tuple(member.stored_types), member) for member in members]

    def dump(value: Any) -> Any:
        kind = type(value)
        if kind in exact_types:
            return value
        fitting = [choice for choice in by_value_type if isinstance(value, choice[0])]
        if len(fitting) == 1:
            return fitting[0][1].dump(value)
        # A NamedTuple is also a tuple: the member that names its class comes first.
        fitting.sort(key=lambda choice: kind not in choice[0])
        for _, member in fitting:
            try:
                return member.dump(value)
            except MisfitError:
                continue
        raise misfit_error(name, value)

    def load(stored: Any) -> Any:
        if type(stored) in exact_types:
            return stored
        fitting = [choice for choice in by_stored_type if isinstance(stored, choice[0])]
        if len(fitting) == 1:
            return fitting[0][1].load(stored)
        # A registered subclass of str is also a str: the member that names its class comes first.
        fitting.sort(key=lambda choice: type(stored) not in choice[0])
        loaded = []
        for _, member in fitting:
            try:
                value = member.load(stored)
            except MisfitError:
                continue
            # `_missing_` of an enum may make a member of a value that another type has stored.
            if member.native or _is_stored_as(member, value, stored):
                return value
            loaded.append(value)
        if not loaded:
            raise misfit_error(name, stored)
        return loaded[0]

    return Conversion(
        name,
        dump,
        load,
        tuple({kind for member in members for kind in member.value_types}),
        {form for member in members for form in member.stored_as},
        tuple(exact_types),
        native=all(member.native for member in members),
        hashable=all(member.hashable for member in members),
        members=members,
        part=alternatives_part([(tuple(member.stored_types), member.part) for member in members]),
    )


def _is_stored_as(member: Conversion, value: Any, stored: Any) -> bool:
    try:
        again = member.dump(value)
    except MisfitError:
        return False
    return type(again) is type(stored) and bool(again == stored)
