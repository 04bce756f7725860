"""Building an index online: while others write, after kills, and with records that clash."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
from attrs import define

from stones import Collection, DuplicateKeyError, Index, LmdbStore, MemoryStore, key, stone
from stones.collections import declared_indexes, index_building
from stones.engine import Space


@define
class User:
    name: str = key()
    age: int = 0
    nick: str | None = None
    city: str = ""


INDEXES = ["age", ("city", "age"), Index("nick", unique=True), Index("age", where="@.age > 50")]


@pytest.fixture
def small_steps(monkeypatch):
    """Steps of ten records, and no collection is small."""
    monkeypatch.setattr(index_building, "STEP", 10)
    monkeypatch.setattr(declared_indexes, "SMALL", 0)


def problems(users):
    indexes = users._records.indexes
    with users._records.database.reading() as txn:
        return list(indexes.problems(txn))


def users_of(number):
    return [User(f"u{n:04}", n % 90, f"nick {n}", f"City {n % 7}") for n in range(number)]


def states(users):
    return {each.state for each in users.indexes}


def test_a_larger_collection_is_built_step_by_step(store, small_steps):
    Collection(store, User).add_many(users_of(95))
    users = Collection(store, User, indexes=INDEXES)
    assert states(users) == {"building"}
    seen = []

    users.build_indexes(progress=seen.append)

    assert states(users) == {"ready"}
    assert seen == [*range(10, 95, 10), 95]
    assert problems(users) == []


def test_writes_between_the_steps_are_in_the_index(store, small_steps):
    Collection(store, User).add_many(users_of(60))
    users = Collection(store, User, indexes=INDEXES)
    other = Collection(store, User)

    def write(taken):
        other.put(User(f"u{taken - 5:04}", 77, f"new {taken}"))
        other.put(User(f"u{min(taken + 5, 59):04}", 78))
        other.delete(f"u{taken - 3:04}")
        other.delete(f"u{taken + 3:04}")
        other.put(User(f"v{taken}", 1, f"v{taken}"))
        assert problems(users) == []

    users.build_indexes(progress=write)

    assert states(users) == {"ready"}
    assert problems(users) == []


def test_a_build_that_was_interrupted_goes_on_where_it_was(store, small_steps):
    Collection(store, User).add_many(users_of(60))
    users = Collection(store, User, indexes=INDEXES)

    def interrupt(taken):
        if taken == 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        users.build_indexes(progress=interrupt)
    seen = []
    Collection(store, User).build_indexes(progress=seen.append)

    assert seen == [10, 20, 30]
    assert problems(users) == []


def test_an_index_that_is_declared_during_a_build_is_built_too(store, small_steps):
    Collection(store, User).add_many(users_of(40))
    users = Collection(store, User, indexes=["age"])

    def declare(taken):
        if taken == 20:
            Collection(store, User, indexes=["city"])

    users.build_indexes(progress=declare)

    assert [each.name for each in users.indexes] == ["age", "city"]
    assert states(users) == {"ready"}
    assert problems(users) == []


def test_a_record_that_cannot_be_read_does_not_stop_the_build(store, small_steps):
    users = Collection(store, User)
    users.add_many(users_of(25))
    with store.database.transaction() as txn:
        txn.put(Space.DATA, b"User/u0007", b"\xff")

    users = Collection(store, User, indexes=INDEXES)
    users.build_indexes()
    assert states(users) == {"ready"}

    users.put(User("u0007", 3))
    assert problems(users) == []


# -- unique ------------------------------------------------------------------------------------


@pytest.mark.parametrize("nick", ["x", "x" * 300])
@pytest.mark.parametrize("places", [(3, 5), (3, 35), (38, 39)])
def test_records_that_clash_make_the_build_fail_with_both_keys(store, small_steps, nick, places):
    many = users_of(40)
    for place in places:
        many[place].nick = nick
    Collection(store, User).add_many(many)
    users = Collection(store, User, indexes=INDEXES)

    with pytest.raises(DuplicateKeyError, match=r"nick.*unique"):
        users.build_indexes()

    found = {each.name: each for each in users.indexes}
    assert found["nick"].state == "failed"
    for place in places:
        assert repr(many[place].name) in found["nick"].problem
    assert {each.state for name, each in found.items() if name != "nick"} == {"ready"}
    assert problems(users) == []


def test_an_equal_number_of_another_type_does_not_take_the_entry_of_another_record(
    store, small_steps
):
    @define
    class Weight:
        name: str = key()
        grams: int | float | None = None

    Collection(store, Weight).add_many(Weight(f"w{n:02}") for n in range(30))
    others: Collection[str, Weight] = Collection(store, Weight)
    others.put(Weight("w29", 1))
    weights = Collection(store, Weight, indexes=[Index("grams", unique=True)])

    def write(taken):
        if taken == 10:  # the build has taken in w00, and not w29
            others.put(Weight("w00", 1))
            with pytest.raises(DuplicateKeyError):
                others.put(Weight("w29", 1.0))

    with pytest.raises(DuplicateKeyError, match=r"w29.*w00"):
        weights.build_indexes(progress=write)

    assert states(weights) == {"failed"}


def test_a_failed_index_is_not_kept_and_is_built_once_the_records_fit(store, small_steps):
    many = users_of(40)
    many[3].nick = many[35].nick
    Collection(store, User).add_many(many)
    users = Collection(store, User, indexes=INDEXES)
    with pytest.raises(DuplicateKeyError):
        users.build_indexes()

    users.put(User("free", nick=many[35].nick))  # nothing stops a third
    users.delete("free")
    users.delete("u0003")
    users.build_indexes()

    assert states(users) == {"ready"}
    assert problems(users) == []
    with store.database.reading() as txn:
        used = {entry[:4] for entry in txn.keys(Space.INDEX)}
        assert used <= {each.prefix for each in users._records.indexes.definitions(txn)}


def test_a_write_beside_the_build_is_checked_against_what_is_there(store, small_steps):
    others = Collection(store, User)
    others.add_many(users_of(40))
    users = Collection(store, User, indexes=INDEXES)

    def write(taken):
        if taken == 20:
            with pytest.raises(DuplicateKeyError):
                others.put(User("new", nick="nick 5"))
            others.put(User("new", nick="nick 35"))
            others.delete("u0035")

    users.build_indexes(progress=write)

    assert states(users) == {"ready"}
    assert problems(users) == []


def test_each_write_of_a_program_that_declares_an_index_takes_more_records_in(store, small_steps):
    Collection(store, User).add_many(users_of(40))
    users = Collection(store, User, indexes=INDEXES)

    with store.transaction():
        users.put(User("inside"))
    assert states(users) == {"building"}

    writes = 0
    while states(users) == {"building"}:
        users.put(User(f"x{writes}"))
        writes += 1

    assert writes > 2
    assert states(users) == {"ready"}
    assert problems(users) == []


def test_writes_go_on_if_a_unique_index_fails(store, small_steps):
    Collection(store, User).add_many([*users_of(40), User("w", nick="nick 5")])
    users = Collection(store, User, indexes=[Index("nick", unique=True)])

    for number in range(20):
        users.put(User(f"x{number}"))

    assert states(users) == {"failed"}
    assert "'nick 5'" in users.indexes[0].problem
    assert len(users) == 61


def test_a_record_that_is_not_taken_in_yet_takes_no_entry_of_another_with_it(store, small_steps):
    Collection(store, User).add_many(users_of(40))
    users = Collection(store, User, indexes=[Index("nick", unique=True)])

    users.put(User("new", nick="nick 35"))
    users.put(User("u0035", nick="another"))
    users.build_indexes()

    assert problems(users) == []
    with pytest.raises(DuplicateKeyError):
        users.add(User("newer", nick="nick 35"))


def test_dropping_an_index_while_it_is_built(store, small_steps):
    Collection(store, User).add_many(users_of(40))
    users = Collection(store, User, indexes=INDEXES)

    def drop(taken):
        if taken == 20:
            users.drop_index("age")

    users.build_indexes(progress=drop)

    assert [each.name for each in users.indexes] == ["city,age", "nick", "age[@.age > 50]"]
    assert problems(users) == []


def test_clearing_while_an_index_is_built(store, small_steps):
    Collection(store, User).add_many(users_of(40))
    users = Collection(store, User, indexes=INDEXES)

    def clear(taken):
        if taken == 20:
            store.clear()
            users.add_many([User("z", 3, "z"), User("a", 4, "a")])

    users.build_indexes(progress=clear)

    assert states(users) == {"ready"}
    assert problems(users) == []


# -- kills -------------------------------------------------------------------------------------

PROGRAM = """
import random, sys
from attrs import define
from stones import Collection, DuplicateKeyError, Index, LmdbStore, StoneError, key, stone
from stones.collections import index_building

