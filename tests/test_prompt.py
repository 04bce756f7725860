"""`stones shell`: a Python prompt with the store, its collections, and completion."""

import os
import subprocess
import sys
from datetime import date

import pytest
from attrs import define

from stones import Collection, LmdbStore, MemoryStore, Migration, index, key
from stones.command_line.prompt.completion import complete
from stones.command_line.prompt.names import first_lines, prompt_names

from .terminal import Terminal


@define
class User:
    name: str = key()
    email: str
    age: int = index()
    joined: date = date(2020, 1, 31)


@define
class Visit:
    city: str = key()
    number: int = key()
    rating: float | None = None


@define
class Note:
    id: int = key()
    text: str


USERS = [User("ada", "ada@x", 36), User("adam", "adam@x", 25), User("it's", "its@x", 41)]


def fill(store):
    store.update({"count": 7, "color": "green", b"\xff": 1})
    store.namespace("sessions/")["ada"] = 1
    Collection(store, User).add_many(USERS)
    Collection(store, Visit).add_many([Visit("New York", 7, 4.5), Visit("Paris", 1)])
    Collection(store, Note).add_many([Note(number, "x") for number in range(1, 13)])
    Collection(store, Note, "odd-name").add(Note(1, "y"))
    Collection(store, Note, "list").add(Note(1, "y"))


@pytest.fixture
def names(open_store):
    with open_store() as store:
        fill(store)
        yield prompt_names(store)[0]


@pytest.fixture
def path(tmp_path):
    path = str(tmp_path / "db")
    with LmdbStore(path, serialize="msgpack") as store:
        fill(store)
    return path


COMPLETED = {
    "User['a": ["'ada'", "'adam'"],
    'User["ad': ['"ada"', '"adam"'],
    "User.get('adam": ["'adam'"],
    "User[": ["'ada'", "'adam'", '"it\'s"'],
    "User['ada']['em": ["'email'"],
    "User.find(age=36).one()['j": ["'joined'"],
    "User.find(": ["name=", "email=", "age=", "joined="],
    "x = User.find(a": ["age="],
    "User.find('@.ag": ["age"],
    "User.find('$[?(@.age > 30 && @.na": ["name"],
    "User.find('@.age > (30) + 1').order_by('-a": ["age"],
    "User.find(age=36).update(em": ["email="],
    "User.update('ada', e": ["email="],
    "User.find(lambda u: u.e": ["email"],
    "User.find(lambda u: (u.age > 30) & (": [],
    "User.find(name='a": [],
    "Visit['N": ["'New York', 7"],
    "Visit['New York', ": ["'New York', 7"],
    "Note[1": ["1", "10", "11", "12"],
    "collections['od": ["'odd-name'"],
    "collections['odd-name'][": ["1"],
    "collections['odd-name'].find(t": ["text="],
    "store['co": ["'color'", "'count'"],
    "store[b'co": ["b'color'", "b'count'"],
    r"store[b'": [r"b'\xff'"],
    "store.get('cou": ["'count'"],
    "sessions['": ["'ada'"],
    "User": [],
    "User.fi": [],
    "[User": [],
    "nothing['a": [],
    "print(a": [],
    "User['ada'": ["'ada'"],
    "User.find('@.x').unknown(')": ["name", "email", "age", "joined"],
    ")]}[": [],
    "User[[[[(": [],
}


@pytest.fixture
def memory_names():
    with MemoryStore() as store:
        fill(store)
        yield prompt_names(store)[0]


@pytest.mark.parametrize("text", COMPLETED)
def test_keys_and_fields_are_completed(text, memory_names):
    found = complete(text, memory_names)
    assert set(COMPLETED[text]) <= set(found.words)
    assert bool(COMPLETED[text]) == bool(found.words)
    assert all(word.startswith(text[found.start :]) for word in found.words)


def test_completion_is_the_same_on_each_engine(names, memory_names):
    for text in COMPLETED:
        assert complete(text, names) == complete(text, memory_names)


def test_completion_looks_at_a_part_of_a_large_store_only(tmp_path):
    with LmdbStore(str(tmp_path / "db")) as store:
        store.update({f"{number:06}": 1 for number in range(100_000)})
        names = prompt_names(store)[0]
        found = complete("store['09999", names).words
        assert found == tuple(f"'09999{number}'" for number in range(10))
        assert len(complete("store[", names).words) == 100


def test_a_collection_has_its_name_where_python_can_have_it(names):
    assert {"User", "Visit", "Note", "sessions", "store", "collections"} <= names.keys()
    assert not {"odd-name", "list"} & names.keys()
    assert names["collections"]["odd-name"][1] == {"id": 1, "text": "y"}
    assert sorted(names["collections"]) == ["Note", "User", "Visit", "list", "odd-name"]
    with pytest.raises(KeyError):
        names["collections"]["nothing"]


def test_a_collection_that_is_made_later_is_there_too(names):
    Collection(names["store"], Note, "Later").add(Note(1, "z"))
    assert names["collections"]["Later"][1]["text"] == "z"


def test_the_first_lines_tell_of_collections_and_their_fields(names):
    lines = first_lines(names, ["Old cannot be opened"], 60).splitlines()
    assert "  Visit        2 records, key city, number: city, number, ra" in lines
    assert "  collections  all 5: collections['name']" in lines
    assert "Old cannot be opened" in lines


