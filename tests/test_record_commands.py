"""Records on the command line: found, counted, put, added, updated, deleted.

Each command works by the path or URL of a store of any kind, with the class and without it.
"""

import csv
import io
import json
import sys
from datetime import date, datetime
from uuid import UUID

import pytest
from attrs import define, field

from stones import Collection, LmdbStore, index, key, stone

from .terminal import Terminal
from .test_command_line import run_process
from .test_command_line_urls import kind, opened, place

__all__ = ["kind", "place"]
KINDS = ["path", "sqlite", "json", "leveldb", "redis", "postgres"]
MODELS = """
from datetime import date
from attrs import define, field, validators
from stones import index, key

@define
class User:
    name: str = key()
    age: int = index(validator=validators.ge(0))
    joined: date | None = None
    tags: list[str] = field(factory=list)

@define
class Run:
    name: str = key()
    number: int = key()
    done: bool = False

@define
class Log:
    text: str
"""


@define
class User:
    name: str = key()
    age: int = index()
    joined: date | None = None
    tags: list[str] = field(factory=list)


@define
class Run:
    name: str = key()
    number: int = key()
    done: bool = False


@define
class Log:
    text: str


USERS = [
    User("ada", 36, date(2020, 1, 31), ["math", "x=y"]),
    User("bob", 17, None),
    User("cyd", 36, date(2021, 5, 6)),
    User("eve", 52, date(2022, 7, 8), ["navy"]),
]


def fill(place, **options):
    with opened(place, serialize="json", **options) as store:
        Collection(store, User).add_many(USERS)
        Collection(store, Run).add_many([Run("run-7", 3), Run("run-7", 4, True)])
        Collection(store, Log).add_many([Log("first"), Log("second")])
        store["plain"] = 1
        store.namespace("sessions/")["ada"] = 1


@pytest.fixture
def path(tmp_path, monkeypatch):
    """The path of a store, beside the module `shop_models` in the working directory."""
    path = str(tmp_path / "db")
    fill(path)
    tmp_path.joinpath("shop_models.py").write_text(MODELS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.delitem(sys.modules, "shop_models", raising=False)
    return path


def rows(text):
    return [json.loads(line) for line in text.splitlines()]


def names(text):
    return [row["name"] for row in rows(text)]


# -- every command on every engine -----------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS, indirect=True)
def test_records_are_found_changed_and_counted_on_each_engine(run, place):
    fill(place)
    assert names(run("find", place, "User", "age=36")) == ["ada", "cyd"]
    assert run("count", place, "User", "@.age > 20") == "3\n"
    run("put", place, "Run", "run-8", "1", "done=true")
    assert run("get", place, "Run", "run-8", "1", "--json") == (
        '{"name":"run-8","number":1,"done":true}\n'
    )
    assert run("add", place, "User", "name=fay", "age=9", "joined:=null", "tags=[]") == "fay\n"
    run("update", place, "User", "fay", "age=10", "joined=2024-02-29")
    run("delete", place, "Run", "run-7", "3")
    assert "there is no key Run run-7 3" in run("delete", place, "Run", "run-7", "3", code=3)
    with opened(place) as store:
        users = Collection(store, User)
        assert users["fay"] == User("fay", 10, date(2024, 2, 29), [])
        assert users.find(age=10).to_list("name") == ["fay"]  # the index has followed
        assert len(users) == 5
        assert [*Collection(store, Run)] == [("run-7", 4), ("run-8", 1)]


# -- find ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("terms", "found"),
    [
        ([], ["ada", "bob", "cyd", "eve"]),
        (["age=36"], ["ada", "cyd"]),
        (["age=36", "name=cyd"], ["cyd"]),
        (["age:=36"], ["ada", "cyd"]),
        (["joined=2020-01-31"], ["ada"]),
        (["joined:=null"], ["bob"]),
        (['tags:=["navy"]'], ["eve"]),
        (['tags=["navy"]'], ["eve"]),
        (["@.age > 30"], ["ada", "cyd", "eve"]),
        (["@.age > 30", "@.age < 50"], ["ada", "cyd"]),
        (["@.age > 30", "name=eve"], ["eve"]),
        (["$[?(@.age == 17)]"], ["bob"]),
        (['@.tags contains "x=y"'], ["ada"]),
        (["@.joined >= '2021-01-01'"], []),
        (["name=nobody"], []),
        (["--", "name=-x"], []),
    ],
)
@pytest.mark.parametrize("options", [[], ["--class", "shop_models:User"]])
def test_a_record_is_found_by_filters_and_by_the_values_of_its_fields(
    run, path, terms, found, options
):
    assert names(run("find", path, "User", *options, *terms)) == found
    assert run("count", path, "User", *options, *terms) == f"{len(found)}\n"


