"""Keys of records on the command line: `stones get my-db Note 1`."""

import shlex
from ast import literal_eval
from datetime import UTC, date, datetime
from uuid import UUID

import pytest
from attrs import define

from stones import Collection, LmdbStore, key
from stones.engine import Space

from .test_command_line import run_process


@define
class Note:
    id: int = key()


@define
class Person:
    email: str = key()


@define
class Visit:
    city: str = key()
    number: int = key()


@define
class Raw:
    id: bytes = key()


@define
class Event:
    id: UUID = key()


@define
class Day:
    day: date = key()


@define
class Moment:
    at: datetime = key()


@define
class Nested:
    place: tuple[str, tuple[int, date]] = key()
    id: UUID = key()


@define
class Generated:
    text: str


ID = UUID(int=5)
RECORDS = [
    *map(Note, (0, 1, -5, 2**1000)),
    *map(Person, ("", "ada@example.org", "-x", "-5", "O'Neill & Söhne", "a\n\\b", "Note 1", "\0")),
    *(Visit(city, number) for city in ("Paris", "New York", "") for number in (7, -1)),
    *map(Raw, (b"", b"\xff\0", b"a b", b"/")),
    Event(ID),
    Day(date(2024, 2, 29)),
    *map(Moment, (datetime(2024, 2, 29, 7), datetime(2024, 2, 29, 7, 0, 0, 1, tzinfo=UTC))),
    Nested(("a", (-1, date(1, 1, 1))), ID),
    Generated("x"),
]
PLAIN = ["plain", "sp ace", "-dash", "--", "raw\xff\n", "Note", "Note 1", "Other/1", "$HOME", "'"]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("typed") / "db")
    with LmdbStore(path, serialize="json") as store:
        store.update((plain.encode("latin-1"), plain) for plain in PLAIN)
        for record in RECORDS:
            Collection(store, type(record)).add(record)
    return path


def shown(done):
    code, out, errors = done
    assert (code, errors) == (0, "")
    return out.decode().removesuffix("\n")


@pytest.mark.parametrize(
    ("words", "record"),
    [
        (["Note", "1"], {"id": 1}),
        (["Note", "-5"], {"id": -5}),
        (["Note", "+1"], {"id": 1}),
        (["Note/1"], {"id": 1}),
        (["Note/-5"], {"id": -5}),
        (["Note", str(2**1000)], {"id": 2**1000}),
        (["Person", "ada@example.org"], {"email": "ada@example.org"}),
        (["Person/ada@example.org"], {"email": "ada@example.org"}),
        (["Person", ""], {"email": ""}),
        (["--", "Person", "-x"], {"email": "-x"}),
        (["Person", r"a\n\\b"], {"email": "a\n\\b"}),
        (["Visit", "Paris", "7"], {"city": "Paris", "number": 7}),
        (["Visit", "New York", "-1"], {"city": "New York", "number": -1}),
        (["Raw", r"\xff\x00"], {"id": b"\xff\0"}),
    ],
)
def test_a_record_is_found_by_the_parts_of_its_key(path, words, record):
    assert literal_eval(shown(run_process("get", path, *words))) == record


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["Event", str(ID)], str(ID)),
        ([f"Event/{ID}"], str(ID)),
        (["Day", "2024-02-29"], "2024, 2, 29"),
        (["Moment", "2024-02-29 07:00"], "2024, 2, 29, 7, 0)"),
        (["Moment", "2024-02-29T09:00:00.000001+02:00"], "7, 0, 0, 1, tzinfo"),
        (["Nested", "a", "-1", "0001-01-01", str(ID)], "('a', (-1, "),
    ],
)
def test_a_key_may_have_any_type(path, words, text):
    assert text in shown(run_process("get", path, *words))


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["Note", "x"], 2, "x is not of type int; a key of the collection Note is of type int"),
        (["Note", "1.5"], 2, "not of type int"),
        (["Note", "1", "2"], 2, "of type int: type 1 part, not 2"),
        (["Visit", "Paris"], 2, "of type tuple[str, int]: type 2 parts, not 1"),
        (["Visit", "Paris", "x"], 2, "x is not of type int; a key of the collection Visit is of"),
        (["Day", "29.2.2024"], 2, "not of type date"),
        (["Event", "5"], 2, "not of type UUID"),
        (["Person", r"\xff"], 2, r"\xff is not of type str"),
        (["Note", "99"], 3, "there is no key Note 99 in"),
        (["Nothing", "1"], 3, "there is no collection Nothing in"),
        (["sp", "ace"], 3, "a key with spaces in it is typed in quotes"),
        (["Note/99"], 3, "there is no key Note/99 in"),
        (["Person/99"], 3, "there is no key Person/99 in"),
        (["Other/2"], 3, "there is no key Other/2 in"),
    ],
)
def test_what_is_no_key_of_the_collection_is_refused(path, words, code, message):
    found, out, errors = run_process("get", path, *words)
    assert (found, out) == (code, b"")
    assert message in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize("command", [["delete"], ["put", "{}"]])
def test_a_key_that_no_record_of_the_collection_can_have_is_not_written(tmp_path, command):
    path = str(tmp_path / "db")
    with LmdbStore(path, serialize="json") as store:
        Collection(store, Visit).add(Visit("Paris", 7))
    name, *value = command
    code, _, errors = run_process(name, path, "Visit/Paris", *value)
    assert code == 1
    assert "belongs to the collection 'Visit'" in errors


def test_a_key_that_is_the_name_of_a_collection_is_a_key(path):
    assert shown(run_process("get", path, "Note")) == "'Note'"
    assert shown(run_process("get", path, "Note 1")) == "'Note 1'"


def test_keys_are_shown_as_they_can_be_typed_again(path):
    lines = shown(run_process("keys", path, "--typed")).split("\n")
    assert len(lines) == len(PLAIN) + len(RECORDS)
    assert {"Note 1", "Note -5", "Visit Paris 7", "Visit 'New York' -1", "plain"} < {*lines}
    assert {"'Note 1'", "Person ada@example.org", "-- -dash", "Person ''"} < {*lines}
    with LmdbStore(path, readonly=True) as store:
        for line, value in zip(lines, store.values(), strict=True):
            words = shlex.split(line)
            out = shown(run_process("get", path, *words))
            if "datetime" not in out and "UUID" not in out:
                assert literal_eval(out) == value


def test_keys_are_shown_as_they_are_unless_told_otherwise(path):
    lines = shown(run_process("keys", path)).split("\n")
    assert {"Person/ada@example.org", "plain", r"Note/\x81\x01", "Day/2024-02-29"} < {*lines}
    for line in lines[::5]:
        assert run_process("get", path, "--", line)[0] == 0


def test_a_damaged_key_of_a_collection_is_shown_as_it_is(tmp_path):
    path = str(tmp_path / "db")
    with LmdbStore(path) as store:
        store["Note/damaged"] = 1
        store["Later/1"] = 1
    with LmdbStore(path) as store:
        claim = b'{"record": "Note", "key": "int", "fields": ["id"]}'
        store.database.engine.write(lambda txn: txn.put(Space.META, b"claim/Note", claim))
    code, out, _ = run_process("keys", path, "--typed")
    assert (code, out) == (0, b"Later/1\nNote/damaged\n")
