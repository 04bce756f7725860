"""The promises of each of stones' own serializers, and of a user's serializer."""

import json
import math
import pickle
import subprocess
import sys
import threading
import tracemalloc
from collections import Counter, OrderedDict, defaultdict
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import IntEnum, IntFlag, StrEnum
from functools import reduce
from time import struct_time
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import cbor2
import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stones.errors import SerializerError, StoneError
from stones.formats.serializers import (
    Serializer,
    custom_serializer,
    register_serializer,
    serializer,
    serializer_names,
)

SAFE = ["json", "cbor", "msgpack"]
FULL = ["pickle", *SAFE]
PARIS = ZoneInfo("Europe/Paris")

full = pytest.mark.parametrize("name", FULL)
safe = pytest.mark.parametrize("name", SAFE)


def round_trip(name, value):
    codec = serializer(name)
    raw = codec.encode(value)
    assert type(raw) is bytes
    return codec.decode(raw)


def same(left, right):
    """Whether two values are equal, with the same types in all their parts. nan equals nan here."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        both_nan = math.isnan(left) and math.isnan(right)
        return both_nan or (left == right and math.copysign(1, left) == math.copysign(1, right))
    if isinstance(left, Decimal):
        return left.as_tuple() == right.as_tuple()
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return same(list(left.items()), list(right.items()))
    if isinstance(left, set | frozenset):
        rest = list(right)
        for item in left:
            twin = next((other for other in rest if same(item, other)), rest)
            if twin is rest:
                return False
            rest.remove(twin)
        return not rest
    if isinstance(left, datetime | time):
        return (
            left.replace(tzinfo=None) == right.replace(tzinfo=None)
            and left.fold == right.fold
            and same_zone(left.tzinfo, right.tzinfo)
        )
    return left == right


def same_zone(left, right):
    if type(left) is not type(right):
        return False
    if isinstance(left, timezone):
        return left == right and left.tzname(None) == right.tzname(None)
    return left is right  # None, or a ZoneInfo, which is the same object for the same key


# --- The values that all but noop hold.

offsets = st.timedeltas(timedelta(hours=-24, microseconds=1), timedelta(hours=24, microseconds=-1))
zones = st.one_of(
    st.none(),
    st.just(UTC),
    offsets.map(timezone),
    st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes))),
    st.builds(timezone, offsets, st.text(max_size=4)),
    st.sampled_from(["Europe/Paris", "America/New_York", "UTC", "Etc/GMT+5"]).map(ZoneInfo),
)
datetimes = st.builds(
    lambda moment, zone, fold: moment.replace(tzinfo=zone, fold=fold),
    st.datetimes(),
    zones,
    st.integers(0, 1),
)
times = st.builds(
    lambda moment, zone, fold: moment.replace(tzinfo=zone, fold=fold),
    st.times(),
    zones,
    st.integers(0, 1),
)
texts = st.one_of(
    st.text(st.characters(exclude_categories=())),  # with lone surrogates
    st.text("\ud83d\ude00a", max_size=4),
    st.sampled_from(["$", "$tuple", "$dict", "$no", '"$', "tuple", "é\u2028\0\x7f"]),
)
decimals = st.one_of(
    st.decimals(),
    st.builds(
        lambda sign, digits, exponent: Decimal((sign, tuple(digits), exponent)),
        st.integers(0, 1),
        st.lists(st.integers(0, 9), max_size=40),
        st.one_of(st.integers(-400, 400), st.sampled_from(["F", "n", "N"])),
    ),
)
integers = st.one_of(
    st.integers(),
    st.sampled_from([2**63, 2**64, -(2**64) - 1]).flatmap(lambda n: st.integers(n - 2, n + 2)),
    st.builds(
        lambda bits, sign: sign * (1 << bits), st.integers(0, 20_000), st.sampled_from([1, -1])
    ),
)
binary = st.one_of(st.binary(), st.sampled_from([b"\xc7\x00\x01", b"\xd4\x01\x00", b"tuple"]))
hashable_scalars = st.one_of(
    st.none(), st.booleans(), integers, st.floats(), texts, binary, datetimes, times, st.dates(),
    st.timedeltas(), decimals.filter(lambda number: not number.is_snan()), st.uuids(),
)  # fmt: skip
keys = st.recursive(
    hashable_scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(tuple), st.frozensets(inner, max_size=3)
    ),
    max_leaves=4,
)
# Values that look like stones' own notation for types.
lookalikes = st.one_of(
    st.builds(
        lambda name, item: {f"${name}": item},
        st.sampled_from(["tuple", "dict", "set", "bytes", "datetime", "float", "str", "no", ""]),
        st.one_of(st.just([1]), st.just([[1, 2]]), st.just("AAAA"), st.just("nan")),
    ),
    st.sampled_from([["tuple", [1]], {"$tuple": [1], "b": 2}, {1: {"$dict": [[1, 2]]}}, ["$set"]]),
)
values = st.recursive(
    st.one_of(hashable_scalars, decimals, lookalikes),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.one_of(texts, keys), inner, max_size=4),
        st.sets(keys, max_size=4),
        st.frozensets(keys, max_size=4),
    ),
    max_leaves=12,
)


@full
@given(value=values)
@settings(max_examples=500)
def test_every_value_comes_back_the_same_and_of_the_same_type(name, value):
    assert same(round_trip(name, value), value)


EXAMPLES = [
    *[None, True, False, 0, -1, 2**63, -(2**63), 2**64, -(2**64), 10**700, -(10**5000)],
    *[0.0, -0.0, 1e300, math.nan, math.inf, -math.inf],
    *["", "é", "\0", "caf\udce9.txt", "\ud83d\ude00", b"", b"\xff\0", bytes(range(256))],
    *[[], {}, (), set(), frozenset(), [[]], [()], ((),), {"": {}}, {(): ()}, {frozenset(): set()}],
    {1: "int", "1": "str", b"1": "bytes", None: 0, (1, "1"): 0, 1.5: 0, frozenset({(1,)}): 0},
    {True: 1, 0: 2, math.inf: 3, Decimal("0.10"): 4, UUID(int=0): 5, date(1, 1, 1): 6},
    {"\ud83d\ude00": 1, "b": "\ud800"},
    {"z": 1, "a": 2, "m": 3},
    {"$tuple": [1]},
    {"$": 1},
    {"$dict": [[1, 2]], "more": 1},
    [{"$dict": [["$dict", {"$dict": []}]]}],
    datetime(2024, 10, 27, 2, 30, fold=1),
    datetime(2024, 10, 27, 2, 30, tzinfo=PARIS),
    datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=PARIS),
    datetime(2024, 3, 31, 2, 30, tzinfo=PARIS),  # a time that the clocks skipped
    datetime(1900, 1, 1, tzinfo=PARIS),  # local mean time, 9 minutes and 21 seconds off
    datetime.min.replace(tzinfo=UTC),
    datetime.max.replace(tzinfo=UTC),
    datetime.max.replace(tzinfo=timezone(timedelta(hours=-23, minutes=-59))),
    datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC),
    datetime(2024, 1, 1, tzinfo=UTC, fold=1),
    datetime(2024, 1, 1, tzinfo=timezone(timedelta(0), "Zulu")),
    datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=1), "CET [winter]")),
    datetime(2024, 1, 1, tzinfo=timezone(timedelta(seconds=3661, microseconds=7))),
    datetime(2024, 1, 1, tzinfo=timezone(timedelta(microseconds=-1))),
    datetime(2024, 1, 1, fold=1, tzinfo=timezone(timedelta(microseconds=1), "a bit")),
    datetime(1, 1, 1, tzinfo=ZoneInfo("Asia/Tokyo")),
    time(1, 2, 3, 4, tzinfo=timezone(timedelta(hours=-3))),
    time(1, 2, fold=1, tzinfo=PARIS),
    time(1, 2, tzinfo=timezone(timedelta(hours=5), "here")),
    *[date.min, date.max, time.min, time.max, timedelta.min, timedelta.max, timedelta(0)],
    *map(Decimal, ["0", "-0", "0.00", "0E+5", "-0E-3", "1.10", "1E+999999", "-7E-99", "Infinity"]),
    *map(Decimal, ["-Infinity", "NaN", "-NaN", "NaN123", "sNaN", "-sNaN7", "9" * 60, "1" * 5000]),
    UUID(int=2**128 - 1),
    (1, [2, {3}, {"a": (frozenset({(4, b"5")}),)}]),
]  # fmt: skip


@full
@pytest.mark.parametrize("value", EXAMPLES, ids=lambda value: type(value).__name__)
def test_a_value_of_every_kind_comes_back_the_same(name, value):
    assert same(round_trip(name, value), value)


@full
@given(value=values)
@settings(max_examples=50)
def test_encoding_leaves_the_value_itself_alone(name, value):
    before = pickle.dumps(value)
    serializer(name).encode(value)
    assert same(pickle.loads(before), value)


def test_one_serializer_may_be_used_by_many_threads_at_once():
    codec = serializer("msgpack")
    failed = []

    def work(number):
        value = [{"number": number, "items": ("x" * number, {number}), "big": 2**70}] * 50
        failed.extend(_ for _ in range(50) if codec.decode(codec.encode(value)) != value)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


def test_a_long_integer_can_be_read_where_python_allows_fewer_digits():
    limit = sys.get_int_max_str_digits()
    raw = serializer("json").encode([10**616, 10**641, -(10**10_000)])
    sys.set_int_max_str_digits(640)
    try:
        assert serializer("json").decode(raw) == [10**616, 10**641, -(10**10_000)]
    finally:
        sys.set_int_max_str_digits(limit)


@full
def test_values_of_some_megabytes_come_back(name):
    value = {"text": "é" * 1_000_000, "raw": bytes(1_000_000), "list": list(range(100_000))}
    assert round_trip(name, value) == value
    assert round_trip(name, 1) == 1


# --- What the bytes look like to others.

RECORD = {
    "id": 7,
    "name": "Zoë \u2028 \"x\" / \\ \n",
    "ratio": 0.1,
    "tags": ["a", None, True, -1],
    "nested": {"empty": {}, "list": [[]], "$": 1, "b": 2},
}  # fmt: skip
json_texts = st.text()  # without surrogates
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), json_texts)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(json_texts.filter(lambda key: not key.startswith("$")), inner, max_size=4)
    ),
)


@given(json_values)
def test_plain_data_is_plain_compact_json_in_utf8(value):
    raw = serializer("json").encode(value)
    assert raw == json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    assert same(json.loads(raw), value)


@given(json_values)
def test_plain_data_is_plain_cbor(value):
    assert serializer("cbor").encode(value) == cbor2.dumps(value)


@given(json_values.filter(lambda value: not has_large_int(value)))
def test_plain_data_is_plain_messagepack(value):
    assert serializer("msgpack").encode(value) == msgpack.packb(value)


def has_large_int(value):
    if isinstance(value, dict | list):
        return any(map(has_large_int, value.values() if isinstance(value, dict) else value))
    return isinstance(value, int) and not -(2**63) <= value < 2**64


def test_bytes_and_other_keys_than_str_are_plain_in_cbor_and_messagepack():
    value = {b"raw": b"\xff", 1: {None: 2.5}, 0.5: [b""]}
    assert serializer("cbor").encode(value) == cbor2.dumps(value)
    assert serializer("msgpack").encode(value) == msgpack.packb(value)


def test_json_escapes_a_lone_surrogate_and_nothing_else():
    assert serializer("json").encode(["caf\udce9", "é"]) == b'["caf\\udce9","\xc3\xa9"]'


MOMENT = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
NOTATIONS = [
    ((1, "a"), '{"$tuple":[1,"a"]}', "d81b82657475706c6582016161", "93c7000101a161"),
    ({1}, '{"$set":[1]}', "d901028101", "92c7000201"),
    (frozenset([1]), '{"$frozenset":[1]}', "d81b826966726f7a656e7365748101", "92c7000301"),
    (b"\xff", '{"$bytes":"/w=="}', "41ff", "c401ff"),
    (2**64, "18446744073709551616", "c249010000000000000000", None),
    (math.inf, '{"$float":"inf"}', "f97c00", "cb7ff0000000000000"),
    ({1: 2}, '{"$dict":[[1,2]]}', "a10102", "810102"),
    ({"$a": 2}, '{"$dict":[["$a",2]]}', "a162246102", "81a2246102"),
    (MOMENT, '{"$datetime":"2024-05-06T07:08:09+00:00"}', None, "d6ff663881d9"),
    (date(2024, 5, 6), '{"$date":"2024-05-06"}', "d903ec6a323032342d30352d3036", None),
    (time(7, 8), '{"$time":"07:08:00"}', None, None),
    (timedelta(1, 2, 3), '{"$timedelta":[1,2,3]}', None, "d60893010203"),
    (Decimal("1.10"), '{"$Decimal":"1.10"}', "c48221186e", "c70509a4312e3130"),
    (UUID(int=5), f'{{"$UUID":"{UUID(int=5)}"}}', f"d82550{5:032x}", None),
    (1 << 2048, f'{{"$int":"0x1{"0" * 512}"}}', None, None),
    ("\ud800\udc00", '{"$str":{"$bytes":"7aCA7bCA"}}', "d81b826373747246eda080edb080", None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "in_json", "in_cbor", "in_msgpack"),
    NOTATIONS,
    ids=[row[1].split('"')[1] if '"' in row[1] else "int" for row in NOTATIONS],
)
def test_the_notation_of_each_type_is_what_files_are_made_of(value, in_json, in_cbor, in_msgpack):
    assert serializer("json").encode(value).decode() == in_json
    if in_cbor is not None:
        assert serializer("cbor").encode(value).hex() == in_cbor
    if in_msgpack is not None:
        assert serializer("msgpack").encode(value).hex() == in_msgpack


@pytest.mark.parametrize(
    "value",
    [
        MOMENT,
        MOMENT.replace(tzinfo=timezone(timedelta(hours=-3)), microsecond=5),
        date(2024, 5, 6),
        {1, 2},
        [Decimal("1.10"), Decimal(-(10**30))],
        UUID(int=9),
        [2**64, -(2**70)],
        [math.inf, {"a": -0.0}],
    ],
    ids=lambda value: type(value).__name__,
)
def test_any_cbor_reader_understands_what_there_is_a_registered_tag_for(value):
    assert same(cbor2.loads(serializer("cbor").encode(value)), value)


def test_other_types_carry_their_name_in_cbor():
    read = cbor2.loads(serializer("cbor").encode(MOMENT.replace(tzinfo=PARIS)))
    assert read == cbor2.CBORTag(27, ("datetime", "2024-05-06T07:08:09+02:00[Europe/Paris]"))


def test_any_messagepack_reader_understands_a_datetime_in_utc():
    raw = serializer("msgpack").encode([MOMENT, MOMENT.replace(year=1, microsecond=7)])
    assert msgpack.unpackb(raw, timestamp=3) == [MOMENT, MOMENT.replace(year=1, microsecond=7)]


def test_a_zone_is_read_by_its_rules_of_today_whatever_offset_was_written():
    raw = b'{"$datetime":"2024-05-06T07:08:09+05:00[Europe/Paris]"}'
    assert same(serializer("json").decode(raw), datetime(2024, 5, 6, 7, 8, 9, tzinfo=PARIS))


def test_pickles_are_of_a_protocol_that_every_supported_python_reads():
    assert serializer("pickle").encode(1).startswith(b"\x80\x05")


# --- What cannot be held.


class Colour(IntEnum):
    RED = 1


class Name(str):
    __slots__ = ()


class Moment(datetime):
    pass


class Odd(tzinfo):
    def utcoffset(self, moment):
        return timedelta(hours=1)

    def dst(self, moment):
        return None

    def tzname(self, moment):
        return "odd"


class Point(NamedTuple):
    x: int
    y: int


def refusal(name, value):
    with pytest.raises(SerializerError) as caught:
        serializer(name).encode(value)
    return str(caught.value)


@safe
@pytest.mark.parametrize(
    ("value", "where"),
    [
        (1j, "$"),
        ({"a": [1, 2, 3, 1j]}, "$['a'][3]"),
        ([({"b": (0, 1j)},)], "$[0][0]['b'][1]"),
        ({1j: 1}, "$.key(1j)"),
        ({"a": {(1, 1j): 1}}, "$['a'].key((1, 1j))[1]"),
        ([{1, 1j}], "$[0].element(1j)"),
        ({frozenset([(1j, 1)])}, "$.element(frozenset({(1j, 1)})).element((1j, 1))[0]"),
        ([1j, object()], "$[0]"),
        ({10**5000: 1j}, "$[<int>]"),
        ({"a" * 99: 1j}, "$['aaaaaaaaaaaa...aaaaaaaaaaaaa']"),
    ],
)
def test_the_error_says_which_type_and_where(name, value, where):
    assert refusal(name, value) == (
        f"{name} cannot hold a complex, at {where}: convert it first, "
        "call register_type() for its class, or use pickle"
    )


def test_the_error_says_where_for_pickle_too():
    message = refusal("pickle", {"a": [1, lambda: 1]})
    assert message.startswith("pickle cannot hold a function, at $['a'][1]: ")
    assert "lambda" in message


@safe
@pytest.mark.parametrize(
    ("value", "kind", "base"),
    [
        (Colour.RED, "Colour", "int"),
        (Name("x"), "Name", "str"),
        (Point(1, 2), "Point", "tuple"),
        (OrderedDict(a=1), "collections.OrderedDict", "dict"),
        (Moment(2024, 1, 1), "Moment", "datetime"),
    ],
)
def test_a_subclass_is_refused_since_it_could_not_come_back_as_such(name, value, kind, base):
    message = refusal(name, {"a": [value]})
    assert f"{kind}, at $['a'][0]: it would come back as a plain {base}" in message
    assert same(round_trip("pickle", value), value)


def subclasses():
    """An instance of a subclass of each plain type, with more than one kind of subclass."""
    plain = [5, 1.5, "a", b"a", [1], (1, 2), {1}, frozenset({1}), {"a": 1}, Decimal("1.5")]
    made = [type(f"My{type(value).__name__}", (type(value),), {})(value) for value in plain]
    return [
        *made,
        Moment(2024, 1, 1),
        type("MyDate", (date,), {})(2024, 1, 1),
        type("MyTime", (time,), {})(1, 2),
        type("MyDelta", (timedelta,), {})(1),
        type("MyUUID", (UUID,), {})(int=1),
        Colour.RED,
        Name("x"),
        Point(1, 2),
        OrderedDict(a=1),
        Counter("a"),
        defaultdict(int, a=1),
        StrEnum("Word", {"A": "a"}).A,
        IntFlag("Bit", {"A": 1}).A,
        sys.version_info,
        struct_time(range(9)),
    ]


@safe
@given(value=values, odd=st.sampled_from(subclasses()), place=st.integers(0, 9))
@settings(max_examples=300)
def test_whatever_is_accepted_comes_back_equal_and_of_the_same_type(name, value, odd, place):
    hashable = type(odd).__hash__ is not None
    holders = [
        lambda part: part,
        lambda part: [value, part],
        lambda part: (value, part),
        lambda part: {"a": part, "b": value},
        lambda part: {"a": [{"b": (part,)}]},
        lambda part: {part} if hashable else [part],
        lambda part: frozenset([part]) if hashable else [part],
        lambda part: {part: value} if hashable else [part],
        lambda part: {(1, part): value} if hashable else [part],
        lambda part: {frozenset([part]): value} if hashable else [part],
    ]
    whole = holders[place](odd)
    with pytest.raises(SerializerError, match=type(odd).__name__):
        serializer(name).encode(whole)
    assert same(round_trip(name, holders[place % 5](value)), holders[place % 5](value))


@safe
@pytest.mark.parametrize(
    "value",
    [
        bytearray(b"x"),
        memoryview(b"x"),
        range(3),
        object,
        msgpack.ExtType(1, b""),
        msgpack.Timestamp(1),
        cbor2.CBORTag(27, ["tuple", [1]]),
        cbor2.undefined,
    ],
    ids=lambda value: type(value).__name__,
)
def test_types_that_a_codec_would_change_silently_are_refused(name, value):
    for holder in (value, [value], {"a": (value,)}, {"b": {"c": value}}):
        assert type(value).__qualname__ in refusal(name, holder)


@safe
def test_a_type_that_only_a_key_or_an_element_can_be_is_refused_there_too(name):
    view = memoryview(b"x")
    assert "memoryview, at $.key(" in refusal(name, {view: b"y"})
    assert "memoryview, at $[0].element(" in refusal(name, [{view}])


@safe
@pytest.mark.parametrize("value", [datetime(2024, 1, 1, tzinfo=Odd()), time(1, tzinfo=Odd())])
def test_a_time_zone_of_another_class_is_refused_with_what_to_use(name, value):
    message = refusal(name, {"at": value})
    assert ", at $['at']: its time zone is a " in message
    assert "Odd" in message
    assert "zoneinfo.ZoneInfo" in message


@safe
@pytest.mark.parametrize("key", [None, "Nowhere/Else", "../UTC"])
def test_a_zone_that_cannot_be_found_again_by_its_name_is_refused(name, key, tmp_path):
    # A zone file with no transitions at all (RFC 8536), which is UTC.
    file = tmp_path / "zone"
    file.write_bytes(
        b"TZif" + bytes(16 + 4 * 4) + (1).to_bytes(4) + (4).to_bytes(4) + bytes(6) + b"UTC\0"
    )
    with file.open("rb") as stream:
        zone = ZoneInfo.from_file(stream, key=key)
    assert f"its time zone {key!r} cannot be loaded" in refusal(
        name, datetime(2024, 1, 1, tzinfo=zone)
    )


@safe
def test_a_value_that_contains_itself_is_refused(name):
    loop = [1]
    loop.append({"again": loop})
    assert refusal(name, loop) == f"{name} cannot hold a list, at $[1]['again']: it contains itself"
    assert "it contains itself" in refusal(name, {"a": (loop,)})
    circle = {}
    circle["a"] = circle
    assert f"{name} cannot hold a dict, at $['a']: it contains itself" == refusal(name, circle)


def nested(depth, wrap, value=1):
    for _ in range(depth):
        value = wrap(value)
    return value


WRAPPERS = {
    "list": lambda value: [value],
    "tuple": lambda value: (value,),
    "dict": lambda value: {"a": value},
    "odd dict": lambda value: {1: value},
    "frozenset": lambda value: frozenset([value]),
}


@full
@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_a_hundred_levels_of_any_container_are_held(name, wrap):
    value = nested(100, wrap)
    assert same(round_trip(name, value), value)


@full
@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
@pytest.mark.parametrize("innermost", [1, [], {}, (), Decimal(2**70)], ids=repr)
def test_what_is_accepted_however_deep_can_be_read_again(name, wrap, innermost):
    codec = serializer(name)
    if wrap is WRAPPERS["frozenset"] and innermost in ([], {}):
        innermost = frozenset()
    for depth in [*range(125, 205), *range(390, 405), *range(505, 515), *range(1018, 1030)]:
        value = nested(depth, wrap, innermost)
        try:
            raw = codec.encode(value)
        except SerializerError:
            break
        codec.decode(raw)


@safe
def test_what_is_accepted_can_be_read_on_the_small_stack_of_a_thread(name):
    # In another process, because an encoder that overruns the stack ends its process.
    program = f"""
