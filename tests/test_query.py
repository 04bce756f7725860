"""What `find()` and `search()` give; what a filter means is in test_jsonpath.py."""

import pickle
import subprocess
import sys
import threading
from datetime import date
from typing import Any

import jmespath
import objectpath
import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st
from jsonpath_ng.ext import parse

from stones import (
    Collection,
    InvalidKeyError,
    NotOneError,
    QueryError,
    RecordError,
    StoneError,
    key,
    migrate,
    stone,
)


@define
class Address:
    city: str
    zip: str = ""


@define
class User:
    email: str = key()
    name: str
    age: int
    address: Address | None = None
    tags: list[str] = field(factory=list)
    born: date = date(2000, 1, 1)


RECORDS = [
    User("ada@x", "Ada", 36, Address("London"), ["math", "poetry"], date(1815, 12, 10)),
    User("alan@x", "Alan", 41, Address("Manchester"), ["math"], date(1912, 6, 23)),
    User("grace@x", "Grace", 85, None, ["navy"], date(1906, 12, 9)),
    User("kid@x", "Kid", 7),
]
HOSTILE = ['") || (@.age > 0', "'", '"', "\\", "{name}", "$[*]", "@.name", "` `", "\n", "é", ""]


@pytest.fixture
def users(store):
    collection = Collection(store, User)
    collection.add_many(RECORDS)
    store["beside"] = "not a record"
    return collection


def names(query) -> list[str]:
    return [user.name for user in query]


def test_a_filter_yields_the_records_that_match_in_key_order(users):
    found = list(users.find("$[?(@.age > 30)]"))
    assert found == RECORDS[:3]


def test_without_anything_every_record_matches(users):
    assert list(users.find()) == list(users.find("$[*]")) == RECORDS
    assert users.find().count() == 4


def test_fields_must_equal_the_values(users):
    assert names(users.find(name="Ada")) == ["Ada"]
    assert names(users.find(name="Ada", age=36)) == ["Ada"]
    assert names(users.find(name="Ada", age=37)) == []
    assert names(users.find(address=None)) == ["Grace", "Kid"]
    assert names(users.find(born=date(1906, 12, 9))) == ["Grace"]


def test_a_field_that_is_not_there_is_an_error(users):
    with pytest.raises(RecordError, match="did you mean 'name'"):
        users.find(nam="Ada")


def test_values_are_bound_by_name(users):
    assert names(users.find("$[?(@.age > {low} && @.age < {high})]", low=30, high=50)) == [
        "Ada",
        "Alan",
    ]
    assert names(users.find("$[?(@.born < {day})]", day=date(1900, 1, 1))) == ["Ada"]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_value_never_changes_the_query(users, value):
    assert list(users.find("$[?(@.name == {name})]", name=value)) == []
    users.add(User("hostile", value, 1))
    assert names(users.find("$[?(@.name == {name})]", name=value)) == [value]
    assert names(users.find(name=value)) == [value]


@pytest.mark.parametrize(
    ("path", "values", "message"),
    [
        ("$[?(@.age > {low})]", {}, "low"),
        ("$[?(@.age > {low})]", {"low": 1, "high": 2}, "high"),
        ("$[?(@.age > 1)]", {"low": 1}, "low"),
        ("$[?(@.name == '{name}')]", {"name": "Ada"}, "without quotes"),
        ("$[?(@.age >)]", {}, r"\^"),
        ("$[?(@.age", {}, r"\^"),
        ("$[?(@.age ~ 3)]", {}, r"\^"),
        ("", {}, "too early"),
        ("$.name", {}, "search"),
        ("$[?(@.age > 1)].name", {}, "search"),
        ("$[0]", {}, "search"),
        ("$[?(@.name =~ '(')]", {}, "regular expression"),
    ],
)
def test_a_query_that_makes_no_sense_is_refused_at_once(users, path, values, message):
    with pytest.raises(QueryError, match=message):
        users.find(path, **values)


def test_a_path_that_is_no_string_is_refused(users):
    for wrong in (3, b"$[*]", ["$"]):
        with pytest.raises(StoneError):
            users.find(wrong)


def test_first_one_count_and_exists(users):
    old = users.find("$[?(@.age > 40)]")
    assert old.first().name == "Alan"
    assert (old.count(), old.exists()) == (2, True)
    none = users.find("$[?(@.age > 100)]")
    assert (none.first(), none.count(), none.exists()) == (None, 0, False)
    assert users.find(name="Kid").one().age == 7


def test_one_wants_exactly_one(users):
    with pytest.raises(NotOneError, match="more than one"):
        users.find("$[?(@.age > 40)]").one()
    with pytest.raises(NotOneError, match="no record"):
        users.find(name="Nobody").one()


def test_keys_and_items(users):
    old = users.find("$[?(@.age > 40)]")
    assert list(old.keys()) == ["alan@x", "grace@x"]
    assert list(old.items()) == [("alan@x", RECORDS[1]), ("grace@x", RECORDS[2])]


def test_limit_takes_the_first(users):
    query = users.find("$[?(@.age > 10)]").limit(2)
    assert names(query) == ["Ada", "Alan"]
    assert (query.count(), list(query.keys())) == (2, ["ada@x", "alan@x"])
    assert query.limit(1).count() == query.limit(1).limit(5).count() == 1
    assert users.find().limit(0).count() == 0
    assert users.find().limit(3).count() == 3
    assert users.find().limit(9).count() == 4
    with pytest.raises(InvalidKeyError):
        users.find().limit(-1)


