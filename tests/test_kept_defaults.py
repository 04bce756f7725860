"""The defaults that a collection keeps hold wherever a record is shown, found or computed with."""

import json
from datetime import UTC, date, datetime
from itertools import count
from random import random
from typing import Any
from uuid import UUID, uuid4

import pytest
from attrs import define, field

from stones import Collection, Index, LmdbStore, MemoryStore, Migration, check, key, stone
from stones.collections.records.defaults import COMPUTED, VOLATILE, constant_default
from stones.collections.records.record_type import record_type
from stones.engine import Space


@define
class Street:
    name: str


@define
class Early:
    name: str = key()
    home: Street = field(default=Street("High Street"))
    score: int = 1


@define
class Place:
    name: str
    city: str = "Rome"


@define
class Later:
    name: str = key()
    home: Place = field(default=Place("High Street"))
    score: int = 1
    team: str = "red"
    weight: int = field(factory=lambda: 5)
    tags: list[str] = field(factory=lambda: ["new", "old"])


INDEXES = [
    "team",
    "home.city",
    ("team", "score"),
    Index("tags", each=True),
    Index("weight", where="@.team == 'red'"),
]
WHERE = {
    "a field": {"team": "red"},
    "a field inside": "$[?(@.home.city == 'Rome')]",
    "two fields": "$[?(@.team == 'red' && @.score > 2)]",
    "an item": "$[?(@.tags[*] == 'new')]",
    "a partial index": "$[?(@.weight > 4 && @.team == 'red')]",
}


def found(users, where):
    return users.find(**where) if isinstance(where, dict) else users.find(where)


@pytest.fixture
def store():
    return MemoryStore(serialize="json")


@pytest.fixture
def users(store):
    """Ten records that are older than their fields, and one that is not, with every index."""
    Collection(store, Early, "users").add_many(Early(f"{n:02}", score=n) for n in range(10))
    users = Collection(store, Later, "users", indexes=INDEXES)
    users.add(Later("new", Place("x", "Oslo"), 3, "blue", 50, ["other"]))
    return users


@pytest.mark.parametrize("where", WHERE.values(), ids=WHERE)
def test_an_index_finds_the_records_that_have_a_default(users, where):
    query = found(users, where)
    as_dict = [user for user in users.values() if user.team == "red"]
    expected = as_dict if where != WHERE["two fields"] else [u for u in as_dict if u.score > 2]
    assert list(query) == expected
    assert query.count() == len(expected)
    assert query.explain().index is not None


def test_aggregates_compute_with_defaults(users):
    assert users.find().sum("weight") == 10 * 5 + 50
    assert users.find(team="red").max("weight") == 5
    assert users.find().group_by("team").count() == {"red": 10, "blue": 1}
    assert users.find().group_by("home.city").sum("weight") == {"Rome": 50, "Oslo": 50}
    assert [user.name for user in users.find().order_by("-weight").limit(1)] == ["new"]


def test_a_factory_that_gives_the_same_value_is_kept_as_a_constant_is(store, users):
    @define
    class Changed:
        name: str = key()
        weight: int = field(factory=lambda: 7)
        tags: list[str] = field(factory=list)

    users = Collection(store, Changed, "users", unknown="drop")
    assert (users["00"].weight, users["00"].tags) == (5, ["new", "old"])


def test_a_default_goes_through_a_rename_and_is_written_by_the_step(store, users):
    @define
    class Renamed:
        name: str = key()
        home: Place
        score: int
        group: str = "changed"
        weight: int = 0

    users.drop_index("weight[@.team == 'red']")  # its condition has the old name
    steps = [Migration(1, rename={"team": "group"}, drop=["tags"])]
    renamed = Collection(store, Renamed, "users", indexes=["group"], migrations=steps)
    for _ in range(2):  # before the records are migrated, and after that
        first = renamed["00"]
        assert (first.group, first.weight, first.home.city) == ("red", 5, "Rome")
        assert renamed.find(group="red").count() == 10
        assert renamed.find().group_by("group").count() == {"red": 10, "blue": 1}
        renamed.migrate()
    assert renamed.find(group="red").explain().index in ("group", "group,score")
    assert store["users/00"] == {
        "name": "00",
        "home": {"name": "High Street", "city": "Rome"},
        "score": 0,
        "group": "red",
        "weight": 5,
    }
    described = store.database.get(b"collection/users", Space.META)
    assert b"defaults" not in described