import threading
import tracemalloc
from stones.errors import SerializerError
from stones.formats.serializers import serializer

codec = serializer({name!r})

def deepest(wrap):
    value = 1
    while True:
        try:
            raw = codec.encode(value)
        except SerializerError:
            return
        codec.decode(raw)
        value = wrap(value)

def work():
    deepest(lambda value: [value])
    deepest(lambda value: (value,))
    deepest(lambda value: {{"a": value}})
    print("done")

threading.stack_size(512 * 1024)  # as on macOS
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "done\n", done.stderr


@full
def test_a_value_nested_endlessly_deep_is_refused(name):
    value = []
    for _ in range(100_000):
        value = [value]
    assert refusal(name, value) == (
        f"{name} cannot hold a list, at $: it is nested too deeply, or contains itself"
    )


def test_noop_holds_bytes_and_nothing_else():
    codec = serializer("noop")
    assert codec.decode(codec.encode(b"\0x")) == b"\0x"
    for value in (None, "x", bytearray(b"x"), type("Raw", (bytes,), {})(b"x"), [b"x"]):
        assert "it stores bytes as they are" in refusal("noop", value)


# --- Bytes that come from elsewhere.


ORDINARY = (
    *(ValueError, TypeError, KeyError, OSError, OverflowError, RecursionError, ArithmeticError),
    *(cbor2.CBORDecodeError, msgpack.UnpackException),
)


