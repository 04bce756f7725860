"""The text of a query: the escapes in quotes."""

import json
import re

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from stones import Collection, key
from stones.collections.queries.jsonpath import parse_filter, parse_search, parse_values
from stones.errors import QueryError


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
        (r"$[?(@.text =~ '^C:\\')]", [3]),
    ]:
        assert list(notes.find(text).keys()) == expected
