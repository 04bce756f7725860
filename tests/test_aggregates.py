"""`sum`, `mean`, `min`, `max`, `distinct` and `group_by` of a query, compared with plain Python."""

import math
import random
from collections import Counter
from datetime import date
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from stones import Collection, MemoryStore, QueryError, key


@define
class User:
    name: str = key()
    age: int | None = None
    score: float | None = None
    country: str | None = None
    tags: set[str] = field(factory=set)
    born: date | None = None


@define
class Loose:
    id: int = key()
    value: Any


RECORDS = [
    User("ada", 36, 1.5, "GB", {"math", "poetry"}, date(1815, 12, 10)),
    User("alan", 41, 2.5, "GB", {"math"}, date(1912, 6, 23)),
    User("grace", 85, None, "US", {"navy", "math"}),
    User("kid", None, 0.25),
]


@pytest.fixture
def users(store):
    collection: Collection[str, User] = Collection(store, User)
    collection.add_many(RECORDS)
    return collection


def loose(*values) -> Collection[int, Loose]:
    records: Collection[int, Loose] = Collection(MemoryStore(), Loose)
    records.add_many(Loose(*pair) for pair in enumerate(values))
    return records


def total(*values) -> Any:
    return loose(*values).find().sum("value")


def mean(*values) -> Any:
    return loose(*values).find().mean("value")


def lowest_and_highest(*values) -> Any:
    query = loose(*values).find()
    return query.min("value"), query.max("value")


# -- one value of many -----------------------------------------------------------------------------


def test_an_aggregate_is_of_the_records_that_match(users):
    everyone, british = users.find(), users.find(country="GB")
    assert (everyone.sum("age"), british.sum("age")) == (162, 77)
    assert (everyone.mean("age"), british.mean("age")) == (54.0, 38.5)
    assert (everyone.min("age"), everyone.max("age")) == (36, 85)
    assert (british.min("name"), british.max("name")) == ("ada", "alan")
    assert (everyone.min("born"), everyone.max("born")) == (date(1815, 12, 10), date(1912, 6, 23))


def test_an_aggregate_is_of_the_part_that_a_query_takes(users):
    oldest = users.find().order_by("-age").limit(2)
    assert (oldest.sum("age"), oldest.min("age"), oldest.distinct("country")) == (
        126,
        41,
        ["GB", "US"],
    )
    assert oldest.group_by("country").count() == {"GB": 1, "US": 1}
    assert oldest.after(oldest.cursor()).sum("age") == 36
    assert oldest.offset(1).sum("age") == 77


def test_none_and_what_is_missing_are_no_values(users):
    assert users.find().sum("score") == 4.25
    assert users.find().min("country") == "GB"
    found = loose(None, {"a": 2}, {}, {"a": None}).find()
    assert (found.sum("value.a"), found.mean("value.a"), found.max("value.a")) == (2, 2.0, 2)


def test_an_aggregate_of_nothing(users):
    nobody = users.find("@.age > 100")
    assert nobody.sum("age") == 0
    assert nobody.mean("age") is nobody.min("age") is nobody.max("age") is None
    assert nobody.distinct("age") == []
    assert nobody.group_by("age").count() == {}


def test_a_path_that_finds_several_values_gives_all_of_them():
    records = loose([1, 2], [3], [], None)
    assert records.find().sum("value[*]") == 6
    assert records.find().max("value[*]") == 3
    assert records.find().distinct("value[*]") == [1, 2, 3]


@pytest.mark.parametrize("kind", ["sum", "mean"])
@pytest.mark.parametrize(
    "wrong", ["many", True, [1], {"a": 1}, date(2000, 1, 1), b"x", UUID(int=1), 10**5 * "x"]
)
def test_what_is_no_number_is_refused_with_its_record(kind, wrong):
    with pytest.raises(QueryError, match=r"Loose\[1\]: value: .* is no number, for (sum|mean)"):
        getattr(loose(1, wrong).find(), kind)("value")


@pytest.mark.parametrize("wrong", [[1], {"a": 1}, {1, 2}, (1, 2)])
def test_what_has_no_order_has_no_lowest_value(wrong):
    for kind in ("min", "max"):
        with pytest.raises(QueryError, match=r"Loose\[1\]: value: .* has no order"):
            getattr(loose(1, wrong).find(), kind)("value")


@pytest.mark.parametrize("kind", ["sum", "mean", "min", "max", "distinct", "group_by"])
@pytest.mark.parametrize("wrong", ["agee", "[", "", "address.city", None, 3])
def test_a_path_that_no_record_has_is_refused_at_once(users, kind, wrong):
    with pytest.raises(QueryError):
        getattr(users.find(), kind)(wrong)


def test_a_bool_is_below_all_numbers_and_they_are_below_text():
    assert lowest_and_highest("a", 3, True) == (True, "a")
    assert lowest_and_highest(3, 2.5, Decimal("2.4")) == (Decimal("2.4"), 3)
    assert lowest_and_highest(2**53 + 1, 2.0**53) == (2.0**53, 2**53 + 1)


