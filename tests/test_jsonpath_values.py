"""Values that JSON does not have: sets and tuples, Decimals, and what cannot be evaluated.

jsonpath-ng gives no answers here. So the same data as lists, and plain Python, say what is right.
"""

import operator
import os
import subprocess
import sys
from datetime import datetime, timedelta
from decimal import Context, Decimal, FloatOperation, localcontext
from fractions import Fraction
from typing import Any

import pytest
from attrs import define
from hypothesis import event, given, settings
from hypothesis import strategies as st
from jsonpath_ng.ext import parse

from stones import Collection, key
from stones.collections.language.arrays import in_order
from stones.collections.language.jsonpath import parse_filter, parse_search, parse_values

NAN, INF = float("nan"), float("inf")
SNAN = Decimal("sNaN")


def found(condition, records, /, **values):
    """The positions of the records that fulfil a condition, the same in each way to ask."""
    filter = parse_filter(f"$[?({condition})]")
    test = filter.bind(values)
    one_by_one = [place for place, record in enumerate(records) if test(record)]
    whole = parse_filter(f"$[?($ && ({condition}))]")
    assert whole.needs_all_records
    assert whole.select(records, values) == one_by_one
    return one_by_one


def searched(text, records, /, **values):
    return list(parse_search(text).find(iter(records), values))


def values_of(text, record):
    return parse_values(text).find(record)


# -- sets and tuples are arrays ------------------------------------------------------------------

TAGGED: list[dict[str, Any]] = [
    {"name": "ship", "tags": {"navy", "blue"}},
    {"name": "sky", "tags": frozenset({"blue"})},
    {"name": "void", "tags": set()},
    {"name": "sea", "tags": ("navy", "deep")},
    {"name": "none", "tags": None},
    {"name": "deep", "inner": {"tags": [{"navy"}, {"x": frozenset({"navy", "blue"})}]}},
]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ('@.tags[*] == "navy"', ["ship", "sea"]),
        ('@.tags[*] != "blue"', ["ship", "void", "sea", "none", "deep"]),
        ('!(@.tags[*] == "navy")', ["sky", "void", "none", "deep"]),
        ('!(@.tags[*] != "blue")', ["sky"]),
        ('@.tags[*] =~ "^n"', ["ship", "sea"]),
        ('@.tags[0] == "blue"', ["ship", "sky"]),
        ('@.tags[-1] == "navy"', ["ship"]),
        ('@.tags[0:1] == "blue"', ["ship", "sky"]),
        ("@.tags[*]", ["ship", "sky", "sea"]),
        ("!@.tags[*]", ["void", "none", "deep"]),
        ('@.tags[?(@ == "navy")]', ["ship", "sea"]),
        ('!@.tags[?(@ == "navy")]', ["sky", "void", "none", "deep"]),
        ("@.tags.`len` == 2", ["ship", "sea"]),
        ('@.tags.`sorted`[0] == "deep"', ["sea"]),
        ('@..tags[*] == "navy"', ["ship", "sea"]),
        ('@..[?(@ == "navy")]', ["ship", "sea", "deep"]),
        ('@.inner.tags[*][*] == "navy"', ["deep"]),
        ('@.inner.tags[1].x[1] == "navy"', ["deep"]),
    ],
)
def test_a_filter_takes_a_set_and_a_tuple_for_an_array(condition, expected):
    assert [TAGGED[place]["name"] for place in found(condition, TAGGED)] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$[*].tags[*]", ["blue", "navy", "blue", "navy", "deep"]),
        ("$[0:2].tags[*]", ["blue", "navy", "blue"]),
        ("$..tags[0]", ["blue", "blue", "navy", {"navy"}]),
        ("$[*].tags[?(@ > 'b')]", ["blue", "navy", "blue", "navy", "deep"]),
        ("$[0].tags[?(@ > $[1].name)]", []),
        ("$[0].tags.`sorted`", [["blue", "navy"]]),
        ("$[0].tags.`str()`", ["['blue', 'navy']"]),
        ("$[0].tags[0].`parent`", [{"blue", "navy"}]),
        ("$[5]..x[*]", ["blue", "navy"]),
    ],
)
def test_a_search_goes_into_sets_and_tuples(text, expected):
    assert searched(text, TAGGED) == expected