def test_a_filter_has_values_that_are_typed_beside_it(run, path):
    since = ["@.joined >= {since} && @.age > {least}", "since=2021-01-01"]
    found = run("find", path, "User", *since, "least=1", "--fields", "name")
    assert {*found.split()} == {
        f'{{"name":"{user.name}"}}'
        for user in USERS
        if user.joined is not None and user.joined >= date(2021, 1, 1) and user.age > 1
    }
    assert run("count", path, "User", *since, "least:=1") == f"{len(found.splitlines())}\n"
    twice = ["@.age > {least}", "@.age >= {least}", "least=36", "name=eve"]
    assert run("count", path, "User", *twice) == "1\n"
    assert "least" in run("find", path, "User", *since, code=1)


def test_records_come_sorted_and_in_part(run, path):
    assert names(run("find", path, "User", "--order-by", "-age,name")) == [
        "eve",
        "ada",
        "cyd",
        "bob",
    ]
    assert names(run("find", path, "User", "--order-by", "age", "--order-by", "-name")) == [
        "bob",
        "cyd",
        "ada",
        "eve",
    ]
    assert names(run("find", path, "User", "--reverse")) == ["eve", "cyd", "bob", "ada"]
    assert run("find", path, "User", "--limit", "0") == ""


def test_all_forms_have_the_same_records(run, path):
    lines = rows(run("find", path, "User"))
    assert lines[0] == {
        "name": "ada",
        "age": 36,
        "joined": {"$date": "2020-01-31"},
        "tags": ["math", "x=y"],
    }
    assert json.loads(run("find", path, "User", "--json")) == lines
    assert rows(run("find", path, "User", "--jsonl")) == lines
    table = run("find", path, "User", "--table")
    assert table.split("\n")[0].split() == ["name", "age", "joined", "tags"]
    cells = [*csv.DictReader(io.StringIO(run("find", path, "User", "--csv")))]
    assert cells[1] == {"name": "bob", "age": "17", "joined": "", "tags": "[]"}
    assert json.loads(run("find", path, "User", "name=nobody", "--json")) == []


@pytest.mark.parametrize("options", [[], ["--class", "shop_models:Log"]])
def test_a_record_without_key_fields_is_shown_with_its_key(run, path, options):
    found = rows(run("find", path, "Log", *options))
    assert [row["text"] for row in found] == ["first", "second"]
    assert {*found[0]} == {"_key", "text"}
    key = found[0]["_key"]["$UUID"]
    assert json.loads(run("get", path, "Log", key, "--json")) == {"text": "first"}


def test_some_fields_and_paths_are_printed(run, path):
    found = rows(run("find", path, "User", "--fields", "name,tags[0]", "--limit", "9"))
    assert found[:2] == [{"name": "ada", "tags[0]": "math"}, {"name": "bob", "tags[0]": None}]
    assert rows(run("find", path, "User", "--fields", "tags[*]", "name=ada")) == [
        {"tags[*]": ["math", "x=y"]}
    ]
    assert "empty name" in run("find", path, "User", "--fields", "name,", code=2)
    assert "no field 'nam'" in run("find", path, "User", "--fields", "nam", code=1)


def find_with_errors(*arguments):
    code, out, errors = run_process("find", *arguments)
    assert code == 0, errors
    return names(out.decode()), errors


def test_pages_follow_each_other_by_their_cursors(path):
    options = [path, "User", "--order-by", "-age", "--limit", "2"]
    found, errors = find_with_errors(*options)
    assert found == ["eve", "ada"]
    assert errors.startswith("next page: --after ")
    assert errors.count("\n") == 1
    more = errors.removeprefix("next page: ").split()
    assert find_with_errors(*options, *more) == (["cyd", "bob"], "")  # and there are no more
    assert find_with_errors(path, "User", "--limit", "4")[1] == ""


@pytest.mark.parametrize(
    ("cursor", "message"), [("nonsense", "is no cursor"), ("", "is no cursor")]
)
def test_a_cursor_that_is_none_is_refused(run, path, cursor, message):
    assert message in run("find", path, "User", "--after", cursor, code=1)


