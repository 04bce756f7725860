"""JSONPath over records: jsonpath-ng says what a path means, and ours has to find the same.

What jsonpath-ng has no answer for is in test_jsonpath_values.py: sets, tuples, Decimals, records
that a query cannot be evaluated for. Quotes and negations are in test_jsonpath_texts.py.
"""

import re
import sys
import threading
from collections import defaultdict
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import IntEnum
from types import MappingProxyType
from uuid import UUID

import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st
from jsonpath_ng.ext import parse
from jsonpath_ng.ext.arithmetic import Operation
from jsonpath_ng.ext.filter import Expression
from jsonpath_ng.jsonpath import DatumInContext, Fields, Index

from stones.collections.language import parsing
from stones.collections.language.jsonpath import equals, parse_filter, parse_search, parse_values
from stones.collections.language.syntax_tree import nodes
from stones.errors import QueryError

PEOPLE = [
    {"name": "Ada", "age": 36, "address": {"city": "London"}, "tags": ["maths", "poetry"]},
    {"name": "Alan", "age": 41, "address": {"city": "Wilmslow"}, "tags": ["maths"]},
    {"name": "Grace", "age": 85, "address": None, "tags": []},
    {"name": "Kurt", "age": None, "tags": ("logic",)},
    {"name": "Emmy", "age": True},
]


def found(text, records=PEOPLE, /, **values):
    """The positions of the records that match, by ours."""
    filter = parse_filter(text)
    if filter.needs_all_records:
        return filter.select(records, values)
    test = filter.bind(values)
    return [place for place, record in enumerate(records) if test(record)]


def found_by_jsonpath_ng(text, records=PEOPLE):
    return [match.path.indices[0] for match in parse(text).find(records)]


class StrictOperation(Operation):
    """jsonpath-ng adds bools and repeats texts. stones cannot evaluate such a record."""

    def find(self, datum):
        operands = [
            [match.value for match in operand.find(datum)] if hasattr(operand, "find") else None
            for operand in (self.left, self.right)
        ]
        for values in operands:
            if values and not all(type(value) in (int, float) for value in values):
                raise TypeError("not a number")
        return super().find(datum)


def parse_strictly(text):
    tree = parse(text)
    for node in nodes(tree):
        if type(node) is Operation:
            node.__class__ = StrictOperation
    return tree


def found_one_by_one(text, records):
    """The positions that jsonpath-ng finds, and the ones of the records that it fails on."""
    selection, whole = parse_strictly(text).right, DatumInContext(records)
    matches, failures = [], []
    for place, record in enumerate(records):
        datum = record
        if parse_filter(text).needs_all_records:
            datum = DatumInContext(record, path=Index(place), context=whole)
        try:
            if all(expression.find(datum) for expression in selection.expressions):
                matches.append(place)
        except FAILURES:
            failures.append(place)
    return matches, failures


def names(text, /, **values):
    return [PEOPLE[place]["name"] for place in found(text, **values)]


def searched(text, records=PEOPLE, /, **values):
    return list(parse_search(text).find(iter(records), values))


# -- what is found: the same as by jsonpath-ng ---------------------------------------------------

FAILURES = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError),
    *(TypeError, ValueError, re.error),
)


def outcome(evaluate, *arguments):
    """What it returns, or that it fails."""
    try:
        return evaluate(*arguments)
    except FAILURES:
        return "failed"


class Level(IntEnum):
    LOW = 0
    HIGH = 1


class Name(str):
    __slots__ = ()


class Picky:
    """Something with a get() that does not take every name."""

    def get(self, name, default):
        if name == "a":
            return 1
        raise TypeError


STRINGS = ["", "a", "b", "ab", "A", "1", "it's", 'the "x"', "\\", "a\nb", "{x}", "é", "日本", "$"]
NUMBERS = [0, 1, 2, -1, 0.0, 1.0, 1.5, -0.5, 10**20]
LITERALS = [*STRINGS, *NUMBERS, True, False, None]
FIELDS = ["a", "b", "c", "d e", "null", "true", "1", "*"]

scalars = st.sampled_from(
    [
        *LITERALS,
        *(float("nan"), float("inf"), b"a", Level.HIGH, Name("a"), Picky()),
        *(date(2024, 1, 1), datetime(2024, 1, 1), datetime(2024, 1, 1, tzinfo=UTC)),
    ]
)
keys = st.sampled_from([*FIELDS, 1, None, ("a",)])


def dicts(inner):
    """Mostly with the fields `a` and `b`, so that paths lead somewhere."""
    likely = st.fixed_dictionaries({"a": inner}, optional={"b": inner, "c": inner})
    return st.one_of(likely, likely, st.dictionaries(keys, inner, max_size=3))


