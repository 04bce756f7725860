"""The lanes of a scan: each lane finds what the predicate finds, and what jsonpath-ng finds.

Here every lane is forced to look at every page. What a filter means is in test_jsonpath.py.
"""

import math
import re
import struct
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import product
from typing import Any
from uuid import UUID

import cbor2
import msgpack
import pytest
from attrs import Factory, define, field
from hypothesis import event, given, settings
from hypothesis import strategies as st
from jsonpath_ng.jsonpath import DatumInContext

from stones import (
    Collection,
    CorruptValueError,
    LmdbStore,
    MemoryStore,
    QueryError,
    StoneError,
    StoreClosedError,
    key,
    register_type,
)
from stones.collections.language.comparisons import MISSING
from stones.collections.language.jsonpath import parse_filter
from stones.collections.language.nodes import truth
from stones.collections.language.normal_form import EACH, Leaf, normal_form
from stones.collections.records.parts import stable_text
from stones.collections.scans import number_patterns, scan
from stones.collections.scans.number_patterns import number_pattern
from stones.collections.scans.page_filter import PageFilter
from stones.engine import Space
from stones.formats.metadata import write_formats
from stones.stores.spans import Span

LANES = [None, "bytes", "fields", "value"]
SERIALIZERS = ["msgpack", "json", "cbor", "pickle"]
STORES = [(serialize, False) for serialize in SERIALIZERS] + [("msgpack", True), ("json", True)]


@define
class Loose:
    id: int = key()
    a: Any = None
    b: Any = None


def collection(serialize="msgpack", checksums=False, records=()):
    loose = Collection(MemoryStore(serialize=serialize, checksums=checksums or None), Loose)
    loose.add_many(Loose(place, *fields) for place, fields in enumerate(records))
    return loose


def stored_records(collection):
    """The internals of a collection that `scan` reads from."""
    return collection._records


def bound(text, /, **values):
    return parse_filter(text).bound(values)


# -- every lane finds the same -------------------------------------------------------------------

EDGES = [0, 31, 127, 2**8, 2**16, 2**31, 2**32, 2**53, 2**63, 2**64]
NUMBERS = [sign * edge + step for edge in EDGES for sign in (1, -1) for step in (-1, 0, 1)]
FLOATS = [0.0, -0.0, 0.1, 0.5, -0.5, 1.5, 1e-300, -1e300, 5e-324, 2.0**53, 2.0**63, 1e16, 31.0]
FLOATS += [float("nan"), float("inf"), float("-inf")]
TEXTS = ["", "a", "b", "Rome", "Rom", "£age", "é", "日本", 'the "x"', "\\", "\0", "a\n", "1", "$a"]
TEXTS += ["\ud800", "\ud83d\ude00", "\U0001f600", "\x01", '"a":5', "\xa1a\x05"]
OTHERS = [Decimal("0.1"), Decimal(5), Decimal("NaN"), Decimal("-Infinity"), 2**80, -(2**90)]
OTHERS += [date(2024, 1, 1), datetime(2024, 1, 1), datetime(2024, 1, 1, tzinfo=UTC)]
OTHERS += [timedelta(1), UUID(int=5), b"a", b"\xa1a\x05", b"", Fraction(1, 2), Fraction(5)]
LITERALS = [*NUMBERS, *FLOATS, *TEXTS, True, False, None]
NAMES = ["a", "b", "c", "£age", "", "d e", "$dict", "$a", "*", "日本"]

atoms = st.one_of(
    st.sampled_from(["a", "Rome", 5, 5.0, 0, True, None]),
    st.sampled_from(LITERALS),
    st.sampled_from(OTHERS),
    st.integers(-300, 300),
    st.floats(),
    st.integers(),
)
hashable = st.one_of(atoms, st.tuples(atoms, atoms), st.frozensets(atoms, max_size=2))
names = st.one_of(st.sampled_from(NAMES), st.sampled_from(["a", "b"]))
keys = st.one_of(names, names, names, st.sampled_from([1, None, True, b"a", ("a",), 1.5]))


def containers(inner):
    return st.one_of(
        st.dictionaries(names, inner, max_size=3),
        st.fixed_dictionaries({"a": inner}, optional={"b": inner, "£age": inner}),
        st.dictionaries(keys, inner, max_size=3),
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=2).map(tuple),
        st.sets(hashable, max_size=2),
    )


values = st.recursive(atoms, containers, max_leaves=5)
fields = st.tuples(st.one_of(atoms, values), st.one_of(atoms, values, values))

