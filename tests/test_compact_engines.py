"""`compact` of stores that are not on LMDB."""

import re

import pytest

from stones import StoreOpenError, UnsupportedError, check, compact, copy, stone

from .processes import Follower

SIZES = {"sqlite": "sqlite:store.db", "leveldb": "leveldb:store.ldb"}


@pytest.fixture(params=SIZES.values(), ids=SIZES)
def url(request, tmp_path, monkeypatch):
    """A store whose file has ten thousand entries and is to have ten."""
    monkeypatch.chdir(tmp_path)
    with stone(request.param, serialize="json") as store:
        store.update((f"{number:05}", f"{number * 7919:0200}") for number in range(10_000))
        with store.transaction():
            for number in range(10, 10_000):
                del store[f"{number:05}"]
    return request.param


def entries(url):
    with stone(url, readonly=True) as store:
        return dict(store)


def test_the_file_becomes_small_and_has_the_same_entries(url, run):
    before = entries(url)
    assert len(before) == 10
    report = compact(url)
    assert report.path == url
    assert report.before > 300_000
    assert report.after < 50_000
    assert entries(url) == before
    assert check(url).sound
    assert re.fullmatch(r"[\d.]+ kB before, [\d.]+ kB now\n", run("compact", url))


WRITER = """
import sys
from stones import stone
with stone('sqlite:store.db') as store:
    print('open', flush=True)
    for line in sys.stdin:
        store['more'] = line
        print(len(store), flush=True)
"""


@pytest.mark.parametrize("url", [SIZES["sqlite"]], indirect=True)
def test_a_store_on_sqlite_is_compacted_while_another_program_has_it_open(url, tmp_path):
    with Follower(WRITER, tmp_path) as other, stone(url, readonly=True) as reader:
        assert other.ask("1") == "11"
        assert compact(reader).after < 50_000
        assert other.ask("2") == "11"
        assert len(reader) == 11
    assert check(url).sound


@pytest.mark.parametrize("url", [SIZES["leveldb"]], indirect=True)
def test_a_store_on_leveldb_that_is_open_is_left_as_it_is(url):
    with stone(url) as store:
        with pytest.raises(StoreOpenError, match=r"store\.ldb"):
            compact(url)
        assert len(store) == 10


def test_what_cannot_be_compacted_says_what_else_to_do(url, run, tmp_path):
    with pytest.raises(StoreOpenError, match="there is no store at"):
        compact(f"{url}-none")
    copy(url, "json:store.json")
    assert "each commit writes its file anew" in run("compact", "json:store.json", code=1)
    assert "VACUUM FULL" in run("compact", "postgresql://nobody@localhost/x", code=1)
    with stone("memory:") as store, pytest.raises(UnsupportedError, match="it is in memory"):
        compact(store)
