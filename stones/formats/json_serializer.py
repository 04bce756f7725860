"""Values as JSON (RFC 8259): compact, in UTF-8, and plain JSON for the types that JSON has.

A value of another type is written as a dict of one key: a dollar sign and the name of the type
(`stones.formats.tags`), as in `{"$tuple": [1, 2]}`. A dict that looks like that, or has keys that
are not str, is written as `{"$dict": [[key, value], ...]}`. nan and the infinities are no JSON, so
they have a tag too.
"""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

import msgspec

from .json_tags import untag
from .plain_values import PLAIN, plain_first
from .tags import BY_TYPE, MAX_DEPTH, REGISTERED

# Python refuses to read decimal integers of more than 4300 digits. A program can lower this limit,
# to 640 digits at the least. 2048 bits are 617 digits.
_SMALLEST, _LARGEST = -(1 << 2048), 1 << 2048

_AS_IS: frozenset[type] = frozenset({str, bool, type(None), float})
_ATOMS: frozenset[type] = _AS_IS | {int}
_KINDS: frozenset[type] = _ATOMS | {list, dict}
_SURELY_AS_IS: frozenset[type] = frozenset({bool, type(None)})

# Two lone surrogates in a row, written as JSON's escapes, would come back as one character.
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")

_dumps: Callable[[Any], str] = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":")
).encode


def encode(value: Any) -> bytes:
    """The JSON text in UTF-8. Raises SerializerError, without a path, and RecursionError."""
    try:
        plain = value if _is_plain(value, MAX_DEPTH) else _tagged(value, MAX_DEPTH, _AS_IS)
        return _dumps(plain).encode("utf-8")
    except ValueError:
        # The value contains a nan, an infinity or a lone surrogate. They are so rare that only such
        # a value pays for a look at each str and float. Surrogates become escapes here.
        plain = _tagged(value, MAX_DEPTH, _SURELY_AS_IS)
        return _dumps(plain).encode("utf-8", "backslashreplace")


def encode_quickly(value: Any) -> bytes:
    """As `encode`, in less time. The same value may have another spelling: 1e22 or 1e+22.

    So it is not for stored values, which are compared byte by byte.
    """
    kind = type(value)
    if kind is str or _is_plain(value, MAX_DEPTH):
        try:
            text = _encode_plain(value)
        except (msgspec.MsgspecError, OverflowError, UnicodeError, ValueError, RecursionError):
            return encode(value)  # a large int, or a lone surrogate
        if b"null" not in text or is_finite(value):
            return text
    return encode(value)


def encode_lines(values: Iterable[Any]) -> bytes:
    """The JSON of values, each with the end of a line. Faster than one by one.

    Each value is `known_json`, or one that `is_plain` and `is_finite`. The caller has to know that.
    Raises anything for a large int or a lone surrogate.
    """
    return _encode_lines(values)


def known_json(text: bytes) -> Any:
    """What `encode_lines` takes for JSON that is encoded already."""
    return msgspec.Raw(text)


def is_plain(value: Any) -> bool:
    """Whether a value is a dict or list that JSON has a form for, unless it is not finite."""
    return _is_plain(value, MAX_DEPTH)


def are_plain(values: Sequence[Any], room: int = MAX_DEPTH) -> bool:
    """Whether JSON has a form for all values, as `is_plain`; for a dict of one key `$...` too.

    The types of many values are looked at by one call. That takes half the time of `is_plain`.
    `room` is how many levels the values may have.
    """
    kinds = {*map(type, values)}
    if kinds <= _ATOMS:
        return True
    if room == 0 or not kinds <= _KINDS:
        return False
    if dict in kinds:
        dicts = values if len(kinds) == 1 else [each for each in values if type(each) is dict]
        if {*map(type, chain.from_iterable(dicts))} - {str}:
            return False
        inside: Iterable[Sequence[Any]]
        if len(dicts) > 8 and len({*map(len, dicts)}) == 1:
            inside = zip(*map(dict.values, dicts), strict=True)  # the values of a field
        else:
            inside = ([*chain.from_iterable(map(dict.values, dicts))],)
        for some in inside:
            if not are_plain(some, room - 1):
                return False
    if list in kinds:
        lists = values if len(kinds) == 1 else [each for each in values if type(each) is list]
        return are_plain([*chain.from_iterable(lists)], room - 1)
    return True