def test_an_older_class_that_keeps_fields_sees_the_defaults_of_newer_ones(store, users):
    old = Collection(store, Early, "users", unknown="keep")
    for query in ("@.team == 'red'", "@.tags[*] == 'new'", "@.home.city == 'Rome'"):
        for found in (old.find(query), old.find(query).using(None)):
            assert found.count() == 10
            assert len(list(found)) == len(list(found.keys())) == 10
    assert old.find().group_by("team").count() == {"red": 10, "blue": 1}
    assert [*old.find(name="00").values("team")] == ["red"]
    next(iter(old.find(name="00").values("tags"))).append("mine")
    assert [*old.find(name="00").values("tags")] == [["new", "old"]]
    assert old.find().using(None).sum("weight") == old.find().sum("weight") == 100


def test_a_step_stores_the_value_of_a_volatile_factory_once(store):
    @define
    class Marked:
        name: str = key()
        score: int = 1
        home: Street = field(default=Street("High Street"))
        id: UUID = field(factory=uuid4)

    early = Collection(store, Early, "users")
    early.add_many([Early("ada"), Early("bob")])
    users = Collection(store, Marked, "users", migrations=[Migration(1, add={"id": uuid4})])
    users.migrate()
    assert users["ada"].id == users["ada"].id == Collection(store, Marked, "users")["ada"].id
    assert users["ada"].id != users["bob"].id


def test_get_shows_a_record_with_its_defaults(tmp_path, run):
    path = tmp_path / "db"
    with stone(path, LmdbStore, serialize="json") as store:
        Collection(store, Early, "users").add(Early("ada"))
        store["plain"] = {"name": "ada"}
        Collection(store, Later, "users").add(Later("eve"))
        assert "team" not in store["users/ada"]

    shown = json.loads(run("get", path, "users", "ada", "--json"))
    assert shown["team"] == "red"
    assert shown["home"] == {"name": "High Street", "city": "Rome"}
    assert json.loads(run("get", path, "users/ada", "--json")) == shown
    assert run("get", path, "plain") == "{'name': 'ada'}\n"


# -- classes in lists and dicts --------------------------------------------------------------------


@define
class EarlyHomes:
    name: str = key()
    by_city: dict[str, Street]
    rest: list[tuple[int, Street]] = field(factory=list)


@define
class LaterHomes:
    name: str = key()
    by_city: dict[str, Place]
    rest: list[tuple[int, Place]] = field(factory=list)


@define
class PlainHomes:
    name: str = key()
    by_city: dict[str, Any]
    rest: list[Any] = field(factory=list)


ROME = "@.by_city.home.city == 'Rome'"
HOMES = {"home": Street("High Street"), "city": Street("Low Street")}
SHOWN = {
    "home": {"name": "High Street", "city": "Rome"},
    "city": {"name": "Low Street", "city": "Rome"},
}


