"""The examples that `--help` shows are run, as a user would type them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from stones.command_line.main import commands

from .example_folder import make_example_folder

WIDTH = 76
"""So wide may an example be: with its indentation it fits a terminal of 80 columns."""


def every_command(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    """Each command with its words, those of groups too."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from every_command(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


COMMANDS = dict(every_command(commands, "stones"))


@pytest.fixture(scope="module")
def example_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    make_example_folder(folder)
    return folder


def run_lines(lines: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs lines of bash in a folder, until one fails."""
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", lines],
        cwd=folder,
        env=os.environ
        | {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


# `stones serve` runs until Ctrl-C. So each line is ended once it has printed the URL.
UNTIL_SERVED = """
stones() {
    coproc command stones "$@" --port 0
    local server=$COPROC_PID
    read -ru "${COPROC[0]}" line
    kill -TERM "$server"
    wait "$server"
}
"""


@pytest.mark.parametrize("name", COMMANDS)
def test_the_examples_of_a_command_run(name, example_folder, tmp_path):
    examples = COMMANDS[name].examples
    assert f"{name} " in examples
    folder = tmp_path / "folder"
    shutil.copytree(example_folder, folder)
    done = run_lines((UNTIL_SERVED if name == "stones serve" else "") + examples, folder)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_an_example_fits_a_terminal_and_stands_below_what_it_does(name):
    lines = COMMANDS[name].examples.splitlines()
    assert [line for line in lines if len(line) > WIDTH] == []
    assert lines[0].startswith("# ")


def test_the_help_of_a_command_ends_with_its_examples(run):
    assert run("backup", "--help").partition("Examples:\n")[2].splitlines() == [
        f"  {line}" for line in COMMANDS["stones backup"].examples.splitlines()
    ]
