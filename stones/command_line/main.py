"""The entry point of `stones` and `python -m stones`.

Each command parses its arguments, calls one public function of the library, and prints. An error is
one line on stderr. No command reads a pickled value without `--trust-pickle`.

Exit codes:

    0       done
    1       stones refused or failed, or there is damage
    2       the command line is wrong
    3       the key is not there
    130     interrupted
"""

import os
import sys
from typing import NoReturn

import click

from stones.errors import StoneError

from .entry_commands import delete, get, keys, put
from .options import FAILED, INTERRUPTED
from .store_commands import backup, check, info, migrate, salvage


def main(program: str = "stones") -> NoReturn:
    """Run the command that `sys.argv` names, and exit. `program` is the name to show in help."""
    try:
        code = commands(prog_name=program, standalone_mode=False)
    except click.ClickException as error:
        _fail(error.format_message(), error.exit_code)
    except click.Abort:
        _fail("interrupted", INTERRUPTED)
    except StoneError as error:
        _fail(str(error), FAILED)
    except MemoryError:
        _fail("there is not enough memory: allow more, with `ulimit -v` for example", FAILED)
    except OSError as error:  # stdout cannot be written: the disk is full, or its reader has ended
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # Python flushes it once more at exit
        _fail(str(error), FAILED)
    sys.exit(code or 0)


def _fail(message: str, code: int) -> NoReturn:
    # A message may quote a damaged or hostile file. No control character may reach the terminal.
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in " ".join(message.split()))
    click.echo(f"stones: {line}", err=True)
    sys.exit(code)


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    invoke_without_command=True,
    epilog="A byte of a KEY that cannot be typed is escaped as in Python: 'a\\x00b'.",
)
@click.version_option(package_name="stones", message="%(package)s %(version)s")
@click.pass_context
def commands(context: click.Context) -> None:
    """Read and change a store on disk, re-encode it, copy it, check it and salvage it."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for command in (backup, check, delete, get, info, keys, migrate, put, salvage):
    commands.add_command(command)
