"""JsonFileStore: one JSON file that people read, write and edit, and that stones keeps exact."""

import json
import os
import subprocess
import sys
from datetime import date
from decimal import Decimal

import pytest
from attrs import define
from hypothesis import given
from hypothesis import strategies as st

from stones import (
    Collection,
    ConflictError,
    CorruptValueError,
    FormatMismatchError,
    JsonFileStore,
    MemoryStore,
    StorageError,
    StoreOpenError,
    index,
    key,
    migrate,
    stone,
)
from stones.engine import Space
from stones.engines.json_file.engine import JsonFileEngine
from stones.engines.json_file.keys import key_bytes, key_text, value_bytes, value_text
from stones.engines.whole_file import engine as whole_file

from .hostile import Bomb


@define
class User:
    name: str = key()
    age: int = index(default=0)
    tags: list[str] = index(each=True, factory=list)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "db.json"


def opened(path, **options):
    return JsonFileStore(path, key_type=str, **options)


def edit(path, change):
    """Edit the file as a person with an editor: read it all, change it, write it in its place."""
    found = json.loads(path.read_text())
    change(found)
    path.write_text(json.dumps(found))


# -- the file


def test_the_file_is_what_a_person_would_write(path):
    with opened(path) as store:
        store["theme"] = "dark"
        store["window"] = {"width": 800, "at": [1, 2.5, None, True]}
        store["café"] = ""
    assert path.read_text() == (
        "{\n"
        '  "café": "",\n'
        '  "theme": "dark",\n'
        '  "window": {\n'
        '    "width": 800,\n'
        '    "at": [\n'
        "      1,\n"
        "      2.5,\n"
        "      null,\n"
        "      true\n"
        "    ]\n"
        "  }\n"
        "}\n"
    )


def test_a_change_of_one_value_changes_its_lines_only(path):
    with opened(path) as store:
        store.update({f"k{number}": {"n": number} for number in range(20)})
        before = path.read_text().splitlines()
        store["k7"] = {"n": "new"}
        after = path.read_text().splitlines()
    assert [(old, new) for old, new in zip(before, after, strict=True) if old != new] == [
        ('    "n": 7', '    "n": "new"')
    ]


def test_a_file_that_somebody_wrote_is_a_store_and_opening_does_not_touch_it(path):
    path.write_text('{"b": {"c": [1]}, "a": 1.50}')
    with opened(path) as store:
        assert dict(store) == {"a": 1.5, "b": {"c": [1]}}
        assert path.read_text() == '{"b": {"c": [1]}, "a": 1.50}'
        store["c"] = None
    assert json.loads(path.read_text()) == {"a": 1.5, "b": {"c": [1]}, "c": None}


def test_a_file_with_the_mark_that_editors_of_windows_write_is_read(path):
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n')
    assert dict(opened(path)) == {"a": 1}


VALUES = [(1, 2), {1, 2}, {1: 2}, date(2024, 5, 6), Decimal("1.50"), b"\xff", float("nan"), 10**700]


@pytest.mark.parametrize("value", [*VALUES, {"$tuple": [1]}, {"$raw": "AA=="}, {"$": 1}, "\ud800"])
def test_a_value_of_any_type_comes_back(path, value):
    with opened(path) as store:
        store["a"] = value
    with opened(path) as store:
        assert repr(store["a"]) == repr(value)
    assert "base64" not in path.read_text()


KEYS = ["$stones", "$$", "$bytes:a", "a\n\0b", "\u2028", "é", 'q"\\']


def test_any_key_comes_back(path):
    keys = [*(name.encode() for name in KEYS), b"\xff", b"User/\x80\x01%", b"$\xff"]
    with JsonFileStore(path) as store:
        store.update(dict.fromkeys(keys, 1))
    assert list(JsonFileStore(path)) == sorted(keys)
    found = json.loads(path.read_text())
    assert {"$$stones", "$bytes:User/%80%01%25"} <= found.keys()


@given(st.binary(min_size=1))
def test_a_key_is_the_same_after_its_text(found):
    assert key_bytes(key_text(found)) == found


@given(st.binary() | st.binary().map(lambda raw: b"\x02" + raw))
def test_any_bytes_are_the_same_after_their_text(raw):
    assert value_bytes(json.loads(value_text(raw))) == raw


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON, st.sampled_from([(",", ":"), (", ", ": ")]), st.booleans())
def test_json_in_any_notation_is_the_same_after_its_text(value, separators, ascii):
    text = json.dumps(value, separators=separators, ensure_ascii=ascii)
    raw = b"\x02" + text.encode("utf-8", "backslashreplace")
    assert value_bytes(json.loads(value_text(raw))) == raw


