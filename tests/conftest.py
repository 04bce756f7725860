"""What all tests share: hypothesis draws without a clock, and the same examples again under CI.

A test that takes `store` or `open_store` runs on each engine. If it needs what an engine may be
unable to do, it says so by `@pytest.mark.needs("snapshots")`, and is made for the other engines
only. NEEDS has the words. Beside such a test there is one of what those engines do instead.
"""

import os
from contextlib import ExitStack
from functools import partial
from itertools import count

import pytest
from hypothesis import HealthCheck, settings

from stones import (
    DbmStore,
    JsonFileStore,
    LevelDBStore,
    LmdbStore,
    MemoryStore,
    PostgresStore,
    RedisStore,
    SqliteStore,
    stone,
)
from stones.engines.dbm.engine import DbmEngine
from stones.engines.json_file.engine import JsonFileEngine
from stones.engines.leveldb.engine import LevelDBEngine
from stones.engines.lmdb.engine import LmdbEngine
from stones.engines.memory import MemoryEngine
from stones.engines.postgres.engine import PostgresEngine
from stones.engines.redis.engine import RedisEngine
from stones.engines.sqlite.engine import SqliteEngine
from stones.migrations import batches

from .command_line import run
from .servers.chromium import chromium, open_window, window
from .servers.fixtures import postgres, postgres_server, postgres_url
from .servers.redis import redis_prefix, redis_url
from .servers.served_store import serve, serve_for_all

__all__ = [
    "chromium",
    "open_window",
    "postgres",
    "postgres_server",
    "postgres_url",
    "redis_prefix",
    "redis_url",
    "run",
    "serve",
    "serve_for_all",
    "window",
]

pytest.register_assert_rewrite("stones.testing")
settings.register_profile(
    "stones",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
    print_blob=True,
)
settings.load_profile("stones")


ENGINES = {
    "memory": (MemoryStore, MemoryEngine),
    "lmdb": (LmdbStore, LmdbEngine),
    "sqlite": (SqliteStore, SqliteEngine),
    "leveldb": (LevelDBStore, LevelDBEngine),
    "json": (JsonFileStore, JsonFileEngine),
    "dbm": (DbmStore, DbmEngine),
    "redis": (RedisStore, RedisEngine),
    "postgres": (PostgresStore, PostgresEngine),
}
UNSYNCED = {"json": {"durability": "none"}, "dbm": {"durability": "none"}}
"""Options of engines that write whole files: to sync each would cost minutes, and prove no more."""
NEEDS = {
    "snapshots": lambda engine: engine.supports.snapshots,
    # A block waits until no other block writes. Without that its commit may raise ConflictError.
    "waiting": lambda engine: engine.supports.timeouts,
    # Values that are compressed or encrypted.
    "packed values": lambda engine: engine not in {JsonFileEngine, DbmEngine},
    # Not in a place of the engine's own, which cannot hold any damage.
    "counts in META": lambda engine: engine not in {RedisEngine, PostgresEngine},
}
"""What a test may need of an engine."""


def pytest_generate_tests(metafunc):
    """Make each test that opens a store for the engines that have what the test needs."""
    if "open_store" not in metafunc.fixturenames:
        return
    needs = [
        NEEDS[need] for mark in metafunc.definition.iter_markers("needs") for need in mark.args
    ]
    engines = [name for name, (_, engine) in ENGINES.items() if all(need(engine) for need in needs)]
    metafunc.parametrize("open_store", engines, indirect=True)


@pytest.fixture
def open_store(request, tmp_path):
    """Opens a new, empty store on each engine, with the options that `stone` takes."""
    numbers = count()
    engine = request.param

    def new_place():
        """Where the next store is, and the options that say so."""
        number = next(numbers)
        if engine == "postgres":
            server = request.getfixturevalue("postgres")
            return server.url, {"table": server.other(number)}
        if engine == "redis":
            return request.getfixturevalue("redis_url"), {
                "prefix": request.getfixturevalue("redis_prefix")()
            }
        return tmp_path / f"store-{number}", dict(UNSYNCED.get(engine, ()))

    with ExitStack() as stack:

        def open_store(**options):
            place, more = new_place()
            if not options.get("dump_load"):
                options.setdefault("serialize", "pickle")  # the same on each engine
            more.update(options.pop("options", {}))
            kind = ENGINES[engine][0]
            return stack.enter_context(stone(place, kind, options=more, **options))

        yield open_store


@pytest.fixture
def store(open_store):
    """An empty store on each engine."""
    return open_store()


@pytest.fixture(params=["memory", "lmdb"])
def opened(request, tmp_path):
    """Opens a store, the same at each call where there is one on disk."""
    if request.param == "memory":
        return MemoryStore
    return partial(LmdbStore, str(tmp_path / "db"))


@pytest.fixture
def bomb(tmp_path):
    """The path of a `Bomb`: it is there once a pickle has been read."""
    return tmp_path / "unpickled"


@pytest.fixture
def short_batches(monkeypatch):
    """A migration looks at few values in a transaction, so that of a small store it has many."""
    monkeypatch.setattr(batches, "ENTRIES", 10)