def is_finite(value: Any) -> bool:
    """Whether no float in a plain value is a nan or an infinity."""
    kind = type(value)
    if kind is float:
        return bool(value - value == 0)
    if kind is dict:
        value = value.values()
    elif kind is not list:
        return True
    for item in value:
        kind = type(item)
        if kind in (float, dict, list) and not is_finite(item):
            return False
    return True


def decode(raw: bytes) -> Any:
    """The value. Raises ValueError and other errors on bytes that `encode` did not make."""
    return _loads_tagged(str(raw, "utf-8")) if b'"$' in raw else _decode_untagged(raw)


def tagged_decoder(parse_float: Callable[[str], Any]) -> Callable[[str], Any]:
    """The function that reads a text with tags, and each number with a fraction by `parse_float`.

    It raises as `decode` does.
    """
    return json.JSONDecoder(object_hook=_untag, parse_float=parse_float).decode


def decode_plain(raw: bytes) -> Any:
    """The value if it is plain. Raises ValueError and msgspec's errors for all other bytes."""
    if b'"$' in raw:
        raise ValueError("a key or text in it begins with a dollar sign: it may be a tag")
    return _decode_plain(raw)


def _is_plain(value: Any, room: int) -> bool:
    """Whether a dict or list can be written as it is. This takes half the time of a copy.

    `room` is how many levels the value may have.
    """
    if room == 0:
        return False
    kind = type(value)
    if kind is dict:
        for key in value:
            if type(key) is not str:
                return False
        if len(value) == 1 and next(iter(value)).startswith("$"):
            return False
        value = value.values()
    elif kind is not list:
        return False
    for item in value:
        kind = type(item)
        if kind in _AS_IS or (kind is int and _SMALLEST < item < _LARGEST):
            continue
        if not _is_plain(item, room - 1):
            return False
    return True


def _tagged(value: Any, room: int, as_is: frozenset[type]) -> Any:
    """A copy in which each part that JSON has no form for has a tag.

    `room` is how many levels the copy may have. The code loops, because in Python 3.11 a
    comprehension takes a second frame for each level.
    """
    kind = type(value)
    if kind in as_is or (kind is int and _SMALLEST < value < _LARGEST):
        return value
    if kind is float and value - value == 0:  # finite
        return value
    if kind is str and not _PAIR.search(value):
        return value
    if room == 0:
        raise RecursionError
    if kind is list or (kind is dict and not _needs_pairs(value)):
        plain = value.copy()
        for key, item in enumerate(value) if kind is list else value.items():
            plain[key] = _tagged(item, room - 1, as_is)
        return plain
    tag = BY_TYPE.get(kind, REGISTERED)
    return {f"${tag.name}": _tagged(tag.pack(value), room - 1, as_is)}


def _needs_pairs(mapping: dict[Any, Any]) -> bool:
    if any(type(key) is not str or _PAIR.search(key) for key in mapping):
        return True
    return len(mapping) == 1 and next(iter(mapping)).startswith("$")


def _untag(mapping: dict[str, Any]) -> Any:
    if len(mapping) != 1:
        return mapping
    (key,) = mapping
    if not key.startswith("$"):
        return mapping
    return untag(key, mapping[key])


_encode_plain: Callable[[Any], bytes] = msgspec.json.encode
_encode_lines: Callable[[Iterable[Any]], bytes] = msgspec.json.Encoder().encode_lines
_loads: Callable[[str], Any] = json.JSONDecoder().decode
_loads_tagged: Callable[[str], Any] = json.JSONDecoder(object_hook=_untag).decode
_decode_plain: Callable[[bytes], Any] = msgspec.json.Decoder(PLAIN).decode
_decode_untagged = plain_first(_decode_plain, lambda raw: _loads(str(raw, "utf-8")))
