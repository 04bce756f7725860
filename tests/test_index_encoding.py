"""Values as ordered bytes: their order is the order of `ordering.compare`, wherever it has one."""

import math
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Context, Decimal, FloatOperation, localcontext
from fractions import Fraction
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stones.collections.indexes.encoding import (
    CANONICAL,
    FLOAT,
    MISSING,
    OTHER,
    UNDECODABLE,
    class_range,
    cut,
    decode,
    encode,
    encode_prefix,
    end_of,
    is_cut,
    is_searchable,
    kind,
)
from stones.collections.language.ordering import compare
from stones.errors import CorruptValueError

NAN = encode(math.nan)
ZONES = [UTC, timezone(timedelta(hours=5, minutes=45)), timezone(-timedelta(seconds=3601))]
EDGES = [0, 1, 2**53 - 1, 2**53, 2**53 + 1, 2**53 + 2, 2**63, 2**64, 10**22, 10**23, 10**400]
FLOATS = [0.0, -0.0, 5e-324, 0.1, 0.5, 1.0, 1.7976931348623157e308, math.inf, 2.0**53, 2.0**53 + 2]
DECIMALS = ["0.1", "0.5", "1", "1.00", "1E+400", "1E-400", "1E+999999", "9.99E+40000", "1E-40000"]

