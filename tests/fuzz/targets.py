"""The targets of the fuzzer: functions that are called with any bytes.

A target raises if the tested code breaks its contract, and returns if not. `run.py` lets atheris
look for bytes on which a target raises. `tests/test_fuzz.py` runs each target on its seeds, and on
some more bytes.

There is no target for pickle: reading a pickle runs code, so its decoder has no contract to test.
"""

import json
import struct
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from ipaddress import IPv4Network
from pathlib import Path, PureWindowsPath
from typing import Any
from uuid import UUID

from attrs import define, frozen

import stones.formats.stones03  # noqa: F401  # imported now, for atheris to instrument it
from stones import Collection, MemoryStore, key, migrate
from stones.collections.keys import key_codec
from stones.collections.language.jsonpath import parse_filter, parse_search, parse_values
from stones.collections.language.normal_form import normal_form
from stones.engine import MAX_KEY_SIZE, Space
from stones.engines.memory import MemoryEngine
from stones.errors import (
    CorruptValueError,
    FormatMismatchError,
    QueryError,
    SerializerError,
    StoneError,
)
from stones.formats.checksums import CHECKSUM_BIT, with_checksum
from stones.formats.codec import Codec
from stones.formats.metadata import IDS, new_metadata
from stones.formats.registered_types import UnknownValue
from stones.formats.request import FormatRequest
from stones.formats.stones03_codec import Stones03Codec
from stones.stores.key_text import parse_key, show_key
from stones.stores.store import Store

from . import forms

Target = Callable[[bytes], None]


class Source:
    """Makes numbers, text and choices from the bytes of an input.

    At the end of the bytes it gives zeros and empty values.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def bytes(self, size: int) -> bytes:
        found = self._data[self._at : self._at + size]
        self._at += size
        return found

    def rest(self) -> bytes:
        return self.bytes(len(self._data))

    def some(self) -> bytes:
        """Up to 255 bytes."""
        return self.bytes(self.number())

    def number(self) -> int:
        """0 to 255."""
        return self.bytes(1)[0] if self else 0

    def choose(self, *options: Any) -> Any:
        return options[self.number() % len(options)]

    def text(self) -> str:
        return self.some().decode("utf-8", "replace")

    def __bool__(self) -> bool:
        return self._at < len(self._data)


# -- keys of collections ---------------------------------------------------------------------------

PAIR, DEEP = tuple[str, int], tuple[tuple[int, bytes], str, datetime, date, UUID]
CODECS = [key_codec(kind) for kind in (int, str, bytes, UUID, date, datetime, PAIR, DEEP)]


def decode_key(data: bytes) -> None:
    """Bytes are no key, or they are the only bytes of their key."""
    source = Source(data)
    codec = source.choose(*CODECS)
    raw = source.rest()
    with suppress(CorruptValueError):
        key = codec.decode(raw)
        assert codec.encode(key) == raw, (codec.name, key)


def order_keys(data: bytes) -> None:
    """Keys come back from their bytes, and the bytes sort as the keys do."""
    source = Source(data)
    make = source.choose(*KEYS)
    codec = CODECS[KEYS.index(make)]
    one, other = make(source), make(source)
    encoded = [codec.encode(key) for key in (one, other)]
    assert [codec.decode(raw) for raw in encoded] == [one, other]
    assert (encoded[0] < encoded[1]) == (one < other), (one, other)
    assert (encoded[0] == encoded[1]) == (one == other), (one, other)


def _int(source: Source) -> int:
    return int.from_bytes(source.some(), "big", signed=True)


def _date(source: Source) -> date:
    return date.fromordinal(1 + int.from_bytes(source.bytes(3), "big") % date.max.toordinal())


def _datetime(source: Source) -> datetime:
    seconds = int.from_bytes(source.bytes(5), "big") % (date.max.toordinal() * 86_400)
    start = datetime(1, 1, 1, tzinfo=UTC)
    return start + timedelta(seconds=seconds, microseconds=int.from_bytes(source.bytes(2), "big"))


def _uuid(source: Source) -> UUID:
    return UUID(bytes=source.bytes(16).ljust(16, b"\0"))


KEYS: list[Callable[[Source], Any]] = [
    _int,
    Source.text,
    Source.some,
    _uuid,
    _date,
    _datetime,
    lambda source: (source.text(), _int(source)),
    lambda source: (
        (_int(source), source.some()),
        source.text(),
        _datetime(source),
        _date(source),
        _uuid(source),
    ),
]


# -- values ----------------------------------------------------------------------------------------


def _raw_or_formed(data: bytes, form: forms.Form) -> bytes:
    source = Source(data)
    return source.rest() if source.number() % 2 else form(source, 6)


READ_ONLY = ("nested too deeply", "CBORSimpleValue", "UndefinedType", "frozendict")
"""Parts of errors for values that may be read but not written.