def decode_safely(name, raw):
    with pytest.raises(ORDINARY):
        serializer(name).decode(raw)


def written_with(name, tag, code, packed):
    """The bytes that `name` has for a tag of stones with this content."""
    return {
        "json": json.dumps({f"${tag}": packed}).encode(),
        "cbor": cbor2.dumps(cbor2.CBORTag(27, [tag, packed])),
        "msgpack": msgpack.packb(msgpack.ExtType(code, msgpack.packb(packed))),
    }[name]


@safe
@pytest.mark.parametrize(
    "key",
    [
        "../../../etc/passwd",
        "/etc/passwd",
        "Europe/../../x",
        "Europe",
        "No/Where",
        "\0",
        "x" * 9999,
    ],
)
def test_a_zone_is_only_looked_for_in_the_zone_database(name, key):
    known = written_with(name, "datetime", 5, "2024-05-06T07:08:09[Europe/Paris]")
    assert serializer(name).decode(known).tzinfo is PARIS
    decode_safely(name, written_with(name, "datetime", 5, f"2024-05-06T07:08:09[{key}]"))
    decode_safely(name, written_with(name, "time", 7, f"07:08:09[{key}]"))


@safe
@pytest.mark.parametrize(
    ("tag", "code", "packed"),
    [
        ("os.system", 99, "true"),
        ("__import__", 127, "this"),
        ("", 0, 1),
        ("tuple", 1, None),
        ("set", 2, [[]]),
        ("int", 4, "zz"),
        ("datetime", 5, "yesterday"),
        ("datetime", 5, ["2024-05-06T07:08:09", 1]),
        ("timedelta", 8, [10**12]),
        ("Decimal", 9, "ten"),
        ("UUID", 10, "5"),
        ("bytes", 12, "?"),
        ("dict", 14, [1]),
    ],
)
def test_tags_that_are_not_ours_or_hold_nonsense_are_errors(name, tag, code, packed):
    before = set(sys.modules)
    decode_safely(name, written_with(name, tag, code, packed))
    assert "this" not in set(sys.modules) - before


