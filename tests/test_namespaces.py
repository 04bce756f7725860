"""A namespace is a whole dict under a prefix of a store, claimed as a collection is."""

import copy
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from attrs import define
from hypothesis import given
from hypothesis import strategies as st

from stones import (
    Collection,
    CollectionError,
    CorruptValueError,
    InvalidKeyError,
    JsonFileStore,
    KeyTooLongError,
    KeyTypeError,
    LmdbStore,
    MemoryStore,
    Namespace,
    ReadOnlyError,
    ReservedKeyError,
    SerializerError,
    StoreClosedError,
    Tiered,
    UnsupportedError,
    ValueTypeError,
    check,
    inspect,
    key,
    migrate,
    salvage,
)
from stones.command_line.main import main
from stones.engine import Space
from stones.stores.database import Database
from stones.stores.database_reader import DatabaseReader
from stones.stores.namespaces.database import NamespaceDatabase, NamespaceReader

from .processes import Follower, run


@define
class User:
    name: str = key()
    age: int


@pytest.fixture
def sessions(store):
    return store.namespace("sessions/")


def meta(store, name):
    return store.database.get(name, Space.META)


# -- a dict ------------------------------------------------------------------------------------


def test_it_has_its_own_entries_and_no_others(store):
    sessions, others = store.namespace("sessions/"), store.namespace("others/")
    store["sessions"] = store["sessions0"] = store["sessions.b/c"] = 0
    sessions["a"] = 1
    others["a"] = 2
    assert dict(sessions) == {b"a": 1}
    assert (len(sessions), len(others), len(store)) == (1, 1, 5)
    assert ("a" in sessions, "b" in sessions, "a" in store) == (True, False, False)
    assert store["sessions/a"] == 1


def test_the_store_reads_its_entries_with_the_prefix(store, sessions):
    sessions.update(a=1, b=2)
    assert dict(store.range(prefix="sessions/")) == {b"sessions/a": 1, b"sessions/b": 2}


def test_it_is_empty_and_false_at_first(sessions):
    assert not sessions
    assert len(sessions) == 0
    assert list(sessions) == []
    assert sessions == {}


def test_a_range_has_bounds_inside_of_it(store, sessions):
    store.update(r=0, t=0)
    sessions.update(a1=1, a2=2, b=3, c=4)
    assert dict(sessions.range(ge="a2", lt="c")) == {b"a2": 2, b"b": 3}
    assert list(sessions.range(prefix="a")) == [b"a1", b"a2"]
    assert list(sessions.range(reverse=True, limit=1)) == [b"c"]
    assert list(reversed(sessions)) == [b"c", b"b", b"a2", b"a1"]
    assert b"a1" in sessions.range(lt="b")


def test_its_views_are_those_of_a_dict(sessions):
    sessions.update(a=1, b=2)
    assert sessions.keys() == {b"a", b"b"}
    assert list(sessions.values()) == [1, 2]
    assert sessions.items() == {(b"a", 1), (b"b", 2)}


def test_it_has_key_and_value_types_of_its_own(open_store):
    store = open_store(value_type=set)
    sessions = store.namespace("sessions/", key_type=str, value_type=list)
    sessions.deep_add("ada", 1)
    sessions.deep_add("ada", 2)
    assert dict(sessions) == {"ada": [1, 2]}
    assert sessions.deep_remove("ada", 1)
    assert sessions.get_many(["ada", "bob"]) == {"ada": [2]}
    others = store.namespace("others/")
    others.deep_add("ada", 1)
    assert dict(others) == {b"ada": {1}}


def test_a_missing_key_is_a_key_error_without_the_prefix(sessions):
    for use in (sessions.__getitem__, sessions.__delitem__, sessions.pop):
        with pytest.raises(KeyError) as error:
            use("a")
        assert error.value.args == ("a",)
    with pytest.raises(KeyError):
        sessions.popitem()


def test_popitem_takes_its_own_last_entry(store, sessions):
    store["z"] = 0
    sessions.update(a=1, b=2)
    assert (sessions.popitem(), len(sessions)) == ((b"b", 2), 1)


def test_put_does_not_overwrite_if_it_is_told_so(sessions):
    assert (sessions.put("a", 1, overwrite=False), sessions.put("a", 2, overwrite=False)) == (
        True,
        False,
    )
    assert (sessions["a"], len(sessions)) == (1, 1)


