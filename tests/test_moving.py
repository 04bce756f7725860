"""A store moves to another engine and back while programs write to it: nothing is lost."""

import importlib.util
import subprocess
import sys
import time
from pathlib import Path

import pytest
from attrs import define

from stones import Collection, MigrationError, UnfinishedCopyError, check, copy, index, key, stone
from stones.migrations.transfer.target import CopyTarget

PROGRAM = Path(__file__).parent.parent / "docs" / "examples" / "moving.py"


@define
class User:
    number: int = key()
    writer: int = index()
    age: int = 0


# Each writer adds records, changes and removes some, and counts in a plain entry. It writes down
# what was acknowledged.
WRITER = """
import sys
from itertools import count
from pathlib import Path
from attrs import define
from moving import Moving
from stones import Collection, index, key

@define
class User:
    number: int = key()
    writer: int = index()
    age: int = 0

url, writer, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
moving = Moving(url)
with open(folder / f'acknowledged-{writer}', 'w') as done:
    for number in count():
        def work(store):
            users = Collection(store, User)
            users.add(User(number * 10 + writer, writer))
            if number % 3 == 0:
                users.update(number * 10 + writer, age=number)
            if number % 5 == 4:
                del users[(number - 1) * 10 + writer]
            store[f'count-{writer}'] = number + 1
            store[f'last-{number % 7}-{writer}'] = number
        moving.run(work)
        done.write(f'{number}\\n')
        done.flush()
        if (folder / 'stop').exists():
            break
"""


@pytest.fixture
def move(monkeypatch):
    spec = importlib.util.spec_from_file_location("moving", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.move


@pytest.fixture
def start_writers(tmp_path):
    running = []

    def start(url):
        for writer in range(2):
            command = [sys.executable, "-c", WRITER, url, str(writer), str(tmp_path)]
            running.append(subprocess.Popen(command, cwd=PROGRAM.parent))

    yield start
    (tmp_path / "stop").touch()
    for process in running:
        process.wait(30)


def acknowledged(folder, writer):
    path = folder / f"acknowledged-{writer}"
    lines = path.read_text().splitlines() if path.exists() else []
    return len(lines)


def wait_for_more(folder, more=30):
    wanted = [acknowledged(folder, writer) + more for writer in range(2)]
    end = time.monotonic() + 60
    while any(acknowledged(folder, writer) < wanted[writer] for writer in range(2)):
        assert time.monotonic() < end, "the writers do not go on"
        time.sleep(0.05)


@pytest.fixture(params=["sqlite", "postgres"])
def other_url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:{tmp_path}/app.db"
    server = request.getfixturevalue("postgres")
    return f"{server.url}{'&' if '?' in server.url else '?'}table={server.table}"


def written(url, folder):
    """The entries of the store, and what they must be by what the writers noted."""
    with stone(url) as store:
        users = Collection(store, User)
        numbers = [store[f"count-{writer}"] for writer in range(2)]
        expected = {
            number * 10 + writer
            for writer in range(2)
            for number in range(numbers[writer])
            if not (number % 5 == 3 and number + 1 < numbers[writer])
        }
        assert {*users} == expected
        assert len(users) == len(expected)
        for writer in range(2):
            found = users.find(writer=writer).count()
            assert found == sum(number % 10 == writer for number in expected)
            # The last one may have been written and not noted, or noted as the test looks.
            assert 0 <= numbers[writer] - acknowledged(folder, writer) <= 1
            last = numbers[writer] - 1
            assert store[f"last-{last % 7}-{writer}"] == last
        return dict(store)


def test_a_store_moves_and_comes_back_while_two_programs_write(
    move, start_writers, other_url, tmp_path
):
    url = f"lmdb:{tmp_path}/db"
    with stone(url, serialize="json") as store:
        store.update({f"key {number}": number for number in range(3_000)})
    start_writers(url)
    wait_for_more(tmp_path)
    assert move(url, other_url) < 30
    wait_for_more(tmp_path)
    assert check(other_url).findings == ()
    assert move(other_url, url) < 30
    wait_for_more(tmp_path)
    assert move(url, other_url) < 30
    wait_for_more(tmp_path)
    (tmp_path / "stop").touch()
    time.sleep(1)
    entries = written(other_url, tmp_path)
    assert entries[b"key 2999"] == 2999
    assert check(other_url).findings == ()


@pytest.mark.parametrize("when", ["before the note", "after the note"])
def test_a_move_that_was_killed_is_run_again(when, move, other_url, tmp_path, monkeypatch):
    url = f"lmdb:{tmp_path}/db"
    with stone(url, serialize="json") as store:
        Collection(store, User).add_many([User(number, number % 2) for number in range(100)])

    def killed(*_):
        raise KeyboardInterrupt

    if when == "before the note":
        monkeypatch.setitem(move.__globals__, "note_place", killed)
    else:
        monkeypatch.setattr(CopyTarget, "finish", killed)
    with pytest.raises(KeyboardInterrupt):
        move(url, other_url)
    monkeypatch.undo()
    with pytest.raises(UnfinishedCopyError):
        stone(other_url)
    with stone(url) as store:
        users = Collection(store, User)
        del users[7]
        users.add(User(1000, 1))
    move(url, other_url)
    with stone(other_url) as store:
        users = Collection(store, User)
        assert (len(users), 7 in users, 1000 in users) == (100, False, True)
        assert users.find(writer=1).count() == 50
        assert move.__globals__["moved_to"](store) is None
    assert check(other_url).findings == ()
    assert move(url, other_url) == 0.0  # it is there already


def test_a_program_that_opens_the_new_place_too_early_works_in_the_old_one(
    move, other_url, tmp_path
):
    url = f"lmdb:{tmp_path}/db"
    with stone(url, serialize="json") as store:
        store["key"] = 1
        opened = []
        copy(
            store,
            other_url,
            progress=lambda *_: opened.append(move.__globals__["Moving"](other_url).store),
        )
    assert {store.database.name for store in opened} == {f"{tmp_path}/db"}
    for store in opened:
        store.close()


def test_a_store_with_other_entries_is_not_overwritten(move, other_url, tmp_path):
    url = f"lmdb:{tmp_path}/db"
    for place in (url, other_url):
        with stone(place, serialize="json") as store:
            store["key"] = place
    with pytest.raises(MigrationError, match="has entries that are not of a copy"):
        move(url, other_url)
    with stone(other_url) as store:
        assert store["key"] == other_url


def test_a_place_that_the_store_has_left_is_no_source(move, other_url, tmp_path):
    url = f"lmdb:{tmp_path}/db"
    with stone(url, serialize="json") as store:
        store["key"] = 1
    move(url, other_url)
    with pytest.raises(SystemExit, match="has moved to"):
        move(url, f"sqlite:{tmp_path}/third.db")
