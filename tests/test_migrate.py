"""Re-encoding: values equal before and after, while others read and write, whatever is killed."""

import os
import random
import signal
import subprocess
import sys
import time
import tracemalloc
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import attrs
import pytest
from attrs import define
from hypothesis import given
from hypothesis import strategies as st

from stones import (
    Collection,
    FormatMismatchError,
    LmdbStore,
    MemoryStore,
    MigrationError,
    ReadOnlyError,
    SerializerError,
    StoreClosedError,
    key,
    migrate,
    register_serializer,
    stone,
)
from stones.engine import Space
from stones.formats.checksums import CHECKSUM_BIT
from stones.formats.metadata import IDS, read_metadata, write_formats
from stones.formats.serializers import serializer
from stones.migrations.reencoding.reencode import MigrationReport

FULL = ["pickle", "json", "cbor", "msgpack"]
# Of processes that are killed and interrupted, whose coverage would come to nothing.
UNWATCHED = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}
VALUES = {
    b"none": None,
    b"empty": b"",
    b"falsy": [False, 0, 0.0, "", [], {}],
    b"huge": 1 << 100,
    b"nested": {"a": [(1, {2, 3}), frozenset({b"x"})], (1, 2): {None: True}},
    b"time": datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC),
    b"others": [Decimal("1.10"), UUID(int=7)],
}
REVERSED = (lambda value: value[::-1], lambda raw: raw[::-1])
"""Functions for dump_load=, for bytes, which are kept backwards."""
CBOR = (serializer("cbor").encode, serializer("cbor").decode)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "db")


def raw_values(store):
    return dict(store.database.engine.begin().scan(Space.DATA))


def formats_in_use(store):
    return {raw[0] for raw in raw_values(store).values()}


def metadata_of(store):
    return store.database.engine.read(read_metadata)


class StopHereError(Exception):
    pass


def interrupted(store, to, at=0.75):
    """Begin a migration, and leave it when so much of it is done."""

    def stop(done, steps):
        if done >= at * steps:
            raise StopHereError

    with pytest.raises(StopHereError):
        migrate(store, to, progress=stop)


# -- values ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("to", FULL)
@pytest.mark.parametrize("serialize", FULL)
def test_values_are_equal_before_and_after(opened, serialize, to):
    store = opened(serialize=serialize)
    store.update(VALUES)
    done = migrate(store, to)
    assert done == MigrationReport(0 if serialize == to else len(VALUES), len(VALUES))
    assert dict(store) == VALUES
    assert {key: type(value) for key, value in store.items()} == {
        key: type(value) for key, value in VALUES.items()
    }
    assert formats_in_use(store) == {IDS[to]}


@pytest.mark.parametrize("to", [name for name in FULL if name != "noop"])
def test_bytes_can_be_migrated_to_noop_and_back(opened, to):
    store = opened(serialize="noop")
    store.update({b"a": b"\x00\xff", b"b": b""})
    migrate(store, to)
    assert migrate(store, "noop") == MigrationReport(2, 2)
    assert raw_values(store) == {b"a": b"\x05\x00\xff", b"b": b"\x05"}


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.datetimes()
    | st.decimals(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=4)
        | st.frozensets(st.integers() | st.text(), max_size=4)
    ),
    max_leaves=6,
)


@given(
    st.lists(
        st.sampled_from(FULL)
        | st.tuples(st.binary(min_size=1, max_size=3), plain)
        | st.binary(min_size=1, max_size=3),
        max_size=20,
    )
)
def test_whatever_is_written_and_migrated_in_between_the_store_is_a_dict(steps):
    store, model = MemoryStore(serialize="pickle"), {}
    for step in steps:
        if isinstance(step, str):
            migrate(store, step)
        elif isinstance(step, tuple):
            store[step[0]] = model[step[0]] = step[1]
        else:
            assert store.pop(step, None) == model.pop(step, None)
        assert dict(store) == model


def test_the_store_writes_in_the_new_format_from_then_on(opened):
    store = opened(serialize="pickle")
    migrate(store, "json")
    store["key"] = (1, 2)
    store.setdefault("other", (1, 2))
    assert formats_in_use(store) == {IDS["json"]}
    assert "json" in repr(store)