def test_clear_empties_it_alone_and_clear_of_the_store_empties_it_too(store, sessions):
    users = Collection(store, User)
    users.add(User("ada", 36))
    store["a"] = 1
    sessions.update(a=1, b=2)
    sessions.clear()
    assert (len(sessions), len(users), len(store)) == (0, 1, 2)
    sessions["c"] = 3
    store.clear()
    assert (len(sessions), dict(sessions), len(store)) == (0, {}, 0)
    sessions["d"] = 4
    assert len(sessions) == 1


def test_a_failed_write_changes_neither_entries_nor_count(sessions):
    sessions["a"] = 1
    with pytest.raises(SerializerError):
        sessions.update({"b": 1, "c": pytest})
    with pytest.raises(InvalidKeyError):
        sessions[""] = 1
    with pytest.raises(KeyTypeError):
        sessions[1] = 1
    assert (dict(sessions), len(sessions)) == ({b"a": 1}, 1)


def test_a_key_has_as_many_bytes_as_the_prefix_leaves(sessions):
    sessions[b"k" * 502] = 1
    with pytest.raises(KeyTooLongError, match="a key has at most 502 bytes"):
        sessions[b"k" * 503] = 1


def test_update_counts_a_key_that_comes_twice_once(sessions):
    sessions["a"] = 0
    sessions.update([("a", 1), ("b", 2), ("b", 3)])
    assert (dict(sessions), len(sessions)) == ({b"a": 1, b"b": 3}, 2)


def test_update_takes_a_store_under_the_whole_keys(store, sessions):
    other = MemoryStore(a=1)
    Collection(other, User).add(User("ada", 36))
    sessions.update(other)
    assert dict(sessions) == {b"a": 1, b"User/ada": {"name": "ada", "age": 36}}
    assert store.stats()["collections"] == {}
    assert len(sessions) == 2


def test_update_may_read_from_its_own_store(store, sessions):
    store.update(a=1, b=2)
    sessions.update(store)
    sessions.update((b"new" + name, value) for name, value in sessions.items())
    assert list(sessions) == [b"a", b"b", b"newa", b"newb"]
    assert len(sessions) == 4


COPIES = {
    "copy()": lambda sessions: sessions.copy(),
    "copy.copy": copy.copy,
    "copy.deepcopy": copy.deepcopy,
    "| dict": lambda sessions: sessions | {},
    "dict |": lambda sessions: {} | sessions,
    "MemoryStore()": partial(MemoryStore, key_type=str),
}


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_a_copy_is_a_store_in_memory_with_its_entries_alone(store, copied):
    store["z"] = 0
    sessions = store.namespace("sessions/", key_type=str)
    sessions.update(a=1, b=2)
    twin = copied(sessions)
    assert isinstance(twin, MemoryStore)
    assert dict(twin) == {"a": 1, "b": 2}
    assert twin.stats()["namespaces"] == {}
    twin["a"] = 9
    assert sessions["a"] == 1


def test_in_place_or_writes(sessions):
    sessions |= {"a": 1}
    assert dict(sessions) == {b"a": 1}


KEYS = st.sampled_from(["a", "b", "c", "d/e", "a\xff"])
STEPS = st.one_of(
    st.tuples(st.sampled_from(["get", "delete", "pop"]), KEYS),
    st.tuples(st.sampled_from(["put", "setdefault"]), KEYS, st.none() | st.integers()),
    st.tuples(st.sampled_from(["update", "pairs"]), st.dictionaries(KEYS, st.integers())),
    st.tuples(st.sampled_from(["clear", "popitem", "undone", "done"])),
)


def do(store, name, *arguments):
    match name, *arguments:
        case "get", name:
            return store.get(name, "missing"), name in store
        case "delete" | "pop", name:
            return store.pop(name, "missing")
        case "put", name, value:
            store[name] = value
        case "setdefault", name, value:
            return store.setdefault(name, value)
        case "update", entries:
            store.update(entries)
        case "pairs", entries:
            store.update(iter(entries.items()))
        case ("clear",):
            store.clear()
        case ("popitem",):
            return store.pop(max(store, key=str.encode)) if store else None
    return None


