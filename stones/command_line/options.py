"""What the commands of the command line share: how a key is typed and shown, and their options."""

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

from stones.errors import FormatMismatchError
from stones.formats.serializers import serializer_names
from stones.stores.lmdb import LmdbStore

F = TypeVar("F", bound=Callable[..., Any])


def show_key(key: bytes) -> str:
    r"""A key as printable text; what is not printable UTF-8 as escapes, a backslash as two.

    >>> print(show_key('größe\n'.encode() + b'\xff'))
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


def parse_key(text: str) -> bytes:
    r"""The key that `shown` would show so: `\xff` is one byte, `\\` a backslash.

    Raises ValueError for another escape.

    >>> parse_key(r'a\x00b')
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
            return parse_key(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


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
