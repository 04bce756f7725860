r"""The text of a query: escapes in quotes, `!(...)`, conditions on their own, very long numbers."""

import json
import re
from typing import Any

import pytest
from attrs import define, field
from hypothesis import event, given, settings
from hypothesis import strategies as st

from stones import Collection, key
from stones.collections.language.jsonpath import equals, parse_filter, parse_search, parse_values
from stones.errors import QueryError
from stones.formats.messages import show

HUGE = 10**5000


def found(text, records, /, **values):
    return parse_filter(text).select(records, values)


def refusal(text, parser=parse_filter):
    with pytest.raises(QueryError) as refused:
        parser(text)
    return str(refused.value)


# -- quotes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (r"a\\b", "a\\b"),
        (r"\b\t\n\f\r\/", "\b\t\n\f\r/"),
        (r"it\'s", "it's"),
        (r"the \"x\"", 'the "x"'),
        (r"\u00e9\u00E9", "éé"),
        (r"\ud83d\ude00 \uD83D\uDE00", "😀 😀"),
        (r"\\n", "\\n"),
        (r"\\\n", "\\\n"),
        (r"\u005cd", "\\d"),
        ("a\nb", "a\nb"),
        (r"{x}\t{y}", "{x}\t{y}"),
        ("", ""),
    ],
)
@pytest.mark.parametrize("quote", ["'", '"'])
def test_a_text_in_quotes_is_as_rfc_9535_says(written, meant, quote):
    if quote in written.replace(f"\\{quote}", ""):
        return
    text = f"{quote}{written}{quote}"
    records = [{"a": meant, meant: 1}, {"a": written + "x"}, {"a": None}]
    assert found(f"$[?(@.a == {text})]", records) == [0]
    assert found(f"$[?($ && @.a == {text})]", records) == [0]
    assert found(f"$[?(@[{text}] == 1 && @[{text}] == @[{text}])]", records) == [0]
    assert parse_values(f"$[{text}]").find(records[0]) == [1]
    assert list(parse_search(f"$..[{text}]").find(records, {})) == [1]


@given(st.text())
def test_any_text_can_be_written_as_json_writes_it(text):
    if any("\ud800" <= char <= "\udfff" for char in text):
        return
    for written in (json.dumps(text), json.dumps(text, ensure_ascii=False)):
        assert found(f"$[?(@.a == {written})]", [{"a": text}, {"a": text + "x"}]) == [0]
        assert parse_values(f"$[{written}]").find({text: 1}) == [1]


@pytest.mark.parametrize(
    ("text", "mark", "reason"),
    [
        (r"$[?(@.a == '\d')]", r"            ^", r"\d is no escape: write \\ for a backslash"),
        (r'$[?(@.a == "ab\x41")]', r"              ^", r"\x is no escape"),
        (r"$[?(@.a == 'C:\new\docs')]", r"                  ^", r"\d is no escape"),
        (r"$['a\.b']", r"    ^", r"\. is no escape"),
        (r"$[?(@.a == '\u12')]", r"            ^", r"\u takes four hexadecimal digits"),
        (r"$[?(@.a == '\ud800')]", r"            ^", r"\u takes four hexadecimal digits"),
        (r"$[?(@.a == '\ude00\ud83d')]", r"            ^", r"\u takes four hexadecimal digits"),
        (r"@.a == '\d'", r"        ^", r"\d is no escape"),
    ],
)
def test_an_escape_that_nobody_knows_is_shown(text, mark, reason):
    lines = refusal(text).splitlines()
    assert lines[0].startswith(reason)
    assert lines[1:] == [f"    {text}", f"    {mark}"]


def test_a_backslash_at_the_end_of_a_line_is_no_escape():
    assert refusal("$[?(@.a == 'a\\\nb')]").startswith("a backslash before such a character")


