"""LMDB files read page by page, against LMDB itself and py-lmdb's verifier, and with damage."""

import random
from contextlib import closing
from pathlib import Path

import lmdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lmdb.verify import VerifyError, verify

from stones.engines.lmdb.file.pages import DamageError, File
from stones.engines.lmdb.file.survey import MAIN, Survey
from stones.engines.lmdb.file_copy import meta_of
from stones.repair.held_snapshot import HeldSnapshot, hold

NAMES = (b"one", b"two")


def survey_of(path):
    """The survey of the last state of a file, and its trees as dicts."""
    with closing(File(str(Path(path, "data.mdb")))) as file:
        metas, wrong = file.metas()
        assert not wrong
        survey = Survey(file, metas[0])
        trees = {
            name: {
                entry.key: file.value(entry)
                for leaf in survey.walk(name).leaves()
                for entry in leaf.entries
            }
            for name in survey.trees
        }
        return survey, trees


def written(path, *, seed):
    """A file that many transactions have written, and what is in it."""
    draw = random.Random(seed)
    keys = [draw.randbytes(draw.choice([1, 3, 8, 200, 511])) for _ in range(draw.choice([3, 400]))]
    env = lmdb.open(str(path), map_size=1 << 28, max_dbs=2)
    for _ in range(draw.choice([1, 3, 20])):
        with env.begin(write=True) as txn:
            for _ in range(draw.choice([1, 30, 300])):
                db = env.open_db(draw.choice(NAMES), txn=txn)
                key = draw.choice(keys)
                if draw.random() < 0.3:
                    txn.delete(key, db=db)
                else:
                    txn.put(key, draw.randbytes(draw.choice([0, 8, 300, 2030, 5000])), db=db)
    with env.begin() as txn:
        names = [name for name in NAMES if txn.get(name) is not None]
        content = {name: dict(txn.cursor(env.open_db(name, txn=txn))) for name in names}
    env.close()
    return content


@pytest.mark.parametrize("seed", range(12))
def test_what_lmdb_wrote_is_read_and_found_sound(tmp_path, seed):
    content = written(tmp_path / "file", seed=seed)
    survey, trees = survey_of(tmp_path / "file")
    assert list(survey.problems()) == []
    assert trees == content


def test_a_long_value_that_became_shorter_in_its_transaction_keeps_its_pages(tmp_path):
    """py-lmdb's verifier takes these pages for damage, so `check` does not use the verifier."""
    with lmdb.open(str(tmp_path), map_size=1 << 20) as env, env.begin(write=True) as txn:
        txn.put(b"key", b"x" * 50_000)
        txn.put(b"key", b"short")
    assert verify(str(tmp_path))
    survey, _ = survey_of(tmp_path)
    assert list(survey.problems()) == []


@pytest.mark.parametrize("size", [512, 1024, 16384, 32768])
def test_pages_of_any_size_are_read(tmp_path, size):
    """LMDB uses the page size of the machine, and writes it into the meta pages."""
    with lmdb.open(str(tmp_path), map_size=1 << 20) as env, env.begin(write=True) as txn:
        txn.put(b"key", b"value")
    raw = bytearray((tmp_path / "data.mdb").read_bytes())
    for slot in (0, 1):
        raw[slot * 4096 + 40 : slot * 4096 + 44] = size.to_bytes(4, "little")
    moved = raw[:4096].ljust(size, b"\0")[:size] + raw[4096:8192]
    (tmp_path / "data.mdb").write_bytes(moved.ljust(10 * size, b"\0"))
    with closing(File(str(tmp_path / "data.mdb"))) as file:
        metas, wrong = file.metas()
        assert (len(metas), wrong, file.page_size) == (2, [], size)


@pytest.mark.parametrize("seed", range(60))
def test_damage_that_the_verifier_of_py_lmdb_sees_is_seen(tmp_path, seed):
    draw = random.Random(seed)
    with lmdb.open(str(tmp_path), map_size=1 << 26, max_dbs=2) as env:
        for _ in range(3):
            with env.begin(write=True) as txn:
                for _ in range(80):
                    db = env.open_db(draw.choice(NAMES), txn=txn)
                    txn.put(draw.randbytes(20), draw.randbytes(draw.choice([8, 100, 5000])), db=db)
    path = tmp_path / "data.mdb"
    raw = bytearray(path.read_bytes())
    at = draw.randrange(len(raw) // 4096) * 4096 + draw.choice(
        [draw.randrange(24), draw.randrange(4096)]
    )
    raw[at] ^= 1 << draw.randrange(8)
    path.write_bytes(raw)
    try:
        seen = verify(str(tmp_path))
    except VerifyError as error:
        seen = [str(error)]
    with closing(File(str(path))) as file:
        metas, wrong = file.metas()
        found = wrong or list(Survey(file, metas[0]).problems())
    assert found or not seen


