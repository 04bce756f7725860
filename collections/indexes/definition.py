"""What an index is, and how the metadata of the store holds it.

Definitions live in the store, so every program that writes records keeps all indexes, whatever its
class says. So a definition has paths, flags and a condition as text, and no Python functions.

    index/COLLECTION\\0NAME     JSON: one definition
    indexid                    the id of the index that was defined last
    dropped/ID                 an id whose entries are to be removed, in hexadecimal

A change of a definition begins another generation of the metadata, except for how far a build has
come. An id is never used twice. So entries of an index that was dropped are never read as entries
of another one. With its first index a store gets the layout 2: a stones that knows no indexes must
not write to it.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final, Literal, get_args

from attrs import field, frozen

from stones.engine import Space, Transaction
from stones.errors import CorruptValueError
from stones.formats.generation import next_generation
from stones.formats.layout import write_layout_with_indexes

State = Literal["building", "ready", "failed"]

INDEXES: Final = b"index/"
DROPPED: Final = b"dropped/"
ID_KEY: Final = b"indexid"
MAX_PATHS: Final = 8
"""A compound index has at most so many paths, so that each value has room in an entry."""
MAX_NAME: Final = 240
"""The name of an index has at most so many bytes. It is part of a key in the metadata."""
PATH: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


@frozen
class IndexDefinition:
    """One index of a collection, as the metadata has it.

    >>> IndexDefinition(1, ('country', 'age')).name
    'country,age'
    >>> IndexDefinition(2, ('age',), where='@.active == true').name
    'age[@.active == true]'
    """

    id: int
    """Every entry begins with it, in 4 bytes. Another definition of the same name has another."""
    paths: tuple[str, ...]
    """The fields: `age`, or `address.city` for a field inside. Several are sorted one by one."""
    each_path: int | None = None
    """The place in `paths` of the path whose elements are indexed. None: of no path."""
    unique: bool = False
    """Whether no two records may have the same values. None and missing are never the same."""
    where: str | None = None
    """The condition that a record must meet to be in the index. None: every record is."""
    state: State = "ready"
    """`building` until each record is in it. Only a `ready` one answers queries."""
    at: bytes = b""
    """The key, without the prefix of the collection, of the last record that the build took in."""
    problem: str = ""
    """Why the build has failed. A `failed` index has no entries, and no write looks at it."""
    name: str = field(init=False)
    """Unique in the collection: the paths, and the condition in brackets."""
    prefix: bytes = field(init=False)
    """The first 4 bytes of every entry."""

    @name.default
    def _name(self) -> str:
        return index_name(self.paths, self.where)

    @prefix.default
    def _prefix(self) -> bytes:
        return self.id.to_bytes(4)

    @property
    def each(self) -> bool:
        """Whether the elements of a path are indexed, not its value."""
        return self.each_path is not None

    @property
    def has_entries(self) -> bool:
        """Whether writes keep the index: also while it is built."""
        return self.state != "failed"

    def same_as(self, other: "IndexDefinition") -> bool:
        """Whether both define the same, apart from the id and the state."""
        return (self.paths, self.each_path, self.unique, self.where) == (
            (other.paths, other.each_path, other.unique, other.where)
        )


@frozen
class IndexInfo:
    """An index of a collection, as `Collection.indexes` shows it.

    >>> from attrs import define
    >>> from stones import Collection, MemoryStore, key
    >>> @define
    ... class User:
    ...     name: str = key()
    ...     age: int
    >>> users = Collection(MemoryStore(), User, indexes=['age'])
    >>> users.add(User('ada', 36))
    'ada'
    >>> users.indexes[0].name, users.indexes[0].state
    ('age', 'ready')
    """

    name: str
    """What `drop_index` and `using` take: 'age', 'country,age'."""
    paths: tuple[str, ...]
    """The fields that are indexed: 'age', 'address.city'."""
    each: bool
    """Whether the elements of a field are indexed."""
    unique: bool
    """Whether no two records may have the same values."""
    where: str | None
    """The condition that the records in the index meet."""
    state: State
    """`ready`, `building` until each record is in it, or `failed`."""
    problem: str = ""
    """Why it has failed: which two records have the same values."""


def index_name(paths: tuple[str, ...], where: str | None) -> str:
    """The name of an index with these paths and this condition."""
    joined = ",".join(paths)
    return joined if where is None else f"{joined}[{where}]"


def info_of(definition: IndexDefinition) -> IndexInfo:
    """What a user sees of a definition."""
    return IndexInfo(
        definition.name,
        definition.paths,
        definition.each,
        definition.unique,
        definition.where,
        definition.state,
        definition.problem,
    )


# -- in the metadata ---------------------------------------------------------------------------


def definition_key(collection: str, name: str) -> bytes:
    """The key in the metadata of a definition."""
    return _first_key(collection) + name.encode()


def read_definitions(txn: Transaction, collection: str) -> tuple[IndexDefinition, ...]:
    """The indexes of a collection, the oldest first. Raises CorruptValueError."""
    found = _definitions(txn, _first_key(collection), INDEXES + collection.encode() + b"\1")
    return tuple(sorted((definition for _, definition in found), key=lambda index: index.id))


def all_definitions(txn: Transaction) -> Iterator[tuple[str, IndexDefinition]]:
    """The indexes of all collections, each with the name of its collection."""
    return _definitions(txn, INDEXES, INDEXES[:-1] + b"0")


def parse_definition(key: bytes, raw: bytes) -> tuple[str, IndexDefinition]:
    """The name of a collection, and an index of it, of an entry of the metadata.

    Raises CorruptValueError.
    """
    collection, _, name = key.removeprefix(INDEXES).partition(b"\0")
    try:
        definition = _parse(**json.loads(raw))
        if definition.name.encode() != name:
            raise ValueError("it has another name")
        return collection.decode(), definition
    except (ValueError, TypeError, RecursionError) as error:
        raise CorruptValueError(
            f"the index {name[:80]!r} of the collection {collection[:80]!r} is damaged: "
            f"{repr(error)[:200]}"
        ) from error


def write_definition(txn: Transaction, collection: str, definition: IndexDefinition) -> None:
    """Store a new or changed definition, and begin another generation of the metadata."""
    note_progress(txn, collection, definition)
    write_layout_with_indexes(txn)
    next_generation(txn)


def note_progress(txn: Transaction, collection: str, definition: IndexDefinition) -> None:
    """Store how far a build has come. Nobody has to read the metadata again for that."""
    stored = {
        "id": definition.id,
        "paths": definition.paths,
        "each": definition.each_path,
        "unique": definition.unique,
        "where": definition.where,
        "state": definition.state,
        "at": definition.at.hex(),
        "problem": definition.problem,
    }
    key = definition_key(collection, definition.name)
    txn.put(Space.META, key, json.dumps(stored).encode())


def last_id(txn: Transaction) -> int:
    """The id of the index that was defined last, or 0. Raises CorruptValueError."""
    raw = txn.get(Space.META, ID_KEY) or b"0"
    if not raw.isdigit() or len(raw) > 10 or int(raw) >= 2**32 - 1:
        raise CorruptValueError(f"the number of the last index is {raw[:40]!r}: it is damaged")
    return int(raw)


def next_id(txn: Transaction) -> int:
    """An id that no index has had. Raises CorruptValueError."""
    id = last_id(txn) + 1
    txn.put(Space.META, ID_KEY, b"%d" % id)
    return id


def drop_definition(txn: Transaction, collection: str, definition: IndexDefinition) -> None:
    """Remove a definition. Its entries are to be removed later, by `sweep`."""
    txn.delete(Space.META, definition_key(collection, definition.name))
    drop_entries(txn, definition)
    next_generation(txn)


def drop_entries(txn: Transaction, definition: IndexDefinition) -> None:
    """Note that the entries of an index are to be removed."""
    drop_prefix(txn, definition.prefix)


def drop_prefix(txn: Transaction, prefix: bytes) -> None:
    """Note that the entries with this beginning are to be removed."""
    txn.put(Space.META, DROPPED + prefix.hex().encode(), b"")


def dropped_prefixes(txn: Transaction) -> list[bytes]:
    """The beginnings of the entries that are to be removed. Raises CorruptValueError."""
    found = []
    for key in txn.keys(Space.META, DROPPED, DROPPED[:-1] + b"0"):
        if not is_dropped_key(key):
            raise CorruptValueError(f"{key[:40]!r} is no index that was dropped: it is damaged")
        found.append(bytes.fromhex(key.removeprefix(DROPPED).decode()))
    return found


def is_dropped_key(key: bytes) -> bool:
    """Whether a key of the metadata, which begins with `DROPPED`, has an id."""
    return _DROPPED.fullmatch(key) is not None


def forget_dropped(txn: Transaction, prefix: bytes) -> None:
    """Note that no entry with this beginning is left."""
    txn.delete(Space.META, DROPPED + prefix.hex().encode())


_DROPPED = re.compile(DROPPED + rb"[0-9a-f]{8}")


def _first_key(collection: str) -> bytes:
    return INDEXES + collection.encode() + b"\0"


def _definitions(
    txn: Transaction, start: bytes, stop: bytes
) -> Iterator[tuple[str, IndexDefinition]]:
    for key, raw in txn.scan(Space.META, start, stop):
        yield parse_definition(key, raw)


# The checks are strict, because an attacker may have made the file.


def _parse(
    *,
    id: Any,
    paths: Any,
    each: Any,
    unique: Any,
    where: Any,
    state: Any,
    at: Any,
    problem: Any,
) -> IndexDefinition:
    _check(type(id) is int and 0 < id < 2**32, "the id")
    _check(type(paths) is list and 0 < len(paths) <= MAX_PATHS, "the paths")
    _check(all(type(path) is str and PATH.fullmatch(path) for path in paths), "a path")
    _check(each is None or (type(each) is int and 0 <= each < len(paths)), "each")
    _check(type(unique) is bool, "unique")
    _check(where is None or (type(where) is str and where.isprintable()), "the condition")
    _check(state in get_args(State), "the state")
    _check(type(at) is str, "the place of the build")
    _check(type(problem) is str and (problem.isprintable()), "the problem")
    at = bytes.fromhex(at)
    return IndexDefinition(id, tuple(paths), each, unique, where, state, at, problem)


def _check(is_right: object, part: str) -> None:
    if not is_right:
        raise ValueError(f"{part} cannot be so")


Matches = Callable[[Any], bool | None]
"""Whether a record meets the condition of an index: made by the layer above of `where`."""
