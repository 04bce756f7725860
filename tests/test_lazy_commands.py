"""The commands of `stones` load when they run, and quickly."""

import subprocess
import sys

import attrs
import click
import pytest

from stones import Collection, LmdbStore, key, stone
from stones.command_line.lazy_commands import GROUPS
from stones.command_line.main import commands

PLACES = [(name, place) for group in GROUPS.values() for name, place in group.items()]


@pytest.mark.parametrize(("name", "place"), PLACES, ids=[name for name, _ in PLACES])
def test_the_list_of_the_commands_tells_the_first_sentence_of_each(name, place):
    command = commands.get_command(click.Context(commands), name)
    assert command.name == name
    assert place.help == command.get_short_help_str(limit=500)


def test_the_list_of_the_commands_imports_none_of_them():
    code = (
        "import sys; sys.argv = ['stones', '--help']\n"
        "import atexit; from stones.command_line.main import main\n"
        "modules = {'stones.repair.info', 'stones.collections.keys', 'rich', 'difflib'}\n"
        "atexit.register(lambda: print('loaded', modules & {*sys.modules}, file=sys.stderr))\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Entries and records:\n  add" in done.stdout
    assert done.stderr == "loaded set()\n"


HEAVY = {
    "asyncio",
    "difflib",
    "jsonpath_ng",
    "logging",
    "pprint",
    "rich",
    "shutil",
    "stones.collections.planning.execution",
    "stones.collections.scans.scan",
    "stones.repair.info",
    "tempfile",
}
"""What takes long to load, and what few commands need."""


def loaded(code, *arguments):
    """Which of these modules a program loads."""
    program = (
        "import atexit, sys\n"
        "before = {*sys.modules}\n"  # what measures the coverage has loaded some itself
        f"new = lambda: sorted({HEAVY} & {{*sys.modules}} - before)\n"
        "atexit.register(lambda: print(*new(), file=sys.stderr))\n"
    )
    command = [sys.executable, "-c", program + code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stderr.split()


@attrs.define
class User:
    id: int = key()
    name: str


@pytest.fixture
def path(tmp_path):
    with stone(tmp_path / "db", LmdbStore, "msgpack") as store:
        Collection(store, User).add_many([User(number, "x") for number in range(10)])
        store["plain"] = 1
    return str(tmp_path / "db")


RUN = "from stones.command_line.main import run; run()"


@pytest.mark.parametrize("arguments", [["plain"], ["User", "1"], ["User", "1", "--json"]])
def test_get_loads_no_queries_and_no_tables(path, arguments):
    assert loaded(RUN, "get", path, *arguments) == []


def test_a_page_of_records_without_a_class_loads_no_planner(path):
    code = (
        "from stones import Collection, LmdbStore\n"
        "with LmdbStore(sys.argv[1], readonly=True) as store:\n"
        "    page = Collection.without_class(store, 'User').find().limit(5)\n"
        "    assert len(list(page)) == 5\n"
        "    assert page.after(page.cursor()).exists()"
    )
    assert loaded(code, path) == []


def test_the_class_collection_loads_no_queries():
    assert loaded("from stones import Collection") == []


def test_a_process_of_its_own_ends_as_main_does(path):
    def ended(*arguments, **options):
        command = [sys.executable, "-c", RUN, *arguments]
        done = subprocess.run(command, stderr=subprocess.PIPE, check=False, **options)
        return done.returncode, done.stderr.decode()

    assert ended("put", path, "more", "2") == (0, "")
    assert ended("get", path, "nothing")[0] == 3
    assert ended("get", path)[0] == 2
    with open("/dev/full", "w") as full:
        code, errors = ended("keys", path, stdout=full)
    assert (code, errors.count("\n")) == (1, 1)
    assert ended("get", path, "more", stdout=subprocess.DEVNULL) == (0, "")