def test_the_store_opens_with_the_new_serializer_named_and_not_with_the_old_one(path):
    with stone(path, LmdbStore, "pickle") as store:
        store.update(VALUES)
        migrate(store, "msgpack")
    with stone(path, LmdbStore, "msgpack") as store:
        assert dict(store) == VALUES
    with pytest.raises(FormatMismatchError):
        stone(path, LmdbStore, "pickle")


def test_migrating_to_the_format_that_it_has_changes_nothing(opened):
    store = opened(serialize="json")
    store.update(VALUES)
    before = metadata_of(store), raw_values(store)
    assert migrate(store, "json") == MigrationReport(0, len(VALUES))
    assert (metadata_of(store), raw_values(store)) == before


def test_an_empty_store_can_be_migrated(opened):
    store = opened(serialize="json")
    seen = []
    assert migrate(store, "cbor", progress=lambda *steps: seen.append(steps)) == MigrationReport(
        0, 0
    )
    assert seen == [(1, 1)]
    assert metadata_of(store).write.serializer == "cbor"
    assert metadata_of(store).migration is None


def test_the_keys_with_str_come_back_as_str(opened):
    store = opened(serialize="json", key_type=str)
    store["größe"] = (1, 2)
    migrate(store, "cbor")
    assert dict(store) == {"größe": (1, 2)}


@define
class User:
    email: str = key()
    age: int
    born: datetime


def test_the_records_of_collections_are_re_encoded_too(opened):
    store = opened(serialize="pickle")
    users = Collection(store, User)
    ada = User("ada@example.org", 36, datetime(1815, 12, 10))
    users.add(ada)
    store["other"] = 1
    assert migrate(store, "msgpack") == MigrationReport(2, 2)
    assert dict(users) == {"ada@example.org": ada}
    assert len(users) == 1
    assert users.update("ada@example.org", age=37) == attrs.evolve(ada, age=37)
    assert formats_in_use(store) == {IDS["msgpack"]}


# -- refused before it starts ----------------------------------------------------------------------


@attrs.frozen
class Point:
    x: int


@pytest.mark.parametrize(
    ("value", "to", "reason"),
    [
        ({"a": [1, Point(2)]}, "json", r"cannot hold a .*Point, at \$\['a'\]\[1\]"),
        ({"a": [1, 2j]}, "cbor", r"cannot hold a complex, at \$\['a'\]\[1\]"),
        ([1 + 2j], "msgpack", r"cannot hold a complex, at \$\[0\]"),
        ("text", "noop", "cannot hold a str"),
    ],
)
def test_a_value_that_the_target_cannot_hold_is_refused_and_named(opened, value, to, reason):
    store = opened(serialize="pickle")
    store.update({b"%03d" % number: b"bytes" for number in range(100)})
    store[b"culprit"] = value
    before = metadata_of(store), raw_values(store)
    with pytest.raises(MigrationError, match=f"b'culprit'.*{reason}.*no value was changed"):
        migrate(store, to)
    assert (metadata_of(store), raw_values(store)) == before
    del store[b"culprit"]
    assert migrate(store, to).values == 100


@pytest.mark.parametrize("raw", [b"", b"\x01\x80", b"\x04\xc1", b"\x63"])
def test_a_damaged_value_is_refused_and_named(opened, raw):
    store = opened(serialize="pickle")
    store["fine"] = 1
    store.database.engine.write(lambda txn: txn.put(Space.DATA, b"damaged", raw))
    with pytest.raises(MigrationError, match="cannot migrate to json: the value of b'damaged'"):
        migrate(store, "json")
    assert store["fine"] == 1


def test_values_that_are_not_trusted_are_refused_and_named(path):
    stone(path, LmdbStore)["key"] = 1
    refused = pytest.raises(MigrationError, match=r"b'key' is pickled.*--trust-pickle")
    with LmdbStore(path, trust_pickle=False) as store, refused:
        migrate(store, "json")


