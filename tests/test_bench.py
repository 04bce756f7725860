"""`stones bench`: how fast a store is, measured without a trace in the store."""

import hashlib
import json
import os
from pathlib import Path

import pytest
from attrs import define

from stones import Collection, LmdbStore, index, key, stone
from stones.command_line.bench_command import shown_time
from stones.errors import StoreOpenError
from stones.repair.scratch import scratch_store
from stones.repair.speed import measure_speed

from .test_command_line import run_process
from .test_command_line_urls import kind, opened, place

__all__ = ["kind", "place"]
KINDS = ["path", "sqlite", "leveldb", "json", "dbm", "redis", "postgres"]


@define
class Note:
    id: int = key()
    text: str = index()


def fill(place, **options):
    with opened(place, **options) as store:
        store.update({f"key-{n}": {"n": n} for n in range(300)})
        Collection(store, Note).add_many(Note(n, f"note {n}") for n in range(300))
    return store


def bench(*arguments):
    code, out, errors = run_process("bench", *arguments, "--seconds", "0.02")
    assert code == 0, errors
    return [json.loads(line) for line in out.decode().splitlines()], errors


@pytest.mark.parametrize("kind", KINDS, indirect=True)
def test_it_measures_reads_scans_and_writes_on_each_engine(kind, place):
    fill(place, serialize="json")
    with opened(place) as store:
        before = dict(store)
    rows, errors = bench(place)
    measures = [row["measure"] for row in rows]
    assert measures[:5] == ["get", "keys", "items", "put", "put_many"]
    assert measures[5:] == ([] if kind in ("redis", "postgres") else ["sync"])
    assert all(row["rate"] > 0 and row["count"] > 0 and row["what"] for row in rows)
    for row in (rows[0], rows[3]):  # timed one by one
        assert 0 < row["median"] <= row["p99"]
    assert "temporary" in errors
    with opened(place) as store:
        assert dict(store) == before
        assert len(Collection(store, Note)) == 300


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "lock.mdb"
    }


@pytest.mark.parametrize("scheme", ["lmdb", "json", "dbm"])
def test_no_byte_of_the_store_changes_and_nothing_is_left_beside_it(tmp_path, scheme):
    place = f"{scheme}:{tmp_path}/db"
    with stone(place, serialize="json") as store:
        store.update({str(n): n for n in range(100)})
    before = contents(tmp_path)
    bench(place)
    assert contents(tmp_path) == before


def test_a_store_that_is_packed_is_measured_as_it_is_written(tmp_path):
    key_file = tmp_path / "secret.key"
    key_file.write_text("ab" * 32)
    path = str(tmp_path / "db")
    with LmdbStore(path, serialize="json", compress="zstd", encrypt=b"\xab" * 32) as store:
        store.update({str(n): "text" * 100 for n in range(100)})
        with scratch_store(store, path) as scratch:
            scratch.store.update({"secret": "ö" * 1000})
            written = scratch.store.database.codec.metadata.write
            raw = b"".join(file.read_bytes() for file in Path(scratch.shown).glob("data*"))
            assert written.compression == "zstd"
            assert written.encryption
            assert "ö".encode() * 10 not in raw
    rows, _ = bench(path, "--key-file", str(key_file))
    assert "put" in [row["measure"] for row in rows]


def test_an_empty_store_has_no_reads(tmp_path):
    path = str(tmp_path / "db")
    LmdbStore(path).close()
    rows, _ = bench(path)
    assert [row["measure"] for row in rows] == ["keys", "sync"]


def test_where_nothing_can_be_written_the_reads_are_measured(tmp_path):
    path = str(tmp_path / ("x" * 250))  # a longer name cannot be beside it
    fill(path, serialize="json")
    rows, errors = bench(path)
    assert [row["measure"] for row in rows] == ["get", "keys", "items"]
    assert "writes were not measured" in errors


def test_where_no_scratch_store_can_be_made_a_note_says_why(tmp_path, monkeypatch):
    path = str(tmp_path / "db")
    with LmdbStore(path, serialize="json") as store:
        store["a"] = 1
        report = measure_speed(store, "unknown://somewhere", seconds=0.01)
    assert [speed.name for speed in report.speeds] == ["get", "keys", "items"]
    assert "writes were not measured: " in report.notes[-1]


@pytest.mark.parametrize("name", [".", "./", "../db", "../db/"])
def test_the_scratch_store_is_never_inside_the_store(tmp_path, monkeypatch, name):
    path = tmp_path / "db"
    with LmdbStore(str(path)) as store:
        monkeypatch.chdir(path)
        before = sorted(os.listdir(path))
        with scratch_store(store, name) as scratch:
            assert sorted(os.listdir(path)) == before
            assert os.path.dirname(os.path.abspath(scratch.shown)) == str(tmp_path)


def test_an_error_removes_the_scratch_store(tmp_path):
    path = str(tmp_path / "db")
    with LmdbStore(path) as store, pytest.raises(StoreOpenError), scratch_store(store, path):
        raise StoreOpenError("stop")
    assert os.listdir(tmp_path) == ["db"]


def test_pickles_are_read_only_when_told_so(tmp_path):
    path = str(tmp_path / "db")
    with LmdbStore(path, serialize="pickle") as store:
        store["a"] = 1
    code, _, errors = run_process("bench", path)
    assert code == 1
    assert "--trust-pickle" in errors
    assert bench(path, "--trust-pickle")[0]


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "x", ""])
def test_a_time_that_is_none_is_refused(run, tmp_path, seconds):
    LmdbStore(str(tmp_path / "db")).close()
    assert "--seconds" in run("bench", tmp_path / "db", "--seconds", seconds, code=2)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (2.5e-7, "250 ns"), (1.234e-5, "12.3 µs"), (0.45, "450 ms"), (12.0, "12 s")],
)
def test_times_are_for_people(seconds, text):
    assert shown_time(seconds) == text
