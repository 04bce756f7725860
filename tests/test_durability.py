"""How writes reach the disk: `durability=`, and `sync()`. `tests/torture` cuts the power."""

import subprocess
import sys

import pytest

from stones import LmdbStore, MemoryStore, ReadOnlyError, StoreClosedError, StoreOpenError, stone
from stones.engines.lmdb.environment import DURABILITY

MODES = ["full", "lazy", "none"]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "db"


def syncs(path, tmp_path, durability: str, code: str) -> int:
    """How often a program with a store waits for the disk, as strace sees it, once it is open."""
    program = f"""
import os, sys
from stones import *
store = stone(sys.argv[1], LmdbStore, options={{'durability': {durability!r}}})
store['before'] = 1
os.write(1, b'ready')
{code}
os.write(1, b'done')
"""
    trace = tmp_path / "trace"
    calls = "trace=write,fdatasync,fsync,msync,openat,pwrite64"
    subprocess.run(
        ["strace", "-f", "-y", "-e", calls, "-o", trace, sys.executable, "-c", program, path],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    lines = trace.read_text().splitlines()
    start = next(at for at, line in enumerate(lines) if '"ready"' in line)
    end = next(at for at, line in enumerate(lines) if '"done"' in line)
    # The last page of a commit is written through a descriptor that waits by itself (O_DSYNC).
    opened = [line for line in lines if f'"{path}/data.mdb", O_WRONLY|O_DSYNC' in line]
    descriptor = opened[-1].rsplit("= ", 1)[1].split("<")[0]
    waits = ("fdatasync(", "fsync(", "msync(", f"pwrite64({descriptor}<")
    return sum(any(wait in line for wait in waits) for line in lines[start:end])


@pytest.mark.parametrize(("durability", "waits"), [("full", 2 * 5), ("lazy", 5), ("none", 0)])
def test_a_mode_waits_for_the_disk_as_often_as_it_says(path, tmp_path, durability, waits):
    code = "for number in range(5): store['key'] = number"
    assert syncs(path, tmp_path, durability, code) == waits


@pytest.mark.parametrize("durability", ["lazy", "none"])
def test_sync_waits_for_the_disk_in_any_mode(path, tmp_path, durability):
    one_write = syncs(path, tmp_path, durability, "store['key'] = 1")
    assert syncs(path, tmp_path, durability, "store['key'] = 1; store.sync()") == one_write + 1


@pytest.mark.parametrize("durability", MODES)
def test_every_mode_survives_the_death_of_the_process(path, durability):
    program = """
import os, signal, sys
from stones import *
store = stone(sys.argv[1], LmdbStore, options={'durability': sys.argv[2]})
store.update((str(number), number) for number in range(1000))
store['last'] = 'written'
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", program, path, durability])
    with stone(path, LmdbStore) as store:
        assert (len(store), store["last"]) == (1001, "written")


def test_the_default_is_the_strictest():
    assert next(iter(DURABILITY)) == "full"
    with MemoryStore() as store:
        store.sync()


def test_stats_tells_the_mode(path):
    for durability in MODES:
        with stone(path, LmdbStore, options={"durability": durability}) as store:
            assert store.stats()["durability"] == durability


@pytest.mark.parametrize("wrong", ["fast", "", None, 1, ["full"], "Full"])
def test_another_mode_is_refused_before_there_is_a_file(path, wrong):
    with pytest.raises(StoreOpenError, match="durability is one of full, lazy, none"):
        LmdbStore(path, durability=wrong)
    assert not path.exists()


def test_a_store_that_is_open_in_a_looser_mode_is_not_taken_for_a_strict_one(path):
    with LmdbStore(path, durability="lazy") as store:
        store["a"] = 1
        with pytest.raises(StoreOpenError, match="durability='lazy'"):
            LmdbStore(path)
        with LmdbStore(path, durability="none") as looser, LmdbStore(path, readonly=True) as view:
            assert looser["a"] == view["a"] == 1
        store["a"] = 2
    with LmdbStore(path) as strict:
        assert strict["a"] == 2


def test_a_store_can_be_opened_in_another_mode_once_it_is_closed(path):
    with LmdbStore(path, durability="none") as store:
        store["a"] = 1
        running = iter(store)
        next(running)
    with pytest.raises(StoreOpenError, match="iterations"):
        LmdbStore(path)
    running.close()
    with LmdbStore(path) as store:
        assert dict(store) == {b"a": 1}


def test_sync_is_for_who_can_write_and_for_an_open_store(path):
    with LmdbStore(path) as store:
        store["a"] = 1
        store.sync()
        with store.transaction():
            store["b"] = 1
            store.sync()
    with pytest.raises(StoreClosedError):
        store.sync()
    with LmdbStore(path, readonly=True) as store, pytest.raises(ReadOnlyError):
        store.sync()