simple_paths = st.sampled_from(
    ["@.a", "@.a", "@.b", "@.id", "@.b.a", "@.b['£age']", "@.b.a.a", "@.b.b.a", "@.b['']"]
)
odd_paths = st.sampled_from(
    ["@.a[*]", "@.b[*]", "@.b.a[*]", "@.a[0]", "@.b[-1]", "@.b['*']", "@..a", "@[*]", "@.b['$a']"]
)
paths = st.one_of(simple_paths, simple_paths, odd_paths)
comparers = st.sampled_from(["==", "==", "==", "!=", "<", "<=", ">", ">="])


@st.composite
def filters(draw, pool):
    """A filter, and the values for its placeholders, many of which are in the pool."""
    given: dict[str, Any] = {}

    def bound_value():
        name = f"v{len(given)}"
        given[name] = draw(st.one_of(st.sampled_from(pool), st.sampled_from(pool), atoms))
        return f"{{{name}}}"

    def comparison():
        path = draw(paths)
        other = draw(st.sampled_from(["@.a", "@.b", "@.b.a"]))
        pattern = draw(st.sampled_from(["a", "^R", "e$", "."]))
        literal = draw(st.sampled_from(["0.1", "5.0", "-0.0", "1.25", "5", '"Rome"', "null"]))
        few = st.lists(st.sampled_from(pool), max_size=3)
        kind = draw(st.integers(0, 11))
        if kind == 0:
            return draw(st.sampled_from([path, f"!{path}"]))
        if kind == 1:
            return f"{path} =~ {pattern!r}"
        if kind == 2:
            return f"{path} {draw(comparers)} {other}"
        if kind == 3:
            return f"{path} {draw(comparers)} {literal}"
        if kind == 4:
            given[f"v{len(given)}"] = draw(few)
            return f"{path} in {{v{len(given) - 1}}}"
        if kind == 5:
            return f"{path} contains {bound_value()}"
        return f"{path} {draw(comparers)} {bound_value()}"

    def condition(depth):
        if depth == 0 or draw(st.integers(0, 2)):
            return comparison()
        word = draw(st.sampled_from(["&&", "||"]))
        group = f"({condition(depth - 1)} {word} {condition(depth - 1)})"
        return group if draw(st.integers(0, 5)) else f"!{group}"

    return f"$[?({condition(2)})]", given


def found_by_jsonpath_ng(filter, records):
    """The places of the matches, as jsonpath-ng evaluates the tree."""
    return [
        place
        for place, record in enumerate(records)
        if all(truth(each, DatumInContext(record)) for each in filter.expressions)
    ]


@pytest.mark.parametrize(("serialize", "checksums"), STORES)
@settings(max_examples=60)
@given(st.data(), st.lists(fields, min_size=3, max_size=12))
def test_every_lane_finds_what_the_predicate_and_jsonpath_ng_find(
    serialize, checksums, data, records
):
    inside = stored_records(collection(serialize, checksums, records))
    dicts = dict(scan.matches(inside, inside.span))
    pool = [*parts_of(records), 5, "a", None]
    for text, values in data.draw(st.lists(filters(pool), min_size=4, max_size=8)):
        check_every_lane(inside, bound(text, **values), dicts)


def parts_of(value):
    """The values inside of a value, so that a filter often asks for one that is there."""
    yield value
    if isinstance(value, dict):
        value = value.values()
    if not isinstance(value, str | bytes) and isinstance(value, Iterable):
        for part in value:
            yield from parts_of(part)


def check_every_lane(inside, condition, dicts):
    expected = [stored for stored, value in dicts.items() if condition.predicate(value)]
    event(f"{bool(expected)} for some, {len(expected) < len(dicts)} for others")
    by_jsonpath_ng = found_by_jsonpath_ng(condition, dicts.values())
    assert [[*dicts].index(stored) for stored in expected] == by_jsonpath_ng
    for lane in LANES:
        check_lane(inside, condition, dicts, expected, lane)


@pytest.mark.parametrize(("serialize", "checksums"), STORES)
@pytest.mark.parametrize("op", ["==", "!=", "<", "<=", ">", ">="])
def test_every_kind_of_value_compares_with_every_other_in_every_lane(serialize, checksums, op):
    values = [*LITERALS, *OTHERS, [], ["a", 5], ("a", True), {"a", 1}, {}, {"a": 5}, {1: "a"}]
    values += [{"$dict": []}, {"$a": 1}, {"£age": "x"}, {"x": {1: 2}}, [["a"]], [{"a": 5}]]
    refused = ["\ud800", "\ud83d\ude00", {1: "a"}, {"x": {1: 2}}]
    for wild in (False, True):  # msgspec refuses pages with some of these values
        found_by_every_lane(
            [each for each in values if wild or each not in refused], serialize, checksums, op
        )


