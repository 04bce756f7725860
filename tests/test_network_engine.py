"""What a store asks of an engine that is behind a network."""

from pathlib import Path

import pytest
from attrs import define

from stones import Collection, FormatMismatchError, LmdbStore, key
from stones.engine import Space

from .network_engine import NetworkStore


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