def test_a_value_that_is_nested_very_deep_is_kept_in_base64(path):
    value = 0
    for _ in range(300):
        value = [value]
    with opened(path) as store:
        store["a"] = value
    assert opened(path)["a"] == value
    assert "$raw" in path.read_text()


def test_other_serializers_and_checksums_are_in_base64_and_added_json_is_read(path):
    with opened(path, serialize="cbor") as store:
        store["a"] = 1
        assert set(json.loads(path.read_text())["a"]) == {"$raw"}
        edit(path, lambda found: found.update(b={"c": 1}))
        assert dict(store) == {"a": 1, "b": {"c": 1}}
        store["d"] = 2
    with opened(path) as store:
        assert dict(store) == {"a": 1, "b": {"c": 1}, "d": 2}
        assert "cbor" in repr(store)
        migrate(store, "json")
    assert json.loads(path.read_text())["d"] == 2
    with pytest.raises(FormatMismatchError, match="written by 'json'"):
        opened(path, serialize="cbor")


def test_a_value_without_checksum_in_a_store_with_checksums_is_damage(path):
    with opened(path, checksums=True) as store:
        store["a"] = 1
        edit(path, lambda found: found.update(b=1))
        assert store["a"] == 1
        with pytest.raises(CorruptValueError, match="has no checksum"):
            store["b"]


def test_a_pickle_in_a_file_is_not_read_unless_pickle_is_named(path, bomb):
    with opened(path, serialize="pickle") as store:
        store["a"] = Bomb(bomb)
    with opened(path) as store, pytest.raises(FormatMismatchError, match="can run code"):
        store["a"]
    assert not bomb.exists()


# -- edits by hand


def test_an_edit_is_seen_by_the_next_operation_and_a_snapshot_stays(path):
    with opened(path) as store:
        store.update(a=1, b=2)
        with store.snapshot() as view:
            edit(path, lambda found: (found.update(a="edited", c=[3]), found.pop("b")))
            assert dict(store) == {"a": "edited", "c": [3]}
            assert dict(view) == {"a": 1, "b": 2}
        store["d"] = 4
        assert json.loads(path.read_text()) == {"a": "edited", "c": [3], "d": 4}


def test_edits_of_the_same_size_in_a_row_are_all_seen(path):
    path.write_text('{"a": 0}')
    with opened(path) as store:
        for number in range(10):
            path.write_text(json.dumps({"a": number}))
            assert store["a"] == number


def test_an_edit_during_a_transaction_is_not_overwritten(path):
    with opened(path) as store:
        store["a"] = 1
        with pytest.raises(ConflictError, match="changed by another program"), store.transaction():
            store["b"] = 2
            edit(path, lambda found: found.update(c=3))
        assert dict(store) == {"a": 1, "c": 3}
        with store.transaction():
            store["b"] = 2
        assert dict(store) == {"a": 1, "b": 2, "c": 3}


def test_an_edit_during_a_change_that_may_run_again_is_kept_and_the_change_is_made(path):
    with opened(path) as store:
        store["n"] = 1
        edits = iter([lambda found: found.update(n=10)])

        def change(txn):
            raw = txn.get(Space.DATA, b"n")
            for once in edits:
                edit(path, once)
            txn.put(Space.DATA, b"n", raw + b"0")

        store.database.engine.write(change)
        assert store["n"] == 100


BROKEN = {
    '{"a": 1,\n  "b": }': "line 2, column 8: a value is missing",
    '{"a": 1\n "b": 2}': "line 2, column 2: a comma or } is missing",
    '{"a": 1,}': "line 1, column 9: a comma is too many before it",
    "{a: 1}": "line 1, column 2: a key in double quotes is missing",
    '// mine\n{"a": 1}': "line 1, column 1: JSON has no comments",
    '{"a": 1  # mine\n}': "line 1, column 10: JSON has no comments",
    '{"a": 1,\n<<<<<<< HEAD\n"b": 2}': "line 2, column 1: a merge has left its mark of a conflict",
    '{"a" 1}': "line 1, column 6: a colon is missing",
    "{'a': 1}": "line 1, column 2: JSON has text in double quotes",
    '{"a": [1, 2}': "line 1, column 12: a comma or ] is missing",
    '{"a": "x\ny"}': "line 1, column 9: invalid control character",
    '{"a": "x': "line 1, column 7: unterminated string starting",
    '{"a": 1} 2': "line 1, column 10: the file goes on after its end",
    '{"a": 1, "b": {"c": 1, "c": 2}}': "line 1, column 24: the key 'c' is there twice",
    '{"a": 1,\n"a": 2}': "line 2, column 1: the key 'a' is there twice",
    '{"a": NaN}': "line 1, column 7: it is no JSON",
    '{"a": -Infinity}': "line 1, column 7: it is no JSON",
    '{"a": 1e999}': "line 1, column 7: the number 1e999 is too large",
    '{"a": ' + "9" * 5000 + "}": "line 1, column 7: an integer has 5,000 digits",
    '{"a": ' + "[" * 100_000 + "}": "line 1, column 207: more than 200 arrays",
    '{"a": ' + "[" * 250 + "]" * 250 + "}": "line 1, column 207: more than 200 arrays",
    "[1]": "line 1, column 1: it is an array, and a store is an object",
    "null": "line 1, column 1: it is null",
    "7": "line 1, column 1: it is a number",
    "": "it is empty: write {} into it, or delete it",
    " \n": "it is empty",
    '{"": 1}': "line 1, column 2: a key has 511 bytes at most, and one at least",
    '{"b": 1,\n "' + "x" * 512 + '": 1}': "line 2, column 2: a key has 511 bytes at most",
    '{"$x": 1}': "line 1, column 2: a key that starts with a dollar sign",
    '{"$bytes:a": 1, "a": 2}': "this key is there twice, in two ways",
    '{"\\ud800": 1}': "line 1, column 2: 'utf-8' codec can't encode",
    '{"a": {"$raw": "?"}}': r"line 1, column 2: \$raw takes text in base64",
    '{"a": {"$raw": 5}}': r"line 1, column 2: \$raw takes text in base64",
    '{"a": 1, "$stones": 5}': "line 1, column 10: what stones keeps for itself is damaged",
    '{"$stones": {"meta": []}}': "what stones keeps for itself is damaged",
    '{"$stones": {"index": {"a": 5}}}': "what stones keeps for itself is damaged",
}


