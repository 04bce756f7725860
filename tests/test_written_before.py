"""Stores that an earlier commit has written: they open, give the same values, and stay the same.

`fixtures/write_stores.py` says what is in them. It runs with the code of today as well, so that a
store which is written now can be compared with the one that was written then.
"""

import json
import re
from pathlib import Path
from uuid import UUID

import lmdb
import pytest

from stones import Collection, LmdbStore, check, migrate

from .fixtures.write_stores import (
    BYTES,
    MISSIONS,
    NOTES,
    NUMBERS,
    READINGS,
    STORES,
    VALUES,
    Kind,
    Mission,
    Note,
    Reading,
    from_text,
    register_own,
)

FIXTURES = Path(__file__).parent / "fixtures"
DICTS = [name for name in STORES if name != "records"]
CONTENTS = {
    name: {key.encode(): value for key, value in values.items()}
    for name, values in {
        **dict.fromkeys(DICTS, VALUES),
        "noop": BYTES,
        "own": NUMBERS,
        "mixed": NUMBERS | VALUES,
    }.items()
}
RANDOM = re.compile(rb'(?<="migration": ")[0-9a-f]+(?=")')


@pytest.fixture(autouse=True)
def _serializer_of_its_own():
    register_own()


@pytest.fixture
def unpacked(tmp_path):
    """Unpacks the store of a name, and gives its path."""
    return lambda name: from_text(FIXTURES.joinpath(f"{name}.txt").read_text(), tmp_path / name)


def read_all(store):
    """Every value, and every record of every collection where there are any."""
    values = dict(store)
    if store.stats()["collections"]:
        for collection in open_collections(store):
            values |= collection
    return values


def open_collections(store):
    return (
        Collection(store, Mission),
        Collection(store, Reading, name="readings"),
        Collection(store, Note),
    )


def shown(values):
    """Values to be compared with their types, and also where one is nan or -0.0."""
    return {key: repr(value) for key, value in values.items()}


def raw_entries(path):
    """What is in the file, byte by byte, but for what is random in the metadata."""
    with lmdb.open(str(path), max_dbs=3, readonly=True, lock=False) as env, env.begin() as txn:
        names = [b"stones:data", b"stones:index", b"stones:meta"]
        assert [key for key, _ in txn.cursor()] == names
        data, index, meta = (
            dict(txn.cursor(env.open_db(name, txn=txn, create=False))) for name in names
        )
    assert meta.pop(b"generation")
    return data, index, {key: RANDOM.sub(b"random", value) for key, value in meta.items()}


@pytest.mark.parametrize("name", DICTS)
def test_its_values_are_what_was_written(name, unpacked):
    with LmdbStore(unpacked(name)) as store:
        assert shown(read_all(store)) == shown(CONTENTS[name])


def test_its_records_are_what_was_written(unpacked):
    with LmdbStore(unpacked("records")) as store:
        missions, readings, notes = open_collections(store)
        assert dict(missions) == MISSIONS
        assert dict(readings) == READINGS
        assert dict(notes) == NOTES
        assert [len(missions), len(readings), len(notes)] == [2, 3, 2]
        assert missions.find("$[?(@.orbit.around == 'Saturn')]").one() == MISSIONS["Cassini"]
        assert store["plain"] == "beside the collections"


@pytest.mark.parametrize("readonly", [False, True])
@pytest.mark.parametrize("name", STORES)
def test_opening_and_reading_it_changes_no_byte(name, readonly, unpacked):
    path = unpacked(name)
    before = path.joinpath("data.mdb").read_bytes()
    with LmdbStore(path, readonly=readonly) as store:
        assert read_all(store)
    assert check(path, trust_pickle=True).sound
    assert path.joinpath("data.mdb").read_bytes() == before


@pytest.mark.parametrize("name", STORES)
def test_the_same_values_are_written_as_the_same_bytes_today(name, unpacked, tmp_path):
    STORES[name](str(tmp_path / "today"))
    data, index, meta = raw_entries(tmp_path / "today")
    for key in meta:
        if key.startswith(b"collection/"):  # it tells of the classes inside today
            described = json.loads(meta[key])
            known = {part: described[part] for part in ("record", "key", "fields")}
            assert described.keys() - known.keys() <= {"classes", "positions", "nested"}
            meta[key] = json.dumps(known).encode()
    old_data, *others = raw_entries(unpacked(name))
    assert [index, meta] == others
    if name == "mixed":  # where the migration was interrupted depends on the clock
        before, after = numbers_before_and_after(tmp_path)
        for each in (data, old_data):
            assert all(each.pop(key) in (before[key], after[key]) for key in before)
    assert data == old_data


def numbers_before_and_after(folder):
    """The bytes of the numbers in the formats from which and to which they are migrated."""
    for serializer, checksums in [("json", False), ("msgpack", True)]:
        with LmdbStore(folder / serializer, serialize=serializer, checksums=checksums) as store:
            store.update(NUMBERS)
        yield raw_entries(folder / serializer)[0]


@pytest.mark.parametrize("name", DICTS)
def test_it_is_extended(name, unpacked):
    path = unpacked(name)
    expected = dict(CONTENTS[name])
    first = next(iter(expected))
    with LmdbStore(path) as store:
        store["added"] = store[first]
        del store[first]
        assert store.delete(b"long") == (b"long" in expected)
    expected[b"added"] = expected.pop(first)
    expected.pop(b"long", None)
    with LmdbStore(path) as store:
        assert list(store) == sorted(expected)
        assert shown(store) == shown(expected)
    assert check(path, trust_pickle=True).sound


def test_its_collections_are_extended(unpacked):
    path = unpacked("records")
    with LmdbStore(path) as store:
        missions, readings, notes = open_collections(store)
        missions.add(Mission("Voyager 1", Kind.PROBE, MISSIONS["Cassini"].start, 0))
        missions.update("Cassini", crew=1)
        del readings[min(READINGS)]
        generated = notes.add(Note("of today"))
    with LmdbStore(path) as store:
        missions, readings, notes = open_collections(store)
        assert list(missions) == ["Apollo 11", "Cassini", "Voyager 1"]
        assert missions["Cassini"].crew == 1
        assert list(readings) == sorted(READINGS)[1:]
        assert list(notes) == [*NOTES, generated]
        assert isinstance(generated, UUID)
    assert check(path).sound


@pytest.mark.parametrize("name", STORES)
@pytest.mark.parametrize("checksums", [False, True])
def test_it_is_migrated(name, checksums, unpacked):
    path = unpacked(name)
    with LmdbStore(path) as store:
        before = shown(read_all(store))
        report = migrate(store, to="json", checksums=checksums)
        assert report.total == len(store)
        assert shown(read_all(store)) == before
    assert {raw[0] for raw in raw_entries(path)[0].values()} == {2 | (128 if checksums else 0)}
    assert check(path).sound


def test_an_interrupted_migration_goes_on(unpacked):
    path = unpacked("mixed")
    formats = [raw[0] for raw in raw_entries(path)[0].values()]
    assert formats.count(2) == 100
    with LmdbStore(path) as store:
        assert migrate(store, to="msgpack", checksums=True).values == 100
        assert shown(read_all(store)) == shown(CONTENTS["mixed"])
