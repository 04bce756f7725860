"""An engine in a package of somebody else passes the suite by subclassing two classes.

Its author has read `stones.engine` and `stones.testing`, and imports nothing of stones but these
and the errors. A space is a table in a SQLite file. A read sees the last commit, and there are no
savepoints. The small engine in the docstring of `stones.engine` has to pass too.
"""

import doctest
import os
import sqlite3
from collections.abc import Callable, Iterator
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from threading import Lock, get_ident

import pytest
from attrs import define, evolve

import stones.engine
from stones import Collection, LmdbStore, Store, UnsupportedError, key, migrate
from stones.engine import Engine, Space, Supports, Transaction
from stones.errors import (
    ReadOnlyError,
    StorageError,
    StoreClosedError,
    StoreOpenError,
    TransactionError,
)
from stones.testing import EngineTests


class SqliteEngine(Engine):
    supports = Supports(processes=True, durability=("full",), max_value_size=1_000_000)

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = Lock()  # the writers of this process wait here, those of others in SQLite
        self.writer: int | None = None
        connection = self.connect()
        connection.execute("PRAGMA journal_mode=WAL")  # so that readers and the writer do not wait
        for space in Space:
            connection.execute(
                f"CREATE TABLE IF NOT EXISTS space{space:d} (k BLOB PRIMARY KEY, v BLOB)"
            )
        connection.close()

    def connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=60, isolation_level=None, check_same_thread=False)

    def begin(self, *, write: bool = False) -> "SqliteTransaction":
        if write and self.writer == get_ident():
            raise TransactionError("this thread has a write transaction open already")
        if self.closed:
            raise StoreClosedError(f"{self.path} is closed")
        if write:
            self.lock.acquire()
            self.writer = get_ident()
        return SqliteTransaction(self, write)

    def close(self) -> None:
        self.closed = True


class SqliteTransaction(Transaction):
    def __init__(self, engine: SqliteEngine, write: bool) -> None:
        self.engine = engine
        self.write = write
        self.connection: sqlite3.Connection | None = engine.connect()
        if write:
            self.connection.execute("BEGIN IMMEDIATE")

    def execute(self, sql: str, *values: object, write: bool = False) -> sqlite3.Cursor:
        if self.connection is None:
            raise TransactionError("the transaction has ended")
        if write and not self.write:
            raise ReadOnlyError("this is a read transaction")
        return self.connection.execute(sql, values)

    def get(self, space: Space, key: bytes) -> bytes | None:
        row = self.execute(f"SELECT v FROM space{space:d} WHERE k = ?", key).fetchone()
        return row and row[0]

    def put(self, space: Space, key: bytes, value: bytes) -> None:
        if len(value) > self.engine.supports.max_value_size:
            raise StorageError(f"the value of {key!r} is too large")
        self.execute(f"REPLACE INTO space{space:d} VALUES (?, ?)", key, value, write=True)

    def delete(self, space: Space, key: bytes) -> bool:
        sql = f"DELETE FROM space{space:d} WHERE k = ?"
        return self.execute(sql, key, write=True).rowcount == 1

    def scan(
        self, space: Space, start: bytes = b"", stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        sql = (
            f"SELECT k, v FROM space{space:d} WHERE k >= ? AND (? IS NULL OR k < ?) "
            f"ORDER BY k {'DESC' if reverse else 'ASC'}"
        )
        return iter(self.execute(sql, start, stop, stop).fetchall())

    def commit(self) -> None:
        self.end("COMMIT")

    def abort(self) -> None:
        if self.connection is not None:
            self.end("ROLLBACK")

    def end(self, how: str) -> None:
        self.execute(how if self.write else "SELECT 1")  # raises if the transaction has ended
        self.connection.close()
        self.connection = None
        if self.write:
            self.engine.writer = None
            self.engine.lock.release()


class LoneSqliteEngine(SqliteEngine):
    """One process at a time may open it."""

    supports = evolve(SqliteEngine.supports, processes=False)

    def __init__(self, path: Path) -> None:
        self.claim = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT)
        try:
            flock(self.claim, LOCK_EX | LOCK_NB)
        except BlockingIOError as error:
            os.close(self.claim)
            raise StoreOpenError(f"another process has {path} open") from error
        super().__init__(path)

    def close(self) -> None:
        if not self.closed:
            os.close(self.claim)
        super().close()


class TestSqliteEngine(EngineTests):
    @pytest.fixture
    def open_engine(self, tmp_path: Path) -> Callable[[], Engine]:
        return lambda: SqliteEngine(tmp_path / "engine.sqlite")


class TestLoneSqliteEngine(EngineTests):
    @pytest.fixture
    def open_engine(self, tmp_path: Path) -> Callable[[], Engine]:
        return lambda: LoneSqliteEngine(tmp_path / "engine.sqlite")


class TestEngineOfTheDocs(EngineTests):
    @pytest.fixture
    def open_engine(self) -> Callable[[], Engine]:
        names: dict[str, type[Engine]] = {}
        for example in doctest.DocTestParser().get_examples(stones.engine.__doc__):
            exec(example.source, names)
        return names["DictEngine"]


class SqliteStore(Store):
    def __init__(self, path: Path, **options: object) -> None:
        self.path = path
        super().__init__(SqliteEngine(path), name=str(path), **options)

    def destroy(self, *, yes_im_sure: bool = False) -> None:
        if yes_im_sure:
            self.close()
            self.path.unlink()


@define
class User:
    email: str = key()
    age: int = 0


def test_a_store_on_it_has_the_whole_dict_face_collections_and_migrations(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "db", serialize="json") as store:
        store.update(a=1, b=(2, 3))
        users: Collection[str, User] = Collection(store, User)
        with store.transaction():
            store.update(c=0, d=0)
            store["c"] = store["a"] + 1
            assert store.pop("d") == 0
            users.add_many([User("ada", 0), User("grace", 85)])
            users.modify("ada", lambda user: users.update("ada", age=36))
        assert migrate(store, "cbor", checksums=True).values == 5
        store.backup(tmp_path / "copy")
        with pytest.raises(UnsupportedError, match="no snapshots"):
            store.snapshot()
    with SqliteStore(tmp_path / "db", key_type=str) as store:
        assert dict(store.range(lt="User")) == {}
        assert {name: store[name] for name in "abc"} == {"a": 1, "b": (2, 3), "c": 2}
        assert Collection(store, User).find("$[?(@.age > 40)]").first() == User("grace", 85)
        assert store == LmdbStore(tmp_path / "copy", key_type=str)
        store.destroy(yes_im_sure=True)
    assert not (tmp_path / "db").exists()


def test_without_savepoints_an_operation_that_fails_undoes_its_whole_transaction(
    tmp_path: Path,
) -> None:
    with SqliteStore(tmp_path / "db") as store:
        store["kept"] = 1
        with pytest.raises(TransactionError, match="no savepoints"), store.transaction():
            store["lost"] = 1
            with pytest.raises(ValueError, match="unpack"):
                store.update([("also lost", 2), "not a pair"])
        with pytest.raises(UnsupportedError, match="no savepoints"), store.transaction():
            store["lost"] = 1
            with store.transaction():
                pass
        assert store == {b"kept": 1}