def found_by_every_lane(values, serialize, checksums, op):
    records = [(value, {"a": value, "£age": [value]}) for value in values]
    inside = stored_records(collection(serialize, checksums, records))
    dicts = dict(scan.matches(inside, inside.span))
    texts = [f"@.a {op} {{it}}", f"@.b.a {op} {{it}}", f"@.b['£age'][*] {op} {{it}}"]
    for text, value in product(texts, [*LITERALS[::2], *OTHERS, ["a", 5], {"a": 5}]):
        condition = bound(text, it=value)
        expected = [stored for stored, found in dicts.items() if condition.predicate(found)]
        for lane in ("bytes", "fields"):
            found = list(scan.keys(inside, inside.span, [condition], lane=lane))
            assert found == expected, (text, value, lane)


def check_lane(inside, condition, dicts, expected, lane):
    arguments = (inside, inside.span, [condition])
    assert list(scan.keys(*arguments, lane=lane)) == expected, lane
    backwards = scan.keys(inside, inside.span.reversed(), [condition], lane=lane)
    assert list(backwards) == expected[::-1], lane
    assert scan.count(*arguments, lane=lane) == len(expected), lane
    found = list(scan.matches(*arguments, lane=lane))
    assert stable(found) == stable([(stored, dicts[stored]) for stored in expected]), lane
    paths = [["a"], ["b", "a"], ["b", "£age"]]
    taken = list(scan.field_values(*arguments, paths, lane=lane))
    wanted = [(stored, tuple(at(dicts[stored], path) for path in paths)) for stored in expected]
    assert stable(taken) == stable(wanted), lane


def stable(found):
    """The matches as text: nan does not equal itself, and the items of a set have no order."""
    return [(stored, stable_text(value)) for stored, value in found]


def at(value, path):
    for name in path:
        value = value.get(name, MISSING) if type(value) is dict else MISSING
    return value


# -- numbers in their bytes ----------------------------------------------------------------------


