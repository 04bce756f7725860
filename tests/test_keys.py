"""The encoding of keys: in the order of the keys, no two the same, and back again."""

import uuid
from datetime import UTC, date, datetime, timedelta, timezone
from enum import IntEnum
from itertools import pairwise
from typing import Annotated, Any, NamedTuple, NewType, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stones.collections.keys import key_codec
from stones.errors import CollectionError, CorruptValueError, InvalidKeyError, KeyTypeError

CAIRO = timezone(timedelta(hours=2, microseconds=1))

ints = st.integers() | st.integers(-(2**2000), 2**2000) | st.integers(-300, 300)
# Zeros and ones are what gets escaped in a tuple, so that they should be seen often.
texts = st.text("\0\1\2aé\uffff\U0001f600", max_size=4) | st.text(max_size=8)
bytestrings = st.binary(max_size=8) | st.lists(st.sampled_from(b"\0\1\2\xff"), max_size=5).map(
    bytes
)
naive = st.datetimes()
aware = st.datetimes(
    datetime(2, 1, 1), datetime(9998, 1, 1), timezones=st.just(UTC) | st.just(CAIRO)
)

KEYS: dict[Any, st.SearchStrategy[Any]] = {
    int: ints,
    str: texts,
    bytes: bytestrings,
    uuid.UUID: st.uuids() | st.builds(uuid.UUID, int=st.integers(0, 300)),
    date: st.dates(),
    datetime: naive,
    Annotated[datetime, "aware"]: aware,
    tuple[str]: st.tuples(texts),
    tuple[str, int]: st.tuples(texts, ints),
    tuple[str, str]: st.tuples(texts, texts),
    tuple[bytes, bytes]: st.tuples(bytestrings, bytestrings),
    tuple[int, bytes]: st.tuples(ints, bytestrings),
    tuple[datetime, date, uuid.UUID]: st.tuples(naive, st.dates(), st.uuids()),
    tuple[tuple[str, int], str]: st.tuples(st.tuples(texts, ints), texts),
    tuple[str, tuple[bytes, tuple[int, str]]]: st.tuples(
        texts, st.tuples(bytestrings, st.tuples(ints, texts))
    ),
}
TYPES = pytest.mark.parametrize("annotation", KEYS, ids=str)


# -- order -------------------------------------------------------------------------------------


@TYPES
@given(data=st.data())
def test_the_bytes_sort_as_the_keys_do_and_are_equal_where_the_keys_are(annotation, data):
    keys = data.draw(st.lists(KEYS[annotation], max_size=8))
    encode = key_codec(annotation).encode
    assert sorted(keys, key=encode) == sorted(keys)
    assert len(set(map(encode, keys))) == len(set(keys))


@TYPES
@given(data=st.data())
def test_decoding_gives_the_key_back(annotation, data):
    key = data.draw(KEYS[annotation])
    codec = key_codec(annotation)
    found = codec.decode(codec.encode(key))
    assert found == key
    assert hash(found) == hash(key)
    assert type(found) is type(key)


@pytest.mark.parametrize(
    ("annotation", "keys"),
    [
        (
            tuple[str, int],
            [("", 5), ("\0", 0), ("\0", 1), ("\1", 0), ("a", 2), ("a\0", 1), ("aa", 1)],
        ),
        (tuple[bytes, bytes], [(b"a", b""), (b"a", b"\xff"), (b"a\0", b""), (b"a\1", b"")]),
        (tuple[str, str], [("a", "b"), ("a", "c"), ("ab", ""), ("b", "a")]),
        (str, ["", "\0", "a", "a\0", "aa", "b", "é", "\ud7ff", "\ue000", "\uffff", "\U00010000"]),
        (
            int,
            sorted(
                {
                    sign * (2**power + step)
                    for power in (0, 1, 7, 8, 16, 63, 64, 1007, 1008, 1015, 1016, 4000)
                    for step in (-1, 0, 1)
                    for sign in (1, -1)
                }
            ),
        ),
        (date, [date.min, date(999, 12, 31), date(1000, 1, 1), date(2024, 2, 29), date.max]),
        (datetime, [datetime.min, datetime.resolution + datetime.min, datetime.max]),
    ],
)
def test_the_edges_are_in_order_too(annotation, keys):
    codec = key_codec(annotation)
    encoded = [codec.encode(key) for key in keys]
    assert all(one < other for one, other in pairwise(keys))
    assert all(one < other for one, other in pairwise(encoded))
    assert [codec.decode(raw) for raw in encoded] == keys


