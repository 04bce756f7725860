"""`order_by`, `reversed`, `offset` and `limit` of a query, compared with sorted lists."""

import random
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from stones import (
    Collection,
    InvalidKeyError,
    QueryError,
    StoreClosedError,
    ValueTypeError,
    key,
    stone,
)


@define
class Address:
    city: str


@define
class User:
    name: str = key()
    age: int | None
    address: Address | None = None
    scores: list[int] = field(factory=list)


@define
class Loose:
    id: int = key()
    fields: dict[str, Any] = field(factory=dict)


RECORDS = [
    User("ada", 36, Address("London"), [3, 1]),
    User("bob", None, Address("Bonn"), [2]),
    User("cyd", 36, None, []),
    User("eve", 52, Address("Bonn"), [7, 7]),
]


@pytest.fixture
def users(store):
    collection: Collection[str, User] = Collection(store, User)
    collection.add_many(RECORDS)
    return collection


def names(query) -> list[str]:
    return [user.name for user in query]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (["age"], "bob ada cyd eve"),
        (["-age"], "eve ada cyd bob"),
        (["-age", "-name"], "eve cyd ada bob"),
        (["age", "name"], "bob ada cyd eve"),
        (["address.city"], "cyd bob eve ada"),
        (["-address.city"], "ada bob eve cyd"),
        (["address.city", "-age"], "cyd eve bob ada"),
        (["scores[0]"], "cyd bob ada eve"),
        (["-scores[0]"], "eve ada bob cyd"),
        (["scores.`len`", "-name"], "cyd bob eve ada"),
        (["$['age']"], "bob ada cyd eve"),
        ([" - age"], "eve ada cyd bob"),
        (["name"], "ada bob cyd eve"),
        (["-name"], "eve cyd bob ada"),
    ],
)
def test_records_are_sorted_by_paths_and_then_by_their_keys(users, order, expected):
    query = users.find().order_by(*order)
    assert names(query) == expected.split()
    assert names(query.limit(2)) == expected.split()[:2]
    assert names(query.reversed()) == expected.split()[::-1]
    assert names(query.reversed().limit(1)) == expected.split()[-1:]
    assert names(query.offset(1).limit(2)) == expected.split()[1:3]
    assert list(query.keys()) == [name for name, _ in query.items()] == expected.split()
    assert query.to_list("name") == expected.split()


def test_an_order_applies_to_what_matches(users):
    assert names(users.find("@.age > 20").order_by("-age")) == ["eve", "ada", "cyd"]
    assert names(users.find(address=Address("Bonn")).order_by("-name")) == ["eve", "bob"]
    assert names(users.find("$[?(@.age >= $[0].age)]").order_by("-name")) == ["eve", "cyd", "ada"]


def test_a_later_order_takes_the_place_of_an_earlier_one(users):
    assert names(users.find().order_by("-age").order_by("-name")) == ["eve", "cyd", "bob", "ada"]


def test_the_order_of_the_calls_makes_no_difference(users):
    wanted = ["ada", "cyd"]
    assert names(users.find().order_by("-age").offset(1).limit(2)) == wanted
    assert names(users.find().limit(2).offset(1).order_by("-age")) == wanted
    assert names(users.find().offset(1).order_by("-age").limit(2)) == wanted
    assert names(users.find().limit(1).find("@.age > 40")) == ["eve"]


def test_reversed_is_the_opposite_order(users):
    query = users.find()
    assert names(query.reversed()) == names(reversed(query)) == ["eve", "cyd", "bob", "ada"]
    assert names(query.reversed().reversed()) == names(query)


def test_the_function_reversed_gives_the_same_records_from_the_last_on(users):
    page = users.find().order_by("age").limit(3)
    assert names(reversed(page)) == names(page)[::-1] == ["cyd", "ada", "bob"]
    assert names(page.reversed()) == ["eve", "cyd", "ada"]


def test_first_and_last_follow_the_order(users):
    query = users.find().order_by("-age")
    assert (query.first().name, query.last().name) == ("eve", "bob")
    assert (query.limit(2).first().name, query.limit(2).last().name) == ("eve", "ada")
    assert (query.offset(3).first().name, query.offset(3).last().name) == ("bob", "bob")
    assert query.offset(9).first() is query.offset(9).last() is None
    assert query.limit(0).first() is query.limit(0).last() is None
    assert query.limit(1).one().name == "eve"


def test_an_offset_leaves_out_the_first(users):
    assert names(users.find().offset(1)) == ["bob", "cyd", "eve"]
    assert names(users.find().offset(1).offset(2)) == ["eve"]
    assert names(users.find().offset(3).limit(9)) == ["eve"]
    assert users.find().offset(1).count() == users.find("@.name != 'x'").offset(1).count() == 3
    assert users.find().offset(9).count() == 0
    assert not users.find().offset(4).exists()
    assert names(users.find().offset(10**30).limit(10**30)) == []
    assert names(users.find().order_by("age").offset(10**30)) == []
    assert len(names(users.find().order_by("age").limit(10**30))) == 4


