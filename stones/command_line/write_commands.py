"""The commands that write entries and records: `put`, `add`, `update` and `delete`."""

import os
import shlex
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import click

from stones.errors import SerializerError, StoreOpenError
from stones.formats.messages import show
from stones.formats.typed_json import parse_typed_json
from stones.stores.existing import lmdb_path
from stones.stores.namespaces.owner import writable_at
from stones.stores.opening import stone
from stones.stores.store import Store

from .completion import complete_collection, complete_condition, complete_record
from .opening import open_store, shown
from .options import (
    from_option,
    key_argument,
    path_argument,
    serializer_choice,
    stones03_options,
    trust_option,
)
from .records import (
    class_option,
    collection_at,
    field_values,
    is_assignment,
    key_type_of,
    key_words,
    parse_json,
    record_named,
    typed_record,
    with_key,
)
from .typed_keys import NoSuchKey, stored_key
from .usage import KeyCommand, ValueCommand

create_option = click.option(
    "--create",
    type=serializer_choice,
    metavar="NAME",
    help="Make a store with this serializer if there is none.",
)


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
        # a record, by its fields or as JSON
        stones put my-db Visit Paris 2 rating=4.5
        stones put my-db Note 3 '{"text": "hello", "tags": []}'
        # a record that the class checks, into a store that is made
        stones put new-db Note 1 text=hello tags:='["new"]' \\
          --class models:Note --create json
    """,
)
@path_argument
@click.argument(
    "words",
    metavar="KEY... (VALUE | FIELD=VALUE...)",
    nargs=-1,
    required=True,
    shell_complete=complete_record,
)
@click.option("--text", "form", flag_value="text", help="Store VALUE as a str, as it is.")
@click.option("--bytes", "form", flag_value="bytes", help="Store VALUE as bytes, as they are.")
@create_option
@class_option
@trust_option
@stones03_options
def put(
    path: str,
    words: tuple[str, ...],
    form: str | None,
    create: str | None,
    class_name: str | None,
    **options: Any,
) -> None:
    """Set the value of KEY, or store the record of KEY.

    VALUE is JSON, as `get --json` prints it. If VALUE is "-", it is read from standard input.

    KEY of a record is the name of its collection and the parts of its key. Its VALUE is a JSON
    object of its fields, or some FIELD=VALUE, each typed as text, or FIELD:=JSON. The fields of the
    key may be left out. The record has to have the fields and types of the records that are there.
    With --class, the class checks it, and it may be the first record.
    """
    if len(words) < 2:
        raise click.UsageError("Missing argument 'VALUE'", click.get_current_context())
    is_typed = form is None and is_assignment(words[-1])
    value = None if is_typed else _parse_value(_raw(words[-1]), form)
    with _opened(path, create, options) as store:
        types = partial(key_type_of, class_name=class_name)
        key, rest = key_words(store, words, types)
        stored = stored_key(store, path, key, types)
        record = record_named(store, stored, types)
        if record is None:
            if class_name is not None:
                raise click.UsageError("--class is for a record: NAME and the parts of its key")
            if is_typed:
                value = _parse_value(_raw(words[-1]), form)
            mapping, inside = writable_at(store, stored)
            mapping[inside] = value
            return
        if form is not None:
            raise click.UsageError(f"--{form} is for a value that is no record")
        name, own = record
        collection = collection_at(store, path, name, class_name, new=True)
        values = field_values(collection)
        fields = with_key(values, own, typed_record(values, rest, value))
        collection[own] = collection.from_dict(fields)


@click.command(
    cls=ValueCommand,
    examples="""
        # a new record, by its fields or as JSON
        stones add my-db User name=fay email=fay@example.org age=30 \\
          joined=2024-06-01
        stones add my-db Note '{"id": 3, "text": "hello", "tags": []}'
    """,
)
@path_argument
@click.argument("collection", shell_complete=complete_collection)
@click.argument(
    "words",
    metavar="(FIELD=VALUE... | VALUE)",
    nargs=-1,
    required=True,
    shell_complete=complete_condition,
)
@class_option
@create_option
@trust_option
@from_option
def add(
    path: str,
    collection: str,
    words: tuple[str, ...],
    class_name: str | None,
    create: str | None,
    **options: Any,
) -> None:
    """Store a new record in COLLECTION, and print its key.

    The fields are typed as for `stones put`. A record whose key is there already is refused. If the
    class has no key fields, a key is made.
    """
    value = None if is_assignment(words[-1]) else parse_json(_raw(words[-1]), "VALUE")
    with _opened(path, create, {**options, "table": None}) as store:
        records = collection_at(store, path, collection, class_name, new=True)
        values = field_values(records)
        key = records.add(records.from_dict(typed_record(values, words, value)))
        from stones.collections.typed_keys import show_parts

        annotation = key_type_of(store, collection, class_name)
        click.echo(shlex.join(show_parts(annotation, key)))


@click.command(
    cls=ValueCommand,
    examples="""
        # change some fields of a record
        stones update my-db User ada age=37 email=ada@example.net
        # the key may have several parts; a value may be JSON
        stones update my-db Visit 'New York' 7 rating:=null
    """,
)
@path_argument
@click.argument(
    "words",
    metavar="KEY... (FIELD=VALUE... | VALUE)",
    nargs=-1,
    required=True,
    shell_complete=complete_record,
)
@class_option
@trust_option
@from_option
def update(path: str, words: tuple[str, ...], class_name: str | None, **options: Any) -> None:
    """Change some fields of the record of KEY, and leave the others as they are.

    KEY and the fields are typed as for `stones put`. Fields of the key cannot be changed.
    """
    if len(words) < 2:
        raise click.UsageError("Missing argument 'FIELD=VALUE'", click.get_current_context())
    is_typed = is_assignment(words[-1])
    is_object = words[-1].lstrip().startswith(("{", "-"))
    value = parse_json(_raw(words[-1]), "VALUE") if is_object and not is_typed else None
    with open_store(path, **options, table=None) as store:
        types = partial(key_type_of, class_name=None)
        key, rest = key_words(store, words, types)
        record = record_named(store, stored_key(store, path, key, types), types)
        is_key = record is None and len(key) == 1 and types(store, words[0]) is not None
        if not (is_typed or is_object) and (is_key or record is not None):
            raise click.UsageError(
                f"{show(words[-1])} is neither FIELD=VALUE nor a JSON object: type behind the key "
                "what to change"
            )
        if record is None:
            raise click.UsageError("update is for records: `stones put` replaces other values")
        name, own = record
        collection = collection_at(store, path, name, class_name)
        changes = typed_record(field_values(collection), rest, value)
        try:
            collection.update(own, **changes)
        except KeyError:
            raise NoSuchKey(shown(path), key) from None


@click.command(
    cls=KeyCommand,
    examples="""
        # remove one key
        stones delete my-db count
        # remove a key of the namespace sessions
        stones delete my-db sessions ada
        # remove a record
        stones delete my-db Visit 'New York' 7
    """,
)
@path_argument
@key_argument
@class_option
@trust_option
@stones03_options
def delete(path: str, key: tuple[bytes, ...], class_name: str | None, **options: Any) -> None:
    """Remove KEY and its value, or the record of KEY."""
    with open_store(path, **options) as store:
        stored = stored_key(store, path, key)
        record = record_named(store, stored)
        if record is None:
            mapping, inside = writable_at(store, stored)
            was_there = mapping.delete(inside)
        else:
            name, own = record
            was_there = collection_at(store, path, name, class_name).delete(own)
        if not was_there:
            raise NoSuchKey(shown(path), key)


def _opened(
    path: str, create: str | None, options: Mapping[str, Any]
) -> AbstractContextManager[Store[bytes, Any]]:
    if create is None:
        return open_store(path, **options)
    return _opened_or_made(path, create, options)


def _raw(word: str) -> bytes:
    """A word as it was typed. `-` reads standard input."""
    return sys.stdin.buffer.read() if word == "-" else word.encode("utf-8", "surrogateescape")


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


def _parse_value(raw: bytes, form: str | None) -> Any:
    """The value that the user typed. Raises BadParameter."""
    try:
        if form == "bytes":
            return raw
        if form == "text":
            return raw.decode()
        return parse_typed_json(raw)
    except (SerializerError, UnicodeDecodeError) as error:
        is_text = not form and _is_text(raw)
        hint = "for plain text, add --text" if is_text else "--bytes takes any bytes"
        raise click.BadParameter(f"{error}; {hint}", param_hint="VALUE") from error


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True