@pytest.mark.parametrize("options", [{}, {"serialize": "json", "checksums": True}])
@given(steps=st.lists(STEPS, max_size=20))
def test_it_does_what_a_dict_does(options, steps):
    model = {}
    store = MemoryStore({"sessions": 0, "sessions0": 0}, **options)
    sessions = store.namespace("sessions/", key_type=str)
    for step in steps:
        match step:
            case ("undone",):
                with pytest.raises(ZeroDivisionError), sessions.transaction():
                    sessions["new"] = 1
                    sessions.pop("a", None)
                    raise ZeroDivisionError
            case ("done",):
                with store.transaction():
                    sessions["c"] = 8
                model["c"] = 8
            case _:
                assert do(sessions, *step) == do(model, *step)
        assert len(sessions) == len(model)
    assert list(sessions.items()) == sorted(model.items(), key=lambda entry: entry[0].encode())
    assert sessions == model
    assert len(store) == len(model) + 2


NOT_OF_A_NAMESPACE = {
    "abandon",
    "adopt_stones03",
    "close",
    "open",
    "read_codec",
    "reload",
    "requesting",
    "snapshot",
    "sync",
    "write_as",
}
"""What a namespace does not use, and takes over from `Database` as it is."""
BY_WHAT_IS_OVERRIDDEN = {
    "check_open",
    "decode_record",
    "entries",
    "get_many",
    "keys",
    "metadata",
    "reading_in",
}


def test_no_method_of_a_database_passes_a_namespace_by():
    own = {*vars(NamespaceDatabase), *vars(NamespaceReader)}
    methods = {
        name
        for each in (Database, DatabaseReader)
        for name, found in vars(each).items()
        if not name.startswith("_") and callable(found)
    }
    assert methods - own == NOT_OF_A_NAMESPACE | BY_WHAT_IS_OVERRIDDEN


# -- transactions and snapshots ----------------------------------------------------------------


def test_the_store_its_namespaces_and_collections_share_a_transaction(store, sessions):
    users = Collection(store, User)
    for begin in (store.transaction, sessions.transaction):
        with pytest.raises(ZeroDivisionError), begin():
            sessions["a"] = store["a"] = 1
            users.add(User("ada", 36))
            assert (len(sessions), sessions["a"]) == (1, 1)
            raise ZeroDivisionError
        assert (len(sessions), len(store), len(users)) == (0, 0, 0)


def test_transact_runs_a_function_in_a_transaction_of_the_store(store, sessions):
    def move():
        sessions["a"] = store["a"] = 1
        return len(sessions)

    assert (sessions.transact(move), dict(store)) == (1, {b"a": 1, b"sessions/a": 1})


def test_a_savepoint_is_undone_alone(sessions):
    with sessions.transaction():
        sessions["a"] = 1
        with pytest.raises(ZeroDivisionError), sessions.transaction():
            sessions["b"] = 2
            raise ZeroDivisionError
    assert (dict(sessions), len(sessions)) == ({b"a": 1}, 1)


def test_a_snapshot_of_the_store_has_the_namespace_as_it_was(store, sessions):
    sessions.update(a=1, b=2)
    if not store.database.engine.supports.snapshots:
        with pytest.raises(UnsupportedError, match="has no snapshots"):
            store.snapshot()
        return
    with store.snapshot() as view:
        sessions.clear()
        frozen = view.namespace("sessions/", key_type=str)
        assert (dict(frozen), len(frozen), frozen["a"]) == ({"a": 1, "b": 2}, 2, 1)
        assert list(frozen.range(gt="a")) == ["b"]
        assert dict(frozen.copy()) == {"a": 1, "b": 2}
        for write in (lambda: frozen.put("a", 2), frozen.clear):
            with pytest.raises(ReadOnlyError, match="snapshot"):
                write()
        shown = ": 2 entries" if store.database.engine.supports.counts else ""
        assert repr(frozen) == (
            f"<SnapshotNamespace 'sessions/' of {store.database.name!r}{shown}>"
        )
    with pytest.raises(StoreClosedError):
        frozen["a"]


# -- claims ------------------------------------------------------------------------------------


def test_the_store_refuses_to_write_below_the_prefix_once_it_is_claimed(store, sessions):
    sessions["a"] = 1
    for write in (
        lambda: store.put("sessions/a", 2),
        lambda: store.put("sessions/new", 2),
        lambda: store.delete("sessions/a"),
        lambda: store.pop("sessions/a"),
        lambda: store.setdefault("sessions/new", 2),
        lambda: store.update({"sessions/new": 2}),
        store.popitem,
    ):
        with pytest.raises(ReservedKeyError, match=r"store\.namespace\('sessions/'\)"):
            write()
    assert (dict(sessions), len(sessions)) == ({b"a": 1}, 1)


