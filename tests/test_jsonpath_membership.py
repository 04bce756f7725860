"""`in` and `contains`: what stones adds to the language of jsonpath-ng.

Both are told by what jsonpath-ng knows: `in` is any of several `==`, and `contains` is `==` with an
item. So jsonpath-ng's own evaluation says what they find here too.
"""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
from attrs import define, field
from hypothesis import event, given, settings
from hypothesis import strategies as st
from jsonpath_ng.ext import parse

from stones import Collection, MemoryStore, QueryError, key
from stones.collections.language.jsonpath import parse_filter, parse_search, parse_values
from stones.collections.language.normal_form import EACH, Leaf, normal_form
from stones.formats.messages import show

from .test_jsonpath import (
    LITERALS,
    UNUSUAL,
    Level,
    Name,
    found,
    found_by_jsonpath_ng,
    many_records,
    names,
    singular_paths,
    written,
)

literals = st.sampled_from([value for value in LITERALS if value != 10**20])
several = st.lists(literals, max_size=4)
paths = st.one_of(
    st.sampled_from(["@.a", "@.b", "@.a", "@['d e']", "@", "@.a.b"]),
    st.sampled_from(["@.a[*]", "@..a", "@.*", "@[*]", "@['a','b']", "@.a[0:2]", "@.a[?(@)]"]),
    singular_paths,
)


def listed(values):
    return f"[{', '.join(map(written, values))}]"


def found_slowly(text, records, /, **values):
    """The positions of the records that match, as jsonpath-ng evaluates the nodes of stones.

    A condition with `$` is left to jsonpath-ng. The one here is true for all records.
    """
    return found(f"$[?(({text[4:-2]}) && $)]", records, **values)


# -- in: the same as several == --------------------------------------------------------------------


@settings(max_examples=400)
@given(paths, several, many_records)
def test_in_finds_what_any_of_several_comparisons_finds(path, values, records):
    text = f"$[?({path} in {listed(values)})]"
    any_of = " || ".join(f"{path} == {written(value)}" for value in values)
    expected = found_by_jsonpath_ng(f"$[?({any_of})]", records) if values else []
    event(f"{bool(expected)} for some, {len(expected) < len(records)} for others")
    assert found(text, records) == expected
    assert found_slowly(text, records) == expected


@settings(max_examples=300)
@given(paths, several, many_records)
def test_not_in_finds_all_other_records(path, values, records):
    text = f"$[?(!({path} in {listed(values)}))]"
    inside = found(f"$[?({path} in {listed(values)})]", records)
    expected = [place for place in range(len(records)) if place not in inside]
    assert found(text, records) == expected
    assert found_slowly(text, records) == expected


@settings(max_examples=300)
@given(paths, several, many_records, st.sampled_from([list, tuple, iter]))
def test_bound_values_are_in_like_literals(path, values, records, kind):
    expected = found(f"$[?({path} in {listed(values)})]", records)
    assert found(f"$[?({path} in {{values}})]", records, values=kind(values)) == expected
    assert found_slowly(f"$[?({path} in {{values}})]", records, values=kind(values)) == expected


def typed(value):
    """A name for a test, the same in each process: an address in memory is left out."""
    return f"{type(value).__name__}-{show(value)}".partition(" at 0x")[0]


NAN = float("nan")
EVERY_TYPE = [
    *(*UNUSUAL, *LITERALS),
    *(2**53, 2**53 + 1, float(2**53), 2**1100, 0.1, -0.0, NAN, float("inf"), -float("inf")),
    *(Decimal("0.1"), Decimal(float("0.1")), Decimal(1), Decimal("1E+400"), Decimal("NaN")),
    *(Decimal("sNaN"), Decimal("Infinity"), Level.HIGH, Name("a"), b"", b"a"),
    *(date(2024, 1, 1), datetime(2024, 1, 1), datetime(2024, 1, 1, tzinfo=UTC), UUID(int=1)),
    *([1], (1,), {1}, {"a": [True]}, frozenset({"a"}), [[]], [NAN], ["a", "b"], "ab"),
]


@pytest.mark.parametrize("value", EVERY_TYPE, ids=typed)
def test_a_value_of_any_type_is_in_as_it_is_equal(value):
    records = [*({"a": each} for each in EVERY_TYPE), {}]
    expected = found("$[?(@.a == {value})]", records, value=value)
    assert found("$[?(@.a in {values})]", records, values=[value]) == expected
    assert found("$[?(@.a in {values})]", records, values=["other", value, 17]) == expected
    assert found_slowly("$[?(@.a in {values})]", records, values=[value]) == expected


