"""Values to what is stored of them, and back: a `list[City]` to a list of dicts.

A conversion is a pair of functions, put together once from those of its parts; which parts, that is
known to `stones.collections.records.converters`. Here are plain values and containers, `choices.py`
has what is one of several things. Both ways check as they go, so that nothing is written that could
not be read. What is stored is plain: of the types that every serializer holds, and of these
exactly.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from types import NoneType
from typing import Any
from uuid import UUID

from attrs import frozen

from .messages import show_value

Convert = Callable[[Any], Any]


class MisfitError(Exception):
    """A value that does not fit, and the path to it; a RecordError for the user."""

    def __init__(self, reason: str, path: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.path = path

    def within(self, step: str) -> "MisfitError":
        """The same, seen from one level above: `.city`, `[2]`, `['a']`."""
        self.path = step + self.path
        return self

    def __str__(self) -> str:
        return f"{self.path.removeprefix('.')}: {self.reason}" if self.path else self.reason


@frozen(eq=False)
class Conversion:
    """How the values that fit one annotation are stored. Both functions raise MisfitError."""

    name: str
    """The annotation."""
    dump: Convert
    load: Convert
    values: tuple[type, ...]
    """What the values are instances of."""
    stored: Collection[Any]
    """What they are stored as: types, and (type, value) pairs where only some values are; `object`
    is all of them."""
    exact: type | None = None
    """A value of exactly this type is stored as it is, without a call of `dump` or `load`."""
    native: bool = False
    """Is every value stored as it is?"""
    hashable: bool = False
    """Can what is stored be in a set?"""


def misfit(expected: str, value: object) -> MisfitError:
    """The error for a value of another type than the one expected."""
    return MisfitError(f"expected {expected}, got {show_value(value)}")


# -- plain values ------------------------------------------------------------------------------

# From an instance of a derived class (an IntEnum, a float of numpy) the plain value it stands for.
_PLAIN: Mapping[type, Convert] = {
    int: int.__int__,
    float: float.__float__,
    str: str.__str__,
    bytes: lambda value: bytes(memoryview(value)),
    date: lambda value: date(value.year, value.month, value.day),
    datetime: lambda value: datetime.combine(value.date(), value.timetz()),
}


def _atom(kind: type) -> Conversion:
    name = "None" if kind is NoneType else kind.__name__
    plain = _PLAIN.get(kind)

    def convert(value: Any) -> Any:
        if type(value) is kind:
            return value
        if plain is not None and isinstance(value, kind):
            try:
                made = plain(value)
            except ValueError as error:  # the NaT of pandas is a datetime, but has no date
                raise misfit(name, value) from error
            # A datetime is not the date it falls on, nor are the nanoseconds of pandas kept.
            if made == value or made != made:
                return made
        raise misfit(name, value)

    return Conversion(name, convert, convert, (kind,), {kind}, kind, native=True, hashable=True)


def _float() -> Conversion:
    """A float may be an int, as for type checkers; it stays one."""
    floats, ints = _atom(float), _atom(int)

    def convert(value: Any) -> Any:
        return (ints if isinstance(value, int) else floats).dump(value)

    return Conversion(
        "float", convert, convert, (float, int), {float, int}, float, native=True, hashable=True
    )


NONE = _atom(NoneType)
ATOMS: Mapping[type, Conversion] = {
    **{
        kind: _atom(kind)
        for kind in (bool, int, str, bytes, datetime, date, time, timedelta, Decimal, UUID)
    },
    float: _float(),
    NoneType: NONE,
}


def _anything() -> Conversion:
    """Any plain value, whatever is in it."""

    def convert(value: Any) -> Any:
        kind = next((kind for kind in type(value).__mro__ if kind in by_type), None)
        if kind is None:
            raise misfit("a plain value (None, bool, int, str, list, dict and so on)", value)
        return by_type[kind](value)

    result = Conversion(
        "Any", convert, convert, (object,), {object}, None, native=True, hashable=True
    )
    by_type: dict[type, Convert] = {kind: atom.dump for kind, atom in ATOMS.items()}
    for kind in (list, tuple, set, frozenset):
        by_type[kind] = many(kind.__name__, (kind,), result).dump
    by_type[dict] = mapping("dict", result, result).dump
    return result


# -- containers --------------------------------------------------------------------------------


def many(name: str, kinds: Sequence[type[Any]], item: Conversion) -> Conversion:
    """Any number of items of one type, in a container of one of these `kinds`.

    A set of what cannot be in a set once it is stored, of dicts, is stored as a list.
    """
    accepted = tuple(kind for kind in kinds if item.hashable or kind in (list, tuple))
    if not accepted:
        return _listed(name, kinds, list, many(name, (list,), item))

    def kind_of(values: Any) -> type[Any]:
        for kind in accepted:
            if isinstance(values, kind):
                return kind
        raise misfit(name, values)

    def converter(exact: type | None, convert: Convert) -> Convert:
        def convert_all(values: Any) -> Any:
            kind = type(values)
            if kind not in accepted:
                kind = kind_of(values)
            items: list[Any] = []
            add = items.append
            try:
                for value in values:
                    add(value if type(value) is exact else convert(value))
            except MisfitError as error:
                error.within("" if issubclass(kind, set | frozenset) else f"[{len(items)}]")
                raise
            return items if kind is list else kind(items)

        return convert_all

    return Conversion(
        name,
        converter(item.exact, item.dump),
        converter(item.exact, item.load),
        accepted,
        accepted,
        native=item.native,
        hashable=item.hashable and not {list, set} & set(accepted),
    )


def fixed(items: Sequence[Conversion]) -> Conversion:
    """A tuple with a type for each of its places."""
    name = f"tuple[{', '.join(item.name for item in items) or '()'}]"
    dumps = [item.dump for item in items]
    loads = [item.load for item in items]

    def convert(values: Any, converts: list[Convert]) -> tuple[Any, ...]:
        if not isinstance(values, tuple) or len(values) != len(converts):
            raise misfit(name, values)
        done: list[Any] = []
        try:
            for value, convert_item in zip(values, converts, strict=True):
                done.append(convert_item(value))
        except MisfitError as error:
            error.within(f"[{len(done)}]")
            raise
        return tuple(done)

    return Conversion(
        name,
        lambda values: convert(values, dumps),
        lambda stored: convert(stored, loads),
        (tuple,),
        {tuple},
        native=all(item.native for item in items),
        hashable=all(item.hashable for item in items),
    )


def mapping(name: str, key: Conversion, item: Conversion) -> Conversion:
    """A dict; a list of pairs is stored where the keys are stored as what cannot be a key."""
    if not key.hashable:
        return _listed(name, (dict,), _pairs, many(name, (list,), fixed([key, item])))

    def converter(convert_key: Convert, exact: type | None, convert: Convert) -> Convert:
        def convert_all(values: Any) -> Any:
            if not isinstance(values, dict):
                raise misfit(name, values)
            done = {}
            for named, value in values.items():
                try:
                    converted = convert_key(named)
                except MisfitError as error:
                    raise MisfitError(f"a key of the dict: {error}") from error.__cause__
                try:
                    done[converted] = value if type(value) is exact else convert(value)
                except MisfitError as error:
                    error.within(f"[{named!r:.60}]")
                    raise
            return done

        return convert_all

    return Conversion(
        name,
        converter(key.dump, item.exact, item.dump),
        converter(key.load, item.exact, item.load),
        (dict,),
        {dict},
        native=key.native and item.native,
    )


def _listed(
    name: str, kinds: Sequence[type], listed: Callable[[Any], list[Any]], items: Conversion
) -> Conversion:
    """A container that is stored as a list, because its items are not hashable when stored."""
    accepted = tuple(kinds)

    def dump(values: Any) -> Any:
        if not isinstance(values, accepted):
            raise misfit(name, values)
        return items.dump(listed(values))

    def load(stored: Any) -> Any:
        loaded = items.load(stored)
        try:
            return accepted[0](loaded)
        except TypeError as error:  # a class whose records have lost their hash since
            raise MisfitError(f"cannot be a {name} any more: {error}") from error

    return Conversion(name, dump, load, accepted, {list})


def _pairs(values: Mapping[Any, Any]) -> list[Any]:
    return list(values.items())


ANYTHING = _anything()
