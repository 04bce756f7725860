"""What a store asks of an engine that is behind a network."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import define

from stones import (
    Collection,
    DuplicateKeyError,
    FormatMismatchError,
    Index,
    LmdbStore,
    ReservedKeyError,
    key,
    migrate,
)
from stones.engine import Engine, Space
from stones.testing import EngineTests

from .network_engine import NetworkEngine, NetworkStore


@define
class User:
    name: str = key()
    age: int = 0


@pytest.fixture
def store() -> NetworkStore:
    return NetworkStore()


@pytest.fixture
def users(store: NetworkStore) -> Collection:
    return Collection(store, User)


class TestNetworkEngine(EngineTests):
    @pytest.fixture
    def open_engine(self) -> Callable[[], Engine]:
        return NetworkEngine


# -- counts of collections -------------------------------------------------------------------------


def test_counts_are_sums_of_the_engine_and_no_entries_of_the_metadata(
    store: NetworkStore, users: Collection
) -> None:
    users.add_many([User("ada"), User("bob"), User("eve")])
    del users["bob"]

    assert len(users) == 2
    assert store.stats()["collections"] == {"User": 2}
    with store.database.reading() as txn:
        assert list(txn.sums()) == [(b"count/User", 2)]
        assert txn.get(Space.META, b"count/User") is None
    with store.snapshot() as view:
        users.add(User("kim"))
        assert len(Collection(view, User)) == 2


def test_clearing_a_collection_or_the_store_makes_the_sum_0(
    store: NetworkStore, users: Collection
) -> None:
    users.add(User("ada"))
    users.clear()
    assert len(users) == 0

    users.add(User("ada"))
    store.clear()
    assert len(users) == 0
    users.add(User("bob"))
    assert len(users) == 1


def test_copies_and_backups_take_the_counts_along(
    store: NetworkStore, users: Collection, tmp_path: Path
) -> None:
    users.add_many([User("ada"), User("bob")])
    twin = store.copy()
    store.backup(tmp_path / "saved")

    assert len(Collection(twin, User)) == 2
    with LmdbStore(tmp_path / "saved") as saved:
        assert len(Collection(saved, User)) == 2


# -- stores ----------------------------------------------------------------------------------------


def test_repr_does_not_count_where_counting_reads_all_keys(store: NetworkStore) -> None:
    store["a"] = 1
    assert repr(store) == "<NetworkStore 'network': cbor>"


def test_a_class_of_stores_has_a_default_serializer_and_trusts_no_pickle_unless_that_is_it() -> (
    None
):
    assert NetworkStore().stats()["serializer"] == "cbor"

    pickled = NetworkStore(serialize="pickle")
    pickled["a"] = 1
    safe = NetworkStore(pickled.database.engine)
    with pytest.raises(FormatMismatchError, match="open the store with trust_pickle=True"):
        safe["a"]
    assert NetworkStore(pickled.database.engine, trust_pickle=True)["a"] == 1


# -- round trips -----------------------------------------------------------------------------------


@pytest.fixture
def asked(store: NetworkStore, users: Collection) -> Callable[[Callable[[], object]], int]:
    """How often an operation asks the server for something before it commits.

    There are a collection with records, plain entries, and one write of each kind before.
    """
    users.add_many([User("ada", 36), User("bob", 17), User("eve", 52)])
    store.update({"a": 1, "b": 2, "other/a": 1})
    calls = store.database.engine.calls

    def count(operation: Callable[[], object]) -> int:
        calls.clear()
        operation()
        return calls.total()

    return count


STORE_OPERATIONS: dict[str, tuple[int, Callable[[NetworkStore], object]]] = {
    "get": (1, lambda store: store["a"]),
    "put": (0, lambda store: store.put("c", 1)),
    "put of a key with a slash": (0, lambda store: store.put("other/c", 1)),
    "put of a new key": (0, lambda store: store.put("c", 1, overwrite=False)),
    "delete": (1, lambda store: store.delete("other/a")),
    "pop": (1, lambda store: store.pop("other/a")),
    "setdefault": (1, lambda store: store.setdefault("other/new", 1)),
    "setdefault of a key that is there": (1, lambda store: store.setdefault("a", 1)),
    "update": (3, lambda store: store.update({f"{n}/key": n for n in range(1000)})),
    "transact": (1, lambda store: store.transact(lambda: store.put("a", store["a"] + 1))),
}


@pytest.mark.parametrize("name", STORE_OPERATIONS)
def test_an_operation_of_a_store_asks_no_more_than_it_must(
    store: NetworkStore, asked: Callable[[Callable[[], object]], int], name: str
) -> None:
    most, operation = STORE_OPERATIONS[name]
    assert asked(lambda: operation(store)) <= most


USERS_OPERATIONS: dict[str, tuple[int, Callable[[Collection], object]]] = {
    "get": (1, lambda users: users["ada"]),
    "len": (1, len),
    "add": (0, lambda users: users.add(User("new"))),
    "put": (1, lambda users: users.put(User("ada", 37))),
    "put of a new record": (1, lambda users: users.put(User("new"))),
    "[]=": (1, lambda users: users.__setitem__("ada", User("ada", 37))),
    "update": (1, lambda users: users.update("ada", age=37)),
    "modify": (1, lambda users: users.modify("ada", lambda user: User("ada", user.age + 1))),
    "setdefault": (1, lambda users: users.setdefault("new", User("new"))),
    "delete": (1, lambda users: users.delete("ada")),
    "pop": (1, lambda users: users.pop("ada")),
    "get_many": (2, lambda users: list(users.get_many(["ada", "bob", "x"]))),
    "add_many": (4, lambda users: users.add_many(User(f"new {n}") for n in range(1000))),
    "put_many": (4, lambda users: users.put_many(User(f"new {n}") for n in range(1000))),
    "clear": (1, lambda users: users.clear()),
}


@pytest.mark.parametrize("name", USERS_OPERATIONS)
def test_an_operation_of_a_collection_asks_no_more_than_it_must(
    users: Collection, asked: Callable[[Callable[[], object]], int], name: str
) -> None:
    most, operation = USERS_OPERATIONS[name]
    assert asked(lambda: operation(users)) <= most


def test_values_of_a_unique_index_are_looked_up_a_thousand_at_a_time(store: NetworkStore) -> None:
    users = Collection(store, User, indexes=[Index("age", unique=True)])
    users.add(User("first", -1))
    calls = store.database.engine.calls
    calls.clear()
    users.add_many(User(f"new {n}", n) for n in range(2000))
    assert calls.total() <= 8
    with pytest.raises(DuplicateKeyError, match=r"User\['x'\] has the same age as User\['new 7'\]"):
        users.add_many([User("y", 5000), User("x", 7), User("new 8", 3)])
    assert len(users) == 2001


def test_add_many_takes_an_iterator_that_changes_the_record_it_gave(users: Collection) -> None:
    def same_again() -> Iterator[User]:
        user = User("", 0)
        for user.age, user.name in enumerate("abc"):
            yield user

    assert users.add_many(same_again()) == 3
    assert list(users.values()) == [User("a", 0), User("b", 1), User("c", 2)]


def test_add_many_raises_the_error_of_the_first_record_that_has_one(users: Collection) -> None:
    users.add(User("ada"))
    for wrong in ([User("ada"), "no user"], iter([User("x"), User("x"), "no user"])):
        with pytest.raises(DuplicateKeyError):
            users.add_many(wrong)
    assert list(users) == ["ada"]


# -- what is expected, and is otherwise -----------------------------------------------------------


def test_errors_come_from_the_call_that_causes_them(store: NetworkStore, users: Collection) -> None:
    users.add(User("ada", 36))
    with pytest.raises(DuplicateKeyError, match=r"User\['ada'\] is there already: use put"):
        users.add(User("ada", 37))
    with pytest.raises(ReservedKeyError, match="belongs to the collection 'User'"):
        store["User/x"] = 1
    with store.transaction():
        store["kept"] = 1
        with pytest.raises(DuplicateKeyError):
            users.add(User("ada", 37))
        with pytest.raises(ReservedKeyError):
            store["User/x"] = 1
    assert store["kept"] == 1
    assert users["ada"].age == 36
    assert store.put("kept", 2, overwrite=False) is False


def test_what_another_program_has_changed_since_is_noticed(store: NetworkStore) -> None:
    other = NetworkStore(store.database.engine)
    store["a"] = other["a"] = 1
    Collection(other, User).add(User("ada"))
    with pytest.raises(ReservedKeyError):
        store["User/x"] = 1

    migrate(other, "json")
    store["b"] = 2
    with store.database.reading() as txn:
        assert txn.get(Space.DATA, b"b") == other.database.codec.encode(b"b", 2)
    assert dict(other.items())[b"b"] == 2


def test_a_collection_notices_what_another_program_has_made_of_it(store: NetworkStore) -> None:
    @define
    class Later:
        name: str = key()
        age: int = 0
        city: str = "Paris"

    users = Collection(store, User, unknown="drop")
    users.add(User("ada"))
    other = NetworkStore(store.database.engine)
    later: Collection = Collection(other, Later, name="User", indexes=["age"])
    later.add(Later("bob", 20, "Rome"))
    users.add(User("eve", 20))
    assert later.find(age=20).count() == 2
    assert later["eve"] == Later("eve", 20, "Paris")
    assert [found.name for found in later.find(age=20).using("age")] == ["bob", "eve"]
