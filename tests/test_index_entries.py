"""The entries of an index: what a record has, what a search reads, and how they are stored."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from stones import register_type
from stones.collections.indexes.definition import (
    IndexDefinition,
    all_definitions,
    definition_key,
    drop_definition,
    dropped_prefixes,
    forget_dropped,
    info_of,
    next_id,
    note_progress,
    read_definitions,
    write_definition,
)
from stones.collections.indexes.encoding import MISSING, OTHER, class_range, encode, encode_prefix
from stones.collections.indexes.entries import (
    Entry,
    entries_of,
    entry_maker,
    parse,
    value_range,
)
from stones.collections.indexes.generated import entries_adder
from stones.engine import Space
from stones.engines.memory import MemoryEngine
from stones.errors import CorruptValueError, FormatMismatchError
from stones.formats.generation import read_generation
from stones.formats.metadata import new_metadata, read_metadata, write_formats
from stones.formats.registered_types import UnknownValue
from stones.stores.spans import after_prefix

AGE = IndexDefinition(7, ("age",))


def entry_of(definition, record, key=b"k", matches=None):
    """The only entry of a record, taken apart."""
    ((entry, stored),) = entries_of(definition, record, key, matches).items()
    return parse(definition, entry, stored)


def values_of(definition, record, key=b"k"):
    found = entries_of(definition, record, key)
    return sorted(parse(definition, *entry).values for entry in found.items())


# -- entries -----------------------------------------------------------------------------------


def test_an_entry_has_the_id_the_value_and_the_key():
    entries = entries_of(AGE, {"name": "ada", "age": 36}, b"ada")

    assert entries == {b"\0\0\0\7" + encode(36) + b"ada": b""}
    assert entry_of(AGE, {"age": 36}, b"ada") == Entry((encode(36),), b"ada", (b"c",), True)


def test_a_missing_field_and_none_have_entries_of_their_own():
    assert entry_of(AGE, {}).values == (encode(MISSING),)
    assert entry_of(AGE, {"age": None}).values == (encode(None),)


def test_a_path_leads_into_dicts_only():
    city = IndexDefinition(7, ("address.city",))

    assert entry_of(city, {"address": {"city": "Rome"}}).values == (encode("Rome"),)
    for record in ({}, {"address": None}, {"address": {}}, {"address": "x"}, {"address": ["city"]}):
        assert entry_of(city, record).values == (encode(MISSING),)


def test_a_value_that_only_a_query_can_look_into_is_other():
    class Own:
        def get(self, name, default):
            return "Rome"

    city = IndexDefinition(7, ("address.city",))

    assert entry_of(city, {"address": Own()}).values == (OTHER,)


def test_a_compound_index_has_the_values_one_after_the_other():
    index = IndexDefinition(7, ("country", "age"))

    entry = entry_of(index, {"country": "DE", "age": 36.5}, b"\xffk")

    assert entry == Entry((encode("DE"), encode(36.5)), b"\xffk", (b"c", b"f"), True)


@pytest.mark.parametrize("container", [list, tuple, set, frozenset])
def test_each_element_has_one_entry(container):
    tags = IndexDefinition(7, ("tags",), each_path=0)

    found = values_of(tags, {"tags": container(["a", "b", "a"])})

    assert found == [(encode("a"),), (encode("b"),)]


@pytest.mark.parametrize(
    ("value", "encoded"),
    [([], MISSING), (None, MISSING), ((), MISSING), ("text", []), ({"a": 1}, []), (1, [])],
)
def test_a_record_without_elements_has_an_entry_too(value, encoded):
    tags = IndexDefinition(7, ("tags",), each_path=0)

    assert values_of(tags, {"tags": value}) == [(encode(encoded),)]
    assert values_of(tags, {}) == [(encode(MISSING),)]


def test_equal_elements_of_different_types_have_one_entry_that_cannot_be_decoded():
    tags = IndexDefinition(7, ("tags",), each_path=0)

    assert entry_of(tags, {"tags": [1, 1.0]}).kinds == (b"?",)
    assert entry_of(tags, {"tags": [1.0, 1.0]}).kinds == (b"f",)


def test_one_path_of_a_compound_index_may_be_taken_by_its_elements():
    index = IndexDefinition(7, ("age", "tags"), each_path=1)

    found = values_of(index, {"age": 1, "tags": ["b", "a"]})

    assert found == [(encode(1), encode("a")), (encode(1), encode("b"))]


def test_a_partial_index_has_only_the_records_that_meet_its_condition():
    index = IndexDefinition(7, ("age",), where="@.active == true")
    make = entry_maker(index, lambda record: record["active"])

    assert make({"age": 1, "active": False}, b"k") == {}
    assert len(make({"age": 1, "active": True}, b"k")) == 1


def test_a_long_value_is_cut():
    entry = entry_of(AGE, {"age": "x" * 1000})

    assert not entry.exact
    assert entry.kinds == (b"?",)
    assert len(entry.values[0]) == 230


def test_other_and_what_cannot_be_decoded_is_told_by_the_entry():
    assert not entry_of(AGE, {"age": [1]}).exact
    assert entry_of(AGE, {"age": Decimal(1)}).exact
    assert entry_of(AGE, {"age": Decimal(1)}).kinds == (b"?",)
    assert entry_of(AGE, {"age": datetime.now(UTC)}).kinds == (b"?",)


@pytest.mark.parametrize("size", [1, 276, 277, 278, 505])
@pytest.mark.parametrize("unique", [False, True])
@pytest.mark.parametrize("value", [None, "x", "x" * 500])
def test_an_entry_fits_and_has_the_whole_key(size, unique, value):
    index = IndexDefinition(7, ("age",), unique=unique)
    ((entry, stored),) = entries_of(index, {"age": value}, b"k" * size).items()

    assert len(entry) <= 511
    assert parse(index, entry, stored).key == b"k" * size


def test_a_key_that_looks_like_a_long_one_has_an_entry_of_its_own():
    (long,) = entries_of(AGE, {"age": 1}, b"k" * 400)
    ending = long[4 + len(encode(1)) :]

    assert long not in entries_of(AGE, {"age": 1}, ending)
    assert entry_of(AGE, {"age": 1}, ending).key == ending


# -- unique ------------------------------------------------------------------------------------

EMAIL = IndexDefinition(7, ("email",), unique=True)


def test_records_with_the_same_unique_value_meet_in_one_entry():
    first, second = (entries_of(EMAIL, {"email": "a"}, key) for key in (b"1", b"2"))

    assert first.keys() == second.keys()
    assert first != second
    assert entry_of(EMAIL, {"email": "a"}, b"1").key == b"1"


@pytest.mark.parametrize("value", [None, float("nan"), [], "x" * 300, Decimal("sNaN"), 10**300 + 1])
def test_values_that_are_never_the_same_or_unclear_have_entries_apart(value):
    first, second = (entries_of(EMAIL, {"email": value}, key) for key in (b"1", b"2"))

    assert not first.keys() & second.keys()


def test_one_none_makes_a_compound_value_unlike_all_others():
    index = IndexDefinition(7, ("a", "b"), unique=True)
    first, second = (entries_of(index, {"a": 1, "b": None}, key) for key in (b"1", b"2"))

    assert not first.keys() & second.keys()


# -- ranges ------------------------------------------------------------------------------------

values = st.one_of(
    st.none(), st.integers(-3, 3), st.sampled_from([0.5, "", "a", "a" * 300, "a" * 301, "ab", []])
)


@given(st.lists(values, max_size=8), values, st.booleans())
def test_a_range_has_every_entry_between_its_bounds(found, bound, is_open):
    entries = {}
    for place, value in enumerate(found):
        entries |= dict.fromkeys(entries_of(AGE, {"age": value}, b"%d" % place), value)

    low = value_range(AGE, low=encode(bound), above=is_open)
    high = value_range(AGE, high=encode(bound), through=is_open)

    for entry, value in entries.items():
        exact = parse(AGE, entry, b"").exact
        is_above = encode(value) > encode(bound) if is_open else encode(value) >= encode(bound)
        is_below = encode(value) <= encode(bound) if is_open else encode(value) < encode(bound)
        assert (low[0] <= entry < low[1]) >= is_above
        assert (high[0] <= entry < high[1]) >= is_below
        if exact:
            assert (low[0] <= entry < low[1]) == is_above
            assert (high[0] <= entry < high[1]) == is_below


@given(values, values, values)
def test_equal_values_are_a_range(one, other, age):
    index = IndexDefinition(7, ("country", "age"))
    (entry,) = entries_of(index, {"country": one, "age": age}, b"\xff")

    start, stop = value_range(index, [encode(other)])
    exact, past = value_range(index, [encode(one), encode(age)])

    if encode(one) == encode(other):
        assert start <= entry < stop
    elif len(encode(one)) < 115:
        assert not start <= entry < stop
    assert exact <= entry < past


def test_a_class_and_a_prefix_of_a_text_are_ranges():
    ages = [-1, 0.5, 10**400, "abc", "abd", "b", True]
    entries = {entry: age for age in ages for entry in entries_of(AGE, {"age": age}, b"k")}
    low, high = class_range(encode(0))
    numbers = value_range(AGE, low=low, high=high)
    text = encode_prefix("ab")
    texts = value_range(AGE, low=text, high=after_prefix(text))

    assert [v for e, v in sorted(entries.items()) if numbers[0] <= e < numbers[1]] == ages[:3]
    assert [v for e, v in sorted(entries.items()) if texts[0] <= e < texts[1]] == ["abc", "abd"]


def test_a_long_prefix_of_a_text_finds_the_cut_entries():
    (entry,) = entries_of(AGE, {"age": "x" * 400}, b"k")
    text = encode_prefix("x" * 300)

    start, stop = value_range(AGE, low=text, high=after_prefix(text))

    assert start <= entry < stop


@given(st.binary(max_size=30), st.binary(max_size=6))
def test_damaged_entries_are_an_error_of_ours(entry, stored):
    index = IndexDefinition(7, ("a", "b"))
    with suppress(CorruptValueError):
        parse(index, index.prefix + entry, stored)


# -- definitions -------------------------------------------------------------------------------


@pytest.fixture
def txn():
    txn = MemoryEngine().begin(write=True)
    write_formats(txn, new_metadata("msgpack"))
    return txn


def test_a_definition_comes_back_from_the_metadata(txn):
    index = IndexDefinition(
        next_id(txn), ("age", "tags"), 1, True, "@.x == 'é'", "failed", b"\0\xff", "both have 'x'"
    )
    write_definition(txn, "User", index)

    assert read_definitions(txn, "User") == (index,)
    assert list(all_definitions(txn)) == [("User", index)]
    assert index.name == "age,tags[@.x == 'é']"
    assert info_of(index).paths == ("age", "tags")


def test_definitions_belong_to_one_collection_and_come_in_the_order_of_their_ids(txn):
    for collection, path in [("User", "b"), ("User", "a"), ("User2", "c"), ("Use", "d")]:
        write_definition(txn, collection, IndexDefinition(next_id(txn), (path,)))

    assert [index.name for index in read_definitions(txn, "User")] == ["b", "a"]
    assert [name for name, _ in all_definitions(txn)] == ["Use", "User", "User", "User2"]


def test_a_change_begins_another_generation_and_progress_does_not(txn):
    index = IndexDefinition(next_id(txn), ("age",), state="building")
    before = read_generation(txn)
    write_definition(txn, "User", index)
    after = read_generation(txn)
    note_progress(txn, "User", evolve(index, at=b"k"))

    assert before != after == read_generation(txn)
    assert read_definitions(txn, "User")[0].at == b"k"


def test_the_first_index_changes_the_layout_for_good(txn):
    assert txn.get(Space.META, b"version") == b"1"

    index = IndexDefinition(next_id(txn), ("age",))
    write_definition(txn, "User", index)
    drop_definition(txn, "User", index)
    write_formats(txn, read_metadata(txn))

    assert txn.get(Space.META, b"version") == b"2"
    txn.put(Space.META, b"version", b"4")
    with pytest.raises(FormatMismatchError, match="layout"):
        read_metadata(txn)


def test_a_dropped_index_leaves_its_id_behind_until_it_is_swept(txn):
    index = IndexDefinition(next_id(txn), ("age",))
    write_definition(txn, "User", index)
    drop_definition(txn, "User", index)

    assert read_definitions(txn, "User") == ()
    assert dropped_prefixes(txn) == [index.prefix]
    assert next_id(txn) == index.id + 1
    forget_dropped(txn, index.prefix)
    assert dropped_prefixes(txn) == []


SOUND = {
    "id": 1, "paths": ["age"], "each": None, "unique": False, "where": None, "state": "ready",
    "at": "", "problem": "",
}  # fmt: skip
WRONG = [
    {"id": 0}, {"id": True}, {"paths": ["a b"]}, {"paths": []}, {"paths": ["name"]}, {"each": 5},
    {"unique": 1}, {"where": "\x1b[2J"}, {"state": "new"}, {"at": "x"}, {"problem": None}, {"x": 1},
]  # fmt: skip


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"[]",
        b"{}",
        b"[" * 100_000,
        *(json.dumps({**SOUND, **part}).encode() for part in WRONG),
    ],
)
def test_a_damaged_definition_is_an_error_of_ours(txn, stored):
    txn.put(Space.META, definition_key("User", "age"), stored)

    with pytest.raises(CorruptValueError, match="damaged"):
        read_definitions(txn, "User")


@pytest.mark.parametrize("raw", [b"x", b"-1", b"9" * 30, b"4294967295"])
def test_a_damaged_number_of_the_last_index_is_an_error_of_ours(txn, raw):
    txn.put(Space.META, b"indexid", raw)

    with pytest.raises(CorruptValueError, match="damaged"):
        next_id(txn)
    txn.put(Space.META, b"dropped/zz", b"")
    with pytest.raises(CorruptValueError, match="damaged"):
        dropped_prefixes(txn)


# -- generated source --------------------------------------------------------------------------

kinds_of_indexes = [
    IndexDefinition(1, ("a",)),
    IndexDefinition(2, ("b.c",), unique=True),
    IndexDefinition(3, ("a",), unique=True),
    IndexDefinition(4, ("b.c",)),
    IndexDefinition(5, ("a", "b.c")),
    IndexDefinition(6, ("a",), each_path=0),
    IndexDefinition(7, ("a",), where="@.d == true"),
]
anything = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(2**53 - 2, 2**53 + 2), st.floats(),
    st.decimals(), st.text(), st.text("\0\ud800a", max_size=3), st.datetimes(), st.lists(st.text()),
    st.sampled_from([-0.0, 0.0, 0, "x" * 226, "x" * 227, "x" * 228, "é" * 114, float("inf")]),
)  # fmt: skip
records = st.fixed_dictionaries(
    {"d": st.booleans()},
    optional={
        "a": anything,
        "b": st.one_of(anything, st.fixed_dictionaries({}, optional={"c": anything})),
    },
)


@given(records, st.binary(min_size=1, max_size=3), st.sampled_from([1, 276, 277]))
def test_generated_source_gives_the_same_entries(record, key, size):
    conditions = [None] * 6 + [lambda record: record["d"]]
    key *= size
    expected, found, plain, floats = {}, {}, [], []
    for index, matches in zip(kinds_of_indexes, conditions, strict=True):
        expected |= entries_of(index, record, key, matches)

    entries_adder(kinds_of_indexes, conditions)(record, key, plain, floats, found)

    assert dict.fromkeys(plain, b"") | dict.fromkeys(floats, b"f") | found == expected


class Label(str):
    __slots__ = ()


class Labels(list):
    pass


class Place(dict):
    pass


@pytest.mark.parametrize("value", [Label("a"), Labels(["a"]), Place(city="Rome")])
@pytest.mark.parametrize(
    "index",
    [
        IndexDefinition(1, ("at",)),
        IndexDefinition(1, ("at.city",)),
        IndexDefinition(1, ("at",), each_path=0),
    ],
    ids=["value", "inside", "each"],
)
def test_a_program_that_does_not_know_a_type_gives_its_values_the_same_entries(value, index):
    register_type(type(value), f"test.{type(value).__name__}", list, type(value))
    known = entries_of(index, {"at": value}, b"k")
    assert known == entries_of(index, {"at": UnknownValue("a type", [])}, b"k")
