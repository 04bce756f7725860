"""What the commands share: options, how they open a store, exit codes."""

import os
import re
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from stones.errors import EncryptionKeyError, FormatMismatchError
from stones.formats.encryption_keys import KeySource, key_from_environment, key_from_file
from stones.formats.serializers import serializer_names
from stones.stores.existing import check_lmdb_options, is_url, lmdb_path, shown_url
from stones.stores.existing import open_store as open_url
from stones.stores.schemes import scheme_of
from stones.stores.store import Store

from .completion import StorePath, complete_key
from .keys import Key

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


KEY_VARIABLE = "STONES_KEY"
"""The environment variable with the key of encrypted stores."""
_KEY_FILES = "stones.key_files"
_NEW_KEY_FILE = "stones.new_key_file"


def _note_key_files(ctx: click.Context, _: click.Parameter, files: tuple[str, ...]) -> None:
    ctx.meta[_KEY_FILES] = files


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
    ctx.meta[_NEW_KEY_FILE] = [] if file is None else [file]
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


def given_keys() -> list[KeySource] | None:
    """The keys that the user of the running command gave, for `encrypt=`. None without any."""
    context = click.get_current_context(silent=True)
    meta = {} if context is None else context.meta
    keys = [key_from_file(file) for file in meta.get(_NEW_KEY_FILE, ())]
    files = meta.get(_KEY_FILES, ())
    keys += [key_from_file(file) for file in files]
    if not files and KEY_VARIABLE in os.environ:
        keys.append(key_from_environment(KEY_VARIABLE))
    return list(keys) or None


def stones03_options(command: F) -> F:
    """Give a command the options for a database of stones 0.3."""
    return from_option(table_option(command))


def open_store(
    place: str,
    serialize: str | None,
    table: bytes | None,
    *,
    trust_pickle: bool = False,
    readonly: bool = False,
) -> Store[bytes, Any]:
    """The store at a path or URL, which has to be there.

    `serialize` is the serializer of a stones 0.3 database, or of dbm files of another program. If
    the store says another one, that one counts. So a command that migrates such a database can be
    repeated after an interruption. A key of the user's is for a store that is encrypted.
    """
    path = lmdb_path(place)
    if path is None:
        check_lmdb_options(place, None if scheme_of(place) == "dbm" else serialize, table)

    def opened(name: str | None) -> Store[bytes, Any]:
        try:
            return opened_by(name, None)
        except EncryptionKeyError:
            keys = given_keys()
            if keys is None:
                raise
            return opened_by(name, keys)

    def opened_by(name: str | None, keys: list[KeySource] | None) -> Store[bytes, Any]:
        options: dict[str, Any] = {"trust_pickle": trust_pickle, "serialize": name, "encrypt": keys}
        if path is None:
            return open_url(place, readonly=readonly, **options)
        from stones.stores.lmdb import LmdbStore  # it loads the client of LMDB

        return LmdbStore(
            path,
            readonly=readonly,
            create=False,
            table=table,
            **options,
        )

    for name in [None, serialize]:
        try:
            return opened(name)
        except FormatMismatchError:
            if serialize is None:
                raise
    # Another process began to migrate the database after the first attempt.
    return opened(None)


def shown(place: str) -> str:
    """A path or URL as a message shows it: without a password."""
    return shown_url(place) if is_url(place) else place
