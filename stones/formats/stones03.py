"""The encodings of stones 0.3, in which its databases are written until they are migrated.

These serializers read a value as 0.3 did, and write bytes that 0.3 can read. They change some
values, as 0.3 did:

    json      str and bytes are the same text in the file. This text comes back as bytes at the top
              of a value, directly in a list, tuple or set at the top, and as a key or value of a
              dict at the top. Further down it comes back as str.
              A tuple, set or frozenset keeps its type at the top only. Below, a tuple comes back
              as a list.
    cbor      A tuple keeps its type at the top and as the key of a dict. Elsewhere it comes back
              as a list. A frozenset comes back as a set there.
    msgpack   tuple, set and frozenset keep their types anywhere. An int has up to 64 bits.
    pickle, noop
              These are the serializers of today.

An instance of a subclass comes back as an instance of its base class, if 0.3 accepted it.

0.3 could not read some bytes of its own: None in json, an empty list in json and msgpack, a tuple
in a set in json, keys other than str and bytes in msgpack. These serializers can. They also write
nearly all of these values, though 0.3 cannot read them.

They refuse values that would come back changed in other ways than above. In json these are Decimal,
keys that are neither str nor bytes, and two keys of the same text. In json and msgpack it is a list
whose first item is the mark that 0.3 puts before the items of a tuple or set.
"""

import json
import re
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from io import BytesIO
from typing import Any
from uuid import UUID

import cbor2
import msgpack
from attrs import frozen

from stones.errors import SerializerError

from .serializers import Serializer, serializer, with_path_in_errors
from .tags import MAX_DEPTH

# The mark before the items of a container for which the format has no form.
_MARKS: dict[bytes, type[Any]] = {b"__(,)__": tuple, b"__{,}__": set, b"__f{}__": frozenset}

# 0.3 chose the number for tuples; it is registered for text in a named language.
_TUPLE_TAG = 38

# The tags with which one part refers to another one. A few bytes with references can make a value
# that is endless for a program that goes through it.
_REFERENCES = (25, 28, 29, 256)


def stones03_serializer(name: str) -> Serializer:
    """The serializer `name` of stones 0.3.

    Its `encode` raises SerializerError for a value that 0.3 could not write, or would have given
    back changed in a way that the module does not list.

    Raises SerializerError for a name that 0.3 did not have.
    """
    if name in ("pickle", "noop"):
        return serializer(name)
    if name not in _ENCODINGS:
        raise SerializerError(
            f"stones 0.3 had no serializer {name!r}, only pickle, {', '.join(_ENCODINGS)} and noop"
        )
    encoding = _ENCODINGS[name]
    encode = with_path_in_errors(f"{name} of stones 0.3", encoding.encode, encoding.encode_part)
    return Serializer(name, encode, encoding.decode)


def _refusal(reason: str) -> SerializerError:
    return SerializerError(f"{reason}; convert it first, or migrate the store")


def _mark(container: Any) -> bytes:
    return next(mark for mark, kind in _MARKS.items() if isinstance(container, kind))


def _unmarked(items: list[Any], element: Callable[[Any], Any] | None = None) -> Any:
    kind = _MARKS.get(items[0]) if items and isinstance(items[0], bytes) else None
    if kind is None:
        return items
    if kind is tuple:
        return tuple(items[1:])
    try:
        return kind(map(element, items[1:]) if element else items[1:])
    except TypeError:
        return items  # a user's list with a mark: the items of a real set can be hashed


# --- json: 0.3 wrote with ujson if it was installed, and always read with json


def _encode_json(value: Any) -> bytes:
    if isinstance(value, set | frozenset):
        if any(isinstance(item, tuple | frozenset) for item in value):
            raise _refusal("0.3 cannot read back a set with a tuple or a frozenset in it")
        if len({_text(item) for item in value}) < len(value):
            raise _refusal("two of its items are the same text")
    elif isinstance(value, list) and value and _text(value[0]) in map(bytes.decode, _MARKS):
        raise _refusal(f"it would come back as another type, since it starts with {value[0]!r}")
    if isinstance(value, tuple | set | frozenset):
        value = [_mark(value), *value]
    return _encode_json_part(value)


def _encode_json_part(value: Any) -> bytes:
    return json.dumps(_json(value, MAX_DEPTH), separators=(",", ":")).encode("ascii")