values = st.recursive(
    st.one_of(st.sampled_from(LITERALS), scalars),
    lambda inner: st.one_of(
        *(dicts(inner), st.lists(inner, min_size=1, max_size=3), st.lists(inner, max_size=3)),
        dicts(inner).map(MappingProxyType),
        dicts(inner).map(lambda fields: defaultdict(int, fields)),
    ),
    max_leaves=6,
)
records = st.fixed_dictionaries({"a": values, "b": values}, optional={"c": values, "d e": values})
many_records = st.lists(st.one_of(*[records] * 4, dicts(values), values), min_size=1, max_size=5)


def written(value):
    """A value as a literal of JSONPath."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if not isinstance(value, str):
        return repr(value)
    quote = '"' if "'" in value else "'"
    return quote + value.replace("\\", "\\\\").replace(quote, f"\\{quote}") + quote


quoted_fields = st.sampled_from(FIELDS).map(lambda name: f"[{written(name)}]")
singular_steps = st.one_of(
    *(st.sampled_from([".a", ".b"]), st.sampled_from([".a", ".b", ".c", ".null", ".true"])),
    *(quoted_fields, st.sampled_from(["[0]", "[1]", "[-1]", "[-2]"])),
)
singular_paths = st.lists(singular_steps, max_size=3).map(lambda steps: "@" + "".join(steps))
root_paths = st.lists(singular_steps, max_size=2).map(lambda steps: "$[0]" + "".join(steps))
literals = st.sampled_from([x for x in LITERALS if x != 10**20]).map(written)
comparers = st.sampled_from(["==", "=", "!=", "<", "<=", ">", ">="])
patterns = st.sampled_from(["a", "^a$", "", "[ab]", "(?i)A", "'", "x{2}"]).map(written)


def steps(expressions):
    """One step of any kind, or several."""
    plural = st.one_of(
        st.sampled_from(
            ["[*]", ".*", "..a", "..b", "[0:2]", "[:]", "[::-1]", "['a','b']", "[0,-1]"]
        ),
        # Not .`path`: in a filter jsonpath-ng forgets where a value is, and the text of a path with
        # a key that is no str cannot be written.
        st.sampled_from([".`len`", ".`keys`", ".`str()`", ".`parent`", ".`sorted`"]),
        st.sampled_from([".`this`", "[/a]", "[\\a]", ".`sub(/a/, b)`", ".`split(a, 0, -1)`"]),
        expressions.map(lambda inner: f"[?({inner})]"),
        expressions.map(lambda inner: f"..[?({inner})]"),
    )
    often = st.one_of(singular_steps, singular_steps, plural)
    return st.one_of(often, st.lists(often, min_size=1, max_size=3).map("".join))


def expressions_of(inner):
    paths = st.one_of(singular_paths, steps(inner).map("@".__add__))
    targets = st.one_of(
        *(paths, paths, paths, root_paths),
        st.tuples(paths, st.sampled_from([" + 1", " - 1", " * 2", " * 1.5", " + @.a"])).map(
            "".join
        ),
    )
    operands = st.one_of(literals, literals, literals, singular_paths, root_paths)
    tests = st.one_of(
        st.tuples(targets, comparers, operands).map(" ".join),
        st.tuples(targets, st.just("=~"), patterns).map(" ".join),
        targets,
        st.one_of(paths, root_paths).map("!".__add__),
    )
    groups = st.tuples(inner, st.sampled_from(["&&", "||"]), inner).map(" ".join)
    return st.one_of(tests, groups, groups.map(lambda group: f"({group})"))


simple_tests = st.tuples(singular_paths, comparers, literals).map(" ".join)
expressions = expressions_of(expressions_of(simple_tests) | simple_tests)


@settings(max_examples=400)
@given(expressions, many_records)
def test_a_filter_finds_what_jsonpath_ng_finds(expression, records):
    text = f"$[?({expression})]"
    expected, failures = found_one_by_one(text, records)
    event(f"{bool(expected)} for some, {len(expected) < len(records)} for others")
    event(f"fails: {bool(failures)}")
    assert [place for place in found(text, records) if place not in failures] == expected


flat_records = st.lists(
    st.dictionaries(st.sampled_from(["a", "b"]), scalars, min_size=1), min_size=1, max_size=8
)


@settings(max_examples=400)
@given(
    st.one_of(st.sampled_from(["@.a", "@.b", "@['a']"]), singular_paths),
    comparers,
    st.sampled_from(LITERALS),
    st.one_of(flat_records, many_records),
)
def test_a_comparison_finds_what_jsonpath_ng_finds(path, op, value, records):
    text = f"$[?({path} {op} {written(value)})]"
    expected = found_by_jsonpath_ng(text, records)
    event(f"{op} {bool(expected)} for some, {len(expected) < len(records)} for others")
    assert found(text, records) == expected


EVERY_KIND = [
    *LITERALS,
    *(-(10**30), 10**30, "\U0010ffff"),
    *([1, "a"], [True], [1], {"a": 1}, {"a": True}, {}, [], [[1], {"a": [1]}]),
    *(b"a", date(2024, 1, 1), Level.HIGH, Name("a"), float("nan")),
]


@pytest.mark.parametrize("op", ["==", "=", "!=", "<", "<=", ">", ">="])
@pytest.mark.parametrize("value", LITERALS, ids=repr)
def test_every_kind_of_value_compares_with_every_literal_as_in_jsonpath_ng(op, value):
    records = [*({"a": each} for each in EVERY_KIND), {}, {"b": 1}, {"a": {"b": 1}}]
    text = f"$[?(@.a {op} {written(value)})]"
    expected = found_by_jsonpath_ng(text, records)
    assert found(text, records) == expected
    # The corpus reaches both answers, but for those operators that null and bools do not have.
    orderless = op in ("<", ">") and (value is None or isinstance(value, bool))
    lowest = (op, value) == ("<", "")
    assert (len(expected) == 0) == (orderless or lowest)
    assert len(expected) < len(records)


@pytest.mark.parametrize("op", ["==", "!=", "<", "<=", ">", ">="])
def test_every_kind_of_value_compares_with_every_other_as_in_jsonpath_ng(op):
    records = [{"a": left, "b": right} for left in EVERY_KIND for right in EVERY_KIND]
    records += [{"a": 1}, {"b": None}, {}]
    text = f"$[?(@.a {op} @.b)]"
    expected = found_by_jsonpath_ng(text, records)
    assert found(text, records) == expected
    assert 0 < len(expected) < len(records)


UNUSUAL = [
    *(Picky(), MappingProxyType({"a": 1}), defaultdict(int, a=1), {1: 1, None: 2}, {"a": [1, 2]}),
    *([1, {"a": 1}], [[1, 2]], Name("a"), Level.HIGH, None, True, "a", b"a", [], {}),
]


@pytest.mark.parametrize(
    "path",
    [
        *(
            "@",
            "@.a",
            "@.b",
            "@.a.a",
            "@.a.b",
            "@[0]",
            "@[-1]",
            "@.a[0]",
            "@[1].a",
            "@[*]",
            "@[*].a",
        ),
        *(
            "@.*",
            "@..a",
            "@[?(@ == 1)]",
            "@[?(@.a)]",
            "@.a[?(@)]",
            "@['a','b']",
            "@[0,1]",
            "@[0:1]",
        ),
        *("@.`len`", "@.`keys`", "@[*].`len`", "@.a.b.c.d", "@[*][*][0]"),
    ],
)
def test_a_path_leads_to_the_same_in_anything_that_a_record_may_hold(path):
    records = [*UNUSUAL, *({"a": each} for each in UNUSUAL), *([each] for each in UNUSUAL)]
    for test in (path, f"!{path}", f"{path} == 1", f"{path} != 1", f"{path} == @.a"):
        text = f"$[?({test})]"
        assert found(text, records) == found_by_jsonpath_ng(text, records)
    for record in records:
        expected = values_by_jsonpath_ng(path, record)
        assert [repr(each) for each in parse_values(path).find(record)] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$[?(@.age > 40)]", ["Alan", "Grace"]),
        ("$[?(@.age != 36)]", ["Alan", "Grace", "Kurt", "Emmy"]),
        ("$[?(@.age == 1)]", []),  # true is no number
        ("$[?(@.age == true)]", ["Emmy"]),
        ("$[?(@.age == null)]", ["Kurt"]),
        ("$[?(@.address == null)]", ["Grace"]),  # a missing field is not null
        ("$[?(@.address)]", ["Ada", "Alan", "Grace"]),
        ("$[?(!@.address)]", ["Kurt", "Emmy"]),
        ("$[?(@.address.city == 'London')]", ["Ada"]),
        ("$[?(@.address.city != 'London')]", ["Alan", "Grace", "Kurt", "Emmy"]),
        ("$[?(@.tags[0] == 'maths' && @.age < 40)]", ["Ada"]),
        ("$[?(@.tags[-1] == 'logic' || @.age > 80)]", ["Grace", "Kurt"]),
        ("$[?(@.tags[*] == 'poetry')]", ["Ada"]),
        ("$[?(@.tags[*] != 'maths')]", ["Ada", "Grace", "Kurt", "Emmy"]),
        ("$[?(@.tags[*])]", ["Ada", "Alan", "Kurt"]),
        ("$[?(@.tags[*] =~ '^l')]", ["Kurt"]),
        ("$[?(@.name =~ '^A')]", ["Ada", "Alan"]),
        ("$[?(@.age =~ '3')]", []),
        ("$[?(@.name > 'Emmy' && (@.age == null || @.age > 50))]", ["Grace", "Kurt"]),
        ("$[?(@.age > 80 || @.name == 'Ada' && @.age < 40)]", ["Ada", "Grace"]),
        ("$[?(@..city == 'Wilmslow')]", ["Alan"]),
        ("$[?(@.tags.`len` == 2)]", ["Ada"]),
        ("$[?(@.age + 1 == 42)]", ["Alan"]),
        ("$[?(@.age > $[0].age)]", ["Alan", "Grace"]),
        ("$[?(@.address[?(@ == 'London')])]", ["Ada"]),
        ("$", ["Ada", "Alan", "Grace", "Kurt", "Emmy"]),
        ("$[*]", ["Ada", "Alan", "Grace", "Kurt", "Emmy"]),
    ],
)
def test_a_filter_finds(text, expected):
    assert names(text) == expected


def test_any_number_of_conditions_can_be_chained():
    text = " || ".join(f"@.age == {number}" for number in range(2000))
    assert names(f"$[?({text})]") == ["Ada", "Alan", "Grace"]


# -- placeholders --------------------------------------------------------------------------------


@settings(max_examples=300)
@given(singular_paths | steps(simple_tests).map("@".__add__), comparers, literals, many_records)
def test_a_bound_value_compares_like_the_literal(path, op, literal, records):
    value = {written(each): each for each in LITERALS}[literal]
    expected = outcome(found, f"$[?({path} {op} {literal})]", records)
    event(f"matches: {bool(expected)}")

    def bound():
        return found(f"$[?({path} {op} {{value}})]", records, value=value)

    assert outcome(bound) == expected


@settings(max_examples=300)
@given(comparers, values, many_records)
def test_a_bound_list_or_dict_compares_as_in_jsonpath_ng(op, value, records):
    value = [value] if not isinstance(value, list | dict) else value
    records = [*records, {"a": value}, {"a": [value]}]
    expression = Expression(Fields("a"), op, value)
    expected = [place for place, record in enumerate(records) if expression.find(record)]
    assert found(f"$[?(@.a {op} {{value}})]", records, value=value) == expected


@settings(max_examples=300)
@given(comparers, values, many_records)
def test_a_bound_value_compares_the_same_with_all_records_at_hand(op, value, records):
    """With a reference to `$` it is jsonpath-ng that evaluates the filter."""
    alone = outcome(lambda: found(f"$[?(@.a {op} {{x}})]", records, x=value))
    nested = outcome(lambda: found(f"$[?(@.a[?(@ {op} {{x}})])]", [{"a": records}], x=value))
    assert outcome(lambda: found(f"$[?($ && @.a {op} {{x}})]", records, x=value)) == alone
    nested_whole = f"$[?($ && @.a[?(@ {op} {{x}})])]"
    assert outcome(lambda: found(nested_whole, [{"a": records}], x=value)) == nested


@given(st.text(), st.lists(st.text()))
@example("' || 'a' == 'a", ["a"])
@example('")] || $[?("', ["a"])
@example("{name}", ["name"])
@example("\U000f0000", ["\U000f0000"])
def test_a_bound_text_can_only_be_equal(name, others):
    records = [{"name": each} for each in [*others, name]]
    expected = [place for place, record in enumerate(records) if record["name"] == name]
    assert found("$[?(@.name == {name})]", records, name=name) == expected
    assert found("$[?(@.name =~ {name})]", records, name=re.escape(name))[-1] == len(others)


def test_a_placeholder_can_be_used_several_times_and_beside_others():
    text = "$[?(@.age > {age} && (@.name == {name} || @.tags[0] == {name} || @.age < {age}))]"
    assert names(text, age=36, name="maths") == ["Alan"]


def test_no_text_is_taken_for_a_placeholder():
    text = "$[?(@.a == '\U000f0000' || @.a == {x} || @.a == {y})]"
    records = [{"a": "\U000f0000"}, {"a": "x"}, {"a": "\U000f0001"}]
    assert found(text, records, x=1, y=2) == [0]
    text = r"$[?(@.a == '\udb80\udc00' || @.a == 'x' || @.a == {x})]"
    assert found(text, records, x="\U000f0001") == [0, 1, 2]


def test_a_path_given_as_a_value_is_only_a_value():
    assert found("$[?(@.a != {x})]", [{"a": 1, "b": 1}], x=parse("@.b")) == [0]
    assert found("$[?($ && @.a == {x})]", [{"a": 1, "b": 1}], x=parse("@.b")) == []


def test_a_placeholder_holds_wherever_it_is_in_the_tree():
    records = [{"items": [{"n": 1}, {"n": 5}], "limit": 3}, {"items": [{"n": 2}]}]
    for text in (
        "$[?(@.items[?(@.n > {n})])]",
        "$[?(@.items[?(@.n > {n})].n.`parent`)]",
        "$[?(@..[?(@.n > {n})])]",
        "$[?(!@.none && (@.none || @..n > {n}))]",
    ):
        assert found(text, records, n=3) == [0]
        assert found(text, records, n=1) == [0, 1]


@pytest.mark.parametrize(
    ("low", "high"),
    [
        (date(2024, 1, 1), date(2024, 1, 2)),
        (datetime(2024, 1, 1), datetime(2024, 1, 1, 12)),
        (datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, 12, tzinfo=UTC)),
        (time(8), time(9)),
        (timedelta(1), timedelta(2)),
        (Decimal("1.1"), Decimal("1.2")),
        (Decimal("1.1"), 2),
        (1, Decimal("1.1")),
        (1.5, Decimal(2)),
        (b"a", b"b"),
        (UUID(int=1), UUID(int=2)),
    ],
)
@pytest.mark.parametrize("text", ["$[?(@.a {} {{x}})]", "$[?($ && @.a {} {{x}})]"])
def test_bound_values_that_json_does_not_have_are_ordered_with_their_like(low, high, text):
    records = [{"a": low}, {"a": high}, {"a": "x"}, {"a": None}, {"a": True}, {}]
    value = high if isinstance(high, Decimal) or not isinstance(low, Decimal) else low
    at = 1 if value is high else 0
    everything = [0, 1, 2, 3, 4, 5]

    def compared(op):
        return found(text.format(op), records, x=value)

    assert compared("==") == [at]
    assert compared("!=") == [place for place in everything if place != at]
    assert compared("<") == [0][:at]
    assert compared("<=") == [0, 1][: at + 1]
    assert compared(">") == [1][at:]
    assert compared(">=") == [0, 1][at:]


@pytest.mark.parametrize(
    ("stored", "value"),
    [
        (datetime(2024, 1, 1), datetime(2024, 1, 1, tzinfo=UTC)),
        (datetime(2024, 1, 1), date(2024, 1, 1)),
        (date(2024, 1, 1), datetime(2024, 1, 1)),
        (time(8), time(9, tzinfo=UTC)),
        (Decimal("NaN"), Decimal(1)),
        (Decimal("sNaN"), Decimal(1)),
        (Decimal("sNaN"), Decimal("sNaN")),
        (True, Decimal(1)),
        ("2024-01-01", date(2024, 1, 1)),
        ({1}, {1, 2}),
        ((1,), (1, 2)),
        ([1], (True,)),
        (1, b"1"),
        (None, object()),
    ],
)
def test_what_python_does_not_order_is_not_ordered_and_not_equal(stored, value):
    for op in ("==", "<", "<=", ">", ">="):
        assert found(f"$[?(@.a {op} {{x}})]", [{"a": stored}], x=value) == []
    assert found("$[?(@.a != {x})]", [{"a": stored}], x=value) == [0]


@pytest.mark.parametrize("value", [{1}, (1, "a"), frozenset({1}), Level.HIGH, object()])
def test_other_values_are_equal_to_their_equals(value):
    for op in ("==", "<=", ">="):
        assert found(f"$[?(@.a {op} {{x}})]", [{"a": value}, {}], x=value) == [0]
    assert found("$[?(@.a != {x})]", [{"a": value}, {}], x=value) == [1]


def test_a_bound_pattern_is_a_regular_expression():
    assert names("$[?(@.name =~ {pattern})]", pattern="^A.a") == ["Ada", "Alan"]
    assert names("$[?($ && @.name =~ {pattern})]", pattern="^A.a") == ["Ada", "Alan"]


@pytest.mark.parametrize("pattern", ["(", 5, None, b"a", re.compile("a")])
def test_what_is_no_regular_expression_cannot_be_bound_as_one(pattern):
    for text in ("$[?(@.name =~ {p})]", "$[?($ && @.name =~ {p})]"):
        with pytest.raises(QueryError, match=r"regular expression"):
            found(text, p=pattern)


def test_a_value_that_is_missing_is_asked_for():
    for give in (found, searched):
        with pytest.raises(QueryError, match=r"\{age\} has no value: give age=\.\.\. with '\$"):
            give("$[?(@.age > {age} && $)]")
        with pytest.raises(QueryError, match=r"\{age\} has no value"):
            give("$[?(@.age > {age})]")


def test_a_value_that_has_no_place_is_refused():
    with pytest.raises(QueryError, match=r"agee= has no place \{agee\} in"):
        found("$[?(@.age > 3)]", agee=3)
    with pytest.raises(QueryError, match="age= has no place"):
        searched("$[*].name", age=3)


def test_a_placeholder_in_quotes_is_plain_text():
    records = [{"name": "{name}"}, {"name": "Ada"}]
    assert found("$[?(@.name == '{name}')]", records) == [0]
    with pytest.raises(QueryError, match=r"write \{name\} without quotes"):
        found("$[?(@.name == '{name}')]", records, name="Ada")


# -- equals --------------------------------------------------------------------------------------


@settings(max_examples=200)
@given(values, many_records)
def test_equals_is_the_comparison_of_a_filter(value, records):
    records = [*records, {"a": value}]
    test = equals({"a": value})
    expected = found("$[?(@.a == {value})]", records, value=value)
    assert [place for place, record in enumerate(records) if test(record)] == expected


def test_equals_takes_several_fields_or_none():
    test = equals({"name": "Ada", "age": 36})
    assert [test(person) for person in PEOPLE] == [True, False, False, False, False]
    assert [equals({})(person) for person in PEOPLE] == [True] * 5


def test_equals_takes_the_name_of_a_field_as_it_is():
    assert equals({"a.b": 1})({"a.b": 1})
    assert not equals({"a.b": 1})({"a": {"b": 1}})


# -- values of a record, and searches ------------------------------------------------------------


def values_by_jsonpath_ng(text, value):
    return [repr(match.value) for match in parse_strictly(text).find(value)]


@settings(max_examples=200)
@given(st.sampled_from(["$", "@"]), steps(simple_tests), many_records)
def test_the_values_of_a_record_are_what_jsonpath_ng_finds(start, path, records):
    text = start + path
    for record in records:
        expected = outcome(values_by_jsonpath_ng, text, record)
        actual = [repr(each) for each in parse_values(text).find(record)]
        event(f"{'none' if expected == [] else 'failed' if expected == 'failed' else 'some'}")
        assert expected in ("failed", actual)


@settings(max_examples=400)
@given(
    st.one_of(
        st.sampled_from(["$[*]", "$.*", "@[*]", "$", "$[0]", "$[0:2]"]),
        expressions.map(lambda inner: f"$[?({inner})]"),
    ),
    st.one_of(st.just(""), steps(simple_tests)),
    many_records,
)
def test_a_search_finds_what_jsonpath_ng_finds(head, rest, records):
    text = head + rest
    expected = outcome(values_by_jsonpath_ng, text, records)
    actual = [repr(each) for each in searched(text, records)]
    event(f"one by one: {parse_search(text).one_by_one}, finds: {expected not in ([], 'failed')}")
    assert expected in ("failed", actual)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name", ["Ada"]),
        ("$.name", ["Ada"]),
        ("@.name", ["Ada"]),
        ("address.city", ["London"]),
        ("address.*", ["London"]),
        ("tags[*]", ["maths", "poetry"]),
        ("tags[?(@ > 'n')]", ["poetry"]),
        ("tags[?($.name == 'Ada')]", ["maths", "poetry"]),  # of the record, not of the tag
        ("['name','age']", ["Ada", 36]),
        ("tags.`len`", [2]),
        ("$..city", ["London"]),
        ("address.street", []),
        ("$", [PEOPLE[0]]),
    ],
)
def test_values_are_found_relative_to_the_record(text, expected):
    assert parse_values(text).find(PEOPLE[0]) == expected


def test_the_list_of_values_is_not_the_list_of_the_record():
    record = {"tags": ["a"]}
    parse_values("tags[*]").find(record).clear()
    assert record == {"tags": ["a"]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$[*].address.city", ["London", "Wilmslow"]),
        ("$[?(@.age > 80)].name", ["Grace"]),
        ("$[?(@.age > 80)]", [PEOPLE[2]]),
        ("$[*].tags[*]", ["maths", "poetry", "maths", "logic"]),
        ("$[*]..city", ["London", "Wilmslow"]),
        ("$[?(@.tags[?(@ == 'poetry')])].tags[1]", ["poetry"]),
    ],
)
def test_a_search_that_goes_into_each_record_takes_them_one_by_one(text, expected):
    def endless():
        yield from PEOPLE
        raise AssertionError("the rest was not asked for")

    search = parse_search(text)
    assert search.one_by_one
    results = search.find(endless(), {})
    assert [next(results) for _ in expected] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$..city", ["London", "Wilmslow"]),
        ("$[0:2].name", ["Ada", "Alan"]),
        ("$[-1].name", ["Emmy"]),
        ("$.`len`", [5]),
        ("$[?(@.age < $[0].age)].name", []),
        ("$[?(@.age > $[0].age)].name", ["Alan", "Grace"]),
        ("$[0].name.`parent`.age", [36]),
        ("$[*].`path`", ["[0]", "[1]", "[2]", "[3]", "[4]"]),
        ("$[*].address[?($[0].name)]", ["London", "Wilmslow"]),
        ("$", [PEOPLE]),
        ("name", []),
    ],
)
def test_a_search_that_looks_at_several_records_needs_them_all(text, expected):
    search = parse_search(text)
    assert not search.one_by_one
    assert list(search.find(iter(PEOPLE), {})) == expected


@pytest.mark.parametrize(
    "text",
    [
        "$[?(@.age > {age})].name",
        "$[*][?(@ > {age})]",
        "$[?(@.age > {age} && $)].name",
        "$..[?(@ > {age})]",
    ],
)
def test_a_search_takes_values(text):
    literal = text.replace("{age}", "40")
    assert searched(text, age=40) == [match.value for match in parse(literal).find(PEOPLE)]
    assert len(searched(text, age=40)) >= 2
    with pytest.raises(QueryError, match="has no value"):
        parse_search(text).find(PEOPLE, {})


# -- errors --------------------------------------------------------------------------------------


def refusal(text, parser=parse_filter):
    with pytest.raises(QueryError) as refused:
        parser(text)
    return str(refused.value)


@pytest.mark.parametrize(
    ("text", "mark", "reason"),
    [
        ("$[?(@.age >)]", "           ^", "')' is not expected here"),
        ("$[?(@.age > 30]", "              ^", "']' is not expected here"),
        ("$[?(@.age > 30)", "               ^", "the path ends too early"),
        ("", "^", "the path ends too early"),
        ("$[?(@.a and @.b)]", "        ^", "'and' is not expected here: write && for it"),
        ("$[?(@.a or @.b)]", "        ^", "'or' is not expected here: write || for it"),
        ("$[?(@.a == 1 'x')]", "             ^", "'x' is not expected here"),
        ("$[?(@.a # 1)]", "        ^", "'#' is not expected here"),
        ("$[?(@.a == 'x)]", "           ^", "the ' that opens here is never closed"),
        ('$[?(@.a == "x)]', "           ^", 'the " that opens here is never closed'),
        ("$[?(@.a.`len == 1)]", "        ^", "the ` that opens here is never closed"),
        ("$.`none`", "  ^", "Unknown named operator `none`"),
        ("$.`sub(a)`", "  ^", "sub(a) is not valid"),
        ("$.`sub(/(/, b)`", "  ^", "missing ), unterminated subpattern"),
        ("$[?(@.a =~ '(')]", "           ^", "this is not a regular expression: missing )"),
        ("$[?(@.a =~ 5)]", "           ^", "=~ takes a regular expression in quotes"),
        ("$[?(@.a =~ true)]", "           ^", "=~ takes a regular expression in quotes"),
        ("$[?(@.a =~ @.b)]", "           ^", "=~ takes a regular expression in quotes"),
        ("$[?({x} == @.a)]", "    ^", "a placeholder stands on the right of a comparison"),
        ("$[?(@.{x} == 1)]", "      ^", "a placeholder stands on the right of a comparison"),
        ("$[{x}]", "  ^", "a placeholder stands on the right of a comparison"),
        ("$[?(@.a == 1 + {x})]", "               ^", "a placeholder stands on the right"),
        ("$[?(@.a == {x}.b)]", "              ^", "'.' is not expected here"),
        ("$[?(@.a == {x} {x})]", "               ^", "a placeholder stands on the right"),
        ("$[?(@.a == {})]", "           ^", "a placeholder is written as {name}"),
        ("$[?(@.a == {1})]", "           ^", "a placeholder is written as {name}"),
        ("$[?(@.a == { x })]", "           ^", "a placeholder is written as {name}"),
        ("$[?(@.a == {x)]", "           ^", "a placeholder is written as {name}"),
        ("$[?(@.a == x})]", "            ^", "a placeholder is written as {name}"),
        ("$[?(@.a == {x} && @.b >)]", "                       ^", "')' is not expected here"),
        ("$[?(@.a == 'ab' 'cd')]", "                ^", "'cd' is not expected here"),
    ],
)
def test_an_error_shows_the_place(text, mark, reason):
    message = refusal(text)
    assert message.startswith(reason)
    assert message.endswith(f"\n    {text}\n    {mark}")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("@.\xe9t\xe9 > 1", "\xe9t\xe9"),
        ("@.a.na\xefve > 1", "na\xefve"),
        ("\xe9t\xe9 > 1", "\xe9t\xe9"),
        ("@.where > 1", "where"),
        ("@.a.wherenot", "wherenot"),
    ],
)
def test_an_error_shows_how_to_write_a_name_that_the_language_does_not_take(text, name):
    assert f'is not expected here: write a name such as this in brackets: ["{name}"]' in refusal(
        text
    )
    parse_filter(f'@["{name}"] > 1')


@pytest.mark.parametrize("text", ["@.a == \xe9", "@.a == 1 where", "@.a == 1 \xe9", "@.\u20ac"])
def test_no_name_is_suggested_where_none_is_meant(text):
    assert "in brackets" not in refusal(text)


def test_an_error_shows_the_place_in_a_text_of_several_lines():
    assert refusal("$[?(@.a == 'x\ny' &&\n\t@.b == 1 or\n    @.c)]").splitlines() == [
        "'or' is not expected here: write || for it",
        "    $[?(@.a == 'x",
        "    y' &&",
        "    \t@.b == 1 or",
        "    \t         ^",
        "        @.c)]",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "$.name",
        "$[0]",
        "$..name",
        "$[?(@.a)].name",
        "$[?(@.a)][?(@.b)]",
        "$[0:2]",
        "name",
        "$.`len`",
    ],
)
def test_a_filter_is_not_just_any_path(text):
    assert "search() gives the values inside the records" in refusal(text)


def test_values_take_no_placeholders():
    assert "takes no {placeholders}" in refusal("tags[?(@ == {tag})]", parse_values)


@pytest.mark.parametrize("parser", [parse_filter, parse_values, parse_search])
@pytest.mark.parametrize("text", [None, 5, b"$", ["$"]])
def test_a_path_is_a_str(parser, text):
    assert "a JSONPath is a str, not" in refusal(text, parser)


def test_an_absurd_path_is_a_query_error():
    deep = "$" + ".a" * 5000
    assert "nested too deeply" in refusal(deep, parse_search)
    assert "digits" in refusal(f"$[?(@.a == {'1' * 5000})]")


def test_a_filter_of_all_records_does_not_pretend_to_know_one():
    with pytest.raises(QueryError, match="refers to all records"):
        parse_filter("$[?(@.a == $[0].a)]").bind({})


def test_any_filter_can_select_from_a_list():
    assert parse_filter("$[?(@.age > {age})]").select(PEOPLE, {"age": 40}) == [1, 2]
    assert parse_filter("$").select(PEOPLE, {}) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "text",
    ["$[?(@.name == Ada)]", "$[?(@.name == 'Ada' & @.age == 36)]"],
)
def test_what_jsonpath_ng_deprecates_works_with_its_warning(text):
    with pytest.warns(DeprecationWarning, match=r"2\.0\.0"):
        filter = parse_filter(text)
    assert [filter.bind({})(person) for person in PEOPLE] == [True, False, False, False, False]


def test_an_intersection_of_paths_is_refused():
    with pytest.warns(DeprecationWarning, match="intersection"):
        assert "& does not join two paths" in refusal("$.a & $.b", parse_search)


pieces = st.sampled_from(
    [
        *(
            "$",
            "@",
            "[",
            "]",
            "(",
            ")",
            "?",
            "*",
            ".",
            "..",
            ",",
            ":",
            "+",
            "-",
            "/",
            "\\",
            "a",
            "1",
        ),
        *("=", "==", "=~", "!=", "<", ">=", "!", "&", "|", "&&", "||", "'a'", '"b"', "'", '"', "`"),
        *("true", "null", "-1", "1.5", "where", "{x}", "{", "}", "~", "^", " ", "\n", "\\'", "\t"),
        *("`len`", "`this`", "`parent`", "`sorted`", "`sub(/(/, b)`", "`sub(`", "`none`"),
    ]
)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@settings(max_examples=500)
@given(st.lists(pieces, max_size=10).map("".join) | st.text(max_size=10), st.booleans())
@example("$[?(@.a == 'a\\\n')]", False)
def test_whatever_is_written_is_parsed_or_refused(text, framed):
    text = f"$[?(@.{text})]" if framed else text
    for parser in (parse_filter, parse_values, parse_search):
        try:
            parser(text)
        except QueryError:
            event("refused")
        else:
            event("parsed")


# -- many threads --------------------------------------------------------------------------------


def test_many_threads_can_parse_at_once():
    """jsonpath-ng makes a parser for each text; if two shared anything, this would mix them up."""
    texts = [
        f"$[?(@.a{number} == 'x{number}' && (@.b[{number}] > {number} || !@.c{number}))].d{number}"
        for number in range(240)
    ] + [f"$[*].a{number}.{'b.' * (number % 7)}c" for number in range(240)]
    bad = [f"$[?(@.a{number} == {'(' * (number % 5 + 1)}" for number in range(120)]
    expected = {text: repr(parse(text)) for text in texts}
    actual = {}
    refused = {}
    start = threading.Barrier(8)

    def work(first):
        start.wait()
        for text in texts[first::8]:
            actual[text] = repr(parsing.parse(text)[0])
        for text in bad[first::8]:
            refused[text] = refusal(text, parse_search)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=(first,)) for first in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert actual == expected
    assert {text: message.splitlines()[1].strip() for text, message in refused.items()} == {
        text: text for text in bad
    }