def test_an_unknown_serializer_is_refused(opened):
    store = opened(serialize="json")
    for wrong in ["xml", "custom", "json-0.3", ""]:
        with pytest.raises(SerializerError):
            migrate(store, wrong)
    with pytest.raises(SerializerError, match="or else dump_load"):
        migrate(store)
    with pytest.raises(SerializerError, match="or else dump_load"):
        migrate(store, "json", dump_load=CBOR)


def test_a_migration_inside_a_transaction_is_refused(opened):
    store = opened(serialize="json")
    with store.transaction():
        store["key"] = 1
        with pytest.raises(MigrationError, match="outside"):
            migrate(store, "cbor")
    assert dict(store) == {b"key": 1}


def test_a_store_that_cannot_be_written_is_refused(path):
    stone(path, LmdbStore).close()
    with LmdbStore(path, readonly=True) as store, pytest.raises(ReadOnlyError):
        migrate(store, "json")
    with pytest.raises(StoreClosedError):
        migrate(store, "json")


# -- serializers of one's own, and functions -------------------------------------------------------


def test_to_a_serializer_of_ones_own_and_back(opened):
    register_serializer("own-cbor", *CBOR)
    store = opened(serialize="json")
    store.update(VALUES)
    assert migrate(store, "own-cbor") == MigrationReport(len(VALUES), len(VALUES))
    assert dict(store) == VALUES
    assert formats_in_use(store) == {32}
    assert migrate(store, "pickle") == MigrationReport(len(VALUES), len(VALUES))
    assert dict(store) == VALUES


def test_to_functions_and_back(opened):
    store = opened(serialize="msgpack")
    store.update(VALUES)
    assert migrate(store, dump_load=CBOR) == MigrationReport(len(VALUES), len(VALUES))
    assert dict(store) == VALUES
    store["more"] = 1
    assert migrate(store, "json") == MigrationReport(len(VALUES) + 1, len(VALUES) + 1)
    assert dict(store) == VALUES | {b"more": 1}


def test_a_store_migrated_to_functions_opens_with_them(path):
    with stone(path, LmdbStore, "msgpack") as store:
        store["key"] = b"value"
        migrate(store, dump_load=REVERSED)
    with stone(path, LmdbStore, dump_load=REVERSED) as store:
        assert store["key"] == b"value"
        assert raw_values(store) == {b"key": b"\x20eulav"}


@pytest.mark.usefixtures("short_batches")
def test_a_migration_to_functions_is_resumed_with_the_same_ones(path):
    with stone(path, LmdbStore, "pickle") as store:
        store.update({b"%04d" % number: b"value" for number in range(2000)})
        interrupted(store, "json")
        migrate(store, "pickle")

        def stop(done, steps):
            if done >= 0.75 * steps:
                raise StopHereError

        with pytest.raises(StopHereError):
            migrate(store, dump_load=REVERSED, progress=stop)
        assert len(formats_in_use(store)) == 2
    with stone(path, LmdbStore, dump_load=REVERSED, options={"trust_pickle": True}) as store:
        assert set(store.values()) == {b"value"}
        assert 0 < migrate(store, dump_load=REVERSED).values < 2000
        assert formats_in_use(store) == {32}


@pytest.mark.usefixtures("short_batches")
def test_a_migration_from_functions_is_resumed_by_opening_with_them(path):
    with stone(path, LmdbStore, dump_load=REVERSED) as store:
        store.update({b"%04d" % number: b"value" for number in range(2000)})
        interrupted(store, "json")
    with stone(path, LmdbStore, "json") as store:
        with pytest.raises(FormatMismatchError, match="dump_load="):
            dict(store)
        with pytest.raises(MigrationError, match="dump_load="):
            migrate(store, "json")
    with stone(path, LmdbStore, dump_load=REVERSED) as store:
        assert set(store.values()) == {b"value"}
        store["more"] = b"more"
        assert raw_values(store)[b"more"][0] == IDS["json"]
        assert 0 < migrate(store, "json").values < 2000
        assert formats_in_use(store) == {IDS["json"]}
    with pytest.raises(FormatMismatchError):
        stone(path, LmdbStore, dump_load=REVERSED)


