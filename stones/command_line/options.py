"""What the commands share: options and exit codes."""

import re
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from stones.formats.serializers import serializer_names

from .completion import StorePath, complete_key
from .keys import Key
from .opening import KEY_FILES, KEY_VARIABLE, NEW_KEY_FILE

F = TypeVar("F", bound=Callable[..., Any])

FAILED, NOT_THERE, INTERRUPTED = 1, 3, 130
"""Exit codes: see `stones.command_line.main`."""


class Interrupted(click.ClickException):
    """The user has interrupted a command, which says what that means for the store."""

    exit_code = INTERRUPTED


key_argument = click.argument(
    "key", type=Key(), nargs=-1, required=True, shell_complete=complete_key
)
serializer_choice = click.Choice(serializer_names())
trust_option = click.option(
    "--trust-pickle", is_flag=True, help="Read pickled values, which can run code."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
table_option = click.option(
    "--table",
    type=Key(),
    metavar="NAME",
    help="The table with the values of a stones 0.3 database.",
)
from_option = click.option(
    "--from",
    "serialize",
    type=serializer_choice,
    metavar="NAME",
    help="The serializer of a stones 0.3 database, or of dbm files of another program.",
)


class Limit(click.ParamType):  # type: ignore[type-arg]  # generic in later versions
    """The type of an option that says how many: an int of 0 or more, of any number of digits."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if not re.fullmatch(r"\+?[0-9]+", value):
            self.fail(f"{value[:40]!r} is not a number of 0 or more", param, ctx)
        return int(value) if len(value) < 19 else sys.maxsize


def _note_key_files(ctx: click.Context, _: click.Parameter, files: tuple[str, ...]) -> None:
    ctx.meta[KEY_FILES] = files


key_file_option = click.option(
    "--key-file",
    type=click.Path(),
    multiple=True,
    expose_value=False,
    callback=_note_key_files,
    metavar="FILE",
    help="The key of an encrypted store. Repeat it for older keys. "
    f"Without it, {KEY_VARIABLE} in the environment has the key.",
)


def _note_new_key_file(ctx: click.Context, _: click.Parameter, file: str | None) -> str | None:
    ctx.meta[NEW_KEY_FILE] = [] if file is None else [file]
    return file


new_key_file_option = click.option(
    "--new-key-file",
    type=click.Path(),
    callback=_note_new_key_file,
    metavar="FILE",
    help="Encrypt each value by this key; --key-file has the old key, if there is one.",
)


def path_argument(command: F) -> F:
    """Give a command the argument PATH, and the option for the key of an encrypted store.

    The command does not get the key: `open_store` finds it, and `given_keys` tells it.
    """
    return key_file_option(click.argument("path", type=StorePath())(command))


def stones03_options(command: F) -> F:
    """Give a command the options for a database of stones 0.3."""
    return from_option(table_option(command))