@pytest.mark.parametrize("number", [1, 5, 25, 28, 29, 30, 35, 36, 52, 100, 256, 260, 1000, 43000])
def test_other_cbor_tags_are_errors_whatever_cbor2_would_make_of_them(number):
    decode_safely("cbor", cbor2.dumps(cbor2.CBORTag(number, 0)))


def test_the_mark_of_a_container_is_an_error_anywhere_but_at_its_head():
    mark = msgpack.ExtType(1, b"")
    assert serializer("msgpack").decode(msgpack.packb([mark, 1])) == (1,)
    for value in (mark, {"a": mark}, [1, mark], [mark, mark], [mark, {"a": mark}], {mark: 1}):
        decode_safely("msgpack", msgpack.packb(value))


@safe
def test_bytes_that_are_nested_endlessly_deep_are_an_error(name):
    opening = {"json": b"[", "cbor": b"\x81", "msgpack": b"\x91"}[name]
    tagged = {
        "json": b'{"$tuple":[',
        "cbor": b"\xd8\x1b\x82\x65tuple\x81",
        "msgpack": b"\x92\xc7\x00\x01",
    }[name]
    decode_safely(name, opening * 100_000)
    decode_safely(name, tagged * 100_000)


@safe
@given(raw=st.one_of(st.binary(), st.text('[]{},:"$0aE-').map(str.encode)))
def test_any_bytes_are_a_value_or_an_ordinary_exception(name, raw):
    with suppress(*ORDINARY):  # a panic of cbor2's Rust code is not among them
        serializer(name).decode(raw)


