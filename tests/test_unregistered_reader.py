"""Reading where lock.mdb, the table of readers, may not be written, while others write."""

import os
import signal
import tempfile
import time
from pathlib import Path

import pytest

from stones import LmdbStore, StorageError, check, compact, stone

from .processes import fork, in_child

COUNT = 300
NOBODY = 65534


@pytest.fixture
def path():
    """A store that only its owner may write, in a place that everybody can reach."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        path = Path(folder, "db")
        with stone(path, LmdbStore, "json") as store:
            store.update((f"{number:04}", 0) for number in range(COUNT))
        yield path


@pytest.fixture
def writing(path):
    """Another process gives all entries a new value, over and over, in one transaction each."""

    def write() -> None:
        with LmdbStore(path, durability="none") as store:
            number = 0
            while True:
                number += 1
                store.update((f"{each:04}", number) for each in range(COUNT))

    child = fork(write)
    yield
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def as_reader(path, act) -> None:
    """`act` on the store in a process that may only read its files."""
    path.chmod(0o555)
    (path / "lock.mdb").chmod(0o444)

    def read() -> None:
        if os.getuid() == 0:
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        with LmdbStore(path, readonly=True) as store:
            act(store)

    try:
        assert in_child(read) == 0
    finally:
        path.chmod(0o755)
        (path / "lock.mdb").chmod(0o644)


def test_where_nobody_writes_all_can_be_read(path):
    def act(store):
        assert store["0007"] == 0
        assert len(store) == len(list(store)) == COUNT
        with store.snapshot() as view:
            assert set(view.values()) == {0}
        assert list(store.range(ge="0100", reverse=True))[-1] == b"0100"

    as_reader(path, act)


@pytest.mark.usefixtures("writing")
def test_single_reads_go_on(path):
    def act(store):
        for _ in range(3000):
            assert store["0007"] >= 0

    as_reader(path, act)


@pytest.mark.usefixtures("writing")
def test_a_snapshot_is_seen_whole_or_an_error_says_why_not(path):
    def act(store):
        errors = 0
        for step in range(300):
            try:
                with store.snapshot() as view:
                    if step % 3 == 0:
                        time.sleep(0.01)
                    assert len(set(view.values())) == 1
            except StorageError as error:
                assert "lock.mdb" in str(error)  # noqa: PT017  # most end so
                errors += 1
        assert errors

    as_reader(path, act)


@pytest.mark.usefixtures("writing")
@pytest.mark.parametrize("compact", [True, False])
def test_a_backup_is_sound_or_not_there(path, compact):
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)

        def act(store):
            for number in range(5):
                copy = Path(folder, str(number))
                try:
                    store.backup(copy, compact=compact)
                except StorageError as error:
                    assert "lock.mdb" in str(error)  # noqa: PT017
                    assert not copy.exists()

        as_reader(path, act)
        for copy in Path(folder).iterdir():
            with LmdbStore(copy, readonly=True) as store:
                assert len(set(store.values())) == 1
            assert check(copy).findings == ()


def test_a_compact_backup_is_small_here_too(path):
    with LmdbStore(path) as store:
        store["gap"] = "x" * 1_000_000
        del store["gap"]
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        as_reader(path, lambda store: store.backup(Path(folder, "copy")))
        assert os.listdir(Path(folder, "copy")) == ["data.mdb"]
        assert Path(folder, "copy", "data.mdb").stat().st_size < 100_000
        with LmdbStore(Path(folder, "copy"), readonly=True) as store:
            assert len(store) == COUNT


def test_who_may_not_write_the_store_does_not_compact_it(path):
    def act(store):
        store.close()
        with pytest.raises(StorageError, match=r"cannot compact .* Permission denied"):
            compact(path)

    as_reader(path, act)
    with LmdbStore(path) as store:
        assert len(store) == COUNT
