"""What all tests share: hypothesis draws without a clock, and the same examples again under CI."""

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

from .command_line import run
from .servers.fixtures import postgres, postgres_server, postgres_url
from .servers.redis import redis_prefix, redis_url

__all__ = ["postgres", "postgres_server", "postgres_url", "redis_prefix", "redis_url", "run"]

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
    "memory": MemoryStore,
    "lmdb": LmdbStore,
    "sqlite": SqliteStore,
    "leveldb": LevelDBStore,
    "json": JsonFileStore,
    "dbm": DbmStore,
    "redis": RedisStore,
    "postgres": PostgresStore,
}


@pytest.fixture(params=ENGINES)
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
        return tmp_path / f"store-{number}", {}

    with ExitStack() as stack:

        def open_store(**options):
            place, more = new_place()
            if not options.get("dump_load"):
                options.setdefault("serialize", "pickle")  # the same on each engine
            more.update(options.pop("options", {}))
            return stack.enter_context(stone(place, ENGINES[engine], options=more, **options))

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
