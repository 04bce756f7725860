"""The entry point of `stones` and `python -m stones`.

Each command parses its arguments, calls one public function of the library, and prints. An error is
one line on stderr. No command reads a pickled value without `--trust-pickle`.

Exit codes:

    0       done
    1       stones refused or failed, or there is damage
    2       the command line is wrong
    3       the key is not there
    130     interrupted
    141     the reader of stdout has ended
"""

import atexit
import gc
import os
import sys
from contextlib import suppress
from typing import NoReturn

import click

from stones.errors import StoneError

from .lazy_commands import LazyCommands
from .options import FAILED, INTERRUPTED
from .streams import (
    CLOSED_PIPE,
    ReaderEndedError,
    give_up_stdout,
    prepare_streams,
    print_error,
)
from .terminal_text import message_lines
from .usage import usage_message


def run(program: str = "stones") -> NoReturn:
    """`main` for a process of its own, which ends at once when the command has ended.

    Python would free each module and each object first. That takes 10 ms, of the 100 ms that a
    short command takes, and nothing is left to do: the store is closed, and all is written.
    """
    # Much is imported, and little of it is garbage: the collector would look for it many times.
    gc.set_threshold(100_000, *gc.get_threshold()[1:])
    code: list[object] = [FAILED]

    def end() -> None:
        with suppress(OSError, ValueError):  # nobody reads them any more
            sys.stdout.flush()
            sys.stderr.flush()
        status = code[0]  # a prompt may end with any: exit('why')
        os._exit(status & 255 if isinstance(status, int) else 0 if status is None else FAILED)

    atexit.register(end)
    try:
        main(program)
    except SystemExit as ending:
        code[0] = ending.code
        raise


def main(program: str = "stones") -> NoReturn:
    """Run the command that `sys.argv` names, and exit. `program` is the name to show in help."""
    prepare_streams()
    if "_STONES_COMPLETE" in os.environ:
        from .completing_shells import register_shells

        register_shells()
    try:
        code = commands(prog_name=program, standalone_mode=False)
        sys.stdout.flush()
    except click.UsageError as error:
        _fail(usage_message(error, program), error.exit_code)
    except click.ClickException as error:
        _fail(error.format_message(), error.exit_code)
    except click.Abort:
        _fail("interrupted", INTERRUPTED)
    except StoneError as error:
        _fail(str(error), FAILED)
    except MemoryError:
        _fail("there is not enough memory: allow more, with `ulimit -v` for example", FAILED)
    except (
        ReaderEndedError,
        BrokenPipeError,
    ):  # `stones keys my-db | head -1`: nobody wants the rest
        give_up_stdout()
        sys.exit(CLOSED_PIPE)
    except OSError as error:  # stdout cannot be written: the disk is full
        give_up_stdout()
        _fail(str(error), FAILED)
    sys.exit(code or 0)


def _fail(message: str, code: int) -> NoReturn:
    # A message may quote a damaged or hostile file. No control character may reach the terminal.
    print_error("stones: " + "\n".join(message_lines(message)))
    sys.exit(code)


@click.group(
    cls=LazyCommands,
    context_settings={"help_option_names": ["-h", "--help"]},
    invoke_without_command=True,
    epilog="A byte of a KEY that cannot be typed is escaped as in Python: 'a\\x00b'. The key of a "
    "record is typed as the name of its collection and the parts of the key: Note 1.\n\n"
    "For completion in bash, put this line into ~/.bashrc (the documentation tells of zsh and "
    'fish):\n\n\b\n  eval "$(_STONES_COMPLETE=bash_source stones)"\n\n'
    "Exit codes: 0 done; 1 refused or failed, or damage was found; 2 the command line is wrong; "
    "3 the key or the collection is not there; 130 interrupted.",
)
@click.version_option(package_name="stones", message="%(package)s %(version)s")
@click.pass_context
def commands(context: click.Context) -> None:
    """Read and change a store, re-encode it, copy it, check it and salvage it.

    PATH is the path of a store on LMDB, or the URL of a store of any kind: sqlite:app.db, or
    postgresql://user@host/db. Leave the password to ~/.pgpass or PGPASSWORD: other users of the
    machine may see a command line.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
