"""The command line: `stones get`, `put`, `delete`, `keys`, and the commands on whole stores.

Each command parses, calls one public function of the library, and prints. Errors are one line on
stderr. Exit codes: 0 done, 1 stones refused or failed, or there is damage, 2 a wrong command line,
3 the key is not there, 130 interrupted. A pickled value is never read unless `--trust-pickle` says
so.
"""

import os
import sys
from pprint import pformat
from typing import Any, NoReturn

import click

from stones.errors import StoneError
from stones.formats.serializers import serializer
from stones.stores.lmdb import LmdbStore

from .options import Key, open_store, opening, path_argument, serializers, show_key, trust_option
from .store_commands import FAILED, INTERRUPTED, backup, check, info, migrate, salvage

NOT_THERE = 3


def main() -> NoReturn:
    """Run the command that `sys.argv` names, and exit."""
    try:
        code = commands(prog_name="stones", standalone_mode=False)
    except click.ClickException as error:
        _fail(error.format_message(), error.exit_code)
    except click.Abort:
        _fail("interrupted", INTERRUPTED)
    except StoneError as error:
        _fail(str(error), FAILED)
    except MemoryError:
        _fail("there is not enough memory: allow more, with `ulimit -v` for one", FAILED)
    except OSError as error:  # what is printed cannot be written: no space, the reader is gone
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # Python flushes it once more at exit
        _fail(str(error), FAILED)
    sys.exit(code or 0)


def _fail(message: str, code: int) -> NoReturn:
    # What is in a file may be in a message, and must not reach the terminal as it is.
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in " ".join(message.split()))
    click.echo(f"stones: {line}", err=True)
    sys.exit(code)


# -- the commands ----------------------------------------------------------------------------------


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    invoke_without_command=True,
    epilog="KEY and --prefix take Python's escapes for what cannot be typed, as in 'a\\x00b'.",
)
@click.version_option(package_name="stones", message="%(package)s %(version)s")
@click.pass_context
def commands(context: click.Context) -> None:
    """Look into a store of stones, re-encode, copy, check and salvage it."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for command in (backup, check, info, migrate, salvage):
    commands.add_command(command)


@commands.command()
@path_argument
@click.argument("key", type=Key())
@click.option("--json", "form", flag_value="json", help="As JSON; other types in its notation.")
@click.option("--raw", "form", flag_value="raw", help="A str or bytes as it is, without quotes.")
@trust_option
@opening
def get(path: str, key: bytes, form: str | None, **options: Any) -> None:
    """Print the value of KEY, as Python writes it."""
    with open_store(path, readonly=True, **options) as store:
        try:
            value = store[key]
        except KeyError:
            raise NotThere(path, key) from None
    if form == "json":
        click.echo(serializer("json").encode(value))
    elif form == "raw" and isinstance(value, str | bytes):
        raw = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
        click.echo(raw, nl=False)
    elif form == "raw":
        raise click.ClickException(f"--raw is for str and bytes, not {type(value).__name__}")
    else:
        click.echo(written_out(value))


def written_out(value: Any) -> str:
    """A value as Python writes it."""
    try:
        return pformat(value, sort_dicts=False)
    except (ValueError, RecursionError) as error:  # an int too long to be decimal, a deep list
        raise click.ClickException(f"the value cannot be shown: {error}; try --json") from error


@commands.command(context_settings={"ignore_unknown_options": True})
@path_argument
@click.argument("key", type=Key())
@click.argument("value")
@click.option("--text", "form", flag_value="text", help="VALUE is a str as it is.")
@click.option("--bytes", "form", flag_value="bytes", help="VALUE is bytes as they are.")
@click.option(
    "--create", type=serializers, metavar="NAME", help="Make a store, written so, if there is none."
)
@opening
def put(
    path: str, key: bytes, value: str, form: str | None, create: str | None, **options: Any
) -> None:
    """Set the value of KEY.

    VALUE is JSON, in the notation of `get --json`; "-" reads it from standard input.
    """
    raw = sys.stdin.buffer.read() if value == "-" else value.encode("utf-8", "surrogateescape")
    parsed = parse(raw, form)
    if create is not None and not os.path.exists(os.path.join(path, "data.mdb")):
        store = LmdbStore[bytes, Any](path, serialize=create)
    else:
        store = open_store(path, **options)
    with store:
        store[key] = parsed


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def parse(raw: bytes, form: str | None) -> Any:
    """The value that was typed. Raises BadParameter."""
    try:
        if form == "bytes":
            return raw
        if form == "text":
            return raw.decode()
        return serializer("json").decode(raw)
    except Exception as error:  # a decoder may raise anything
        is_text = not form and _is_text(raw)
        hint = "for plain text, add --text" if is_text else "--bytes takes any bytes"
        raise click.BadParameter(f"{error}; {hint}", param_hint="VALUE") from error


@commands.command()
@path_argument
@click.argument("key", type=Key())
@opening
def delete(path: str, key: bytes, **options: Any) -> None:
    """Remove KEY."""
    with open_store(path, **options) as store:
        if not store.delete(key):
            raise NotThere(path, key)


@commands.command()
@path_argument
@click.option("--prefix", type=Key(), metavar="KEY", default="", help="Only keys that start so.")
@click.option("--limit", type=click.IntRange(0), metavar="NUMBER", help="At most so many.")
@opening
def keys(path: str, prefix: bytes, limit: int | None, **options: Any) -> None:
    """Print the keys in order, one a line."""
    with open_store(path, readonly=True, **options) as store:
        for key in store.range(prefix=prefix, limit=limit):
            click.echo(show_key(key))


class NotThere(click.ClickException):
    exit_code = NOT_THERE

    def __init__(self, path: str, key: bytes) -> None:
        super().__init__(f"there is no key {show_key(key)} in {path}")
