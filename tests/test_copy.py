"""A store in another place: equal in all that it knows, whatever happens on the way."""

import os
import re
import shelve
import signal
import subprocess
import sys
import time
import tracemalloc
from decimal import Decimal
from functools import partial

import pytest
from attrs import define, evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from stones import (
    Collection,
    DbmStore,
    EncryptionKeyError,
    FormatMismatchError,
    JsonFileStore,
    LmdbStore,
    MemoryStore,
    Migration,
    MigrationError,
    SqliteStore,
    StorageError,
    Store,
    StoreOpenError,
    UnsupportedError,
    check,
    copy,
    index,
    inspect,
    key,
    stone,
)
from stones.engine import Space
from stones.engines.memory import MemoryEngine, MemoryTransaction
from stones.formats.compression import train
from stones.formats.metadata import write_formats
from stones.migrations.transfer.target import CopyTarget
from stones.stores.existing import open_database

UNWATCHED = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}
RING = ["lmdb", "sqlite", "leveldb", "json", "dbm", "redis", "postgres"]
VALUES = {
    "none": None,
    "nested": {"a": [(1, {2, 3}), frozenset({b"x"})], (1, 2): {None: True}},
    "others": [Decimal("1.10"), -0.0, 1 << 100],
}


@define
class User:
    number: int = key()
    city: str = index()
    mail: str = index(unique=True)


@pytest.fixture
def new_url(tmp_path, request):
    """The URL of a place for a new store on an engine."""

    def new_url(engine, number=0):
        if engine == "postgres":
            server = request.getfixturevalue("postgres")
            mark = "&" if "?" in server.url else "?"
            return f"{server.url}{mark}table={server.other(number)}"
        if engine == "redis":
            url = request.getfixturevalue("redis_url")
            prefix = request.getfixturevalue("redis_prefix")()
            return f"{url}{'&' if '?' in url else '?'}prefix={prefix}"
        return f"{engine}:{tmp_path}/{engine}-{number}"

    return new_url


def fill(store, count=300):
    store.update(VALUES)
    store[b"\xff\x00"] = "no text"
    users = Collection(store, User)
    users.add_many(User(n, f"city {n % 7}", f"{n}@example.org") for n in range(count))
    store.namespace("cache/").update(a=1, b=2)


def contents(place):
    """All that a store knows: its spaces, and its sums wherever the engine keeps them."""
    if isinstance(place, Store):
        return contents_of(place.database.engine)
    with open_database(place, readonly=True) as database:
        return contents_of(database.engine)


def contents_of(engine):
    txn = engine.begin()
    spaces = {space.name: dict(txn.scan(space)) for space in Space}
    names = [name for name in spaces["META"] if name.startswith(b"count/")]
    sums = {name: txn.sum(name) for name in [*names, *dict(txn.sums())]}
    for name in names:
        del spaces["META"][name]
    txn.abort()
    return {**spaces, "sums": sums}


@pytest.mark.parametrize(("source", "target"), [*zip(RING, [*RING[1:], RING[0]], strict=True)])
def test_a_copy_is_equal_in_all_that_the_store_knows(source, target, new_url):
    here, there = new_url(source, 1), new_url(target, 2)
    with stone(here, serialize="cbor", checksums=True) as store:
        fill(store)
    report = copy(here, there)
    assert contents(there) == contents(here)
    assert (report.entries, report.index_entries, report.resumed) == (306, 600, False)
    assert check(there).findings == ()
    with stone(there) as store:
        users = Collection(store, User)
        assert len(users) == 300
        assert users.find(city="city 3").count() == 43
        assert store["nested"] == VALUES["nested"]


def test_stores_in_memory_are_copied_too(tmp_path):
    store = MemoryStore(serialize="json")
    fill(store)
    path = str(tmp_path / "db")
    copy(store, path)
    twin = MemoryStore()
    copy(path, twin)
    assert contents(twin) == contents(store) == contents(f"lmdb:{path}")
    assert dict(twin) == dict(store)
    twin["more"] = (1,)
    assert twin["more"] == (1,)


