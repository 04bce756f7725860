"""`stones import`, and import_from on each engine."""

import json
import os
import shelve
import shutil
import subprocess
import sys
import time

import diskcache
import pytest
from attrs import define

from stones import Collection, LmdbStore, SqliteStore, import_from, index, key
from stones.command_line import import_command
from stones.command_line.main import main
from stones.migrations.imports.kinds import KINDS

MODULE = """
from attrs import define
from stones import key

@define
class Person:
    name: str = key()
    age: int
"""


@define
class Person:
    name: str = key()
    age: int = index()


@pytest.fixture
def path(tmp_path, monkeypatch):
    """A file of JSON lines, beside a module with a class."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "people_of_import.py").write_text(MODULE)
    path = tmp_path / "old.jsonl"
    path.write_text('{"name": "ada", "age": 36}\n{"name": "bob", "age": 17}\n')
    yield path
    sys.modules.pop("people_of_import", None)


def test_it_makes_a_store_and_writes_all_entries(run, path):
    assert run("import", path, "new", "--key", "name") == (
        "jsonl: 2 entries written to new, of 2 in the file\n"
    )
    with LmdbStore("new") as store:
        assert store["bob"] == {"name": "bob", "age": 17}
        assert store.stats()["serializer"] == "msgpack"


def test_it_fills_a_collection_of_a_class(run, path):
    run("import", path, "sqlite:new.db", "--class", "people_of_import:Person")
    run("import", path, "sqlite:new.db", "--class", "people_of_import:Person", "--collection", "p")
    with SqliteStore("new.db") as store:
        assert len(Collection(store, Person, indexes=())) == 2
        assert store["p/ada"] == {"name": "ada", "age": 36}


def test_a_collection_that_is_there_needs_no_class(run, path):
    with LmdbStore("people", serialize="json") as store:
        Collection(store, Person).add(Person("eve", 52))
    assert run("import", path, "people", "--collection", "Person") == (
        "jsonl: 2 entries written to people, of 2 in the file\n"
    )
    with open("wrong.jsonl", "w") as file:
        print('{"name": "fay", "age": "old"}', '{"name": "gil"}', sep="\n", file=file)
    error = run("import", "wrong.jsonl", "people", "--collection", "Person", code=1)
    assert "line 1: age: expected int, got str 'old'" in error
    assert "line 2: age: is missing" in error
    with LmdbStore("people") as store:
        people = Collection(store, Person)
        assert people.find(age=17).one() == Person("bob", 17)  # the index has followed
        assert len(people) == 3


@pytest.mark.parametrize("form", ["--jsonl", "--csv"])
def test_what_is_exported_is_imported_again_through_a_pipe(run, path, form):
    run("import", path, "first", "--class", "people_of_import:Person")
    exported = run("export", "first", "Person", form).encode()
    run("put", "first", "Person", "ada", "age=99")
    kind = form.removeprefix("--")
    options = ["--collection", "Person", "--on-duplicate", "replace", "--kind", kind]
    assert "2 entries written" in run("import", "-", "first", *options, stdin=exported)
    assert run("get", "first", "Person", "ada") == "{'name': 'ada', 'age': 36}\n"


@define
class Note:
    id: int = key()
    text: str | None = None


def test_an_empty_cell_is_none_where_all_records_have_none(run, path):
    with LmdbStore("notes", serialize="json") as store:
        Collection(store, Note).add_many([Note(1), Note(2)])
    exported = run("export", "notes", "Note", "--csv")
    options = ["--collection", "Note", "--on-duplicate", "replace", "--kind", "csv"]
    run("import", "-", "notes", *options, stdin=exported.replace("2,", "2,five").encode())
    with LmdbStore("notes") as store:
        assert dict(Collection(store, Note)) == {1: Note(1), 2: Note(2, "five")}


def test_standard_input_has_json_lines_unless_told_otherwise(run, path):
    shown = run("import", "-", "new", "--key", "name", stdin=path.read_bytes())
    assert shown == "jsonl: 2 entries written to new, of 2 in the file\n"


def test_a_dry_run_makes_no_store_and_lists_what_does_not_fit(run, path):
    with open(path, "a") as file:
        print('{"name": "eve"}', file=file)
    arguments = ["import", path, "new", "--class", "people_of_import:Person", "--dry-run"]
    error = run(*arguments[:-1], code=1)
    assert "1 of 3 entries cannot be taken over, and nothing was written: line 3: age" in error
    assert not (path.parent / "new").exists()


def test_a_dry_run_has_a_code_of_its_own_and_tells_json(path, capfd, monkeypatch):
    with open(path, "a") as file:
        print('{"name": "eve"}', file=file)
    arguments = ["import", str(path), "new", "--class", "people_of_import:Person", "--dry-run"]
    for more, shown in (([], "cannot     line 3: age: is missing"), (["--json"], '"failed": 1')):
        monkeypatch.setattr(sys, "argv", ["stones", *arguments, *more])
        with pytest.raises(SystemExit) as end:
            main()
        text = capfd.readouterr().out
        assert end.value.code == 1
        assert shown in text
    report = json.loads(text)
    assert report["failures"][0] == {
        "place": "line 3",
        "key": None,
        "reason": "age: is missing, and has no default",
    }
    assert not (path.parent / "new").exists()


def test_a_store_that_is_there_is_kept_when_an_import_fails(run, path):
    run("import", path, "new", "--key", "name")
    assert "is there already" in run("import", path, "new", "--key", "name", code=1)
    shown = run("import", path, "new", "--key", "name", "--on-duplicate", "skip")
    assert "left out   2 keys that were there already" in shown
    with LmdbStore("new") as store:
        assert len(store) == 2


def test_pickled_values_need_trust(run, path):
    with shelve.open("shelf") as old:
        old["a"] = {"b": 1}
    assert "--trust-pickle" in run("import", "shelf", "new", code=1)
    run("import", "shelf", "new", "--trust-pickle", "--prefix", "old/")
    assert run("get", "new", "old/a") == "{'b': 1}\n"


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--collection", "p"], 3, "name the class of a new one with --class"),
        (["--collection", "p", "--prefix", "a"], 2, "--prefix is for raw keys"),
        (["--class", "people_of_import:Person", "--prefix", "a"], 2, "--prefix is for raw keys"),
        (["--class", "Person"], 1, "'Person' names no class: write 'app.models:User'"),
        (["--class", "no_such_module:Person"], 1, "'no_such_module:Person' cannot be imported"),
        (["--class", "people_of_import:Nobody"], 1, "cannot be imported: AttributeError"),
        (["--kind", "xml"], 2, "Invalid value for '--kind'"),
    ],
)
def test_a_wrong_option_is_told(run, path, options, code, message):
    assert message in run("import", path, "new", *options, code=code)
    assert not (path.parent / "new").exists()


def test_every_kind_of_the_library_is_a_kind_of_the_command():
    assert tuple(KINDS) == import_command.KINDS


def test_all_or_nothing_on_each_engine(store, path):
    people = Collection(store, Person)
    assert import_from(path, people).written == 2
    assert import_from(path, store, key="name", prefix="raw/").written == 2
    assert people.find(age=17).one() == Person("bob", 17)
    with open(path, "a") as file:
        print('{"name": "eve", "age": 1}\n{"name": "ada", "age": 1}', file=file)
    for target, options in ((people, {}), (store, {"key": "name", "prefix": "raw/"})):
        report = import_from(path, target, dry_run=True, **options)
        assert (report.written, report.failed) == (1, 3)
    assert (len(people), store["raw/bob"]) == (2, {"name": "bob", "age": 17})
    assert "raw/eve" not in store


WRITER = """
import sys
from stones import LmdbStore, Collection, import_from
from people_of_import import Person
with LmdbStore("killed") as store:
    print("begins", flush=True)
    import_from("many.jsonl", Collection(store, Person))
    print("done", flush=True)
