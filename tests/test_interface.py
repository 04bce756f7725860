"""The public face shows itself: names, signatures, types, and how a name chooses the store."""

import doctest
import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import stones
from stones import (
    CheckReport,
    DamageFinding,
    LmdbStore,
    MemoryStore,
    SalvageReport,
    Store,
    StoreOpenError,
    ValueTypeError,
    stone,
)

ROOT = Path(__file__).parent.parent
COMMON = {
    "serialize",
    "dump_load",
    "value_type",
    "key_type",
    "trust_pickle",
    "checksums",
    "iterable",
    "kwargs",
}
ON_DISK = {"readonly", "create", "durability", "table"}
CLASSES = [
    name
    for name in stones.__all__
    if inspect.isclass(found := getattr(stones, name)) and not issubclass(found, Exception)
]
LOOKED_UP = {
    stones.Store: "put range transaction update deep_add",
    stones.Collection: "add add_many put get_many update modify find search range pop setdefault",
    stones.Query: (
        "keys items values first last one count exists limit find order_by after distinct min max "
        "sum mean group_by to_list update delete"
    ),
}


def examples_of(documented):
    """The code of the examples in a docstring."""
    examples = doctest.DocTestParser().get_examples(documented.__doc__)
    return "".join(example.source for example in examples)


# -- names -----------------------------------------------------------------------------------------


def test_dir_shows_the_public_names_and_nothing_else():
    assert dir(stones) == sorted(stones.__all__)


@pytest.mark.parametrize("name", stones.__all__)
def test_every_public_name_is_there(name):
    assert getattr(stones, name).__doc__


@pytest.mark.parametrize("name", CLASSES)
def test_every_public_class_has_an_example(name):
    assert examples_of(getattr(stones, name))


@pytest.mark.parametrize(
    ("cls", "name"), [(cls, name) for cls, names in LOOKED_UP.items() for name in names.split()]
)
def test_a_method_that_people_look_up_has_an_example(cls, name):
    own = examples_of(getattr(cls, name))
    assert own or f".{name}(" in examples_of(cls), f"neither in {name}() nor in {cls.__name__}"


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Collektion'"):
        stones.Collektion  # type: ignore[attr-defined]


def test_earlier_names_can_be_imported_still():
    from stones import Finding, Report, Salvaged, info

    assert (Finding, Report, Salvaged) == (DamageFinding, CheckReport, SalvageReport)
    assert info.inspect is stones.inspect
    assert info.StoreInfo is stones.StoreInfo


# -- signatures ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("callable_", "options"),
    [(stone, COMMON | ON_DISK), (LmdbStore, COMMON | ON_DISK), (MemoryStore, COMMON)],
)
def test_a_signature_shows_every_option(callable_, options):
    assert options <= inspect.signature(callable_).parameters.keys()


@pytest.mark.parametrize("callable_", [stone, LmdbStore, Store])
def test_a_signature_has_no_room_for_what_is_no_option(callable_):
    kinds = {parameter.kind for parameter in inspect.signature(callable_).parameters.values()}
    assert inspect.Parameter.VAR_KEYWORD not in kinds


def test_stone_takes_the_options_of_a_store_on_disk_by_name(tmp_path):
    with stone(tmp_path / "db", LmdbStore, "json", checksums=True, durability="lazy") as store:
        assert store.stats()["durability"] == "lazy"
        assert store.stats()["checksums"]
    with pytest.raises(StoreOpenError, match="no store"):
        stone(tmp_path / "other", LmdbStore, create=False)
    with stone(tmp_path / "db", LmdbStore, readonly=True) as store:
        assert store == {}


@pytest.mark.parametrize("option", [{"readonly": True}, {"options": {"bogus": 1}}])
def test_an_option_that_a_store_in_memory_does_not_have_is_refused(option):
    with pytest.raises(ValueTypeError, match=r"no option '(readonly|bogus)': it has name, "):
        stone("memory:", **option)


def test_an_option_that_a_store_on_disk_does_not_have_is_refused(tmp_path):
    with pytest.raises(ValueTypeError, match="no option 'bogus': it has readonly, "):
        stone(tmp_path / "db", LmdbStore, options={"bogus": 1})
    assert not (tmp_path / "db").exists()


def test_a_class_of_a_users_own_gets_the_options_that_it_has():
    class Coloured(MemoryStore):
        def __init__(self, name, *, colour, **options):
            super().__init__(name, **options)
            self.colour = colour

    assert stone("memory:x", Coloured, options={"colour": "red"}).colour == "red"