def neighbours(number):
    """Numbers just below and above, as int and as float."""
    found = [number - 1, number, number + 1]
    for each in (*found, number * 256, number // 256):
        if abs(each) < 1e300:
            as_float = float(each)
            found += [as_float, math.nextafter(as_float, 1e309), math.nextafter(as_float, -1e309)]
    return found


EVERY_NUMBER = [*sorted({n for edge in NUMBERS for n in neighbours(edge)}), -0.0]
EVERY_NUMBER += [sign * each for sign in (1, -1) for each in (5e-324, 1.7976931348623157e308)]
OPERATORS = {
    "==": lambda x, y: x == y,
    "<": lambda x, y: x < y,
    "<=": lambda x, y: x <= y,
    ">": lambda x, y: x > y,
    ">=": lambda x, y: x >= y,
}


@pytest.mark.parametrize("op", OPERATORS)
@pytest.mark.parametrize(
    ("forms", "pack", "largest"),
    [
        (number_patterns.MSGPACK, msgpack.packb, 2**64 - 1),
        (number_patterns.CBOR, cbor2.dumps, 2**65),
    ],
    ids=["msgpack", "cbor"],
)
def test_a_pattern_of_numbers_finds_every_number_that_compares_so(op, forms, pack, largest):
    stored = [n for n in EVERY_NUMBER if type(n) is float or -(2**63) <= n <= largest]
    stored += [math.inf, -math.inf]
    packed = [(n, pack(n)) for n in stored]
    kept = 0
    for value in [*NUMBERS, *(x for x in FLOATS if math.isfinite(x)), 200, -200, 70000, 1e300]:
        pattern = re.compile(number_pattern(forms, op, type(value), value), re.DOTALL)
        for number, raw in packed:
            matches = OPERATORS[op](number, value)
            found = pattern.match(raw) is not None
            assert found or not matches, (number, op, value)
            kept += found and not matches
    assert kept < len(packed) * 3  # it finds few numbers that do not compare so


@pytest.mark.parametrize(
    ("raw", "number"),
    [
        *((bytes([n]), n) for n in (0, 1, 126, 127)),
        *((bytes([256 + n]), n) for n in (-1, -2, -31, -32)),
        *((b"\xcc" + bytes([n]), n) for n in (0, 127, 128, 255)),
        *((b"\xcd" + struct.pack(">H", n), n) for n in (0, 255, 256, 2**16 - 1)),
        *((b"\xce" + struct.pack(">I", n), n) for n in (0, 2**16, 2**31, 2**32 - 1)),
        *((b"\xcf" + struct.pack(">Q", n), n) for n in (0, 2**32, 2**63, 2**64 - 1)),
        *((b"\xd0" + struct.pack(">b", n), n) for n in (-1, -32, -33, -128)),
        *((b"\xd1" + struct.pack(">h", n), n) for n in (-1, -128, -129, -(2**15))),
        *((b"\xd2" + struct.pack(">i", n), n) for n in (-1, -(2**15) - 1, -(2**31))),
        *((b"\xd3" + struct.pack(">q", n), n) for n in (-1, -(2**31) - 1, -(2**63))),
        *((b"\xcb" + struct.pack(">d", n), n) for n in (0.0, -0.0, 1.5, -1.5, 1e308, 5e-324)),
    ],
)
def test_each_form_of_a_number_in_messagepack_is_found_on_its_boundaries(raw, number):
    assert msgpack.unpackb(raw) == number
    for op, value in product(OPERATORS, [number, number - 1, number + 1, 0, 0.0, -0.0]):
        pattern = number_pattern(number_patterns.MSGPACK, op, type(value), value)
        if OPERATORS[op](number, value):
            assert re.match(pattern, raw)


@pytest.mark.parametrize("serialize", ["msgpack", "cbor"])
@pytest.mark.parametrize("zero", [0, 0.0, -0.0, Decimal("-0.0"), Decimal(0), Fraction(0)])
def test_every_zero_is_found_in_its_bytes(serialize, zero):
    inside = stored_records(collection(serialize, records=[(zero,), (1,)]))
    for text in ["@.a == 0", "@.a <= 0", "@.a >= -0.0", "@.a > -0.5", "@.a < 1", "@.a == 0.0"]:
        found = list(scan.keys(inside, inside.span, [bound(text)], lane="bytes"))
        value = list(scan.keys(inside, inside.span, [bound(text)], lane="value"))
        assert found == value


# -- what may look like a match, or hide one -----------------------------------------------------


@define(eq=False)
class Chameleon:
    """Equals a text and a number, which only Python can tell."""

    it: Any

    def __eq__(self, other):
        return other == self.it

    __hash__ = None


register_type(Chameleon, "chameleon", lambda value: value.it, Chameleon)


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("serialize", ["msgpack", "json", "cbor"])
def test_a_value_of_a_registered_type_may_equal_anything(serialize, lane):
    records = [(Chameleon("Rome"), {"a": Chameleon(5)}), ("Rome", {"a": 5}), ("x", {"a": 6})]
    inside = stored_records(collection(serialize, records=records))
    for text in ['@.a == "Rome"', "@.b.a == 5", "@.b.a >= 5 && @.b.a <= 5", "@.b.a != 6"]:
        found = list(scan.keys(inside, inside.span, [bound(text)], lane=lane))
        assert found == [b"Loose/\x80", b"Loose/\x81\x01"], text


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("serialize", SERIALIZERS)
def test_hits_that_lie_over_two_records_hide_no_match(serialize, lane):
    """The end of one record and the start of the next look like what is sought."""
    sought = b"\x04\x83\xa2id"
    records = [(1, b"x" + sought[:n]) for n in range(len(sought) + 1)] * 2 + [(1, sought)]
    inside = stored_records(collection(serialize, records=records))
    expected = [n for n, (_, b) in enumerate(records) if b == sought]
    found = scan.keys(inside, inside.span, [bound("@.b == {it}", it=sought)], lane=lane)
    assert [inside.decode_key(stored) for stored in found] == expected


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("serialize", SERIALIZERS)
def test_a_name_elsewhere_in_a_record_is_not_the_field(serialize, lane):
    records = [
        ('"b":"Rome"', None),
        ({"b": "Rome"}, "x"),
        ([{"b": "Rome"}], 5),
        ("\xa1b\xa4Rome", {"b": {"b": "Rome"}}),
        (None, "Rome"),
    ]
    inside = stored_records(collection(serialize, records=records))
    found = scan.keys(inside, inside.span, [bound('@.b == "Rome"')], lane=lane)
    assert [inside.decode_key(stored) for stored in found] == [4]


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("serialize", SERIALIZERS)
def test_the_record_itself_may_be_compared(serialize, lane):
    inside = stored_records(collection(serialize, records=[("x", n) for n in range(3)]))
    second = {"id": 1, "a": "x", "b": 1}
    texts = {"@ == {second}": [1], "@ != {second}": [0, 2], "@ in {seconds}": [1]}
    texts |= {"@": [0, 1, 2], "!@": [], '@ =~ "x"': [], '@ contains "x"': [], "@ > 1": []}
    texts |= {'@ == "x"': [], '@.a == "x" && @ == {second}': [1]}
    for text, expected in texts.items():
        values = {"second": second} if "{second}" in text else {}
        values |= {"seconds": [second]} if "{seconds}" in text else {}
        found = scan.keys(inside, inside.span, [bound(text, **values)], lane=lane)
        assert [inside.decode_key(stored) for stored in found] == expected, text


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("serialize", SERIALIZERS)
def test_a_dict_with_keys_that_are_no_str_has_its_fields_all_the_same(serialize, lane):
    records = [(1, {"a": "Rome", 1: 2}), (2, {1: 2}), (3, {"a": "Rome"}), (4, {"a": 5, None: 0})]
    inside = stored_records(collection(serialize, records=records))
    texts = {'@.b.a == "Rome"': [0, 2], "@.b.a": [0, 2, 3], "!@.b.a": [1], "@.b.a >= 5": [3]}
    for text, expected in texts.items():
        found = scan.keys(inside, inside.span, [bound(text)], lane=lane)
        assert [inside.decode_key(stored) for stored in found] == expected, text


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("serialize", ["msgpack", "json", "cbor"])
def test_a_registered_value_is_found_among_many_that_look_like_one(serialize, lane):
    lookalikes = [("$ \x1b {$", Decimal("1.5"))] * 100
    records = [*lookalikes, *lookalikes, (Chameleon("Rome"), 1), *lookalikes]
    inside = stored_records(collection(serialize, records=records))
    found = scan.keys(inside, inside.span, [bound('@.a == "Rome"')], lane=lane)
    assert [inside.decode_key(stored) for stored in found] == [200]


@define
class Directory:
    """Has fields that are not in its bytes."""

    seed: int

    def get(self, name, default):
        return {"a": f"City {self.seed}", "b": self.seed + 1}.get(name, default)


register_type(Directory, "directory", lambda value: value.seed, Directory)


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("serialize", ["msgpack", "json", "cbor"])
def test_a_registered_type_may_make_up_its_fields(serialize, lane):
    records = [(Directory(5), {"a": Directory(6)}), ({"a": "City 5"}, {"a": {"b": 7}}), (1, 2)]
    inside = stored_records(collection(serialize, records=records))
    for text in ['@.a.a == "City 5"', "@.b.a.b == 7", "@.b.a.b > 6", "@.a.a", "@.b.a.b < 8"]:
        found = scan.keys(inside, inside.span, [bound(text)], lane=lane)
        assert [inside.decode_key(stored) for stored in found] == [0, 1], text


# -- damage --------------------------------------------------------------------------------------


def damaged(loose, place, change):
    """Change the stored bytes of one record."""
    inside = stored_records(loose)
    stored = inside.encode_key(place)
    with inside.database.writing() as txn:
        txn.put(Space.DATA, stored, change(txn.get(Space.DATA, stored)))


@pytest.mark.parametrize("count", [3, 40, 2500])
@pytest.mark.parametrize("text", ['@.a == "x"', "@.a == 5", "@.a != 5", '@.b =~ "x"'])
@pytest.mark.parametrize("serialize", ["msgpack", "json", "pickle"])
def test_a_wrong_checksum_is_met_whatever_the_record_holds(serialize, text, count):
    loose = collection(serialize, True, [(1, "y")] * count)
    damaged(loose, count - 2, lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]))
    for query in (loose.find(text).count, lambda: list(loose.find(text))):
        with pytest.raises(CorruptValueError, match="damaged"):
            query()


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("serialize", SERIALIZERS)
@pytest.mark.parametrize("first", [b"", b"\x07", b"\n", b" ", b"\x85", b"\x02", b"\x04"])
def test_a_wrong_first_byte_is_met_in_every_lane(serialize, lane, first):
    loose = collection(serialize, records=[(1, "y")] * 40)
    damaged(loose, 20, lambda raw: first + raw[1:] if raw[:1] != first and first else b"")
    inside = stored_records(loose)
    for text in ['@.a == "x"', "@.a == 1", "@.a != 5"]:
        with pytest.raises(StoneError):
            scan.count(inside, inside.span, [bound(text)], lane=lane)


