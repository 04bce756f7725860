"""Serializers: values to bytes and back, by name.

    pickle      holds nearly everything; reading it can run code, so only read what you trust
    json, cbor, msgpack
                hold the types listed below, in bytes that other programs can read too
    noop        bytes, as they are

All but noop give back what was put in, with the same types: None, bool, int of any size, float,
str, bytes, list, tuple, set, frozenset, dict with any of the hashable ones as keys and in the same
order, datetime, date, time, timedelta, Decimal and UUID, nested in any way. datetime and time keep
`fold`, and their time zone where that is a `datetime.timezone` or a `zoneinfo.ZoneInfo`. A subclass
of one of these types is another type, which only pickle can give back.

What a serializer cannot hold is a SerializerError that says of which type it is, and where:
`json cannot hold a complex, at $['a'][3]: convert it first, or use pickle`.

The codecs are modules of their own (`stones.formats.json_serializer` and so on), imported when
first asked for.
"""

import re
from collections.abc import Callable, Iterator
from importlib import import_module
from reprlib import Repr
from typing import Any

from attrs import frozen

from stones.errors import SerializerError

Encode = Callable[[Any], bytes]
Decode = Callable[[bytes], Any]

CUSTOM = "custom"
"""The name of a serializer that was given as a pair of functions."""


@frozen
class Serializer:
    """A way to turn values into bytes and back."""

    name: str
    encode: Encode
    """The bytes of a value. Raises SerializerError for what cannot be held."""
    decode: Decode
    """The value of bytes that `encode` made. Raises anything on other bytes."""


def serializer(name: str) -> Serializer:
    """The serializer of that name, one that we ship or one that was registered.

    Raises SerializerError for a name that is not known.
    """
    if name in _own:
        return _own[name]
    if name in _ready:
        return _ready[name]
    if name not in _BUILT_IN:
        raise SerializerError(
            f"there is no serializer {name!r}, only {', '.join(serializer_names())}: "
            "register_serializer() makes others known"
        )
    return _ready.setdefault(name, _BUILT_IN[name](name))


def register_serializer(name: str, encode: Encode, decode: Decode) -> Serializer:
    """Make a pair of functions known by a name, in this process; stores write down the name only.

    The same name may be registered again, and then stands for the new functions in stores opened
    from then on. A failure of `encode`, or a result that is not bytes, will be a SerializerError.

    Raises SerializerError for a name that is taken by a serializer that we ship or that is no
    word, and for what cannot be called.
    """
    if type(name) is not str or not _NAME.fullmatch(name):
        raise SerializerError(
            f"{name!r} cannot be the name of a serializer: use up to 64 ASCII letters, digits, "
            "'_' and '-', with a letter first"
        )
    if name in _BUILT_IN or name == CUSTOM:
        raise SerializerError(
            f"the serializer {name!r} is ours and stays as it is: take a new name"
        )
    _own[name] = _checked(name, encode, decode)
    return _own[name]


def custom_serializer(dump_load: tuple[Encode, Decode]) -> Serializer:
    """The serializer "custom", made of a pair of functions as `stone(dump_load=)` takes it.

    Raises SerializerError for anything but a pair of functions.
    """
    try:
        encode, decode = dump_load
    except (TypeError, ValueError) as error:
        raise SerializerError(
            f"dump_load= takes a pair of functions, (encode, decode), not {_short(dump_load)}"
        ) from error
    return _checked(CUSTOM, encode, decode)


def serializer_names() -> list[str]:
    """The names that `serializer` knows: those that we ship, then those registered."""
    return [*_BUILT_IN, *_own]


def located(name: str, encode: Encode, encode_part: Encode | None = None) -> Encode:
    """`encode`, with whatever it raises made a SerializerError that says where the culprit is.

    `encode_part` takes what lies in a container, where that is not treated as at the top.
    """

    def located_encode(value: Any) -> bytes:
        try:
            return encode(value)
        except MemoryError:
            raise
        except Exception as error:
            raise _locate(name, encode_part or encode, value, error) from error

    return located_encode