def test_from_functions_to_other_functions_is_refused(opened):
    store = opened(dump_load=REVERSED)
    store["key"] = b"value"
    assert migrate(store, dump_load=REVERSED) == MigrationReport(0, 1)
    with pytest.raises(MigrationError, match="register_serializer"):
        migrate(store, dump_load=CBOR)
    migrate(store, "json")
    assert migrate(store, dump_load=CBOR) == MigrationReport(1, 1)
    assert store["key"] == b"value"


@pytest.mark.usefixtures("short_batches")
def test_left_over_values_of_functions_are_never_read_by_others(path):
    with stone(path, LmdbStore, dump_load=REVERSED) as store:
        store.update({b"%04d" % number: b"value" for number in range(2000)})
        interrupted(store, "json")
    refused = pytest.raises(MigrationError, match="register_serializer")
    with stone(path, LmdbStore, "json") as store, refused:
        migrate(store, dump_load=CBOR)


LOSSY = (lambda value: serializer("json").encode(list(value)), serializer("json").decode)


@pytest.mark.parametrize("value", [(1, 2), ["ä", {1}, (2,)]])
def test_functions_that_would_change_a_value_are_refused_before_it_starts(opened, value):
    store = opened(serialize="cbor")
    store["fine"] = [1, 2]
    migrate(store, dump_load=LOSSY)
    migrate(store, "cbor")
    store["key"] = value
    if type(value) is tuple:
        with pytest.raises(MigrationError, match=r"b'key'.*give it back as \[1, 2\]"):
            migrate(store, dump_load=LOSSY)
    else:
        migrate(store, dump_load=LOSSY)
    assert store["key"] == value


def test_functions_that_cannot_read_what_they_write_are_refused_before_it_starts(opened):
    store = opened(serialize="cbor")
    store["key"] = 1
    with pytest.raises(MigrationError, match=r"b'key'.*cannot read back.*ZeroDivisionError"):
        migrate(store, dump_load=(CBOR[0], lambda raw: 1 / 0))
    with pytest.raises(MigrationError, match=r"b'key'.*ZeroDivisionError"):
        migrate(store, dump_load=(lambda value: 1 / 0, CBOR[1]))
    assert formats_in_use(store) == {IDS["cbor"]}


class Plain:
    """Equal to nothing but itself."""


class Odd:
    def __eq__(self, other):
        raise ValueError

    __hash__ = None


def test_functions_are_trusted_with_what_cannot_be_compared(opened):
    store = opened(serialize="pickle")
    store.update(nan=[float("nan")], plain=Plain(), odd=Odd())
    pickled = serializer("pickle")
    assert migrate(store, dump_load=(pickled.encode, pickled.decode)).values == 3
    assert type(store["plain"]) is Plain


def test_pickle_named_as_the_target_is_trusted_from_then_on(opened):
    store = opened(serialize="json")
    store["key"] = (1, 2)
    migrate(store, "pickle")
    assert store["key"] == (1, 2)
    store["point"] = Point(1)
    assert store["point"] == Point(1)


def test_a_refused_migration_to_pickle_makes_nothing_trusted(opened):
    store = opened(serialize="json")
    store.database.engine.write(lambda txn: txn.put(Space.DATA, b"damaged", b""))
    with pytest.raises(MigrationError):
        migrate(store, "pickle")
    assert not store.database.request.trusts_pickle


def test_a_migration_that_cannot_begin_leaves_the_store_as_it_was(opened):
    store = opened(serialize="json")
    store["key"] = b"value"
    metadata = metadata_of(store)
    for number in range(96):
        metadata = metadata.migrating_to(f"own{number}", False)
    full = metadata.migrating_to("json", False).migrated()
    store.database.engine.write(lambda txn: write_formats(txn, full))
    before = store.database.request
    with pytest.raises(MigrationError, match="96 formats of your own"):
        migrate(store, dump_load=REVERSED)
    assert store.database.request == before
    assert migrate(store, "cbor").values == 1
    assert store["key"] == b"value"


# -- interrupted and resumed -----------------------------------------------------------------------


