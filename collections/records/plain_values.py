"""Conversions of plain values and containers: a `list[City]` to a list of dicts, and back.

`converters` builds these conversions for annotations. `unions` has the conversions of enums,
literals and unions. `classes` has the conversion of an attrs class.

Both functions check each value, so that nothing is written that could not be read, or that would
come back as another value. The stored value is plain: its type is exactly one of the types that
every serializer can write, or a registered type (`stones.formats.registered_types`).
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from types import NoneType
from typing import Any
from uuid import UUID

from stones.formats.messages import show, show_value
from stones.formats.registered_types import UnknownValue, registered_type, unknown_type_text

from .conversion import Conversion, Convert, Copied, MisfitError, misfit_error
from .parts import elements_part, items_part, unordered_part, values_part


def _equals(plain: object, value: object) -> bool:
    try:
        return bool(plain == value)
    except Exception:  # noqa: BLE001  # an __eq__ may raise anything
        return False


def _another_value(name: str, value: object) -> MisfitError:
    """The error for an instance of a subclass that does not equal its plain value."""
    kind = type(value).__name__
    error = misfit_error(name, value)
    error.reason += f": a {kind} would come back as a value that does not equal it"
    return error


# -- plain values ------------------------------------------------------------------------------

# The plain value of an instance of a subclass, such as an IntEnum or a float of numpy.
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
                result = plain(value)
            except ValueError as error:  # the NaT of pandas is a datetime without a date
                raise misfit_error(name, value) from error
            # Nothing may be lost: not the time of a datetime that is given for a date, nor the
            # nanoseconds of a Timestamp of pandas. NaN is the one value that never equals itself.
            if result == value or result != result:
                return result
        raise misfit_error(name, value)

    return Conversion(name, convert, convert, (kind,), {kind}, (kind,), native=True, hashable=True)


def _float() -> Conversion:
    """An int fits float, as for type checkers, and is stored as an int."""
    floats, ints = _atom(float), _atom(int)

    def convert(value: Any) -> Any:
        return (ints if isinstance(value, int) else floats).dump(value)

    types = (float, int)
    return Conversion("float", convert, convert, types, {*types}, types, native=True, hashable=True)


NONE = _atom(NoneType)
ATOMS: Mapping[type, Conversion] = {
    **{
        kind: _atom(kind)
        for kind in (bool, int, str, bytes, datetime, date, time, timedelta, Decimal, UUID)
    },
    float: _float(),
    NoneType: NONE,
}


_ANY = "a plain value (None, bool, int, str, list, dict and so on)"


def _anything() -> Conversion:
    """Any plain value, values of registered types, and containers of these.

    An instance of a subclass is refused, since no annotation says that the plain value will do.
    """

    def convert(value: Any) -> Any:
        kind = type(value)
        if kind in by_type:
            return by_type[kind](value)
        if registered_type(kind) is not None:
            return value
        raise _no_plain_value(value)

    anything = Conversion(
        "Any", convert, convert, (object,), {object}, tuple(ATOMS), native=True, hashable=True
    )
    by_type: dict[type, Convert] = dict.fromkeys(ATOMS, _as_it_is)
    for kind in (list, tuple, set, frozenset):
        by_type[kind] = container(kind.__name__, (kind,), anything).dump
    by_type[dict] = mapping("dict", anything, anything).dump
    return anything


def _as_it_is(value: Any) -> Any:
    return value


def _no_plain_value(value: Any) -> MisfitError:
    if type(value) is UnknownValue:
        return MisfitError(unknown_type_text(value.name))
    error = misfit_error(_ANY, value)
    kind = type(value)
    base = next((base for base in kind.__mro__ if base in _PLAIN_TYPES), None)
    if base is not None:
        error.reason += (
            f": it would come back as a plain {base.__name__}; convert it first, name its type in "
            f"the annotation, or call register_type() for {kind.__name__}"
        )
    else:
        error.reason += f"; call register_type() to store {kind.__name__}"
    return error


def _enum_value() -> Conversion:
    """The value of an enum member. The member comes back, so a subclass may become plain."""

    def convert(value: Any) -> Any:
        kind = next((kind for kind in type(value).__mro__ if kind in by_type), None)
        return ANYTHING.dump(value) if kind is None else by_type[kind](value)

    plain = Conversion("a plain value", convert, convert, (object,), {object}, hashable=True)
    by_type: dict[type, Convert] = {kind: atom.dump for kind, atom in ATOMS.items()}
    for kind in (list, tuple, set, frozenset):
        by_type[kind] = container(kind.__name__, (kind,), plain).dump
    by_type[dict] = mapping("dict", plain, plain).dump
    return plain


# -- containers --------------------------------------------------------------------------------


def container(name: str, kinds: Sequence[type[Any]], item: Conversion) -> Conversion:
    """A container with any number of items. The value is an instance of one of `kinds`.

    A set is stored as a list if its stored items cannot be in a set. Records, for example, are
    stored as dicts.
    """
    accepted = tuple(kind for kind in kinds if item.hashable or kind in (list, tuple))
    if not accepted:
        return _stored_as_list(name, kinds, list, container(name, (list,), item))

    def kind_of(values: Any) -> type[Any]:
        for kind in accepted:
            if isinstance(values, kind):
                if item is ANYTHING:
                    raise _no_plain_value(values)
                if not _equals(kind(values), values):
                    raise _another_value(name, values)
                return kind
        raise misfit_error(name, values)

    def for_items(exact_type: type | None, convert: Convert) -> Convert:
        def convert_all(values: Any) -> Any:
            kind = type(values)
            if kind not in accepted:
                kind = kind_of(values)
            items: list[Any] = []
            add = items.append
            try:
                for value in values:
                    add(value if type(value) is exact_type else convert(value))
            except MisfitError as error:
                error.within("" if issubclass(kind, set | frozenset) else f"[{len(items)}]")
                raise
            if kind is list:
                return items
            converted = kind(items)
            if len(converted) != len(items):
                raise MisfitError(
                    f"two elements of it would be stored as one: {show_value(values)}"
                )
            return converted

        return convert_all

    return Conversion(
        name,
        for_items(item.exact_type, item.dump),
        for_items(item.exact_type, item.load),
        accepted,
        accepted,
        native=item.native,
        hashable=item.hashable and not {list, set} & set(accepted),
        items=(item,),
        part=items_part(item.part),
        copied=Copied(accepted[0], item.exact_types) if item.exact_types else None,
    )


def fixed_tuple(items: Sequence[Conversion]) -> Conversion:
    """A tuple with a type for each of its elements."""
    name = f"tuple[{', '.join(item.name for item in items) or '()'}]"
    dumps = [(item.exact_type, item.dump) for item in items]
    loads = [(item.exact_type, item.load) for item in items]

    def convert(values: Any, converts: list[tuple[type | None, Convert]]) -> tuple[Any, ...]:
        if not isinstance(values, tuple) or len(values) != len(converts):
            raise misfit_error(name, values)
        if type(values) is not tuple and not _equals(tuple(values), values):
            raise _another_value(name, values)
        converted: list[Any] = []
        try:
            for value, (exact_type, convert_item) in zip(values, converts, strict=True):
                converted.append(value if type(value) is exact_type else convert_item(value))
        except MisfitError as error:
            error.within(f"[{len(converted)}]")
            raise
        return tuple(converted)

    return Conversion(
        name,
        lambda values: convert(values, dumps),
        lambda stored: convert(stored, loads),
        (tuple,),
        {tuple},
        native=all(item.native for item in items),
        hashable=all(item.hashable for item in items),
        items=items,
        part=elements_part([item.part for item in items]),
    )


def mapping(name: str, key: Conversion, item: Conversion) -> Conversion:
    """A dict. It is stored as a list of pairs if its stored keys cannot be keys of a dict."""
    if not key.hashable:
        pairs = container(name, (list,), fixed_tuple([key, item]))
        return _stored_as_list(name, (dict,), _pairs, pairs)

    def check(values: Any) -> None:
        if not isinstance(values, dict):
            raise misfit_error(name, values)
        if key is ANYTHING and item is ANYTHING:
            raise _no_plain_value(values)
        if not _equals(dict(values), values):
            raise _another_value(name, values)

    def for_items(convert_key: Convert, exact_type: type | None, convert: Convert) -> Convert:
        def convert_all(values: Any) -> Any:
            if type(values) is not dict:
                check(values)
            converted: dict[Any, Any] = {}
            for item_key, value in values.items():
                try:
                    converted_key = convert_key(item_key)
                except MisfitError as error:
                    raise MisfitError(f"a key of the dict: {error}") from error.__cause__
                try:
                    converted[converted_key] = (
                        value if type(value) is exact_type else convert(value)
                    )
                except MisfitError as error:
                    error.within(f"[{show(item_key)}]")
                    raise
            if len(converted) != len(values):
                raise MisfitError(f"two keys of it would be stored as one: {show_value(values)}")
            return converted

        return convert_all

    is_plain = item.exact_types and key.exact_types
    return Conversion(
        name,
        for_items(key.dump, item.exact_type, item.dump),
        for_items(key.load, item.exact_type, item.load),
        (dict,),
        {dict},
        native=key.native and item.native,
        items=(item,),
        key=key,
        part=values_part(item.part),
        copied=Copied(dict, item.exact_types, key.exact_types) if is_plain else None,
    )


def _stored_as_list(
    name: str, kinds: Sequence[type], to_list: Callable[[Any], list[Any]], items: Conversion
) -> Conversion:
    """A set or a dict that is stored as a list, because its stored items or keys have no hash."""
    accepted = tuple(kinds)

    def dump(values: Any) -> Any:
        if not isinstance(values, accepted):
            raise misfit_error(name, values)
        if type(values) not in accepted and not _equals(accepted[0](values), values):
            raise _another_value(name, values)
        listed = to_list(values)
        stored = items.dump(listed)
        if len(load(stored)) != len(listed):
            raise MisfitError(f"two elements of it would come back as one: {show_value(values)}")
        return stored

    def load(stored: Any) -> Any:
        loaded = items.load(stored)
        try:
            return accepted[0](loaded)
        except TypeError as error:  # the class of the items has changed, and has no hash now
            raise MisfitError(f"cannot be a {name} any more: {error}") from error

    return Conversion(
        name,
        dump,
        load,
        accepted,
        {list},
        items=items.items,
        has_forms=True,
        part=unordered_part(items.part),
    )


def _pairs(values: Mapping[Any, Any]) -> list[Any]:
    return list(values.items())


_PLAIN_TYPES = frozenset({*ATOMS, list, tuple, set, frozenset, dict})
ANYTHING = _anything()
ENUM_VALUE = _enum_value()