@safe
def test_bytes_that_are_cut_short_are_an_error(name):
    raw = serializer(name).encode(RECORD)
    for size in range(len(raw)):
        decode_safely(name, raw[:size])


# --- Names, and serializers of the user's own.


def test_those_that_we_ship_come_first_by_name():
    assert serializer_names()[:5] == ["pickle", "json", "cbor", "msgpack", "noop"]
    for name in serializer_names()[:5]:
        assert isinstance(serializer(name), Serializer)
        assert serializer(name).name == name
        assert serializer(name) is serializer(name)


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(SerializerError, match="'yaml', only pickle, json, cbor, msgpack, noop"):
        serializer("yaml")
    assert issubclass(SerializerError, StoneError)
    assert issubclass(SerializerError, ValueError)


def test_a_registered_serializer_is_known_by_its_name_until_registered_again():
    first = register_serializer("test-text", str.encode, bytes.decode)
    assert first.name == "test-text"
    assert serializer("test-text") is first
    assert "test-text" in serializer_names()
    assert first.decode(first.encode("é")) == "é"
    second = register_serializer("test-text", str.encode, bytes.decode)
    assert serializer("test-text") is second


@pytest.mark.parametrize("name", ["pickle", "json", "cbor", "msgpack", "noop", "custom"])
def test_those_that_we_ship_cannot_be_replaced(name):
    with pytest.raises(SerializerError, match="belongs to stones and cannot be replaced"):
        register_serializer(name, str.encode, bytes.decode)


