"""`salvage`: the new store has the entries that can be read, and no wrong entry.

The tests damage real files. `Places` knows the pages of each entry, so a test knows which entries a
damage touches. The other entries must come back as they were, or not at all.
"""

import os
import random
import subprocess
import sys
import time
from contextlib import closing
from types import SimpleNamespace

import lmdb
import pytest
from attrs import define

from stones import (
    Collection,
    FormatMismatchError,
    LmdbStore,
    StorageError,
    StoreOpenError,
    check,
    key,
    migrate,
    salvage,
    stone,
)
from stones.engine import Space
from stones.engines.lmdb.engine import LmdbEngine
from stones.engines.lmdb.file.pages import File
from stones.engines.lmdb.file.trees import Walk
from stones.formats.request import FormatRequest
from stones.repair.check import check_file
from stones.repair.held_snapshot import HeldSnapshot

from .damage import DATA, PAGE, Item, Places, make

SEEDS = range(10)
ROUNDS = 10
"""Rounds of damage, of each kind with each seed."""


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """Sound stores: one of a single page, one with a few pages, one with many."""
    made = []
    for number, entries in enumerate([4, 40, 500]):
        path = tmp_path_factory.mktemp("sample")
        content = make(path, entries=entries, seed=number)
        raw = (path / "data.mdb").read_bytes()
        made.append(SimpleNamespace(content=content, raw=raw, places=Places(path)))
    return made


@pytest.fixture
def large(samples, tmp_path):
    """A store of many pages, to be damaged: its path, content and places."""
    path = tmp_path / "db"
    path.mkdir()
    (path / "data.mdb").write_bytes(samples[-1].raw)
    return SimpleNamespace(path=path, content=samples[-1].content, places=samples[-1].places)


def patch(path, at, raw):
    with open(path / "data.mdb", "r+b") as file:
        file.seek(at)
        file.write(raw)


def page(path, number):
    return (path / "data.mdb").read_bytes()[number * PAGE : (number + 1) * PAGE]


def content(path):
    with stone(path, LmdbStore) as store:
        return dict(store)


def put(path, space, stored, raw):
    """Write to the file without the store, which may be open."""
    engine = LmdbEngine.open(str(path))
    engine.write(lambda txn: txn.put(space, stored, raw))
    engine.close()


def is_sound(path):
    """The findings of `check`, without its child process."""
    with closing(File(str(path / "data.mdb"))) as file:
        return check_file(
            "", file, HeldSnapshot(None, None), FormatRequest.from_arguments(None)
        ).sound


# -- any damage --------------------------------------------------------------------------------


