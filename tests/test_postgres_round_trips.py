"""How often each operation waits for the server: counted by a proxy, and held to a table.

Over a network a round trip is what an operation costs. A change that adds one is a regression that
no other test sees; a change that saves one belongs into this table. The end of a transaction that
was only read is counted too, though nobody waits for it: so a read of several entries is one more
than what is waited for.
"""

from itertools import count

import pytest
from attrs import frozen

from stones import Collection, index, key, stone

from .servers.proxy import Proxy

MANY = 3000


@frozen
class User:
    email: str = key()
    name: str = ""
    age: int = 0


@frozen
class Employee:
    """A user with indexes."""

    email: str = key()
    name: str = index(default="")
    age: int = index(default=0)


class Ground:
    """A store behind a proxy, with entries and records, and names that were not used yet."""

    def __init__(self, store) -> None:
        self.store = store
        self.users = Collection(store, User)
        self.employees = Collection(store, Employee)
        self.numbers = count()
        store.update({f"many/{number:05}": number for number in range(MANY)})
        store.update(there=1, a=1, b=2, c=3)
        store.update({f"{kind}{n}": n for kind in ("pop", "delete") for n in range(20)})
        self.users.add_many(User(f"user {n:04}", "Ada", n) for n in range(MANY))
        self.employees.add_many(Employee(f"employee {n:04}", "Ada", n) for n in range(300))

    def new(self) -> str:
        return f"new {next(self.numbers)}"

    def number(self) -> int:
        return next(self.numbers)


@pytest.fixture(scope="module")
def proxy(postgres_server):
    with Proxy(postgres_server.folder) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def ground(proxy):
    with stone(proxy.url(), table="round_trips") as store:
        yield Ground(store)
        store.destroy(yes_im_sure=True)


def several(make, number):
    return [make() for _ in range(number)]


def snapshot(ground):
    with ground.store.snapshot() as view:
        view["a"], view["b"]


def first_of_many(ground):
    for _ in ground.store.range(prefix="many/").items():
        break


def savepoints(ground):
    with ground.store.transaction():
        for _ in range(5):
            with ground.store.transaction():
                ground.store["a"] = ground.number()


def read_and_write(ground):
    def change():
        ground.store["a"] = ground.store["b"] + 1

    ground.store.transact(change)


def block_of_puts(ground):
    with ground.store.transaction():
        for number in range(100):
            ground.store[f"block {number}"] = number


def block_of_adds(ground):
    with ground.store.transaction():
        for _ in range(10):
            ground.users.add(User(ground.new()))


def older(user):
    return User(user.email, user.name, user.age + 1)


