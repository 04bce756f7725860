"""The files of a store are gone while it is open: a write says so, whatever way it comes."""

import os
import shutil
import threading

import pytest
from attrs import define

from stones import Collection, LmdbStore, StorageError, StoreOpenError, key, migrate, stone
from stones.testing import in_thread

from .processes import in_child


@define
class User:
    name: str = key()
    age: int = 0


@pytest.fixture
def path(tmp_path):
    return tmp_path / "above" / "db"


@pytest.fixture(params=["full", "lazy", "none"])
def store(request, path):
    path.parent.mkdir()
    with LmdbStore(path, durability=request.param, serialize="json", value_type=list) as store:
        store.update(a=1, b=[2])
        Collection(store, User).add(User("ada"))
        yield store


def remove(path):
    shutil.rmtree(path)


def rename(path):
    path.rename(path.with_name("moved"))


def remove_the_directory_above(path):
    shutil.rmtree(path.parent)


def rename_the_directory_above(path):
    path.parent.rename(path.parent.with_name("moved"))


def replace_the_directory(path):
    rename(path)
    LmdbStore(path.with_name("other"), serialize="json").close()
    path.with_name("other").rename(path)


def make_an_empty_directory_in_its_place(path):
    remove(path)
    path.mkdir()


def replace_the_data_file(path):
    shutil.copy(path / "data.mdb", path / "copy")
    (path / "copy").replace(path / "data.mdb")


def remove_the_data_file(path):
    (path / "data.mdb").unlink()


def remove_the_lock_file(path):
    (path / "lock.mdb").unlink()


def replace_the_lock_file(path):
    shutil.copy(path / "lock.mdb", path / "copy")
    (path / "copy").replace(path / "lock.mdb")


EVENTS = [
    remove,
    rename,
    remove_the_directory_above,
    rename_the_directory_above,
    replace_the_directory,
    make_an_empty_directory_in_its_place,
    replace_the_data_file,
    remove_the_data_file,
    remove_the_lock_file,
    replace_the_lock_file,
]


def write_in_a_transaction(store):
    with store.transaction():
        store["a"] = 2
        with store.transaction():
            store["b"] = 3


WRITES = {
    "set": lambda store: store.put("a", 2),
    "delete": lambda store: store.delete("a"),
    "pop": lambda store: store.pop("a"),
    "setdefault": lambda store: store.setdefault("new", 1),
    "update": lambda store: store.update(a=2, c=3),
    "ior": lambda store: store.__ior__({"a": 2}),
    "clear": lambda store: store.clear(),
    "deep_add": lambda store: store.deep_add("b", 3),
    "deep_remove": lambda store: store.deep_remove("b", 2),
    "transaction": write_in_a_transaction,
    "add": lambda store: Collection(store, User).add(User("alan")),
    "change": lambda store: Collection(store, User).update("ada", age=3),
    "remove": lambda store: Collection(store, User).delete("ada"),
    "migrate": lambda store: migrate(store, "cbor"),
    "sync": lambda store: store.sync(),
}


@pytest.mark.parametrize("event", EVENTS)
def test_a_write_is_refused_once_the_path_leads_elsewhere(store, path, event):
    before = dict(store)
    event(path)
    for write in WRITES.values():
        with pytest.raises(StorageError, match="nothing was written"):
            write(store)
    assert dict(store) == before  # what is open can be read


@pytest.mark.parametrize("write", WRITES)
def test_every_kind_of_write_works_again_when_the_directory_is_back(store, path, write):
    rename(path)
    with pytest.raises(StorageError, match="above/db"):
        WRITES[write](store)
    path.with_name("moved").rename(path)
    WRITES[write](store)
    store["after"] = 1
    with LmdbStore(path, readonly=True) as again:
        assert again["after"] == 1