def test_the_cursor_of_another_order_is_refused(run, path):
    cursor = find_with_errors(path, "User", "--limit", "1")[1].split()[-1]
    message = run("find", path, "User", "--order-by", "age", "--after", cursor, code=1)
    assert "the cursor is of the order of the keys" in message


def test_the_plan_of_a_query_is_printed_and_the_query_not_run(run, path):
    shown = run("find", path, "User", "age=36", "--explain")
    assert shown.startswith("index        age           @.age == 36")
    plan = json.loads(run("find", path, "User", "@.name != 'x'", "--explain", "--json"))
    assert plan["index"] is None
    assert plan["rest"] == ["@.name != 'x'"]
    assert plan["read"] is None
    assert "--csv" in run("find", path, "User", "--explain", "--csv", code=2)


@pytest.mark.parametrize(
    ("term", "lines"),
    [
        ("@.age >> 3", ["'>' is not expected here", "    @.age >> 3", "           ^"]),
        (
            "@.name == 'x' && @.agee > 3",
            [
                "User has no field 'agee': did you mean 'age'?",
                "    @.name == 'x' && @.agee > 3",
                " " * 23 + "^",
            ],
        ),
        (
            "@.age > 3\x1b[31m",
            ["'\\x1b' is not expected here", r"    @.age > 3\x1b[31m", "             ^"],
        ),
        (
            "@.age > 3\n  && @.age >> 4",
            ["'>' is not expected here", "    @.age > 3", "      && @.age >> 4", " " * 16 + "^"],
        ),
        (
            f"@.name == '{'x' * 100}' && @.age >> 3",
            ["'>' is not expected here", f"    ...{'x' * 48}' && @.age >> 3", " " * 67 + "^"],
        ),
    ],
)
@pytest.mark.parametrize("command", ["find", "count"])
def test_an_error_in_a_filter_shows_its_place(path, command, term, lines):
    code, out, errors = run_process(command, path, "User", term)
    assert (code, out) == (1, b"")
    assert errors.splitlines() == [f"stones: {lines[0]}", *lines[1:]]


@pytest.mark.parametrize(
    ("terms", "code", "message"),
    [
        (["agee=3"], 1, "no field 'agee': did you mean 'age'?"),
        (["agee:=3"], 1, "no field 'agee': did you mean 'age'?"),
        (["age>36"], 2, "a filter is typed as '@.age > ...'"),
        (["age == 36"], 2, "a filter is typed as '@.age == ...'"),
        (["thirty"], 2, "is neither a filter nor FIELD=VALUE"),
        (["address.city=Rome"], 2, "typed as '@.address.city == ...', with text in double quotes"),
        (["age=1", "age=2"], 2, "the field age is given twice"),
        (["age:=x"], 2, "it is no JSON"),
        (["age=old"], 1, "age: expected int, got str 'old'; for another type, give JSON: age:="),
        (["@.joined > {day}", "day=today"], 1, "joined: expected date, got str 'today'"),
        (["--order-by", "agee"], 1, "no field 'agee'"),
        (["--order-by", "tags[*]"], 1, "may find several values"),
        (["--limit", "-1"], 2, "--limit"),
    ],
)
def test_what_cannot_be_asked_for_is_told(run, path, terms, code, message):
    assert message in run("find", path, "User", *terms, code=code)


@pytest.mark.parametrize("command", ["find", "count"])
def test_a_collection_that_is_not_there_has_its_exit_code(run, path, command):
    message = run(command, path, "Uzer", code=3)
    assert "there is no collection Uzer" in message
    assert "Log, Run, User" in message
    message = run(command, path, "Uzer", "--class", "shop_models:User", code=3)
    assert "there is no collection Uzer" in message
    assert "sessions is a namespace" in run(command, path, "sessions", code=1)
    assert "there is no collection a\\x1b[31m" in run(command, path, "a\x1b[31m", code=3)


def test_records_that_are_pickled_are_read_only_when_told_so(run, tmp_path):
    path = str(tmp_path / "db")
    with LmdbStore(path, serialize="pickle") as store:
        Collection(store, User).add_many(USERS)
    assert "--trust-pickle" in run("find", path, "User", code=1)
    assert len(names(run("find", path, "User", "--trust-pickle"))) == 4


@define
class Hostile:
    id: int = key()
    text: str