@pytest.mark.usefixtures("short_batches")
def test_progress_goes_up_to_the_end_in_about_a_hundred_steps(opened):
    store = opened(serialize="pickle")
    store.update({b"%05d" % number: number for number in range(3000)})
    seen = []
    migrate(store, "json", progress=lambda done, steps: seen.append((done, steps)))
    assert seen == sorted(seen)
    assert seen[-1] == (6000, 6000)
    assert {steps for _, steps in seen} == {6000}
    assert 50 < len(seen) < 110


@pytest.mark.usefixtures("short_batches")
@pytest.mark.parametrize("at", [0.1, 0.5, 0.75, 0.95])
def test_an_interrupted_migration_goes_on_where_it_stopped(opened, at):
    store = opened(serialize="pickle")
    entries = {b"%05d" % number: (number,) for number in range(3000)}
    store.update(entries)
    interrupted(store, "json", at)
    assert dict(store) == entries
    left = sum(raw[0] != IDS["json"] for raw in raw_values(store).values())
    assert migrate(store, "json") == MigrationReport(left, 3000)
    assert left < 3000 or at <= 0.5
    assert dict(store) == entries
    assert formats_in_use(store) == {IDS["json"]}


@pytest.mark.usefixtures("short_batches")
def test_an_interrupted_migration_can_be_turned_back(opened):
    store = opened(serialize="pickle")
    entries = {b"%05d" % number: (number,) for number in range(3000)}
    store.update(entries)
    interrupted(store, "json")
    assert 0 < migrate(store, "pickle").values < 3000
    assert dict(store) == entries
    assert formats_in_use(store) == {IDS["pickle"]}


def overtaken(store, by, at):
    """Migrate to json; so far in it, others do these migrations."""
    todo = list(by)

    def overtake(done, steps):
        while done >= at * steps and todo:
            migrate(store, todo.pop(0))

    return migrate(store, "json", progress=overtake)


@pytest.mark.usefixtures("short_batches")
@pytest.mark.parametrize("by", [["json"], ["cbor", "json"]])
def test_a_migration_that_others_have_done_meanwhile_is_done(opened, by):
    store = opened()
    entries = {b"%05d" % number: (number,) for number in range(3000)}
    store.update(entries)
    assert 0 < overtaken(store, by, 0.6).values < 3000
    assert dict(store) == entries
    assert formats_in_use(store) == {IDS["json"]}


@pytest.mark.usefixtures("short_batches")
@pytest.mark.parametrize("by", [["cbor"], ["cbor", "json", "cbor"]])
def test_a_migration_stops_where_another_one_has_begun(opened, by):
    store = opened()
    entries = {b"%05d" % number: (number,) for number in range(3000)}
    store.update(entries)
    with pytest.raises(MigrationError, match="another migration, to cbor, has begun"):
        overtaken(store, by, 0.6)
    assert dict(store) == entries
    assert formats_in_use(store) == {IDS["cbor"]}


@pytest.mark.usefixtures("short_batches")
def test_a_migration_never_ends_another_one(opened):
    """Or values would be taken to be in the format of the first, and in others than they are."""
    store = opened()
    entries = {b"%05d" % number: (number,) for number in range(3000)}
    store.update(entries)
    todo = ["once"]

    def overtake(done, steps):
        if done == steps and todo:  # all is re-encoded, only the end is to be noted
            todo.clear()
            migrate(store, "cbor")
            interrupted(store, "json")

    migrate(store, "json", progress=overtake)
    assert metadata_of(store).migration is not None
    assert formats_in_use(store) == {IDS["json"], IDS["cbor"]}
    assert dict(store) == entries


@pytest.mark.usefixtures("short_batches")
def test_what_is_written_meanwhile_and_cannot_be_re_encoded_is_left_and_named(opened):
    store = opened(serialize="pickle")
    store.update({b"%05d" % number: number for number in range(3000)})
    todo = [b"00000", b"00001"]

    def write(done, steps):
        while done > 0.4 * steps and todo:
            store[todo.pop()] = 2j

    with pytest.raises(
        MigrationError, match=r"2 values that were written .* b'00000'.* complex, at \$"
    ):
        migrate(store, "json", progress=write)
    assert store[b"00001"] == 2j
    assert metadata_of(store).migration is not None
    with pytest.raises(MigrationError, match=r"b'00000'.*no value was changed"):
        migrate(store, "json")
    store[b"00000"] = store[b"00001"] = "mended"
    assert migrate(store, "json").values == 0
    assert formats_in_use(store) == {IDS["json"]}
    assert metadata_of(store).migration is None