def cannot_hold(name: str, value: Any, path: str, reason: str) -> SerializerError:
    """The error for a value that a serializer refuses; `path` starts with "$", the whole."""
    kind = type(value).__qualname__
    if type(value).__module__ != "builtins":
        kind = f"{type(value).__module__}.{kind}"
    article = "an" if kind[0] in "aeiouAEIOU" else "a"
    return SerializerError(f"{name} cannot hold {article} {kind}, at {path}: {reason}")


_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_MAX_STEPS = 100


class ShortRepr(Repr):
    """Short reprs for messages. An int of more digits than Python writes out is `long_int`."""

    long_int = "<int>"

    def repr_int(self, number: int, level: int) -> str:
        try:
            repr(number)
        except ValueError:  # Repr fails on it too, or in Python 3.14 tells its address
            return self.long_int
        return super().repr_int(number, level)


_REPR = ShortRepr()


def _locate(
    name: str,
    encode: Encode,
    value: Any,
    error: Exception,
    path: str = "$",
    around: tuple[Any, ...] = (),
) -> SerializerError:
    """The error for the innermost part of `value` that `encode` refuses by itself."""
    if any(value is container for container in around):
        return cannot_hold(name, value, path, "it contains itself")
    around = (*around, value)
    if len(around) <= _MAX_STEPS:
        for step, part in _parts(value):
            try:
                encode(part)
            except Exception as problem:
                raise _locate(name, encode, part, problem, path + step, around) from problem
    if isinstance(error, RecursionError) or "recursion limit" in str(error):  # so says msgpack
        return cannot_hold(name, around[0], "$", "it is nested too deeply, or contains itself")
    if isinstance(error, SerializerError):
        return cannot_hold(name, value, path, str(error))
    return cannot_hold(name, value, path, f"{type(error).__name__}: {error}")


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    kind = type(value)
    if kind is dict:
        for key, item in value.items():
            yield f".key({_short(key)})", key
            yield f"[{_short(key)}]", item
    elif kind is list or kind is tuple:
        for number, item in enumerate(value):
            yield f"[{number}]", item
    elif kind is set or kind is frozenset:
        for item in value:
            yield f".element({_short(item)})", item


def _short(value: Any) -> str:
    return _REPR.repr(value)


def _checked(name: str, encode: Encode, decode: Decode) -> Serializer:
    """A serializer of functions that are not ours: no path, since they may treat the top otherwise
    than the rest, and a look at what `encode` returns."""
    for function in (encode, decode):
        if not callable(function):
            raise SerializerError(
                f"a serializer is made of two functions; {_short(function)} is not one"
            )

    def checked_encode(value: Any) -> bytes:
        try:
            raw = encode(value)
        except MemoryError:
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise cannot_hold(name, value, "$", reason) from error
        if type(raw) is not bytes:
            kind = type(raw).__qualname__
            raise cannot_hold(name, value, "$", f"its encoder returned {kind}, not bytes")
        return raw

    return Serializer(name, checked_encode, decode)


def _pickle(name: str) -> Serializer:
    from pickle import dumps, loads

    # Protocol 5 and no later one: every Python that stones runs on can read it.
    return Serializer(name, located(name, lambda value: dumps(value, 5)), loads)


def _codec(name: str) -> Serializer:
    codec = import_module(f".{name}_serializer", __package__)
    return Serializer(name, located(name, codec.encode), codec.decode)


def _noop(name: str) -> Serializer:
    def encode(value: Any) -> bytes:
        if type(value) is not bytes:
            raise cannot_hold(name, value, "$", "it stores bytes as they are")
        return value

    return Serializer(name, encode, bytes)


_BUILT_IN: dict[str, Callable[[str], Serializer]] = {
    "pickle": _pickle,
    "json": _codec,
    "cbor": _codec,
    "msgpack": _codec,
    "noop": _noop,
}
_ready: dict[str, Serializer] = {}
_own: dict[str, Serializer] = {}