STORE = {
    "store[key]": (1, lambda g: g.store["a"]),
    "key in store": (1, lambda g: "a" in g.store),
    "get() of a key that is missing": (1, lambda g: g.store.get("missing")),
    "store[key] = value": (1, lambda g: g.store.__setitem__(g.new(), 1)),
    "store[key] = value, again": (1, lambda g: g.store.__setitem__("a", g.number())),
    "store[key] = value, with a slash in the key": (
        1,
        lambda g: g.store.__setitem__(f"path/{g.new()}", 1),
    ),
    "put() of a new key, overwrite=False": (1, lambda g: g.store.put(g.new(), 1, overwrite=False)),
    "put() of a key that is there, overwrite=False": (
        5,
        lambda g: g.store.put("there", 1, overwrite=False),
    ),
    "setdefault() of a new key": (2, lambda g: g.store.setdefault(g.new(), 1)),
    "setdefault() of a key that is there": (2, lambda g: g.store.setdefault("there", 1)),
    "pop()": (2, lambda g: g.store.pop(f"pop{g.number() % 20}", None)),
    "delete()": (2, lambda g: g.store.delete(f"delete{g.number() % 20}")),
    "get_many() of 100": (2, lambda g: g.store.get_many([f"many/{n:05}" for n in range(100)])),
    "update() of 1,000": (2, lambda g: g.store.update({f"flat{n}": n for n in range(1000)})),
    "update() of 1,000 with a slash in the key": (
        3,
        lambda g: g.store.update({f"many/{n:05}": n for n in range(1000)}),
    ),
    "update() of 1,000 with 1,000 first segments": (
        3,
        lambda g: g.store.update({f"{n}/segment": n for n in range(1000)}),
    ),
    "for over 3,000 entries": (6, lambda g: list(iter(g.store.range(prefix="many/").items()))),
    "the first entry of 3,000": (3, first_of_many),
    "list() of a range of 10": (6, lambda g: list(g.store.range(prefix="many/", limit=10))),
    "len(store)": (3, lambda g: len(g.store)),
    "a snapshot with two reads": (4, snapshot),
    "transact() that writes": (1, lambda g: g.store.transact(lambda: g.store.update(a=1))),
    "transact() that reads and writes": (2, read_and_write),
    "a block of 100 puts": (2, block_of_puts),
    "a block of 5 savepoints with a put": (2, savepoints),
}
COLLECTION = {
    "users[key]": (1, lambda g: g.users["user 0001"]),
    "key in users": (1, lambda g: "user 0001" in g.users),
    "len(users)": (1, lambda g: len(g.users)),
    "users.add()": (1, lambda g: g.users.add(User(g.new()))),
    "add() with two indexes": (1, lambda g: g.employees.add(Employee(g.new()))),
    "users.put() of a new key": (2, lambda g: g.users.put(User(g.new()))),
    "users.put() of a key that is there": (2, lambda g: g.users.put(User("user 0001"))),
    "users.update() of a field": (2, lambda g: g.users.update("user 0001", age=g.number())),
    "update() of a field with an index": (
        2,
        lambda g: g.employees.update("employee 0001", age=g.number() + 1000),
    ),
    "delete() of a record with two indexes": (
        2,
        lambda g: g.employees.delete(f"employee {g.number() % 100 + 100:04}"),
    ),
    "users.modify()": (2, lambda g: g.users.modify("user 0001", older)),
    "users.delete()": (2, lambda g: g.users.delete(f"user {g.number() % 100 + 1000}")),
    "get_many() of 100 records": (
        2,
        lambda g: g.users.get_many([f"user {n:04}" for n in range(100)]),
    ),
    "add_many() of 100": (4, lambda g: g.users.add_many(several(lambda: User(g.new()), 100))),
    "add_many() of 100 with two indexes": (
        4,
        lambda g: g.employees.add_many(several(lambda: Employee(g.new()), 100)),
    ),
    "add_many() of 5,000": (8, lambda g: g.users.add_many(several(lambda: User(g.new()), 5000))),
    "a block of 10 adds": (13, block_of_adds),  # each has to say at once that a key is there
    "find().first()": (4, lambda g: g.users.find().first()),
    "find() by an index": (6, lambda g: list(g.employees.find(age=7))),
    "find().count() by an index": (5, lambda g: g.employees.find(age=7).count()),
    "first() of a scan with a filter": (4, lambda g: g.users.find(age=0).first()),
}


@pytest.mark.parametrize(("expected", "operate"), STORE.values(), ids=STORE.keys())
def test_round_trips_of_a_store(proxy, ground, expected, operate):
    assert_trips(proxy, ground, expected, operate)


@pytest.mark.parametrize(("expected", "operate"), COLLECTION.values(), ids=COLLECTION.keys())
def test_round_trips_of_a_collection(proxy, ground, expected, operate):
    assert_trips(proxy, ground, expected, operate)


def assert_trips(proxy, ground, expected, operate):
    operate(ground)  # it may be the first that asks for what is then remembered
    counted = []
    for _ in range(3):
        before = proxy.settled_trips()
        operate(ground)
        counted.append(proxy.settled_trips() - before)
    assert counted == [expected] * 3


def test_round_trips_of_clearing_a_collection(proxy, ground):
    class_of_its_own = Collection(ground.store, User, name="cleared")
    counted = []
    for _ in range(3):
        class_of_its_own.add_many(User(str(number)) for number in range(100))
        before = proxy.settled_trips()
        class_of_its_own.clear()
        counted.append(proxy.settled_trips() - before)
    assert counted == [2, 2, 2]


def test_a_read_uses_the_connection_that_an_earlier_one_has_left(proxy, ground):
    made = proxy.connections
    for number in range(20):
        assert ground.store["b"] == 2
        ground.store["c"] = number
        list(ground.store.range(prefix="many/", limit=3))
    assert proxy.connections == made