def test_a_dict_of_classes_has_the_defaults_in_its_values(tmp_path, run):
    path = tmp_path / "db"
    with stone(path, LmdbStore, serialize="json") as store:
        early = Collection(store, EarlyHomes, "homes", unknown="keep")
        early.add_many([EarlyHomes("ada", HOMES, [(1, Street("x"))]), EarlyHomes("bob", {})])
        later = Collection(store, LaterHomes, "homes", indexes=[Index("name", where=ROME)])
        later.add(LaterHomes("eve", {"home": Place("x", "Oslo")}))
        without_class = Collection.without_class(store, "homes")
        for homes in (early, later, without_class):
            assert [*homes.find(f"$[?({ROME})]").keys()] == ["ada"]
            assert [*homes.find("@.rest[*][1].city == 'Rome'").keys()] == ["ada"]
            assert not homes.find("@.by_city.city == 'Rome'")
        assert later["ada"].by_city["city"] == Place("Low Street", "Rome")
        assert without_class["ada"]["by_city"] == SHOWN
        without_class.put({**without_class["ada"], "name": "ada"})
        assert not later.find("@.by_city.city == 'Rome'")
        assert store["homes/ada"]["by_city"] == SHOWN

    shown = json.loads(run("get", path, "homes", "ada", "--json"))
    assert shown["by_city"] == SHOWN
    assert shown["rest"] == [{"$tuple": [1, {"name": "x", "city": "Rome"}]}]
    assert json.loads(run("get", path, "homes", "bob", "--json"))["by_city"] == {}
    run("check", path)


def test_an_index_of_an_earlier_version_is_built_again_where_dicts_look_different(tmp_path):
    """Earlier versions added the defaults of the class to the dict of the field itself."""
    path = tmp_path / "db"
    store = stone(path, LmdbStore, serialize="json")
    Collection(store, EarlyHomes, "homes").add(EarlyHomes("ada", HOMES))
    Collection(store, LaterHomes, "homes").add(LaterHomes("eve", {}))
    with store.database.writing() as txn:
        described = json.loads(txn.get(Space.META, b"collection/homes"))
        for shape in (described, *described["nested"]):
            shape.pop("positions", None)
        txn.put(Space.META, b"collection/homes", json.dumps(described).encode())
    where = "@.by_city.city == 'Rome'"
    store.close()
    with stone(path, LmdbStore) as store:
        Collection(store, PlainHomes, "homes", indexes=[Index("name", where=where)])
        with store.database.reading() as txn:
            assert len([*txn.scan(Space.INDEX, b"", None)]) == 1
        later = Collection(store, LaterHomes, "homes")
        later.add(LaterHomes("new", {}))
        later.build_indexes()
        with store.database.reading() as txn:
            assert len([*txn.scan(Space.INDEX, b"", None)]) == 0
        assert check(store).sound


# -- factories that give another value each time ---------------------------------------------------


def default_of(annotation: Any, **options: Any) -> Any:
    @define
    class One:
        value: annotation = field(**options)  # type: ignore[valid-type]

    return constant_default(One, record_type(One).schema.fields["value"])


VOLATILE_FACTORIES = {
    "uuid": uuid4,
    "a moment": lambda: datetime.now(UTC),
    "a moment without a zone": datetime.utcnow,
    "a second": lambda: datetime.now(UTC).replace(microsecond=0),
    "a day": date.today,
    "seconds": lambda: int(datetime.now(UTC).timestamp()),
    "a counter": count().__next__,
    "a lot": random,
    "a list": lambda: [random()],
}


@pytest.mark.filterwarnings("ignore:.*utcnow:DeprecationWarning")
@pytest.mark.parametrize("factory", VOLATILE_FACTORIES.values(), ids=VOLATILE_FACTORIES)
def test_a_factory_that_gives_another_value_each_time_is_known(factory):
    assert default_of(Any, factory=factory) is VOLATILE


def test_other_defaults_are_constant_or_computed():
    def fails():
        raise LookupError

    assert default_of(list[int], factory=lambda: [1]) == [1]
    assert default_of(Place, factory=lambda: Place("x")) == {"name": "x", "city": "Rome"}
    assert default_of(Any, default=datetime(2020, 1, 1, tzinfo=UTC)).year == 2020
    assert default_of(int, factory=fails) is COMPUTED
    assert default_of(int) is COMPUTED
