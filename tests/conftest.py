"""What all tests share: hypothesis draws without a clock, and the same examples again under CI."""

import os
from contextlib import ExitStack
from functools import partial
from itertools import count

import pytest
from hypothesis import HealthCheck, settings

from stones import LevelDBStore, LmdbStore, MemoryStore, PostgresStore, SqliteStore, stone

from .servers.fixtures import postgres, postgres_server, postgres_url

__all__ = ["postgres", "postgres_server", "postgres_url"]

from .servers.redis import redis_prefix, redis_url  # noqa: F401  # fixtures

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
    "postgres": PostgresStore,
}


@pytest.fixture(params=ENGINES)
def open_store(request, tmp_path):
    """Opens a new, empty store on each engine, with the options that `stone` takes."""
    numbers = count()
    with ExitStack() as stack:

        def open_store(**options):
            number = next(numbers)
            if request.param == "postgres":
                postgres = request.getfixturevalue("postgres")
                place, options["options"] = postgres.url, {"table": postgres.other(number)}
            else:
                place = tmp_path / f"store-{number}"
            # What a test does not say is the same on each engine.
            if not options.get("dump_load"):
                options.setdefault("serialize", "pickle")
            return stack.enter_context(stone(place, ENGINES[request.param], **options))

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