def test_no_transaction_grows_with_the_size_of_the_values(path):
    with stone(path, LmdbStore, "pickle") as store:
        store.update({b"%05d" % number: b"x" * 1_000_000 for number in range(10)})
        generations = []
        migrate(
            store, "msgpack", progress=lambda *_: generations.append(len(formats_in_use(store)))
        )
        assert 2 in generations  # some are committed before others are begun
        assert formats_in_use(store) == {IDS["msgpack"]}


def test_memory_does_not_grow_with_the_store(path):
    with stone(path, LmdbStore, "pickle") as store:
        store.update((b"%06d" % number, "x" * 1000) for number in range(30_000))
        tracemalloc.start()
        try:
            migrate(store, "msgpack")
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 6_000_000  # of 30 MB


# -- in real processes -----------------------------------------------------------------------------

WRITER = """
import random, signal, sys
from stones import LmdbStore, stone
path, name, count = sys.argv[1:]
store = stone(path, LmdbStore, 'pickle')
stop = []
signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
model = {}
print('open', flush=True)
number = 0
while not stop:
    number += 1
    key = f'{name}/{random.randrange(int(count))}'
    if number % 7 == 0:
        store.pop(key, None)
        model.pop(key, None)
    elif number % 11 == 0:
        with store.transaction():
            store[key] = model[key] = ('T', name, number, key)
            store.update({f'{name}/last': number})
            model[f'{name}/last'] = number
    else:
        store[key] = model[key] = ('W', name, number, key)
    assert store.get(key) == model.get(key), key
assert {key.decode(): value for key, value in store.range(prefix=name + '/').items()} == model
print(number, flush=True)
"""

READER = """
import signal, sys
from stones import LmdbStore, stone
store = stone(sys.argv[1], LmdbStore, 'pickle')
stop = []
signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
print('open', flush=True)
number = 0
while not stop:
    for key, value in store.items():
        number += 1
        name, _, rest = key.decode().partition('/')
        if name == 'fixed':
            assert value == (int(rest), 'x' * 100), (key, value)
        elif rest != 'last':
            assert value[1] == name and value[3] == key.decode(), (key, value)
    assert store['fixed/7'] == (7, 'x' * 100)
assert sum(key.startswith(b'fixed/') for key in store) == int(sys.argv[2])
print(number, flush=True)
"""


class Child:
    """Another process, which goes on until it is told to stop."""

    def __init__(self, code, *arguments):
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=UNWATCHED,
        )

    def wait_until_open(self):
        line = self.process.stdout.readline()
        assert line == "open\n", self.process.communicate()

    def stop(self):
        """How much it did. Fails where the child did."""
        self.process.terminate()
        shown, errors = self.process.communicate()
        assert self.process.returncode == 0, errors
        return int(shown)


@pytest.fixture
def bystanders(path):
    """Two readers and two writers that opened the store before, by the old serializer's name."""
    with stone(path, LmdbStore, "pickle") as store:
        store.update((f"fixed/{number}", (number, "x" * 100)) for number in range(3000))
    children = [Child(WRITER, path, name, 500) for name in ["one", "two"]]
    children += [Child(READER, path, 3000) for _ in range(2)]
    for child in children:
        child.wait_until_open()
    yield children
    for child in children:
        child.process.kill()
        child.process.communicate()


def test_others_read_and_write_while_the_store_is_migrated_and_nothing_is_lost(path, bystanders):
    with stone(path, LmdbStore, "pickle") as store:
        for to in [*FULL[1:], "pickle", "json"]:
            assert migrate(store, to).values >= 3000
            assert formats_in_use(store) == {IDS[to]}
        for checksums in [True, False, True]:
            assert migrate(store, checksums=checksums).values >= 3000
            assert formats_in_use(store) == {IDS["json"] | checksums * CHECKSUM_BIT}
    for child in bystanders:
        assert child.stop() > 0
    with stone(path, LmdbStore, "json") as store:
        assert dict(store.range(prefix="fixed/")) == {
            b"fixed/%d" % number: (number, "x" * 100) for number in range(3000)
        }
        assert formats_in_use(store) == {IDS["json"] | CHECKSUM_BIT}