@given(st.lists(naive | aware))
def test_naive_and_aware_datetimes_may_be_mixed(keys):
    codec = key_codec(datetime)
    found = [codec.decode(raw) for raw in sorted(map(codec.encode, keys))]
    assert [x for x in found if x.tzinfo is None] == sorted(x for x in keys if x.tzinfo is None)
    assert [x for x in found if x.tzinfo] == sorted(x for x in keys if x.tzinfo)


# -- what they look like -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("annotation", "key", "raw"),
    [
        (str, "ada@example.org", b"ada@example.org"),
        (str, "", b""),
        (bytes, b"\0\xff", b"\0\xff"),
        (date, date(2024, 2, 29), b"2024-02-29"),
        (datetime, datetime(2024, 2, 29), b"2024-02-29T00:00:00.000000"),
        (datetime, datetime(1, 1, 1, 2, tzinfo=CAIRO), None),
        (datetime, datetime(2024, 2, 29, 2, 0, 0, 1, CAIRO), b"2024-02-29T00:00:00.000000Z"),
        (uuid.UUID, uuid.UUID(int=258), bytes(14) + b"\1\2"),
        (int, 0, b"\x80"),
        (int, 1, b"\x81\x01"),
        (int, 256, b"\x82\x01\x00"),
        (int, -1, b"\x7e\xfe"),
        (int, 2**1008, b"\xff\x81\x7f\x01" + bytes(126)),
        (tuple[str, int], ("a\0b\1", 5), b"a\1\1b\1\2\0\x81\5"),
        (tuple[tuple[str], str], (("a",), ""), b"a\0\0"),
    ],
)
def test_a_key_is_written_like_this(annotation, key, raw):
    if raw is None:
        with pytest.raises(InvalidKeyError, match="years 1 to 9999 in UTC"):
            key_codec(annotation).encode(key)
    else:
        assert key_codec(annotation).encode(key) == raw


def test_a_codec_is_named_as_its_annotation():
    names = [key_codec(kind).name for kind in (str, uuid.UUID, tuple[str, tuple[int, date]])]
    assert names == ["str", "UUID", "tuple[str, tuple[int, date]]"]


def test_an_aware_datetime_comes_back_in_utc():
    codec = key_codec(datetime)
    found = codec.decode(codec.encode(datetime(2024, 2, 29, 2, tzinfo=CAIRO)))
    assert found == datetime(2024, 2, 29, 2, tzinfo=CAIRO)
    assert found.tzinfo is UTC


@pytest.mark.parametrize("instant", [datetime.min, datetime.max])
def test_the_first_and_the_last_instant_are_keys(instant):
    codec = key_codec(datetime)
    assert codec.decode(codec.encode(instant)) == instant
    key = instant.replace(tzinfo=UTC)
    assert codec.decode(codec.encode(key)) == key


@pytest.mark.parametrize(
    "key",
    [
        datetime.min.replace(tzinfo=timezone(timedelta(hours=1))),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))),
    ],
)
def test_an_instant_beyond_the_calendar_of_utc_is_refused(key):
    with pytest.raises(InvalidKeyError, match="years 1 to 9999"):
        key_codec(tuple[datetime]).encode((key,))


class Size(IntEnum):
    SMALL = 1


class Text(str):
    __slots__ = ()


class Raw(bytes):
    __slots__ = ()


class Point(NamedTuple):
    x: int
    y: int


@pytest.mark.parametrize(
    ("annotation", "key", "plain"),
    [
        (int, Size.SMALL, 1),
        (str, Text("a"), "a"),
        (bytes, Raw(b"a"), b"a"),
        (tuple[int, int], Point(1, 2), (1, 2)),
    ],
)
def test_an_instance_of_a_subclass_is_the_plain_key(annotation, key, plain):
    codec = key_codec(annotation)
    assert codec.encode(key) == codec.encode(plain)
    assert type(codec.encode(key)) is bytes


# -- which types -------------------------------------------------------------------------------

UserId = NewType("UserId", int)
T = TypeVar("T", bound=str)


@pytest.mark.parametrize(
    ("annotation", "name"),
    [
        (UserId, "int"),
        (Annotated[UserId, "an id"], "int"),
        (tuple[Annotated[str, 1], UserId], "tuple[str, int]"),
        (T, "str"),
    ],
)
def test_what_stands_for_a_key_type_is_looked_through(annotation, name):
    assert key_codec(annotation).name == name