def test_a_path_that_ends_at_a_set_gives_back_the_set():
    record = TAGGED[0]
    assert values_of("tags", record)[0] is record["tags"]
    assert searched("$..tags", [record])[0] is record["tags"]
    assert searched("$[*][?(@.`len` == 2)]", [record])[0] is record["tags"]


def test_the_values_of_a_record_come_from_its_sets():
    assert values_of("tags[*]", TAGGED[0]) == ["blue", "navy"]
    assert values_of("$..*", {"a": {2, 1}}) == [{1, 2}, 1, 2]
    assert values_of("tags[::-1]", TAGGED[0]) == ["navy", "blue"]


@pytest.mark.parametrize("seed", ["1", "2", "3"])
def test_the_items_of_a_set_have_the_same_order_in_every_process(seed):
    code = (
        "from stones.collections.language.arrays import in_order\n"
        "sets = [{'a', 'b', 'c', 'd'}, {1, 'a', None, 2.5, (1, 'x'), b'z'},\n"
        "        {frozenset({'q', 'p'}), frozenset({'p'}), frozenset({'r', 's', 'q'})}]\n"
        "print([[sorted(x) if isinstance(x, frozenset) else x for x in in_order(s)] for s in sets])"
    )
    environment = os.environ | {"PYTHONHASHSEED": seed}
    shown = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
    assert shown == (
        "[['a', 'b', 'c', 'd'], [None, b'z', 1, 2.5, 'a', (1, 'x')], "
        "[['p'], ['p', 'q'], ['q', 'r', 's']]]\n"
    )


def test_any_set_has_an_order():
    class Odd:
        def __repr__(self):
            raise ValueError

    assert len(in_order({Odd(), Odd(), 10**5000, -(10**5000), NAN, Decimal("NaN"), "x"})) == 7
    mixed = {datetime(2024, 1, 1), datetime.fromisoformat("2024-01-01T00:00:00+00:00")}
    assert in_order(mixed) == in_order({*reversed([*mixed])})


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        ({1, 2}, {2, 1}, True),
        ({1, 2}, frozenset({1, 2}), True),
        ({1, 2}, [2, 1], True),
        ({1, 2}, [1, 2, 2], False),
        ({1, 2}, (1, 1), False),
        ({1, 2}, {1}, False),
        ((1, 2), [1, 2], True),
        ((1, 2), [2, 1], False),
        ({1}, {True}, False),
        ({(1,)}, {(True,)}, False),
        ({1}, {1.0}, True),
        ({Decimal("0.5")}, [0.5], True),
        ({NAN}, {NAN}, False),
        ({"a": {1}}, {"a": [1]}, True),
        ({"a": {1}}, {"a": [True]}, False),
        ({1: 0}, {True: 0}, False),
        ([{1}, (2,)], [[1], [2]], True),
        ({1}, [{}], False),
        ({1}, {1: 1}, False),
        (set(), [], True),
        ({frozenset({1})}, {frozenset({1})}, True),
    ],
)
def test_two_arrays_are_equal_if_their_items_are(left, right, equal):
    for one, other in [(left, right), (right, left)]:
        record = {"a": one, "b": other}
        for op in ("==", "<=", ">="):
            assert found(f"@.a {op} @.b", [record]) == [0] * equal
            assert found(f"@.a {op} {{x}}", [record], x=other) == [0] * equal
        assert found("@.a != @.b", [record]) == [0] * (not equal)
        assert found("@.a != {x}", [record], x=other) == [0] * (not equal)
        assert found("@.a < @.b || @.a > {x}", [record], x=other) == []


words = st.sampled_from(["a", "b", "c", "ab", "", "x"])
members = st.one_of(st.sets(words, max_size=3), st.frozensets(st.sampled_from([0, 1, 2, 3])))
data = st.recursive(
    st.one_of(words, st.sampled_from([0, 1, 2, None, True, 1.5]), members, members),
    lambda inner: st.fixed_dictionaries({"a": inner}, optional={"b": inner, "c": inner}),
    max_leaves=6,
)
set_records = st.lists(
    st.fixed_dictionaries({"a": st.one_of(data, members), "b": data}), min_size=1, max_size=4
)