def test_steps_go_on_in_the_copy_where_they_were(tmp_path):
    @define
    class Person:
        number: int = key()
        name: str = ""

    steps = [Migration(1, rename={"title": "name"}), Migration(2, convert={"name": str.upper})]
    with LmdbStore(tmp_path / "here", serialize="json") as store:
        people = Collection(store, Person, migrations=steps[:1])
        people.add(Person(1, "ada"))
        Collection(store, Person, migrations=steps).put(Person(2, "ALAN"))  # step 2 has begun
        copy(store, tmp_path / "there")
        with LmdbStore(tmp_path / "there") as twin:
            assert contents(twin) == contents(store)
            both = [Collection(each, Person, migrations=steps) for each in (store, twin)]
            for people in both:
                people.migrate()
                assert [person.name for person in people.values()] == ["ADA", "ALAN"]
            copy(store, twin, replace=True)
            assert [entry.number for entry in both[1].ledger] == [2]


def test_an_empty_store_is_copied(tmp_path):
    copy(MemoryStore(serialize="json"), tmp_path / "db")
    with stone(tmp_path / "db", LmdbStore) as store:
        assert (len(store), store.stats()["serializer"]) == (0, "json")


def test_values_are_encoded_anew_for_a_target_with_another_serializer(tmp_path):
    store = MemoryStore(serialize="pickle")
    fill(store)
    with LmdbStore(tmp_path / "db", serialize="json", checksums=True) as target:
        copy(store, target)
        assert dict(target) == dict(store)
        assert str(dict(target)) == str(dict(store))
        assert contents(target)["INDEX"] == contents(store)["INDEX"]
        assert check(target).findings == ()
    assert inspect(tmp_path / "db").serializer == "json"


def test_a_value_that_the_other_serializer_cannot_hold_is_named(tmp_path):
    store = MemoryStore({"good": b"bytes", "wrong": 7}, serialize="pickle")
    with (
        LmdbStore(tmp_path / "db", serialize="noop") as target,
        pytest.raises(MigrationError, match=r"the value of b'wrong' cannot be copied"),
    ):
        copy(store, target)


# -- while programs write ----------------------------------------------------------------------

# Each transaction adds a record and moves one unit from one entry to another.
WRITER = """
import sys
from itertools import count
from pathlib import Path
from attrs import define
from stones import Collection, index, key, stone

@define
class User:
    number: int = key()
    city: str = index()
    mail: str = index(unique=True)

url, folder = sys.argv[1], Path(sys.argv[2])
store = stone(url)
users = Collection(store, User)
for number in count(1000):
    def work():
        users.add(User(number, f'city {number % 7}', f'{number}@example.org'))
        if number % 3 == 0:
            del users[number - 1]
        store['one'] = store['one'] - 1
        store['two'] = store['two'] + 1
    store.transact(work)
    (folder / 'new').write_text(str(number))
    (folder / 'new').rename(folder / 'written')
    if (folder / 'stop').exists():
        break
"""


@pytest.fixture
def start_writer(tmp_path):
    running = []

    def start(url):
        command = [sys.executable, "-c", WRITER, url, str(tmp_path)]
        running.append(subprocess.Popen(command, env=UNWATCHED))
        wait_for((tmp_path / "written").exists)

    def stop():
        (tmp_path / "stop").touch()
        while running:
            assert running.pop().wait(30) == 0

    start.stop = stop
    yield start
    stop()


