"""Compact files: of a backup, and of a store in its place. Small, whole, and safe to kill."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import closing

import lmdb
import pytest
from attrs import define

from stones import (
    Collection,
    LmdbStore,
    StorageError,
    StoreOpenError,
    check,
    compact,
    key,
    migrate,
)
from stones.engines.lmdb.file.fill import is_dense, leaf_fill
from stones.engines.lmdb.file.pages import LEAF, File, Tree, free_bytes, kind_of

from .processes import in_child, run


@define
class User:
    number: int = key()
    name: str


def grow_at_random(store):
    draw = random.Random(1)
    keys = [b"%09d" % draw.randrange(10**9) for _ in range(12_000)]
    for start in range(0, len(keys), 500):
        store.update({stored: "x" * draw.choice([10, 90, 400]) for stored in keys[start:][:500]})


def migrate_there_and_back(store):
    store.update((f"{number:05}", ["x" * (number % 300)]) for number in range(8_000))
    migrate(store, "json")
    migrate(store, "msgpack")


def delete_nine_of_ten(store):
    grow_at_random(store)
    draw = random.Random(2)
    for stored in list(store):
        if draw.random() < 0.9:
            del store[stored]


def overwrite_large_values(store):
    draw = random.Random(3)
    for size in (5_000_000, 900_000, 3_000, 70_000):
        for number in range(8):
            store[f"large/{number}"] = "x" * (size + draw.randrange(10))


def change_records(store):
    users = Collection(store, User)
    users.add_many(User(number, "x" * 200) for number in range(10_000))
    for number in random.Random(4).sample(range(10_000), 8_000):
        del users[number]
    store.update((f"plain/{number}", number) for number in range(2_000))


HISTORIES = [
    grow_at_random,
    migrate_there_and_back,
    delete_nine_of_ten,
    overwrite_large_values,
    change_records,
    lambda store: None,
]


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "db")


def size(path):
    return os.path.getsize(os.path.join(path, "data.mdb"))


def fresh_size(content, path, serialize="msgpack"):
    """The size of the file of a new store with these entries, in key order."""
    with LmdbStore(path, serialize=serialize, durability="none") as store:
        store.update(content)
    return size(path)


@pytest.fixture(params=HISTORIES, ids=lambda history: history.__name__)
def worn(request, path):
    """The path of a store that has been written a lot, and its entries."""
    with LmdbStore(path, serialize="msgpack", durability="none") as store:
        request.param(store)
        return path, dict(store)


def test_a_compact_backup_is_as_small_as_a_new_store(worn, tmp_path):
    path, content = worn
    with LmdbStore(path) as store:
        store.backup(tmp_path / "copy")
    assert size(tmp_path / "copy") <= 1.03 * fresh_size(content, tmp_path / "new") + 20_000
    assert check(tmp_path / "copy").findings == ()
    with LmdbStore(tmp_path / "copy") as copy:
        assert dict(copy) == content


def test_a_compacted_store_is_as_small_as_a_new_store(worn, tmp_path):
    path, content = worn
    before = size(path)
    report = compact(path)
    assert (report.path, report.before, report.after) == (path, before, size(path))
    assert size(path) <= 1.03 * fresh_size(content, tmp_path / "new") + 20_000
    assert check(path).findings == ()
    with LmdbStore(path) as store:
        assert dict(store) == content
        store["new"] = 1
        assert store["new"] == 1


def test_a_compacted_store_has_its_collections(path):
    with LmdbStore(path, serialize="json", checksums=True) as store:
        users = Collection(store, User)
        users.add_many(User(number, "x" * 3000) for number in range(100))
        for number in range(90):
            del users[number]
    del users
    compact(path)
    with LmdbStore(path) as store:
        assert store.stats()["serializer"] == "json"
        assert store.stats()["checksums"] is True
        users = Collection(store, User)
        assert len(users) == 10
        users.add(User(3, "new"))
        assert [user.number for user in users.find()] == [3, *range(90, 100)]
    assert check(path).findings == ()


@pytest.mark.parametrize("table", [None, b"table"])
def test_a_database_of_stones_03_keeps_its_layout(path, tmp_path, table):
    with closing(lmdb.open(path, max_dbs=1, map_size=1 << 28)) as old:
        db = old.open_db(table)
        with old.begin(write=True) as txn:
            for number in range(9000):
                txn.put(b"%05d" % number, b"x" * 200, db=db)
        with old.begin(write=True) as txn:
            for number in range(8999):
                txn.delete(b"%05d" % number, db=db)
    options = {"serialize": "noop", "table": table}
    with LmdbStore(path, **options) as store:
        store.backup(tmp_path / "copy")
    assert size(tmp_path / "copy") < 50_000
    report = compact(path)
    assert report.before > 1_000_000 > 50_000 > report.after
    for place in (path, tmp_path / "copy"):
        with LmdbStore(place, **options) as store:
            assert dict(store) == {b"08999": b"x" * 200}
            assert store.database.is_stones03


def test_tables_that_stones_does_not_make_are_kept(path, tmp_path):
    with closing(lmdb.open(path, max_dbs=2, map_size=1 << 28)) as other:
        twice = other.open_db(b"twice", dupsort=True)
        plain = other.open_db(b"plain")
        with other.begin(write=True) as txn:
            txn.put(b"room", bytes(1_000_000), db=plain)
        with other.begin(write=True) as txn:
            txn.delete(b"room", db=plain)
            for value in (b"1", b"2"):
                txn.put(b"a", value, db=twice)
            txn.put(b"b", b"3", db=plain)
            txn.put(b"z", b"4")
    with LmdbStore(path, serialize="noop", table=b"plain") as store:
        store.backup(tmp_path / "copy")
    assert compact(path).after < 100_000
    for place in (path, str(tmp_path / "copy")):
        with closing(lmdb.open(place, max_dbs=2)) as other:
            twice = other.open_db(b"twice", create=False)
            plain = other.open_db(b"plain", create=False)
            with other.begin() as txn:
                assert [*txn.cursor(twice)] == [(b"a", b"1"), (b"a", b"2")]
                assert [*txn.cursor(plain)] == [(b"b", b"3")]
                assert txn.get(b"z") == b"4"


def test_a_large_value_is_copied(path):
    content = {b"large": b"x" * (1 << 26), b"small": b"y"}
    with LmdbStore(path, serialize="noop", durability="none") as store:
        store["gap"] = b"x" * (1 << 20)
        store.update(content)
        del store["gap"]
    compact(path)
    with LmdbStore(path) as store:
        is_same = store == content
        assert is_same


def test_a_file_that_would_not_become_smaller_stays(path):
    with LmdbStore(path) as store:
        store["a"] = 1
    compact(path)
    found = os.stat(os.path.join(path, "data.mdb"))
    report = compact(path)
    assert report.before == report.after == found.st_size
    assert os.stat(os.path.join(path, "data.mdb")).st_ino == found.st_ino


def make_gaps(path):
    with LmdbStore(path, serialize="noop") as store:
        store["kept"] = b"1"
        store["gap"] = bytes(1_000_000)
        del store["gap"]


def test_the_permissions_of_the_file_stay(path):
    make_gaps(path)
    data = os.path.join(path, "data.mdb")
    os.chmod(data, 0o640)
    owner = (1234, 1235) if os.getuid() == 0 else (os.getuid(), os.getgid())
    os.chown(data, *owner)
    compact(path)
    found = os.stat(data)
    assert found.st_size < 100_000
    assert (found.st_mode & 0o777, found.st_uid, found.st_gid) == (0o640, *owner)


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_file_with_two_names_is_refused(path, tmp_path, link):
    make_gaps(path)
    other = tmp_path / "other"
    other.mkdir()
    link(os.path.join(path, "data.mdb"), other / "data.mdb")
    with pytest.raises(StoreOpenError, match="is a link, or has another name"):
        compact(other)


def test_where_there_is_no_store_nothing_is_made(path, tmp_path):
    with pytest.raises(StoreOpenError, match="there is no store at"):
        compact(path)
    for wrong in ("", "a\0b"):
        with pytest.raises(StoreOpenError, match="not empty and without a NUL"):
            compact(wrong)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "data.mdb").write_bytes(b"no store" * 5000)
    with pytest.raises(StoreOpenError, match="is not an LMDB file"):
        compact(tmp_path / "other")
    assert sorted(os.listdir(tmp_path)) == ["other"]


# -- other programs --------------------------------------------------------------------------------

HOLD = "store = {opener}\nprint('open', flush=True)\nsys.stdin.read()"
OPENERS = {
    "writer": "LmdbStore(argv[0])",
    "reader": "LmdbStore(argv[0], readonly=True)",
    "LMDB": "__import__('lmdb').open(argv[0])",
}


def start(code, *arguments):
    """Another program that has all names of stones. It is given when it has printed `open`."""
    program = "import sys\nfrom stones import *\nargv = sys.argv[1:]\n" + code
    process = subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "open\n"
    return process


@pytest.mark.parametrize("opener", OPENERS)
def test_a_store_that_another_process_has_open_is_refused(path, opener):
    make_gaps(path)
    with start(HOLD.format(opener=OPENERS[opener]), path) as process:
        with pytest.raises(StoreOpenError, match=f"is open in the process {process.pid}: close"):
            compact(path)
        process.stdin.close()
    assert compact(path).after < 100_000
    assert sorted(os.listdir(path)) == ["data.mdb", "lock.mdb"]


def test_a_store_that_this_process_has_open_is_refused(path):
    make_gaps(path)
    with LmdbStore(path) as store:
        with pytest.raises(StoreOpenError, match="is open in this process"):
            compact(path)
        keys = iter(store)
        next(keys)
    with closing(keys), pytest.raises(StoreOpenError, match="in this process"):
        compact(path)
    del keys
    with closing(lmdb.open(path)) as environment:
        with pytest.raises(StoreOpenError, match="is open in this process, by LMDB alone"):
            compact(path)
        # The locks of this process were not given up.
        refused = run("try: compact(argv[0])\nexcept StoreOpenError as e: print(e)", path)
        assert f"is open in the process {os.getpid()}" in refused.stdout
        with environment.begin() as txn:
            assert txn.stat()["entries"] == 3
    assert compact(path).after < 100_000


def test_a_forked_child_may_compact_what_its_parent_has_closed(path):
    make_gaps(path)
    assert in_child(lambda: compact(path)) == 0
    assert size(path) < 100_000
    with LmdbStore(path) as store:
        assert store == {b"kept": b"1"}


REPLACE = """
import os
from stones.engines.lmdb.sole_use import sole_use
path, new = argv
with sole_use(path) as lock_file:
    print('open', flush=True)
    if sys.stdin.readline() != 'go on\\n':
        sys.exit()
    lock_file(new + '/data.mdb')
    os.rename(new + '/data.mdb', path + '/data.mdb')
    print('replaced', flush=True)
    sys.stdin.readline()
