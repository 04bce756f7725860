"""The encodings of stones 0.3, as the real 0.3.0 writes and reads them."""

import ipaddress
import math
import uuid
from collections import OrderedDict
from datetime import UTC, date, datetime, time
from decimal import Decimal
from fractions import Fraction
from http import HTTPStatus
from urllib.parse import urlsplit

import cbor2
import lmdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stones.errors import SerializerError
from stones.formats.stones03 import stones03_serializer

from .stones03 import provide_stones03  # noqa: F401
from .test_serializers import same

CHANGED = ["json", "cbor", "msgpack"]
ALL = ["pickle", *CHANGED, "noop"]


COMMON = [
    *[None, True, False, 0, -1, 2**63, 1.5, -0.0, 1e300, math.nan, math.inf, -math.inf],
    *["", "é/\"\\\n\0\u2028", b"", b"x", "é".encode()],
    *[{}, (), set(), frozenset(), [1], [[1]], [None, True, 2.5], [["a", b"b"], {"c": "d"}]],
    [[1], "a", b"b", ["a", b"b", [b"c", "d"]]],
    {"a": "b", b"c": b"d", "e": ["f", b"g"], "h": {"i": "j", "k": b"l", "m": [1, "n"]}},
    (1, "a", b"b", None),
    {1, "a", b"b", None, 2.5},
    frozenset([1, "a", b"b"]),
    {"a": None, "b": True, "c": 1},
    [{"a": [{"b": ["c"]}]}],
]  # fmt: skip
LISTS = [[], [[]], [[], 1], {"a": []}, {"a": {"b": [[]]}}, ([],), [[[], []]]]
NESTED_TUPLES = [[(1, 2)], {"a": (1, (2, "x"))}, ((1,), [(2,)]), [[(1, ("a", b"b"))]]]
NESTED_SETS = [[{1}], {"a": {"b"}}, ({1}, frozenset([2])), [{"a": frozenset([1])}]]
SETS_OF_CONTAINERS = [{(1, 2)}, {frozenset([1])}, frozenset([(1, ("a",))])]
OTHER_KEYS = [{1: 2}, {None: 1}, {1.5: 1}, {True: 1}, {"a": {2: 3}}]
CONTAINER_KEYS = [{(1, 2): 3}, {frozenset([1]): 2}, {"k": {(1, (2, 3)): 4}}]
RICH = [
    *[datetime(2020, 1, 1, 12, 30, 1, 5, UTC), date(2020, 1, 1), Decimal("1.10"), Fraction(1, 2)],
    *[uuid.UUID(int=1), 2**70, -(2**70), 1 + 2j, [Decimal("-0.5"), {"at": date(1, 1, 1)}]],
]  # fmt: skip
# An int, and a tuple of str.
SUBCLASSES = [OrderedDict(a=1), HTTPStatus.OK, urlsplit("a://b"), [urlsplit("c")]]
UNHELD = [
    object(),
    range(3),
    time(1),
    datetime(2020, 1, 1),
    [object()],
    b"\xff",
    "\ud800",
    ["\ud800"],
]
MARKED = [["__(,)__", 1], [b"__{,}__", 1], {"a": [b"__(,)__", 1]}, [[b"__f{}__"]], (b"__(,)__", 1)]
EVERYTHING = [
    *[*COMMON, *LISTS, *NESTED_TUPLES, *NESTED_SETS, *SETS_OF_CONTAINERS, *OTHER_KEYS],
    *[*CONTAINER_KEYS, *RICH, *SUBCLASSES, *UNHELD, *MARKED],
    *[bytearray(b"x"), ipaddress.ip_address("1.2.3.4"), {"a": 1, b"a": 2}, {"a", b"a"}],
]  # fmt: skip

changed = pytest.mark.parametrize("name", CHANGED)


def accepted(name, values):
    """Each of the values that the serializer accepts, with its bytes."""
    codec = stones03_serializer(name)
    for value in values:
        try:
            yield value, codec.encode(value)
        except SerializerError:
            continue


