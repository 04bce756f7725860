"""A store that somebody sent runs no code: with a safe serializer named, or on the command line.

Whatever is in the file, each use of it ends right or in a StoneError that says what is wrong. This
is about what is in the entries; a hostile page structure is LMDB's matter (docs, "What is in the
file"). Reading pickles where that is asked for is in test_formats.
"""

import io
import json
import pickle
import re
import sys
from collections.abc import Iterator

import cbor2
import lmdb
import msgpack
import pytest
from attrs import define

from stones import Collection, CorruptValueError, LmdbStore, MemoryStore, StoneError, key, migrate
from stones.command_line.main import main
from stones.engine import Space
from stones.formats.checksums import CHECKSUM_BIT, with_checksum
from stones.formats.metadata import IDS
from stones.formats.registered_types import UnknownValue
from stones.formats.serializers import serializer
from stones.stores.store import Store

from .hostile import Bomb

SAFE = ["json", "cbor", "msgpack", "noop"]
NAMES = [b"key", b"User/ada", b"list", b"zz"]


@define
class User:
    email: str = key()
    age: int = 0


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "db")


# -- what may be in the file -----------------------------------------------------------------------


def metadata(write, *formats, migration=None, checksums=False):
    listed = [{"id": id, "serializer": name} for id, name in formats]
    stored = {"write": write, "checksums": checksums, "formats": listed, "migration": migration}
    return json.dumps(stored).encode()


LISTED = [(id, name) for name, id in IDS.items() if name != "pickle"]
DEEP = b"[" * 100_000 + b"]" * 100_000
HUGE = b"9" * 100_000
CONTROL = "\x1b[2J\x00\ud800"
DESCRIBED = {"record": "User", "key": "str", "fields": ["email", "age"]}

META = {
    "pickle is written": [(b"formats", metadata(1, (1, "pickle"), *LISTED))],
    "pickle is listed": [(b"formats", metadata(2, (1, "pickle"), *LISTED))],
    "pickle has the number of json": [(b"formats", metadata(2, (2, "pickle")))],
    "all numbers are pickle": [
        (b"formats", metadata(2, *[(id, "pickle") for id in range(256)], migration="x"))
    ],
    "a migration to pickle": [(b"formats", metadata(1, (1, "pickle"), *LISTED, migration="x"))],
    "a pickle of stones 0.3": [(b"formats", metadata(32, (32, "pickle-0.3"), *LISTED))],
    "custom": [(b"formats", metadata(32, (32, "custom"), *LISTED))],
    "an unknown name": [(b"formats", metadata(32, (32, "yaml"), *LISTED))],
    "the name of a module": [(b"formats", metadata(32, (32, "os.system"), *LISTED))],
    "a name that leads elsewhere": [(b"formats", metadata(32, (32, "../../x"), *LISTED))],
    "a name that is none": [(b"formats", metadata(2, (2, CONTROL)))],
    "a very long name": [(b"formats", metadata(2, (2, "x" * 100_000)))],
    "numbers that are none": [
        (b"formats", metadata(id, (id, "json"))) for id in (-1, 256, 10**30, 2.5, "2", None, True)
    ],
    "a number of many digits": [(b"formats", b'{"write": %s, "formats": []}' % HUGE)],
    "deep": [(b"formats", DEEP), (b"formats", b'{"formats": %s}' % DEEP)],
    "no JSON": [(b"formats", raw) for raw in (b"", b"\xff", b"{", b"nul", b"\x00", b"'a'")],
    "other JSON": [
        (b"formats", raw)
        for raw in (b"null", b"7", b"[]", b'"text"', b"{}", b"[[]]", b'{"formats": {"a": 1}}')
    ],
    "formats of other types": [
        (
            b"formats",
            json.dumps(
                {"write": 2, "checksums": False, "migration": None, "formats": formats}
            ).encode(),
        )
        for formats in ([1], ["x"], [None], [[2, "json"]], [{}], [{"id": 2}], "json", 7, None)
    ],
    "serializers of other types": [
        (b"formats", metadata(2, (2, name))) for name in (None, 7, ["json"], {"json": 1})
    ],
    "what is written of other types": [
        (b"formats", metadata(write, (2, "json"))) for write in ([], {}, "json", None, 99, 2.0)
    ],
    "a migration of another type": [
        (b"formats", metadata(2, *LISTED, migration=id)) for id in (7, [], {"a": 1}, True)
    ],
    "checksums of another type": [
        (b"formats", metadata(2, *LISTED, checksums=wrong)) for wrong in (None, 1, "yes", [], {})
    ],
    "checksums that are not there": [(b"formats", metadata(2, *LISTED, checksums=True))],
    "a layout": [
        (b"version", raw)
        for raw in (b"3", b"", b"\xff" * 100_000, CONTROL.encode("utf-8", "surrogatepass"))
    ],
    "a generation": [(b"generation", raw) for raw in (b"", b"-", HUGE, b"\xff", b"x" * 100_000)],
    "a collection that is none": [
        (b"collection/User", raw)
        for raw in (b"", b"\xff", b"null", b"7", b"[]", b"{}", b'[["key", "str"]]', DEEP, HUGE)
    ],
    "a collection of other types": [
        (b"collection/User", json.dumps({**DESCRIBED, **changed}).encode())
        for changed in (
            {"key": 7},
            {"key": None},
            {"key": CONTROL},
            {"record": ["User"]},
            {"record": "User", "fields": None},
            {"record": "Other", "fields": "email"},
            {"record": "Other", "fields": [7, {}]},
            {"record": CONTROL, "fields": [CONTROL]},
        )
    ],
    "a name of a collection": [
        (b"collection/" + name, json.dumps(DESCRIBED).encode())
        for name in (b"", b"\xff", b"a/b", b"\x1b[2J", b"x" * 400, b"a b", "größe".encode())
    ],
    "a count": [
        (b"count/User", raw)
        for raw in (b"", b"x", b"-5", b"1.5", b" 1", b"1_0", b"0x1", HUGE, b"9" * 19, b"\xb2", b"0")
    ],
    "what nobody knows": [(b"", b"") for _ in ()] or [(b"ledger", b"x"), (b"\xff", b"")],
}


