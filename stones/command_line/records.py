"""The collection and the records that a command names, with their class or without it.

Without a class, a record is the dict that is stored. With `--class module:User`, the class checks
each record that is read or written.
"""

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from stones.errors import QueryError, SerializerError, StoneError
from stones.formats.messages import show
from stones.formats.typed_json import parse_typed_json
from stones.stores.claims import NAMESPACE, collection_names, read_collection
from stones.stores.key_text import parse_key
from stones.stores.reader import Reader

from .opening import shown
from .typed_keys import NoSuchCollection, Types

if TYPE_CHECKING:
    from stones.collections.collection import Collection
    from stones.collections.without_class.field_values import FieldValues

class_option = click.option(
    "--class",
    "class_name",
    metavar="MODULE:CLASS",
    help="Check records by this class. Its module may be in the working directory.",
)


def class_of(name: str) -> type:
    """The class for `module:Class`. Raises MigrationError if it cannot be imported."""
    from stones.migrations.steps.step_files import class_of_name

    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # the program of the user is there
    return class_of_name(name)


def collection_at(
    store: Reader[Any, Any], path: str, name: str, class_name: str | None, *, new: bool = False
) -> "Collection[Any, Any]":
    """The collection `name` of the store, by its class or without it.

    With `new`, a collection of a class need not be there. Raises NoSuchCollection.
    """
    from stones.collections.collection import Collection

    check_collection(store, path, name, new=new and class_name is not None)
    if class_name is None:
        return Collection.without_class(store, name)
    return Collection(store, class_of(class_name), name)


def check_collection(
    store: Reader[Any, Any], path: str, name: str, *, new: bool = False, hint: str = ""
) -> None:
    """Raise NoSuchCollection where there is none of this name, unless it may be `new`."""
    with store.database.reading() as txn:
        described = read_collection(txn, name) if name.isprintable() else None
        if described is None and not new:
            raise NoSuchCollection(shown(path), name, [*collection_names(txn)], hint)
    if described == NAMESPACE:
        raise click.ClickException(
            f"{name} is a namespace, and no collection: `stones keys` and `stones export` take "
            f"--prefix {name}/"
        )


def plain_record(collection: "Collection[Any, Any]", record: Any) -> dict[str, Any]:
    """The dict that is stored of a record, which may be that dict itself."""
    return record if type(record) is dict else collection.to_dict(record)


def field_values(collection: "Collection[Any, Any]") -> "FieldValues":
    """How the values of the fields are typed."""
    from stones.collections.without_class.field_values import FieldValues

    return FieldValues.of(collection)


def record_named(
    store: Reader[Any, Any], stored: bytes, types: Types | None = None
) -> tuple[str, Any] | None:
    """The collection and the key of the record at a key of the store.

    None for a key of no collection. `types` tells the type of the keys of a collection.
    """
    head, slash, rest = stored.partition(b"/")
    if not slash:
        return None
    from stones.collections.keys import key_codec  # it loads how keys are encoded
    from stones.collections.typed_keys import key_type

    name = head.decode("utf-8", "backslashreplace")
    annotation = (types or key_type)(store, name)
    if annotation is None or _is_namespace(store, name):
        return None
    try:
        return name, key_codec(annotation).decode(rest)
    except StoneError:  # the bytes are no key of the collection
        return None


def key_type_of(store: Reader[Any, Any], name: str, class_name: str | None) -> Any:
    """The type of the keys of a collection, or of the class if the collection is not there yet."""
    from stones.collections.typed_keys import key_type

    found = key_type(store, name)
    if found is None and class_name is not None:
        from stones.collections.keys import named_annotation
        from stones.collections.records.record_type import record_type

        return named_annotation(record_type(class_of(class_name)).key_codec.name)
    return found


def key_words(
    store: Reader[Any, Any], words: Sequence[str], types: Types | None = None
) -> tuple[list[bytes], list[str]]:
    """The words of a key, and those behind it: one value, or some FIELD=VALUE.

    A part of a key may look like FIELD=VALUE. The type of the keys tells how many parts there are.
    Raises BadParameter for a key with too few parts, and for a wrong escape.
    """
    size = len(words) - 1
    if is_assignment(words[-1]):
        from stones.collections.typed_keys import key_type, part_count

        while size > 1 and is_assignment(words[size - 1]):
            size -= 1
        annotation = (types or key_type)(store, words[0])
        if annotation is not None:
            parts = part_count(annotation)
            if len(words) > 1 + parts:
                size = 1 + parts
            elif size == 1:
                raise click.BadParameter(
                    f"{words[0]} is a collection, and the key is missing: type its parts before "
                    "the fields, or let `stones add` take the key from the fields",
                    param_hint="KEY",
                )
    try:
        return [*map(parse_key, words[:size])], [*words[size:]]
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="KEY") from error


@contextmanager
def marking_errors(filter: str) -> Iterator[None]:
    """Lets a QueryError of the block show the filter, with a mark under the wrong place."""
    try:
        yield
    except QueryError as error:
        if error.place is None:
            raise
        raise QueryError.at(error.place, error.reason, filter) from None


def is_assignment(word: str) -> bool:
    """Whether a word is FIELD=VALUE or FIELD:=JSON."""
    return _ASSIGNMENT.fullmatch(word) is not None


def typed_fields(values: "FieldValues", words: Sequence[str]) -> dict[str, Any]:
    """The fields that words such as `age=36` or `tags:=["a"]` name, with their values.

    Raises UsageError for a field that is named twice, RecordError for an unknown one.
    """
    found: dict[str, Any] = {}
    for word in words:
        match = _ASSIGNMENT.fullmatch(word)
        if match is None:
            raise click.UsageError(f"{show(word)} is no FIELD=VALUE")
        name, sign, text = match.groups()
        if name in found:
            raise click.UsageError(f"the field {name} is given twice")
        if sign == "=":
            found[name] = values.from_text(name, text)
        else:
            values.types(name)  # raises for an unknown field
            found |= values.from_json({name: parse_json(text, name)})
    return found


def typed_record(values: "FieldValues", words: Sequence[str], value: Any) -> dict[str, Any]:
    """The fields that are typed: some FIELD=VALUE, or `value`, which one word stands for."""
    if words and all(map(is_assignment, words)):
        return typed_fields(values, words)
    if len(words) > 1:
        raise click.UsageError("give either some FIELD=VALUE, or one JSON object")
    if type(value) is not dict:
        raise click.BadParameter(
            f"a record is a JSON object of its fields, or some FIELD=VALUE, not {show(value)}",
            param_hint="VALUE",
        )
    fields: dict[str, Any] = values.from_json(value)
    return fields


def with_key(values: "FieldValues", key: Any, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a record, with those of its key where they are not given."""
    names = values.key_names
    parts = key if len(names) > 1 else (key,)
    return {**dict(zip(names, parts, strict=False)), **fields}


def parse_json(text: str | bytes, name: str) -> Any:
    """The value of JSON as `get --json` prints it. Raises BadParameter."""
    raw = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    try:
        return parse_typed_json(raw)
    except SerializerError as error:
        raise click.BadParameter(f"it is no JSON: {error}", param_hint=name) from error


_ASSIGNMENT = re.compile(r"([^\W\d]\w*)(:?=)(?!=)(.*)", re.DOTALL)


def _is_namespace(store: Reader[Any, Any], name: str) -> bool:
    with store.database.reading() as txn:
        return read_collection(txn, name) == NAMESPACE