@pytest.mark.parametrize(
    ("pattern", "matches", "others"),
    [
        (r"^\d+$", ["12"], ["d", "1d"]),
        (r"^a\.b$", ["a.b"], ["aXb"]),
        (r"\bcat\b", ["the cat"], ["cats"]),
        (r"^\\$", ["\\"], ["\\\\"]),
        (r"^\u00e9\n$", ["é\n"], ["u00e9"]),
        (r"^it\'s \"x\"$", ['it\'s "x"'], ["its x"]),
        (r"^(a)\1$", ["aa"], ["a1", "a"]),
        (r"^{x}{2}$", ["{x}}"], ["xx"]),
        ("(?x) a \\\n b", ["a\nb"], ["ab"]),
    ],
)
def test_a_pattern_reaches_re_as_it_is_written(pattern, matches, others):
    records = [{"a": each} for each in [*matches, *others]]
    for quote in ("'", '"'):
        if quote in pattern.replace(f"\\{quote}", ""):
            continue
        expected = [place for place, at in enumerate(records) if re.search(pattern, at["a"])]
        assert expected == list(range(len(matches)))
        for head in ("", "$ && "):
            text = f"$[?({head}@.a =~ {quote}{pattern}{quote})]"
            assert found(text, records) == expected
        assert found(f"$[?(@.a =~{quote}{pattern}{quote})]", records) == expected


def test_a_named_operator_gets_its_text_as_it_is_written():
    record = {"a": "a1b22"}
    assert parse_values(r"a.`sub(/\d+/, #)`").find(record) == ["a#b#"]
    assert parse_values(r"a.`sub(/([a-z])(\d)/, \2\1)`").find(record) == ["1a2b2"]
    assert parse_values(r"a.`sub(/\`|1/, x)`").find(record) == ["axb22"]
    assert refusal(r"$.a.`sub(/a/, \2)`", parse_values).startswith("invalid group reference")


def test_bytes_without_the_text_that_is_meant_are_passed_over(store):
    @define
    class Note:
        id: int = key()
        text: str
        tags: set[str] = field(factory=set)

    notes: Collection[int, Note] = Collection(store, Note)
    notes.add_many(
        [Note(1, "a/b", {"x-ray"}), Note(2, 'say "no"'), Note(3, "C:\\new"), Note(4, "é")]
    )
    for text, expected in [
        (r"$[?(@.text == 'a\/b')]", [1]),
        (r"$[?(@.text == '\u0061/b')]", [1]),
        (r'$[?(@.text == "say \"no\"")]', [2]),
        (r"$[?(@.text == 'C:\\new')]", [3]),
        (r"$[?(@.text == '\u00e9')]", [4]),
        (r"$[?(!(@.text == 'a\/b'))]", [2, 3, 4]),
        (r"$[?(@.tags[*] == 'x-ray')]", [1]),
        (r"$[?(!(@.tags[*] == 'x-ray') && @.text == 'a/b')]", []),
        (r"$[?(@.text =~ '^C:\\')]", [3]),
    ]:
        assert list(notes.find(text).keys()) == expected


# -- negation ------------------------------------------------------------------------------------


class Unknown:
    """Stands for the outcome of a condition that cannot be evaluated."""


ATOMS = [
    ("@.one == 1", True),
    ("@.one != 1", False),
    ("@.gone == 1", False),
    ("@.gone != 1", True),
    ("@.gone", False),
    ("!@.gone", True),
    ("!@.one", False),
    ("@.text =~ '^a'", True),
    ("@.text > 'b'", False),
    ("@.tags[*] == 'x'", True),
    ("@.tags[?(@ == 'z')]", False),
    ("@.text * 2 == 1", None),
    ("@.one / 0 != 1", None),
    ("@.one.`sub(/a/, b)`", None),
    ("!@.one.`sub(/a/, b)`", None),
]
RECORD = {"one": 1, "text": "abc", "tags": {"x", "y"}}


def not_slowly(outcome):
    return None if outcome is None else not outcome


def and_slowly(left, right):
    if left is False or right is False:
        return False
    return None if left is None or right is None else True


def or_slowly(left, right):
    return not_slowly(and_slowly(not_slowly(left), not_slowly(right)))