"""
OPEN_AND_READ = """
print('open', flush=True)
with LmdbStore(argv[0], readonly=argv[1] == 'reader') as store:
    print(store['which'], flush=True)
    if argv[1] == 'writer':
        store['written'] = 1
"""


@pytest.mark.parametrize("kind", ["reader", "writer"])
@pytest.mark.parametrize("end", ["finished", "killed before", "killed after"])
def test_who_opens_the_file_while_it_is_replaced_waits_and_gets_the_right_one(
    path, tmp_path, kind, end
):
    new = str(tmp_path / "new")
    for place, which in ((path, "old"), (new, "new")):
        with LmdbStore(place, serialize="json") as store:
            store["which"] = which
    with start(REPLACE, path, new) as replacing:
        early = start(OPEN_AND_READ, path, kind)
        time.sleep(0.3)
        if end != "killed before":
            replacing.stdin.write("go on\n")
            replacing.stdin.flush()
            assert replacing.stdout.readline() == "replaced\n"
        late = start(OPEN_AND_READ, path, kind)
        time.sleep(0.3)
        assert early.poll() is late.poll() is None
        if end == "finished":
            replacing.stdin.close()
        else:
            replacing.send_signal(signal.SIGKILL)
    expected = "old\n" if end == "killed before" else "new\n"
    for process in (early, late):
        with process:
            assert process.stdout.read() == expected
            assert process.wait() == 0
    with LmdbStore(path) as store:
        assert ("written" in store) is (kind == "writer")


IN_BETWEEN = """
import fcntl, os, time
lock = os.open(argv[0] + '/lock.mdb', os.O_RDWR)
fcntl.lockf(lock, fcntl.LOCK_SH, 1)
os.pwrite(lock, bytes(8), 0)
print('open', flush=True)
time.sleep(0.5)
"""


@pytest.mark.parametrize("kind", ["reader", "writer"])
def test_a_lock_file_that_is_not_valid_yet_is_tried_again(path, kind):
    with LmdbStore(path, serialize="json") as store:
        store["which"] = "right"
    with start(IN_BETWEEN, path) as other:
        with start(OPEN_AND_READ, path, kind) as process:
            assert process.stdout.read() == "right\n"
            assert process.wait() == 0
        other.communicate()


COUNT = """
print('open', flush=True)
for _ in range(60):
    with LmdbStore(argv[0], durability='none') as store:
        with store.transaction():
            store['count'] = store.get('count', 0) + 1
            store['gap'] = 'x' * 300_000
            del store['gap']
    with LmdbStore(argv[0], readonly=True) as store:
        assert store['count'] >= 1
