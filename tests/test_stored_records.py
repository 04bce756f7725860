"""There is one way to write a record, and one to remove it: what hangs there misses no change."""

from pathlib import Path

import pytest
from attrs import define, evolve

from stones import Collection, key
from stones.collections.queries.queried_records import QueriedRecords
from stones.collections.stored_records import StoredRecords
from stones.engine import Space


@define
class User:
    email: str = key()
    age: int = 0


class Watched(StoredRecords):
    """The records of a collection, and under which stored keys they were written and removed."""

    def __init__(self, *args):
        super().__init__(*args)
        self.written = []
        self.removed = []

    def put(self, changes, key, stored, before, value):
        raw = super().put(changes, key, stored, before, value)
        self.written.append(stored)
        return raw

    def remove(self, changes, stored):
        found = super().remove(changes, stored)
        if found:
            self.removed.append(stored)
        return found

    def remove_all(self, changes):
        self.removed += changes.txn.keys(Space.DATA, self.span.start, self.span.stop)
        super().remove_all(changes)


@pytest.fixture
def users(store):
    users = Collection(store, User)
    users.add_many([User("ada", 36), User("grace", 85)])
    users._records = Watched(store.database, users._type, users.name)
    users._queried = QueriedRecords(users._records, users._checks)
    return users


WRITES = {
    "add": lambda users: users.add(User("new")),
    "add_many": lambda users: users.add_many([User("new"), User("newer")]),
    "add_many, replacing": lambda users: users.add_many(
        [User("ada", 37), User("new")], on_duplicate="replace"
    ),
    "put_many": lambda users: users.put_many([User("ada", 37), User("new")]),
    "put": lambda users: users.put(User("ada", 37)),
    "put of a new record": lambda users: users.put(User("new")),
    "[]=": lambda users: users.__setitem__("ada", User("ada", 37)),
    "update": lambda users: users.update("ada", age=37),
    "modify": lambda users: users.modify("ada", lambda user: evolve(user, age=37)),
    "setdefault": lambda users: users.setdefault("new", User("new")),
}
REMOVALS = {
    "delete": lambda users: users.delete("ada"),
    "del": lambda users: users.__delitem__("ada"),
    "pop": lambda users: users.pop("ada"),
    "popitem": lambda users: users.popitem(),
    "clear": lambda users: users.clear(),
}


@pytest.mark.parametrize("change", {**WRITES, **REMOVALS}.values(), ids=[*WRITES, *REMOVALS])
def test_every_change_of_a_record_goes_through_put_or_remove(store, users, change):
    before = dict(store)
    change(users)
    after = dict(store)
    written = {key for key, value in after.items() if before.get(key) != value}
    assert set(users._records.written) == written
    assert set(users._records.removed) == before.keys() - after.keys()
    assert written or before.keys() - after.keys()
    assert len(users) == len(after)


def test_every_method_that_changes_a_collection_is_tried_above():
    ours = {name for name in vars(Collection) if not name.startswith("_")}
    reading = {"find", "items", "keys", "range", "search", "values", "to_dict", "from_dict"}
    reading.add("without_class")  # another way to open it
    indexes = {"indexes", "build_indexes", "drop_index"}
    tried = {name.split()[0].rstrip(",") for name in [*WRITES, *REMOVALS]} - {"[]=", "del"}
    assert ours - reading - indexes == tried


def test_no_other_module_of_the_collections_writes():
    folder = Path(__file__).parent.parent / "stones" / "collections"
    writing = {
        path.name
        for path in folder.rglob("*.py")
        if ".put(DATA" in path.read_text() or ".delete(DATA" in path.read_text()
    }
    assert writing == {"stored_records.py"}