@changed
def test_what_0_3_wrote_and_read_we_read_the_same(stones03, name):
    raws = [raw for ok, raw in stones03.encode(name, EVERYTHING) if ok]
    read = stones03.decode(name, raws)
    assert sum(ok for ok, _ in read) > 40
    for raw, (ok, value) in zip(raws, read, strict=True):
        assert not ok or same(stones03_serializer(name).decode(raw), value)


@changed
def test_what_we_write_0_3_reads_as_we_do(stones03, name):
    codec = stones03_serializer(name)
    values, raws = zip(*accepted(name, EVERYTHING), strict=True)
    read = stones03.decode(name, raws)
    assert sum(ok for ok, _ in read) > 40
    for value, raw, (ok, result) in zip(values, raws, read, strict=True):
        if ok:
            assert same(codec.decode(raw), result)
            continue
        # 0.3 cannot read its own bytes of this value either. Today's stones can.
        ((written, own),) = stones03.encode(name, [value])
        ((readable, _),) = stones03.decode(name, [own])
        assert written
        assert not readable
        assert same(codec.decode(raw), codec.decode(own))


@changed
def test_nothing_is_written_that_0_3_would_not_have(stones03, name):
    values = [value for value, _ in accepted(name, EVERYTHING)]
    assert all(ok for ok, _ in stones03.encode(name, values))


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("json", [*OTHER_KEYS, *CONTAINER_KEYS, *SETS_OF_CONTAINERS[::2], Decimal("1.10")]),
        ("json", [[Decimal("-0.5"), 1], {"a": 1, b"a": 2}, {"a", b"a"}, *MARKED[:2], "\ud800"]),
        ("msgpack", [MARKED[1], MARKED[2], MARKED[3]]),
        ("cbor", [ipaddress.ip_address("1.2.3.4")]),
    ],
)
def test_what_would_come_back_as_something_else_is_refused(stones03, name, refused):
    assert all(ok for ok, _ in stones03.encode(name, refused))
    assert not list(accepted(name, refused))


@changed
def test_all_else_that_0_3_wrote_is_written(stones03, name):
    values = [*COMMON, *LISTS, *NESTED_TUPLES, *NESTED_SETS, *RICH, *SUBCLASSES]
    values += {"json": [], "cbor": [*OTHER_KEYS, *CONTAINER_KEYS], "msgpack": OTHER_KEYS}[name]
    values = [value for value in values if not (name == "json" and is_decimal(value))]
    written = stones03.encode(name, values)
    held = [value for value, (ok, _) in zip(values, written, strict=True) if ok]
    assert len(held) > 40
    assert [value for value, _ in accepted(name, held)] == held


def is_decimal(value):
    return isinstance(value, Decimal) or (isinstance(value, list) and any(map(is_decimal, value)))


@pytest.mark.parametrize(
    ("name", "raw", "value"),
    [
        ("json", b"null", None),
        ("json", b"[]", []),
        ("json", b'{"a":[]}', {b"a": []}),
        ("json", b"[[]]", [[]]),
        ("json", b'["__{,}__",[1,["a"]]]', {(1, ("a",))}),
        ("json", b'["__f{}__",[]]', frozenset([()])),
        ("json", b'"\\ud800"', b"\xed\xa0\x80"),
        ("json", b'["__{,}__",{}]', [b"__{,}__", {}]),  # it was a list when 0.3 wrote it
        ("msgpack", b"\x90", []),
        ("msgpack", b"\x92\xc4\x07__{,}__\x90", [b"__{,}__", []]),
        ("msgpack", b"\x81\xa1a\x91\x90", {"a": [[]]}),
        ("msgpack", b"\x81\x01\x02", {1: 2}),
        ("msgpack", b"\x81\x93\xc4\x07__(,)__\x01\x02\x03", {(1, 2): 3}),
    ],
)
def test_what_0_3_wrote_and_could_not_read_we_read(stones03, name, raw, value):
    assert not stones03.decode(name, [raw])[0][0]
    assert same(stones03_serializer(name).decode(raw), value)


keys = st.one_of(st.text(max_size=5), st.binary(max_size=5))
scalars = st.one_of(
    *(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False)),
    *(st.text(), st.binary(), st.sampled_from([b"__(,)__", "__{,}__", b"__f{}__"])),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.one_of(keys, scalars), inner, max_size=3),
        st.sets(scalars, max_size=3),
        st.frozensets(st.one_of(scalars, st.lists(scalars, max_size=2).map(tuple)), max_size=3),
    ),
    max_leaves=8,
)


