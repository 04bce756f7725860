"""The planner with a store: what it chooses, what it says, and that it never changes an answer."""

import contextlib
import random

import pytest
from attrs import define, evolve, field

from stones import Collection, Index, LmdbStore, MemoryStore, Query, index, key
from stones.collections.indexes.definition import write_definition
from stones.collections.indexes.entries import entries_of
from stones.collections.planning.probing import most_keys
from stones.engine import Space
from stones.errors import QueryError


@define
class Address:
    city: str
    country: str


@define
class User:
    id: int = key()
    age: int = index()
    nick: str | None = index(unique=True, default=None)
    tags: list[str] = index(each=True, factory=list)
    address: Address = field(factory=lambda: Address("Rome", "IT"))
    active: bool = True
    score: float = 0.0


INDEXES = ["address.city", ("address.country", "age"), Index("age", where="@.active == true")]


def user(number, rng):
    return User(
        number,
        rng.randrange(60),
        f"nick{number}" if number % 3 else None,
        rng.sample("abcd", rng.randrange(4)),
        Address(f"City {rng.randrange(40)}", rng.choice(["DE", "FR", "IT"])),
        rng.random() < 0.2,
        rng.randrange(100) / 4,
    )


@pytest.fixture(params=["memory", "lmdb"], scope="module")
def users(request, tmp_path_factory):
    if request.param == "memory":
        store = MemoryStore(serialize="msgpack")
    else:
        path = tmp_path_factory.mktemp("store") / "users"
        store = LmdbStore(str(path), serialize="msgpack", durability="none")
    rng = random.Random(7)
    collection = Collection(store, User, indexes=INDEXES)
    collection.add_many(user(number, rng) for number in range(1_500))
    yield collection
    store.close()


CONDITIONS = [
    None,
    "@.age == 7",
    '@.age > 50 && @.address.city == "City 7"',
    '@.nick == "nick7"',
    '@.tags[*] == "a"',
    '@.tags[*] == "a" && @.age == 5',
    "@.age > 55",
    "@.age >= 0",
    '@.address.country == "DE"',
    '@.address.country == "DE" && @.age in [1, 2, 3]',
    "@.active == true && @.age < 3",
    '@.id == 7 || @.nick == "nick8"',
    "@.id > 1490 || @.age == 3",
    "@.id > 1490",
    "@.id in [3, 1, 2, 9999]",
    "@.id >= 100 && @.id < 200 && @.score > 12",
    '@.address.city =~ "^City 3"',
    "@.score > 24",
    "@.score > 24 && @.age > 10",
    "!@.nick",
    "@.nick == null",
]
ORDERS = [(), ("age",), ("-age",), ("address.country", "age"), ("nick",), ("id",), ("-id",)]
ORDERS += [("-score", "age"), ("-address.country", "-age")]


@pytest.mark.parametrize("order", ORDERS, ids=",".join)
@pytest.mark.parametrize("condition", CONDITIONS)
def test_every_part_of_an_answer_is_the_same_as_without_an_index(users, condition, order):
    query = users.find(condition)
    query = query.order_by(*order) if order else query
    for each in (query, query.reversed()):
        whole = [user.id for user in each.using(None)]
        assert [user.id for user in each] == whole
        assert list(each.keys()) == whole
        assert each.count() == len(whole)
        assert each.exists() == bool(whole)
        for offset, limit in ((0, 1), (3, 10), (20, 200)):
            page = each.offset(offset).limit(limit)
            assert [user.id for user in page] == whole[offset:][:limit]
            assert page.count() == len(whole[offset:][:limit])
            if page.count() == limit:
                behind = page.after(page.cursor())
                assert [user.id for user in behind] == whole[offset:][limit:][:limit]


def test_the_index_that_finds_the_fewest_keys_is_used(users):
    plan = users.find('@.age > 50 && @.address.city == "City 7"').explain()
    assert plan.index == "address.city"
    assert plan.rest == ("@.age > 50",)
    assert plan.exact
    assert plan.estimate == users.find('@.address.city == "City 7"').count()
    assert [each.index for each in plan.passed_over] == ["age"]


def test_an_index_that_finds_more_than_a_third_is_not_used(users):
    plan = users.find("@.age >= 10").explain()
    assert plan.index is None
    assert plan.passed_over[0].index == "age"
    assert plan.passed_over[0].reason.startswith("at least")


@pytest.mark.parametrize("order", ["age", "-age"])
def test_a_page_of_an_index_that_answers_everything_reads_few_entries(users, order):
    page = users.find('@.address.country == "IT"').order_by(order).limit(5)

    plan = page.explain(run=True)

    assert (plan.index, plan.order.partition(":")[0]) == ("address.country,age", "by the index")
    assert plan.read.records == 5
    assert plan.read.entries < 30


