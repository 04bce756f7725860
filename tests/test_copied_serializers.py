"""Copies of values that do not note their serializer: those of stones 0.3 and of other programs.

A wrong name would make a store that nobody can read. So it is refused, and nothing is left behind.
"""

import dbm
import json
import os
import pickle
from contextlib import closing

import lmdb
import pytest
from attrs import define

from stones import DbmStore, FormatMismatchError, LmdbStore, MemoryStore, check, copy, stone
from stones.formats.stones03 import stones03_serializer

SAFE = ["json", "cbor", "msgpack"]
VALUES = {b"a": 1000, b"b": {b"x": [1.5, None]}, b"c": (b"text", True)}


def make(path, raws):
    """A database of stones 0.3 with these stored bytes."""
    with closing(lmdb.open(str(path))) as database, database.begin(write=True) as txn:
        for key, raw in raws.items():
            txn.put(key, raw)


def encoded(serializer):
    encode = stones03_serializer(serializer).encode
    return {key: encode(value) for key, value in VALUES.items()}


@pytest.mark.parametrize("serializer", ["pickle", *SAFE])
def test_the_serializer_of_the_values_makes_a_copy_that_is_read(serializer, tmp_path):
    make(tmp_path / "old", encoded(serializer))
    with LmdbStore(tmp_path / "old", serialize=serializer) as old:
        copy(old, f"sqlite:{tmp_path}/new")
        expected = dict(old)
    with stone(f"sqlite:{tmp_path}/new") as new:
        assert dict(new) == expected
    assert check(f"sqlite:{tmp_path}/new", trust_pickle=True).findings == ()


@pytest.mark.parametrize("named", ["pickle", *SAFE])
@pytest.mark.parametrize("serializer", ["pickle", *SAFE])
def test_another_serializer_is_refused_and_the_right_one_is_told(serializer, named, tmp_path):
    if serializer == named:
        return
    make(tmp_path / "old", encoded(serializer))
    match = (
        rf"nothing was copied: the value of b'\w' cannot be read by {named} .*{serializer}.* can"
    )
    with LmdbStore(tmp_path / "old", serialize=named) as old:
        with pytest.raises(FormatMismatchError, match=match):
            copy(old, tmp_path / "new")
        with pytest.raises(FormatMismatchError, match=match):
            copy(old, MemoryStore(serialize="json"))
    assert os.listdir(tmp_path) == ["old"]


def test_one_value_of_many_that_is_not_readable_is_named(tmp_path):
    raws = {b"%05d" % number: b"%d" % number for number in range(10, 3000)}
    make(tmp_path / "old", {**raws, b"02999": b"\xff"})
    with LmdbStore(tmp_path / "old", serialize="json") as old:
        with pytest.raises(FormatMismatchError, match=r"of b'02999' cannot be read by json \(Uni"):
            copy(old, tmp_path / "new")
        del old["02999"]
        assert copy(old, tmp_path / "new").entries == len(raws) - 1


def test_a_value_that_no_serializer_reads_is_named_as_well(tmp_path):
    make(tmp_path / "old", {b"what": b"\xc1\xc1"})
    with (
        LmdbStore(tmp_path / "old", serialize="json") as old,
        pytest.raises(FormatMismatchError, match="no serializer but noop can read it"),
    ):
        copy(old, tmp_path / "new")
    with LmdbStore(tmp_path / "old", serialize="noop") as old:
        assert copy(old, tmp_path / "new").entries == 1


def test_functions_of_the_user_are_called_too(tmp_path):
    make(tmp_path / "old", {b"a": b"12", b"b": b"no number"})
    functions = (lambda number: b"%d" % number, int)
    with (
        LmdbStore(tmp_path / "old", dump_load=functions) as old,
        pytest.raises(FormatMismatchError, match=r"of b'b' cannot be read by custom \(ValueError"),
    ):
        copy(old, tmp_path / "new")


@define
class Bomb:
    """Its pickle makes a folder when it is read."""

    path: str

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_no_pickle_is_run(tmp_path):
    pickled = pickle.dumps(Bomb(str(tmp_path / "run")))
    make(tmp_path / "old", {b"a": pickled})
    with LmdbStore(tmp_path / "old", serialize="pickle", trust_pickle=False) as old:
        copy(old, tmp_path / "new")
    with (
        LmdbStore(tmp_path / "old", serialize="json") as old,
        pytest.raises(FormatMismatchError, match="; pickle can read it;"),
    ):
        copy(old, tmp_path / "other")
    assert sorted(os.listdir(tmp_path)) == ["new", "old"]


def test_a_pickle_of_a_class_that_is_not_here_is_copied(tmp_path):
    raw = pickle.dumps(Bomb("x")).replace(b"mkdir", b"mkdxr")
    make(tmp_path / "old", {b"a": raw})
    with LmdbStore(tmp_path / "old", serialize="pickle") as old:
        assert copy(old, tmp_path / "new").entries == 1


def test_a_file_of_dbm_with_plain_bytes_is_not_copied_as_pickles(tmp_path):
    with dbm.open(str(tmp_path / "old"), "n") as old:
        old["a"] = b"plain"
    with (
        DbmStore(tmp_path / "old", serialize="pickle") as old,
        pytest.raises(FormatMismatchError, match=r"of b'a' cannot be read by pickle .*noop"),
    ):
        copy(old, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_the_command_names_the_serializer_that_reads_the_values(run, tmp_path):
    make(tmp_path / "old", encoded("cbor"))
    for more in ([], ["--to", "msgpack"]):
        wrong = ["--from", "json", *more]
        shown = run("copy", *wrong, tmp_path / "old", tmp_path / "new", code=1)
        assert "the value of b'a' cannot be read by json" in shown
        assert "cbor can read it" in shown
        assert os.listdir(tmp_path) == ["old"]
    run("copy", "--from", "cbor", tmp_path / "old", tmp_path / "new")
    run("check", tmp_path / "new")


@pytest.mark.parametrize("options", [[], ["--to", "msgpack"]])
def test_the_command_leaves_a_finished_copy_of_a_store_of_stones_03_as_it_is(
    options, run, tmp_path
):
    make(tmp_path / "old", encoded("cbor"))
    command = ["copy", "--json", "--from", "cbor", *options, tmp_path / "old", tmp_path / "new"]
    first = json.loads(run(*command))
    assert (first["entries"] > 0, first["resumed"]) == (True, False)
    again = json.loads(run(*command))
    assert (again["entries"], again["written"]) == (first["entries"], 0)
    with LmdbStore(tmp_path / "new") as twin:
        twin["own"] = 1
    assert "has entries that are not of a copy" in run(*command, code=1)