MIGRATOR = """
import sys
from stones import LmdbStore, migrate, stone
store = stone(sys.argv[1], LmdbStore)
print('open', flush=True)
def wait_to_be_killed(done, steps):
    if len(sys.argv) > 3 and done >= float(sys.argv[3]) * steps:
        print('open', flush=True)
        sys.stdin.readline()
to, checksums, _ = sys.argv[2].partition('+')
migrate(store, to, checksums=bool(checksums), progress=wait_to_be_killed)
"""


def test_a_migration_killed_at_any_instant_loses_nothing_and_can_be_run_again(path, bystanders):
    random.seed(7)
    unfinished = 0
    for child in bystanders[::2]:
        child.stop()  # one reader and one writer are enough: there are few processors
    for round in range(24):
        to, checksums = FULL[(round // 3 + 1) % 4], round // 3 % 2 == 1
        at = [random.uniform(0.5, 1)] if round % 3 == 0 else []
        child = Child(MIGRATOR, path, to + "+" * checksums, *at)
        child.wait_until_open()
        if at:
            child.wait_until_open()
        else:
            time.sleep(random.random() * 0.2)
        child.process.send_signal(signal.SIGKILL)
        child.process.communicate()
        with stone(path, LmdbStore) as store:
            unfinished += metadata_of(store).migration is not None
            assert dict(store.range(prefix="fixed/")) == {
                b"fixed/%d" % number: (number, "x" * 100) for number in range(3000)
            }
            if round % 3 == 2:
                migrate(store, to, checksums=checksums)
                assert formats_in_use(store) == {IDS[to] | checksums * CHECKSUM_BIT}
    assert unfinished >= 8
    for child in bystanders[1::2]:
        assert child.stop() > 0


def test_two_migrations_to_the_same_format_at_once_are_one(path):
    entries = {b"%05d" % number: (number,) for number in range(5000)}
    with stone(path, LmdbStore, "pickle") as store:
        store.update(entries)
    children = [Child(MIGRATOR, path, "json") for _ in range(3)]
    for child in children:
        _, errors = child.process.communicate()
        assert child.process.returncode == 0, errors
    with stone(path, LmdbStore, "json") as store:
        assert dict(store) == entries
        assert formats_in_use(store) == {IDS["json"]}
        assert metadata_of(store).migration is None


def test_of_migrations_to_different_formats_at_once_the_last_to_begin_wins(path):
    entries = {b"%05d" % number: (number,) for number in range(5000)}
    with stone(path, LmdbStore, "pickle") as store:
        store.update(entries)
    children = [Child(MIGRATOR, path, to) for to in ["json", "cbor", "msgpack"]]
    for child in children:
        _, errors = child.process.communicate()
        if child.process.returncode != 0:
            assert "MigrationError: another migration" in errors
    with stone(path, LmdbStore) as store:
        assert dict(store) == entries
        assert metadata_of(store).migration is None
        assert formats_in_use(store) == {metadata_of(store).write.id}


def test_a_process_that_does_not_know_the_new_serializer_is_told_so(path):
    register_serializer("only-here", *CBOR)
    with stone(path, LmdbStore, "pickle") as store:
        store.update({b"a": (1,), b"b": (2,)})
        child = Child(
            """if True:
            import sys
            from stones import FormatMismatchError, LmdbStore, stone
            store = stone(sys.argv[1], LmdbStore, 'pickle')
            print('open', flush=True)
            sys.stdin.readline()
            try:
                store['a']
            except FormatMismatchError as error:
                print(error)
            try:
                store['c'] = 1
            except FormatMismatchError as error:
                print(error)
            """,
            path,
        )
        child.wait_until_open()
        migrate(store, "only-here")
        shown, _ = child.process.communicate("go on\n")
        assert shown.count("the serializer 'only-here', which is not known here") == 2
        assert dict(store) == {b"a": (1,), b"b": (2,)}