def as_lists(value):
    """The same data as JSON has it."""
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, list):
        return [as_lists(item) for item in value]
    if isinstance(value, dict):
        return {name: as_lists(inside) for name, inside in value.items()}
    return value


steps = st.lists(
    st.sampled_from(
        [
            *(".a", ".b", ".a", "[*]", "[*]", "[0]", "[-1]", "[0:2]", "[::-1]", ".*", "..a", "..*"),
            *("..[0]", "..[*]", ".`len`", ".`sorted`", ".`str()`", "[?(@ == 'a')]", "[?(@ > 0)]"),
            *("[?(@[*] == 'a')]", "..[?(@ != 1)]", "[0,1]", "['a','b']", ".a.`parent`"),
        ]
    ),
    max_size=4,
).map("".join)
operands = st.sampled_from(["'a'", "'b'", "0", "1", "1.5", "null", "true", "@.a", "@.b", "@.a[0]"])
set_tests = st.one_of(
    st.tuples(steps, st.sampled_from(["==", "!=", "<", ">="]), operands).map(
        lambda parts: "@{} {} {}".format(*parts)
    ),
    steps.map("@".__add__),
    steps.map("!@".__add__),
    steps.map(lambda path: f"@{path} =~ 'a'"),
)


def failing(evaluate):
    try:
        return evaluate()
    except (AssertionError, AttributeError, LookupError, TypeError, ValueError):
        return "failed"


@settings(max_examples=400)
@given(set_tests, set_records)
def test_a_filter_finds_in_sets_what_jsonpath_ng_finds_in_lists(condition, records):
    for place, record in enumerate(records):
        alone = failing(lambda record=record: parse(f"$[?({condition})]").find([as_lists(record)]))
        if alone != "failed":
            event(f"finds: {bool(alone)}")
            assert (place in found(condition, records)) is bool(alone)


@settings(max_examples=400)
@given(st.sampled_from(["$[*]", "$", "$[0:2]", "$[?(@.a[*])]"]), steps, set_records)
def test_a_search_finds_in_sets_what_jsonpath_ng_finds_in_lists(head, path, records):
    def reference():
        return [match.value for match in parse(head + path).find(as_lists(records))]

    expected = failing(reference)
    actual = as_lists(searched(head + path, records))
    event(f"finds: {bool(expected)}")
    assert expected in ("failed", actual)


@settings(max_examples=200)
@given(steps, set_records)
def test_tuples_give_what_lists_give(path, records):
    def as_tuples(value):
        if isinstance(value, list):
            return tuple(map(as_tuples, value))
        if isinstance(value, dict):
            return {name: as_tuples(inside) for name, inside in value.items()}
        return value

    def as_lists_again(value):
        if isinstance(value, tuple | list):
            return [*map(as_lists_again, value)]
        if isinstance(value, dict):
            return {name: as_lists_again(inside) for name, inside in value.items()}
        return value

    for record in as_lists(records):
        expected = values_of(f"${path}", record)
        assert as_lists_again(values_of(f"${path}", as_tuples(record))) == expected


def test_a_collection_is_searched_in_its_sets(store):
    @define
    class Ship:
        name: str = key()
        tags: set[str]

    ships: Collection[str, Ship] = Collection(store, Ship)
    ships.add_many([Ship("a", {"navy", "old"}), Ship("b", {"old"}), Ship("c", set())])
    assert list(ships.find('$[?(@.tags[*] == "navy")]').keys()) == ["a"]
    assert list(ships.find('$[?(!(@.tags[*] == "navy"))]').keys()) == ["b", "c"]
    assert list(ships.search("$[*].tags[*]")) == ["navy", "old", "old"]
    assert list(ships.search("$..tags[*]")) == ["navy", "old", "old"]
    assert list(ships.find().values("tags[*]")) == ["navy", "old", "old"]
    assert list(ships.find().values("tags")) == [{"navy", "old"}, {"old"}, set()]


# -- numbers -------------------------------------------------------------------------------------