@pytest.mark.parametrize("first", ["0.1", "1.0", "9007199254740993.0", "1", "'a'"])
def test_a_literal_is_in_as_it_is_equal(first):
    records = [{"a": each} for each in EVERY_TYPE]
    records += [{"a": number} for number in (2**53 + 1, Decimal(2**53 + 1))]
    expected = found(f"$[?(@.a == {first})]", records)
    assert expected
    assert found(f"$[?(@.a in [{first}, 17])]", records) == expected
    assert found_slowly(f"$[?(@.a in [{first}, 17])]", records) == expected


def test_all_values_at_once_are_in_as_each_is_equal():
    records = [{"a": each} for each in EVERY_TYPE]
    equal = {
        place
        for value in EVERY_TYPE
        for place in found("$[?(@.a == {value})]", records, value=value)
    }
    assert found("$[?(@.a in {values})]", records, values=EVERY_TYPE) == sorted(equal)


def test_many_values_are_looked_up_at_once():
    class Counted:
        comparisons = 0

        def __eq__(self, other):
            Counted.comparisons += 1
            return False

        __hash__ = None

    test = parse_filter("@.a in {values}").bind({"values": [*range(100_000), Counted()]})
    assert [test({"a": number}) for number in (0, 99_999, 100_000)] == [True, True, False]
    assert Counted.comparisons == 1


@pytest.mark.parametrize(
    "values",
    [
        *(["Ada", "Kurt"], ("Ada", "Kurt"), {"Ada", "Kurt"}, frozenset({"Ada", "Kurt"})),
        *({"Ada": 1, "Kurt": 2}, {"Ada": 1, "Kurt": 2}.keys(), {1: "Ada", 2: "Kurt"}.values()),
    ],
    ids=lambda values: type(values).__name__,
)
def test_the_values_may_be_any_iterable(values):
    assert names("@.name in {values}", values=values) == ["Ada", "Kurt"]
    assert names("@.name in {values}", values=(value for value in values)) == ["Ada", "Kurt"]


@pytest.mark.parametrize("value", ["Ada", b"Ada", "", bytearray(b"x"), memoryview(b"x")])
def test_a_text_is_not_taken_for_a_list_of_letters(value):
    with pytest.raises(QueryError, match=r"in takes a list of values, not one value, .*write =="):
        found("@.name in {value}", value=value)


@pytest.mark.parametrize("value", [None, 5, True, object(), 10**5000], ids=typed)
def test_what_is_no_iterable_is_refused(value):
    with pytest.raises(QueryError, match=r"'@.name in \{value\}': in takes a list of values, not"):
        found("@.name in {value}", value=value)


# -- contains: the same as == with an item ---------------------------------------------------------


def contains_by_jsonpath_ng(path, value, record):
    """Whether a value of the path is an array with an item that jsonpath-ng finds equal, or a text
    with this text in it."""
    for match in parse(path).find(record):
        if isinstance(match.value, list) and parse(f"$[?(@ == {written(value)})]").find(
            match.value
        ):
            return True
        if isinstance(match.value, str) and isinstance(value, str) and value in match.value:
            return True
    return False


@settings(max_examples=400)
@given(paths, literals, many_records)
def test_contains_finds_what_a_comparison_with_each_item_finds(path, value, records):
    text = f"$[?({path} contains {written(value)})]"
    whole = f"${path[1:]}"
    expected = [
        place
        for place, record in enumerate(records)
        if contains_by_jsonpath_ng(whole, value, record)
    ]
    event(f"{bool(expected)} for some, {len(expected) < len(records)} for others")
    assert found(text, records) == expected
    assert found_slowly(text, records) == expected
    bound = f"$[?({path} contains {{value}})]"
    assert found(bound, records, value=value) == expected
    assert found_slowly(bound, records, value=value) == expected
    others = [place for place in range(len(records)) if place not in expected]
    assert found(f"$[?(!({text[4:-2]}))]", records) == others