def test_damaged_records_do_not_shift_the_others():
    """Two faults that make up for each other: one value is two, another swallows its neighbour."""
    loose = collection("msgpack", records=[(n, "y") for n in range(40)])
    extra = b"\x04" + msgpack.packb({"id": 0, "a": 1000, "b": None})
    damaged(loose, 10, lambda raw: raw + extra)
    damaged(loose, 20, lambda raw: b"\x04\x84" + raw[2:])
    inside = stored_records(loose)
    with pytest.raises(CorruptValueError):
        scan.count(inside, inside.span, [bound("@.a < 100")], lane="fields")


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("serialize", ["msgpack", "json"])
def test_of_two_values_for_a_key_the_last_counts(serialize, lane):
    loose = collection(serialize, records=[(1, 2), (1, 2)])
    twice = {
        "msgpack": b"\x04\x84\xa2id\x00\xa1a\x01\xa1b\x02\xa1a\x05",
        "json": b'\x02{"id":0,"a":1,"b":2,"a":5}',
    }
    damaged(loose, 0, lambda raw: twice[serialize])
    inside = stored_records(loose)
    for text, expected in [("@.a == 5", [0]), ("@.a == 1", [1]), ("@.a > 0", [0, 1])]:
        found = scan.keys(inside, inside.span, [bound(text)], lane=lane)
        assert [inside.decode_key(stored) for stored in found] == expected