def wait_for(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("engine", ["lmdb", "sqlite", "redis", "postgres"])
def test_a_copy_has_whole_transactions_of_programs_that_write_meanwhile(
    engine, new_url, start_writer, tmp_path
):
    here, there = new_url(engine, 1), f"lmdb:{tmp_path}/there"
    with stone(here, serialize="json") as store:
        store.update({f"key {n}": n for n in range(5_000)}, one=0, two=0)
    start_writer(here)
    before = int((tmp_path / "written").read_text())
    copy(here, there)
    after = int((tmp_path / "written").read_text())
    start_writer.stop()
    assert check(there).findings == ()
    with stone(there) as store:
        users = Collection(store, User)
        last = max(users)
        assert before <= last <= after + 1
        assert store["two"] == -store["one"] == last - 999
        assert {*users} == {n for n in range(1000, last + 1) if n % 3 != 2 or n == last}


def test_the_copy_has_what_was_written_before_its_last_round(tmp_path):
    store = LmdbStore(tmp_path / "here", serialize="json")
    store.update({f"key {n}": n for n in range(3000)})
    calls = []

    def progress(done, steps):
        if not calls:
            store["late"] = 1
            del store["key 0"]
        calls.append((done, steps))

    copy(store, tmp_path / "there", progress=progress)
    with stone(tmp_path / "there", LmdbStore) as twin:
        assert dict(twin) == dict(store)
    assert calls[-1] == (6000, 6000)
    assert all(0 < done <= steps for done, steps in calls)


def test_a_copy_of_a_snapshot_is_the_store_at_its_beginning(tmp_path):
    store = LmdbStore(tmp_path / "here", serialize="json")
    store.update({f"key {n}": n for n in range(3000)})
    before = dict(store)
    report = copy(
        store, tmp_path / "there", snapshot=True, progress=lambda *_: store.put("late", 1)
    )
    assert report.pause == 0.0
    with stone(tmp_path / "there", LmdbStore) as twin:
        assert dict(twin) == before


def test_an_engine_without_snapshots_refuses_to_copy_one(new_url, tmp_path):
    url = new_url("redis")
    stone(url, serialize="json")["a"] = 1
    with pytest.raises(UnsupportedError, match="has no snapshots: copy it without snapshot=True"):
        copy(url, tmp_path / "there", snapshot=True)
    assert not (tmp_path / "there").exists()


def test_the_copy_on_the_server_is_removed_after_the_copy(new_url, tmp_path):
    import redis

    url = new_url("redis")
    stone(url, serialize="json")["a"] = 1
    client = redis.Redis.from_url(url.partition("?")[0])
    before = {*client.keys()}
    copy(url, tmp_path / "there")
    assert {*client.keys()} == before


def test_a_copy_on_the_server_that_is_lost_is_no_empty_store(new_url):
    import redis

    url = new_url("redis")
    client = redis.Redis.from_url(url.partition("?")[0])
    with stone(url, serialize="json") as store:
        store.update({f"key {n}": n for n in range(100)})
        with (
            pytest.raises(StorageError, match="has removed a part of the copy"),
            store.database.engine.frozen() as txn,
        ):
            client.delete(*client.keys("*:head:*:data:keys"))
            list(txn.scan(Space.DATA))
        assert len(store) == 100


# -- at the end --------------------------------------------------------------------------------


def test_what_runs_at_the_end_is_committed_once_the_copy_is_complete(tmp_path):
    store = LmdbStore(tmp_path / "here", serialize="json")
    store.update({f"key {n}": n for n in range(100)})

    def at_end():
        assert store.database.in_transaction()
        store["moved"] = "there"

    report = copy(store, tmp_path / "there", at_end=at_end)
    assert report.pause > 0
    with stone(tmp_path / "there", LmdbStore) as twin:
        assert {**twin, b"moved": "there"} == dict(store)


def test_a_copy_whose_end_fails_is_unfinished(tmp_path):
    store = LmdbStore(tmp_path / "here", serialize="json")
    store["a"] = 1

    def at_end():
        store["moved"] = "there"
        raise RuntimeError

    with pytest.raises(RuntimeError):
        copy(store, tmp_path / "there", at_end=at_end)
    assert dict(store) == {b"a": 1}
    with pytest.raises(StoreOpenError, match=r"is an unfinished copy of 'lmdb:.*here'"):
        stone(tmp_path / "there", LmdbStore)
    assert copy(store, tmp_path / "there").resumed


# -- what is refused ---------------------------------------------------------------------------


def test_a_target_with_entries_is_refused_unless_it_is_to_be_replaced(tmp_path):
    with LmdbStore(tmp_path / "here", serialize="json") as store:
        fill(store)
    there = f"sqlite:{tmp_path}/there.db"
    with stone(there, serialize="pickle") as store:
        store["own"] = 1
        Collection(store, User).add(User(1, "x", "y"))
    before = contents(there)
    with pytest.raises(MigrationError, match=r"has entries that are not of a copy.*replace=True"):
        copy(tmp_path / "here", there)
    assert contents(there) == before
    copy(tmp_path / "here", there, replace=True)
    assert contents(there) == contents(f"lmdb:{tmp_path}/here")
    again = copy(tmp_path / "here", there, replace=True)
    assert (again.written, again.removed) == (0, 0)


def test_a_finished_copy_that_is_still_equal_is_left_as_it_is(tmp_path):
    with LmdbStore(tmp_path / "here", serialize="json") as store:
        fill(store)
    there = f"sqlite:{tmp_path}/there.db"
    copy(tmp_path / "here", there)
    again = copy(tmp_path / "here", there)
    assert (again.entries, again.written, again.removed, again.resumed) == (306, 0, 0, True)
    with stone(there) as twin:
        twin["own"] = 1
    with pytest.raises(MigrationError, match="has entries that are not of a copy"):
        copy(tmp_path / "here", there)


def test_a_finished_copy_with_values_encoded_anew_is_left_as_it_is(tmp_path):
    with LmdbStore(tmp_path / "here", serialize="json") as store:
        fill(store)
    with SqliteStore(f"{tmp_path}/there.db", serialize="msgpack") as twin:
        assert copy(tmp_path / "here", twin).written > 306
        again = copy(tmp_path / "here", twin)
        assert (again.entries, again.written, again.removed, again.resumed) == (306, 0, 0, True)
        twin["none"] = "changed"
        with pytest.raises(MigrationError, match="has entries that are not of a copy"):
            copy(tmp_path / "here", twin)
        assert twin["none"] == "changed"


def test_an_older_copy_is_brought_up_to_date_if_that_is_said(tmp_path):
    there = f"sqlite:{tmp_path}/there.db"
    with LmdbStore(tmp_path / "here", serialize="json") as store:
        fill(store)
        copy(store, there)
        store["late"] = 1
        del store["none"]
        before = contents(there)
        with pytest.raises(MigrationError, match=r"if it is an older copy, replace=True"):
            copy(store, there)
        assert contents(there) == before
        report = copy(store, there, replace=True)
        assert (report.written, report.removed) == (1, 1)
        assert contents(there) == contents(store)


def test_what_programs_write_before_the_target_is_locked_is_not_taken_for_the_copy(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    with LmdbStore(here, serialize="json") as store:
        fill(store)
    with open_database(f"lmdb:{there}", readonly=False, create=True) as database:
        CopyTarget(database).claim(f"lmdb:{here.resolve()}", None)  # and it is killed
    with LmdbStore(there, serialize="json") as store:
        store["own"] = 1
    with pytest.raises(MigrationError, match="has entries that are not of a copy"):
        copy(here, there)
    with LmdbStore(there) as store:
        assert dict(store) == {b"own": 1}
        del store["own"]
    assert not copy(here, there).resumed
    assert contents(f"lmdb:{there}") == contents(f"lmdb:{here}")


def interrupted(source, target, at=2):
    """A copy that ends in the middle."""
    calls = []

    def progress(done, steps):
        calls.append(done)
        if len(calls) == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy(source, target, progress=progress)


@pytest.fixture(params=["lmdb", "sqlite", "json", "dbm"])
def unfinished(request, new_url, tmp_path):
    """The URL of an unfinished copy of the store at `here`."""
    with LmdbStore(tmp_path / "here", serialize="json") as store:
        fill(store)
    url = new_url(request.param, 5)
    interrupted(tmp_path / "here", url)
    return url


def test_an_unfinished_copy_does_not_pass_for_a_store(unfinished, run, tmp_path):
    with pytest.raises(StoreOpenError, match="run the same copy again"):
        stone(unfinished)
    for program in (check, inspect):
        with pytest.raises(StoreOpenError, match="is an unfinished copy"):
            program(unfinished)
    for command in (["get", unfinished, "none"], ["info", unfinished], ["check", unfinished]):
        assert "is an unfinished copy of" in run(*command, code=1)
    with pytest.raises(StoreOpenError, match="is an unfinished copy"):
        copy(unfinished, tmp_path / "third")


def test_an_unfinished_copy_goes_on_with_what_the_source_is_now(unfinished, tmp_path):
    with LmdbStore(tmp_path / "here") as store:
        Collection(store, User).update(7, city="elsewhere")
        del store["none"]
        store["late"] = 1
    assert copy(tmp_path / "here", unfinished).resumed
    assert contents(unfinished) == contents(f"lmdb:{tmp_path}/here")


def test_an_unfinished_copy_of_another_store_is_refused(unfinished, tmp_path):
    with LmdbStore(tmp_path / "other", serialize="json") as store:
        store["a"] = 1
    with pytest.raises(MigrationError, match=r"is an unfinished copy of 'lmdb:.*here', not of"):
        copy(tmp_path / "other", unfinished)
    report = copy(tmp_path / "other", unfinished, replace=True)
    assert not report.resumed
    assert contents(unfinished) == contents(f"lmdb:{tmp_path}/other")


def test_values_that_are_encoded_anew_go_on_in_the_same_format(tmp_path):
    with LmdbStore(tmp_path / "here", serialize="msgpack") as store:
        fill(store)
    with LmdbStore(tmp_path / "there", serialize="json") as target:
        interrupted(tmp_path / "here", target)
    copy(tmp_path / "here", tmp_path / "there")
    with LmdbStore(tmp_path / "there") as twin, LmdbStore(tmp_path / "here") as store:
        assert twin.stats()["serializer"] == "json"
        assert dict(twin) == dict(store)
        assert check(twin).findings == ()


def test_a_store_is_not_copied_to_itself(tmp_path):
    with LmdbStore(tmp_path / "db", serialize="json") as store:
        store["a"] = 1
        os.symlink(tmp_path / "db", tmp_path / "link")
        for target in (store, tmp_path / "db", f"lmdb:{tmp_path}/link"):
            with pytest.raises(MigrationError, match="cannot be copied to itself"):
                copy(tmp_path / "db", target, replace=True)
        assert dict(store) == {b"a": 1}


def test_a_copy_inside_a_transaction_is_refused():
    store = MemoryStore(a=1)
    with pytest.raises(MigrationError, match="outside of any"), store.transaction():
        copy(store, MemoryStore())


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"max_key_size": 300}, r"nothing was written: the key b'k+ has 400 bytes"),
        ({"max_value_size": 1000}, r"nothing was written: the value of b'k+ has 2,00\d bytes"),
    ],
)
def test_what_the_target_cannot_hold_is_named_before_anything_is_written(limits, message):
    store = MemoryStore(serialize="json")
    store["k" * 400] = "x" * 2000
    target = MemoryStore()
    target.database.engine.supports = evolve(MemoryEngine.supports, **limits)
    before = contents(target)
    with pytest.raises(MigrationError, match=message):
        copy(store, target)
    assert contents(target) == before