def combined(inner):
    """Two conditions in one, written with as few parentheses as the precedence allows, or more."""

    def negated(each):
        text, outcome, _ = each
        return f"!({text})", not_slowly(outcome), 2

    def joined(operands):
        (left, right), op, rank, combine, space = operands
        texts = [f"({text})" if own < rank else text for text, _, own in (left, right)]
        return space.join([texts[0], op, texts[1]]), combine(left[1], right[1]), rank

    def in_parentheses(each):
        return f"( {each[0]} )", each[1], 2

    pairs = st.tuples(inner, inner)
    spaces = st.sampled_from([" ", "", "\n "])
    return st.one_of(
        inner.map(negated),
        inner.map(in_parentheses),
        st.tuples(pairs, st.just("&&"), st.just(1), st.just(and_slowly), spaces).map(joined),
        st.tuples(pairs, st.just("||"), st.just(0), st.just(or_slowly), spaces).map(joined),
    )


conditions = st.recursive(
    st.sampled_from(ATOMS).map(lambda atom: (*atom, 2)), combined, max_leaves=12
)


@settings(max_examples=500)
@given(conditions)
def test_conditions_are_combined_as_a_slow_evaluator_combines_them(condition):
    text, outcome, _ = condition
    event(f"{outcome}")
    expected = [0] * (outcome is True)
    assert found(f"$[?({text})]", [RECORD]) == expected
    assert found(f"$[?{text}]", [RECORD]) == expected
    assert found(f"$[?($ && ({text}))]", [RECORD]) == expected
    assert found(text, [RECORD]) == expected
    assert found(f"$[?(!({text}))]", [RECORD]) == [0] * (outcome is False)
    assert found(f"!({text})", [RECORD]) == [0] * (outcome is False)
    holder = {"items": [RECORD], "by_name": {"a": RECORD}}
    assert found(f"$[?(@.items[?({text})])]", [holder]) == expected
    assert len(parse_values(f"by_name[?({text})].one").find(holder)) == len(expected)
    assert len(list(parse_search(f"$[?({text})].one").find([RECORD], {}))) == len(expected)
    assert len(list(parse_search(f"$..[?({text})].one").find([holder], {}))) == 2 * len(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("!(@.id == 1)", [1, 2, 3]),
        ("! ( @.id == 1 )", [1, 2, 3]),
        ("!(@.id)", [3]),
        ("!(@.a.b)", [0, 1, 2]),
        ("!(@.a).b", [0, 1, 2]),
        ("!(@.id == {x})", [0, 2, 3]),
        ("!(@.id == 1 || @.id == {x})", [2, 3]),
        ("!(@.id > 1) && @.id", [0, 2]),
        ("!(!(@.id == 1))", [0]),
        ("!(!(!(@.id == 1)))", [1, 2, 3]),
        ("!(@.id == 1) && !(@.id == 2) || @.id == 1", [0, 2, 3]),
        ("!(@.id =~ '1')", [0, 1, 3]),
        ("!(@['!( )'])", [0, 1, 2, 3]),
        ("((((@.id == 1))))", [0]),
    ],
)
def test_a_group_can_be_negated(text, expected):
    records = [{"id": 1}, {"id": 2}, {"id": "1"}, {"a": {"b": 1}}]
    values = {"x": 2} if "{x}" in text else {}
    assert found(f"$[?({text})]", records, **values) == expected
    assert found(f"$[?($ && ({text}))]", records, **values) == expected
    assert found(text, records, **values) == expected


def test_the_field_that_stands_for_a_group_can_be_a_field():
    records = [{"!( )": {"x": 1}}, {"x": 1}]
    assert found("$[?(!@['!( )'])]", records) == [1]
    assert found("$[?(!@['!( )'][?(@ == 1)])]", records) == [1]
    assert found("$[?(!['!( )'][?(@ == 1)])]", records) == [1]


