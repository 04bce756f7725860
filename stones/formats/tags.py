"""The types that JSON, CBOR and MessagePack have no form for, and what each of them becomes.

One `Tag` a type: `pack` makes a value plainer (it may need packing again), `unpack` undoes it. The
codecs write the result beside the tag's name, each in its own notation, and leave alone what their
standard has a form for:

    JSON          {"$tuple": [1, 2]}      a dict of one key that starts with a dollar sign
    CBOR          27(["tuple", [1, 2]])   the registered tag for an object of a named type
    MessagePack   [ext(1), 1, 2]          a list headed by an empty extension, or one extension

Names and codes are what files are made of: add to them, never change one.
"""

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from attrs import frozen

from stones.errors import SerializerError

MAX_DEPTH = 400
"""How many levels of arrays, maps and tags may lie inside each other in JSON and CBOR.

What is written must be readable wherever it is read, so the limit is one number rather than what
is left of the stack: CBOR decoders stop at 400 by default, Python's json at its recursion limit of
1000 less the frames of the caller, and cbor2's encoder overruns the stack of a thread (512 KiB on
macOS) somewhere above 400.
"""


@frozen
class Tag:
    """How values of exactly one type become plainer ones, and back."""

    type: type
    name: str
    code: int
    """The extension type in MessagePack."""
    pack: Callable[[Any], Any]
    unpack: Callable[[Any], Any]


def refusal(value: Any) -> SerializerError:
    """Why a value of a type that is not in the table cannot be held, and what to do."""
    for base in type(value).__mro__[1:-1]:
        if base in _HELD:
            return SerializerError(
                f"it would come back as a plain {base.__name__}; convert it first, or use pickle"
            )
    return SerializerError("convert it first, or use pickle")


# A moment is its text as in RFC 3339, less the offset where there is none, and with the suffix of
# RFC 9557 that names the zone: 2024-05-06T07:08:09+02:00[Europe/Paris]. The wall clock and the zone
# are what Python holds, so where they contradict the offset (the rules of the zone have changed
# since) they win. The suffixes that start with "_", which are for private use, hold what else a
# moment can have in Python.
_FOLD = "_fold=1"
_OFFSET = "_offset="  # in microseconds


def _pack_moment(moment: datetime | time) -> str | list[str]:
    zone = moment.tzinfo
    fold = f"[{_FOLD}]" if moment.fold else ""
    if zone is None:
        return moment.isoformat() + fold
    if type(zone) is ZoneInfo:
        return f"{moment.isoformat()}[{_loadable_key(zone)}]{fold}"
    if type(zone) is timezone:
        offset = zone.utcoffset(None)
        if offset.microseconds:
            # isoformat() would write them, and fromisoformat() takes +00:00:00.000001 for UTC.
            text = moment.replace(tzinfo=None).isoformat() + f"[{_OFFSET}{offset // _MICROSECOND}]"
        else:
            text = moment.isoformat()
        name = zone.tzname(None)
        # astimezone() names the offset of the local zone after it ("CET"); timezone() does not.
        named = name != timezone(offset).tzname(None)
        return [text + fold, name] if named else text + fold
    raise SerializerError(
        f"its time zone is a {type(zone).__module__}.{type(zone).__qualname__}, of which only the "
        "class knows what it means: use datetime.timezone or zoneinfo.ZoneInfo, or pickle"
    )


def _loadable_key(zone: ZoneInfo) -> str:
    try:
        return ZoneInfo(zone.key).key
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
                # ZoneInfo refuses keys that lead out of the zone database.
                moment = moment.replace(tzinfo=ZoneInfo(suffix))
        if name is not None:
            offset = moment.utcoffset() or timedelta(0)
            moment = moment.replace(tzinfo=timezone(offset, name))
        return moment

    return unpack


# No "[" inside: a text of nothing else would be gone through from each of them to its end.
_SUFFIX = re.compile(r"\[([^][]*)\]")
_MICROSECOND = timedelta(microseconds=1)


TAGS = [
    Tag(tuple, "tuple", 1, list, tuple),
    Tag(set, "set", 2, list, set),
    Tag(frozenset, "frozenset", 3, list, frozenset),
    # Hexadecimal, since Python limits the length of decimal integers for the time they take.
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
    # What one of the three lacks, or has in part: MessagePack never needs these.
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
]

BY_TYPE: Mapping[type, Tag] = {tag.type: tag for tag in TAGS}
BY_NAME: Mapping[str, Tag] = {tag.name: tag for tag in TAGS}
BY_CODE: Mapping[int, Tag] = {tag.code: tag for tag in TAGS}
_HELD = frozenset({*BY_TYPE, list})