@pytest.mark.parametrize(
    "name", ["", " ", "9x", "-x", "a b", "a.b", "é", "x" * 65, "x\n", None, b"x"]
)
def test_a_name_is_a_short_word(name):
    with pytest.raises(SerializerError, match="cannot be the name of a serializer"):
        register_serializer(name, str.encode, bytes.decode)


@pytest.mark.parametrize("pair", [(None, bytes.decode), (str.encode, "decode")])
def test_a_serializer_is_made_of_two_functions(pair):
    with pytest.raises(SerializerError, match="is made of two functions"):
        register_serializer("test-broken", *pair)
    with pytest.raises(SerializerError, match="is made of two functions"):
        custom_serializer(pair)
    assert "test-broken" not in serializer_names()


@pytest.mark.parametrize("pair", [None, (), (str.encode,), (str.encode, bytes.decode, 1), 7])
def test_a_custom_serializer_takes_a_pair(pair):
    with pytest.raises(SerializerError, match="takes a pair of functions"):
        custom_serializer(pair)


def test_a_custom_serializer_is_called_custom():
    codec = custom_serializer((str.encode, bytes.decode))
    assert codec.name == "custom"
    assert codec.decode(codec.encode("x")) == "x"


@pytest.mark.parametrize("result", ["text", None, bytearray(b"x")])
def test_a_result_that_is_not_bytes_is_refused(result):
    codec = custom_serializer((lambda value: result, bytes.decode))
    kind = type(result).__name__
    with pytest.raises(SerializerError, match=f"its encoder returned {kind}, not bytes"):
        codec.encode({"a": 1})