def test_every_thread_of_a_group_commit_is_told(store, path):
    remove(path)
    start = threading.Barrier(8)
    errors = []

    def work(number):
        start.wait()
        for _ in range(20):
            try:
                store[str(number)] = 1
            except StorageError as error:
                errors.append(str(error))

    threads = [threading.Thread(target=work, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(errors) == 160
    assert {"nothing was written" in error for error in errors} == {True}


def test_a_link_that_leads_to_another_store_is_noticed(tmp_path):
    for name in ("one", "two"):
        LmdbStore(tmp_path / name, iterable={"name": name}).close()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "one")
    with LmdbStore(link) as store:
        store["a"] = 1
        link.unlink()
        link.symlink_to(tmp_path / "two")
        with pytest.raises(StorageError):
            store["a"] = 2
        with LmdbStore(link) as other:
            assert other["name"] == "two"
            other["a"] = 3
    with LmdbStore(tmp_path / "one") as one:
        assert one["a"] == 1


def test_a_relative_path_stays_where_it_was_when_the_process_goes_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with LmdbStore("db") as store:
        (tmp_path / "elsewhere").mkdir()
        os.chdir(tmp_path / "elsewhere")
        store["a"] = 1
        with LmdbStore(tmp_path / "db") as same:
            assert same["a"] == 1
        remove(tmp_path / "db")
        with pytest.raises(StorageError):
            store["a"] = 2


def test_a_write_long_after_the_opening_is_refused_too(path, monkeypatch):
    """The look at the directory, which saves looking at the files, is taken after seconds only."""
    path.parent.mkdir()
    with LmdbStore(path) as store:
        later = os.stat(path).st_ctime_ns + 60_000_000_000
        monkeypatch.setattr("stones.engines.lmdb.place.time_ns", lambda: later)
        store["a"] = 1
        store["a"] = 2
        remove_the_lock_file(path)
        with pytest.raises(StorageError, match=r"lock\.mdb"):
            store["a"] = 3
        assert store["a"] == 2


def test_a_data_file_that_is_a_link_is_looked_at_each_time(path, tmp_path, monkeypatch):
    """The directory with the link does not change when the file is removed."""
    path.parent.mkdir()
    LmdbStore(path).close()
    (path / "data.mdb").rename(tmp_path / "real.mdb")
    (path / "data.mdb").symlink_to(tmp_path / "real.mdb")
    with LmdbStore(path) as store:
        later = os.stat(path).st_ctime_ns + 60_000_000_000
        monkeypatch.setattr("stones.engines.lmdb.place.time_ns", lambda: later)
        store["a"] = 1
        (tmp_path / "real.mdb").unlink()
        with pytest.raises(StorageError, match="removed, moved or replaced"):
            store["a"] = 2
        assert store["a"] == 1


def test_opening_the_path_again_gives_the_file_that_is_there_now(store, path):
    replace_the_directory(path)
    with LmdbStore(path, serialize="json") as now:
        assert len(now) == 0
        now["new"] = 1
        assert "new" not in store
        with pytest.raises(StorageError):
            store["old"] = 1
    remove(path)
    with pytest.raises(StoreOpenError):
        LmdbStore(path, create=False)
    with LmdbStore(path, serialize="json") as made:
        made["made"] = 1
        assert dict(made) == {b"made": 1}


def test_reading_and_closing_need_no_path(store, path):
    remove_the_directory_above(path)
    assert store["a"] == 1
    assert store.stats()["entries"] == 3
    with store.snapshot() as view:
        assert len(view) == 3
    store.close()
    store.close()


def test_an_ended_write_leaves_no_lock_behind(store, path):
    rename(path)
    for _ in range(3):
        with pytest.raises(StorageError), store.transaction():
            store["a"] = 2
    path.with_name("moved").rename(path)
    assert in_thread(lambda: store.put("a", 5)) == [True]


def test_a_child_does_not_take_another_store_for_the_one_that_it_inherited(store, path):
    replace_the_directory(path)

    def child():
        for act in (lambda: store["a"], lambda: store.put("a", 2), lambda: len(store)):
            with pytest.raises(StorageError, match=r"cannot open the file again.* moved"):
                act()

    assert in_child(child) == 0
    remove(path)
    assert in_child(child) == 0
    assert not path.exists()
    assert store["a"] == 1


def test_a_lock_file_that_was_replaced_is_not_taken_for_the_one_that_is_open(path):
    path.parent.mkdir()
    store = LmdbStore(path, iterable={"a": 1, "b": 2})
    running = iter(store)
    next(running)
    store.close()
    remove_the_lock_file(path)
    with pytest.raises(StorageError, match=r"lock\.mdb"):
        LmdbStore(path)
    running.close()
    with LmdbStore(path) as again:
        again["a"] = 3
        assert again["a"] == 3


# -- destroying --------------------------------------------------------------------------------


def test_destroying_what_is_gone_does_nothing_more(store, path):
    remove(path)
    store.destroy(yes_im_sure=True)
    assert os.listdir(path.parent) == []


def test_destroying_spares_the_store_that_took_the_place(store, path):
    replace_the_directory(path)
    with pytest.raises(StorageError, match="nothing was deleted"):
        store.destroy(yes_im_sure=True)
    with LmdbStore(path, create=False, serialize="json") as other:
        assert len(other) == 0


def test_destroying_spares_what_somebody_else_has_put_there(store, path):
    make_an_empty_directory_in_its_place(path)
    (path / "lock.mdb").write_text("somebody else's")
    store.destroy(yes_im_sure=True)
    assert os.listdir(path) == ["lock.mdb"]


def test_destroying_what_was_moved_spares_it(store, path):
    rename(path)
    store.destroy(yes_im_sure=True)
    with LmdbStore(path.with_name("moved"), create=False) as moved:
        assert moved["a"] == 1


def test_the_other_stores_on_destroyed_files_can_read_and_not_write(path):
    path.parent.mkdir()
    with stone(path, LmdbStore) as store:
        store["a"] = 1
        stone(path, LmdbStore).destroy(yes_im_sure=True)
        assert store["a"] == 1
        with pytest.raises(StorageError):
            store["a"] = 2