# -- a dict ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        [{"a": 1, "b": 2}],
        [[("a", 1), ("b", 2)]],
        [iter([("a", 1), ("b", 2)])],
        [MemoryStore(a=1, b=2)],
    ],
)
def test_a_store_in_memory_is_filled_as_a_dict_is(arguments):
    assert MemoryStore(*arguments) == {b"a": 1, b"b": 2}


def test_keyword_arguments_are_entries_unless_they_are_options():
    store = MemoryStore({"a": 1}, b=2, c=3, serialize="json", iterable={"d": 4})
    assert store == {b"a": 1, b"b": 2, b"c": 3, b"d": 4}
    assert store.stats()["serializer"] == "json"


def test_a_name_is_no_entry():
    assert MemoryStore("name") == MemoryStore(name="name") == MemoryStore() == {}


@pytest.mark.parametrize("option", ["serialise", "checksum", "valuetype", "keytype"])
def test_a_misspelled_option_is_not_taken_for_an_entry(option):
    with pytest.raises(ValueTypeError, match=f"no option '{option}'"):
        MemoryStore(**{option: "json"})


@pytest.mark.parametrize("option", ["readonly", "create", "durability", "table"])
def test_an_option_of_stores_on_disk_is_not_taken_for_an_entry(option):
    with pytest.raises(ValueTypeError, match=f"no option '{option}': it is for a store on disk"):
        MemoryStore(**{option: True})
    assert MemoryStore({option: True}) == {option.encode(): True}


@pytest.mark.parametrize("wrong", [5, 0, False, ["ab", "c"]])
def test_what_a_dict_cannot_be_made_of_is_refused(wrong):
    with pytest.raises((TypeError, ValueError)):
        MemoryStore(wrong)


# -- names and paths -------------------------------------------------------------------------------


def test_a_url_chooses_the_class(tmp_path):
    with stone(f"lmdb:{tmp_path / 'db'}", serialize="json") as store:
        assert type(store) is LmdbStore
        assert store.path == str(tmp_path / "db")
    with stone(f"LMDB://{tmp_path / 'db'}") as store:
        assert store.path == str(tmp_path / "db")
    with stone(f"lmdb:{tmp_path / 'db'}", LmdbStore) as store:
        assert store.path == str(tmp_path / "db")
    assert type(stone("memory:")) is type(stone("memory:name")) is MemoryStore


