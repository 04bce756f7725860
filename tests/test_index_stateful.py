"""Random operations on a collection with every kind of index; the indexes are verified each time.

The model is a plain dict. After each step every entry is compared with every record, and the
records with the model. What a program with an older class writes is among the operations.
"""

import tempfile
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import pytest
from attrs import define, evolve, field
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from stones import Collection, DuplicateKeyError, Index, LmdbStore, MemoryStore, index, key, stone
from stones.engine import Space


@define
class Address:
    city: str | None = None
    zip: int = 0


@define
class Old:
    """The class before it had addresses, and before it had indexes."""

    name: str = key()
    age: int | float | Decimal | str | None = None
    nick: str | None = None
    tags: list[int | float | str | None] = field(factory=list)
    active: bool = True


@define
class User:
    name: str = key()
    age: int | float | Decimal | str | None = index(default=None)
    nick: str | None = index(unique=True, default=None)
    tags: list[int | float | str | None] = index(each=True, factory=list)
    active: bool = True
    address: Address = field(factory=Address)


INDEXES = [
    "address.city",
    ("address.city", "age"),
    Index("age", "tags", each=True),
    Index("age", where="$[?(@.active == true)]"),
    Index("nick", where="@.age > 1", unique=True),
]
names = st.sampled_from(["a", "b", "c", "d", "e" * 300])
nicks = st.sampled_from([None, "", "x", "y", "z" * 300, "z" * 301])
ages = st.one_of(
    st.none(), st.integers(-2, 3), st.sampled_from([0.5, 1.0, -0.0, 2**53 + 1, Decimal(1), "x"])
)
tags = st.lists(st.sampled_from([1, 1.0, 2, "a", "b" * 250, None]), max_size=3)
addresses = st.builds(Address, st.sampled_from([None, "Rome", "Ulm"]), st.integers(0, 1))
users = st.builds(User, names, ages, nicks, tags, st.booleans(), addresses)
olds = st.builds(Old, names, ages, nicks, tags, st.booleans())


class CollectionWithIndexes(RuleBasedStateMachine):
    def open_store(self):
        return MemoryStore()

    @initialize()
    def start(self):
        self.store = self.open_store()
        self.users = Collection(self.store, User, indexes=INDEXES)
        self.users.add(User("a"))  # defines the indexes, which an older class does not declare
        self.users.clear()
        self.old = Collection(self.store, Old, "User", unknown="keep")
        self.model = {}

    def clashes(self, user):
        """Whether another record has the same value in a unique index."""
        return user.nick is not None and any(
            other.nick == user.nick for name, other in self.model.items() if name != user.name
        )

    def write(self, user, write):
        if self.clashes(user):
            with pytest.raises(DuplicateKeyError, match="unique"):
                write(user)
            return
        write(user)
        self.model[user.name] = user

    @rule(user=users)
    def put(self, user):
        self.write(user, self.users.put)

    @rule(user=users)
    def set_item(self, user):
        def write(user):
            self.users[user.name] = user

        self.write(user, write)

    @rule(user=users)
    def add(self, user):
        if user.name in self.model:
            with pytest.raises(DuplicateKeyError):
                self.users.add(user)
            return
        self.write(user, self.users.add)

    @rule(many=st.lists(users, max_size=4))
    def add_many(self, many):
        fits, before = True, dict(self.model)
        for user in many:
            fits = fits and user.name not in self.model and not self.clashes(user)
            if fits:
                self.model[user.name] = user
        if fits:
            self.users.add_many(many)
            return
        self.model = before
        with pytest.raises(DuplicateKeyError):
            self.users.add_many(many)

    @rule(user=olds)
    def put_by_an_older_class(self, user):
        known = self.model.get(user.name)
        address = Address() if known is None else known.address
        new = User(user.name, user.age, user.nick, user.tags, user.active, address)
        self.write(new, lambda _: self.old.put(user))

    @rule(name=names, age=ages)
    def update(self, name, age):
        if name in self.model:
            self.users.update(name, age=age)
            self.model[name] = evolve(self.model[name], age=age)

    @rule(name=names, nick=nicks, inner=users)
    def modify_with_a_write_inside(self, name, nick, inner):
        if name not in self.model or inner.name == name:
            return
        before = dict(self.model)

        def change(user):
            self.users.put(inner)
            self.users.update(name, nick=None)
            return evolve(user, nick=nick)

        try:
            self.users.modify(name, change)
        except DuplicateKeyError:
            self.model = before
            return
        self.model[inner.name] = inner
        self.model[name] = evolve(before[name], nick=nick)

    @rule(name=names)
    def delete(self, name):
        assert self.users.delete(name) == (self.model.pop(name, None) is not None)

    @rule(name=names)
    def pop(self, name):
        self.users.pop(name, None)
        self.model.pop(name, None)

    @precondition(lambda self: self.model)
    @rule()
    def popitem(self):
        name, _ = self.users.popitem()
        del self.model[name]

    @rule(user=users)
    def setdefault(self, user):
        if user.name in self.model:
            self.users.setdefault(user.name, user)
        else:
            self.write(user, lambda user: self.users.setdefault(user.name, user))

    @rule(many=st.lists(users, max_size=3), keep=st.booleans())
    def a_savepoint(self, many, keep):
        before = dict(self.model)
        with self.store.transaction():
            with suppress(ZeroDivisionError), self.store.transaction():
                for user in many:
                    self.write(user, self.users.put)
                if not keep:
                    raise ZeroDivisionError
            if not keep:
                self.model = before

    @rule()
    def clear(self):
        self.users.clear()
        self.model.clear()

    @rule()
    def clear_the_store(self):
        self.store.clear()
        self.model.clear()

    @rule(name=st.sampled_from(["age", "tags", "address.city", "nick", "age,tags"]))
    def drop_and_declare_again(self, name):
        with suppress(Exception):
            self.users.drop_index(name)
        self.users = Collection(self.store, User, indexes=INDEXES)

    @invariant()
    def every_entry_belongs_to_a_record_and_every_record_has_its_entries(self):
        assert dict(self.users) == self.model
        stored = self.users._records.indexes
        with self.store.database.reading() as txn:
            assert list(stored.problems(txn)) == []
            used = {entry[:4] for entry in txn.keys(Space.INDEX)}
            assert used <= {each.prefix for each in stored.definitions(txn)}
        assert {each.state for each in self.users.indexes} <= {"ready"}

    def teardown(self):
        if hasattr(self, "store"):
            self.store.close()


class OnLmdb(CollectionWithIndexes):
    def open_store(self):
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "db"
        return stone(path, LmdbStore, serialize="msgpack", durability="none")

    def teardown(self):
        super().teardown()
        if hasattr(self, "folder"):
            self.folder.cleanup()


@pytest.mark.parametrize("machine", [CollectionWithIndexes, OnLmdb])
def test_indexes_agree_with_the_records_after_every_operation(machine):
    examples = 20 if machine is OnLmdb else 80
    run_state_machine_as_test(
        machine, settings=settings(max_examples=examples, stateful_step_count=20, deadline=None)
    )