def test_no_control_character_of_a_record_reaches_a_terminal(tmp_path):
    path = str(tmp_path / "db")
    hostile = "\x1b[31mred\x9b2J\r\n\u202egnp.exe"
    with LmdbStore(path, serialize="json") as store:
        Collection(store, Hostile).add(Hostile(1, hostile))
    for command in (
        ["find", path, "Hostile"],
        ["get", path, "Hostile", "1", "--json"],
        ["find", path, "Hostile", "text=x\x1b[31m", "--explain"],
        ["export", path],
        ["export", path, "Hostile", "--csv"],
    ):
        terminal = Terminal([sys.executable, "-m", "stones", *command], lines=100)
        terminal.finish()
        shown = terminal.plain
        assert "red" in shown or "x" in shown
        for character in ("\x1b", "\x9b", "\u202e"):
            assert character not in shown, command


# -- get -------------------------------------------------------------------------------------------


def test_a_record_is_read_by_its_class(run, path):
    assert run("get", path, "Run", "run-7", "3", "--class", "shop_models:Run") == (
        "Run(name='run-7', number=3, done=False)\n"
    )
    options = ["--class", "shop_models:Run", "--json"]
    assert json.loads(run("get", path, "Run", "run-7", "4", *options))["done"] is True
    assert "no key Run run-7 5" in run("get", path, "Run", "run-7", "5", *options, code=3)
    assert "--class is for a record" in run("get", path, "plain", *options, code=2)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("shop_models", "names no class"),
        ("shop_models:Nobody", "cannot be imported"),
        ("no_such_module:User", "cannot be imported"),
        ("shop_models:Run", "the keys of Run are tuple[str, int]"),
    ],
)
@pytest.mark.parametrize("command", [["find"], ["put", "x", "age=1"], ["update", "ada", "age=1"]])
def test_a_class_that_does_not_fit_is_refused(run, path, command, name, message):
    first, *rest = command
    assert message in run(first, path, "User", *rest, "--class", name, code=1)


# -- put, add, update, delete ----------------------------------------------------------------------


def stored_users(path):
    with LmdbStore(path) as store:
        return dict(Collection(store, User))


@pytest.mark.parametrize(
    "words",
    [
        ["age=9", "joined=2024-02-29", 'tags=["a"]'],
        ["name=fay", "age:=9", 'joined:={"$date": "2024-02-29"}', 'tags:=["a"]'],
        ['{"age": 9, "joined": "2024-02-29", "tags": ["a"]}'],
        ['{"name": "fay", "age": 9, "joined": {"$date": "2024-02-29"}, "tags": ["a"]}'],
    ],
)
@pytest.mark.parametrize("options", [[], ["--class", "shop_models:User"]])
def test_a_record_is_put_by_its_fields_or_as_json(run, path, words, options):
    run("put", path, "User", "fay", *words, *options)
    assert stored_users(path)["fay"] == User("fay", 9, date(2024, 2, 29), ["a"])


def test_a_record_is_put_from_standard_input(run, path):
    run("put", path, "User", "bob", "-", stdin=b'{"age": 18, "joined": null, "tags": []}')
    assert stored_users(path)["bob"] == User("bob", 18, None, [])


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["fay", "age=old", "joined:=null", "tags=[]"], 1, "age: expected int, got str 'old'"),
        (["fay", "age=9"], 1, "is missing"),
        (["fay", "agee=9"], 1, "no field 'agee': did you mean 'age'?"),
        (["fay", "{"], 2, "VALUE"),
        (["fay", "[1]"], 2, "a record is a JSON object of its fields"),
        (["fay", '{"name": "gil", "age": 9, "joined": null, "tags": []}'], 1, "has another key"),
        (["fay", "age=9", "{}"], 2, "type 1 part, not 2"),
        (["fay", "x", "age=9"], 2, "give either some FIELD=VALUE, or one JSON object"),
        (["age=9"], 2, "User is a collection, and the key is missing"),
        (["fay", "age=9", "--text"], 2, "--text is for a value that is no record"),
    ],
)
def test_a_record_that_does_not_fit_the_others_is_refused(run, path, words, code, message):
    assert message in run("put", path, "User", *words, code=code)
    assert stored_users(path).keys() == {"ada", "bob", "cyd", "eve"}


