"""The commands that show entries: `get` and `keys`."""

import re
import sys
from typing import Any

import click

from stones.collections.completed_records import completed_record
from stones.formats.any_digits import any_digits
from stones.formats.serializers import serializer
from stones.stores.key_text import show_key
from stones.stores.store import Store

from .completion import complete_prefix
from .examples import Command
from .keys import Key
from .opening import open_store, shown
from .options import Limit, key_argument, path_argument, stones03_options, trust_option
from .output import print_lines, print_rows, text_form_options
from .records import class_option, collection_at, plain_record, record_named
from .terminal_text import printable_json
from .typed_keys import NoSuchKey, stored_key
from .usage import KeyCommand


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
        # a record as its class reads it
        stones get my-db User ada --class models:User
    """,
)
@path_argument
@key_argument
@click.option(
    "--json", "form", flag_value="json", help="Print JSON. Types that JSON lacks are tagged."
)
@click.option("--raw", "form", flag_value="raw", help="Print a str or bytes without quotes.")
@class_option
@trust_option
@stones03_options
def get(
    path: str, key: tuple[bytes, ...], form: str | None, class_name: str | None, **options: Any
) -> None:
    """Print the value of KEY, as Python writes it.

    KEY is a key of the store. Or it is the name of a collection and then the parts of the key of a
    record: Note 1. A record that was stored before its class had a field is shown with the default
    that the collection keeps for this field.
    """
    with open_store(path, readonly=True, **options) as store:
        stored = stored_key(store, path, key)
        try:
            if class_name is None:
                value = completed_record(store.database, stored, store[stored])
            else:
                value = _record(store, path, stored, class_name, is_plain=form == "json")
        except KeyError:
            raise NoSuchKey(shown(path), key) from None
    if form == "json":
        _print_json(value)
    elif form == "raw":
        _print_raw(value)
    else:
        click.echo(_python_text(value))


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


def _record(
    store: Store[Any, Any], path: str, stored: bytes, class_name: str, *, is_plain: bool
) -> Any:
    """The record at a key of the store, as an instance of the class or as its dict."""
    named = record_named(store, stored)
    if named is None:
        raise click.UsageError("--class is for a record: NAME and the parts of its key")
    name, key = named
    collection = collection_at(store, path, name, class_name)
    record = collection[key]
    return plain_record(collection, record) if is_plain else record


def _print_json(value: Any) -> None:
    raw = serializer("json").encode(value)
    click.echo(printable_json(raw.decode()) if sys.stdout.isatty() else raw)


def _print_raw(value: Any) -> None:
    if not isinstance(value, str | bytes):
        raise click.ClickException(f"--raw is for str and bytes, not {type(value).__name__}")
    raw = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
    if sys.stdout.isatty() and _CONTROLS.search(raw.decode("utf-8", "backslashreplace")):
        raise click.ClickException(
            "the value has control characters, which are not for a terminal: leave --raw out, or "
            "send the output to a file or a pipe"
        )
    click.echo(raw, nl=False)


_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


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
