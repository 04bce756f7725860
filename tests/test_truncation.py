"""A data file that was cut short is refused, before LMDB would end the process."""

import os
import subprocess
import sys

import lmdb
import pytest

from stones import LmdbStore, StoreOpenError, salvage, stone


@pytest.fixture
def path(tmp_path):
    with stone(tmp_path / "db", LmdbStore, "noop", options={"durability": "none"}) as store:
        store.update((f"{number:04}", b"x" * 1000) for number in range(1000))
    return tmp_path / "db"


@pytest.mark.parametrize("left", [8192, 8193, 40_000, 400_000, -1])
def test_a_file_that_was_cut_short_is_refused_whoever_opens_it(path, tmp_path, left):
    file = path / "data.mdb"
    os.truncate(file, left if left >= 0 else file.stat().st_size - 1)
    for readonly in (True, False):
        with pytest.raises(StoreOpenError, match=r"cut short: .* bytes are there of .* salvage"):
            LmdbStore(path, readonly=readonly)
    for command in (["info", path], ["get", path, "0007"], ["backup", path, tmp_path / "copy"]):
        done = subprocess.run(
            [sys.executable, "-c", "from stones.command_line.main import main; main()", *command],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 1
        assert "cut short" in done.stderr
    salvage(path, tmp_path / "new")  # it raises nothing, whatever is left


def test_an_empty_file_is_refused_and_not_taken_for_a_new_store(path):
    os.truncate(path / "data.mdb", 0)
    for readonly in (True, False):
        with pytest.raises(StoreOpenError, match="is empty"):
            LmdbStore(path, readonly=readonly)
    assert (path / "data.mdb").stat().st_size == 0


def test_a_short_file_whose_missing_pages_are_free_is_sound(path):
    """LMDB itself makes such files: it frees pages that it has never written."""
    for _ in range(3):  # a page is in the list of free pages from the next transaction on
        with stone(path, LmdbStore) as store:
            store.clear()
            store["kept"] = b"1"
    with lmdb.open(str(path), readonly=True, lock=False) as env:
        last, size = env.info()["last_pgno"], env.stat()["psize"]
    os.truncate(path / "data.mdb", last * size)  # clear() freed the last page
    with stone(path, LmdbStore) as store:
        assert store["kept"] == b"1"
        store.update((f"{number:04}", b"y" * 1000) for number in range(1000))
        assert len(store) == 1001


def test_a_store_that_grows_can_be_opened_at_any_time(path):
    program = """
import sys
from stones import LmdbStore
with LmdbStore(sys.argv[1], durability='none') as store:
    for number in range(3000):
        store['new%d' % number] = b'x' * 5000
"""
    with subprocess.Popen([sys.executable, "-c", program, path]) as writer:
        while writer.poll() is None:
            LmdbStore(path, readonly=True).close()
    assert writer.returncode == 0