# -- several formats -----------------------------------------------------------------------------


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize(
    ("before", "after"),
    [("json", "msgpack"), ("msgpack", "json"), ("pickle", "msgpack"), ("cbor", "json")],
)
def test_a_store_under_migration_has_values_in_two_formats(before, after, lane):
    store = MemoryStore(serialize=before)
    loose = Collection(store, Loose)
    loose.add_many(Loose(n, n % 7, "Rome" if n % 5 else "Bonn") for n in range(40))
    inside = stored_records(loose)
    with inside.database.writing() as txn:
        write_formats(txn, inside.database.codec.metadata.migrating_to(after, False))
        inside.database.reload(txn)
    for n in range(0, 40, 3):
        loose.put(Loose(n, n % 7, "Rome" if n % 5 else "Bonn"))
    for text in [
        "@.a == 3",
        '@.b == "Rome"',
        "@.a > 3 && @.b != 'Rome'",
        "@.a < 2 || @.b == 'Bonn'",
    ]:
        test = parse_filter(text).bind({})
        expected = [n for n in range(40) if test({"a": n % 7, "b": "Rome" if n % 5 else "Bonn"})]
        found = scan.keys(inside, inside.span, [bound(text)], lane=lane)
        assert [inside.decode_key(stored) for stored in found] == expected
        assert scan.count(inside, inside.span, [bound(text)], lane=lane) == len(expected)


# -- fields that records lack --------------------------------------------------------------------


@define
class OldPart:
    city: str = ""


@define
class OldShape:
    id: int = key()
    name: str = ""
    part: OldPart | None = None


@define
class Part:
    city: str = ""
    country: str = "DE"
    since: int = 2000


@define
class Other:
    town: str = ""


@define
class Shape:
    id: int = key()
    name: str = field(default="", converter=str.title)
    part: Part | None = None
    age: int = 30
    tags: list[str] = field(factory=list)


@define
class ListShape(Shape):
    """Its class computes the default of the tags."""

    tags: list[str] = field(factory=lambda: ["new"])


@define
class ComputedShape:
    id: int = key()
    name: str = field(default="", converter=str.title)
    part: OldPart | None = None
    code: str = field(default=Factory(lambda self: self.name.upper(), takes_self=True))


@define
class UnionShape:
    id: int = key()
    name: str = ""
    part: OldPart | Other | None = None