# -- sums ------------------------------------------------------------------------------------------


def test_a_sum_has_the_type_of_its_numbers():
    assert repr(total(1, 2)) == "3"
    assert repr(total(1, 2.5)) == "3.5"
    assert repr(total(Decimal("1.10"), 2)) == "Decimal('3.10')"
    assert repr(total(Decimal("9.90"), 1.1)) == "Decimal('11.00')"
    assert total(2**80, 1) == 2**80 + 1


def test_a_mean_has_the_type_of_its_numbers():
    assert repr(mean(1, 2)) == "1.5"
    assert repr(mean(Decimal(1), 2)) == "Decimal('1.5')"
    assert mean(1.5, 2.5) == 2.0
    assert mean(1e308, 1e308) == 1e308
    assert mean(10**400, -(10**400)) == 0
    with pytest.raises(QueryError, match="too large"):
        mean(10**400)


def test_a_sum_of_floats_is_exact_until_its_end():
    assert total(1e100, 1.0, -1e100) == 1.0
    assert total(*[0.1] * 10) == 1.0
    assert total(1e308, 1e308, -1e308) == 1e308
    assert total(1e308, 1e308) == math.inf
    assert total(10**400, 0.5) == math.inf
    assert total(10**400, -(10**400), 0.5) == 0.5
    assert total(2**53, 1, 0.5) == 9007199254740994.0


def test_a_sum_with_infinity_is_as_in_python():
    assert total(math.inf, 1.0) == math.inf
    assert math.isnan(total(math.inf, -math.inf))
    assert math.isnan(total(math.nan, 1.0))
    assert math.isnan(total(math.nan, 1e308, 1e308))
    assert total(Decimal("Infinity"), 1) == Decimal("Infinity")
    assert total(Decimal(1), math.inf) == Decimal("Infinity")
    assert total(Decimal("NaN"), 1).is_nan()
    assert total(Decimal("sNaN"), 1).is_nan()


def test_a_sum_of_decimals_is_rounded_once():
    assert total(Decimal("1e50"), Decimal(1), Decimal("-1e50")) == 1
    third = Decimal("0." + "3" * 60)
    assert str(total(third, third)) == "0.6666666666666666666666666667"
    with localcontext(prec=3):
        assert total(Decimal("1.0000001"), Decimal(1)) == Decimal("2.0000001")


def test_decimals_of_any_size_cost_no_memory():
    assert total(Decimal("1e-999999"), Decimal("1e-999999")) == Decimal("2e-999999")
    with pytest.raises(QueryError, match="too far apart"):
        total(Decimal("1e999999"), Decimal(1))
    with pytest.raises(QueryError, match="too far apart"):
        total(Decimal("1e999999999999"), Decimal("1e-999999999999"))


numbers = (
    st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False) | st.just(0.1)
)


@given(values=st.lists(numbers, max_size=8), seed=st.integers(0, 99))
def test_the_order_of_the_numbers_makes_no_difference(values, seed):
    shuffled = random.Random(seed).sample(values, len(values))
    assert repr(total(*values)) == repr(total(*shuffled))
    assert repr(mean(*values)) == repr(mean(*shuffled))
    exact = sum(map(Fraction, values), Fraction())
    if any(isinstance(value, float) for value in values) and abs(exact) < 1.7e308:
        assert total(*values) == float(exact)
    elif all(isinstance(value, int) for value in values):
        assert total(*values) == sum(values)


@given(values=st.lists(numbers | st.decimals(-1000, 1000, places=3), max_size=8))
def test_decimals_add_up_in_any_order(values):
    with_one = [Decimal("0.001"), *values]
    assert repr(total(*with_one)) == repr(total(*reversed(with_one)))
    shown = [Fraction(repr(x)) if isinstance(x, float) else Fraction(x) for x in with_one]
    exact = sum(shown, Fraction())
    assert abs(Fraction(total(*with_one)) - exact) <= abs(exact) / 10**27


def test_more_floats_than_are_kept_add_up_to_the_same(monkeypatch):
    values = [0.1, 1e100, -1e100, 3, 0.2, 1e-300, math.inf]
    for kept in (1, 2, 3):
        monkeypatch.setattr("stones.collections.queries.exact_sums._AT_ONCE", kept)
        assert repr(total(*values[:-1])) == repr(math.fsum(values[:-1]))
        assert total(*values) == math.inf
        assert mean(*values[:-1]) == math.fsum(values[:-1]) / 6
        assert total(0.1, 0.2, Decimal(1)) == Decimal("1.3")
        assert total(0.1, math.inf, Decimal(1)) == Decimal("Infinity")


# -- distinct values and groups --------------------------------------------------------------------


def test_distinct_values_come_in_order(users):
    assert users.find().distinct("country") == [None, "GB", "US"]
    assert users.find().distinct("tags[*]") == ["math", "navy", "poetry"]
    assert users.find("@.age > 40").distinct("country") == ["GB", "US"]