def test_the_class_checks_what_is_written(run, path):
    options = ["--class", "shop_models:User"]
    for command in (
        ["put", path, "User", "fay", "age=-1"],
        ["update", path, "User", "ada", "age=-1"],
        ["add", path, "User", "name=fay", "age=-1"],
    ):
        assert "age" in run(*command, *options, code=1)
    run("put", path, "User", "fay", "age=1", *options)  # the class has defaults
    assert stored_users(path)["fay"] == User("fay", 1, None, [])


def test_the_first_record_of_a_store_needs_its_class(run, path):
    options = ["--class", "shop_models:Run", "--create", "json"]
    run("put", "new-db", "Run", "run-1", "1", "done=true", *options)
    assert run("get", "new-db", "Run", "run-1", "1") == (
        "{'name': 'run-1', 'number': 1, 'done': True}\n"
    )
    assert "there is no collection Tour" in run("add", "new-db", "Tour", "name=x", code=3)
    assert "there is no collection Tour" in run("put", "new-db", "Tour", "1", "name=x", code=3)


def test_a_part_of_a_key_may_look_like_a_field(run, path):
    run("put", path, "User", "age=1", "age=2", "joined:=null", "tags=[]")
    assert stored_users(path)["age=1"].age == 2
    run("update", path, "User", "age=1", "age=3")
    assert stored_users(path)["age=1"].age == 3
    run("delete", path, "User", "age=1")
    assert "age=1" not in stored_users(path)


def test_a_record_is_added_once_and_its_key_printed(run, path):
    assert run("add", path, "Run", "name=new run", "number=-1", "done=no", code=1)
    assert run("add", path, "Run", "name=new run", "number=-1", "done=false") == "'new run' -1\n"
    message = run("add", path, "Run", "name=new run", "number=-1", "done=false", code=1)
    assert "is there already" in message
    key = run("add", path, "Log", "text=third").strip()
    assert UUID(key)
    assert json.loads(run("get", path, "Log", key, "--json")) == {"text": "third"}


def test_some_fields_of_a_record_are_changed(run, path):
    run("update", path, "User", "ada", "age=37", "joined:=null")
    assert stored_users(path)["ada"] == User("ada", 37, None, ["math", "x=y"])
    run("update", path, "User/ada", '{"tags": ["a"]}')
    assert stored_users(path)["ada"] == User("ada", 37, None, ["a"])
    assert run("count", path, "User", "age=37") == "1\n"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["User", "nobody", "age=1"], 3, "there is no key User nobody"),
        (["User", "ada", "age=x"], 1, "age: expected int"),
        (["User", "ada", "agee=1"], 1, "no field 'agee'"),
        (["User", "ada", "name=bob"], 1, "another key"),
        (["User", "ada"], 2, "'ada' is neither FIELD=VALUE nor a JSON object: type behind the key"),
        (["User", "ada", "{"], 2, "it is no JSON"),
        (["plain", "1"], 2, "update is for records"),
        (["sessions", "ada", "2"], 2, "update is for records"),
        (["Uzer", "ada", "age=1"], 3, "there is no collection Uzer"),
        (["User"], 2, "Missing argument"),
    ],
)
def test_an_update_that_cannot_be_is_refused(run, path, words, code, message):
    assert message in run("update", path, *words, code=code)
    assert stored_users(path)["ada"] == USERS[0]


def test_keys_of_dates_and_times_are_typed_as_people_write_them(run, tmp_path):
    @define
    class Sample:
        at: datetime = key()
        day: date = key()
        value: float

    path = str(tmp_path / "db")
    with LmdbStore(path, serialize="msgpack") as store:
        Collection(store, Sample).add(Sample(datetime(2024, 2, 29, 7), date(2024, 1, 1), 1.5))
    run("put", path, "Sample", "2024-02-29T08:00", "2024-01-02", "value=2")
    found = rows(run("find", path, "Sample", "--reverse"))
    assert found[0]["day"] == {"$date": "2024-01-02"}
    assert run("count", path, "Sample", "day=2024-01-02") == "1\n"


def test_an_encrypted_store_is_searched_with_its_key(run, tmp_path):
    key_file = tmp_path / "secret.key"
    key_file.write_text("ab" * 32)
    path = str(tmp_path / "db")
    with stone(path, LmdbStore, serialize="json", encrypt=b"\xab" * 32) as store:
        Collection(store, User).add_many(USERS)
    assert "encrypted" in run("find", path, "User", code=1)
    assert len(names(run("find", path, "User", "--key-file", key_file))) == 4