OPERATORS = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
numbers = st.one_of(
    st.integers(-3, 3),
    st.integers(),
    st.sampled_from([0.0, -0.0, 0.1, 0.5, 1.5, 2**53, 2.0**53, 2**53 + 1, INF, -INF, NAN, 10**400]),
    st.sampled_from(
        [*map(Decimal, ("0", "-0", "0.1", "0.5", "1.50", "1E+400", "Inf", "-Inf", "NaN"))]
    ),
    st.floats(),
    st.decimals(allow_nan=True),
    st.just(SNAN),
)
not_numbers = st.sampled_from([None, True, False, "1", [1], {1}, {"a": 1}, b"1", ()])


def compare_slowly(op, left, right):
    """How two values compare, one of them a number: by exact fractions."""

    def rank(value):
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
            return None
        if value != value or (isinstance(value, Decimal) and value.is_nan()):
            return None
        if value in (INF, -INF):
            return (1 if value > 0 else -1, 0)
        return (0, Fraction(value))

    with localcontext(Context(traps=[])):
        ranks = rank(left), rank(right)
    if None in ranks:
        return op == "!="
    return OPERATORS[op](*ranks)


@settings(max_examples=500)
@given(st.sampled_from(sorted(OPERATORS)), numbers, st.one_of(numbers, numbers, not_numbers))
def test_numbers_compare_by_their_exact_value(op, left, right):
    for one, other in [(left, right), (right, left)]:
        expected = [0] * compare_slowly(op, one, other)
        event(f"{op} {bool(expected)}")
        record = {"a": one, "b": other, "c": [one], "d": [other], "e": {"x": (one,)}}
        assert found(f"@.a {op} @.b", [record]) == expected
        assert found(f"@.a {op} {{x}}", [record], x=other) == expected
        assert found(f"@.c[*] {op} {{x}}", [record], x=other) == expected
        if op in ("==", "!="):
            assert found(f"@.c {op} @.d", [record]) == expected
            assert found(f"@.e {op} {{x}}", [record], x={"x": [other]}) == expected


@settings(max_examples=200)
@given(st.sampled_from(sorted(OPERATORS)), numbers, st.sampled_from([0, 1, -2, 0.5, 1.5, -0.25]))
def test_a_literal_number_compares_with_every_number(op, stored, literal):
    expected = [0] * compare_slowly(op, stored, literal)
    assert found(f"@.a {op} {literal!r}", [{"a": stored}]) == expected
    assert found(f"@[*] {op} {literal!r}", [[stored]]) == expected


def test_a_literal_is_the_decimal_number_that_is_written():
    records = [{"price": Decimal(each)} for each in ("9.89", "9.90", "9.91")]
    records += [{"price": float(each)} for each in ("9.89", "9.90", "9.91")]
    assert found("@.price < 9.90", records) == [0, 3]
    assert found("@.price == 9.9", records) == [1, 4]
    assert found("@.price >= 9.90", records) == [1, 2, 4, 5]
    # A float that is passed is a float: a little more than 9.90.
    assert found("@.price < {limit}", records, limit=9.90) == [0, 1, 3]
    assert found("@.price < {limit}", records, limit=Decimal("9.90")) == [0, 3]


@pytest.mark.parametrize("value", [NAN, Decimal("NaN"), SNAN, Decimal("-NaN")])
def test_a_nan_is_equal_to_nothing_and_has_no_order(value):
    others = [1, 1.5, Decimal(2), NAN, SNAN, "x", None, True, [value]]
    records = [{"a": value, "b": other} for other in others]
    for op in ("==", "<", "<=", ">", ">="):
        assert found(f"@.a {op} @.b", records) == []
        assert found(f"@.a {op} 1", records) == found(f"@.a {op} 1.5", records) == []
        assert found(f"@.b {op} {{x}}", records, x=value) == []
    assert found("@.a != 1", records) == found("@.a != @.b", records) == list(range(len(others)))
    assert found("!(@.a == 1)", records) == list(range(len(others)))


def test_the_decimal_context_of_the_caller_changes_nothing():
    records = [{"a": Decimal("1.23456789"), "b": 1.5}]
    strict = Context(prec=2, traps=[FloatOperation])
    with localcontext(strict):
        assert found("@.a < 1.5 && @.a < @.b && @.a < {x} && @.a != {x}", records, x=1.5) == [0]
        assert found("@.a * 2 == 2.46913578 && @.a + @.b == 2.73456789", records) == [0]