@given(st.data())
def test_no_bytes_make_a_survey_fail_or_last(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "garbage"
    if not path.exists():
        written(path, seed=3)
        (path / "sound.mdb").write_bytes((path / "data.mdb").read_bytes())
    raw = bytearray((path / "sound.mdb").read_bytes())
    places = st.integers(0, len(raw) - 8) | st.integers(0, 30).map(lambda n: n * 4096 + n)
    for at in data.draw(st.lists(places, max_size=20)):
        raw[at : at + 8] = data.draw(st.binary(min_size=8, max_size=8))
    (path / "data.mdb").write_bytes(raw[: data.draw(st.integers(0, len(raw)))])
    with closing(File(str(path / "data.mdb"))) as file:
        for meta in file.metas()[0]:
            survey = Survey(file, meta)
            survey.distrust()
            survey.other_main(NAMES)
            list(survey.problems())
            for leaves in survey.orphan_leaves(NAMES).values():
                assert all(survey.orphan_entries(leaf) for leaf in leaves)
            for name in [MAIN, *survey.trees]:
                for leaf in survey.walk(name).leaves():
                    for entry in leaf.entries:
                        assert len(file.value(entry)) <= file.size


def test_a_page_behind_the_end_is_an_error(tmp_path):
    (tmp_path / "data.mdb").write_bytes(b"short")
    with closing(File(str(tmp_path / "data.mdb"))) as file:
        file.page_size = 4096
        with pytest.raises(DamageError, match="behind the end"):
            file.read(0)


# -- held snapshots ----------------------------------------------------------------------------


def test_the_pages_of_a_held_snapshot_stay_while_others_write(tmp_path):
    with lmdb.open(str(tmp_path), map_size=1 << 24) as env:
        with env.begin(write=True) as txn:
            txn.put(b"key", b"before" * 2000)
        with hold(str(tmp_path)) as snapshot:
            for number in range(50):
                with env.begin(write=True) as txn:
                    txn.put(b"key", b"%d" % number * 5000)
            with closing(File(str(tmp_path / "data.mdb"))) as file:
                file.page_size = snapshot.meta.page_size
                survey = Survey(file, snapshot.meta)
                assert list(survey.problems()) == []
                [leaf] = survey.walk(MAIN).leaves()
                assert file.value(leaf.entries[0]) == b"before" * 2000
        assert env.reader_check() == 0


def test_a_meta_page_is_the_state_of_its_transaction(tmp_path):
    with lmdb.open(str(tmp_path), map_size=1 << 24) as env:
        for number in range(1, 4):
            with env.begin(write=True) as txn:
                txn.put(b"key", b"value")
            meta, txn = meta_of(str(tmp_path), env.begin, lambda txn: txn.id())
            assert (meta.txnid, txn.id()) == (number, number)
            txn.abort()


@pytest.mark.parametrize("signal", ["SEGV", "BUS", "KILL"])
def test_the_death_of_the_process_that_opens_the_file_is_told(tmp_path, monkeypatch, signal):
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\nkill -{signal} $$\n")
    python.chmod(0o700)
    monkeypatch.setattr("sys.executable", str(python))
    with hold(str(tmp_path)) as snapshot:
        expected = f"a process that opens it with LMDB ends with SIG{signal}"
        assert snapshot == HeldSnapshot(None, expected)


def test_a_process_that_cannot_be_started_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.executable", "")
    with hold(str(tmp_path)) as snapshot:
        assert "no process could be started" in snapshot.problem


def test_a_file_of_another_kind_is_told(tmp_path):
    (tmp_path / "data.mdb").write_bytes(b"text " * 5000)
    with hold(str(tmp_path)) as snapshot:
        assert "LMDB cannot open it" in snapshot.problem