def test_values_are_what_a_path_finds_in_each_record(users):
    assert list(users.find().values("name")) == ["Ada", "Alan", "Grace", "Kid"]
    assert list(users.find().values("address.city")) == ["London", "Manchester"]
    assert list(users.find("$[?(@.age < 40)]").values("tags[*]")) == ["math", "poetry"]
    with pytest.raises(QueryError):
        users.find().values("[")


def test_a_query_is_read_anew_each_time(users):
    query = users.find("$[?(@.age < 10)]")
    assert query.count() == 1
    users.add(User("baby@x", "Baby", 0))
    assert names(query) == ["Baby", "Kid"]


def test_a_query_in_progress_sees_one_snapshot(users):
    running = iter(users.find())
    next(running)
    users.clear()
    assert names(running) == ["Alan", "Grace", "Kid"]


def test_a_query_joins_the_transaction(store, users):
    with store.transaction():
        users.add(User("new@x", "New", 50))
        assert names(users.find("$[?(@.age == 50)]")) == ["New"]


def test_a_filter_about_the_whole_collection_works_too(users):
    assert names(users.find("$[?(@.age >= $[0].age)]")) == ["Ada", "Alan", "Grace"]
    assert names(users.find("$[?(@.age >= $[0].age)]").limit(1)) == ["Ada"]


def test_search_gives_the_values_that_any_path_finds(users):
    assert list(users.search("$[*].name")) == ["Ada", "Alan", "Grace", "Kid"]
    assert list(users.search("$[?(@.age > {low})].address.city", low=30)) == [
        "London",
        "Manchester",
    ]
    assert list(users.search("$..city")) == ["London", "Manchester"]
    assert list(users.search("$[1:3].name")) == ["Alan", "Grace"]
    assert list(users.search("$.`len`")) == [4]
    with pytest.raises(QueryError):
        users.search("$[")
    with pytest.raises(QueryError):
        list(users.search("$[?(@.age > {low})]"))


def test_what_a_store_gives_works_with_the_query_libraries(store, users):
    records = list(store.range(prefix="User/").values())
    wanted = ["Ada", "Alan", "Grace"]
    path = "$[?(@.age > 30)].name"
    assert [match.value for match in parse(path).find(records)] == wanted
    assert list(users.search(path)) == wanted
    assert jmespath.search("[?age > `30`].name", records) == wanted
    tree = objectpath.Tree({"users": records})
    assert list(tree.execute("$.users[@.age > 30].name")) == wanted


def test_many_threads_may_parse_and_query_at_once(users):
    wrong = []

    def work(number: int) -> None:
        for step in range(20):
            low = (number * 20 + step) % 90
            found = users.find(f"$[?(@.age > {low} && @.name != 'x{number}-{step}')]").count()
            if found != sum(user.age > low for user in RECORDS):
                wrong.append((number, step, found))

    threads = [threading.Thread(target=work, args=[number]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_an_abandoned_query_lets_go_of_its_snapshot(users, store):
    before = store.stats()
    running = iter(users.find("$[?(@.age > 1)]"))
    next(running)
    del running
    after = store.stats()
    for stats in before, after:
        stats.pop("memory_size", None)  # a server changes it by itself
    assert after == before


def test_jsonpath_is_loaded_when_a_collection_is(tmp_path):
    code = "import sys, stones; assert 'jsonpath_ng' not in sys.modules; stones.Collection"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


def test_the_representation_says_what_it_is(users):
    assert repr(users.find()) == "<Query of the collection 'User'>"


texts = st.text(alphabet="abé\"\\/'\x00{} \ud800", max_size=4)
plain = st.none() | st.integers() | texts | st.lists(texts, max_size=2)


@pytest.mark.parametrize("serialize", ["pickle", "json", "cbor", "msgpack"])
@given(values=st.lists(plain, max_size=6), wanted=texts)
def test_looking_for_the_text_in_the_stored_bytes_finds_the_same(serialize, values, wanted):
    @define
    class Loose:
        id: int = key()
        value: Any

    loose = Collection(stone("x", serialize=serialize), Loose)
    loose.add_many(Loose(*pair) for pair in enumerate(values))
    equal = [place for place, value in enumerate(values) if value == wanted]
    inside = [place for place, value in enumerate(values) if value in ([wanted], [wanted] * 2)]
    assert list(loose.find(value=wanted).keys()) == equal
    assert list(loose.find("$[?(@.value == {it})]", it=wanted).keys()) == equal
    every = loose.find("$[?(@.value[*] == {it} && @.id >= 0)]", it=wanted).keys()
    assert set(inside) <= set(every)
    either = loose.find("$[?(@.value == {it} || @.id >= 0)]", it=wanted)
    assert either.count() == len(values)


def test_a_text_that_a_path_makes_up_need_not_be_stored(users):
    assert names(users.find('$[?(@.name.`sub(/A/, E)` == "Eda")]')) == ["Ada"]


def test_a_serializer_of_ones_own_may_hide_its_text():
    hidden = stone("x", dump_load=(lambda v: bytes(b ^ 255 for b in pickle.dumps(v)), unhide))
    users = Collection(hidden, User)
    users.add_many(RECORDS)
    assert names(users.find(name="Ada")) == ["Ada"]
    migrate(hidden, "json")
    assert names(users.find(name="Ada")) == ["Ada"]


def unhide(raw: bytes) -> Any:
    return pickle.loads(bytes(b ^ 255 for b in raw))
