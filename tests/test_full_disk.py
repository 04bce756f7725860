"""A disk without room: the write fails with a clear error, nothing is changed, and all goes on.

The programs run under a limit of the size of files, and also on a disk of 8 MB where a mount is
allowed. A ballast file takes the room, and gives it back.
"""

import shutil
import subprocess
import sys

import pytest

PROGRAM = """
import os, resource, signal, sys
from pathlib import Path
from attrs import define
from stones import *

place, kind = Path(sys.argv[1]), sys.argv[2]
UNLIMITED = resource.RLIM_INFINITY

def fill(share=1):
    if kind == 'limit':
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        size = max([4096, *(file.stat().st_size for file in place.glob('*/data.mdb'))])
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(size * share), UNLIMITED))
        return
    with open(place / 'ballast', 'wb', buffering=0) as ballast:
        try:
            while True:
                ballast.write(bytes(4096))
        except OSError:
            pass

def make_room():
    resource.setrlimit(resource.RLIMIT_FSIZE, (UNLIMITED, UNLIMITED))
    (place / 'ballast').unlink(missing_ok=True)

@define
class User:
    name: str = key()
    text: str = ''

def refused(*writes):
    for number, write in enumerate(writes):
        try:
            write()
        except StoreFullError:
            pass
        else:
            print('not refused', number)
"""

AT_EXIT = "make_room()  # for what else is written when a program ends, the coverage for one\n"

SMALL_DISK = 'mount -t tmpfs -o size=8m tmpfs "$1" && shift && exec "$@"'


def mounting() -> list[str] | None:
    """A command that runs another command with a small disk; None if that is forbidden."""
    for options in (["--mount"], ["--user", "--map-root-user", "--mount"]):
        command = ["unshare", *options, "sh", "-c", SMALL_DISK, "sh"]
        if shutil.which("unshare") is None:
            return None
        if subprocess.run([*command, "/mnt", "true"], capture_output=True).returncode == 0:
            return command
    return None


MOUNTING = mounting()


@pytest.fixture(params=["limit", "disk"] if MOUNTING else ["limit"])
def run_full(request, tmp_path):
    """Runs a program that fills its disk, and gives what it prints."""

    def run_full(code: str) -> str:
        before = [*MOUNTING, tmp_path] if request.param == "disk" else []
        command = [*before, sys.executable, "-c", PROGRAM + code + AT_EXIT, tmp_path, request.param]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.stderr == ""
        assert done.returncode == 0
        return done.stdout

    return run_full


@pytest.mark.parametrize("durability", ["full", "lazy", "none"])
def test_every_kind_of_write_is_undone_and_works_once_there_is_room(run_full, durability):
    code = f"""
durability = {durability!r}
options = {{'durability': durability}}
store = stone(place / 'db', LmdbStore, 'json', value_type=list, options=options)
users = Collection(store, User)
store['kept'] = [1]
users.add(User('ada', 'here'))
before = dict(store)
large = 'x' * 3_000_000
fill()

def whole_block():
    with store.transaction():
        store['a'] = 1
        del store['kept']
        with store.transaction():
            store['b'] = large

writes = [
    lambda: store.put('a', large),
    lambda: store.setdefault('a', large),
    lambda: store.update({{str(n): large for n in range(3)}}),
    lambda: store.update((str(n), 'x' * 2000) for n in range(9000)),
    lambda: store.deep_add('kept', large),
    lambda: users.add(User('alan', large)),
    lambda: users.put(User('ada', large)),
    lambda: users.add_many(User(str(n), 'x' * 2000) for n in range(9000)),
    lambda: users.update('ada', text=large),
    lambda: users.modify('ada', lambda user: User('ada', large)),
    whole_block,
]
refused(*writes)
print(dict(store) == before, len(users), users['ada'].text, 'a' in store)
make_room()
store['a'] = large
users.update('ada', text='changed')
print(len(store), users['ada'].text, len(store['a']))
"""
    assert run_full(code) == "True 1 here False\n3 changed 3000000\n"


def test_what_needs_no_room_works_on_a_full_disk(run_full):
    code = """
store = stone(place / 'db', LmdbStore, 'noop')
store.update((str(n), b'x' * 1000) for n in range(1000))
for n in range(900):  # leaves room inside of the file
    del store[str(n)]
fill()
store['small'] = b'1'
del store['999']
print(len(store), store['small'])
"""
    assert run_full(code) == "100 b'1'\n"


