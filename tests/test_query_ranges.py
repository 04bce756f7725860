"""The ranges of a condition hold every value that fulfils it, and exact ranges no other value."""

import re
import warnings
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stones.collections.indexes.encoding import MISSING, OTHER, encode
from stones.collections.language.arithmetic import FloatLiteral
from stones.collections.language.comparisons import MISSING as NO_VALUE
from stones.collections.language.comparisons import Forms, comparison
from stones.collections.planning.ranges import condition_ranges, fitted, literal_prefix

EAST = timezone(timedelta(hours=2))
numbers = st.one_of(
    st.integers(),
    st.integers(-5, 5),
    st.floats(),
    st.sampled_from([0.1, 0.3, -0.0, 2**53 + 1, 2.0**53, 10**400, -(10**400)]),
    st.decimals(),
    st.sampled_from([Decimal("0.1"), Decimal("1e400"), Decimal("0.3"), Decimal(2**53 + 1)]),
    st.sampled_from(["0.1", "0.3", "1e400", "2.5", "-0.0", "9007199254740993.0"]).map(FloatLiteral),
)
plain = st.one_of(
    st.none(),
    st.booleans(),
    numbers,
    st.text("ab\0", max_size=3),
    st.text(max_size=3),
    st.binary(max_size=2),
    st.dates(date(2024, 1, 1), date(2024, 1, 3)),
    st.datetimes(datetime(2024, 1, 1), datetime(2024, 1, 3)),
    st.sampled_from([datetime(2024, 1, 1, 12, tzinfo=UTC), datetime(2024, 1, 1, 14, tzinfo=EAST)]),
    st.sampled_from([time(1), time(2, tzinfo=UTC), timedelta(1), UUID(int=7)]),
)
stored = st.one_of(plain, st.lists(plain, max_size=2), st.just({}), st.just(Fraction(1, 2)))
literals = st.one_of(plain, plain.map(lambda value: Forms((value, 1))), stored, st.just(object()))


def matches(op, value, found):
    return bool(comparison(op, lambda record: record, value, "")(found))


@given(st.sampled_from(["==", "<", "<=", ">", ">="]), literals, stored)
@example("==", FloatLiteral("0.1"), Decimal("0.1"))
@example("==", FloatLiteral("0.1"), 0.1)
@example(">", FloatLiteral("0.1"), 0.1)
@example("<", FloatLiteral("9007199254740993.0"), 2**53 + 1)
@example("==", 0, -0.0)
@example("==", True, 1)
@example("==", None, 0)
@example("==", Decimal("sNaN"), Decimal("sNaN"))
@example("<=", 0.5, Fraction(1, 2))
def test_the_ranges_of_a_comparison_hold_what_compares_so(op, value, found):
    ranges = condition_ranges(op, value)
    if ranges is None:
        return
    inside = [each for each in ranges if each.low <= encode(found) < each.high]
    if matches(op, value, found):
        assert len(inside) == 1
    if inside and inside[0].exact:
        assert matches(op, value, found)


@given(st.lists(plain, max_size=4), stored)
def test_the_ranges_of_in_are_those_of_its_members(members, found):
    ranges = condition_ranges("in", members)
    assert ranges is not None
    inside = [each for each in ranges if each.low <= encode(found) < each.high]
    if any(matches("==", member, found) for member in members):
        assert len(inside) == 1
    if inside and inside[0].exact:
        assert any(matches("==", member, found) for member in members)


TEXTS = st.text("ab.|\n", max_size=4)


@given(st.text("ab.|()[]*+?{}\\^$12", max_size=6).map(lambda text: f"^{text}"), TEXTS)
@example("^a|b", "b")
@example("^ab?", "a")
@example("^ab{0}", "a")
@example("^(a|b)", "b")
@example("^a[|]b", "a|b")
@example("^[]|]", "|")
def test_a_pattern_finds_only_texts_with_its_literal_prefix(pattern, text):
    try:
        with warnings.catch_warnings(action="ignore", category=FutureWarning):  # "[["
            search = re.compile(pattern).search
    except (re.error, OverflowError):
        return
    found = literal_prefix(pattern)
    if found is not None:
        assert text.startswith(found[0]) or not search(text)
        if found[1] and text.startswith(found[0]):
            assert search(text)


def test_a_missing_value_is_no_null_and_exists_not():
    assert [each.low for each in condition_ranges("missing", None)] == [encode(MISSING), OTHER]
    [found, _] = condition_ranges("exists", None)
    assert found.low > encode(MISSING)
    assert found.low <= encode(None)
    assert not matches("==", None, NO_VALUE)


def test_what_is_no_array_may_contain_anything():
    [_, other] = condition_ranges("contains", None, each=True)
    assert other.low == OTHER
    assert condition_ranges("==", None, each=False) == condition_ranges("==", None, each=True)[:1]


@pytest.mark.parametrize("op", ["!=", "!"])
def test_an_operator_without_ranges_has_no_ranges(op):
    assert condition_ranges(op, 1) is None


def test_ranges_of_long_values_are_widened_to_what_a_cut_entry_shows():
    [found, _] = condition_ranges("==", "x" * 300)
    short = fitted(found, 100)
    assert len(short.low) <= 100
    assert not short.exact
    assert short.low < encode("x" * 300) < short.high
    [small, _] = condition_ranges("==", "x")
    assert fitted(small, 100) is small
