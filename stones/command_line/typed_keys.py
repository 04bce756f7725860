"""Keys of records as they are typed: the name of the collection, then the parts of the key.

    stones get my-db Note 1
    stones get my-db Visit Paris 7

The description of a collection in the store names the type of its keys. So no class is needed.
"""

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from functools import cache
from typing import Any, get_args
from uuid import UUID

import click

from stones.collections.keys import key_codec, named_annotation
from stones.errors import CorruptValueError, StoneError
from stones.stores.claims import NAMESPACE, collection_names, namespace_names, read_collection
from stones.stores.reader import Reader
from stones.stores.store import Store
from stones.stores.writer import Writer

from .any_digits import any_digits
from .keys import show_key
from .options import NOT_THERE, shown


class NoSuchKey(click.ClickException):
    """The key that a command names is not in the store."""

    exit_code = NOT_THERE

    def __init__(self, path: str, parts: Sequence[bytes]) -> None:
        super().__init__(f"there is no key {' '.join(map(show_key, parts))} in {path}")


class NoSuchCollection(click.ClickException):
    """The collection that a command names is not in the store."""

    exit_code = NOT_THERE

    def __init__(self, path: str, name: str, names: Sequence[str]) -> None:
        has = f"its collections are {', '.join(names[:20])}" if names else "it has no collections"
        super().__init__(
            f"there is no collection {name} in {path}: {has}; a key with spaces in it is typed in "
            "quotes"
        )


def stored_key(store: Reader[Any, Any], path: str, parts: Sequence[bytes]) -> bytes:
    """The key in the store that a user means by the arguments `parts`.

    One argument is a key of the store. Several are the name of a collection and the parts of a key.
    One argument `NAME/TEXT` may also be a key of the collection NAME, if it is no key of the store.

    Raises NoSuchCollection, and BadParameter for parts that are no key of the collection.
    """
    first, *rest = parts
    if rest:
        name = first.decode("utf-8", "backslashreplace")
        annotation = _key_type(store, name)
        if annotation is None:
            with store.database.reading() as txn:
                raise NoSuchCollection(shown(path), name, list(collection_names(txn)))
        return _encoded(name, annotation, rest)
    head, slash, text = first.partition(b"/")
    if slash and first not in store:
        name = head.decode("utf-8", "backslashreplace")
        annotation = _key_type(store, name)
        if annotation in _PARSE and annotation not in (str, bytes):
            return _encoded(name, annotation, [text])
    return first


def writable_at(store: Store[Any, Any], stored: bytes) -> tuple[Writer[Any, Any], bytes]:
    """The dict through which a key of the store is written, and its key there.

    That is the namespace that has the key, or the store itself.
    """
    head, slash, rest = stored.partition(b"/")
    with store.database.reading() as txn:
        spaces = {name.encode(): name for name in namespace_names(txn)} if slash and rest else {}
    if head in spaces:
        return store.namespace(f"{spaces[head]}/"), rest
    return store, stored


class TypedKeys:
    """Shows the keys of a store as they can be typed, each as words for a shell."""

    def __init__(self, store: Reader[Any, Any]) -> None:
        self._key_type = cache(lambda name: _key_type(store, name))

    def show(self, key: bytes) -> str:
        """The words for a key: `Note 1` for the key 1 of the collection Note."""
        words = [shlex.quote(word) for word in self._words(key)]
        if any(word.startswith("-") and not NEGATIVE.match(word) for word in words):
            words.insert(0, "--")
        return " ".join(words)

    def _words(self, key: bytes) -> list[str]:
        head, slash, rest = key.partition(b"/")
        try:
            name = head.decode()
            annotation = self._key_type(name) if slash else None
            if annotation is not None:
                return [name, *_shown(annotation, key_codec(annotation).decode(rest))]
        except (UnicodeDecodeError, StoneError):  # damaged, or not of a collection
            pass
        return [show_key(key)]


NEGATIVE = re.compile(r"-[0-9.]|-Infinity")
"""The beginning of a negative number, which is no option."""


def _key_type(store: Reader[Any, Any], name: str) -> Any:
    """The type of the keys of the collection or namespace `name`, or None if there is neither."""
    if not name.isprintable():
        return None
    with store.database.reading() as txn:
        described = read_collection(txn, name)
    if described is None:
        return None
    if described == NAMESPACE:
        return bytes
    key = described.get("key")
    if not isinstance(key, str):
        raise CorruptValueError(f"the metadata of the collection {name!r} is damaged: no key type")
    return named_annotation(key)


def _encoded(name: str, annotation: Any, parts: Sequence[bytes]) -> bytes:
    codec = key_codec(annotation)
    wanted = len(list(_simple_types(annotation)))
    if len(parts) != wanted:
        raise click.BadParameter(
            f"a key of the collection {name} is of type {codec.name}: type {wanted} "
            f"{'part' if wanted == 1 else 'parts'}, not {len(parts)}",
            param_hint="KEY",
        )
    try:
        encoded = codec.encode(_parsed(annotation, iter(parts)))
    except _MisfitError as error:
        raise click.BadParameter(
            f"{error}; a key of the collection {name} is of type {codec.name}", param_hint="KEY"
        ) from error
    return name.encode() + b"/" + encoded


class _MisfitError(ValueError):
    """A part that is not of its type."""


def _simple_types(annotation: Any) -> Iterator[type]:
    if annotation in _PARSE:
        yield annotation
        return
    for part in get_args(annotation):
        yield from _simple_types(part)


def _parsed(annotation: Any, parts: Iterator[bytes]) -> Any:
    if annotation not in _PARSE:
        return tuple(_parsed(part, parts) for part in get_args(annotation))
    raw = next(parts)
    try:
        return _PARSE[annotation](raw)
    except ValueError as error:
        raise _MisfitError(f"{show_key(raw)[:80]} is not of type {annotation.__name__}") from error


def _shown(annotation: Any, key: Any) -> Iterator[str]:
    if annotation in _SHOW:
        yield _SHOW[annotation](key)
        return
    for part, value in zip(get_args(annotation), key, strict=True):
        yield from _shown(part, value)


def _int(raw: bytes) -> int:
    with any_digits():
        return int(raw)


def _str(number: int) -> str:
    with any_digits():
        return str(number)


_PARSE: Mapping[type, Callable[[bytes], Any]] = {
    int: _int,
    str: bytes.decode,
    bytes: bytes,
    UUID: lambda raw: UUID(raw.decode()),
    date: lambda raw: date.fromisoformat(raw.decode()),
    datetime: lambda raw: datetime.fromisoformat(raw.decode()),
}
_SHOW: Mapping[type, Callable[[Any], str]] = {
    int: _str,
    str: lambda text: show_key(text.encode()),
    bytes: show_key,
    UUID: str,
    date: date.isoformat,
    datetime: datetime.isoformat,
}
