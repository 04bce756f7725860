"""What bash, zsh and fish complete on a line with `stones`: by the function, and by themselves."""

import os
import re
import shutil
import socket
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from attrs import define
from hypothesis import given
from hypothesis import strategies as st

from stones import Collection, LmdbStore, key, key_from_file, stone
from stones.command_line import completion
from stones.command_line.completing_shells import Bash, BashWords
from stones.command_line.main import commands

from .terminal import Terminal

ENVIRONMENT = os.environ | {
    "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
}


@define
class User:
    name: str = key()
    email: str
    age: int


@define
class Visit:
    city: str = key()
    number: int = key()
    rating: float | None = None


@define
class Day:
    day: date = key()


def fill(store):
    store.update({"count": 7, "color": "green", b"raw\xff": 1, "back\\slash": 2})
    store.namespace("sessions/")["ada"] = 1
    Collection(store, User).add_many([User("ada", "a@x", 36), User("adam", "b@x", 25)])
    Collection(store, Visit).add_many(
        [Visit("New Orleans", 2), Visit("New York", 7), Visit("New York", 8), Visit("Paris", 1)]
    )
    Collection(store, Day).add(Day(date(2024, 2, 29)))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(completion, "SECONDS", 0)  # the timer is for a process of its own
    with LmdbStore("my-db", serialize="json") as store:
        fill(store)
    Path("notes").mkdir()
    for name in ("app.db", "app.db-wal", ".hidden"):
        Path(name).touch()
    return tmp_path


def offered(line):
    """The words that are offered at the end of a line."""
    words = BashWords(f"stones {line}")
    shell = Bash(commands, {}, "stones", "_STONES_COMPLETE")
    return [item.value for item in shell.get_completions(words.before[1:], words.last)]


OFFERED = {
    "sal": ["salvage"],
    "get ": ["my-db", "notes/"],
    "get my": ["my-db"],
    "get no": ["notes/"],
    "get pos": ["postgresql://"],
    "get sqlite:a": ["sqlite:app.db"],
    "get lmdb:m": ["lmdb:my-db"],
    "copy my-db sq": ["sqlite:"],
    "get my-db --js": ["--json"],
    "migrate my-db --to c": ["cbor"],
    "get my-db ": [
        *["Day", "User", "Visit", "sessions"],
        *[r"back\\slash", "color", "count", r"raw\xff"],
    ],
    "get my-db co": ["color", "count"],
    "get my-db User/ad": ["User/ada", "User/adam"],
    "get my-db User ad": ["ada", "adam"],
    "get my-db Visit ": ["New Orleans", "New York", "Paris"],
    "get my-db Visit 'New Y": ["New York"],
    r"get my-db Visit New\ York ": ["7", "8"],
    "get my-db Visit Paris ": ["1"],
    "get my-db Day ": ["2024-02-29"],
    "get my-db sessions ": ["ada"],
    "get my-db Nothing ": [],
    "put my-db sess": ["sessions"],
    "put my-db Vis": ["Visit"],
    "put my-db Visit Paris 2 ": ["city=", "number=", "rating="],
    "update my-db User ada e": ["email="],
    "update my-db User ad": ["ada", "adam"],
    "add my-db U": ["User"],
    "add my-db User name=x ag": ["age="],
    "find my-db User n": ["name="],
    "find my-db User --order-by name,-a": ["name,-age"],
    "find my-db User --fields e": ["email"],
    "count my-db Vi": ["Visit"],
    "delete my-db cou": ["count"],
    "keys my-db --prefix V": ["Visit/"],
    "export my-db --prefix s": ["sessions/"],
    "export my-db U": ["User"],
    "indexes my-db U": ["User"],
    "export my-db User --fields ": ["name", "email", "age"],
    "export my-db User --fields=name,e": ["name,email"],
    "migrations status my-db --collection U": ["User"],
    "get nowhere co": [],
    "keys nowhere --prefix V": [],
}


@pytest.mark.parametrize("line", OFFERED)
def test_stores_collections_keys_and_fields_are_offered(line, folder):
    assert offered(line) == OFFERED[line]


@pytest.fixture(params=["lmdb", "sqlite", "leveldb", "json", "dbm", "redis", "postgres"])
def url(request, tmp_path):
    if request.param == "postgres":
        server = request.getfixturevalue("postgres")
        return f"{server.url}{'&' if '?' in server.url else '?'}table={server.table}"
    if request.param == "redis":
        url, prefix = request.getfixturevalue("redis_url"), request.getfixturevalue("redis_prefix")
        return f"{url}{'&' if '?' in url else '?'}prefix={prefix()}"
    return f"{request.param}:{tmp_path}/store"


