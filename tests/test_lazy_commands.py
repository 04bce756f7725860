"""The commands of `stones` load when they run, and quickly."""

import subprocess
import sys

import click
import pytest

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
    assert "Entries and records:\n  delete" in done.stdout
    assert done.stderr == "loaded set()\n"