def test_the_smaller_of_two_limits_counts_and_none_is_no_limit(users):
    assert len(names(users.find().limit(None))) == 4
    assert len(names(users.find().limit(2).limit(None))) == 2
    assert len(names(users.find().limit(2).limit(3))) == len(names(users.find().limit(3).limit(2)))


@pytest.mark.parametrize("method", ["limit", "offset"])
def test_a_part_of_a_query_has_a_size(users, method):
    with pytest.raises(InvalidKeyError, match=f"{method} is 0 or more, not -1"):
        getattr(users.find(), method)(-1)
    for wrong in ("1", 1.0, True):
        with pytest.raises(ValueTypeError, match=f"{method} is an int"):
            getattr(users.find(), method)(wrong)
    with pytest.raises(ValueTypeError, match="offset"):
        users.find().offset(None)


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ([], "one path or more"),
        (["agee"], "did you mean 'age'"),
        (["-address.town"], "Address has no field 'town'"),
        (["age", "nam"], "did you mean 'name'"),
        (["scores[*]"], "several values"),
        (["scores[0:2]"], "several values"),
        (["$..city"], "several values"),
        (["*"], "several values"),
        (["scores[0,1]"], "several values"),
        (["-"], "too early"),
        ([""], "too early"),
        (["["], "."),
        (["+age"], "."),
        ([None], "not None"),
        ([3], "not int 3"),
        ([["age"]], "not list"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused_at_once(users, order, message):
    with pytest.raises(QueryError, match=message):
        users.find().order_by(*order)


def test_an_ordered_query_reads_one_snapshot(users):
    running = iter(users.find().order_by("-age"))
    next(running)
    users.clear()
    assert names(running) == ["ada", "cyd", "bob"]


def test_nothing_is_read_before_it_is_asked_for(users):
    query = users.find().order_by("-age").limit(1)
    users.add(User("old", 99))
    assert names(query) == ["old"]


def test_a_field_that_came_later_is_sorted_by_its_default(store):
    @define
    class Old:
        id: int = key()

    @define
    class New:
        id: int = key()
        level: int = 5

    Collection(store, Old, "x").add_many([Old(1), Old(2)])
    records = Collection(store, New, "x")
    records.add_many([New(3, 4), New(4, 6)])
    assert list(records.find().order_by("level").keys()) == [3, 1, 2, 4]


# -- many records ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shuffled() -> list[int]:
    numbers = list(range(1500))
    random.Random(7).shuffle(numbers)
    return numbers


@pytest.fixture
def many(store, shuffled):
    records: Collection[int, Loose] = Collection(store, Loose)
    records.add_many(Loose(place, {"n": number}) for place, number in enumerate(shuffled))
    return records


@pytest.mark.parametrize(("offset", "limit"), [(0, 1), (0, 40), (700, 3), (0, 501), (3, 900)])
def test_the_first_of_many_records(many, shuffled, offset, limit):
    wanted = sorted(range(1500), key=lambda place: shuffled[place])
    query = many.find().order_by("fields.n").offset(offset).limit(limit)
    assert list(query.keys()) == wanted[offset : offset + limit]
    assert [record.id for record in query] == wanted[offset : offset + limit]
    backwards = query.reversed()
    assert [record.id for record in backwards] == wanted[::-1][offset : offset + limit]
    following = many.find().order_by("fields.n").after(query.cursor())
    assert [record.id for record in following] == wanted[offset + limit :]


def test_many_records_are_read_from_one_snapshot(many, shuffled):
    running = iter(many.find().order_by("fields.n"))
    assert next(running).id == shuffled.index(0)
    many.find("@.id > 100").delete()
    many.find().update(fields={"n": 0})
    assert [record.fields["n"] for record in running] == list(range(1, 1500))


def test_many_records_in_a_transaction_are_those_that_it_has(many, store):
    with store.transaction():
        many.find("@.id >= 1000").delete()
        many.put(Loose(0, {"n": -1}))
        running = iter(many.find().order_by("fields.n"))
        assert next(running).id == 0
        many.clear()
        assert len(list(running)) == 999


@pytest.mark.needs("snapshots")
def test_many_records_of_a_snapshot(many, store):
    with store.snapshot() as view:
        many.clear()
        frozen = Collection(view, Loose).find().order_by("-fields.n")
        assert [record.fields["n"] for record in frozen] == list(range(1500))[::-1]


def test_an_abandoned_order_lets_go_of_its_snapshot(many, store):
    before = store.stats()
    running = iter(many.find().order_by("fields.n"))
    next(running)
    del running
    after = store.stats()
    for stats in before, after:
        stats.pop("memory_size", None)  # a server changes it by itself
    assert after == before


@pytest.mark.needs("snapshots")
def test_a_store_that_is_closed_in_between_ends_the_order(many, store):
    running = iter(many.find().order_by("fields.n"))
    next(running)
    store.close()
    with pytest.raises(StoreClosedError):
        list(running)


# -- against sorted lists --------------------------------------------------------------------------

numbers = (
    st.integers(-3, 3)
    | st.sampled_from([2**53, 2**53 + 1, 2.0**53, -(2**80), 0.5, -0.0, float("inf")])
    | st.sampled_from([Decimal("0.5"), Decimal("0.1"), 0.1, Decimal(2**53 + 1)])
)
texts = st.text(alphabet="ab\0\xff\ud800é", max_size=3)
values = st.none() | st.booleans() | numbers | texts | st.dates(date(2000, 1, 1), date(2000, 1, 4))
fields = st.fixed_dictionaries({}, optional={"a": values, "b": values})
orders = st.lists(
    st.sampled_from(["fields.a", "-fields.a", "fields.b", "-fields.b", "-id"]), min_size=1
)


def rank(record: Loose, path: str) -> Any:
    """A key to sort by that knows nothing of encoded values."""
    if path == "id":
        return 4, record.id
    name = path.partition(".")[2]
    if name not in record.fields:
        return (0,)
    value = record.fields[name]
    if value is None:
        return (1,)
    if isinstance(value, bool):
        return 2, value
    if isinstance(value, int | float | Decimal):
        return 4, (Fraction(value) if value != float("inf") else value)
    return (5, value.encode("utf-8", "surrogatepass")) if isinstance(value, str) else (6, value)


def in_order(records: list[Loose], order: list[str]) -> list[Loose]:
    ordered = sorted(records, key=lambda record: record.id)
    for path in reversed(order):
        # A sort is stable, also if it is reversed.
        ordered.sort(
            key=lambda record: rank(record, path.lstrip("-")), reverse=path.startswith("-")
        )
    return ordered


def stores() -> Iterator[Any]:
    yield stone("memory:", serialize="pickle")
    yield stone("memory:", serialize="msgpack")


@given(
    all_fields=st.lists(fields, max_size=8),
    order=orders,
    offset=st.integers(0, 4),
    limit=st.none() | st.integers(0, 6),
    backwards=st.booleans(),
)
def test_the_records_come_as_from_a_sorted_list(all_fields, order, offset, limit, backwards):
    records = [Loose(*pair) for pair in enumerate(all_fields)]
    wanted = in_order(records, order)
    if backwards:
        wanted.reverse()
    wanted = wanted[offset:] if limit is None else wanted[offset : offset + limit]
    for store in stores():
        collection: Collection[int, Loose] = Collection(store, Loose)
        collection.add_many(records)
        query = collection.find().order_by(*order).offset(offset)
        query = query if limit is None else query.limit(limit)
        query = query.reversed() if backwards else query
        found = [record.id for record in query]
        assert found == list(query.keys()) == [record.id for record in wanted]
        assert [record.id for record in reversed(query)] == found[::-1]
        assert query.count() == len(wanted)
        assert query.exists() == bool(wanted)
        assert (query.first(), query.last()) == (
            (wanted[0], wanted[-1]) if wanted else (None, None)
        )


AWKWARD = [None, True, False, 0, -0.0, 1, 1.5, 2**53 + 1, 2.0**53, -(2**80), float("inf"), "", "a"]
AWKWARD += ["\0", "é", "\ud800", Decimal("0.5"), Decimal(1), date(2000, 1, 1)]


def test_a_large_collection_is_sorted_as_a_list_is(store):
    check_large_orders(store, "pickle")


@pytest.mark.parametrize("serialize", ["json", "cbor", "msgpack"])
def test_a_large_collection_of_each_serializer_is_sorted_as_a_list_is(opened, serialize):
    with opened(serialize=serialize) as store:
        check_large_orders(store, serialize)


def check_large_orders(store, serialize):
    chosen = random.Random(serialize)
    records = [
        Loose(id, {name: chosen.choice(AWKWARD) for name in "ab" if chosen.random() < 0.9})
        for id in range(2100)
    ]
    collection: Collection[int, Loose] = Collection(store, Loose)
    collection.add_many(records)
    for order in (["fields.a"], ["-fields.a"], ["fields.b", "-fields.a"]):
        query = collection.find().order_by(*order)
        wanted = [record.id for record in in_order(records, order)]
        for part, ids in (
            (query, wanted),
            (query.limit(30), wanted[:30]),
            (query.reversed().limit(30), wanted[::-1][:30]),
            (query.offset(1200).limit(30), wanted[1200:1230]),
            (query.after(query.limit(100).cursor()).limit(30), wanted[100:130]),
            (query.limit(1000), wanted[:1000]),
            (query.find("@.id >= 1000").limit(30), [id for id in wanted if id >= 1000][:30]),
        ):
            assert [record.id for record in part] == list(part.keys()) == ids
            assert part.to_list("id") == [id for id, _ in part.values("id", "fields.a")] == ids