def test_dates_in_two_fields_have_an_order():
    records = [{"start": datetime(2024, 1, 1), "end": datetime(2024, 1, day)} for day in (1, 2)]
    assert found("@.start < @.end", records) == [1]
    assert found("@.end - @.start >= {day}", records, day=timedelta(1)) == [1]


# -- arithmetic ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "record"),
    [
        ("@.a * 1.1 == 10.89", {"a": Decimal("9.90")}),
        ("@.a * 1.1 > 10", {"a": Decimal("9.90")}),
        ("@.a + @.b == 0.3", {"a": Decimal("0.1"), "b": 0.2}),
        ("@.a - 1 == 0.5", {"a": Decimal("1.5")}),
        ("@.a / 3 == {x}", {"a": Decimal(1)}),
        ("@.a / 4 == 0.25", {"a": 1}),
        ("2 * @.a == 3", {"a": 1.5}),
        ("@.a + @.b * 2 == 7", {"a": 1, "b": 3}),
        ("@.a * 2 + @.b == 5", {"a": 1, "b": 3}),
        ("(@.a + @.b) * 2 == 8", {"a": 1, "b": 3}),
        ("@.a - @.b - 1 == -3", {"a": 1, "b": 3}),
        ("@.a + @.b == 'xy'", {"a": "x", "b": "y"}),
        ("@.a[*] * 2 == 4", {"a": {1, 2}}),
        ("@.a.`len` / 2 == 1.5", {"a": {1, 2, 3}}),
        ("@.a + @.b == {both}", {"a": {2, 1}, "b": (3,)}),
    ],
)
def test_a_query_calculates(condition, record):
    bound: dict[str, Any] = {"x": Decimal(1) / 3} if "{x}" in condition else {}
    bound |= {"both": [1, 2, 3]} if "{both}" in condition else {}
    assert found(condition, [record], **bound) == [0]
    assert found(f"!({condition})", [record], **bound) == []


# -- what cannot be evaluated for one record -----------------------------------------------------

BROKEN = {
    "@.a * 2": ["x", None, SNAN, True, [1], {1}, {"x": 1}],
    "@.a / 0": [1, 1.5, Decimal(1), 0],
    "1 / @.a": [0, 0.0, Decimal(0), "x"],
    "@.a * 1.5": [10**400, "x"],
    "@.a - @.b": ["x", [1]],
    "@.a * {huge}": [Decimal("1E+999999"), "x"],
    "@.a.`sub(/a/, b)`": [1, None, b"a", ["a"]],
    "@.a.`sorted`": [[1, "a"], {1, "a"}, [None, 1]],
    "@.a.`str()`": [10**5000],
    "@.`parent`": [1],
    "@.a[/x]": [[{"x": 1}, {"x": "a"}]],
    "@.b + 1 + @.a": [None, "x"],
}
CASES = [(path, value) for path, values in BROKEN.items() for value in values]