def test_equal_values_are_one_value():
    found = loose("b", 2, True, 2.0, None, Decimal(2), 1, "a", math.nan, math.nan).find()
    assert repr(found.distinct("value")) == "[None, True, nan, 1, 2, 'a', 'b']"


def test_arrays_and_dicts_are_distinct_by_their_items():
    found = loose([1, 2], (1.0, 2), {"a": 1}, {"a": True}, {1, 2}, {2, 1}, [2, 1]).find()
    assert found.distinct("value") == [[1, 2], {"a": 1}, {"a": True}, {1, 2}, [2, 1]]


def test_groups_come_in_order_of_their_values(users):
    groups = users.find().group_by("country")
    assert list(groups.count().items()) == [(None, 1), ("GB", 2), ("US", 1)]
    assert groups.sum("age") == {None: 0, "GB": 77, "US": 85}
    assert groups.mean("score") == {None: 0.25, "GB": 2.0, "US": None}
    assert groups.min("name") == {None: "kid", "GB": "ada", "US": "grace"}
    assert groups.max("age") == {None: None, "GB": 41, "US": 85}


def test_groups_have_several_aggregates(users):
    groups = users.find().group_by("country")
    assert groups.agg(n="count", scores=("count", "score"), oldest=("max", "age")) == {
        None: {"n": 1, "scores": 1, "oldest": None},
        "GB": {"n": 2, "scores": 2, "oldest": 41},
        "US": {"n": 1, "scores": 0, "oldest": 85},
    }


def test_several_paths_make_groups_of_tuples(users):
    assert users.find().group_by("country", "born").count() == {
        (None, None): 1,
        ("GB", date(1815, 12, 10)): 1,
        ("GB", date(1912, 6, 23)): 1,
        ("US", None): 1,
    }


def test_a_record_is_in_the_group_of_each_of_its_values(users):
    groups = users.find().group_by("tags[*]")
    assert groups.count() == {None: 1, "math": 3, "navy": 1, "poetry": 1}
    assert groups.sum("age") == {None: 0, "math": 162, "navy": 85, "poetry": 36}
    assert loose([1, 1.0, 2]).find().group_by("value[*]").count() == {1: 1, 2: 1}


def test_what_is_missing_is_in_the_group_none():
    assert loose({"a": 1}, {}, {"a": None}).find().group_by("value.a").count() == {None: 2, 1: 1}


@pytest.mark.parametrize("wrong", [[1], {"a": 1}, {1}, ([1],)])
def test_what_cannot_be_a_key_of_a_dict_makes_no_group(wrong):
    with pytest.raises(QueryError, match=r"Loose\[1\]: value: .*cannot be a key"):
        loose("x", wrong).find().group_by("value").count()
    assert loose("x", (1, 2), (1, 2)).find().group_by("value").count() == {"x": 1, (1, 2): 2}


def test_two_groups_are_never_one_key_of_a_dict():
    with pytest.raises(QueryError, match="bool True and int 1 are different"):
        loose(True, 1).find().group_by("value").count()
    assert loose(True, 1).find().distinct("value") == [True, 1]


@pytest.mark.parametrize(
    "wrong",
    [{}, {"n": "sum"}, {"n": 3}, {"n": ("sum",)}, {"n": ("median", "age")}, {"n": ("sum", 3)}],
)
def test_an_aggregate_that_is_not_there_is_refused(users, wrong):
    with pytest.raises(QueryError, match="agg"):
        users.find().group_by("country").agg(**wrong)


@pytest.mark.parametrize("kind", ["sum", "mean", "min", "max"])
def test_an_aggregate_of_groups_takes_a_path_of_the_class(users, kind):
    with pytest.raises(QueryError, match="did you mean 'age'"):
        getattr(users.find().group_by("country"), kind)("agee")


def test_a_value_that_fits_no_aggregate_of_a_group_is_refused_with_its_record(users):
    with pytest.raises(QueryError, match=r"User\['ada'\]: name: str 'ada' is no number"):
        users.find().group_by("country").sum("name")


def test_a_group_shows_what_it_is(users):
    shown = repr(users.find().group_by("country", "tags[*]"))
    assert shown == "<GroupedQuery of the collection 'User' by 'country', 'tags[*]'>"


values = st.none() | st.integers(-2, 2) | st.sampled_from(["a", "b", "", 1.5, 2.0])


@given(pairs=st.lists(st.tuples(values, st.none() | st.integers(-5, 5))))
def test_groups_are_as_in_plain_python(pairs):
    records = loose(*[{"by": by, "n": n} for by, n in pairs])
    query = records.find().group_by("value.by")
    assert query.count() == Counter(by for by, _ in pairs)
    grouped = {by: [n for other, n in pairs if other == by and n is not None] for by, _ in pairs}
    assert query.sum("value.n") == {by: sum(found) for by, found in grouped.items()}
    assert query.min("value.n") == {by: min(found, default=None) for by, found in grouped.items()}
    assert query.max("value.n") == {by: max(found, default=None) for by, found in grouped.items()}