def test_a_collection_that_cannot_be_opened_is_told_and_the_rest_is_there(tmp_path):
    @define
    class Renamed:
        id: int = key()
        body: str

    with LmdbStore(str(tmp_path / "db")) as store:
        fill(store)
        notes = Collection(
            store, Renamed, "Note", migrations=[Migration(1, rename={"text": "body"})]
        )
        notes.add(Renamed(20, "new"))  # the others have not had the step
        names, problems = prompt_names(store)
    assert "Note" not in names
    assert "User" in names
    (problem,) = problems
    assert problem.startswith("Note cannot be opened: the records of 'Note' are being brought to")


def test_lines_of_a_pipe_are_run_and_their_values_printed(run, path):
    lines = b"user = User['ada']\nuser['age'] + 1\nfor x in range(2):\n    x\n\nlen(store)\n"
    assert run("shell", path, stdin=lines) == "37\n0\n1\n23\n"


def test_what_is_written_at_the_prompt_is_there(run, path):
    assert run("shell", path, "-c", "User.update('ada', age=37)['age']") == "37\n"
    assert run("shell", path, "-c", "User['ada']['age']") == "37\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\n1/0", "line 2: ZeroDivisionError: division by zero"),
        ("x = (", "line 1: '(' was never closed"),
        ("User['nobody']", "line 1: KeyError: 'nobody'"),
        ("User.find('@.agee > 3')", "line 1: '@.agee > 3': User has no field 'agee'"),
        ("User.update('ada', age='x')", "line 1: User['ada']: age: expected int, got str 'x'"),
        ("raise ValueError", "line 1: ValueError"),
        ("\0", "null bytes"),
    ],
)
def test_what_is_wrong_is_one_line_with_the_number_of_the_line(run, path, text, message):
    text = text.removeprefix("1\n") if "\n" not in text else text.replace("1\n", "x = 1\n", 1)
    assert message in run("shell", path, "-c", text, code=1)


def test_a_store_that_is_opened_readonly_is_not_changed(run, path):
    assert "read-only" in run("shell", path, "--readonly", "-c", "store['a'] = 1", code=1)


@pytest.mark.parametrize(("ending", "code"), [("4", 4), ("None", 0), ("'bye'", 1), ("256", 0)])
def test_a_program_may_end_the_prompt_with_an_exit_code(path, ending, code):
    command = [sys.executable, "-m", "stones", "shell", path, "-c", f"raise SystemExit({ending})"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (code, "bye\n" if code == 1 else "")


def test_records_have_their_class_where_it_is_named(run, path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "prompt_models.py").write_text(
        "from attrs import define\nfrom stones import key\n\n"
        "@define\nclass Note:\n    id: int = key()\n    text: str\n"
    )
    line = "Note[1], isinstance(Note[2], prompt_models.Note), type(Visit['Paris', 1]).__name__"
    shown = run("shell", path, "--class", "prompt_models:Note", "-c", line)
    assert shown == "(Note(id=1, text='x'), True, 'dict')\n"


def test_a_class_that_is_not_there_is_told(run, path):
    assert "cannot be imported" in run(
        "shell", path, "--class", "no_such_module:X", "-c", "1", code=1
    )


@pytest.fixture
def prompt(path, tmp_path):
    """Opens `stones shell` on a terminal, with options."""
    opened = []

    def prompt(*options):
        command = [sys.executable, "-m", "stones", "shell", path, *options]
        terminal = Terminal(
            command,
            env=os.environ | {"HOME": str(tmp_path), "IPYTHONDIR": str(tmp_path / "ipython")},
            columns=100,
            lines=50,
        )
        opened.append(terminal)
        return terminal

    yield prompt
    for terminal in opened:
        terminal.process.kill()
        terminal.process.wait()


def type_at(terminal, text, shown):
    """Type a text, and wait until the terminal shows what matches `shown`."""
    terminal.shown = ""
    os.write(terminal.terminal, text.encode())
    terminal.read_until(shown)


def test_the_plain_prompt_completes_and_shows_values(prompt):
    terminal = prompt("--plain")
    terminal.read_until(">>> ")
    assert "  User         3 records, key name: name, email, age, joined" in terminal.plain
    type_at(terminal, "User['ada\t", r"User\['ada")
    type_at(terminal, "m\t", "m'")
    type_at(terminal, "]['em\t", "email'")
    type_at(terminal, "]\n", "'adam@x'")
    type_at(terminal, "User.find(ag\t", "age=")
    type_at(terminal, "36).count()\n", "\n1\r\n>>> ")
    type_at(terminal, "Visit['N\t", "New York'")
    type_at(terminal, ", \t", "7")
    type_at(terminal, "]['rating']\n", "4.5")
    type_at(terminal, "store.names\t", r"namespace\(")
    type_at(terminal, "'sessions/')['ada']\n", "\n1\r\n>>> ")
    type_at(terminal, "User.find('@.agee')\n", "QueryError: '@.agee': .*\r\n>>> ")
    assert "Traceback" not in terminal.plain
    type_at(terminal, "\x04", "")
    assert terminal.finish() == 0


def test_ipython_completes_and_shows_values(prompt):
    terminal = prompt()
    terminal.read_until(r"In \[1\]: ")
    assert "  User         3 records, key name: name, email, age, joined" in terminal.plain
    type_at(terminal, "User['adam\t", "adam'")
    type_at(terminal, "]['em\t", "email'")
    type_at(terminal, "]\r", r"Out\[1\]: 'adam@x'")
    type_at(terminal, "User.find(ag\t", "age=")
    type_at(terminal, "36).count()\r", r"Out\[2\]: 1")
    type_at(terminal, "User.find('@.agee').count()\r", "QueryError: '@.agee': ")
    terminal.read_until(r"In \[4\]: ")
    assert "Traceback" not in terminal.plain
    type_at(terminal, "exit\r", "")
    assert terminal.finish() == 0
