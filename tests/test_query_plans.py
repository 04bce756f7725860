"""Plans, without a store: which entries of which index have the records that match."""

import pytest

from stones.collections.indexes.definition import IndexDefinition
from stones.collections.indexes.encoding import OTHER, encode
from stones.collections.indexes.entries import entries_of
from stones.collections.keys import key_codec
from stones.collections.language.jsonpath import parse_filter
from stones.collections.planning.key_ranges import primary_key
from stones.collections.planning.plan import QueryIndex, candidates, conjuncts

AGE = IndexDefinition(1, ("age",))
CITY = IndexDefinition(2, ("address.city",))
TAGS = IndexDefinition(3, ("tags",), each_path=0)
COUNTRY_AGE = IndexDefinition(4, ("country", "age"))
ACTIVE_AGE = IndexDefinition(5, ("age",), where="@.active == true")


def conditions(text):
    return conjuncts(parse_filter(text).bound({}).expressions)


def query_index(definition):
    where = () if definition.where is None else conditions(definition.where)
    return QueryIndex(definition, where=where)


def plan(text, *definitions, key=None):
    return candidates(conditions(text), [query_index(each) for each in definitions], key)


def finds(candidate, definition, record):
    """Whether a candidate of one index finds an entry of a record."""
    (access,) = candidate.sides[0]
    entries = entries_of(definition, record, b"key")
    return any(span.start <= entry < span.stop for span in access.spans for entry in entries)


def test_an_equality_finds_its_value_and_values_without_an_order():
    [found] = plan("@.age == 30", AGE)
    assert finds(found, AGE, {"age": 30})
    assert finds(found, AGE, {"age": 30.0})
    assert finds(found, AGE, {"age": [30]})
    assert not finds(found, AGE, {"age": 31})
    assert not finds(found, AGE, {})


def test_two_bounds_on_one_path_are_one_range():
    [found] = plan("@.age >= 18 && @.age < 30", AGE)
    assert [finds(found, AGE, {"age": age}) for age in (17, 18, 29, 30)] == [
        False,
        True,
        True,
        False,
    ]
    assert found.used == {0, 1}
    assert found.sides[0][0].complete


def test_two_bounds_on_elements_are_never_one_range():
    """One element may be above the one, another element below the other."""
    [found] = plan('@.tags[*] > "a" && @.tags[*] < "c"', TAGS)
    assert len(found.used) == 1
    assert finds(found, TAGS, {"tags": ["z", "A"]})


def test_contains_and_a_wildcard_use_an_index_of_elements():
    for text in ('@.tags[*] == "x"', '@.tags contains "x"', '@.tags[*] in ["x", "y"]'):
        [found] = plan(text, TAGS)
        assert finds(found, TAGS, {"tags": ["w", "x"]})
        assert not finds(found, TAGS, {"tags": ["w"]})
    assert plan('@.tags == "x"', TAGS) == []


def test_another_spelling_of_a_path_is_the_same_path():
    for text in ("@.address.city", "@['address']['city']", "@.address['city']"):
        [found] = plan(f'{text} == "Rome"', CITY)
        assert found.name == "address.city"


def test_a_compound_index_takes_equalities_and_then_one_range():
    [found] = plan('@.age > 30 && @.country == "DE"', COUNTRY_AGE)
    assert finds(found, COUNTRY_AGE, {"country": "DE", "age": 31})
    assert not finds(found, COUNTRY_AGE, {"country": "DE", "age": 30})
    assert not finds(found, COUNTRY_AGE, {"country": "FR", "age": 31})
    assert found.sides[0][0].fixed == 1
    assert plan("@.age > 30", COUNTRY_AGE) == []


def test_a_choice_of_values_is_a_point_for_each():
    [found] = plan('@.country in ["DE", "FR"] && @.age == 7', COUNTRY_AGE)
    assert len(found.sides[0][0].spans) == 6
    assert finds(found, COUNTRY_AGE, {"country": "FR", "age": 7})
    assert not finds(found, COUNTRY_AGE, {"country": "FR", "age": 8})