SHAPE_FILTERS = [
    *("@.age == 30", "@.age > 29", "@.age != 30", "!@.age", "@.age", "@.age == 5"),
    *('@.part.country == "DE"', '@.part.country == "FR"', "@.part.since < 2001"),
    *('@.part[*] == "DE"', '@[*] == "new"', '@.tags[*] == "new"', '@.name == "Ada"'),
    *('@.part.city == "Rome"', '@.age == 30 || @.part.city == "Rome"', "@.name == 'ada'"),
]
NEW_SHAPES = {
    Shape: SHAPE_FILTERS,
    ListShape: SHAPE_FILTERS,
    ComputedShape: [
        *('@.code == "ADA"', '@.name == "Ada"', '@.name == "ada"', '@.name != "Ada"', "@.code"),
        *('@.part.city == "Rome"', '@.code =~ "^A"', "!@.code", '@.name == "Ada" || @.id > 20'),
    ],
    UnionShape: [
        *('@.part._type == "OldPart"', "@.part._type", "!@.part._type", '@.part._type != "Other"'),
        *('@.part.city == "Rome"', '@.part.town == "Bonn"', '@.part[*] == "OldPart"'),
    ],
}


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("serialize", SERIALIZERS)
@pytest.mark.parametrize("new", NEW_SHAPES, ids=lambda shape: shape.__name__)
@pytest.mark.parametrize("unknown", ["error", "drop", "keep"])
def test_a_query_sees_the_defaults_of_later_fields_in_every_lane(serialize, lane, new, unknown):
    store = MemoryStore(serialize=serialize)
    parts = [None, OldPart("Rome"), OldPart("DE"), OldPart("new")]
    Collection(store, OldShape, name="shapes").add_many(
        OldShape(n, ["ada", "Ada", "new"][n % 3], parts[n % 4]) for n in range(24)
    )
    shapes = Collection(store, new, name="shapes", unknown=unknown)
    for n in range(24, 30):
        part: Any = Part("Rome", "FR") if issubclass(new, Shape) else OldPart("Rome")
        part = Other("Bonn") if new is UnionShape else part
        shapes.add(new(n, "ada", part))
    inside = stored_records(shapes)
    dicts = dict(scan.matches(inside, inside.span))
    assert len(dicts) == 30
    found_anything = 0
    for text in NEW_SHAPES[new]:
        condition = bound(text)
        expected = [stored for stored, value in dicts.items() if condition.predicate(value)]
        found_anything += bool(expected)
        arguments = (inside, inside.span, [condition])
        assert list(scan.keys(*arguments, lane=lane)) == expected, text
        assert scan.count(*arguments, lane=lane) == len(expected), text
        paths = [["age"], ["part", "country"], ["name"], ["code"], ["part", "_type"]]
        taken = list(scan.field_values(*arguments, paths, lane=lane))
        assert taken == [(s, tuple(at(dicts[s], path) for path in paths)) for s in expected], text
    names = scan.field_values(inside, inside.span, [], [["name"]], lane=lane)
    assert list(names) == [(stored, (value["name"],)) for stored, value in dicts.items()]
    taken = list(scan.field_values(inside, inside.span, [], paths, lane=lane))
    assert taken == [(s, tuple(at(dicts[s], path) for path in paths)) for s in dicts]
    assert found_anything > len(NEW_SHAPES[new]) / 2


# -- large collections ---------------------------------------------------------------------------


@pytest.fixture(params=SERIALIZERS)
def store(request, tmp_path):
    with LmdbStore(tmp_path / "db", serialize=request.param) as store:
        yield store


@pytest.fixture
def many(store):
    """A collection of several pages. Its second half has other values than the first."""
    loose = Collection(store, Loose)
    loose.add_many(Loose(n, *many_fields(n)) for n in range(4000))
    store["M"] = store["z"] = "beside"
    return loose


def many_fields(n):
    if n in (1234, 3333):
        return Decimal(n), {"a": "\ud800"}
    late = n > 2000
    return (n % 1000 / 10 if late else n % 100), {"a": f"City {n % 50 if late else 7}", "é": n}


MANY = [
    *(
        "@.a == 7",
        "@.a > 95",
        "@.a >= 0",
        "@.a < 0.5",
        "@.a != 7",
        '@.b.a == "City 7"',
        "@.a > 2000",
    ),
    *('@.b.a == "City 7" && @.a < 50', '@.b.a == "City 8" || @.a == 99', '@.b.a =~ "9$"'),
    *("@.b['é'] == 77", "!@.b.a", "@.b['é'] * 2 == 200", "@.a[*] == 7", '@.b.a == "nowhere"'),
]


@pytest.mark.parametrize("text", MANY)
def test_a_large_collection_is_read_in_pages(many, text):
    inside, condition = stored_records(many), bound(text)
    expected = [
        inside.encode_key(n)
        for n in range(4000)
        if condition.predicate(dict(zip("ab", many_fields(n), strict=True)) | {"id": n})
    ]
    arguments = (inside, inside.span, [condition])
    for lane in LANES:
        assert list(scan.keys(*arguments, lane=lane)) == expected
        backwards = scan.keys(inside, inside.span.reversed(), [condition], lane=lane)
        assert list(backwards) == expected[::-1]
        assert scan.count(*arguments, lane=lane) == len(expected)
        assert scan.count(*arguments, limit=3, lane=lane) == min(3, len(expected))
    assert [stored for stored, _ in scan.matches(*arguments)] == expected
    part = Span(inside.encode_key(1500), inside.encode_key(3500))
    within = [stored for stored in expected if stored in part]
    assert list(scan.keys(inside, part, [condition])) == within
    values = [stored for stored, _ in scan.field_values(inside, part, [condition], [["b", "a"]])]
    assert values == within