They are nested very deeply, or are of types that cbor2 makes of CBOR which stones never writes.
"""


def _check_codec(name: str, body: bytes) -> None:
    """Bytes are no value, or their value can be written and comes back."""
    codec = Codec(new_metadata(name), FormatRequest.from_arguments(name))
    raw = bytes([IDS[name]]) + body
    with suppress(CorruptValueError, FormatMismatchError):  # the latter for an unknown type
        value = _decoded(codec, raw)
        try:
            written = codec.encode(b"key", value)
        except SerializerError as error:
            if not any(reason in str(error) for reason in READ_ONLY):
                raise
        else:
            again = codec.loads(written[1:])  # raises what is no CorruptValueError
            assert same(value, again), (value, again)


def _decoded(codec: Codec, raw: bytes) -> Any:
    try:
        return codec.decode(b"key", raw)
    except CorruptValueError as error:
        if isinstance(error.__cause__, MemoryError):
            raise AssertionError("a few bytes that take all memory") from error
        raise


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal to the last bit, and of the same types."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        nans = one != one and other != other
        return nans or struct.pack("d", one) == struct.pack("d", other)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return same(list(one.items()), list(other.items()))
    if isinstance(one, set | frozenset):  # their order may change
        return sorted(map(_spelled, one)) == sorted(map(_spelled, other))
    return _spelled(one) == _spelled(other)


def _spelled(value: Any) -> str:
    if type(value).__module__ == "numpy":
        return f"{value!r} {value.dtype} {value.tobytes()!r}"
    if isinstance(value, int):
        return hex(value)  # a long decimal takes long, and Python refuses it
    if isinstance(value, tuple):
        return f"({', '.join(map(_spelled, value))})"
    if isinstance(value, frozenset):
        return f"{{{', '.join(sorted(map(_spelled, value)))}}}"
    return repr(value)


def decode_json(data: bytes) -> None:
    _check_codec("json", _raw_or_formed(data, forms.json_form))


def decode_cbor(data: bytes) -> None:
    _check_codec("cbor", _raw_or_formed(data, forms.cbor_form))


def decode_msgpack(data: bytes) -> None:
    _check_codec("msgpack", _raw_or_formed(data, forms.msgpack_form))


def decode_stones03(data: bytes) -> None:
    """Bytes are no value of stones 0.3, or their value can be written or is refused."""
    source = Source(data)
    place = source.number() % 6
    codec = Stones03Codec(FormatRequest.from_arguments(("json", "cbor", "msgpack")[place % 3]))
    form = (forms.json_form, forms.cbor_form, forms.msgpack_form)[place % 3]
    raw = source.rest() if place < 3 else form(source, 6)
    with suppress(CorruptValueError, SerializerError):
        codec.encode(b"key", _decoded(codec, raw))


VALUES = [
    None,
    [True, -1, 1 << 70, 0.5, float("nan")],
    ["text", b"bytes", "\ud800"],
    (1, (2, {3}), frozenset({4})),
    {"a": [1], 2: "b", (1, 2): date(2024, 5, 6)},
    [datetime(2024, 5, 6, 7, 8, 9, 10, UTC), timedelta(1, 2, 3), Decimal("1e-5"), UUID(int=5)],
    1 << 3000,
    {"$tuple": 1},
    [Fraction(1, 3), {Path("a/b"): IPv4Network("10.0.0.0/8")}, PureWindowsPath("C:/a")],
    UnknownValue("numpy.ndarray", ["<f8", [2], "C", bytes(16)]),
    UnknownValue("numpy.float32", 0.5),
]


def _values(name: str) -> list[bytes]:
    codec = Codec(new_metadata(name), FormatRequest.from_arguments(name))
    return [b"\1" + codec.encode(b"key", value)[1:] for value in VALUES] + [bytes(range(0, 250, 2))]


# -- the metadata of a store -----------------------------------------------------------------------


@define
class User:
    email: str = key()
    age: int


class Received(MemoryStore[bytes, Any]):
    """A store that comes from somebody else."""

    def __init__(self, engine: MemoryEngine) -> None:
        Store.__init__(self, engine, name="received", serialize="json")


def open_store(data: bytes) -> None:
    """Any metadata and values are read or refused."""
    source = Source(data)
    engine = MemoryEngine()
    txn = engine.begin(write=True)
    txn.put(Space.META, b"version", b"1")
    txn.put(Space.META, b"generation", b"1-a")
    while source:
        name = source.choose(*META_KEYS) or source.some()
        space = source.choose(Space.META, Space.DATA, Space.META, Space.DATA, Space.INDEX)
        raw = source.choose(_json, _json, Source.some)(source)
        if space is Space.DATA:
            first = source.choose(2, 2, 3, 4, 5, 99)
            head = bytes([first | CHECKSUM_BIT])
            checked = with_checksum(head, name, raw)
            raw = source.choose(bytes([first]) + raw, checked, head + raw)
        if 0 < len(name) <= MAX_KEY_SIZE:
            txn.put(space, name, raw)
    if txn.get(Space.META, b"formats") is None:
        txn.put(Space.META, b"formats", source.choose(*FORMATS))
    txn.commit()
    with suppress(StoneError), Received(engine) as store:
        for use in USES:
            with suppress(StoneError, KeyError):
                use(store)


FORMATS = [
    json.dumps(
        {
            "write": IDS["json"],
            "checksums": checksums,
            "formats": [
                {"id": IDS[name], "serializer": name} for name in ("json", "cbor", "msgpack")
            ],
            "migration": None,
        }
    ).encode()
    for checksums in (False, True)
]

META_KEYS = (b"formats", b"collection/User", b"count/User", b"User/ada", b"key", b"")

USES: list[Callable[[Any], object]] = [
    lambda store: store.stats(),
    lambda store: store["key"],
    lambda store: list(store.items()),
    lambda store: len(Collection(store, User)),
    lambda store: Collection(store, User).get("ada"),
    lambda store: list(Collection(store, User)),
    lambda store: list(Collection(store, User).items()),
    lambda store: list(Collection(store, User).find("$[?(@.age > 30)]")),
    lambda store: list(Collection(store, User).search("$..age")),
    lambda store: Collection(store, User).put(User("bob", 1)),
    lambda store: Collection(store, User).update("ada", age=1),
    lambda store: Collection(store, User).popitem(),
    lambda store: store.copy(),
    lambda store: store.put("User", 1),
    lambda store: store.update(key=1),
    lambda store: store.popitem(),
    lambda store: migrate(store, checksums=True),
    lambda store: migrate(store, checksums=False),
    lambda store: store.clear(),
]

WORDS = [
    "write",
    "checksums",
    "formats",
    "migration",
    "id",
    "serializer",
    "record",
    "key",
    "fields",
    "User",
]
WORDS += ["email", "age", "ada", "json", "pickle", "custom", "str", "json-0.3", "pickle-0.3", ""]


def _json(source: Source) -> bytes:
    """Any JSON, much of it like the JSON in metadata."""
    made = _json_value(source, 5)
    return made if isinstance(made, bytes) else json.dumps(made).encode()


def _json_value(source: Source, room: int) -> Any:
    kind = source.number() % (9 if room else 5)
    if kind == 0:
        return source.choose(None, True, False, 1e300, 0.5)
    if kind == 1:
        return source.choose(*IDS.values(), -1, 32, 255, 256, 1 << 80)
    if kind in (2, 3):
        return source.choose(*WORDS)
    if kind == 4:
        return source.text()
    if kind == 5:
        return [_json_value(source, room - 1) for _ in range(source.number() % 4)]
    return {
        source.choose(*WORDS): _json_value(source, room - 1) for _ in range(source.number() % 4)
    }


# -- queries ---------------------------------------------------------------------------------------

RECORDS = [
    {"name": "Ada", "age": 36, "tags": ["a", "b"], "address": {"city": "London"}, "x": None},
    {"name": "Bob", "age": 4.5, "tags": [], "address": None, "x": Decimal("1.5")},
    {"name": b"raw", "age": "old", "tags": {"k": [1, [2]]}, "x": date(2024, 1, 1)},
]
TOKENS = r"""
    $ @ . .. [ ] ( ) ? * , : 0 1 -1 36 4.5 'Ada' "a" name age tags address city x == = != < <= > >=
    =~ && || & | ! + - / {a} {b} true false null `len` `this` `parent` `sorted` `keys`
    `split(a,0,1)` `sub(/a/,b)` \ ' " ` { } [*] [? $[?(@. )] where wherenot in contains like ~
