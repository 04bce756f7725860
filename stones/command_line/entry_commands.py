"""The commands on single entries: `get`, `put`, `delete`, `keys`."""

import os
import sys
from collections.abc import Mapping
from typing import Any

import click

from stones.collections.completed_records import completed_record
from stones.errors import StoreOpenError
from stones.formats.any_digits import any_digits
from stones.formats.serializers import serializer
from stones.stores.existing import lmdb_path
from stones.stores.key_text import show_key
from stones.stores.namespaces.owner import writable_at
from stones.stores.opening import stone
from stones.stores.store import Store

from .completion import complete_key, complete_prefix
from .examples import Command
from .keys import Key
from .options import (
    Limit,
    key_argument,
    open_store,
    path_argument,
    serializer_choice,
    shown,
    stones03_options,
    trust_option,
)
from .output import print_lines, print_rows, text_form_options
from .typed_keys import NoSuchKey, stored_key
from .usage import KeyCommand, ValueCommand


@click.command(
    cls=KeyCommand,
    examples="""
        # the value of a key
        stones get my-db count
        # a record, by the name of its collection and the parts of its key
        stones get my-db Note 1
        stones get my-db Visit 'New York' 7
        # as JSON, for programs
        stones get my-db point --json
    """,
)
@path_argument
@key_argument
@click.option(
    "--json", "form", flag_value="json", help="Print JSON. Types that JSON lacks are tagged."
)
@click.option("--raw", "form", flag_value="raw", help="Print a str or bytes without quotes.")
@trust_option
@stones03_options
def get(path: str, key: tuple[bytes, ...], form: str | None, **options: Any) -> None:
    """Print the value of KEY, as Python writes it.

    KEY is a key of the store. Or it is the name of a collection and then the parts of the key of a
    record: Note 1. A record that was stored before its class had a field is shown with the default
    that the collection keeps for this field.
    """
    with open_store(path, readonly=True, **options) as store:
        stored = stored_key(store, path, key)
        try:
            value = completed_record(store.database, stored, store[stored])
        except KeyError:
            raise NoSuchKey(shown(path), key) from None
    if form == "json":
        click.echo(serializer("json").encode(value))
    elif form == "raw" and isinstance(value, str | bytes):
        raw = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
        click.echo(raw, nl=False)
    elif form == "raw":
        raise click.ClickException(f"--raw is for str and bytes, not {type(value).__name__}")
    else:
        click.echo(_python_text(value))


@click.command(
    cls=ValueCommand,
    examples="""
        # the value is JSON
        stones put my-db count 8
        stones put my-db point '{"$tuple": [3, 4]}'
        # a value that is plain text
        stones put my-db name Ada --text
        # a value from a file, into a store that is made if there is none
        stones put files-db models - --text --create msgpack < models.py
    """,
)
@path_argument
@click.argument("key", type=Key(), nargs=-1, shell_complete=complete_key)
@click.argument("value")
@click.option("--text", "form", flag_value="text", help="Store VALUE as a str, as it is.")
@click.option("--bytes", "form", flag_value="bytes", help="Store VALUE as bytes, as they are.")
@click.option(
    "--create",
    type=serializer_choice,
    metavar="NAME",
    help="Make a store with this serializer if there is none.",
)
@stones03_options
def put(
    path: str,
    key: tuple[bytes, ...],
    value: str,
    form: str | None,
    create: str | None,
    **options: Any,
) -> None:
    """Set the value of KEY.

    VALUE is JSON, as `get --json` prints it. If VALUE is "-", it is read from standard input.
    """
    if not key:
        raise click.UsageError("Missing argument 'VALUE'", click.get_current_context())
    raw = sys.stdin.buffer.read() if value == "-" else value.encode("utf-8", "surrogateescape")
    parsed = _parse_value(raw, form)
    with (
        open_store(path, **options)
        if create is None
        else _opened_or_made(path, create, options) as store
    ):
        mapping, inside = writable_at(store, stored_key(store, path, key))
        mapping[inside] = parsed


@click.command(
    cls=KeyCommand,
    examples="""
        # remove one key
        stones delete my-db count
        # remove a key of the namespace sessions
        stones delete my-db sessions ada
    """,
)
@path_argument
@key_argument
@stones03_options
def delete(path: str, key: tuple[bytes, ...], **options: Any) -> None:
    """Remove KEY and its value."""
    with open_store(path, **options) as store:
        mapping, inside = writable_at(store, stored_key(store, path, key))
        if not mapping.delete(inside):
            raise NoSuchKey(shown(path), key)


@click.command(
    cls=Command,
    examples="""
        # the first keys of the store
        stones keys my-db --limit 10
        # the keys of a collection, as `stones get` takes them
        stones keys my-db --prefix Visit/ --typed
    """,
)
@path_argument
@click.option(
    "--prefix",
    type=Key(),
    metavar="KEY",
    default="",
    shell_complete=complete_prefix,
    help="Print only keys that start with this.",
)
@click.option("--limit", type=Limit(), metavar="NUMBER", help="Print at most so many keys.")
@click.option(
    "--typed", is_flag=True, help="Print keys of records as they are typed: Note 1, Visit Paris 7."
)
@text_form_options
@stones03_options
def keys(
    path: str, prefix: bytes, limit: int | None, typed: bool, form: str | None, **options: Any
) -> None:
    """Print the keys in order, one a line.

    With an option for the form, each key is a row with the one column `key`: the text by which
    `stones get` takes it.
    """
    with open_store(path, readonly=True, **options) as store:
        show = show_key
        if typed:
            from stones.collections.typed_keys import TypedKeys  # it loads how keys are encoded

            show = TypedKeys(store).show
        shown_keys = map(show, store.range(prefix=prefix, limit=limit))
        if form is None:
            print_lines(f"{key}\n" for key in shown_keys)
        else:
            print_rows(({"key": key} for key in shown_keys), ["key"], form=form)


def _opened_or_made(place: str, serializer: str, options: Mapping[str, Any]) -> Store[bytes, Any]:
    """The store at a path or URL. If there is no store, it is made."""
    path = lmdb_path(place)
    if path is not None:
        if os.path.exists(os.path.join(path, "data.mdb")):
            return open_store(path, **options)
        from stones.stores.lmdb import LmdbStore  # it loads the client of LMDB

        return LmdbStore(path, serialize=serializer)
    try:
        return open_store(place, **options)
    except StoreOpenError:  # it is not there, or it cannot be opened at all: that is told again
        return stone(place, serialize=serializer)


def _python_text(value: Any) -> str:
    """A value as Python writes it. Raises ClickException if Python cannot write it."""
    try:
        with any_digits():
            text = repr(value)
            if len(text) < 80:
                return text
            from pprint import pformat  # loaded only for what takes several lines

            return pformat(value, sort_dicts=False)
    except Exception as error:  # a deep list, or an object whose __repr__ raises
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise click.ClickException(f"the value cannot be shown: {reason}; try --json") from error


def _parse_value(raw: bytes, form: str | None) -> Any:
    """The value that the user typed. Raises BadParameter."""
    try:
        if form == "bytes":
            return raw
        if form == "text":
            return raw.decode()
        with any_digits():
            return serializer("json").decode(raw)
    except RecursionError as error:
        raise click.BadParameter("it is nested too deeply", param_hint="VALUE") from error
    except Exception as error:  # a decoder may raise anything
        is_text = not form and _is_text(raw)
        hint = "for plain text, add --text" if is_text else "--bytes takes any bytes"
        raise click.BadParameter(f"{error}; {hint}", param_hint="VALUE") from error


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True