def test_a_failure_of_the_users_encoder_says_what_it_was_given():
    codec = custom_serializer((str.encode, bytes.decode))
    with pytest.raises(
        SerializerError, match=r"custom cannot hold an int, at \$: TypeError: "
    ) as caught:
        codec.encode(1)
    assert isinstance(caught.value.__cause__, TypeError)


def test_running_out_of_memory_is_not_a_fault_of_the_value():
    def encode(value):
        raise MemoryError

    with pytest.raises(MemoryError):
        custom_serializer((encode, bytes.decode)).encode(1)

    class Greedy:
        def __reduce__(self):
            raise MemoryError

    with pytest.raises(MemoryError):
        serializer("pickle").encode(Greedy())


def test_a_codec_is_imported_when_it_is_first_asked_for():
    program = """
import sys
import stones.formats.serializers
assert not {"cbor2", "msgpack"} & set(sys.modules)
stones.formats.serializers.serializer("msgpack")
assert "msgpack" in sys.modules and "cbor2" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# -- a few bytes that would take much --------------------------------------------------------------


def ext(code, packed):
    return b"\xc9" + len(packed).to_bytes(4, "big") + bytes([code]) + packed


MILLION = 1_000_000
BOMBS = {
    "json, an int of many digits": ("json", b"1" * MILLION),
    "json, lists in lists": ("json", b"[" * MILLION),
    "json, tuples in tuples": ("json", b'{"$tuple":[' * MILLION),
    "json, brackets in a moment": ("json", b'{"$datetime":"' + b"[" * MILLION + b'"}'),
    "json, a delta": ("json", b'{"$timedelta":[' + b"1" * 4000 + b",0,0]}"),
    "cbor, lists in lists": ("cbor", b"\x81" * MILLION),
    "cbor, tuples in tuples": ("cbor", b"\xd8\x1b\x82\x65tuple\x81" * MILLION),
    "cbor, sets in sets": ("cbor", b"\xd9\x01\x02\x81" * MILLION),
    "cbor, tags in tags": ("cbor", b"\xc2" * MILLION),
    "cbor, a list said to be long": ("cbor", b"\x9b" + b"\xff" * 8),
    "cbor, a dict said to be long": ("cbor", b"\xbb\x00\x00\x00" + b"\xff" * 5),
    "cbor, bytes said to be long": ("cbor", b"\x5b\x00\x00\x00" + b"\xff" * 5),
    "cbor, text said to be long": ("cbor", b"\x7b" + b"\xff" * 8),
    "cbor, a decimal": ("cbor", b"\xc4\x82\x01\xc2\x5a" + MILLION.to_bytes(4) + b"\xff" * MILLION),
    "cbor, a value in itself": ("cbor", b"\xd8\x1c\x81\xd8\x1d\x00"),
    "cbor, a string again": ("cbor", b"\xd9\x01\x00\x82\x63aaa\xd8\x19\x00"),
    "cbor, a pattern": ("cbor", b"\xd8\x23\x66(a+)+$"),
    "msgpack, lists in lists": ("msgpack", b"\x91" * MILLION),
    "msgpack, tuples in tuples": ("msgpack", b"\x92\xc7\x00\x01" * MILLION),
    "msgpack, lists said to be long": ("msgpack", b"\xdd\x7f\xff\xff\xff" * 500),
    "msgpack, a dict said to be long": ("msgpack", b"\xdf" + b"\xff" * 4),
    "msgpack, bytes said to be long": ("msgpack", b"\xc6" + b"\xff" * 4),
    "msgpack, extensions in each other": (
        "msgpack",
        reduce(lambda raw, _: ext(9, raw), range(5000), b"\xc0"),
    ),
}


@pytest.mark.parametrize("what", BOMBS)
def test_a_few_bytes_do_not_become_much(what):
    """If the time grew with the square of the bytes, this would take hours."""
    name, raw = BOMBS[what]
    tracemalloc.start()
    with pytest.raises(Exception) as raised:  # noqa: PT011  # a decoder may raise anything
        serializer(name).decode(raw)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert not isinstance(raised.value, MemoryError)
    assert most < 200 * len(raw) + MILLION


@pytest.mark.parametrize("digits", [640, 641, 5000, 100_000])
@pytest.mark.parametrize("name", FULL)
def test_a_decimal_of_any_length_comes_back(name, digits):
    for sign in ("", "-"):
        number = Decimal(f"{sign}{'7' * digits}E-3")
        back = serializer(name).decode(serializer(name).encode(number))
        assert back.as_tuple() == number.as_tuple()


@pytest.mark.parametrize("inner", [(99, b"x"), (1, b""), (9, b"\xa15")])
def test_an_extension_inside_of_an_extension_is_an_error(inner):
    """An extension has only plain forms in it. msgpack's own ExtType is no value of stones."""
    raw = msgpack.packb(msgpack.ExtType(1, msgpack.packb([msgpack.ExtType(*inner)])))
    with pytest.raises(ValueError, match="inside another one"):
        serializer("msgpack").decode(raw)