def test_keys_are_offered_of_a_store_on_each_engine(url, monkeypatch):
    monkeypatch.setattr(completion, "SECONDS", 0)
    with stone(url, **{} if url.startswith("json:") else {"serialize": "json"}) as store:
        store.update({"count": 7, "color": "green"})
        Collection(store, Visit).add_many([Visit("New York", 7), Visit("Paris", 1)])
    for rest, words in {"co": ["color", "count"], "V": ["Visit"], "Visit N": ["New York"]}.items():
        assert offered(f"get '{url}' {rest}") == words


def test_keys_of_an_encrypted_store_are_offered_to_whoever_has_its_key(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(completion, "SECONDS", 0)
    Path("my.key").write_bytes(b"k" * 32)
    with LmdbStore("my-db", serialize="json", encrypt=key_from_file("my.key")) as store:
        fill(store)
    assert offered("get my-db --key-file my.key User ad") == ["ada", "adam"]
    assert offered("get my-db User ad") == []


def test_a_large_store_is_looked_at_in_part(folder):
    with LmdbStore("my-db") as store:
        store.update({f"k{number:06}": 1 for number in range(20_000)})
        Collection(store, User).add_many(User(f"u{n:05}", "", n) for n in range(20_000))
    assert len(offered("get my-db k")) == completion.SHOWN
    assert offered("get my-db User u1999") == [f"u1999{n}" for n in range(10)]


def test_a_server_that_does_not_answer_ends_the_completion(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        done = subprocess.run(
            [sys.executable, "-c", "from stones.command_line.main import main; main()"],
            env=os.environ
            | {
                "_STONES_COMPLETE": "bash_complete",
                "COMP_LINE": f"stones get {url} a",
                "COMP_WORD": "a",
            },
            capture_output=True,
            timeout=30,
        )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@given(st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), min_size=1))
def test_bash_reads_each_word_as_it_was_offered(word):
    for typed in ("", "'", '"'):
        words = BashWords(f"stones get {typed}")
        reply = typed + words.reply(word, typed) + typed
        assert BashWords(f"stones {reply} ").before == ["stones", word]


SHELL_LINES = {
    "stones get my-db co": {"color", "count"},
    "stones get my-db Visit N": {"New Orleans", "New York"},
    "stones get sqlite:a": {"sqlite:app.db"},
    "stones export my-db User --fields name,a": {"name,age"},
    r"stones get my-db Visit New\ York ": {"7", "8"},
    "stones keys my-db --prefix V": {"Visit/"},
    r"stones get my-db ra": {r"raw\xff"},
}


def check_there(shell):
    assert shutil.which(shell), f"there is no {shell} here: install it, or run .ci/test-packages"


def test_fish_completes_what_is_offered(folder):
    check_there("fish")
    asked = "\n".join(f"echo '>' ; complete -C {line!r}" for line in SHELL_LINES)
    done = subprocess.run(
        ["fish", "--no-config", "-c", f"_STONES_COMPLETE=fish_source stones | source\n{asked}"],
        env=ENVIRONMENT | {"HOME": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    answers = [set(each.split("\n")) - {""} for each in done.stdout.split(">\n")[1:]]
    assert answers == [*SHELL_LINES.values()]


INTERACTIVE = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], ""),
    "zsh": (["zsh", "-f", "-i"], "autoload -Uz compinit && compinit -u; "),
}


@pytest.mark.parametrize("shell", INTERACTIVE)
def test_a_shell_on_a_terminal_completes_words_with_spaces_and_colons(shell, folder, terminals):
    check_there(shell)
    command, setup = INTERACTIVE[shell]
    terminal = Terminal(command, env=ENVIRONMENT | {"HOME": str(folder)}, columns=120, lines=40)
    terminals.append(terminal)
    source = f'{setup}eval "$(_STONES_COMPLETE={shell}_source stones)"'
    typed(terminal, f"{source}; echo rea''dy\n", "ready")
    typed(terminal, "stones get my\t", "my-db")
    typed(terminal, "Vis\t", "Visit")
    typed(terminal, "'New Y\t", "New York'")
    typed(terminal, "7\n", r"'city': 'New York', 'number': 7")
    typed(terminal, "stones get my-db Visit New\\ Y\t", r"New\\ York")
    typed(terminal, "8\n", r"'city': 'New York', 'number': 8")
    typed(terminal, "stones get sqlite:a\t", r"sqlite:app\.db")
    typed(terminal, " x\n", "stones: there is no store at .*app.db")


@pytest.fixture
def terminals():
    """A list. The terminals in it are closed at the end."""
    opened = []
    yield opened
    for terminal in opened:
        terminal.process.kill()
        terminal.process.wait()
        os.close(terminal.terminal)


def typed(terminal, text, shown):
    """Type a text, and wait until the terminal shows what matches `shown`."""
    terminal.shown = ""
    os.write(terminal.terminal, text.encode())
    terminal.read_until(shown)
    assert re.search(shown, terminal.plain)