def test_opening_claims_nothing(store):
    store.namespace("sessions/").get("a")
    store["sessions/a"] = 1
    assert store.stats()["namespaces"] == {}


def test_a_claim_that_is_undone_leaves_the_keys_free(store, sessions):
    with pytest.raises(ZeroDivisionError), store.transaction():
        sessions["a"] = 1
        with pytest.raises(ReservedKeyError):
            store["sessions/b"] = 2
        raise ZeroDivisionError
    store["sessions/b"] = 2
    assert (dict(store), store.stats()["namespaces"]) == ({b"sessions/b": 2}, {})


def test_only_a_whole_store_is_migrated(sessions):
    with pytest.raises(ValueTypeError, match=r"migrate\(\) takes an open store or collection, not"):
        migrate(sessions, to="json")


def test_the_claim_says_what_it_is(store, sessions):
    sessions["a"] = 1
    assert json.loads(meta(store, b"collection/sessions")) == {"namespace": True}


def test_keys_that_are_there_without_a_claim_are_refused(store, sessions):
    store["sessions/a"] = 1
    with pytest.raises(CollectionError, match="are in no namespace, b'sessions/a' for one"):
        store.namespace("sessions/")
    for write in (
        lambda: sessions.put("b", 1),
        lambda: sessions.delete("a"),
        sessions.clear,
        lambda: sessions.update(b=1),
    ):
        with pytest.raises(CollectionError, match="are in no namespace"):
            write()
    assert dict(store) == {b"sessions/a": 1}


def test_a_namespace_and_a_collection_of_the_same_name_refuse_each_other(store):
    early = Collection(store, User, name="sessions")
    Collection(store, User, name="users").add(User("ada", 36))
    store.namespace("sessions/")["a"] = 1
    with pytest.raises(CollectionError, match="'sessions' is a namespace of the store"):
        Collection(store, User, name="sessions")
    with pytest.raises(CollectionError, match="'sessions' is a namespace of the store"):
        early.add(User("ada", 36))
    early.clear()
    assert dict(store.namespace("sessions/")) == {b"a": 1}
    with pytest.raises(CollectionError, match="'users' is a collection of the store"):
        store.namespace("users/")


def test_a_collection_that_came_later_is_not_written(store, sessions):
    Collection(store, User, name="sessions").add(User("ada", 36))
    for write in (lambda: sessions.put("b", 1), lambda: sessions.delete("ada")):
        with pytest.raises(CollectionError, match="'sessions' is a collection of the store"):
            write()


def test_a_collection_is_not_kept_in_a_namespace(store, sessions):
    with pytest.raises(CollectionError, match=r"give the store itself, Collection\(store, User\)"):
        Collection(sessions, User)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sessions", "is 'sessions/' meant?"),
        ("a/b/", "a namespace has no namespaces inside"),
        ("", "use letters"),
        ("/", "use letters"),
        ("a b/", "use letters"),
        ("x" * 65 + "/", "64 at most"),
        (b"sessions/", "use letters"),
        (None, "None cannot name a namespace"),
    ],
)
def test_a_name_that_cannot_be_used_is_refused(store, name, message):
    with pytest.raises(CollectionError) as error:
        store.namespace(name)
    assert message in str(error.value)


def test_wrong_types_are_refused(store):
    with pytest.raises(KeyTypeError, match="key_type is bytes or str"):
        store.namespace("sessions/", key_type=int)
    with pytest.raises(ValueTypeError, match="value_type is a class"):
        store.namespace("sessions/", value_type="list")


# -- copies, files, commands -------------------------------------------------------------------


def test_a_copy_of_the_store_has_the_namespace(store, sessions):
    store["a"] = 1
    sessions.update(a=1, b=2)
    twin = store.copy()
    assert twin.stats()["namespaces"] == {"sessions/": 2}
    assert dict(twin.namespace("sessions/")) == dict(sessions)
    with pytest.raises(ReservedKeyError):
        twin["sessions/c"] = 3