@pytest.mark.parametrize(
    "annotation",
    [
        float,
        bool,
        list[int],
        tuple,
        tuple[()],
        tuple[int, ...],
        tuple[str, float],
        int | None,
        Any,
        "str",
        Point,
        None,
        TypeVar("Free"),
        TypeVar("Constrained", int, str),
    ],
)
def test_other_annotations_cannot_be_keys(annotation):
    with pytest.raises(
        CollectionError, match=r"cannot be a key: a key is an int, str, bytes, UUID"
    ):
        key_codec(annotation)


@pytest.mark.parametrize(
    ("annotation", "key", "message"),
    [
        (str, 5, "expected a key of type str, got int 5"),
        (str, b"a", "expected a key of type str, got bytes b'a'"),
        (str, None, "expected a key of type str, got None"),
        (bytes, "a", "expected a key of type bytes, got str 'a'"),
        (bytes, bytearray(b"a"), r"expected a key of type bytes, got bytearray\(b'a'\)"),
        (int, True, "expected a key of type int, got bool True"),
        (int, 1.0, "expected a key of type int, got float 1.0"),
        (date, datetime(2024, 1, 1), r"expected a key of type date, got datetime.datetime\(2024"),
        (datetime, date(2024, 1, 1), r"expected a key of type datetime, got datetime.date\(2024"),
        (uuid.UUID, "a", "expected a key of type UUID, got str 'a'"),
        (tuple[str, int], "a", r"expected a key of type tuple\[str, int\], got str 'a'"),
        (tuple[str, int], ("a",), r"of type tuple\[str, int\], got tuple \('a',\)"),
        (tuple[str, int], ["a", 1], r"of type tuple\[str, int\], got list \['a', 1\]"),
        (tuple[str, int], ("a", "b"), r"got tuple \('a', 'b'\): .* of type int, got str 'b'"),
        pytest.param(str, 10**5000, "type str, got int of very many digits", id="long int"),
    ],
)
def test_a_key_of_another_type_is_refused(annotation, key, message):
    with pytest.raises(KeyTypeError, match=message):
        key_codec(annotation).encode(key)


@pytest.mark.parametrize(("annotation", "key"), [(str, "a\ud800"), (tuple[str], ("\udfff",))])
def test_a_lone_surrogate_is_refused(annotation, key):
    with pytest.raises(InvalidKeyError, match="lone surrogate"):
        key_codec(annotation).encode(key)


# -- damage ------------------------------------------------------------------------------------


@TYPES
@given(data=st.data())
def test_any_other_bytes_are_recognized_as_damaged(annotation, data):
    codec = key_codec(annotation)
    raw = data.draw(st.binary(max_size=24) | KEYS[annotation].map(codec.encode).flatmap(damaged))
    try:
        key = codec.decode(raw)
    except CorruptValueError:
        return
    assert codec.encode(key) == raw


def damaged(raw: bytes) -> st.SearchStrategy[bytes]:
    place, replacement = st.integers(0, len(raw)), st.binary(max_size=2)
    return st.builds(lambda at, new: raw[:at] + new + raw[at + len(new) // 2 :], place, replacement)


@pytest.mark.parametrize(
    ("annotation", "raw"),
    [
        (str, b"\xff"),
        (date, b"20240229"),
        (date, b"2024-W09-4"),
        (date, b"2024-02-30"),
        (datetime, b"2024-02-29T00:00:00"),
        (datetime, b"2024-02-29T00:00:00.000000+00:00"),
        (datetime, b"yesterday"),
        (uuid.UUID, b"short"),
        (int, b""),
        (int, b"\x82\x01"),
        (int, b"\x81\x00"),
        (int, b"\x80\x00"),
        (int, b"\x7f"),
        (int, b"\xff\x81\x01\x05"),
        (int, b"\xff" * 2000),
        (tuple[str, int], b"a"),
        (tuple[str, int], b"a\1\0\x80"),
        (tuple[str, int], b"a\0\x80\x80"),
    ],
)
def test_damaged_bytes_are_an_error(annotation, raw):
    with pytest.raises(CorruptValueError, match=r"is not a key of type .*: it is damaged"):
        key_codec(annotation).decode(raw)