def values(bomb) -> Iterator[bytes]:
    """Hostile bytes for a value."""
    pickled = pickle.dumps(Bomb(bomb))
    for id in [*range(8), 31, 32, 33, 128, 255]:
        yield bytes([id]) + pickled
    yield pickled
    yield b""
    for inner in (pickled, b"\x01" + pickled):
        yield b"\x02" + serializer("json").encode(inner)
        yield b"\x03" + cbor2.dumps(cbor2.CBORTag(27, ["pickle", inner]))
        yield b"\x03" + cbor2.dumps(cbor2.CBORTag(27, ["os.mkdir", [str(bomb)]]))
        yield b"\x04" + msgpack.packb(msgpack.ExtType(99, inner))
        yield b"\x02" + json.dumps({"$pickle": inner.decode("latin-1")}).encode()
        yield b"\x02" + json.dumps({"py/object": "os.mkdir", "$os.mkdir": str(bomb)}).encode()
    for id in range(2, 6):
        yield bytes([id]) + DEEP
        yield bytes([id]) + HUGE
        yield bytes([id]) + b"\xff" * 50
    for registered in (
        UnknownValue("numpy.ndarray", ["|O", [1], "C", pickled[:8]]),
        UnknownValue("numpy.ndarray", ["<f8", [2**40], "C", b""]),
        UnknownValue("numpy.ndarray", ["<U1", [1], "C", b"\xff" * 4]),
        UnknownValue("numpy.object_", inner),
        UnknownValue("pathlib.Path", str(bomb)),
        UnknownValue("pathlib.os.mkdir", str(bomb)),
        UnknownValue("os.mkdir", str(bomb)),
        UnknownValue(CONTROL, [HUGE]),
        {"email": "ada", "age": UnknownValue("other", 1)},
        {"email": UnknownValue("fractions.Fraction", [1, 0])},
    ):
        yield b"\x02" + serializer("json").encode(registered)
        yield b"\x03" + serializer("cbor").encode(registered)
        yield b"\x04" + serializer("msgpack").encode(registered)
    for record in [
        *(None, 7, [], "text", {}),
        {"email": 5},
        {"email": CONTROL, "age": "x"},
        {"email": "ada", "age": 10**5000},
        {"email": "ada", "age": "x" * 100_000},
        {"no": 1, 10**5000: 2, CONTROL: 4},
        {"x" * 100_000: 3},
        {CONTROL: 3},
        {10**5000: 3},
    ]:
        yield b"\x02" + serializer("json").encode(record)
    for value in [10**5000, CONTROL, [CONTROL], nested(390), b"\xff\x1b[2J"]:
        yield b"\x02" + serializer("json").encode(value)
        yield b"\x03" + serializer("cbor").encode(value)
        yield b"\x04" + serializer("msgpack").encode(value)
    for zone in ("\x1b[2J", "\ud800", "Europe", "../../etc/passwd", "x" * 100_000, "[" * 100_000):
        yield b"\x02" + json.dumps({"$datetime": f"2024-05-06T07:08:09[{zone}]"}).encode()