def test_a_store_that_is_merged_adds_to_the_namespace(store, sessions):
    sessions.update(a=1, b=2)
    other = MemoryStore(serialize="json")
    other.namespace("sessions/").update(b=3, c=4)
    store.update(other)
    assert (dict(sessions), len(sessions)) == ({b"a": 1, b"b": 3, b"c": 4}, 3)


def test_a_store_that_does_not_fit_is_not_merged(store):
    spaces, users, plain = MemoryStore(), MemoryStore(), MemoryStore({"x/1": 1})
    spaces.namespace("x/")["a"] = 1
    Collection(users, User, name="x").add(User("ada", 36))
    for target, source in (
        (spaces, users),
        (users, spaces),
        (plain, spaces),
    ):
        with pytest.raises(CollectionError, match="nothing was written"):
            target.copy().update(source)
    with pytest.raises(ReservedKeyError):
        spaces.copy().update(plain)


def test_a_copy_of_a_namespace_into_a_store_is_of_plain_entries(store, sessions):
    sessions["a"] = 1
    other = MemoryStore()
    other.update(sessions)
    assert (dict(other), other.stats()["namespaces"]) == ({b"a": 1}, {})


@pytest.fixture
def path(tmp_path):
    """A store on disk with a namespace of two entries, a collection and a plain entry."""
    path = tmp_path / "db"
    with LmdbStore(path, serialize="json") as store:
        store["a"] = 1
        store.namespace("sessions/").update(ada=[1], bob=2)
        Collection(store, User).add(User("ada", 36))
    return path


def test_it_is_there_after_the_store_is_opened_again(path):
    with LmdbStore(path, readonly=True) as store:
        sessions = store.namespace("sessions/")
        assert (dict(sessions), len(sessions)) == ({b"ada": [1], b"bob": 2}, 2)
        with pytest.raises(ReadOnlyError):
            sessions["c"] = 1


def test_a_backup_and_a_migrated_store_have_it(path, tmp_path):
    with LmdbStore(path) as store:
        store.backup(tmp_path / "saved")
        migrate(store, to="cbor", checksums=True)
        sessions = store.namespace("sessions/")
        sessions["c"] = 3
        assert dict(sessions) == {b"ada": [1], b"bob": 2, b"c": 3}
    assert check(path).sound
    with LmdbStore(tmp_path / "saved") as saved:
        assert dict(saved.namespace("sessions/")) == {b"ada": [1], b"bob": 2}
    assert check(tmp_path / "saved").sound


def test_an_open_namespace_reads_and_writes_on_during_a_migration(store):
    sessions = store.namespace("sessions/")
    sessions["a"] = (1, None)
    migrate(store, to="json", checksums=True)
    assert sessions["a"] == (1, None)
    sessions["b"] = 2
    assert dict(sessions) == {b"a": (1, None), b"b": 2}


def test_check_finds_a_wrong_count_and_repairs_it(path):
    assert check(path).sound
    with LmdbStore(path) as store:
        store.database.engine.write(lambda txn: txn.put(Space.META, b"count/sessions", b"7"))
    report = check(path)
    assert "the namespace 'sessions/' has 2 entries, but its count is 7" in str(report.findings)
    assert check(path, repair=True).mended == ("the count of the namespace 'sessions/' is 2 now",)
    with LmdbStore(path) as store:
        assert len(store.namespace("sessions/")) == 2


@pytest.mark.parametrize("kind", [MemoryStore, LmdbStore])
def test_a_count_that_is_damaged_is_named(tmp_path, kind):
    store = kind(tmp_path / "db")
    sessions = store.namespace("sessions/")
    sessions["a"] = 1
    store.database.engine.write(lambda txn: txn.put(Space.META, b"count/sessions", b"x"))
    damaged = "the count of the namespace 'sessions/'"
    for use in (lambda: len(sessions), lambda: sessions.put("b", 1), store.stats):
        with pytest.raises(CorruptValueError, match=damaged):
            use()
    assert repr(sessions).endswith("cannot be counted, CorruptValueError>")


def test_a_salvaged_store_has_it(path, tmp_path):
    salvage(path, tmp_path / "new")
    with LmdbStore(tmp_path / "new") as store:
        sessions = store.namespace("sessions/")
        assert (dict(sessions), len(sessions)) == ({b"ada": [1], b"bob": 2}, 2)
    assert check(tmp_path / "new").sound