def test_an_offset_behind_the_end_of_an_index_leaves_nothing(users):
    ordered = users.find().order_by("-age")
    for offset in (1_500, 10**30):
        assert list(ordered.offset(offset).using("age")) == []
        assert ordered.offset(offset).limit(10**30).count() == 0


def test_an_order_and_a_limit_come_from_an_index(users):
    plan = users.find().order_by("-age").limit(10).explain(run=True)
    assert (plan.index, plan.order) == ("age", "by the index: order_by('-age')")
    assert plan.read.records == 10
    assert plan.read.entries < 400


def test_a_run_tells_what_was_read(users):
    plan = users.find("@.age == 7 && @.score > 20").explain(run=True)
    assert plan.read.records == plan.estimate
    assert plan.read.matches == users.find("@.age == 7 && @.score > 20").count()
    assert plan.as_dict()["read"]["records"] == plan.read.records
    scan = users.find("@.score > 20").explain(run=True)
    assert scan.index is None
    assert scan.read.records == len(users)


def test_a_plan_is_a_table_for_people(users):
    text = str(users.find("@.age == 7 && @.score > 20").order_by("nick").limit(3).explain(run=True))
    assert text.splitlines()[1:3] == [
        "test         the record    @.score > 20",
        "sort         in memory     order_by('nick'), the first 3",
    ]
    assert text.splitlines()[-1].startswith("read ")


def test_the_plan_of_a_range_without_a_filter_is_a_table_too(users):
    text = str(users.range(ge=10, lt=20).find().explain(run=True))
    assert text.splitlines()[0] == "scan         a range of keys"
    assert text.splitlines()[1].startswith("read         ")


def test_a_count_by_an_index_reads_no_record(users):
    for condition in ("@.age == 7", '@.address.country == "DE" && @.age > 10', "@.age >= 0"):
        assert users.find(condition).count() == users.find(condition).using(None).count()


def test_a_choice_of_many_keys_reads_only_these(users):
    plan = users.find("@.id in {ids}", ids=range(0, 1_500, 4)).explain(run=True)
    assert plan.index == "the primary key"
    assert plan.read.records == 375


def test_a_snapshot_and_a_transaction_see_their_own_entries(users):
    store = MemoryStore()
    own = Collection(store, User, indexes=INDEXES)
    own.add_many([User(1, 30), User(2, 30), User(3, 40)])
    with store.snapshot() as view:
        frozen = Collection(view, User, indexes=INDEXES)
        with store.transaction():
            own.update(3, age=30)
            assert [user.id for user in own.find("@.age == 30")] == [1, 2, 3]
            assert [user.id for user in frozen.find("@.age == 30")] == [1, 2]
        assert frozen.find("@.age == 40").count() == 1
    assert own.find("@.age == 40").count() == 0


def test_what_is_written_while_a_result_is_used_does_not_show_in_it():
    store = MemoryStore()
    own = Collection(store, User)
    own.add_many(User(number, 30) for number in range(100))
    with store.transaction():
        seen = []
        for found in own.find("@.age == 30"):
            own.update(99 - found.id, age=31)
            seen.append(found.id)
        ordered = [own.update(found.id, age=found.age + 1) for found in own.find().order_by("age")]
    assert seen == list(range(100))
    assert len(ordered) == 100


def test_an_index_is_worth_it_up_to_a_third_of_the_records():
    assert most_keys(3_000) == 1_000
    assert most_keys(10) == 128
    assert most_keys(10_000_000) == 100_000


# -- entries that should not be there ----------------------------------------------------------


def plant(collection, name, record, record_key):
    """Put an entry of a record that does not have it, as a faulty program may."""
    records = collection._records
    with records.database.writing() as txn:
        [definition] = [each for each in records.indexes.definitions(txn) if each.name == name]
        for entry, stored in entries_of(definition, record, record_key).items():
            txn.put(Space.INDEX, entry, stored)
    return definition


@pytest.mark.parametrize("order", [(), ("age",), ("-age",)])
def test_a_stale_entry_gives_no_wrong_record(order):
    own = Collection(MemoryStore(), User)
    own.add_many([User(1, 30), User(2, 40)])
    encode = own._type.key_codec.encode
    plant(own, "age", {"age": 30}, encode(2))
    plant(own, "age", {"age": 30}, encode(9))
    query = own.find("@.age == 30")
    query = query.order_by(*order) if order else query
    assert [user.id for user in query.using("age")] == [1]
    assert [user.id for user in query] == [1]