@pytest.mark.parametrize("value", EVERY_TYPE, ids=typed)
def test_an_array_of_any_type_contains_what_equals_an_item(value):
    records: list[Any] = [{"a": [1.5, each]} for each in EVERY_TYPE]
    records += [{"a": ("x", each)} for each in EVERY_TYPE]
    expected = found("$[?(@.a[*] == {value})]", records, value=value)
    assert found("$[?(@.a contains {value})]", records, value=value) == expected
    assert found_slowly("$[?(@.a contains {value})]", records, value=value) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('@.tags contains "maths"', ["Ada", "Alan"]),
        ('@.tags contains "math"', []),  # an item is compared as a whole
        ('@.tags contains "logic"', ["Kurt"]),  # a tuple
        ('@.name contains "a"', ["Ada", "Alan", "Grace"]),
        ('@.name contains ""', ["Ada", "Alan", "Grace", "Kurt", "Emmy"]),
        ('@.address contains "city"', []),  # a dict contains nothing
        ('@.address contains "London"', []),
        ("@.age contains 36", []),  # nor does a number
        ("@.name contains 3", []),
        ('@.tags[*] contains "poe"', ["Ada"]),
        ('@.missing contains "a"', []),
        ('!(@.tags contains "maths")', ["Grace", "Kurt", "Emmy"]),
        ('@.age in [36, 41.0, "85", null]', ["Ada", "Alan", "Kurt"]),
        ("@.age in [1]", []),  # true is no number
        ("@.age in [true]", ["Emmy"]),
        ("@.age in []", []),
        ("!(@.age in [])", ["Ada", "Alan", "Grace", "Kurt", "Emmy"]),
        ("@.address in [null]", ["Grace"]),  # a missing field is not null
        ('@.tags[*] in ["logic", "poetry"]', ["Ada", "Kurt"]),
        ('@.address.city in ["London"] && @.tags contains "maths"', ["Ada"]),
        ('$[?(@.tags[?(@ in ["logic"])] || @.age in [85])]', ["Grace", "Kurt"]),
        ('@.tags[?(@ contains "og")]', ["Kurt"]),
        ("@.age + 1 in [42]", ["Alan"]),
        ("!(@.age + 1 in [42])", ["Ada", "Grace"]),  # no sum with null or true
        ('@.name.`sub(/A/, x)` in ["xda"]', ["Ada"]),
        ("@.tags.`len` in [0, 2]", ["Ada", "Grace"]),
    ],
)
def test_a_filter_with_words_finds(text, expected):
    assert names(text) == expected


def test_a_set_contains_its_items_and_no_parts_of_them():
    records = [{"tags": {"navy", "red"}}, {"tags": frozenset({1, "x"})}, {"tags": set()}]
    assert found('@.tags contains "navy"', records) == [0]
    assert found('@.tags contains "nav"', records) == []
    assert found("@.tags contains 1.0", records) == [1]
    assert found("@.tags contains true", records) == []


# -- what is written -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        '@.a in["x",1]',
        "@.a in ['x', 1]",
        '@.a  in\n[ "x" ,\t1 ]',
        '(@.a)in["x",1]',
        "@['a']in[1,'x']",
        "a in ['x', 1]",
        r'@.a in ["\u0078", 1]',
        '$[?@.a in ["x", 1]]',
    ],
)
def test_blanks_and_quotes_make_no_difference(text):
    assert found(text, [{"a": "x"}, {"a": 1}, {"a": 2}]) == [0, 1]


def test_a_word_needs_no_blank_before_quotes_or_braces():
    assert found('@.a contains"x"', [{"a": ["x"]}, {"a": []}]) == [0]
    assert found("@.a contains{x}", [{"a": ["x"]}, {"a": []}], x="x") == [0]
    assert found("@.a in{x}", [{"a": "x"}, {"a": []}], x=["x"]) == [0]


WORDED = [{"in": 1, "contains": ["in"], "a": {"in": "x", "contains": 5}}, {"in": 2}]


@pytest.mark.parametrize(
    "text",
    [
        *(
            "@.in == 1",
            "@.in in [1]",
            "in in [1]",
            "@['in'] in [1]",
            "@.contains",
            "!(@.in in [2])",
        ),
        *('@.contains contains "in"', 'contains contains "in"', '@.a.in in ["x"]', "@.a.contains"),
        *("@.a.contains > 4", "@..contains in [5]", "@.a['in','contains'] in [5]", "@.in+1 in [2]"),
        *("@.in < @.a.contains", "@.contains[0] in ['in']", "@.* in [1]", "@[in] == 1"),
        *("@.a where contains || @.a", "@.in * @.in in [1]", "@.a.* in ['x']"),
    ],
)
def test_a_field_may_have_a_word_as_its_name(text):
    assert found(text, WORDED) == [0]


def test_the_values_of_fields_with_such_names_are_found():
    assert parse_values("contains").find(WORDED[0]) == [["in"]]
    assert parse_values("a.in").find(WORDED[0]) == ["x"]
    assert list(parse_search("$[*].in").find(WORDED, {})) == [1, 2]
    assert list(parse_search("$[?(@.in in [2])].in").find(WORDED, {})) == [2]


