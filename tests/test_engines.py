"""Both engines pass the compliance suite that engines of others are held to.

And what only they promise of pages: the ends of a transaction and of an engine are noticed.
"""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from stones.engine import Engine, Space
from stones.engines.dbm.engine import DbmEngine
from stones.engines.json_file.engine import JsonFileEngine
from stones.engines.leveldb.engine import LevelDBEngine
from stones.engines.lmdb.engine import LmdbEngine
from stones.engines.memory import MemoryEngine
from stones.engines.postgres.engine import PostgresEngine
from stones.engines.redis.address import address_of
from stones.engines.redis.engine import RedisEngine
from stones.engines.sqlite.engine import SqliteEngine
from stones.errors import StoreClosedError, TransactionError
from stones.testing import EngineTests

from .servers.fixtures import PostgresPlace


class EndOfPagesTests:
    @pytest.mark.parametrize("write", [False, True])
    @pytest.mark.parametrize("values", [False, True])
    def test_pages_end_with_their_transaction(self, engine, write, values):
        txn = filled(engine).begin(write=write)
        running = txn.pages(Space.DATA, values=values)
        next(running)
        txn.abort()
        with pytest.raises(TransactionError):
            next(running)

    def test_pages_end_with_their_engine(self, engine):
        txn = filled(engine).begin()
        running = txn.pages(Space.DATA)
        next(running)
        engine.close()
        with pytest.raises(StoreClosedError):
            next(running)


def filled(engine: Engine) -> Engine:
    engine.write(lambda txn: txn.put_many(Space.DATA, [(b"%d" % n, b"v") for n in range(2000)]))
    return engine


class TestMemoryEngine(EndOfPagesTests, EngineTests):
    @pytest.fixture
    def open_engine(self) -> Callable[[], Engine]:
        return MemoryEngine


class TestLmdbEngine(EndOfPagesTests, EngineTests):
    @pytest.fixture
    def open_engine(self, tmp_path: Path) -> Callable[[], Engine]:
        return lambda: LmdbEngine.open(str(tmp_path / "db"))


class TestSqliteEngine(EndOfPagesTests, EngineTests):
    @pytest.fixture
    def open_engine(self, tmp_path: Path) -> Callable[[], Engine]:
        return lambda: SqliteEngine.open(str(tmp_path / "app.db"))


class TestPostgresEngine(EndOfPagesTests, EngineTests):
    @pytest.fixture
    def open_engine(self, postgres: PostgresPlace) -> Callable[[], Engine]:
        return lambda: PostgresEngine(postgres.url, table=postgres.table)


class TestLevelDBEngine(EndOfPagesTests, EngineTests):
    @pytest.fixture
    def open_engine(self, tmp_path: Path) -> Callable[[], Engine]:
        return lambda: LevelDBEngine.open(str(tmp_path / "db"), durability="lazy")


class TestRedisEngine(EndOfPagesTests, EngineTests):
    @pytest.fixture
    def open_engine(self, redis_url: str, redis_prefix: Callable[[], str]) -> Callable[[], Engine]:
        address = address_of(redis_url, redis_prefix())
        return lambda: RedisEngine.open(address)


class TestJsonFileEngine(EndOfPagesTests, EngineTests):
    @pytest.fixture
    def open_engine(self, tmp_path: Path) -> Callable[[], Engine]:
        return lambda: JsonFileEngine(str(tmp_path / "store.json"), durability="none")


@pytest.fixture(params=["dumb", "sqlite3", *(["gnu"] if find_spec("_gdbm") else [])])
def kind(request) -> str:
    """The kinds of dbm that this Python has."""
    return request.param


class TestDbmEngine(EndOfPagesTests, EngineTests):
    @pytest.fixture
    def open_engine(self, tmp_path: Path, kind: str) -> Callable[[], Engine]:
        return lambda: DbmEngine(str(tmp_path / "old"), kind, durability="none")