def test_inspect_and_stats_list_it_apart_from_collections(path):
    found = inspect(path)
    assert [use.name for use in found.collections] == ["User"]
    assert [(use.name, use.entries) for use in found.namespaces] == [("sessions/", 2)]
    with LmdbStore(path) as store:
        stats = store.stats()
        assert stats["collections"] == {"User": 1}
        assert stats["namespaces"] == {"sessions/": 2}


@pytest.fixture
def command(monkeypatch, capsys):
    """Runs `stones ARGUMENTS`, and gives what it prints."""

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["stones", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
        return capsys.readouterr().out

    return command


def test_the_command_line_writes_and_shows_its_entries(path, command):
    typed = "User ada\na\nsessions ada\nsessions bob\n"
    assert command("keys", path, "--typed") == typed
    assert command("get", path, "sessions/ada") == "[1]\n"
    assert command("get", path, "sessions", "ada") == "[1]\n"
    assert command("put", path, "sessions/eve", "3") == ""
    assert command("put", path, "sessions", "fox", "4") == ""
    assert command("delete", path, "sessions/ada") == ""
    assert "namespace   sessions/: 3 entries" in command("info", path)
    with LmdbStore(path) as store:
        sessions = store.namespace("sessions/")
        assert (dict(sessions), len(sessions)) == ({b"bob": 2, b"eve": 3, b"fox": 4}, 3)


FOLLOWER = """
import sys
from stones import LmdbStore
store = LmdbStore(sys.argv[1])
sessions = store.namespace('sessions/', key_type=str)
print('open', flush=True)
for line in sys.stdin:
    try:
        exec(line)
        print(sorted(sessions), len(sessions), flush=True)
    except Exception as error:
        print(type(error).__name__, flush=True)
"""


def test_another_process_sees_the_claim_and_the_count_at_once(tmp_path):
    with (
        LmdbStore(tmp_path / "db", key_type=str) as store,
        Follower(FOLLOWER, tmp_path / "db") as other,
    ):
        store.namespace("sessions/")["a"] = 1
        assert other.ask("store['sessions/b'] = 2") == "ReservedKeyError"
        assert other.ask("sessions['b'] = 2") == "['a', 'b'] 2"
        assert len(store.namespace("sessions/")) == 2


def test_eight_writers_at_once_keep_the_count(tmp_path):
    code = (
        "n = LmdbStore(argv[0], durability='none').namespace('n/')\n"
        "for i in range(50): n[f'{argv[1]} {i}'] = i\n"
        "for i in range(10): del n[f'{argv[1]} {i}']\n"
    )
    LmdbStore(tmp_path / "db").close()
    with ThreadPoolExecutor(4) as pool:
        ended = list(pool.map(lambda number: run(code, tmp_path / "db", number), range(8)))
    assert [one.returncode for one in ended] == [0] * 8, ended[0].stderr
    with LmdbStore(tmp_path / "db") as store:
        found = store.namespace("n/")
        assert len(found) == sum(1 for _ in found) == 320


def test_entries_that_were_edited_in_a_json_file_are_counted(tmp_path):
    path = tmp_path / "db.json"
    with JsonFileStore(path, key_type=str) as store:
        sessions = store.namespace("sessions/")
        sessions.update(a=1, b=2)
        edited = json.loads(path.read_text())
        del edited["sessions/a"]
        edited.update({"sessions/c": 3, "sessions/d": 4})
        path.write_text(json.dumps(edited))
        assert (dict(sessions), len(sessions)) == ({"b": 2, "c": 3, "d": 4}, 3)


def test_a_tiered_reads_it_from_the_slow_store(store, sessions):
    tiered = Tiered(MemoryStore(), store, 10)
    sessions["a"] = 1
    assert (tiered["sessions/a"], len(tiered.fast)) == (1, 0)
    sessions["a"] = 2
    assert tiered["sessions/a"] == 2


def test_its_repr_names_it_and_the_store(store, sessions):
    sessions["a"] = 1
    name = store.database.name
    shown = ": 1 entry" if store.database.engine.supports.counts else ""
    assert repr(sessions) == f"<Namespace 'sessions/' of {name!r}{shown}>"
    assert isinstance(sessions, Namespace)
    assert sessions.name == "sessions/"
    store.close()
    assert repr(sessions) == f"<Namespace 'sessions/' of {name!r}: closed>"
    with pytest.raises(StoreClosedError):
        sessions["a"]
    with pytest.raises(StoreClosedError):
        sessions["a"] = 1