def decided(text, loose, size=500):
    """How many records of a page the bytes, or the fields, leave to the next lane."""
    inside = stored_records(loose)
    with inside.database.reading() as txn:
        reader = inside.reader_at(txn)
        entries = list(txn.scan(Space.DATA, inside.span.start, inside.span.stop))[:size]
    keys, raws = zip(*entries, strict=True)
    left = {}
    for lane in ("bytes", "fields"):
        filter = PageFilter([bound(text)], reader, lane=lane)
        page = filter.page(keys, raws)
        left[lane] = size if page is None else len(filter.matches(page)[1])
    return left


@pytest.mark.parametrize(
    ("text", "bytes", "fields"),
    [
        ('@.name == "Köln 7"', 5, 0),
        ('@.part.city == "Rom 3" && @.age > 5', 5, 0),
        ("@.age == 77", 5, 0),
        ("@.age < 5", 25, 0),
        ("@.age < 5 && @.name =~ '7$'", 25, 0),
        ('@.age == 99 || @.name == "Köln 7"', 10, 0),
        ('@.tags[*] == "tag 7"', 5, 0),
        ("@.age", 500, 0),
        ("!@.age", 500, 0),
        ("@.age != 77", 500, 0),
        ("@.active == true", 250, 0),
        ("@.part == null", 0, 0),
        ("@.name > 'Köln 7'", 500, 0),
        ("@.age < 5 && @.name.`len` == 6", 25, 25),
        ("@.age < @.score", 500, 500),
    ],
)
def test_each_lane_leaves_little_to_the_next(text, bytes, fields):
    people = Collection(MemoryStore(serialize="msgpack"), Person)
    people.add_many(
        Person(
            n,
            f"Köln {n % 100}",
            n % 100,
            n / 7,
            n % 2 == 0,
            OldPart(f"Rom {n % 100}"),
            [f"tag {n % 100}", "x"],
        )
        for n in range(500)
    )
    assert decided(text, people) == {"bytes": bytes, "fields": fields}


@define
class Person:
    id: int = key()
    name: str
    age: int
    score: float
    active: bool
    part: OldPart
    tags: list[str]


# -- iterating -----------------------------------------------------------------------------------


def test_looking_for_one_record_reads_few(many):
    """A damaged record far behind is not met."""
    damaged(many, 400, lambda raw: b"\x00damaged")
    query = many.find("@.a >= 0")
    assert query.exists()
    assert query.first().id == 0
    assert [record.id for record in query.limit(3)] == [0, 1, 2]
    assert scan.count(stored_records(many), stored_records(many).span, [bound("@.a >= 0")], limit=9)
    with pytest.raises(StoneError):
        query.count()


def test_writes_between_two_pages_do_not_change_what_is_found(store, many):
    with store.transaction():
        found = []
        for record in many.find("@.a == 7"):
            found.append(record.id)
            if len(found) == 2:
                del many[107]
                many.put(Loose(3999, 7, None))
                many.put(Loose(5000, 7, None))
    expected = [n for n in range(4000) if n not in (1234, 3333) and many_fields(n)[0] == 7]
    assert found == expected
    assert 3999 in {record.id for record in many.find("@.a == 7")}


def test_a_store_that_is_closed_ends_an_iteration_with_an_error(store, many):
    running = iter(many.find("@.a >= 0"))
    next(running)
    store.close()
    with pytest.raises(StoreClosedError):
        next(running)


@pytest.mark.parametrize("lane", LANES)
def test_an_abandoned_scan_lets_go_of_its_transaction(store, many, lane):
    inside, condition = stored_records(many), bound("@.a >= 0")
    before = store.stats()
    for iterate in (scan.matches, scan.keys):
        running = iterate(inside, inside.span, [condition], lane=lane)
        next(running)
        running.close()
    running = scan.field_values(inside, inside.span, [condition], [["a"]], lane=lane)
    next(running)
    del running
    assert store.stats() == before


def test_a_star_in_quotes_is_a_name_like_any_other():
    each, name = (normal_form(bound(text).expressions) for text in ("@.b[*]", "@.b['*']"))
    assert each.parts == (Leaf(("b", EACH), "exists"),)
    assert name.parts == (Leaf(("b", "*"), "exists"),)


def test_a_filter_without_placeholders_is_bound_once():
    parsed = parse_filter("@.a == 5")
    assert parsed.bound({}) is parsed.bound({})
    with pytest.raises(QueryError):
        parsed.bound({"age": 5})