@pytest.mark.parametrize("text", BROKEN)
def test_an_edit_that_is_no_json_is_one_error_until_it_is_mended(path, text):
    with opened(path) as store:
        store["a"] = 1
        path.write_text(text)
        for operation in (
            lambda: store["a"],
            lambda: store.update(b=2),
            lambda: len(store),
            lambda: opened(path),
        ):
            with pytest.raises(StorageError, match=BROKEN[text]) as found:
                operation()
            assert str(path) in str(found.value)
            assert len(str(found.value)) < 400
        assert path.read_text() == text
        path.write_text('{"a": "mended"}')
        assert store["a"] == "mended"
        store["b"] = 2
    assert dict(opened(path)) == {"a": "mended", "b": 2}


def test_a_file_that_is_not_utf8_is_an_error_with_the_place(path):
    path.write_bytes(b'{"a": 1,\n "b": "\xe9"}')
    with pytest.raises(StoreOpenError, match="line 2, column 8: it is not UTF-8"):
        opened(path)
    path.write_bytes(b"\x00\x01\xff\xfe")
    with pytest.raises(StoreOpenError, match=r"cannot be read, line 1"):
        opened(path)


def test_a_file_that_is_written_slowly_is_read_once_it_is_whole(path, monkeypatch):
    monkeypatch.setattr(whole_file, "PATIENCE", 60)  # a busy machine can hold up the writer
    text = json.dumps({"a": "x" * 100_000})
    with opened(path) as store:
        store["a"] = 1
        child = os.fork()
        if child == 0:
            import time

            with open(path, "w") as file:
                for start in range(0, len(text), 10_000):
                    file.write(text[start : start + 10_000])
                    file.flush()
                    time.sleep(0.005)
            os._exit(0)
        seen = set()
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            seen.add(str(store["a"])[:3])
        assert seen <= {"1", "xxx"}
        assert len(store["a"]) == 100_000


def test_damaged_metadata_is_an_error_and_the_entries_stay(path):
    with opened(path, serialize="cbor") as store:
        store["a"] = 1
    edit(path, lambda found: found["$stones"]["meta"].update(formats="{"))
    text = path.read_text()
    with pytest.raises(CorruptValueError, match="metadata of the store cannot be read"):
        opened(path)
    assert path.read_text() == text


# -- collections


@pytest.fixture
def users(path):
    with opened(path) as store:
        users = Collection(store, User)
        users.add_many(User(f"u{number}", number % 3, [f"t{number}"]) for number in range(6))
        yield users


def test_records_are_readable_and_what_stones_keeps_is_at_the_end(path, users):
    found = json.loads(path.read_text())
    assert found["User/u1"] == {"name": "u1", "age": 1, "tags": ["t1"]}
    assert list(found)[-1] == "$stones"
    again = Collection(opened(path), User)
    assert again["u1"] == User("u1", 1, ["t1"])
    assert "index" in str(again.find(age=1).explain())


def edited(found):
    found["User/u1"]["age"] = 2
    del found["User/u2"]
    found["User/new"] = {"name": "new", "age": 1, "tags": ["t", "t0"]}
    found["other"] = 1


