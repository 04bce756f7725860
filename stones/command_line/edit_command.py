"""The command `edit`: a value or a record as JSON in the editor of the user.

The store is closed while the user edits, so that other programs can use it. What is written
replaces only the value that was shown: if another program has changed it meanwhile, nothing is
written. What the user has typed is never lost: on an error it is kept in a file.
"""

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import click
import msgspec
from attrs import frozen

from stones.errors import (
    CollectionError,
    DuplicateKeyError,
    RecordError,
    SerializerError,
    StoneError,
    ValueTypeError,
)
from stones.formats.serializers import serializer
from stones.stores.key_text import show_key
from stones.stores.namespaces.owner import writable_at
from stones.stores.store import Store

from .opening import open_store, shown
from .options import key_argument, path_argument, stones03_options, trust_option
from .records import (
    class_option,
    collection_at,
    field_values,
    parse_json,
    plain_record,
    record_named,
    typed_record,
)
from .terminal_text import printable
from .typed_keys import NoSuchKey, stored_key
from .usage import KeyCommand

if TYPE_CHECKING:
    from stones.collections.collection import Collection

_OF_THE_TEXT = (
    click.BadParameter,
    CollectionError,
    DuplicateKeyError,
    RecordError,
    SerializerError,
    ValueTypeError,
)
"""The errors that another text can mend."""


@click.command(
    cls=KeyCommand,
    examples="""
        # change a record in $VISUAL or $EDITOR, here one that a program changes
        EDITOR="sed -i 's/hello/good evening/'" stones edit my-db Note 1
        # and let the class check it
        EDITOR="sed -i s/36/37/" stones edit my-db User ada --class models:User
    """,
)
@path_argument
@key_argument
@class_option
@trust_option
@stones03_options
def edit(path: str, key: tuple[bytes, ...], class_name: str | None, **options: Any) -> None:
    """Change the value or the record of KEY in an editor, as JSON.

    The editor is that of VISUAL or EDITOR in the environment. An empty file, or one without a
    change, leaves all as it is. If the text is wrong, the editor opens again and shows why. If
    another program has changed the value meanwhile, nothing is written.
    """
    place = Place(path, key, class_name, options)
    before = place.read()
    text, problem = _indented(before), ""
    while True:
        edited = click.edit(_head(place, problem) + text, extension=".json", require_save=True)
        typed = text if edited is None else _without_comments(edited)
        if typed.strip() in ("", text.strip()):
            if problem:
                _fail(problem, typed)
            click.echo("nothing was changed", err=True)
            return
        text = typed.lstrip("\n")
        try:
            place.write(typed, before)
        except _OF_THE_TEXT as error:
            problem = _text_of(error)
            if not sys.stdin.isatty():  # nobody is there to mend it
                _fail(problem, typed)
        except (StoneError, click.ClickException) as error:
            _fail(_text_of(error), typed)
        else:
            return


@frozen
class Place:
    """What is edited: the value of a key, or a record."""

    path: str
    key: Sequence[bytes]
    class_name: str | None
    options: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The key and the store, for people."""
        return f"{' '.join(map(show_key, self.key))} of {shown(self.path)}"

    def read(self) -> bytes:
        """The value as JSON. Raises NoSuchKey."""
        with open_store(self.path, readonly=True, **self.options) as store:
            found = self._record(store)
            try:
                if found is not None:
                    collection, key = found
                    return _json(plain_record(collection, collection[key]))
                return _json(store[stored_key(store, self.path, self.key)])
            except KeyError:
                raise NoSuchKey(shown(self.path), self.key) from None

    def write(self, text: str, before: bytes) -> None:
        """Store what the text says, if the value is still the one whose JSON is `before`."""
        value = parse_json(text, "the text")
        with open_store(self.path, **self.options) as store:
            found = self._record(store)
            try:
                if found is not None:
                    self._write_record(*found, value, before)
                    return
                mapping, key = writable_at(store, stored_key(store, self.path, self.key))

                def change() -> None:
                    self._check_same(mapping[key], before)
                    mapping[key] = value

                store.transact(change)
            except KeyError:
                raise click.ClickException(
                    f"another program has removed {self.name} meanwhile"
                ) from None

    def _write_record(
        self, collection: "Collection[Any, Any]", key: Any, value: Any, before: bytes
    ) -> None:
        record = collection.from_dict(typed_record(field_values(collection), [], value))

        def change(current: Any) -> Any:
            self._check_same(plain_record(collection, current), before)
            return record

        collection.modify(key, change)

    def _record(self, store: Store[Any, Any]) -> "tuple[Collection[Any, Any], Any] | None":
        """The collection and the key of the record. None for another value."""
        named = record_named(store, stored_key(store, self.path, self.key))
        if named is not None:
            return collection_at(store, self.path, named[0], self.class_name), named[1]
        if self.class_name is not None:
            raise click.UsageError("--class is for a record: NAME and the parts of its key")
        return None

    def _check_same(self, value: Any, before: bytes) -> None:
        if _json(value) != before:
            raise click.ClickException(f"another program has changed {self.name} meanwhile")


def _json(value: Any) -> bytes:
    return serializer("json").encode(value)


def _indented(raw: bytes) -> str:
    return msgspec.json.format(raw, indent=2).decode() + "\n"


def _head(place: Place, problem: str) -> str:
    """What stands above the text. It has as many lines each time: errors name lines."""
    lines = (
        f"{place.name}, as JSON. Lines that begin with # are left out.",
        "An empty file, or one without a change, leaves it as it is.",
        problem,
    )
    return "".join(f"# {printable(line)}".rstrip() + "\n" for line in lines)


def _without_comments(text: str) -> str:
    """The text with empty lines for comments. No line of JSON begins with a #."""
    lines = ["" if line.lstrip().startswith("#") else line for line in text.split("\n")]
    return "\n".join(lines)


def _text_of(error: Exception) -> str:
    text = error.format_message() if isinstance(error, click.ClickException) else str(error)
    return " ".join(text.split())


def _fail(problem: str, text: str) -> NoReturn:
    """End with an error, and keep what the user has typed in a file."""
    number, path = tempfile.mkstemp(prefix="stones-edit-", suffix=".json")
    with os.fdopen(number, "w", encoding="utf-8") as file:
        file.write(text)
    raise click.ClickException(f"{problem}; nothing was written, and your text is in {path}")
