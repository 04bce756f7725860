"""The types for which JSON, CBOR or MessagePack has no form, and how each type is written.

Each type has a `Tag`. Its `pack` makes a plainer value, which may need packing again, and `unpack`
undoes it. A serializer writes the plainer value beside the tag's name or code, in a notation of its
own. It uses no tag for a type that its standard has a form for.

    JSON          {"$tuple": [1, 2]}      a dict of one key that starts with a dollar sign
    CBOR          27(["tuple", [1, 2]])   the registered tag for an object of a named type
    MessagePack   [ext(1), 1, 2]          a list headed by an empty extension, or one extension

A type that is registered (`stones.formats.registered_types`) has one tag with all others of its
kind, `REGISTERED`. The plainer value is the name of the type and a packed value:

    JSON          {"$type": ["money", [5, "EUR"]]}
    CBOR          27(["type", "money", [5, "EUR"]])
    MessagePack   [ext(15), "money", [5, "EUR"]]

Names and codes are in users' files: add new ones, but never change one.
"""

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from attrs import frozen

from stones.errors import SerializerError

from .registered_types import UnknownValue, error_text, registered_type, unpack_value

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

MAX_DEPTH = 400
"""How many levels of arrays, maps and tags may lie inside each other in JSON and CBOR.

A written value must be readable everywhere. So the limit is a fixed number, and not the free part
of the stack. CBOR decoders stop at 400 levels by default. Python's json stops at its recursion
limit of 1000, less the frames of its caller. Somewhere above 400 levels cbor2's encoder overruns
the stack of a thread (512 KiB on macOS).
"""


@frozen
class Tag:
    """How a value of exactly this type, not of a subclass, becomes a plainer value, and back."""

    type: type
    name: str
    code: int
    """The extension type in MessagePack."""
    pack: Callable[[Any], Any]
    unpack: Callable[[Any], Any]


def refusal(value: Any) -> SerializerError:
    """The error for a value whose type has no tag: the reason, and what to do."""
    for base in type(value).__mro__[1:-1]:
        if base in _HELD:
            return SerializerError(f"it would come back as a plain {base.__name__}; {_ADVICE}")
        if registered_type(base) is not None:
            return SerializerError(
                f"it would come back as a plain {base.__name__}; register the subclass as well"
            )
    return SerializerError(_ADVICE)


def pack_registered(value: Any) -> list[Any]:
    """The name of the type of a value, and the packed value.

    Raises SerializerError if the type is not registered, or its function fails.
    """
    registered = registered_type(type(value))
    if registered is None:
        raise refusal(value)
    try:
        return [registered.name, registered.pack(value)]
    except (MemoryError, RecursionError, SerializerError):
        raise
    except Exception as error:  # a user's function may raise anything
        raise SerializerError(
            f"pack of the type {registered.name!r} failed: {error_text(error)}"
        ) from error


_ADVICE = "convert it first, call register_type() for its class, or use pickle"


# A datetime or time is text as in RFC 3339, without the offset if it has none. RFC 9557's suffix
# names its zone: 2024-05-06T07:08:09+02:00[Europe/Paris]. Python holds the wall clock and the zone.
# If they contradict the offset, because the rules of the zone have changed, they win. Suffixes that
# start with "_" are for private use: they hold fold, and offsets of a fraction of a second.
_FOLD = "_fold=1"
_OFFSET = "_offset="  # in microseconds


def _pack_moment(moment: datetime | time) -> str | list[str]:
    zone = moment.tzinfo
    fold = f"[{_FOLD}]" if moment.fold else ""
    if zone is None:
        return moment.isoformat() + fold
    if type(zone) is timezone:
        offset = zone.utcoffset(None)
        if offset.microseconds:
            # fromisoformat() would read +00:00:00.000001, as isoformat() writes it, as UTC.
            text = moment.replace(tzinfo=None).isoformat() + f"[{_OFFSET}{offset // _MICROSECOND}]"
        else:
            text = moment.isoformat()
        name = zone.tzname(None)
        # astimezone() gives the offset the name of the local zone ("CET"); timezone() does not.
        named = name != timezone(offset).tzname(None)
        return [text + fold, name] if named else text + fold
    from zoneinfo import ZoneInfo  # it takes 2 ms to load, and most stores have no zones

    if type(zone) is ZoneInfo:
        return f"{moment.isoformat()}[{_loadable_key(zone)}]{fold}"
    raise SerializerError(
        f"its time zone is a {type(zone).__module__}.{type(zone).__qualname__}, which only pickle "
        "can hold: use datetime.timezone or zoneinfo.ZoneInfo, or pickle"
    )


