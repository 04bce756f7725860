"""Keys of records as people type and read them: as one text for each part of the key.

    1               a key of type int
    Paris 7         a key of type tuple[str, int]

The description of a collection in the store names the type of its keys. So no class is needed.
"""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from functools import cache
from typing import Any, get_args
from uuid import UUID

from stones.errors import CorruptValueError, KeyTypeError, StoneError
from stones.formats.any_digits import any_digits
from stones.stores.claims import NAMESPACE, read_collection
from stones.stores.key_text import NEGATIVE, show_key
from stones.stores.reader import Reader

from .keys import key_codec, named_annotation


def key_type(store: Reader[Any, Any], name: str) -> Any:
    """The type of the keys of the collection or namespace `name`, or None if there is neither.

    It is an annotation: `int`, `tuple[str, int]`. One read. Raises CorruptValueError.
    """
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


def parse_parts(name: str, annotation: Any, parts: Sequence[bytes | str]) -> Any:
    """The key of the collection `name` that a user means by the texts `parts`.

    Raises KeyTypeError for a text that is not of its type, and for another number of texts.

    >>> parse_parts('Visit', tuple[str, int], ['Paris', '7'])
    ('Paris', 7)
    """
    kind = key_codec(annotation).name
    wanted = part_count(annotation)
    if len(parts) != wanted:
        raise KeyTypeError(
            f"a key of the collection {name} is of type {kind}: type {wanted} "
            f"{'part' if wanted == 1 else 'parts'}, not {len(parts)}"
        )
    raws = (
        part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part for part in parts
    )
    try:
        return _parsed(annotation, raws)
    except _MisfitError as error:
        raise KeyTypeError(f"{error}; a key of the collection {name} is of type {kind}") from error


def show_parts(annotation: Any, key: Any) -> list[str]:
    """The texts of the parts of a key, as `parse_parts` takes them.

    >>> show_parts(tuple[str, int], ('Paris', 7))
    ['Paris', '7']
    """
    return [*_shown(annotation, key)]


def part_count(annotation: Any) -> int:
    """How many texts are a key of this type.

    >>> part_count(int), part_count(tuple[str, int])
    (1, 2)
    """
    return len(list(_simple_types(annotation)))


def is_typed(annotation: Any) -> bool:
    """Whether the text of a key of this type is not the key itself, and has one part."""
    return annotation in _PARSE and annotation not in (str, bytes)


class TypedKeys:
    """Shows the keys of a store as they can be typed, each as words for a shell."""

    def __init__(self, store: Reader[Any, Any]) -> None:
        self._key_type = cache(lambda name: key_type(store, name))

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
                return [name, *show_parts(annotation, key_codec(annotation).decode(rest))]
        except (UnicodeDecodeError, StoneError):  # damaged, or not of a collection
            pass
        return [show_key(key)]


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