""".split()  # noqa: SIM905  # a list of them could not be read


def query(data: bytes) -> None:
    """A text is no query, or a query that runs."""
    source = Source(data)
    if source.number() % 2:
        text = source.rest().decode("utf-8", "replace")
    else:
        text = "".join(TOKENS[byte % len(TOKENS)] for byte in source.rest()[:60])
    for ask in (_filter, _search, _values_of):
        with suppress(QueryError):
            ask(text)


def _filter(text: str) -> None:
    filter = parse_filter(text)
    values = dict.fromkeys(filter.placeholders, VALUE)
    filter.select(list(RECORDS), values)
    if not filter.needs_all_records:
        test = filter.bind(values)
        normal_form(filter.bound(values).expressions)
        assert filter.select(list(RECORDS), values) == [
            place for place, record in enumerate(RECORDS) if test(record)
        ]


def _search(text: str) -> None:
    search = parse_search(text)
    list(search.find(RECORDS, dict.fromkeys(search.placeholders, VALUE)))


def _values_of(text: str) -> None:
    path = parse_values(text)
    for record in RECORDS:
        list(path.find(record))


VALUE = 36


# -- keys on the command line ----------------------------------------------------------------------


def type_key(data: bytes) -> None:
    """Any key can be shown and typed, and any text is one key or none."""
    assert parse_key(show_key(data)) == data
    assert show_key(data).isprintable()
    text = data.decode("utf-8", "surrogateescape")
    with suppress(ValueError):
        assert parse_key(show_key(parse_key(text))) == parse_key(text)


# -- all of them -----------------------------------------------------------------------------------


@frozen
class Fuzzed:
    """A target, and the inputs that the fuzzer begins with."""

    target: Target
    seeds: list[bytes]


def _seeds_of_keys() -> list[bytes]:
    moment = datetime(2024, 5, 6, 7, 8, 9, 10)
    deep = ((-5, b"\0\1"), "a", moment.replace(tzinfo=UTC), date(2024, 5, 6), UUID(int=5))
    keys = [-300, "grüße", b"\0\xff", UUID(int=5), date(2024, 5, 6), moment, ("a\0b", 1), deep]
    pairs = list(zip(CODECS, keys, strict=True))
    return [bytes([place]) + codec.encode(key) for place, (codec, key) in enumerate(pairs)]


TARGETS = {
    fuzzed.target.__name__: fuzzed
    for fuzzed in [
        Fuzzed(decode_key, _seeds_of_keys()),
        Fuzzed(order_keys, [bytes([kind, *range(100)]) for kind in range(len(KEYS))]),
        Fuzzed(decode_json, _values("json")),
        Fuzzed(decode_cbor, _values("cbor")),
        Fuzzed(decode_msgpack, _values("msgpack")),
        Fuzzed(decode_stones03, [b"\0" + raw[1:] for raw in _values("json")]),
        Fuzzed(open_store, [b"", bytes(range(256)), bytes(range(0, 256, 7)) * 4]),
        Fuzzed(
            query,
            [
                b"\1$[?(@.age > {a} && @.name == 'Ada')]",
                b"\1$[*].address.city",
                b"\1$..tags[0:2]",
                b"\1$[?(@.tags[*] == 'a')].name.`len`",
                b"\1$[?(@.tags contains {b} || @.age in [36, 'old', null])]",
                b"\1@.x + 1",
            ],
        ),
        Fuzzed(type_key, [b"plain", "größe\n".encode(), b"\\x00\\n\\\\", b"\xff\x00"]),
    ]
}
