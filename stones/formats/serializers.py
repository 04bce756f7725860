"""Serializers: values to bytes and back, by name.

    pickle      holds nearly every value; reading a pickle can run code, so read only trusted files
    json, cbor, msgpack
                hold the types below, in bytes that other programs can read too
    noop        holds bytes only, and stores them as they are

json, cbor and msgpack hold these types, nested in any way, and give back equal values of the same
types:

- None, bool, int of any size, float, Decimal, str, bytes, UUID
- datetime, date, time, timedelta. datetime and time keep `fold`. They keep their time zone if it is
  a `datetime.timezone` or a `zoneinfo.ZoneInfo`.
- list, tuple, set, frozenset, and dict. A dict keeps its order, and its keys may be any of the
  hashable types.

A subclass of one of these types is another type. Only pickle can give it back, or functions that
are registered for it.

They also hold paths, addresses of `ipaddress`, Fraction, and numpy's arrays and scalars, and the
types that `stones.register_type` makes known (`stones.formats.registered_types`).

If a serializer cannot hold a value, the SerializerError names the type and the place:
`json cannot hold a complex, at $['a'][3]: convert it first, ...`.

Each of json, cbor and msgpack is a module (`stones.formats.json_serializer` and so on). It is
imported when its name is first used.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from typing import Any

from attrs import frozen

from stones.errors import SerializerError

from .messages import ShortRepr, show, show_error
from .registered_types import registered_type

Encode = Callable[[Any], bytes]
Decode = Callable[[bytes], Any]

SAFE = frozenset({"json", "cbor", "msgpack"})
"""The names of the serializers that hold registered types. Reading their bytes runs no code."""

CUSTOM = "custom"
"""The name of the serializer that a pair of functions makes."""


@frozen
class Serializer:
    """A pair of functions, from values to bytes and back, under a name."""

    name: str
    encode: Encode
    """Makes bytes of a value. Raises SerializerError if the serializer cannot hold the value."""
    decode: Decode
    """Makes the value of bytes that `encode` made. Raises anything on other bytes."""
    encode_simple: Encode | None = None
    """Makes the bytes of a simple value faster. None if the serializer has no faster way.

    Simple values are None, bool, int, float, str, bytes, and lists of simple values and dicts of
    such values with str keys, all of exactly these types. The caller has to know that a value is
    simple. The function raises anything if it cannot hold the value, and `encode` may hold it then.
    """
    decode_plain: Decode | None = None
    """Makes the value of bytes if that is plain, faster. None if there is no faster way.

    `stones.formats.plain_values` says which values are plain. Each of pickle, json, cbor and
    msgpack can hold them. A plain value is simple. The function raises anything for other values.
    """


def serializer(name: str) -> Serializer:
    """The serializer with this name, one of stones' own or a registered one.

    Raises SerializerError for a name that is not known.
    """
    if not isinstance(name, str):
        raise SerializerError(f"the name of a serializer is a str, not {show(name)}")
    if name in _own:
        return _own[name]
    if name in _ready:
        return _ready[name]
    if name not in _BUILT_IN:
        raise SerializerError(
            f"there is no serializer {show(name)}, only {', '.join(serializer_names())}: "
            "register_serializer() makes others known"
        )
    return _ready.setdefault(name, _BUILT_IN[name](name))


def register_serializer(name: str, encode: Encode, decode: Decode) -> Serializer:
    """Give a pair of functions a name, by which stores opened in this process can use them.

    A store saves only the name. So each process that opens the store registers the functions first.
    If a name is registered again, stores opened later use the new functions. If `encode` fails or
    returns something other than bytes, the write raises SerializerError.

    Raises SerializerError if the name is not up to 64 ASCII letters, digits, "_" and "-" with a
    letter first, if stones has a serializer of that name itself, or if a function is not callable.

    >>> import stones, zlib
    >>> def pack(text):
    ...     return zlib.compress(text.encode())
    >>> def unpack(raw):
    ...     return zlib.decompress(raw).decode()
    >>> serializer = stones.register_serializer('zipped', pack, unpack)
    >>> store = stones.MemoryStore(serialize='zipped')
    >>> store['song'] = 'la ' * 1000
    >>> store['song'][:8]
    'la la la'
    >>> store['number'] = 7
    Traceback (most recent call last):
    ...
    stones.errors.SerializerError: zipped cannot hold an int, at $: AttributeError: ...
    """
    if type(name) is not str or not _NAME.fullmatch(name):
        raise SerializerError(
            f"{show(name)} cannot be the name of a serializer: use up to 64 ASCII letters, digits, "
            "'_' and '-', with a letter first"
        )
    if name in _BUILT_IN or name == CUSTOM:
        raise SerializerError(
            f"the serializer {name!r} belongs to stones and cannot be replaced: take another name"
        )
    _own[name] = _checked(name, encode, decode)
    return _own[name]


def custom_serializer(dump_load: tuple[Encode, Decode]) -> Serializer:
    """The serializer "custom", made of the pair of functions in `stone(dump_load=)`.

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
    """The names of all serializers: first stones' own, then the registered ones.

    >>> import stones
    >>> stones.serializer_names()[:5]
    ['pickle', 'json', 'cbor', 'msgpack', 'noop']
    """
    return [*_BUILT_IN, *_own]