def test_a_partial_index_answers_only_queries_with_its_condition():
    assert plan("@.age > 30", ACTIVE_AGE) == []
    assert plan("@.age > 30 && @.active == 1", ACTIVE_AGE) == []
    [found] = plan("@['active'] == true && @.age > 30", ACTIVE_AGE)
    assert found.used == {0, 1}
    [whole] = plan("@.active == true", ACTIVE_AGE)
    assert whole.sides[0][0].complete


def test_a_disjunction_needs_an_index_for_each_side():
    [found] = plan('@.age == 7 || @.address.city == "Rome"', AGE, CITY)
    assert found.name == "age | address.city"
    assert plan('@.age == 7 || @.name == "x"', AGE, CITY) == []
    many = " || ".join(f"@.age == {age}" for age in range(65))
    assert plan(many, AGE) == []


def test_the_existence_of_a_value_is_only_a_last_resort():
    [weak] = plan("@.age", AGE)
    assert weak.sides[0][0].is_weak
    [city] = plan('@.age && @.address.city == "x"', AGE, CITY)
    assert city.name == "address.city"


@pytest.mark.parametrize(
    "text", ["@.age != 3", '@.age =~ "3"', "@.age + 1 == 3", "@.age == @.size", "!(@.age == 3)"]
)
def test_other_conditions_use_no_index(text):
    assert plan(text, AGE) == []


def test_an_order_with_null_or_a_bool_finds_no_record():
    [found] = plan("@.age < null", AGE)
    assert found.sides[0][0].spans == ()


def test_null_is_a_value_and_missing_is_another():
    [null] = plan("@.age == null", AGE)
    [missing] = plan("!@.age", AGE)
    assert finds(null, AGE, {"age": None})
    assert not finds(null, AGE, {})
    assert finds(missing, AGE, {})
    assert not finds(missing, AGE, {"age": None})


# -- the primary key ---------------------------------------------------------------------------


def key_spans(text, fields, annotation):
    codec = key_codec(annotation)
    found = plan(text, key=primary_key(fields, codec))
    return [span for each in found for span in each.sides[0][0].spans], codec


def test_a_key_is_a_point_and_so_is_each_of_a_choice():
    [span], codec = key_spans('@.id == "x"', ["id"], str)
    assert (span.start, span.is_point) == (codec.encode("x"), True)
    spans, _ = key_spans("@.id in [7, 5, 7]", ["id"], int)
    assert len(spans) == 2


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("@.id > 4.5", [5, 6], [4, -5]),
        ("@.id >= 5.0", [5], [4]),
        ("@.id < -0.5", [-1], [0]),
        ("@.id <= 4.5", [4], [5]),
        ("@.id > 3 && @.id < 6", [4, 5], [3, 6]),
    ],
)
def test_a_range_of_keys_takes_numbers_of_all_types(text, inside, outside):
    [span], codec = key_spans(text, ["id"], int)
    for value in inside:
        assert span.start <= codec.encode(value) < (span.stop or b"\xff" * 9)
    for value in outside:
        assert not span.start <= codec.encode(value) < (span.stop or b"\xff" * 9)


@pytest.mark.parametrize("text", ['@.id == "5"', "@.id == true", "@.id == 5.5", "@.id == null"])
def test_a_value_that_no_key_equals_finds_nothing(text):
    found = plan(text, key=primary_key(["id"], key_codec(int)))
    assert found[0].sides[0][0].spans == ()


def test_the_first_parts_of_a_tuple_and_a_prefix_of_the_next_are_a_range():
    spans, codec = key_spans('@.a == 1 && @.b =~ "^x"', ["a", "b"], tuple[int, str])
    [span] = spans
    assert span.start <= codec.encode((1, "xy")) < span.stop
    assert not span.start <= codec.encode((1, "y")) < span.stop
    assert key_spans('@.b == "x"', ["a", "b"], tuple[int, str])[0] == []


def test_a_field_that_is_a_tuple_has_its_parts_in_brackets():
    [span], codec = key_spans("@.id[0] == 1", ["id"], tuple[int, str])
    assert span.start <= codec.encode((1, "x")) < span.stop


def test_the_tag_of_values_without_an_order_is_the_last():
    assert all(encode(value) < OTHER for value in (None, 1, "x", b"", True))
