"""Keys of records as they are typed: the name of the collection, then the parts of the key.

    stones get my-db Note 1
    stones get my-db Visit Paris 7

The description of a collection in the store names the type of its keys. So no class is needed.
"""

from collections.abc import Callable, Sequence
from typing import Any

import click

from stones.errors import KeyTypeError
from stones.stores.claims import collection_names
from stones.stores.key_text import show_key
from stones.stores.reader import Reader

from .opening import shown
from .options import NOT_THERE

Types = Callable[[Reader[Any, Any], str], Any]
"""Tells the type of the keys of a collection by its name, or None if there is no collection."""


class NoSuchKey(click.ClickException):
    """The key that a command names is not in the store."""

    exit_code = NOT_THERE

    def __init__(self, path: str, parts: Sequence[bytes]) -> None:
        super().__init__(f"there is no key {' '.join(map(show_key, parts))} in {path}")


class NoSuchCollection(click.ClickException):
    """The collection that a command names is not in the store."""

    exit_code = NOT_THERE

    def __init__(self, path: str, name: str, names: Sequence[str], hint: str = "") -> None:
        has = f"its collections are {', '.join(names[:20])}" if names else "it has no collections"
        super().__init__(f"there is no collection {name} in {path}: {has}{hint}")


def stored_key(
    store: Reader[Any, Any],
    path: str,
    parts: Sequence[bytes],
    types: Types | None = None,
) -> bytes:
    """The key in the store that a user means by the arguments `parts`.

    One argument is a key of the store. Several are the name of a collection and the parts of a key.
    One argument `NAME/TEXT` may also be a key of the collection NAME, if it is no key of the store.
    `types` tells the type of the keys of a collection, if the store does not.

    Raises NoSuchCollection, and BadParameter for parts that are no key of the collection.
    """
    first, *rest = parts
    if not rest and (b"/" not in first or first in store):
        return first
    from stones.collections.typed_keys import is_typed, key_type  # it loads how keys are encoded

    types = types or key_type
    if rest:
        name = first.decode("utf-8", "backslashreplace")
        annotation = types(store, name)
        if annotation is None:
            with store.database.reading() as txn:
                hint = "; a key with spaces in it is typed in quotes"
                raise NoSuchCollection(shown(path), name, list(collection_names(txn)), hint)
        return _encoded(name, annotation, rest)
    head, _, text = first.partition(b"/")
    name = head.decode("utf-8", "backslashreplace")
    annotation = types(store, name)
    return _encoded(name, annotation, [text]) if is_typed(annotation) else first


def _encoded(name: str, annotation: Any, parts: Sequence[bytes]) -> bytes:
    from stones.collections.keys import key_codec
    from stones.collections.typed_keys import parse_parts

    try:
        key = parse_parts(name, annotation, parts)
        return name.encode() + b"/" + key_codec(annotation).encode(key)
    except KeyTypeError as error:
        raise click.BadParameter(str(error), param_hint="KEY") from error