def test_another_process_reads_on_a_full_disk(run_full):
    code = """
import subprocess
store = stone(place / 'db', LmdbStore, 'noop')
store['a'] = b'1'
fill()
reader = 'import sys; from stones import *; print(dict(LmdbStore(sys.argv[1], readonly=True)))'
without = {name: value for name, value in os.environ.items() if not name.startswith('COV')}
command = [sys.executable, '-c', reader, place / 'db']
done = subprocess.run(command, capture_output=True, text=True, env=without)
print(done.returncode, (done.stdout + done.stderr).strip())
views = [store.snapshot() for _ in range(300)]  # as many places in the table of readers
print(views[-1]['a'])
"""
    assert run_full(code) == "0 {b'a': b'1'}\nb'1'\n"


def test_a_store_that_cannot_be_made_leaves_nothing_behind(run_full):
    code = """
fill()
refused(lambda: stone(place / 'new', LmdbStore))
make_room()
with stone(place / 'new', LmdbStore) as store:
    store['a'] = 1
    print(dict(store), sorted(os.listdir(place / 'new')))
"""
    assert run_full(code) == "{b'a': 1} ['data.mdb', 'lock.mdb']\n"


@pytest.mark.parametrize(
    ("options", "migration"),
    [
        ("serialize='msgpack'", "to='json'"),
        ("serialize='json', compress='zstd'", "compress=False"),
        ("serialize='json'", "encrypt=bytes(32)"),
    ],
    ids=["serializer", "decompress", "encrypt"],
)
def test_a_migration_that_runs_out_of_room_goes_on_when_there_is_some(run_full, options, migration):
    code = f"""
store = stone(place / 'db', LmdbStore, {options})
store.update((str(n), [n] * 300) for n in range(1500))
before = dict(store)
fill()
refused(lambda: migrate(store, {migration}))
print(dict(store) == before)
make_room()
migrate(store, {migration})
print(dict(store) == before, check(store).sound, inspect(store).migrating)
"""
    assert run_full(code) == "True\nTrue True False\n"


def test_a_backup_that_finds_no_room_is_not_there(run_full):
    code = """
store = stone(place / 'db', LmdbStore, 'noop')
store.update((str(n), b'x' * 1000) for n in range(1000))
fill(share=0.5)
try:
    store.backup(place / 'copy')
except StorageError:
    print('refused', (place / 'copy').exists())
make_room()
store.backup(place / 'copy')
print(len(LmdbStore(place / 'copy', readonly=True)))
"""
    assert run_full(code) == "refused False\n1000\n"


def test_a_compaction_that_finds_no_room_changes_nothing(run_full):
    code = """
with stone(place / 'db', LmdbStore, 'noop') as store:
    store.update((str(n), b'x' * 1000) for n in range(2000))
    for n in range(500):
        del store[str(n)]
    before = dict(store)
size = (place / 'db' / 'data.mdb').stat().st_size
fill(share=0.5)
refused(lambda: compact(place / 'db'))
print((place / 'db' / 'data.mdb').stat().st_size == size, sorted(os.listdir(place / 'db')))
make_room()
with stone(place / 'db', LmdbStore) as store:
    print(dict(store) == before)
report = compact(place / 'db')
print(report.after < report.before)
with stone(place / 'db', LmdbStore) as store:
    print(dict(store) == before)
"""
    assert run_full(code) == "True ['data.mdb', 'lock.mdb']\nTrue\nTrue\nTrue\n"


def test_a_store_that_has_no_room_to_begin_with_is_not_made_until_there_is_some(run_full):
    code = """
kinds = (LmdbStore, SqliteStore, LevelDBStore, JsonFileStore, DbmStore)
fill(0)
for cls in kinds:
    try:
        cls(place / cls.__name__, serialize='json')
    except StoreFullError:
        pass
    else:
        print('made', cls)
make_room()
for cls in kinds:
    with cls(place / cls.__name__, serialize='json', iterable={'a': 1}) as store:
        print(dict(store))
"""
    assert run_full(code) == "{b'a': 1}\n" * 5