def nested(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


def plant(store, name, entries):
    """Fill a new store with something, and with `entries` in raw form."""
    if name != "noop":
        users(store).add(User("ada", 36))
        store["list"] = [1]
    store["key"] = b"value"

    def change(txn):
        for space, at, raw in entries:
            txn.put(space, at, raw)

    store.database.engine.write(change)


def write_file(path, name, *entries):
    """A store at `path` that somebody has made, written by the serializer `name`."""
    with LmdbStore(path, serialize=name, durability="none") as store:
        plant(store, name, entries)


def write_memory(name, *entries):
    """The same in memory, where it takes no time."""
    store = MemoryStore(serialize=name)
    plant(store, name, entries)
    return store


class Received(MemoryStore):
    """A store in memory that was not empty when it was opened."""

    def __init__(self, made, **options):
        self.made = made  # dropped, it would close the engine
        Store.__init__(self, made.database.engine, name="received", **options)


# -- what is done with it --------------------------------------------------------------------------


def users(store):
    return Collection(store, User)


USES = [
    len,
    list,
    repr,
    lambda store: store["key"],
    lambda store: store.get("User/ada"),
    lambda store: store.get_many(NAMES),
    lambda store: list(store.items()),
    lambda store: list(store.values()),
    lambda store: dict(store.range(prefix="k")),
    lambda store: store.stats(),
    lambda store: dict(store.snapshot()),
    lambda store: store.snapshot()["key"],
    lambda store: store.copy(),
    lambda store: store == {b"key": 1},
    lambda store: len(users(store)),
    lambda store: repr(users(store)),
    lambda store: users(store)["ada"],
    lambda store: list(users(store)),
    lambda store: list(users(store).items()),
    lambda store: list(users(store).find(age=36)),
    lambda store: list(users(store).find("$[?(@.age > 1)]")),
    lambda store: list(users(store).find("$[?(@.email == $[0].email)]")),
    lambda store: list(users(store).search("$..age")),
    lambda store: list(users(store).search("$[*].age")),
    lambda store: users(store).find().count(),
    lambda store: len(Collection(store.snapshot(), User)),
    lambda store: users(store).update("ada", age=1),
    lambda store: users(store).modify("ada", lambda user: None),
    lambda store: users(store).setdefault("ada", User("ada")),
    lambda store: users(store).put(User("bob")),
    lambda store: users(store).add(User("carl")),
    lambda store: users(store).delete("carl"),
    lambda store: users(store).pop("bob", None),
    lambda store: users(store).popitem(),
    lambda store: store.deep_add("list", 2),
    lambda store: store.deep_remove("list", 2),
    lambda store: store.setdefault("key", b"x"),
    lambda store: store.pop("key"),
    lambda store: store.popitem(),
    lambda store: store.update(new=b"x"),
    lambda store: store.put("User/x", b"x"),
    lambda store: migrate(store, "json"),
    lambda store: migrate(store, "msgpack"),
    lambda store: users(store).clear(),
    lambda store: store.clear(),
    len,
]


def use(source, name, bomb):
    """All uses of what is at a path, or of another store's. How many of them were refused."""
    trust = {"trust_pickle": False} if name is None else {}
    opener = LmdbStore if isinstance(source, str) else Received
    refused = 0
    try:
        store = opener(source, serialize=name, value_type=list, **trust)
    except StoneError as error:
        check_message(str(error))
        return 1
    with store:
        for number, use in enumerate(USES):
            try:
                use(store)
            except StoneError as error:
                check_message(str(error))
                refused += 1
            except KeyError as error:  # as of a dict
                check_key(error.args[0])
            assert not bomb.exists(), number
    return refused


def check_key(key):
    assert key in ("key", "ada", "bob") or re.fullmatch(r"popitem\(\): .* is empty", key)


def check_message(message):
    assert 20 < len(message) < 1000, message[:1000]
    # The help after a misfit of a class has lines of its own. No value may add one.
    assert all(line.isprintable() for line in message.split("\n")), message


@pytest.mark.parametrize("name", [*SAFE, None])
def test_whatever_is_in_a_value_it_is_read_or_refused_and_never_run(bomb, name):
    refused = 0
    for raw in values(bomb):
        entries = [(Space.DATA, at, raw) for at in (b"key", b"User/ada", b"list", b"zz")]
        formats = metadata(IDS[name or "json"], (1, "pickle"), *LISTED, migration="x")
        entries.append((Space.META, b"formats", formats))
        refused += use(write_memory(name or "json", *entries), name, bomb)
    assert refused > 100
    assert not bomb.exists()


@pytest.mark.parametrize("checksums", [True, False])
@pytest.mark.parametrize("name", [*SAFE, None])
def test_a_right_checksum_does_not_make_a_pickle_trusted(bomb, name, checksums):
    pickled = pickle.dumps(Bomb(bomb))
    for id in (1, 2, 3, 4, 5, 32, 127):
        first = bytes([id | CHECKSUM_BIT])
        entries = [(Space.DATA, at, with_checksum(first, at, pickled)) for at in NAMES]
        written = IDS[name or "json"]
        formats = metadata(written, (1, "pickle"), *LISTED, migration="x", checksums=checksums)
        entries.append((Space.META, b"formats", formats))
        use(write_memory(name or "json", *entries), name, bomb)
    assert not bomb.exists()


@pytest.mark.parametrize("what", META)
@pytest.mark.parametrize("name", [*SAFE, None])
def test_whatever_the_metadata_says_it_is_taken_or_refused_and_nothing_is_run(bomb, name, what):
    pickled = pickle.dumps(Bomb(bomb))
    for at, raw in META[what]:
        data = [(Space.DATA, b"%d" % id, bytes([id]) + pickled) for id in (1, 2, 5, 32)]
        use(write_memory(name or "json", *data, (Space.META, at, raw)), name, bomb)
    assert not bomb.exists()


@pytest.mark.parametrize("count", [b"", b"x", b"-5", b" 1", HUGE, b"9" * 19])
def test_a_count_that_is_none_is_an_error_that_names_the_collection(path, count):
    write_file(path, "json", (Space.META, b"count/User", count))
    with LmdbStore(path, serialize="json") as store:
        for uses in [lambda: len(users(store)), store.stats, lambda: users(store).add(User("new"))]:
            with pytest.raises(CorruptValueError, match="count of the collection 'User' is"):
                uses()
        assert "ada" in users(store)
        assert "new" not in users(store)
        users(store).clear()
        assert len(users(store)) == 0


def test_a_count_that_is_too_low_is_found_when_it_would_become_less_than_none(path):
    write_file(path, "json", (Space.META, b"count/User", b"0"))
    with LmdbStore(path, serialize="json") as store:
        with pytest.raises(CorruptValueError, match="'User' is too low"):
            users(store).delete("ada")
        assert "ada" in users(store)


# -- databases of stones 0.3 -----------------------------------------------------------------------


def legacy_values(bomb):
    pickled = pickle.dumps(Bomb(bomb))
    yield pickled
    yield b"\x01" + pickled
    yield json.dumps(["__(,)__", pickled.decode("latin-1")]).encode()
    yield cbor2.dumps(cbor2.CBORTag(38, [pickled]))
    yield cbor2.dumps(cbor2.CBORTag(28, [cbor2.CBORTag(29, 0)]))
    yield msgpack.packb([b"__{,}__", pickled, {}])
    yield from (b"", b"\xff", DEEP, HUGE)


@pytest.mark.parametrize("name", SAFE)
def test_a_database_of_stones_0_3_is_read_or_refused_and_never_run(tmp_path, bomb, name):
    for number, raw in enumerate(legacy_values(bomb)):
        path = str(tmp_path / f"db-{number}")
        with lmdb.open(path, sync=False) as env, env.begin(write=True) as txn:
            for at in NAMES:
                txn.put(at, raw)
        use(path, name, bomb)
    assert not bomb.exists()


# -- the command line ------------------------------------------------------------------------------

COMMANDS = [
    ["info"],
    ["info", "--json"],
    ["keys"],
    ["get", "key"],
    ["get", "key", "--json"],
    ["get", "key", "--raw"],
    ["get", "User/ada"],
    ["put", "new", "1"],
    ["put", "User/x", '{"name": "x"}'],
    ["delete", "list"],
    ["migrate", "--to", "json"],
    ["migrate", "--to", "msgpack"],
]


@pytest.fixture
def run(monkeypatch, capfdbinary):
    """Runs `stones ARGUMENTS`, checks that what it says can be shown, and gives its exit code."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["stones", *arguments])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
        with pytest.raises(SystemExit) as exit:
            main()
        shown, errors = capfdbinary.readouterr()
        shown = shown.decode(errors="replace" if "--raw" in arguments else "strict")
        errors = errors.decode()
        if exit.value.code == 0:
            assert errors == ""
            assert "--raw" in arguments or shown.replace("\n", "").isprintable(), shown
        else:
            assert shown == ""
            assert re.fullmatch("stones: [^\n]{10,1000}\n", errors), errors[:1000]
            assert errors[:-1].isprintable(), errors
        return exit.value.code

    return run


def test_no_command_runs_what_is_in_a_value(path, bomb, run):
    formats = metadata(2, (1, "pickle"), *LISTED, migration="x")
    data = [(Space.DATA, b"%03d" % number, raw) for number, raw in enumerate(values(bomb))]
    write_file(path, "json", (Space.META, b"formats", formats), *data)
    codes = set()
    for _, at, raw in data:
        for form in ([], ["--json"], ["--raw"]):
            codes.add(run("get", path, at.decode(), *form))
        assert not bomb.exists(), raw[:100]
    assert codes == {0, 1}
    for command, *rest in COMMANDS:
        run(command, path, *rest)
    assert run("migrate", path, "--to", "cbor") == 1
    assert not bomb.exists()


@pytest.mark.parametrize("what", META)
def test_no_command_runs_what_the_metadata_says(tmp_path, bomb, run, what):
    pickled = pickle.dumps(Bomb(bomb))
    for number, (at, raw) in enumerate(META[what]):
        path = str(tmp_path / f"db-{number}")
        data = [(Space.DATA, at, b"\x01" + pickled) for at in (b"key", b"User/ada")]
        write_file(path, "json", *data, (Space.META, at, raw))
        assert {run(command, path, *rest) for command, *rest in COMMANDS} <= {0, 1}
    assert not bomb.exists()


@pytest.mark.parametrize("name", SAFE)
def test_no_command_runs_what_is_in_a_database_of_stones_0_3(tmp_path, bomb, run, name):
    for number, raw in enumerate(legacy_values(bomb)):
        path = str(tmp_path / f"db-{number}")
        with lmdb.open(path, sync=False) as env, env.begin(write=True) as txn:
            for at in NAMES:
                txn.put(at, raw)
        for command, *rest in COMMANDS:
            written_by = [] if command == "info" else ["--from", name]
            assert run(command, path, *rest, *written_by) in (0, 1)
    assert not bomb.exists()