def _loadable_key(zone: "ZoneInfo") -> str:
    try:
        return type(zone)(zone.key).key
    except (TypeError, ValueError, OSError, KeyError) as error:
        raise SerializerError(
            f"its time zone {zone.key!r} cannot be loaded by that name: {error}"
        ) from error


def _unpack_moment(kind: type[datetime] | type[time]) -> Callable[[Any], datetime | time]:
    def unpack(packed: str | Iterable[str]) -> datetime | time:
        text, name = (packed, None) if isinstance(packed, str) else packed
        text, *suffixes = _SUFFIX.split(text)
        moment = kind.fromisoformat(text)
        for suffix in filter(None, suffixes):
            if suffix == _FOLD:
                moment = moment.replace(fold=1)
            elif suffix.startswith(_OFFSET):
                offset = int(suffix.removeprefix(_OFFSET)) * _MICROSECOND
                moment = moment.replace(tzinfo=timezone(offset))
            else:
                from zoneinfo import ZoneInfo

                # It refuses keys that lead out of the zone database.
                moment = moment.replace(tzinfo=ZoneInfo(suffix))
        if name is not None:
            offset = moment.utcoffset() or timedelta(0)
            moment = moment.replace(tzinfo=timezone(offset, name))
        return moment

    return unpack


# "[" is not allowed inside: else a text of many "[" would be searched from each one to its end.
_SUFFIX = re.compile(r"\[([^][]*)\]")
_MICROSECOND = timedelta(microseconds=1)


TAGS = [
    Tag(tuple, "tuple", 1, list, tuple),
    Tag(set, "set", 2, list, set),
    Tag(frozenset, "frozenset", 3, list, frozenset),
    # Hexadecimal: Python limits the length of decimal integers, because they take long to convert.
    Tag(int, "int", 4, hex, lambda text: int(text, 16)),
    Tag(datetime, "datetime", 5, _pack_moment, _unpack_moment(datetime)),
    Tag(date, "date", 6, date.isoformat, date.fromisoformat),
    Tag(time, "time", 7, _pack_moment, _unpack_moment(time)),
    Tag(
        timedelta,
        "timedelta",
        8,
        lambda delta: [delta.days, delta.seconds, delta.microseconds],
        lambda parts: timedelta(*parts),
    ),
    Tag(Decimal, "Decimal", 9, str, Decimal),
    Tag(UUID, "UUID", 10, str, UUID),
    # MessagePack never needs these tags. JSON or CBOR lacks the types, or some values of them.
    Tag(float, "float", 11, repr, float),
    Tag(
        bytes,
        "bytes",
        12,
        lambda raw: base64.b64encode(raw).decode("ascii"),
        lambda text: base64.b64decode(text, validate=True),
    ),
    Tag(
        str,
        "str",
        13,
        lambda text: text.encode("utf-8", "surrogatepass"),
        lambda raw: raw.decode("utf-8", "surrogatepass"),
    ),
    Tag(dict, "dict", 14, lambda mapping: [list(pair) for pair in mapping.items()], dict),
    # A value whose type is not registered here is written as it was read.
    Tag(UnknownValue, "type", 15, lambda value: [value.name, value.packed], unpack_value),
    # Only for a list inside a registered value that CBOR has in a set, or as a key of a dict.
    Tag(list, "list", 16, list, list),
]

REGISTERED = Tag(object, "type", 15, pack_registered, unpack_value)
"""The tag of each type that is not in `BY_TYPE`. Its `pack` refuses a type that is not registered.
"""

BY_TYPE: Mapping[type, Tag] = {tag.type: tag for tag in TAGS}
BY_NAME: Mapping[str, Tag] = {tag.name: tag for tag in TAGS}
BY_CODE: Mapping[int, Tag] = {tag.code: tag for tag in TAGS}
_HELD = frozenset({*BY_TYPE} - {UnknownValue})