def _json(value: Any, room: int) -> Any:
    if room == 0:
        raise RecursionError
    if value is None or isinstance(value, int | float | str | bytes):
        return _text(value)
    if isinstance(value, dict):
        mapping = {}
        for key, item in value.items():
            text = _text(key)
            if not isinstance(text, str):
                raise _refusal(f"its key {key!r} would come back as bytes")
            if text in mapping:
                raise _refusal(f"two of its keys are the text {text!r}")
            mapping[text] = _json(item, room - 1)
        return mapping
    if isinstance(value, list | tuple):
        items = list(value)
        for number, item in enumerate(value):
            items[number] = _json(item, room - 1)
        return items
    raise _refusal("0.3 could not write it here")


def _text(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8").decode("utf-8")  # 0.3 cannot read back a lone surrogate
    return value.decode("utf-8") if isinstance(value, bytes) else value


def _decode_json(raw: bytes) -> Any:
    value = json.loads(raw)
    if isinstance(value, dict):
        return {_as_bytes(key): _as_bytes(item) for key, item in value.items()}
    if not isinstance(value, list):
        return _as_bytes(value)
    return _unmarked([_as_bytes(item) for item in value], _element)


def _element(item: Any) -> Any:
    # A list in a set was a tuple when it was written.
    return tuple(map(_element, item)) if isinstance(item, list) else item


def _as_bytes(value: Any) -> Any:
    # 0.3 wrote lone surrogates, and failed here when it read them.
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value


# --- cbor

_CBOR_TYPES = (
    int, float, complex, str, bytes, bytearray, datetime, date, Decimal, Fraction, UUID, re.Pattern
)  # fmt: skip


def _encode_cbor(value: Any) -> bytes:
    _check_cbor(value, MAX_DEPTH)
    return cbor2.dumps(cbor2.CBORTag(_TUPLE_TAG, [*value]) if isinstance(value, tuple) else value)


def _check_cbor(value: Any, room: int) -> None:
    # cbor2 now writes more types than 0.3 could, and overruns the stack on a deeply nested value.
    if room == 0:
        raise RecursionError
    if value is None or isinstance(value, _CBOR_TYPES):
        return
    if not isinstance(value, dict | list | tuple | set | frozenset):
        raise _refusal("0.3 could not write it")
    for item in value:
        _check_cbor(item, room - 1)
    if isinstance(value, dict):
        for item in value.values():
            _check_cbor(item, room - 1)


def _refuse_reference(_value: Any, _immutable: bool) -> Any:
    raise ValueError("it refers to other parts of itself, which 0.3 never wrote")


_CBOR_TAGS: dict[int, Callable[[Any, bool], Any]] = {
    **dict.fromkeys(_REFERENCES, _refuse_reference),
    _TUPLE_TAG: lambda items, _: tuple(items),
}


def _decode_cbor(raw: bytes) -> Any:
    decoder = cbor2.CBORDecoder(BytesIO(raw), semantic_decoders=_CBOR_TAGS)
    value = decoder.decode()
    try:
        decoder.read(1)
    except cbor2.CBORDecodeEOF:
        return value
    # Most other bytes begin with a CBOR value. A pickle, for example, begins with an empty list.
    raise ValueError("there are bytes after the end of the value: it is no CBOR")


# --- msgpack


def _encode_msgpack(value: Any) -> bytes:
    raw: bytes = msgpack.Packer(strict_types=True, default=_marked).pack(value)
    if any(mark in raw for mark in _MARKS):
        _refuse_marked_lists(value)
    return raw


def _marked(value: Any) -> Any:
    if not isinstance(value, tuple | set | frozenset):
        raise _refusal("0.3 could not write it")
    return [_mark(value), *value]


def _refuse_marked_lists(value: Any) -> None:
    if type(value) is list and value and isinstance(value[0], bytes) and value[0] in _MARKS:
        raise _refusal(f"it would come back as another type, since it starts with {value[0]!r}")
    if isinstance(value, list | tuple | set | frozenset):
        for item in value:
            _refuse_marked_lists(item)
    if isinstance(value, dict):
        for key, item in value.items():
            _refuse_marked_lists(key)
            _refuse_marked_lists(item)


def _decode_msgpack(raw: bytes) -> Any:
    return msgpack.unpackb(raw, list_hook=_unmarked, strict_map_key=False)


@frozen
class _Encoding:
    encode: Callable[[Any], bytes]
    encode_part: Callable[[Any], bytes]
    """Encodes a part of a container."""
    decode: Callable[[bytes], Any]


_ENCODINGS = {
    "json": _Encoding(_encode_json, _encode_json_part, _decode_json),
    "cbor": _Encoding(_encode_cbor, _encode_cbor, _decode_cbor),
    "msgpack": _Encoding(_encode_msgpack, _encode_msgpack, _decode_msgpack),
}
