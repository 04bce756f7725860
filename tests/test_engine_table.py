"""The table of engines in the documentation says what `supports` of each engine says."""

from importlib import import_module
from pathlib import Path

import pytest

from stones.engine import Supports

PAGE = Path(__file__).parent.parent / "docs/engines/index.md"
ENGINES = {
    "[LMDB](lmdb.md)": "lmdb.engine.LmdbEngine",
    "[SQLite](sqlite.md)": "sqlite.engine.SqliteEngine",
    "[PostgreSQL](postgres.md)": "postgres.engine.PostgresEngine",
    "[LevelDB](leveldb.md)": "leveldb.engine.LevelDBEngine",
    "[Redis](redis.md)": "redis.engine.RedisEngine",
    "[JSON file](json-file.md)": "json_file.engine.JsonFileEngine",
    "[DBM](dbm.md)": "dbm.engine.DbmEngine",
    "[memory](memory.md)": "memory.MemoryEngine",
}

WRITERS = {(True, False): "wait", (True, True): "wait, or run again", (False, True): "run again"}
"""What writers do that meet, by `timeouts` and `conflicts`."""


def supports_of(engine: str) -> Supports:
    """What the class of an engine says, whatever a server of its kind may say later."""
    module, _, name = f"stones.engines.{engine}".rpartition(".")
    return getattr(import_module(module), name).supports


def row(title: str, supports: Supports) -> str:
    """The row of an engine in the table."""
    cells = [
        "machines" if supports.machines else "processes" if supports.processes else "one process",
        ", ".join(supports.durability) or "no",
        "yes" if supports.snapshots else "no",
        "yes" if supports.savepoints else "no",
        WRITERS[supports.timeouts, supports.conflicts],
        "at once" if supports.counts else "by counting",
        "any" if supports.max_value_size is None else f"{supports.max_value_size / 1e9:.1f} GB",
    ]
    return f"| {' | '.join([title, *cells])} |"


@pytest.mark.parametrize("title", ENGINES)
def test_the_row_of_an_engine_says_what_the_engine_says(title):
    assert row(title, supports_of(ENGINES[title])) in PAGE.read_text().splitlines()


def test_each_engine_that_has_a_page_is_in_the_table():
    pages = {f"({path.name})" for path in PAGE.parent.glob("*.md")} - {"(index.md)"}
    assert {"(" + title.partition("](")[2] for title in ENGINES} == pages