"""


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_an_import_that_is_killed_leaves_nothing_by_halves(path, share):
    count = 60_000
    with open("many.jsonl", "w") as file:
        file.writelines(f'{{"name": "{number}", "age": 1}}\n' for number in range(count))
    run_writer = [sys.executable, "-c", WRITER]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path])}

    def started():
        made = subprocess.Popen(run_writer, env=environment, stdout=subprocess.PIPE)
        assert made.stdout.readline() == b"begins\n"
        return made

    writer = started()
    began = time.monotonic()
    writer.communicate()
    whole = time.monotonic() - began
    shutil.rmtree("killed")
    writer = started()
    time.sleep(whole * share)
    writer.kill()
    writer.communicate()
    with LmdbStore("killed") as store:
        assert len(store) in {0, count}
        people = Collection(store, Person, indexes=())
        report = import_from("many.jsonl", people, on_duplicate="replace")
        assert (report.written, len(people)) == (count, count)


def test_what_has_expired_is_told(run, path, tmp_path):
    with diskcache.Cache(str(tmp_path / "cache"), cull_limit=0) as cache:
        cache.set("a", 1)
        cache.set("b", 2, expire=0.001)
    time.sleep(0.01)
    assert "left out   1 entry that had expired" in run("import", "cache", "new")


def test_the_format_of_a_new_store_may_be_named(run, path):
    run("import", path, "json:new.json", "--key", "name")
    run("import", path, "sqlite:new.db", "--key", "name", "--create", "cbor")
    with SqliteStore("new.db") as store:
        assert store.stats()["serializer"] == "cbor"


def test_a_server_that_cannot_be_reached_is_told_and_not_made(run, path):
    error = run("import", path, "redis://127.0.0.1:1/0", "--key", "name", code=1)
    assert "127.0.0.1:1" in error


def test_many_failures_of_a_dry_run_are_counted(path, capfd, monkeypatch):
    path.write_text("{\n" * 150)
    order = ["stones", "import", str(path), "new", "--key", "name", "--dry-run"]
    monkeypatch.setattr(sys, "argv", order)
    with pytest.raises(SystemExit) as end:
        main()
    shown = capfd.readouterr().out
    assert end.value.code == 1
    *lines, last = [line for line in shown.splitlines() if "cannot" in line]
    assert last == f"  cannot     {150 - len(lines)} more"