def test_an_index_that_is_not_built_is_passed_over_with_the_reason():
    own = Collection(MemoryStore(), User)
    own.add_many(User(number, number % 7) for number in range(100))
    records = own._records
    with records.database.writing() as txn:
        [age] = [each for each in records.indexes.definitions(txn) if each.name == "age"]
        write_definition(txn, own.name, evolve(age, state="building"))
    plan = own.find("@.age == 3").explain()
    assert plan.index is None
    assert ("age", "it is not built yet: call build_indexes()") in [
        (each.index, each.reason) for each in plan.passed_over
    ]
    assert own.find("@.age == 3").count() == 14
    with pytest.raises(QueryError, match="it is not built yet"):
        list(own.find("@.age == 3").using("age"))


def test_an_index_without_the_defaults_that_the_class_computes_is_not_used():
    store = MemoryStore()

    @define
    class Old:
        id: int = key()

    @define
    class New:
        id: int = key()
        size: int = field(default=5)
        code: int = field()

        @code.default
        def _code(self):
            return 6 + self.id

    Collection(store, Old, "things").add_many([Old(1), Old(2)])
    things = Collection(store, New, "things", indexes=["size", "code"])
    assert [thing.id for thing in things.find(code=7)] == [1]
    things.add(New(3, 6, 8))
    things.build_indexes()
    for condition in ("@.size == 5", "@.code == 7", "@.size == 6", "@.code > 0", "!@.code"):
        expected = [thing.id for thing in things.find(condition).using(None)]
        assert [thing.id for thing in things.find(condition)] == expected
    assert things.find("@.code == 7").explain().index is None


def test_a_default_that_the_description_keeps_is_in_an_index():
    store = MemoryStore()

    @define
    class Old:
        id: int = key()

    @define
    class New:
        id: int = key()
        size: int = field(default=5)

    Collection(store, Old, "things").add_many([Old(1), Old(2)])
    things = Collection(store, New, "things", indexes=["size"])
    things.add(New(3, 6))
    things.build_indexes()
    assert things.find("@.size == 5").explain().index == "size"
    assert [thing.id for thing in things.find("@.size == 5")] == [1, 2]
    assert [thing.id for thing in things.find("@.size == 6")] == [3]


# -- using -------------------------------------------------------------------------------------


def test_using_takes_the_index_that_it_names(users):
    assert (
        users.find('@.age == 7 && @.address.city == "City 7"').using("age").explain().index == "age"
    )
    assert users.find("@.age >= 0").using("age").explain().index == "age"
    assert users.find("@.age == 7").using(None).explain().index is None


def test_an_index_that_is_named_is_read_only_where_a_condition_leads(users):
    query = users.find("@.age == 7 && @.id > 100").order_by("age").limit(5).using("age")
    assert len(list(query)) == 5
    assert query.explain(run=True).read.records < 50


@pytest.mark.parametrize(
    ("condition", "name", "message"),
    [
        ("@.age == 7", "agee", "no such index; it has 'age', 'nick'"),
        ("@.score == 7", "age", "cannot be used for this query"),
        ("@.age == 7", "age[@.active == true]", "cannot be used for this query"),
        ("$[?(@.age == $[0].age)]", "age", "refers to all records"),
    ],
)
def test_using_an_index_that_does_not_fit_is_an_error(users, condition, name, message):
    with pytest.raises(QueryError, match=message):
        list(users.find(condition).using(name))


@pytest.mark.parametrize("name", ["agee", "age"])
def test_the_number_of_all_records_refuses_an_index_that_does_not_fit_too(users, name):
    for ask in (Query.count, Query.exists):
        with pytest.raises(QueryError, match=r"no such index|cannot be used"):
            ask(users.find().using(name))


def test_using_takes_a_name_only(users):
    with pytest.raises(QueryError, match="takes the name of an index"):
        users.find().using(5)


@pytest.mark.parametrize("make", [MemoryStore, lambda: LmdbStore("users", durability="none")])
def test_a_class_with_another_key_field_finds_the_records_of_an_earlier_class(make, tmp_path):
    @define
    class ByEmail:
        email: str = key()
        name: str = ""

    @define
    class ByName:
        email: str
        name: str = key()

    with contextlib.chdir(tmp_path), make() as store:
        Collection(store, ByEmail, name="people").add(ByEmail("ada@example.org", "Ada"))
        people = Collection(store, ByName, name="people")

        assert people.find(name="Ada").one().email == "ada@example.org"
        assert people.find('@.name > "A"').count() == 1