# -- the engine of the target fails ------------------------------------------------------------


def test_a_value_that_the_target_gives_back_otherwise_is_noticed(monkeypatch):
    target = MemoryStore()
    put = MemoryTransaction.put

    def forgetful(self, space, key, value):
        is_victim = key == b"victim" and self._engine is target.database.engine
        put(self, space, key, value[:-1] if is_victim else value)

    store = MemoryStore({"a": 1, "victim": 2}, serialize="json")
    monkeypatch.setattr(MemoryTransaction, "put", forgetful)
    with pytest.raises(StorageError, match="gives back another value of b'victim'"):
        copy(store, target)


FULL_DISK = """
import resource, signal, sys
from stones import StorageError, copy
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
try:
    copy(sys.argv[1], sys.argv[2])
except StorageError as error:
    print(type(error).__name__)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
"""


@pytest.mark.parametrize("engine", ["lmdb", "sqlite", "leveldb", "json"])
def test_a_copy_to_a_full_disk_goes_on_when_there_is_room(engine, new_url, tmp_path):
    here, there = f"lmdb:{tmp_path}/here", new_url(engine)
    with stone(here, serialize="json") as store:
        store.update({f"key {n}": str(n) * 100 for n in range(4000)})
    command = [sys.executable, "-c", FULL_DISK, here, there]
    done = subprocess.run(command, capture_output=True, text=True, env=UNWATCHED)
    assert done.stdout == "StoreFullError\n", done.stderr
    assert copy(here, there).resumed
    assert contents(there) == contents(here)


