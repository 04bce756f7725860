"""Steps whose function in `add` gives another value each time: never shown before it is stored."""

from itertools import count
from uuid import UUID, uuid4

import pytest
from attrs import define

from stones import Collection, MemoryStore, Migration, MigrationError, SqliteStore, key


@define
class Old:
    name: str = key()
    age: int = 1


@define
class New:
    name: str = key()
    age: int = 1
    id: UUID | None = None


STEPS = [Migration(1, add={"id": uuid4})]


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path):
    with MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "db") as opened:
        yield opened


@pytest.fixture
def users(store):
    Collection(store, Old, "users").add_many([Old("ada"), Old("bob")])
    return Collection(store, New, "users", migrations=STEPS)


READS = {
    "get": lambda users: users["ada"],
    "get_many": lambda users: [*users.get_many(["ada"])],
    "values": lambda users: [*users.values()],
    "items": lambda users: [*users.items()],
    "find": lambda users: [*users.find(age=1)],
    "field": lambda users: [*users.find().values("id")],
    "group": lambda users: users.find().group_by("id").count(),
    "setdefault": lambda users: users.setdefault("ada", New("ada")),
    "popitem": lambda users: users.popitem(),
    "pop": lambda users: users.pop("ada"),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_value_that_is_not_stored_yet_is_not_shown(users, read):
    with pytest.raises(MigrationError, match=r"users\['\w+'\]: step 1 .*'id'.* call migrate\(\)"):
        read(users)
    assert len(users) == 2
    users.migrate()
    read(users)


def test_a_snapshot_from_before_shows_no_such_value(store, users):
    with store.snapshot() as view:
        frozen = Collection(view, New, "users", migrations=STEPS)
        users.migrate()
        with pytest.raises(MigrationError, match="call migrate"):
            frozen["ada"]
    assert users["ada"].id == users["ada"].id


def test_keys_are_shown_and_records_removed(users):
    assert [*users] == ["ada", "bob"]
    assert "ada" in users
    assert users.delete("ada")
    assert [*users.keys()] == ["bob"]


WRITES = {
    "update": lambda users: users.update("ada", age=5),
    "modify": lambda users: users.modify("ada", lambda user: New(user.name, 5, user.id)),
    "put": lambda users: users.put(New("ada", 5, uuid4())),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_write_stores_the_value_once(store, users, write):
    write(users)
    stored = users["ada"]
    assert stored.age == 5
    assert isinstance(stored.id, UUID)
    assert users["ada"] == stored
    with pytest.raises(MigrationError):
        users["bob"]
    users.migrate()
    assert users["ada"] == stored
    assert Collection(store, New, "users", migrations=STEPS)["ada"] == stored


def test_a_record_that_has_the_field_is_shown(store):
    Collection(store, New, "users").add(New("ada", 1, UUID(int=1)))
    users = Collection(store, New, "users", migrations=STEPS)
    assert users["ada"].id == UUID(int=1)


def test_a_function_that_always_gives_the_same_value_is_shown(store):
    @define
    class Tagged:
        name: str = key()
        age: int
        tags: list[int]

    Collection(store, Old, "users").add(Old("ada"))
    steps = [Migration(1, add={"tags": list})]
    assert Collection(store, Tagged, "users", migrations=steps)["ada"].tags == []


def test_a_field_inside_whose_value_changes_is_not_shown():
    record = {"items": [{"price": 1}, {"price": 2, "number": 3}]}
    step = Migration(1, add={"items.number": count().__next__})
    with pytest.raises(MigrationError, match=r"'items\.number'"):
        step.apply_to_read(record)
    assert step.apply_to_read({"items": []}) == {"items": []}


def test_a_function_that_fails_is_told_as_such():
    step = Migration(1, add={"size": lambda: 1 // 0})
    with pytest.raises(Exception, match="'size': no value for it: ZeroDivisionError"):
        step.apply_to_read({})