def test_words_in_quotes_are_texts():
    records = [{"a": " in [1] "}, {"a": 'contains "x"'}, {"a": "in"}]
    assert found("@.a == ' in [1] '", records) == [0]
    assert found("@.a == 'contains \"x\"'", records) == [1]
    assert found('@.a in ["in", "]", ",", "}"]', records) == [2]


@pytest.mark.parametrize(
    ("text", "reason", "place"),
    [
        ('@.a in "x"', "in takes a list or a {placeholder}", 7),
        ("@.a in 5", "in takes a list or a {placeholder}", 7),
        ('@.a in ("x", "y")', "write [ ] around the values", 7),
        ('"x" in @.tags', 'write @.tags contains "x" to look into an array', 7),
        ("@.a in", "in takes a list or a {placeholder}", 6),
        ("@.a in [DE]", "write quotes around a text", 8),
        ('@.a in ["x", True]', "write true, or quotes around a text", 13),
        ('@.a in ["x", None]', "write null, or quotes around a text", 13),
        ('@.a in ["x",]', "',' is not expected here", 11),
        ("@.a in [,]", "',' is not expected here", 8),
        ("@.a in [1 2]", "'2' is not expected here", 10),
        ('@.a in ["x" "y"]', '"y" is not expected here', 12),
        ("@.a in [1:2]", "':' is not expected here", 9),
        ("@.a in [@.b]", "'@' is not expected here", 8),
        ("@.a in [`len`]", "`len` is not expected here", 8),
        ("@.a in [[1]]", "pass it as a value: in {values}", 8),
        ("@.a in [{x}]", "write in {x} without the brackets", 8),
        ("@.a in [1, {x}]", "write in {x} without the brackets", 11),
        ('@.a in ["x', "that opens here is never closed", 8),
        ("@.a in [1", "the path ends too early", 9),
        (r'@.a in ["x", "\q"]', r"\q is no escape", 14),
        ('@.a in ["x"] + 1', "'+' is not expected here", 13),
        ('@.a in ["x"] in ["y"]', "'in' is not expected here", 13),
        ('!@.a in ["x"]', "write !( ) around a comparison to negate it", 5),
        ('@.a not in ["x"]', "write !( ) around a condition to negate it", 4),
        ("@.a contains", "contains takes a text in quotes", 12),
        ("@.a contains x", "write quotes around a text", 13),
        ("@.a contains True", "write true, or quotes around a text", 13),
        ("@.a contains @.b", "write @.tags[*] == @.name", 13),
        ('@.a contains ["x"]', '@.tags contains "a" && @.tags contains "b"', 13),
        ('@.a contains ("x")', "contains takes a text in quotes", 13),
        ('!@.a contains "x"', "write !( ) around a comparison to negate it", 5),
        ("@.in {x}", "a placeholder stands on the right of a comparison", 5),
        ('@.b[?(@.a in "x")]', "in takes a list or a {placeholder}", 13),
        ("@.b[?(@.a in [1, @])]", "'@' is not expected here", 17),
    ],
)
def test_an_error_shows_the_place(text, reason, place):
    with pytest.raises(QueryError, match=re.escape(reason)) as raised:
        parse_filter(text)
    shown = str(raised.value).split("\n")
    assert shown[1].strip() == text
    assert shown[2].index("^") - (len(shown[1]) - len(text)) == place


pieces = st.sampled_from(
    [
        *(
            "in",
            " in ",
            "contains",
            " contains ",
            "[",
            "]",
            "[1]",
            '["a"]',
            ",",
            "'a'",
            "1",
            "-1.5",
        ),
        *("true", "null", "@", "@.a", "$", ".a", "*", "(", ")", "!", "==", "&&", "||", "{x}", "?"),
    ]
)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@settings(max_examples=500)
@given(st.lists(pieces, max_size=8).map("".join))
def test_whatever_is_written_with_words_is_parsed_or_refused(text):
    for parser in (parse_filter, parse_values, parse_search):
        try:
            parser(f"$[?(@.a{text})]")
        except QueryError:
            event("refused")
        else:
            event("parsed")


def test_the_parts_of_a_filter_show_words():
    expressions = parse_filter('@.a in ["x", 1, null] && @.b[*] contains {x}').bound({"x": "y"})
    assert normal_form(expressions.expressions).parts == (
        Leaf(("a",), "in", ("x", 1, None)),
        Leaf(("b", EACH), "contains", "y"),
    )
    bound = parse_filter("@.a in {xs}").bound({"xs": {1: 2}.keys()})
    assert normal_form(bound.expressions).parts == (Leaf(("a",), "in", (1,)),)