@pytest.mark.parametrize("depth", [1, 10, 100])
def test_groups_can_be_nested_deeply(depth):
    for before, after in [("(", ")"), ("!(", ")"), ("!(@.b || ", ")"), ("(@.b || !(", " && @.a))")]:
        text = f"{before * depth}@.a == 1{after * depth}"
        once = found(text, [{"a": 1}])
        assert once == found(f"$[?($ && {text})]", [{"a": 1}])
        assert once == ([0] if depth % 2 == 0 or before == "(" else [])


def test_what_is_nested_too_deeply_is_refused():
    assert "nested too deeply" in refusal("!(@.b || " * 2000 + "@.a" + ")" * 2000)


@pytest.mark.parametrize(
    ("text", "mark", "reason"),
    [
        ("$[?(!@.a == 1)]", "         ^", "'==' is not expected here: write !( ) around"),
        ("$[?(!(@.a == 1)]", "               ^", "']' is not expected here"),
        ("$[?(!(@.a == 1).b)]", "          ^", "'==' is not expected here"),
        ("$[?(!())]", "      ^", "')' is not expected here"),
        ("$[?(!(@.a >) && @.b)]", "           ^", "')' is not expected here"),
        ("$[?(!!(@.a))]", "     ^", "'!' is not expected here"),
    ],
)
def test_a_wrong_negation_is_shown(text, mark, reason):
    lines = refusal(text).splitlines()
    assert lines[0].startswith(reason)
    assert lines[1:] == [f"    {text}", f"    {mark}"]


# -- conditions on their own ---------------------------------------------------------------------

PEOPLE = [{"age": 36, "active": True}, {"age": 7}, {"age": None, "tags": {"x"}}]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("@.age > 3", [0, 1]),
        ("  @.age > {low} ", [0]),
        ("@.active", [0]),
        ("!@.active", [1, 2]),
        ("(@.age > 3) && !(@.age == 7)", [0]),
        ("(@.active || @.tags[*] == 'x')", [0, 2]),
        ("@.tags[?(@ == 'x')]", [2]),
        ("@.age * 2 == 14", [1]),
        ("age > 3", [0, 1]),
        ("@['age'] == null", [2]),
        ("@.age > $[1].age", [0]),
    ],
)
def test_a_condition_can_stand_alone(condition, expected):
    values = {"low": 10} if "{low}" in condition else {}
    assert found(condition, PEOPLE, **values) == expected
    assert found(f"$[?({condition})]", PEOPLE, **values) == expected


@pytest.mark.parametrize(("text", "expected"), [("@", 3), ("@[*]", 3), ("@[?(@.age > 8)]", 1)])
def test_a_path_that_is_a_filter_stays_one(text, expected):
    assert len(found(text, PEOPLE)) == expected


@pytest.mark.parametrize(
    "text",
    ["@.a].b[?@.c", "@.a][?@.b", "@.a) && (@.b", "@.a] || $[?@.b", "age", "$.age", "@.a,@.b"],
)
def test_what_is_neither_a_condition_nor_a_filter_is_refused(text):
    refusal(text)


@pytest.mark.parametrize(
    ("text", "mark", "reason"),
    [
        ("@.age >", "       ^", "the path ends too early"),
        ("@.age > 3 and @.b", "          ^", "'and' is not expected here: write && for it"),
        ("(@.age > 3", "          ^", "the path ends too early"),
        ("@.name == 'x", "          ^", "the ' that opens here is never closed"),
        ("!@.a == 1", "     ^", "'==' is not expected here: write !( ) around"),
        ("@.on == True", "        ^", "write true, or quotes around a text"),
        ("@.a && @.on != FALSE", "               ^", "write false, or quotes around a text"),
        ("@.nick == None", "          ^", "write null, or quotes around a text"),
        ("price * stock > 1", "^", "write @.price for the field, or quotes around a text"),
        ("@.a && (@.price * stock > 1)", "                  ^", "write @.stock for the field"),
        ("@.a[?(2 - stock > @.b)]", "          ^", "write @.stock for the field"),
        ("@.tags[*] + x == 'ax'", "            ^", "write @.x for the field"),
    ],
)
def test_a_wrong_condition_is_shown_as_it_was_written(text, mark, reason):
    lines = refusal(text).splitlines()
    assert lines[0].startswith(reason)
    assert lines[1:] == [f"    {text}", f"    {mark}"]