@changed
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(values, min_size=5, max_size=25))
def test_ours_and_the_real_one_agree_on_any_values(stones03, name, values):
    codec = stones03_serializer(name)
    theirs = [raw for ok, raw in stones03.encode(name, values) if ok]
    ours = [raw for _, raw in accepted(name, values)]
    read = stones03.decode(name, [*theirs, *ours])
    for raw, (ok, value) in zip([*theirs, *ours], read, strict=True):
        ours_of_it = codec.decode(raw)
        assert not ok or same(ours_of_it, value)
    held = [value for value, _ in accepted(name, values)]
    assert all(ok for ok, _ in stones03.encode(name, held))


@pytest.mark.parametrize("name", ALL)
def test_a_database_may_be_written_by_both_in_turn(stones03, name, tmp_path):
    codec = stones03_serializer(name)
    values = [b"x", b""] if name == "noop" else [(1, b"x"), {b"c": 2}]
    stones03.make_database(tmp_path / "db", name, {b"theirs": values[0]})
    with lmdb.open(str(tmp_path / "db")) as environment, environment.begin(write=True) as txn:
        assert same(codec.decode(txn.get(b"theirs")), values[0])
        txn.put(b"ours", codec.encode(values[1]))
    read = stones03.read_database(tmp_path / "db", name)
    assert same(read, {b"ours": values[1], b"theirs": values[0]})


@changed
@pytest.mark.parametrize(
    "value", [object(), [1, {"a": object()}], range(2), {"x": {"y": b"\xff", "z": range(1)}}]
)
def test_what_0_3_could_not_write_is_refused_with_its_type_and_place(name, value):
    with pytest.raises(SerializerError, match=f"^{name} of stones 0.3 cannot hold a"):
        stones03_serializer(name).encode(value)


def test_the_error_says_where_and_what_to_do():
    with pytest.raises(SerializerError) as caught:
        stones03_serializer("json").encode([{"a": [1, {2}]}])
    assert str(caught.value) == (
        "json of stones 0.3 cannot hold a set, at $[0]['a'][1]: 0.3 could not write it here; "
        "convert it first, or migrate the store"
    )
    with pytest.raises(SerializerError, match=r"a bytes, at \$\['a'\]\[0\]: UnicodeDecodeError"):
        stones03_serializer("json").encode({"a": [b"\xff"]})
    with pytest.raises(
        SerializerError, match=r"a list, at \$\['a'\]: it would come back as another"
    ):
        stones03_serializer("msgpack").encode({"a": [b"__(,)__"]})


@pytest.mark.parametrize("name", ["pickle", *CHANGED])
def test_what_is_nested_too_deeply_is_refused(name):
    value = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(SerializerError, match="it is nested too deeply"):
        stones03_serializer(name).encode(value)


@changed
def test_a_value_that_contains_itself_is_refused(name):
    loop = {}
    loop["again"] = [loop]
    with pytest.raises(SerializerError, match="it contains itself"):
        stones03_serializer(name).encode(loop)


@pytest.mark.parametrize("name", ["yaml", "custom", ""])
def test_names_that_0_3_did_not_have_are_refused(name):
    with pytest.raises(SerializerError, match="only pickle, json, cbor, msgpack and noop"):
        stones03_serializer(name)


@pytest.mark.parametrize("name", ALL)
def test_the_serializers_of_0_3_are_known_by_their_names(name):
    assert stones03_serializer(name).name == name


@pytest.mark.parametrize(
    "raw",
    [
        b"\xd8\x1c\x81\xd8\x1d\x00",  # a list in itself
        b"\x82\xd8\x1c\x81\x01\xd8\x1d\x00",  # a list twice
        b"\xd9\x01\x00\x82\x63aaa\xd8\x19\x00",  # a string twice
    ],
)
def test_cbor_that_refers_to_parts_of_itself_is_not_of_0_3(raw):
    with pytest.raises(cbor2.CBORDecodeError):
        stones03_serializer("cbor").decode(raw)