@pytest.mark.parametrize("way", ["the store that is open", "another store", "a reader"])
def test_edited_records_are_counted_and_indexed_again(path, users, way):
    edit(path, edited)
    if way != "the store that is open":
        users = Collection(opened(path, readonly=way == "a reader"), User)
    assert len(users) == 6
    assert [user.name for user in users.find(age=1)] == ["new", "u4"]
    assert [user.name for user in users.find(age=2)] == ["u1", "u5"]
    assert [user.name for user in users.find("$[?(@.tags contains 't0')]")] == ["new", "u0"]
    assert "index" in str(users.find(age=1).explain())
    assert users.find(age=2).count() == 2


def test_a_store_that_was_edited_goes_on_as_one_that_was_not(path, users):
    edit(path, edited)
    users.add(User("later", 1))
    users.delete("u4")
    assert len(users) == 6
    again = Collection(opened(path), User)
    assert [user.name for user in again.find(age=1)] == ["later", "new"]
    assert len(again) == 6
    twin = MemoryStore()
    twin.update(opened(path))
    assert len(Collection(twin, User)) == 6


def test_a_record_without_a_field_reads_its_default_also_by_queries(path, users):
    edit(path, lambda found: found["User/u1"].pop("age"))
    assert users["u1"].age == 0
    for query in (users.find(age=0), users.find("$[?(@.age < 1)]")):
        assert [user.name for user in query] == ["u0", "u1", "u3"]
    assert len(users) == 6


def test_two_edited_records_with_the_same_unique_value_are_told(path):
    @define
    class Account:
        name: str = key()
        mail: str = index(unique=True)

    with opened(path) as store:
        accounts = Collection(store, Account)
        accounts.add(Account("a", "a@x"))
        accounts.add(Account("b", "b@x"))
        edit(path, lambda found: found["Account/b"].update(mail="a@x"))
        assert len(accounts) == 2
        assert [account.name for account in accounts.find(mail="a@x")] == ["a", "b"]
        assert "failed" in str(accounts.find(mail="a@x").explain())


def test_records_whose_counts_were_taken_out_of_the_file_are_plain_entries(path, users):
    edit(path, lambda found: found.pop("$stones"))
    assert len(opened(path)) == 6
    assert opened(path)["User/u1"]["age"] == 1


def test_an_edit_of_a_count_alone_is_noticed(path, users):
    def change(found):
        found["$stones"]["meta"]["count/User"] = "99"
        del found["User/u1"]

    edit(path, change)
    assert len(users) == 5


def test_an_engine_without_a_layer_above_keeps_what_it_was_given(tmp_path):
    place = str(tmp_path / "raw")
    engine = JsonFileEngine(place)
    engine.write(lambda txn: txn.put(Space.INDEX, b"\xff", b"\x00"))
    engine.write(lambda txn: txn.put(Space.META, b"text", b'{"a": [1, "\\u00e9"]}'))
    engine.write(lambda txn: txn.put(Space.META, b"other", b'{"a":1}'))
    again = JsonFileEngine(place)
    assert again.get(Space.INDEX, b"\xff") == b"\x00"
    assert again.get(Space.META, b"text") == b'{"a": [1, "\\u00e9"]}'
    assert again.get(Space.META, b"other") == b'{"a":1}'


def test_a_url_names_it(path):
    with stone(f"json:{path}", key_type=str) as store:
        store["a"] = 1
        assert type(store) is JsonFileStore
    assert json.loads(path.read_text()) == {"a": 1}


def test_a_transaction_as_a_function_runs_again_after_an_edit(path):
    with opened(path) as store:
        store["n"] = 1
        edits = iter([lambda found: found.update(n=10)])

        def double():
            found = store["n"]
            for once in edits:
                edit(path, once)
            store["n"] = 2 * found

        store.transact(double)
        assert store["n"] == 20


@pytest.mark.parametrize("scheme", ["json", "dbm"])
def test_a_file_in_a_directory_that_is_not_there_is_told_of(tmp_path, scheme):
    with pytest.raises(StoreOpenError, match="the directory above it is not there"):
        stone(f"{scheme}:{tmp_path / 'none' / 'file'}")
    assert not list(tmp_path.iterdir())


def test_a_store_is_opened_and_read_while_others_replace_the_file_all_the_time(tmp_path):
    path = tmp_path / "busy.json"
    with JsonFileStore(path, durability="none") as store:
        store.update((f"k{number}", "x" * 50) for number in range(3_000))
    code = """
import sys
from stones import JsonFileStore
with JsonFileStore(sys.argv[1], durability='none') as store:
    store['n'] = 1
    print(flush=True)
    while True:
        store['n'] = 1
"""
    command = [sys.executable, "-c", code, str(path)]
    writers = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    try:
        for writer in writers:
            assert writer.stdout.readline()
        for _ in range(20):
            with JsonFileStore(path) as store:
                assert (len(store), store["k7"]) == (3_001, "x" * 50)
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()
