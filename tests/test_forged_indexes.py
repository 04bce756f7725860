"""Whatever the metadata and the index space hold, check, repair and salvage end well.

Each raises an error of stones at most. What a repair can mend is mended after one, and a salvaged
store is sound.
"""

import json
import random
import shutil
from contextlib import contextmanager, suppress

import pytest
from attrs import define, field

from stones import Collection, Index, LmdbStore, StoneError, check, index, key, salvage, stone
from stones.engine import Space
from stones.engines.lmdb.engine import LmdbEngine
from stones.repair import file_check as check_module
from stones.repair.held_snapshot import HeldSnapshot

DATA, META, INDEX = Space.DATA, Space.META, Space.INDEX
PARTS = [
    *("defaults", "classes", "positions", "nested"),
    *("fields", "id", "paths", "each", "where", "state", "at"),
]
VALUES = [
    *(None, True, -1, 0, 1, 2**33, 1.5, "", "x", [], ["age"], ["a.city"], ["__class__"], {}),
    *("building", "failed", "ff", "@.age", "@.age == 1", {"age": 5}, [{"fields": ["city"]}]),
    *(
        {"a": {"A": 0}},
        {"a": {"A": 1}},
        {"a": ["{}[]", "[1]"]},
        {"a": ["[x"]},
        "\x1b[2J",
        "(" * 200 + "@.age == 1" + ")" * 200,
    ),
]
FORGED_KEYS = [
    *(b"index/users\0", b"index/users\0age", b"index/x\0age", b"index/", b"index/\xff\0a"),
    *(b"dropped/00000001", b"dropped/ffffffff", b"dropped/", b"indexid"),
]


@define
class Address:
    city: str = ""


@define
class User:
    name: str = key()
    age: int = index(default=0)
    a: Address = field(factory=Address)
    tags: list[str] = index(each=True, factory=list)


INDEXES = ["a.city", ("age", "name"), Index("age", where="@.age > 3"), Index("name", unique=True)]


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    path = tmp_path_factory.mktemp("sample") / "db"
    with stone(path, LmdbStore, serialize="json") as store:
        users = Collection(store, User, "users", indexes=INDEXES)
        users.add_many(User(f"{n}", n % 9, Address("x" * n), ["a"] * (n % 3)) for n in range(40))
    return path


def forge(draw, txn):
    """Change one entry of the metadata, of the indexes, or of the records."""
    kind = draw.choice(["meta", "meta", "meta", "index", "data"])
    if kind == "meta":
        keys = [x for x in txn.keys(META) if x not in (b"formats", b"generation", b"version")]
        chosen = draw.choice(keys)
        raw = changed(draw, txn.get(META, chosen))
        txn.put(META, draw.choice([chosen] * 4 + FORGED_KEYS[:1]), raw)
        if draw.random() < 0.3:
            txn.put(META, draw.choice(FORGED_KEYS), raw)
    elif kind == "index":
        entry = draw.choice([*txn.keys(INDEX)])
        if draw.random() < 0.5:
            txn.delete(INDEX, entry)
        other = bytearray(entry)
        other[draw.randrange(len(other))] = draw.randrange(256)
        size = draw.randrange(1, len(other) + 1)
        txn.put(INDEX, bytes(other[:size]), draw.randbytes(draw.randrange(4)))
    else:
        stored = draw.choice([*txn.keys(DATA)])
        txn.put(DATA, stored, b"\x02" + changed(draw, txn.get(DATA, stored)[1:]))


def changed(draw, raw):
    value = json.loads(raw)
    if not isinstance(value, dict):
        return str(draw.choice(VALUES)).encode()
    for _ in range(draw.randrange(1, 3)):
        part = draw.choice([*value, *PARTS])
        if draw.random() < 0.2:
            value.pop(part, None)
        else:
            value[part] = draw.choice(VALUES)
    return json.dumps(value).encode()


@contextmanager
def no_snapshot(path):
    """In the place of the child process, which takes most of the time."""
    yield HeldSnapshot(None, None)


@pytest.mark.parametrize("seed", range(60))
def test_forged_metadata_and_entries_are_no_more_than_errors_of_stones(
    sample, tmp_path, monkeypatch, seed
):
    monkeypatch.setattr(check_module, "hold", no_snapshot)
    path, new = tmp_path / "db", tmp_path / "new"
    shutil.copytree(sample, path)
    draw = random.Random(seed)
    engine = LmdbEngine.open(str(path))
    engine.write(lambda txn: [forge(draw, txn) for _ in range(draw.randrange(1, 4))])
    engine.close()

    with suppress(StoneError):
        check(path)
    with suppress(StoneError):
        repaired = check(path, repair=True)
        assert not repaired.mended or not any(each.repairable for each in repaired.findings)
    salvage(path, new)

    assert check(new).sound
