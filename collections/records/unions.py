"""Values that are one of several things, to what is stored of them and back: enums, unions.

Like those of `stones.collections.records.plain_values`, of which they are made. What is stored has
to tell which of the things it was: that is seen to when a collection is made, not with the first
record.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum, Flag
from types import NoneType
from typing import Any

from stones.errors import CollectionError

from .plain_values import ANYTHING, NONE, Conversion, Convert, MisfitError, misfit

TAG = "_type"
"""Where a stored record says of which class it is, if its place could hold several."""


def enumeration(cls: type[Enum]) -> Conversion:
    """The members of an enum, stored by their values. CollectionError for one that is not plain."""
    if not len(cls):
        raise CollectionError(f"{cls.__name__} cannot be stored: it has no members")
    stored: set[Any] = set()
    hashable = True
    for member in cls:
        try:
            value = ANYTHING.dump(member.value)
            stored.add((type(value), value))
        except MisfitError as error:
            raise CollectionError(f"the value of {member!s} cannot be stored: {error}") from error
        except TypeError:  # a list, for instance
            stored.add(type(value))
            hashable = False

    def dump(member: Any) -> Any:
        if not isinstance(member, cls):
            raise misfit(cls.__name__, member)
        return ANYTHING.dump(member.value)

    def load(value: Any) -> Any:
        try:
            return cls(value)
        except Exception as error:  # `_missing_` may raise anything
            raise misfit(f"the value of a {cls.__name__}", value) from error

    # Flags can be combined to values that no member has.
    kinds: set[Any] = {int} if issubclass(cls, Flag) else stored
    return Conversion(cls.__name__, dump, load, (cls,), kinds, hashable=hashable)


def literal(options: Sequence[Any]) -> Conversion:
    """These values and no others, told apart by their types too: 1 is not True."""
    name = f"Literal[{', '.join(map(repr, options))}]"
    pairs = [(option, _stored_option(option)) for option in options]
    dumps = {(type(option), option): stored for option, stored in pairs}
    loads = {(type(stored), stored): option for option, stored in pairs}

    def chosen(value: Any, choices: Mapping[Any, Any]) -> Any:
        try:
            return choices[type(value), value]
        except (KeyError, TypeError):  # a TypeError: it cannot be hashed
            raise misfit(name, value) from None

    return Conversion(
        name,
        lambda value: chosen(value, dumps),
        lambda stored: chosen(stored, loads),
        tuple({type(option) for option in options}),
        loads.keys(),
        native=not any(isinstance(option, Enum) for option in options),
        hashable=True,
    )


def _stored_option(option: Any) -> Any:
    if not isinstance(option, Enum):
        return option
    members = enumeration(type(option))
    if not members.hashable:
        raise CollectionError(f"Literal[{option!s}] cannot be stored: its value has no hash")
    return members.dump(option)


def union(members: Sequence[Conversion]) -> Conversion:
    """One of several. CollectionError where the stored value would not tell which of them."""
    for number, one in enumerate(members):
        for other in members[:number]:
            if _clash(one, other) and not (one.native and other.native):
                raise CollectionError(
                    f"{other.name} | {one.name} cannot be stored: what is written would not tell "
                    "whether it was the one or the other"
                )
    if any(member is ANYTHING for member in members):
        return ANYTHING
    some = [member for member in members if member is not NONE]
    choice = some[0] if len(some) == 1 else _either(some)
    return choice if len(some) == len(members) else _optional(choice)


def _clash(one: Conversion, other: Conversion) -> bool:
    def covers(one: Conversion, other: Conversion) -> bool:
        return any(
            shape in one.stored or (isinstance(shape, tuple) and shape[0] in one.stored)
            for shape in other.stored
        )

    return object in {*one.stored, *other.stored} or covers(one, other) or covers(other, one)


def _optional(inner: Conversion) -> Conversion:
    dump, load = inner.dump, inner.load
    return Conversion(
        f"{inner.name} | None",
        lambda value: None if value is None else dump(value),
        lambda stored: None if stored is None else load(stored),
        (*inner.values, NoneType),
        {*inner.stored, NoneType},
        inner.exact,
        native=inner.native,
        hashable=inner.hashable,
    )


def _either(members: Sequence[Conversion]) -> Conversion:
    name = " | ".join(member.name for member in members)
    # First of all: a bool is an int, too, and a datetime a date.
    exact = {member.exact for member in members if member.exact}

    def converter(choices: Sequence[tuple[tuple[type, ...], Convert]]) -> Convert:
        def convert(value: Any) -> Any:
            if type(value) in exact:
                return value
            fitting = [convert for kinds, convert in choices if isinstance(value, kinds)]
            if len(fitting) == 1:
                return fitting[0](value)
            for convert in fitting:
                try:
                    return convert(value)
                except MisfitError:
                    continue
            raise misfit(name, value)

        return convert

    return Conversion(
        name,
        converter([(member.values, member.dump) for member in members]),
        converter([(_types(member.stored), member.load) for member in members]),
        tuple({kind for member in members for kind in member.values}),
        {shape for member in members for shape in member.stored},
        native=all(member.native for member in members),
        hashable=all(member.hashable for member in members),
    )


def _types(stored: Iterable[Any]) -> tuple[type, ...]:
    return tuple({shape[0] if isinstance(shape, tuple) else shape for shape in stored})


def tagged(classes: Mapping[str, Conversion]) -> Conversion:
    """An instance of one of several attrs classes: its dict says by a tag of which."""
    name = " | ".join(classes)
    by_class = {kind: (tag, found) for tag, found in classes.items() for kind in found.values}

    def dump(record: Any) -> Any:
        if type(record) not in by_class:
            raise misfit(name, record)
        tag, found = by_class[type(record)]
        return {TAG: tag, **found.dump(record)}

    def load(stored: Any) -> Any:
        tag = stored.get(TAG) if isinstance(stored, dict) else None
        if not isinstance(tag, str) or tag not in classes:
            raise misfit(f"a dict whose {TAG!r} is {' or '.join(map(repr, classes))}", stored)
        fields = {key: value for key, value in stored.items() if key != TAG}
        return classes[tag].load(fields)

    return Conversion(name, dump, load, tuple(by_class), {dict})