@pytest.mark.parametrize(("path", "value"), CASES, ids=range(len(CASES)))
def test_a_record_that_cannot_be_evaluated_is_no_match(path, value):
    path = path.replace("{huge}", "1000000000.0")
    records = [{"a": value, "b": 7, "name": "ada"}, {"a": "xa" if "`" in path else 5, "b": 2}]
    for condition in (path, f"{path} == 1", f"{path} != 1", f"{path} > 0", f"{path} =~ 'x'"):
        filter = parse_filter(f"$[?({condition})]").bind({})
        negated = parse_filter(f"$[?(!({condition}))]").bind({})
        assert not filter(records[0])
        assert not negated(records[0])
        filter(records[1])
    # The other operand alone decides where it can.
    test = f"{path} != 1"
    for text, expected in [
        (f"{test} || @.name == 'ada'", True),
        (f"@.name == 'ada' || {test}", True),
        (f"!({test} && @.name == 'bob')", True),
        (f"!(@.name == 'bob' && {test})", True),
        (f"{test} && @.name == 'ada'", False),
        (f"!({test} && @.name == 'ada')", False),
        (f"!({test} || @.name == 'bob')", False),
        (f"!(!({test}))", False),
    ]:
        assert bool(parse_filter(f"$[?({text})]").bind({})(records[0])) is expected
        if "parent" not in path:
            assert found(text, records[:1]) == [0] * expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$[*].a.`sub(/a/, b)`", ["bx", "b"]),
        ("$[*].b[*].`sub(/a/, b)`", ["b", "by"]),
        ("$..b[*].`sub(/a/, b)`", ["b", "by"]),
        ("$[0:4].b[*].`sub(/a/, b)`", ["b", "by"]),
        ("$..`sub(/a/, b)`", ["bx", "b", "by", "b"]),
        ("$[*].n + 1", [2, Decimal("2.5")]),
        ("$[*].n / $[*].zero", [1.0]),
        ("$[*][?(@ / 2 == 0.5)]", [1, 1]),
        ("$[*].b.`sorted`", [["a", "ay"], [3, 4]]),
        ("($[*] where (a.`sub(/a/, b)`)).zero", [0, 1]),
        ("($[*] wherenot (a.`sub(/a/, b)`)).`len`", [1, 1]),
    ],
)
def test_a_path_leads_nowhere_from_a_value_that_it_cannot_be_evaluated_for(text, expected):
    records = [
        {"a": "ax", "b": ["a", "ay"], "n": 1, "zero": 0},
        {"a": 5, "b": [5, "z", None], "n": "x"},
        {"a": "a", "b": [4, 3], "n": Decimal("1.5"), "zero": 1},
        {"n": SNAN},
        {"n": True},
    ]
    if text.startswith("$[*].n / "):
        records = [*records[:1], {"n": 1, "zero": 1}]
    assert searched(text, records) == expected
    if text.startswith("$[*]") and "where" not in text and text.count("$") == 1:
        alone = text.replace("[*]", "", 1)
        assert [found for record in records for found in values_of(alone, record)] == expected


def test_a_filter_inside_of_a_path_leaves_out_what_it_cannot_be_evaluated_for():
    record = {"items": [{"n": 0}, {"n": 2}, {"n": "x"}]}
    assert values_of("items[?(8 / @.n == 4)].n", record) == [2]
    assert found("@.items[?(8 / @.n == 4)]", [record]) == [0]
    assert searched("$..[?(8 / @.n == 4)].n", [record]) == [2]


def test_a_broken_record_does_not_hide_the_others(store):
    @define
    class Item:
        name: str = key()
        price: Any = None

    items: Collection[str, Item] = Collection(store, Item)
    prices = [Decimal("1.5"), Decimal("sNaN"), "x", None, Decimal(3), True]
    items.add_many(Item(name, price) for name, price in zip("abcdef", prices, strict=True))
    assert list(items.find("$[?(@.price * 2 > 3)]").keys()) == ["e"]
    assert list(items.find("$[?(!(@.price * 2 > 3))]").keys()) == ["a"]
    assert list(items.find("$[?(@.price < 2.5)]").keys()) == ["a"]
    assert list(items.find("$[?($ && @.price * 2 > 3)]").keys()) == ["e"]
    assert list(items.find().values("$.price * 2")) == [Decimal(3), Decimal(6)]
    assert list(items.search("$[*].price * 2")) == [Decimal(3), Decimal(6)]


class Broken:
    """A value of a type of the user's own, which fails whenever it is compared."""

    __hash__ = object.__hash__

    def __eq__(self, other):
        raise OSError("broken")

    __lt__ = __gt__ = __add__ = __eq__


def test_a_value_that_cannot_be_compared_is_not_equal():
    records = [{"a": Broken(), "b": [Broken(), "x"]}, {"a": 1, "b": ["x"]}]
    assert found("@.a == 1", records) == found("@.a > 0", records) == [1]
    assert found("@.a != 1", records) == found("!(@.a == {x})", records, x=1) == [0]
    assert found("@.b[*] == 'x'", records) == [0, 1]
    assert found("@.a + 1 == 2", records) == [1]
    assert found("@.a + 1 != 2", records) == []