@define
class User:
    name: str = key()
    age: int = 0
    nick: str | None = None
    city: str = ""

index_building.STEP = 100
store = stone(sys.argv[1], LmdbStore, serialize="msgpack", durability="none")
users = Collection(store, User)
print("open", flush=True)
if sys.argv[2] == "build":
    users.build_indexes()
    print("built", flush=True)
    sys.exit()
rng = random.Random(int(sys.argv[2]))
while True:
    name = f"u{rng.randrange(4000):04}"
    try:
        match rng.randrange(5):
            case 0 | 1:
                nick = f"nick {rng.randrange(10000)}"
                users.put(User(name, rng.randrange(90), nick, f"City {rng.randrange(7)}"))
            case 2:
                users.update(name, age=rng.randrange(90))
            case 3:
                users.delete(name)
            case 4:
                users.add_many([User(f"{name}-{n}", n) for n in range(rng.randrange(5))])
    except (KeyError, StoneError):
        pass
"""


def start(path, role):
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, path, role], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "open\n"
    return process


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_a_builder_that_is_killed_beside_two_writers_leaves_a_sound_index(tmp_path, monkeypatch):
    monkeypatch.setattr(declared_indexes, "SMALL", 0)
    path = str(tmp_path / "db")
    with stone(path, LmdbStore, serialize="msgpack", durability="none") as store:
        Collection(store, User).add_many(users_of(4000))
        users = Collection(store, User, indexes=INDEXES)
    writers = [start(path, str(seed)) for seed in range(2)]
    kills, built, rng = 0, False, random.Random(7)
    try:
        while not built:
            builder = start(path, "build")
            if kills < 8:
                time.sleep(rng.random() * 0.04)
                builder.send_signal(signal.SIGKILL)
                kills += 1
            built = "built" in builder.stdout.read()
            assert builder.wait() in (0, -signal.SIGKILL)
            builder.stdout.close()
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
            writer.stdout.close()

    with stone(path, LmdbStore, serialize="msgpack") as store:
        users = Collection(store, User)
        assert states(users) <= {"ready", "failed"}
        assert problems(users) == []
        assert len(users) == sum(1 for _ in users)


def test_a_build_holds_the_entries_of_one_step(monkeypatch):
    store = MemoryStore(serialize="msgpack")
    Collection(store, User).add_many(users_of(20_000))
    users = Collection(store, User, indexes=["age"])
    with store.database.transaction() as txn:
        kind = type(txn)
    sizes, put_many = [], kind.put_many

    def watched(self, space, entries):
        entries = list(entries)
        sizes.append(len(entries))
        put_many(self, space, entries)

    monkeypatch.setattr(kind, "put_many", watched)
    users.build_indexes()

    assert sum(sizes) == 20_000
    assert max(sizes) <= index_building.STEP
