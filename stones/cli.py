"""The command line: `stones migrate`, `info`, `get`, `put`, `delete`, `keys`.

Each command parses, calls one public function of the library, and prints. Errors are one line on
stderr. Exit codes: 0 done, 1 stones refused or failed, 2 a wrong command line, 3 the key is not
there, 130 interrupted. A pickled value is never read unless `--trust-pickle` says so.
"""

import json
import math
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pprint import pformat
from typing import Any, NoReturn, TypeVar

import attrs
import click

from .errors import FormatMismatchError, StoneError
from .info import FormatUse, StoreInfo, inspect
from .lmdb import LmdbStore
from .serializers import serializer, serializer_names

F = TypeVar("F", bound=Callable[..., Any])

FAILED, NOT_THERE, INTERRUPTED = 1, 3, 130


def main() -> NoReturn:
    """Run the command that `sys.argv` names, and exit."""
    try:
        commands(prog_name="stones", standalone_mode=False)
    except click.ClickException as error:
        _fail(error.format_message(), error.exit_code)
    except click.Abort:
        _fail("interrupted", INTERRUPTED)
    except StoneError as error:
        _fail(str(error), FAILED)
    except OSError as error:  # what is printed cannot be written: no space, the reader is gone
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # Python flushes it once more at exit
        _fail(str(error), FAILED)
    sys.exit(0)


def _fail(message: str, code: int) -> NoReturn:
    # What is in a file may be in a message, and must not reach the terminal as it is.
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in " ".join(message.split()))
    click.echo(f"stones: {line}", err=True)
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


class Key(click.ParamType):  # type: ignore[type-arg]  # generic in later versions
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
trust_option = click.option(
    "--trust-pickle", is_flag=True, help="Read pickled values, which can run code."
)
table_option = click.option(
    "--table", type=Key(), metavar="NAME", help="The table of a stones 0.3 database that has any."
)
written_option = click.option(
    "--from",
    "written",
    type=serializers,
    metavar="NAME",
    help="The serializer of a stones 0.3 database.",
)


def opening(command: F) -> F:
    """The options for a database of stones 0.3."""
    return written_option(table_option(command))


def open_store(
    path: str,
    written: str | None,
    table: bytes | None,
    *,
    trust_pickle: bool = False,
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

    # Not by the name alone: a database of stones 0.3 may have become one of ours since, when a
    # migration was interrupted, and the same command is to go on with it. Or just now: then again.
    for serialize in [None, written]:
        try:
            return opened(serialize)
        except FormatMismatchError:
            if written is None:
                raise
    return opened(None)


# -- the commands ----------------------------------------------------------------------------------


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    invoke_without_command=True,
    epilog="KEY and --prefix take Python's escapes for what cannot be typed, as in 'a\\x00b'.",
)
@click.version_option(package_name="stones", message="%(package)s %(version)s")
@click.pass_context
def commands(context: click.Context) -> None:
    """Look into a store of stones, and re-encode it."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@commands.command()
@path_argument
@click.option("--to", required=True, type=serializers, help="The serializer to take.")
@trust_option
@opening
def migrate(path: str, to: str, **options: Any) -> None:
    """Re-encode all values, while others go on.

    Interrupt it as you like: the store at PATH stays valid, and running it again goes on.
    """
    from stones.migrations.reencode import migrate

    try:
        with open_store(path, **options) as store, bar(to) as progress:
            done = migrate(store, to, progress=progress)
    except KeyboardInterrupt:
        raise Interrupted(
            "interrupted: the store is valid, whatever has been re-encoded; run this again to go on"
        ) from None
    click.echo(f"{done.values:,} of {done.total:,} values re-encoded: all are {to} now")


@contextmanager
def bar(label: str) -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar where somebody looks at it."""
    if not sys.stderr.isatty():
        yield None
        return
    drawn = click.progressbar(length=1000, label=label, file=sys.stderr)

    def progress(done: int, steps: int) -> None:
        drawn.update(done * 1000 // steps - drawn.pos)

    # Not `with`: interrupted while it enters that, it would leave the cursor hidden.
    try:
        drawn.render_progress()
        yield progress
    finally:
        drawn.render_finish()


@commands.command()
@path_argument
@table_option
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def info(path: str, table: bytes | None, as_json: bool) -> None:
    """Show what is in a store, decoding nothing."""
    found = inspect(path, table=table)
    click.echo(json.dumps(attrs.asdict(found), indent=2) if as_json else report(found))


def report(found: StoreInfo) -> str:
    """What `stones info` shows to people."""
    rows = [
        ("entries", f"{found.entries:,}, {_size(found.size)}"),
        ("file", f"{_size(found.file_size)}, of which {_size(found.used_size)} in use"),
        ("written by", found.serializer or "stones 0.3, which did not note the serializer"),
    ]
    if found.version != "0.3":
        rows += [("format", _format_row(use)) for use in found.formats]
    if found.migrating:
        rows.append(("migration", f"to {found.serializer}, unfinished: migrate again to go on"))
    rows += [
        ("collection", f"{use.name}: {use.records:,} records, {_size(use.size)}")
        for use in found.collections
    ]
    if found.index_entries:
        rows.append(("indexes", f"{found.index_entries:,} entries"))
    return "\n".join([found.path, *(f"  {title:<12}{text}" for title, text in rows)])


def _format_row(use: FormatUse) -> str:
    name = use.serializer or ("damaged, empty" if use.id is None else f"not listed, {use.id}")
    return f"{name}: {use.values:,} values, {_size(use.size)}"


def _size(count: float) -> str:
    if count < 1000:
        return f"{count:,.0f} bytes"
    units = ["kB", "MB", "GB", "TB"]
    power = min(int(math.log(count, 1000)), len(units))
    return f"{count / 1000**power:,.1f} {units[power - 1]}"


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
            click.echo(shown(key))


class Interrupted(click.ClickException):
    exit_code = INTERRUPTED


class NotThere(click.ClickException):
    exit_code = NOT_THERE

    def __init__(self, path: str, key: bytes) -> None:
        super().__init__(f"there is no key {shown(key)} in {path}")