@pytest.mark.parametrize("name", ["memory", "lmdb", "a:b"])
def test_a_name_that_only_resembles_a_url_is_a_path(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with stone(name, LmdbStore) as store:
        assert store.path == name


def test_a_url_of_another_class_than_the_one_given_is_refused():
    with pytest.raises(StoreOpenError, match="is that of a LmdbStore"):
        stone("lmdb:db", MemoryStore)
    with pytest.raises(StoreOpenError, match="is that of a MemoryStore"):
        stone("memory:db", LmdbStore)


def test_a_store_in_memory_says_so():
    assert repr(stone("notes")) == "<MemoryStore 'notes' (in memory only): 0 entries, pickle>"


def test_what_looks_like_a_path_is_not_opened_in_memory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stone("db", LmdbStore).close()
    for name in ("data/db", Path("db"), "db", "new.lmdb", "~", "..", "C:\\db"):
        with pytest.raises(StoreOpenError, match=r"looks like a path.*LmdbStore"):
            stone(name)
    with stone("data/db", MemoryStore) as store:
        assert store == {}


@pytest.mark.parametrize("name", [None, 5, b"db"])
@pytest.mark.parametrize("kind", [None, MemoryStore, LmdbStore])
def test_a_name_is_a_text_or_a_path(name, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if name == b"db" and kind is LmdbStore:  # a path may be bytes, other names may not
        with stone(name, kind) as store:
            assert repr(store) == "<LmdbStore 'db': 0 entries, pickle>"
        return
    with pytest.raises(StoreOpenError, match="str or a Path"):
        stone(name, kind)


# -- types -----------------------------------------------------------------------------------------

TYPED = """
from typing import Any
from attrs import define
from stones import Collection, LmdbStore, MemoryStore, Snapshot, key, stone

@define
class User:
    email: str = key()
    age: int = 0

reveal_type(stone("db", LmdbStore))
reveal_type(stone("db", LmdbStore, key_type=str))
reveal_type(stone("db", MemoryStore, key_type=str))
reveal_type(stone("lmdb:db"))
reveal_type(LmdbStore("db"))
reveal_type(LmdbStore("db", key_type=str))
reveal_type(MemoryStore({"a": 1}, b=2))
store: LmdbStore[str, int] = LmdbStore("db", key_type=str)
reveal_type(store["a"])
with store.snapshot() as view:
    reveal_type(list(view))
users: Collection[str, User] = Collection(store, User)
reveal_type(users["ada"].age)
reveal_type(users.add(User("ada")))
reveal_type(users.find().first())
reveal_type(Collection[str, User](store, User).add(User("ada")))
reveal_type(Collection(store, User)["ada"])
reveal_type(Collection(store, User).add(User("ada")))
reveal_type(users.find().order_by("-age").reversed().offset(1).limit(1))
reveal_type(users.find().values("age"))
reveal_type(users.find().values("age", "email"))
reveal_type(users.find().to_list())
reveal_type(users.find().to_list("age"))
reveal_type(users.range(ge="a").find().items())
reveal_type(users.find().last())
reveal_type(users.find().cursor())
reveal_type(users.find().update(age=1))
reveal_type(users.find().update(lambda user: User(user.email)))
reveal_type(users.find().group_by("age").count())
reveal_type(users.migrate().failures)
reveal_type(users.undo(to=0))
reveal_type(users.ledger)
users.find().update(lambda user: user.age)
users.find().order_by(3)
LmdbStore("db", durability="fast")
LmdbStore("db", bogus=1)
stone("db", LmdbStore, durability="fast")
view["a"] = 1
"""
KEY = "str | bytes | int | UUID | date | tuple[Any, ...]"
REVEALED = [
    "LmdbStore[bytes, Any]",
    "LmdbStore[str, Any]",
    "MemoryStore[str, Any]",
    "Store[bytes, Any]",
    "LmdbStore[bytes, Any]",
    "LmdbStore[str, Any]",
    "MemoryStore[bytes, int]",
    "int",
    "list[str]",
    "int",
    "str",
    "User | None",
    "str",
    "User",
    KEY,
    "Query[str, User]",
    "Iterator[Any]",
    "Iterator[tuple[Any, ...]]",
    "list[User]",
    "list[Any]",
    "Iterator[tuple[str, User]]",
    "User | None",
    "str | None",
    "int",
    "int",
    "dict[Any, int]",
    "tuple[StepFailure, ...]",
    "StepsReport",
    "tuple[LedgerEntry, ...]",
]
WRONG = [43, 44, 45, 46, 47, 48]
"""The lines of TYPED with an error."""


def checked(*command):
    """What a type checker prints, run where `typed.py` is."""
    result = subprocess.run(
        [sys.executable, "-m", *command, "typed.py"],
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    return result.stdout


def without_modules(text):
    """Names of classes without the modules that they are from."""
    return re.sub(r"\b(?:\w+\.)+(?=\w)", "", text)


def test_mypy_sees_the_types(tmp_path, monkeypatch):
    (tmp_path / "typed.py").write_text(TYPED)
    monkeypatch.chdir(tmp_path)
    lines = checked("mypy", "--strict", "--no-pretty").splitlines()
    revealed = [line.split('"')[1] for line in lines if "Revealed type" in line]
    assert [without_modules(text) for text in revealed] == REVEALED
    wrong = [line for line in lines if " error: " in line]
    assert sorted({int(line.split(":")[1]) for line in wrong}) == WRONG, lines


def test_pyright_sees_the_same_types(tmp_path, monkeypatch):
    (tmp_path / "typed.py").write_text(TYPED)
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "standard"}')
    monkeypatch.chdir(tmp_path)
    found = json.loads(checked("basedpyright", "--outputjson", "--pythonpath", sys.executable))
    told = [
        (item["range"]["start"]["line"] + 1, item["severity"], item["message"])
        for item in found["generalDiagnostics"]
    ]
    revealed = [
        text.split(' is "')[1].rstrip('"') for _, kind, text in told if kind == "information"
    ]
    # An Any that nobody has written is Unknown here.
    assert [without_modules(text.replace("Unknown", "Any")) for text in revealed] == REVEALED
    assert {line for line, kind, _ in told if kind == "error"} == set(WRONG)