"""
COMPACT = """
print('open', flush=True)
done = 0
while not sys.stdin.readline().startswith('stop'):
    try:
        report = compact(argv[0])
        done += report.after < report.before
    except StoreOpenError:
        pass
    print(done, flush=True)
"""


def test_no_write_is_lost_where_many_open_and_compact_at_once(path):
    with LmdbStore(path, serialize="json") as store:
        store.update((f"{number:05}", "x" * 50) for number in range(2000))
    compacting = [start(COMPACT, path) for _ in range(2)]
    writing = [start(COUNT, path) for _ in range(3)]
    done = 0
    while any(process.poll() is None for process in writing):
        for process in compacting:
            process.stdin.write("\n")
            process.stdin.flush()
        done = sum(int(process.stdout.readline()) for process in compacting)
    for process in [*writing, *compacting]:
        process.communicate("stop\n" if process in compacting else None)
        assert process.returncode == 0
    assert done > 0
    with LmdbStore(path) as store:
        assert store["count"] == 180
        assert len(store) == 2001
    assert check(path).findings == ()


KILLED = """
from stones import compact
print('open', flush=True)
sys.stdin.readline()
compact(argv[0])
print('done', flush=True)
"""


def test_a_store_is_whole_whenever_the_compaction_is_killed(path):
    draw = random.Random()
    with LmdbStore(path, serialize="msgpack", durability="none") as store:
        grow_at_random(store)
    duration, killed = 0.2, 0
    for round in range(14):
        with LmdbStore(path, durability="none") as store:
            store[f"gap/{round}"] = "x" * 2_000_000
            del store[f"gap/{round}"]
            store[f"round/{round}"] = round
            content = dict(store)
        before = size(path)
        with start(KILLED, path) as process:
            process.stdin.write("\n")
            process.stdin.flush()
            began = time.monotonic()
            if round > 0:  # the first one tells how long it takes
                time.sleep(draw.uniform(0, 1.1 * duration))
                process.send_signal(signal.SIGKILL)
            if process.wait() == 0:
                duration = time.monotonic() - began if round == 0 else duration
            killed += process.returncode != 0
        assert size(path) <= before
        with LmdbStore(path, durability="none") as store:
            assert dict(store) == content
        assert check(path).findings == ()
    compact(path)
    assert sorted(os.listdir(path)) == ["data.mdb", "lock.mdb"]
    assert killed > 0


def test_what_a_killed_one_left_is_removed_by_the_next_and_by_destroy(path):
    make_gaps(path)
    left = os.path.join(path, ".compacting")
    os.mkdir(left)
    with open(os.path.join(left, "data.mdb"), "wb") as file:
        file.write(b"half")
    with LmdbStore(path) as store:
        assert store == {b"kept": b"1"}
    compact(path)
    assert not os.path.exists(left)
    os.mkdir(left)
    LmdbStore(path).destroy(yes_im_sure=True)
    assert not os.path.exists(path)


def test_a_directory_that_cannot_be_written_is_a_storage_error(path):
    make_gaps(path)
    with open(os.path.join(path, ".compacting"), "w") as file:
        file.write("a file of somebody")
    with pytest.raises(StorageError, match="cannot compact"):
        compact(path)
    with LmdbStore(path) as store:
        assert store == {b"kept": b"1"}


# -- how full the pages are ------------------------------------------------------------------------


def exact_fill(file, tree):
    """The slow twin of `leaf_fill`: from all leaves."""
    pages, fills = [tree.root], []
    while pages:
        page = pages.pop()
        raw = file.read(page)
        if kind_of(raw) == LEAF:
            fills.append(1 - free_bytes(raw) / file.page_size)
        else:
            pages += [child for _, child in file.branches(page, raw)]
    return sum(fills) / len(fills)


@pytest.mark.parametrize(("kept", "is_full"), [(1, True), (0.5, False), (0.1, False)])
def test_a_file_of_full_pages_is_known_by_a_sample(path, tmp_path, kept, is_full):
    draw = random.Random(5)
    with LmdbStore(path, serialize="noop", durability="none") as store:
        store.update((b"%09d" % number, b"x" * 60) for number in range(300_000))
        with store.transaction():
            for number in range(200_000):  # the other pages stay full
                if draw.random() >= kept:
                    store.delete(b"%09d" % number)
        content = list(store)
        with closing(File(os.path.join(path, "data.mdb"))) as file:
            meta = file.metas()[0][0]
            main = file.entries(meta.main.root, file.read(meta.main.root))[0]
            tree = max((Tree.parse(entry.value) for entry in main), key=lambda tree: tree.leaves)
            assert leaf_fill(file, tree) == pytest.approx(exact_fill(file, tree), abs=0.03)
            assert is_dense(file, meta) is is_full
        store.backup(tmp_path / "copy")
    new = fresh_size(((stored, b"x" * 60) for stored in content), tmp_path / "new", "noop")
    assert size(tmp_path / "copy") <= 1.03 * new
    with LmdbStore(tmp_path / "copy") as copy:
        assert list(copy) == content
