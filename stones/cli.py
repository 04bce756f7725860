"""The command line: `stones migrate`, `info`, `get`, `put`, `delete`, `keys`.

Each command parses, calls one public function of the library, and prints. Errors are one line on
stderr. Exit codes: 0 done, 1 stones refused or failed, 2 a wrong command line, 3 the key is not
there, 130 interrupted. A pickled value is never read unless `--trust-pickle` says so.
"""

import json
import re
import shlex
import sys
from collections.abc import Callable
from pprint import pformat
from typing import Any, NoReturn, TypeVar

import attrs
import click

from .errors import FormatMismatchError, StoneError
from .info import StoreInfo, inspect
from .lmdb import LmdbStore
from .serializers import serializer, serializer_names

F = TypeVar("F", bound=Callable[..., Any])

FAILED, NOT_THERE, INTERRUPTED = 1, 3, 130


def main() -> NoReturn:
    """Run the command that `sys.argv` names, and exit."""
    try:
        commands(prog_name="stones", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        _fail(error.format_message(), error.exit_code)
    except click.Abort:
        _fail("interrupted", INTERRUPTED)
    except StoneError as error:
        _fail(str(error), FAILED)
    sys.exit(0)


def _fail(message: str, code: int) -> NoReturn:
    click.echo(f"stones: {' '.join(message.split())}", err=True)
    sys.exit(code)


# -- keys ------------------------------------------------------------------------------------------


def shown(key: bytes) -> str:
    r"""A key as printable text; what is not printable UTF-8 as escapes, a backslash as two.

    >>> print(shown('größe\n'.encode() + b'\xff'))
    größe\n\xff
    """
    text = key.decode("utf-8", "surrogateescape")
    return "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character.isprintable() and character != "\\":
        return character
    if character in _ESCAPED:
        return _ESCAPED[character]
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))


_ESCAPED = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|.?)", re.DOTALL)
_PLAIN = {b"\\": b"\\", b"n": b"\n", b"r": b"\r", b"t": b"\t"}


def typed(text: str) -> bytes:
    r"""The key that `shown` would show so: `\xff` is one byte, `\\` a backslash.

    Raises ValueError for another escape.

    >>> typed(r'a\x00b')
    b'a\x00b'
    """
    return _ESCAPE.sub(_unescaped, text.encode("utf-8", "surrogateescape"))


def _unescaped(found: "re.Match[bytes]") -> bytes:
    escape = found[1]
    if len(escape) == 3:
        return bytes([int(escape[1:], 16)])
    if escape in _PLAIN:
        return _PLAIN[escape]
    raise ValueError(
        f"{found[0].decode('utf-8', 'replace')!r} is no escape: type a backslash as two, and a "
        "byte as \\xff"
    )


class Key(click.ParamType):
    name = "key"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> bytes:
        try:
            return typed(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


# -- what the commands share -----------------------------------------------------------------------

path_argument = click.argument("path", type=click.Path())
serializers = click.Choice(serializer_names())


def opening(command: F) -> F:
    """The options that say how to open a store."""
    for option in [
        click.option("--trust-pickle", is_flag=True, help="Read pickled values; it can run code."),
        click.option("--table", type=Key(), help="The named table of a stones 0.3 database."),
        click.option(
            "--from",
            "written",
            type=serializers,
            help="The serializer of a stones 0.3 database, which did not note it.",
        ),
    ]:
        command = option(command)
    return command


def open_store(
    path: str,
    written: str | None,
    table: bytes | None,
    trust_pickle: bool,
    *,
    readonly: bool = False,
) -> LmdbStore[bytes, Any]:
    """The store at `path`, which has to be there."""

    def opened(serialize: str | None) -> LmdbStore[bytes, Any]:
        return LmdbStore(
            path,
            readonly=readonly,
            create=False,
            table=table,
            serialize=serialize,
            trust_pickle=trust_pickle,
        )

    try:
        return opened(None)
    except FormatMismatchError:
        # Not at once by the name: a database of stones 0.3 may have become one of ours since, when
        # a migration was interrupted, and the same command is to go on with it.
        if written is None:
            raise
    return opened(written)


# -- the commands ----------------------------------------------------------------------------------


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="stones", message="%(package)s %(version)s")
def commands() -> None:
    """Look at a store of stones, and re-encode it.

    KEY and --prefix take text, with Python's escapes for what cannot be typed: a\\x00b.
    """


@commands.command()
@path_argument
@click.option("--to", required=True, type=serializers, help="The serializer to re-encode by.")
@opening
def migrate(path: str, to: str, written: str | None, table: bytes | None, trust_pickle: bool) -> None:
    """Re-encode every value of the store at PATH, while others read and write.

    Interrupt it as you like: the store stays valid, and running it again goes on.
    """
    from stones.migrations.reencode import migrate

    try:
        with open_store(path, written, table, trust_pickle) as store, _bar(to) as progress:
            done = migrate(store, to, progress=progress)
    except KeyboardInterrupt:
        command = f"stones migrate {shlex.quote(path)} --to {to}"
        raise Interrupted(
            f"interrupted; all values are readable, and `{command}` goes on where this stopped"
        ) from None
    click.echo(f"{path}: {done.values:,} of {done.total:,} values re-encoded, all are {to} now")