# -- fields of a class -----------------------------------------------------------------------------


class Color(Enum):
    RED = "red"
    BLUE = "blue"


@define
class Address:
    city: str
    color: Color = Color.RED


@define
class Car:
    name: str = key()
    color: Color = Color.BLUE
    colors: list[Color] = field(factory=list)
    tags: set[str] = field(factory=set)
    pair: tuple[str, Color] = ("", Color.BLUE)
    by_name: dict[str, list[Color]] = field(factory=dict)
    price: Decimal | None = None
    address: Address | None = None
    homes: list[Address] = field(factory=list)
    anything: Any = None


@pytest.fixture
def cars(open_store):
    cars: Collection[str, Car] = Collection(open_store(serialize="msgpack"), Car)
    cars.add_many(
        [
            Car("ant", Color.RED, [Color.RED], {"old", "navy"}, price=Decimal("9.90")),
            Car("bee", Color.BLUE, [Color.BLUE], pair=("x", Color.RED), anything="red"),
            Car("cow", address=Address("Rome"), homes=[Address("Bonn", Color.BLUE)]),
            Car(
                "dog",
                by_name={"a": [Color.RED]},
                anything=["red", {"city": "Rome", "color": "red"}],
            ),
        ]
    )
    return cars


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("@.color in {x}", [Color.RED], ["ant"]),
        ("@.color in {x}", {Color.RED, "blue"}, ["ant", "bee", "cow", "dog"]),
        ("@.color in {x}", ["red", 5, None], ["ant"]),
        ("@.color in {x}", [Address("Rome")], []),
        ("@.colors contains {x}", Color.BLUE, ["bee"]),
        ("@.colors contains {x}", "blue", ["bee"]),
        ("@.colors[*] in {x}", [Color.BLUE, Color.RED], ["ant", "bee"]),
        ("@.colors in {x}", [[Color.BLUE], []], ["bee", "cow", "dog"]),
        ("@.pair contains {x}", Color.RED, ["bee"]),
        ("@.by_name.* contains {x}", Color.RED, ["dog"]),
        ("@.by_name contains {x}", "a", []),
        ("@.tags contains {x}", "navy", ["ant"]),
        ("@.name contains {x}", "o", ["cow", "dog"]),
        ("@.price in {x}", [9.9, 12], []),  # Python's 9.9 is a little more
        ("@.price in {x}", [Decimal("9.900")], ["ant"]),
        ("@.address in {x}", [Address("Bonn"), Address("Rome")], ["cow"]),
        ("@.address in {x}", [None], ["ant", "bee", "dog"]),
        ("@.homes contains {x}", Address("Bonn", Color.BLUE), ["cow"]),
        ("@.anything in {x}", [Color.RED], ["bee"]),
        ("@.anything contains {x}", Color.RED, ["bee", "dog"]),  # the text "red" contains itself
        ("@.anything contains {x}", Address("Rome"), ["dog"]),
    ],
)
def test_values_are_converted_as_the_field_is(cars, text, value, expected):
    assert list(cars.find(text, x=value).keys()) == expected


def test_literals_compare_with_what_is_stored(cars):
    assert list(cars.find('@.color in ["red"] || @.price in [9.90]').keys()) == ["ant"]
    assert list(cars.find('@.colors contains "blue"').keys()) == ["bee"]


@pytest.mark.parametrize("text", ["@.colour in {x}", "@.colour contains {x}"])
def test_a_name_that_no_field_has_is_refused(cars, text):
    with pytest.raises(QueryError, match="did you mean 'color'"):
        cars.find(text, x=["red"])


def test_wrong_values_are_refused_when_find_is_called(cars):
    with pytest.raises(QueryError, match="in takes a list of values, not one value, str 'red'"):
        cars.find("@.color in {x}", x="red")


def test_search_takes_words(cars):
    assert list(cars.search("$[?(@.color in {x})].name", x=[Color.RED])) == ["ant"]
    assert list(cars.search('$[*].tags[?(@ contains "av")]')) == ["navy"]


def test_the_values_are_read_once():
    cars: Collection[str, Car] = Collection(MemoryStore(), Car)
    cars.add(Car("ant"))
    query = cars.find("@.name in {names}", names=iter(["ant", "bee"]))
    assert query.count() == query.count() == 1