def flip(draw, raw, places):
    """Flip some bits, most of them in important places. Gives the pages that they are on."""
    touched = set()
    for _ in range(draw.choice([1, 1, 1, 2, 5, 30])):
        number = draw.choice([draw.randrange(len(raw) // PAGE), draw.choice(places.leaves), 0, 1])
        at = number * PAGE + draw.choice([draw.randrange(PAGE), draw.randrange(180)])
        raw[at] ^= 1 << draw.randrange(8)
        touched.add(number)
    return touched


def overwrite(draw, raw, places):
    number = draw.randrange(len(raw) // PAGE)
    raw[number * PAGE : (number + 1) * PAGE] = draw.choice([bytes(PAGE), draw.randbytes(PAGE)])
    return {number}


def exchange(draw, raw, places):
    one, other = (slice(n * PAGE, (n + 1) * PAGE) for n in draw.sample(range(len(raw) // PAGE), 2))
    raw[one], raw[other] = raw[other], raw[one]
    return {one.start // PAGE, other.start // PAGE}


def cut(draw, raw, places):
    whole, size = len(raw) // PAGE, draw.randrange(len(raw))
    del raw[size:]
    return set(range(size // PAGE, whole))


def mislead(draw, raw, places):
    """A branch leads to an old copy, or to any other page."""
    if not places.branches:
        return flip(draw, raw, places)
    branch = draw.choice(places.branches)
    start = branch * PAGE
    at = raw.find(draw.choice(places.leaves).to_bytes(4, "little"), start + 16, start + PAGE)
    if at >= 0:
        raw[at : at + 4] = draw.choice([*places.stale, *places.leaves]).to_bytes(4, "little")
    return {branch}


@pytest.mark.parametrize("damage", [flip, overwrite, exchange, cut, mislead])
@pytest.mark.parametrize("seed", SEEDS)
def test_what_was_not_touched_comes_back_as_it_was_or_not_at_all(samples, tmp_path, damage, seed):
    draw = random.Random(f"{damage.__name__} {seed}")
    path = tmp_path / "db"
    path.mkdir()
    for number in range(ROUNDS):
        sample = draw.choice(samples)
        raw = bytearray(sample.raw)
        touched = damage(draw, raw, sample.places)
        (path / "data.mdb").write_bytes(raw)
        sound = is_sound(path)
        new = tmp_path / f"new-{number}"
        try:
            done = salvage(path, new)
        except StoreOpenError:
            assert not sound
            assert {0, 1} & touched
            continue
        found, expected = content(new), sample.content
        untouched = expected.keys() - sample.places.on(touched)
        assert is_sound(new)
        assert done.entries == len(found)
        if sound:
            assert done.whole
        if done.whole:
            assert found.keys() >= untouched
        if any("the last transaction" in finding.what for finding in done.lost):
            continue  # this may be the state before it, and the report says so
        assert {key for key in found.keys() & untouched if found[key] != expected[key]} == set()
        if not sample.places.on(touched):
            assert found.keys() <= expected.keys()


# -- damage of each kind -----------------------------------------------------------------------


def test_a_sound_store_is_copied_whole(large, tmp_path):
    done = salvage(large.path, tmp_path / "new")
    assert done.whole
    assert (done.entries, done.unread, done.stray, done.more) == (len(large.content), 0, 0, 0)
    assert content(tmp_path / "new") == large.content
    assert check(tmp_path / "new").sound


def test_of_a_lost_leaf_only_its_entries_are_missing(large, tmp_path):
    leaf = large.places.leaves[3]
    patch(large.path, leaf * PAGE, bytes(PAGE))
    done = salvage(large.path, tmp_path / "new")
    lost = large.places.on({leaf})
    assert content(tmp_path / "new") == {
        key: value for key, value in large.content.items() if key not in lost
    }
    assert any(f"page {leaf} is not" in finding.what for finding in done.lost)
    assert any(f"{len(lost)} of {len(large.content)} entries" in x.what for x in done.lost)


def test_of_a_lost_branch_the_leaves_are_found(large, tmp_path):
    patch(large.path, large.places.roots[DATA] * PAGE, bytes(PAGE))
    done = salvage(large.path, tmp_path / "new")
    assert content(tmp_path / "new") == large.content
    assert done.stray == done.entries == len(large.content)


def test_leaves_that_may_be_old_copies_are_not_taken_for_lost_ones(large, tmp_path):
    """Without the list of free pages an old copy cannot be told from a lost leaf."""
    patch(large.path, large.places.roots[DATA] * PAGE, bytes(PAGE))
    patch(large.path, large.places.free * PAGE, bytes(PAGE))
    done = salvage(large.path, tmp_path / "new")
    assert (content(tmp_path / "new"), done.stray) == ({}, 0)
    assert not done.whole


def test_of_a_lost_long_value_only_its_entry_is_missing(large, tmp_path):
    [lost] = large.places.on({large.places.long[5]})
    patch(large.path, large.places.long[5] * PAGE, bytes(16))
    done = salvage(large.path, tmp_path / "new")
    assert large.content.keys() - content(tmp_path / "new").keys() == {lost}
    assert lost in [finding.key for finding in done.lost]


def test_a_lost_list_of_free_pages_costs_nothing(large, tmp_path):
    patch(large.path, large.places.free * PAGE, bytes(PAGE))
    assert salvage(large.path, tmp_path / "new").whole
    assert content(tmp_path / "new") == large.content


def test_without_the_later_meta_page_the_state_before_is_read_and_that_is_told(large, tmp_path):
    with stone(large.path, LmdbStore) as store:
        store["last"] = "changed"
    patch(large.path, Places(large.path).meta[0] * PAGE, bytes(PAGE))
    done = salvage(large.path, tmp_path / "new")
    assert any("the last transaction" in finding.what for finding in done.lost)
    assert content(tmp_path / "new") == large.content


def test_without_the_earlier_meta_page_nothing_is_missing(large, tmp_path):
    patch(large.path, (1 - large.places.meta[0]) * PAGE, bytes(PAGE))
    done = salvage(large.path, tmp_path / "new")
    assert not done.whole
    assert content(tmp_path / "new") == large.content


def test_a_meta_page_with_an_old_number_is_still_known_for_the_later_one(large, tmp_path):
    with stone(large.path, LmdbStore) as store:
        store["last"] = "changed"
    slot = Places(large.path).meta[0]
    at = slot * PAGE + 144
    number = int.from_bytes(page(large.path, slot)[144:152], "little")
    patch(large.path, at, (number - 2).to_bytes(8, "little"))
    said = f"meta page {slot} has the number {number - 2}, but is of a later transaction"
    assert said in [finding.what for finding in check(large.path).findings]
    salvage(large.path, tmp_path / "new")
    assert content(tmp_path / "new") == {**large.content, b"last": "changed"}


def test_where_the_main_tree_is_lost_the_state_before_is_read_and_that_is_told(large, tmp_path):
    with stone(large.path, LmdbStore) as store:
        store["last"] = "changed"
    patch(large.path, Places(large.path).main * PAGE, bytes(PAGE))
    done = salvage(large.path, tmp_path / "new")
    assert any("the last transaction is lost" in finding.what for finding in done.lost)
    assert content(tmp_path / "new") == large.content


def test_without_any_meta_page_there_is_nothing_to_go_by(large, tmp_path):
    patch(large.path, 0, bytes(2 * PAGE))
    with pytest.raises(StoreOpenError, match="nothing can be read"):
        salvage(large.path, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_value_that_does_not_decode_is_left_out_and_told(large, tmp_path):
    put(large.path, Space.DATA, b"last", b"\4\xc1")
    done = salvage(large.path, tmp_path / "new")
    assert [finding.key for finding in done.lost] == [b"last"]
    assert content(tmp_path / "new").keys() == large.content.keys() - {b"last"}


# -- pickles, collections, metadata ------------------------------------------------------------


def test_pickles_are_copied_without_reading_them(tmp_path):
    with stone(tmp_path / "db", LmdbStore) as store:
        store["harmless"] = {1, 2}
    bomb = b"\1cos\nmkdir\n(V" + os.fsencode(tmp_path / "boom") + b"\ntR."
    put(tmp_path / "db", Space.DATA, b"bomb", bomb)
    done = salvage(tmp_path / "db", tmp_path / "new")
    assert (done.entries, done.unread, done.whole) == (2, 2, True)
    assert not (tmp_path / "boom").exists()
    with stone(tmp_path / "new", LmdbStore) as store:
        assert store["harmless"] == {1, 2}
        assert store.database.engine.get(Space.DATA, b"bomb") == bomb


def test_damaged_pickles_are_left_out_where_they_are_trusted(tmp_path):
    with stone(tmp_path / "db", LmdbStore) as store:
        store["good"] = 1
    put(tmp_path / "db", Space.DATA, b"bad", b"\1nonsense")
    done = salvage(tmp_path / "db", tmp_path / "new", trust_pickle=True)
    assert [finding.key for finding in done.lost] == [b"bad"]
    assert content(tmp_path / "new") == {b"good": 1}


def test_counts_of_collections_are_made_anew(large, tmp_path):
    put(large.path, Space.META, b"count/Item", b"99999")
    put(large.path, Space.DATA, b"Item/\x81\xff", b"\4\xc1")
    salvage(large.path, tmp_path / "new")
    with stone(tmp_path / "new", LmdbStore) as store:
        items = Collection(store, Item)
        assert len(items) == len(list(items)) == 166
        items.add(Item(1000, "new"))
    assert check(tmp_path / "new").sound


def test_records_that_are_none_are_left_out(large, tmp_path):
    put(large.path, Space.DATA, b"Item/nokey", b"\4\x80")
    put(large.path, Space.DATA, b"Item/\x82\x10\x00", b"\4\x01")
    done = salvage(large.path, tmp_path / "new")
    assert [finding.key for finding in done.lost] == [b"Item/nokey", b"Item/\x82\x10\x00"]
    assert check(tmp_path / "new").sound


@pytest.mark.parametrize("name", ["json", "cbor", "msgpack", "noop", "pickle"])
@pytest.mark.parametrize("lost", [b"formats", b"version", b"generation"])
def test_lost_metadata_is_made_anew_from_the_values(tmp_path, name, lost):
    with stone(tmp_path / "db", LmdbStore, name) as store:
        store["key"] = b"value"
    put(tmp_path / "db", Space.META, lost, b"\xff" if lost != b"generation" else b"")
    done = salvage(tmp_path / "db", tmp_path / "new")
    assert [finding.key for finding in done.lost] == [lost]
    with stone(tmp_path / "new", LmdbStore, name) as store:
        assert dict(store) == {b"key": b"value"}


@pytest.mark.parametrize("name", ["json", "pickle", "noop"])
def test_checksums_survive_lost_metadata_and_tell_what_is_damaged(tmp_path, name):
    with stone(tmp_path / "db", LmdbStore, name, options={"checksums": True}) as store:
        store.update({"good": b"1" * 50, "bad": b"1" * 50})
        raw = bytearray(store.database.engine.get(Space.DATA, b"bad"))
    raw[-9] ^= 4
    put(tmp_path / "db", Space.DATA, b"bad", bytes(raw))
    put(tmp_path / "db", Space.META, b"formats", b"")
    done = salvage(tmp_path / "db", tmp_path / "new")
    assert [finding.key for finding in done.lost] == [b"formats", b"bad"]
    with stone(tmp_path / "new", LmdbStore, name, options={"checksums": True}) as store:
        assert dict(store) == {b"good": b"1" * 50}


@pytest.mark.parametrize("checksums", [True, False])
def test_where_some_values_have_checksums_the_rest_can_be_migrated_too(tmp_path, checksums):
    with stone(tmp_path / "db", LmdbStore, "json", options={"checksums": True}) as store:
        store.update({"one": 1, "two": 2})
    put(tmp_path / "db", Space.DATA, b"three", b"\4\x03")
    put(tmp_path / "db", Space.META, b"formats", b"")
    salvage(tmp_path / "db", tmp_path / "new")
    with stone(tmp_path / "new", LmdbStore) as store:
        assert dict(store) == {b"one": 1, b"two": 2, b"three": 3}
        migrate(store, "json", checksums=checksums)
        assert dict(store) == {b"one": 1, b"two": 2, b"three": 3}
    assert is_sound(tmp_path / "new")


def test_values_in_several_formats_can_be_migrated_on(tmp_path):
    with stone(tmp_path / "db", LmdbStore, "json") as store:
        store.update({"one": 1, "two": 2})
    put(tmp_path / "db", Space.DATA, b"three", b"\4\x03")
    put(tmp_path / "db", Space.META, b"formats", b"")
    salvage(tmp_path / "db", tmp_path / "new")
    with stone(tmp_path / "new", LmdbStore) as store:
        assert dict(store) == {b"one": 1, b"two": 2, b"three": 3}
        migrate(store, "json")
    with stone(tmp_path / "new", LmdbStore, "json") as store:
        assert dict(store) == {b"one": 1, b"two": 2, b"three": 3}


def test_a_description_of_a_collection_that_is_lost_leaves_its_records_as_dicts(tmp_path):
    @define
    class User:
        name: str = key()

    with stone(tmp_path / "db", LmdbStore, "json") as store:
        Collection(store, User).add(User("Ada"))
    put(tmp_path / "db", Space.META, b"collection/User", b"?")
    done = salvage(tmp_path / "db", tmp_path / "new")
    assert [finding.key for finding in done.lost] == [b"collection/User", b"count/User"]
    assert content(tmp_path / "new") == {b"User/Ada": {"name": "Ada"}}
    assert check(tmp_path / "new").sound


def test_a_store_of_a_later_version_is_refused(large, tmp_path):
    put(large.path, Space.META, b"version", b"4")
    with pytest.raises(FormatMismatchError, match="a newer one"):
        salvage(large.path, tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("table", [None, b"table"])
def test_a_database_of_stones_03_becomes_a_store_of_now(tmp_path, table):
    with lmdb.open(str(tmp_path / "db"), max_dbs=1) as env, env.begin(write=True) as txn:
        db = env.open_db(table, txn=txn) if table else None
        txn.put(b"good", b'["__(,)__", 1]', db=db)
        txn.put(b"bad", b"[1, 2", db=db)
    with pytest.raises(FormatMismatchError, match="--from"):
        salvage(tmp_path / "db", tmp_path / "new", table=table)
    done = salvage(tmp_path / "db", tmp_path / "new", serialize="json", table=table)
    assert [finding.key for finding in done.lost] == [b"bad"]
    assert content(tmp_path / "new") == {b"good": (1,)}
    with pytest.raises(StoreOpenError, match="no table b'other'"):
        salvage(tmp_path / "db", tmp_path / "else", serialize="json", table=b"other")


# -- the new store -----------------------------------------------------------------------------


def test_what_is_there_is_not_overwritten(large, tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "thesis.txt").write_text("text")
    with pytest.raises(StoreOpenError, match="is there already"):
        salvage(large.path, tmp_path / "new")
    assert os.listdir(tmp_path / "new") == ["thesis.txt"]


def test_where_there_is_no_store_it_says_so(tmp_path):
    with pytest.raises(StoreOpenError, match="there is no store"):
        salvage(tmp_path / "nothing", tmp_path / "new")


def test_a_store_that_is_written_meanwhile_is_refused(large, tmp_path, monkeypatch):
    leaves = Walk.leaves

    def slowly(walk):
        for leaf in leaves(walk):
            patch(large.path, 5 * PAGE, page(large.path, 5))  # as another program might
            yield leaf

    time.sleep(0.02)  # the clock of a file system ticks now and then
    monkeypatch.setattr(Walk, "leaves", slowly)
    with pytest.raises(StorageError, match="has been written during the salvage"):
        salvage(large.path, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_many_entries_are_written_in_several_transactions(tmp_path, monkeypatch):
    monkeypatch.setattr("stones.repair.salvage._BATCH_ENTRIES", 7)
    expected = make(tmp_path / "db", entries=90)
    salvage(tmp_path / "db", tmp_path / "new")
    assert content(tmp_path / "new") == expected


def test_a_salvage_that_is_killed_leaves_no_store(tmp_path):
    with stone(tmp_path / "db", LmdbStore, "noop") as store:
        store.update({f"{number:06}": b"x" * 100 for number in range(20_000)})
        expected = dict(store)
    program = (
        "import sys; from stones import salvage; print('begun', flush=True); salvage(*sys.argv[1:])"
    )
    draw = random.Random(1)
    for number in range(6):
        new = tmp_path / f"new-{number}"
        command = [sys.executable, "-c", program, str(tmp_path / "db"), str(new)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout.readline() == b"begun\n"
            time.sleep(draw.uniform(0.05, 0.5))
            process.kill()
        if new.exists():
            assert content(new) == expected