def with_path_in_errors(name: str, encode: Encode, encode_part: Encode | None = None) -> Encode:
    """A function like `encode` whose every error is a SerializerError with the path to its cause.

    `encode_part` encodes the parts of a container, if a serializer encodes them in another way
    than a whole value.
    """

    def checked_encode(value: Any) -> bytes:
        try:
            return encode(value)
        except MemoryError:
            raise
        except Exception as error:
            raise _locate(name, encode_part or encode, value, error) from error

    return checked_encode


def cannot_hold(name: str, value: Any, path: str, reason: str) -> SerializerError:
    """The error for a part of a value, at `path`, that the serializer `name` refuses.

    `path` starts with "$", which stands for the whole value.
    """
    kind = type(value).__qualname__
    if type(value).__module__ != "builtins":
        kind = f"{type(value).__module__}.{kind}"
    article = "an" if kind[0] in "aeiouAEIOU" else "a"
    return SerializerError(f"{name} cannot hold {article} {kind}, at {path}: {reason}")


_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_MAX_STEPS = 100


_REPR = ShortRepr()


def _locate(
    name: str,
    encode: Encode,
    value: Any,
    error: Exception,
    path: str = "$",
    around: tuple[Any, ...] = (),
) -> SerializerError:
    """The error for the innermost part of `value` that `encode` refuses.

    `around` has the containers that lie around `value`, the outermost first.
    """
    if any(value is container for container in around):
        return cannot_hold(name, value, path, "it contains itself")
    around = (*around, value)
    if len(around) <= _MAX_STEPS:
        for step, part in _parts(value):
            try:
                encode(part)
            except Exception as problem:
                raise _locate(name, encode, part, problem, path + step, around) from problem
    if isinstance(error, RecursionError) or "recursion limit" in show_error(
        error
    ):  # msgpack's words
        return cannot_hold(name, around[0], "$", "it is nested too deeply, or contains itself")
    if isinstance(error, SerializerError):
        return cannot_hold(name, value, path, str(error))
    return cannot_hold(name, value, path, show_error(error))


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
    elif (registered := registered_type(kind)) is not None:
        packed = None
        with suppress(Exception):  # if pack fails, the error is for the value itself
            packed = registered.pack(value)
        yield ".packed", packed


def _short(value: Any) -> str:
    return _REPR.repr(value)


def _checked(name: str, encode: Encode, decode: Decode) -> Serializer:
    """A serializer made of a user's functions, whose results are checked.

    Its errors have no path: the functions may encode a part in another way than a whole value.
    """
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
            raise cannot_hold(name, value, "$", show_error(error)) from error
        if type(raw) is not bytes:
            kind = type(raw).__qualname__
            raise cannot_hold(name, value, "$", f"its encoder returned {kind}, not bytes")
        return raw

    return Serializer(name, checked_encode, decode)


def _pickle(name: str) -> Serializer:
    from pickle import dumps, loads

    # Protocol 5: every Python that stones runs on can read it.
    return Serializer(name, with_path_in_errors(name, lambda value: dumps(value, 5)), loads)


def _from_module(name: str) -> Serializer:
    module = import_module(f".{name}_serializer", __package__)
    encode = with_path_in_errors(name, module.encode)
    ways = (getattr(module, way, None) for way in ("encode_simple", "decode_plain"))
    return Serializer(name, encode, module.decode, *ways)


def _noop(name: str) -> Serializer:
    def encode(value: Any) -> bytes:
        if type(value) is not bytes:
            raise cannot_hold(name, value, "$", "it stores bytes as they are")
        return value

    return Serializer(name, encode, bytes)


_BUILT_IN: dict[str, Callable[[str], Serializer]] = {
    "pickle": _pickle,
    "json": _from_module,
    "cbor": _from_module,
    "msgpack": _from_module,
    "noop": _noop,
}
_ready: dict[str, Serializer] = {}
_own: dict[str, Serializer] = {}  # registered by users