decimals = st.one_of(
    st.decimals(),
    st.sampled_from([Decimal(text) for text in [*DECIMALS, "NaN", "sNaN", "Infinity", "-0"]]),
    st.builds(
        lambda digits, exponent: Decimal(digits).scaleb(exponent, Context(prec=60)),
        st.integers(-(10**20), 10**20),
        st.integers(-50_000, 50_000),
    ),
)
numbers = st.one_of(
    st.integers(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    decimals,
    st.sampled_from([*EDGES, *(-edge for edge in EDGES), *FLOATS, *(-float for float in FLOATS)]),
    st.sampled_from([*map(Decimal, EDGES), *(-Decimal(text) for text in DECIMALS)]),
    st.floats(allow_nan=False, allow_infinity=False).map(Decimal.from_float),
    st.floats(-1e30, 1e30).map(lambda number: Decimal(number) + Decimal("1E-15")),
)
texts = st.text(st.one_of(st.characters(categories=None), st.sampled_from("\0\1\2a\ud800\uffff")))
zones = st.sampled_from(ZONES)
plain_values = st.one_of(
    numbers,
    texts,
    st.binary(),
    st.text("\0\1\xff").map(lambda text: text.encode("latin-1")),
    st.none(),
    st.booleans(),
    st.dates(),
    st.datetimes(),
    st.datetimes(timezones=zones),
    st.times(),
    st.times(timezones=zones),
    st.timedeltas(),
    st.uuids(),
    st.sampled_from([datetime.min, datetime.max, timedelta.min, timedelta.max, date.max, time.max]),
    st.sampled_from([datetime.min.replace(tzinfo=zone) for zone in ZONES]),
)
groups = [
    numbers, texts, st.binary(max_size=4), st.dates(), st.datetimes(), st.times(), st.timedeltas(),
    st.datetimes(timezones=zones), st.times(timezones=zones), st.uuids(),
]  # fmt: skip
pairs = st.one_of(
    st.tuples(plain_values, plain_values), *(st.tuples(group, group) for group in groups)
)


def order_of(left, right):
    """The order of two values by the slow comparison: -1, 0 or 1. None where there is no order."""
    if compare("==", left, right):
        return 0
    if compare("<", left, right):
        return -1
    return 1 if compare(">", left, right) else None


def order_of_bytes(left, right):
    return (encode(left) > encode(right)) - (encode(left) < encode(right))


@settings(max_examples=1500)
@given(pairs)
@example((2**53, 2**53 + 1))
@example((Decimal("0.1"), 0.1))
@example((0.0, -0.0))
@example((Decimal("-0"), 0))
@example((-(2**53) - 1, -(2.0**53)))
@example((-(10**400), -math.inf))
@example((10**400, Decimal("1E+400")))
@example((Decimal("-1E-400"), -5e-324))
@example((Decimal("-Infinity"), -math.inf))
@example(("a", "a\0"))
@example(("a\0", "a\1"))
@example(("\ud800", "\uffff"))
@example((b"", b"\0"))
def test_bytes_have_the_order_of_the_values(pair):
    left, right = pair

    order = order_of(left, right)

    if order is not None:
        assert order_of_bytes(left, right) == order
    elif NAN not in (encode(left), encode(right)):
        assert encode(left) != encode(right)


@pytest.mark.parametrize("left", EDGES)
@pytest.mark.parametrize("step", [-1, 0, Decimal("1E-30"), Decimal("-1E-30"), 1])
def test_numbers_around_each_edge_have_their_exact_order(left, step):
    for sign in (1, -1):
        with localcontext(Context(prec=500)):
            right = sign * left + step
        assert order_of_bytes(sign * left, right) == order_of(sign * left, right)


def test_the_classes_have_a_fixed_order():
    values = [
        MISSING, None, False, True, math.nan, -math.inf, -1, 0, 10**400, math.inf, b"", "",
        date(2024, 1, 1), datetime(2024, 1, 1), datetime(2024, 1, 1, tzinfo=UTC), time(1),
        time(1, tzinfo=UTC), timedelta(0), UUID(int=0), [],
    ]  # fmt: skip

    assert sorted(values, key=encode) == values


@given(plain_values, plain_values)
def test_no_encoding_is_the_beginning_of_another(left, right):
    left, right = encode(left), encode(right)

    assert left == right or not right.startswith(left)
    assert end_of(left + right, 0) == len(left)
    assert end_of(left + right, len(left)) == len(left + right)


@given(plain_values)
def test_a_value_comes_back_from_its_bytes_and_kind(value):
    known = kind(value)

    if known == UNDECODABLE:
        with pytest.raises(CorruptValueError):
            decode(encode(value), known)
        return
    if hasattr(value, "fold"):
        value = value.replace(fold=0)
    found = decode(encode(value), known)
    assert type(found) is type(value)
    assert repr(found) == repr(value)


def test_kinds_tell_what_the_bytes_do_not():
    assert [kind(value) for value in (1, "a", None, MISSING, True)] == [CANONICAL] * 5
    assert [kind(value) for value in (1.0, math.nan, math.inf)] == [FLOAT] * 3
    unknown = (-0.0, Decimal(1), datetime.now(UTC), [], {}, 10**40_000, Fraction(1, 2))
    assert {kind(value) for value in unknown} == {UNDECODABLE}


@given(plain_values, plain_values, st.integers(24, 60))
def test_cut_encodings_keep_their_order(left, right, limit):
    whole = encode(left), encode(right)
    parts = tuple(cut(encoded, limit) for encoded in whole)

    assert all(len(part) <= limit for part in parts)
    assert [is_cut(part) for part in parts] == [len(encoded) > limit for encoded in whole]
    assert [end_of(part + b"\0\xff", 0) for part in parts] == [*map(len, parts)]
    if whole[0] <= whole[1]:
        assert parts[0] <= parts[1]
    if parts[0] == parts[1] and not is_cut(parts[0]):
        assert whole[0] == whole[1]


@given(st.text("\0\1a", min_size=15), st.text("\0\1a", min_size=15))
def test_texts_with_zeros_can_be_cut_anywhere(left, right):
    for limit in (24, 25, 26, 27):
        parts = sorted((encode(text), cut(encode(text), limit)) for text in (left, right))
        assert parts[0][1] <= parts[1][1]
        assert [is_cut(part) for _, part in parts] == [len(whole) > limit for whole, _ in parts]


def test_negative_numbers_can_be_cut():
    long = [-(10**60) - 1, -(10**60) - 2, -(10**60), -(10**60) + 1]
    parts = [cut(encode(number), 24) for number in sorted(long)]

    assert parts == sorted(parts)
    assert all(end_of(part, 0) == len(part) <= 24 for part in parts)


@given(texts, texts)
def test_a_prefix_of_a_text_is_a_prefix_of_its_bytes(prefix, text):
    assert encode(prefix + text).startswith(encode_prefix(prefix))
    assert encode(text).startswith(encode_prefix(prefix)) == text.startswith(prefix)


@given(numbers)
def test_all_numbers_are_one_class(number):
    low, high = class_range(encode(0))

    if encode(number) != NAN:
        assert low <= encode(number) < high
        assert class_range(encode(number)) == (low, high)


def test_each_other_class_is_a_range_of_its_own():
    for value in (None, True, math.nan, "", b"", date.max, time.max, MISSING, [], timedelta.max):
        low, high = class_range(encode(value))
        assert low <= encode(value) < high
        assert not low <= encode(1) < high


def test_instances_of_subclasses_are_encoded_as_the_plain_class():
    class Text(str):
        __slots__ = ()

        def __str__(self):
            return "something else"

    class Number(int):
        def __int__(self):
            return 7

    class Real(float):
        def __float__(self):
            return 7.0

    assert encode(Text("a")) == encode("a")
    assert encode(Number(3)) == encode(3)
    assert encode(Real(3.5)) == encode(3.5)
    assert {kind(value) for value in (Text("a"), Number(3), Real(3.5))} == {UNDECODABLE}


def test_what_has_no_order_is_other():
    class Broken(str):
        __slots__ = ()

        def encode(self, *_):
            raise RuntimeError

    assert {encode(value) for value in ([], {}, set(), (1,), Fraction(1, 2), object())} == {OTHER}
    assert encode(Broken("a")) == encode("a")


def test_the_context_of_decimal_changes_nothing():
    numbers = [Decimal("0.1"), Decimal("1E+400"), Decimal(2**60 + 1), 10**400]
    expected = [encode(number) for number in numbers]

    with localcontext(Context(prec=2, Emax=5, Emin=-5, traps=[FloatOperation])):
        assert [encode(number) for number in numbers] == expected


def test_a_search_for_some_values_cannot_rely_on_the_bytes():
    summer = ZoneInfo("Europe/Rome")

    assert is_searchable(datetime(2024, 1, 1, tzinfo=UTC))
    assert all(map(is_searchable, ("a", 1, None, MISSING)))
    assert not is_searchable(datetime(2024, 1, 1, tzinfo=summer))
    assert not is_searchable([1])


def test_a_number_of_a_hundred_thousand_digits_has_an_order():
    assert encode(10**100_000) < encode(10**100_000 + 1) < encode(math.inf)
    assert encode(-(10**100_000)) > encode(-(10**100_000) - 1) > encode(-math.inf)


@given(st.binary(max_size=40))
def test_damaged_bytes_are_an_error_of_ours(raw):
    try:
        end = end_of(raw, 0)
    except CorruptValueError:
        return
    assert 0 < end <= len(raw)
    for known in (CANONICAL, FLOAT, UNDECODABLE):
        with suppress(CorruptValueError):
            decode(raw[:end], known)