# -- processes ---------------------------------------------------------------------------------

COPY = "import sys; from stones import copy; copy(sys.argv[1], sys.argv[2])"


def start_copy(here, there):
    command = [sys.executable, "-c", COPY, here, there]
    return subprocess.Popen(command, env=UNWATCHED, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("engine", ["lmdb", "sqlite"])
def test_a_copy_that_is_killed_goes_on(engine, new_url, tmp_path):
    here, there = f"lmdb:{tmp_path}/here", new_url(engine)
    with stone(here, serialize="json") as store:
        store.update({f"key {n}": str(n) * 30 for n in range(60_000)})
    expected = contents(here)
    for delay in (0.0, 0.05, 0.1, 0.2):
        process = start_copy(here, there)
        wait_for(partial(os.path.exists, there.partition(":")[2]))
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    copy(here, there)
    assert contents(there) == expected


def test_two_copies_to_one_target_do_not_disturb_each_other(tmp_path):
    here, there = f"lmdb:{tmp_path}/here", f"sqlite:{tmp_path}/there.db"
    with stone(here, serialize="json") as store:
        store.update({f"key {n}": str(n) * 30 for n in range(60_000)})
    running = [start_copy(here, there) for _ in range(2)]
    errors = [process.communicate()[1] for process in running]
    codes = sorted(process.returncode for process in running)
    if codes != [0, 0]:  # the later one may begin when the other one has ended
        (message,) = filter(None, errors)
        assert (codes, "another copy to" in message) == ([0, 1], True)
    assert contents(there) == contents(here)


# -- other sources -----------------------------------------------------------------------------


def test_a_file_of_shelve_becomes_a_store(tmp_path):
    with shelve.open(str(tmp_path / "old")) as found:
        found["a"] = [1, 2]
    with pytest.raises(FormatMismatchError, match="open it with serialize="):
        copy(f"dbm:{tmp_path}/old", tmp_path / "new")
    with DbmStore(tmp_path / "old", serialize="pickle") as old:
        copy(old, tmp_path / "new")
        with LmdbStore(tmp_path / "json", serialize="json") as target:
            copy(old, target)
            assert dict(target) == {b"a": [1, 2]}
    with LmdbStore(tmp_path / "new") as store:
        assert dict(store) == {b"a": [1, 2]}


def test_the_memory_does_not_grow_with_the_store(tmp_path):
    with LmdbStore(tmp_path / "here", serialize="noop") as store:
        store.update((f"{n:06}", b"x" * 1000) for n in range(20_000))
    tracemalloc.start()
    copy(tmp_path / "here", f"sqlite:{tmp_path}/there.db")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000


# -- properties --------------------------------------------------------------------------------

KEYS = st.binary(min_size=1, max_size=3) | st.sampled_from([b"k1", b"k2", b"k3"])
STATES = st.tuples(
    st.dictionaries(KEYS, st.integers() | st.text(max_size=5)),
    st.dictionaries(st.integers(0, 9), st.sampled_from(["Rome", "Oslo"])),
)


def bring_to(store, state):
    """Change a store so that it has these entries and these users."""
    entries, users = state
    with store.transaction():
        collection = Collection(store, User)
        for number in [*collection]:
            if number not in users:
                del collection[number]
        for number, city in users.items():
            collection.put(User(number, city, str(number)))
        for name in [*store.range(lt=b"User/"), *store.range(ge=b"User0")]:
            if name not in entries:
                del store[name]
        store.update({k: v for k, v in entries.items() if not k.startswith(b"User/")})


@settings(max_examples=40)
@given(first=STATES, later=STATES, ends=st.integers(1, 6))
def test_a_copy_equals_its_source_whatever_changes_and_wherever_it_ended(first, later, ends):
    store, target = MemoryStore(serialize="json"), MemoryStore()
    bring_to(store, first)
    calls = []

    def progress(*_):
        calls.append(1)
        if len(calls) == ends:
            bring_to(store, later)
            raise KeyboardInterrupt

    try:
        copy(store, target, progress=progress)
    except KeyboardInterrupt:
        copy(store, target)
    assert contents(target) == contents(store)
    bring_to(store, later)
    copy(store, target, replace=True)
    assert contents(target) == contents(store)
    assert dict(target) == dict(store)


# -- the command -------------------------------------------------------------------------------


def test_the_command_copies_between_paths_and_urls(run, tmp_path):
    with LmdbStore(tmp_path / "here", serialize="json") as store:
        fill(store)
    shown = run("copy", tmp_path / "here", f"sqlite:{tmp_path}/there.db")
    assert shown == (
        f"306 entries, and 600 entries of indexes: sqlite:{tmp_path}/there.db is a copy now, with "
        "every value compared\n"
    )
    with LmdbStore(tmp_path / "here") as store:
        store["none"] = 1
    assert "replace=True" in run("copy", tmp_path / "here", f"sqlite:{tmp_path}/there.db", code=1)
    shown = run("copy", "--replace", "--snapshot", "--json", tmp_path / "here", tmp_path / "third")
    assert '"entries": 306' in shown
    assert contents(f"lmdb:{tmp_path}/third") == contents(f"lmdb:{tmp_path}/here")


def test_the_command_encodes_values_anew(run, tmp_path):
    with LmdbStore(tmp_path / "here", serialize="msgpack") as store:
        store["theme"] = "dark"
    run("copy", "--to", "json", tmp_path / "here", f"json:{tmp_path}/there.json")
    assert (tmp_path / "there.json").read_text() == '{\n  "theme": "dark"\n}\n'


def test_the_command_goes_on_only_with_a_copy_by_the_same_serializer(run, tmp_path):
    with LmdbStore(tmp_path / "here", serialize="msgpack") as store:
        store["theme"] = "dark"
    command = ["copy", "--replace", tmp_path / "here", tmp_path / "there", "--to"]
    assert "noop cannot hold a str" in run(*command, "noop", code=1)
    assert re.search(r"unfinished .* by noop: .* remove .*there", run(*command, "json", code=1))
    assert "noop cannot hold a str" in run(*command, "noop", code=1)


def test_the_command_encodes_the_values_of_a_shelf_anew(run, tmp_path):
    with shelve.open(str(tmp_path / "old")) as old:
        old["a"] = (1, {"b"})
    options = ["--from", "pickle", "--to", "cbor", "--trust-pickle"]
    run("copy", *options, f"dbm:{tmp_path}/old", tmp_path / "there")
    with LmdbStore(tmp_path / "there", serialize="cbor") as twin:
        assert dict(twin) == {b"a": (1, {"b"})}


def test_the_command_can_be_interrupted_and_run_again(run, tmp_path, monkeypatch):
    from stones.migrations.transfer.rounds import CopyRun

    with LmdbStore(tmp_path / "here", serialize="json") as store:
        fill(store)

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(CopyRun, "_finish", interrupt)
    assert "run this again to go on" in run("copy", tmp_path / "here", tmp_path / "there", code=130)
    monkeypatch.undo()
    run("copy", tmp_path / "here", tmp_path / "there")
    assert contents(f"lmdb:{tmp_path}/there") == contents(f"lmdb:{tmp_path}/here")


# -- compressed and encrypted stores -----------------------------------------------------------

KEY, OTHER_KEY = b"k" * 32, b"o" * 32


def sealed(path, **options):
    store = LmdbStore(path, serialize="msgpack", compress="zstd", encrypt=KEY, **options)
    fill(store)
    return store


def test_encrypted_values_are_copied_without_the_key(tmp_path):
    sealed(tmp_path / "here").close()
    copy(tmp_path / "here", f"sqlite:{tmp_path}/there.db")
    assert contents(f"sqlite:{tmp_path}/there.db") == contents(f"lmdb:{tmp_path}/here")
    with pytest.raises(EncryptionKeyError):
        stone(f"sqlite:{tmp_path}/there.db")
    with (
        LmdbStore(tmp_path / "here", encrypt=KEY) as store,
        SqliteStore(tmp_path / "there.db", encrypt=KEY) as twin,
    ):
        assert dict(twin) == dict(store)
        assert Collection(twin, User).find(city="city 3").count() == 43


def test_an_open_target_that_names_no_key_gets_the_encrypted_bytes(tmp_path):
    target = MemoryStore()
    with sealed(tmp_path / "here") as store:
        copy(store, target)
        assert contents(target) == contents(store)


def test_an_open_target_that_names_another_key_is_encrypted_by_that(tmp_path):
    with (
        sealed(tmp_path / "here") as store,
        LmdbStore(tmp_path / "there", serialize="json", encrypt=OTHER_KEY) as target,
    ):
        interrupted(store, target)
        copy(store, target)
        assert dict(target) == dict(store)
    with pytest.raises(EncryptionKeyError):
        LmdbStore(tmp_path / "there", encrypt=KEY)


def test_values_do_not_lose_their_encryption_by_the_way(tmp_path):
    with (
        sealed(tmp_path / "here") as store,
        LmdbStore(tmp_path / "there", serialize="json") as target,
        pytest.raises(MigrationError, match=r"would not be encrypted.*encrypt=False"),
    ):
        copy(store, target)


@pytest.mark.parametrize("serializer", ["json", "msgpack"])
@pytest.mark.parametrize("make", [LmdbStore, JsonFileStore])
def test_an_open_target_with_encrypt_false_gets_decrypted_values(make, serializer, tmp_path):
    with (
        sealed(tmp_path / "here") as store,
        make(tmp_path / "plain", serialize=serializer, encrypt=False) as target,
    ):
        copy(store, target)
        assert dict(target) == dict(store)
        assert not inspect(target).encrypted
    with make(tmp_path / "plain") as target:
        assert target["none"] is None
        assert Collection(target, User).find(city="city 3").count() == 43


@pytest.mark.parametrize("serializer", ["json", "msgpack"])
def test_a_file_for_other_programs_is_not_filled_with_encrypted_values(serializer, tmp_path):
    refused = partial(pytest.raises, MigrationError, match=r"cannot hold the encrypted")
    with LmdbStore(tmp_path / "here", serialize=serializer, encrypt=KEY) as store:
        store["city"] = "Paris"
        with refused():
            copy(store, f"json:{tmp_path}/new.json")
        with JsonFileStore(tmp_path / "open.json", serialize=serializer) as target, refused():
            copy(store, target)
    with JsonFileStore(tmp_path / "open.json") as target:
        assert dict(target) == {}


def begun_encrypted(tmp_path):
    """An unfinished copy whose values are encrypted anew, of the program that ended."""
    with LmdbStore(tmp_path / "here", serialize="msgpack") as store:
        fill(store)
    with LmdbStore(tmp_path / "there", serialize="json", encrypt=KEY) as target:
        interrupted(tmp_path / "here", target)


def test_a_copy_that_encrypts_goes_on_in_another_program_by_keys(tmp_path):
    begun_encrypted(tmp_path)
    for keys in (None, OTHER_KEY):
        with pytest.raises(EncryptionKeyError, match="give the key to copy\\(\\) by keys="):
            copy(tmp_path / "here", tmp_path / "there", keys=keys)
    assert copy(tmp_path / "here", tmp_path / "there", keys=[OTHER_KEY, KEY]).resumed
    with (
        LmdbStore(tmp_path / "here") as store,
        LmdbStore(tmp_path / "there", serialize="json", encrypt=KEY) as twin,
    ):
        assert dict(twin) == dict(store)


def test_a_copy_that_encrypts_goes_on_by_the_command(run, tmp_path):
    begun_encrypted(tmp_path)
    (tmp_path / "key").write_bytes(KEY)
    run("copy", "--key-file", tmp_path / "key", tmp_path / "here", tmp_path / "there")
    with LmdbStore(tmp_path / "there", serialize="json", encrypt=KEY) as twin:
        assert Collection(twin, User).find(city="city 3").count() == 43


def test_the_command_replaces_what_an_encrypted_target_has(run, tmp_path):
    (tmp_path / "key").write_bytes(KEY)
    with LmdbStore(tmp_path / "here", serialize="msgpack") as store:
        store["a"] = 1
    with LmdbStore(tmp_path / "there", serialize="json", encrypt=KEY) as target:
        target["b"] = 2
    options = ["--to", "json", "--replace", "--key-file", tmp_path / "key"]
    run("copy", *options, tmp_path / "here", tmp_path / "there")
    with LmdbStore(tmp_path / "there", encrypt=KEY) as twin:
        assert dict(twin) == {b"a": 1}


def test_the_command_encrypts_what_was_encrypted(run, tmp_path):
    sealed(tmp_path / "here").close()
    (tmp_path / "key").write_bytes(KEY)
    options = ["--to", "cbor", "--key-file", tmp_path / "key"]
    run("copy", *options, tmp_path / "here", tmp_path / "there")
    with pytest.raises(EncryptionKeyError):
        LmdbStore(tmp_path / "there")
    with (
        LmdbStore(tmp_path / "here", encrypt=KEY) as store,
        LmdbStore(tmp_path / "there", serialize="cbor", encrypt=KEY, compress="zstd") as twin,
    ):
        assert dict(twin) == dict(store)
        assert check(twin).findings == ()


def test_dictionaries_are_copied_with_compressed_values(tmp_path):
    with LmdbStore(tmp_path / "here", serialize="msgpack") as store:
        fill(store, 2000)
        dictionary = train([*contents(store)["DATA"].values()])
        formats = store.database.metadata().migrating_to(compression="zstd", dictionary=dictionary)
        store.database.write(lambda txn: write_formats(txn, formats.migrated()))
    with LmdbStore(tmp_path / "here") as store:
        Collection(store, User).put(User(7, "elsewhere", "7@example.org"))
    copy(tmp_path / "here", tmp_path / "there")
    assert contents(f"lmdb:{tmp_path}/there") == contents(f"lmdb:{tmp_path}/here")
    with (
        LmdbStore(tmp_path / "there") as store,
        LmdbStore(tmp_path / "plain", serialize="json", compress=False) as plain,
    ):
        copy(store, plain)
        assert dict(plain) == dict(store)
        assert not any(name.startswith(b"dictionary") for name in contents(plain)["META"])
        assert check(plain).findings == ()