@pytest.mark.parametrize(
    "text",
    [
        *("@.nick == 'None'", '@.nick == "None"', "@.None == 'None'", "@['nick'] == 'None'"),
        *("@.a + 'x' == 'ax'", "'a' + @.x == 'ax'", "a.b + 2 == 3", "2 + a['b'] == 3"),
        *("@.* == 'x'", "a[*] == 1", "@['a'].b * 2 == 2", "@.nick =~ 'None'"),
    ],
)
def test_a_text_in_quotes_and_a_path_may_stand_anywhere(text):
    assert found(text, [{"nick": "None", "None": "None", "a": "a", "x": "x"}, {"a": {"b": 1}}])


@pytest.mark.parametrize("text", ["price + stock", "price * 2", "2 / price", "@.price - stock"])
def test_a_word_in_a_calculation_is_an_error_of_values_and_of_a_search(text):
    # jsonpath-ng takes the word for a text: price + stock would be 'pricestock'.
    for parser in (parse_values, parse_search):
        assert refusal(text, parser).startswith("write @.")


@pytest.mark.parametrize(
    ("text", "parser", "shown"),
    [
        ("$[*].age > 3", parse_filter, "$[?(@.age > 3)]"),
        ("$[0].age > 3", parse_search, "$[?(@.age > 3)]"),
        ("$.age > 3", parse_filter, "$[?(@.age > 3)]"),
        ("$.age > {low} && $.b", parse_filter, "$[?(@.age > {low} && $.b)]"),
        ("@.age > 3", parse_search, "$[?(@.age > 3)]"),
        ("!(@.age > 3)", parse_search, "$[?(!(@.age > 3))]"),
        ("$.age > 3", parse_values, "$[?(@.age > 3)]"),
    ],
)
def test_an_error_shows_how_a_condition_is_written(text, parser, shown):
    assert refusal(text, parser).endswith(f"\na condition stands in a filter: {shown}")


def test_a_collection_takes_a_condition(store):
    @define
    class User:
        name: str = key()
        age: int

    users: Collection[str, User] = Collection(store, User)
    users.add_many([User("ada", 36), User("bob", 7)])
    assert users.find("@.age > 30").one() == users.find("!(@.age <= {x})", x=30).one()
    assert users.find('@.name == "bob"').count() == 1


# -- very long numbers ---------------------------------------------------------------------------


def test_a_number_that_python_cannot_write_out_is_a_value_like_any_other():
    records = [{"a": HUGE}, {"a": -HUGE}, {"a": 1.5}]
    assert found("@.a == {x}", records, x=HUGE) == [0]
    assert found("@.a >= {x}", records, x=-HUGE) == [0, 1, 2]
    assert found("@.a > 1.5 || @.a < -1", records) == [0, 1]
    assert found("@.a + 1 > {x}", records, x=HUGE) == [0]
    assert found("@.a * 1.5 > 0 || $", records) == [0, 1, 2]
    assert [equals({"a": HUGE})(record) for record in records] == [True, False, False]
    assert parse_values("a.`str()`").find(records[0]) == []


def test_a_number_that_is_too_long_to_be_read_is_refused():
    for text in (f"$[?(@.a == {'1' * 5000})]", f"@.a == -{'1' * 5000}", f"$[{'1' * 5000}]"):
        assert "too many digits: pass it as the value of a {placeholder}" in refusal(text)


@pytest.mark.parametrize("value", [HUGE, -HUGE, [HUGE], {HUGE}], ids=show)
def test_a_message_shows_any_number(value: Any):
    for give in (parse_filter, parse_values, parse_search):
        assert "a JSONPath is a str, not" in refusal(value, give)
    with pytest.raises(QueryError, match="takes a regular expression as a str, not"):
        found("@.a =~ {x}", [{"a": "x"}], x=value)
    with pytest.raises(QueryError, match="has no place"):
        found("@.a == 1", [], x=value)
