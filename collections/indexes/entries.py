"""The entries of an index: which one a record has, and which ones a search reads.

    entry       id (4 bytes) | values | key of the record          -> kinds
    unique      id (4 bytes) | values                              -> kinds | 00 | key of the record
    long key    id (4 bytes) | values | its beginning | its hash   -> kinds | 00 | key of the record

The values are encoded as `encoding` does it, each cut to its share of 230 bytes. The key is the
stored key without the prefix of the collection. With both, the longest entry is as long as a key of
LMDB may be. `kinds` has one byte a path, or nothing if all of them are `CANONICAL`.

Every record has an entry, unless the index is partial. A field that is not there is MISSING. An
index of the elements of a field has an entry for each different element; MISSING if there is no
element, and OTHER if the field has a value that is no array.

An entry of a unique index has the key of its record in its value, so that a second record with the
same values meets it. Values that are never the same, and values that the entry does not tell
completely, have the other form: None, MISSING and NaN; cut values and OTHER.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from hashlib import blake2b
from types import NoneType
from typing import Any, Final
from uuid import UUID

from attrs import frozen

from stones.errors import CorruptValueError
from stones.formats.registered_types import registered_type
from stones.stores.spans import after_prefix

from .definition import IndexDefinition, Matches
from .encoding import (
    CANONICAL,
    MISSING,
    OTHER,
    UNDECODABLE,
    cut,
    encode,
    end_of,
    is_cut,
    kind,
)
from .numbers import NAN

VALUES_SIZE: Final = 230
"""The most bytes of all values of an entry."""
KEY_SIZE: Final = 511 - 4 - VALUES_SIZE
"""The most bytes of the key of a record in an entry. A longer one is cut, and its hash follows."""
_HASH_SIZE = 16
_ARRAYS = (list, tuple, set, frozenset)
_NEVER_SAME = (encode(MISSING), encode(None), NAN)

EntryMaker = Callable[[Any, bytes], dict[bytes, bytes]]
"""Gives the entries of a record: of its stored dict, completed, and of its key."""


@frozen
class Entry:
    """One entry, taken apart."""

    values: tuple[bytes, ...]
    """The encoded value of each path."""
    key: bytes
    """The key of the record, without the prefix of the collection."""
    kinds: tuple[bytes, ...]
    """The kind of each value: see `encoding.kind`."""
    exact: bool
    """Whether the entry tells the values: no value is cut or OTHER. If not, ask the record."""


def entries_of(
    definition: IndexDefinition, record: Any, key: bytes, matches: Matches | None = None
) -> dict[bytes, bytes]:
    """The entries of one record: their keys and values in the space of indexes.

    `record` is its stored dict, completed. `matches` is the condition of a partial index.

    >>> index = IndexDefinition(7, ('age',))
    >>> entries_of(index, {'name': 'ada', 'age': 36}, b'ada')
    {b'\\x00\\x00\\x00\\x07\\x11@B\\x00\\x00\\x00\\x00\\x00\\x00\\x00ada': b''}
    """
    return entry_maker(definition, matches)(record, key)


def entry_maker(definition: IndexDefinition, matches: Matches | None = None) -> EntryMaker:
    """The function that gives the entries of any record in an index. Picked once an index."""
    make = _maker(definition)
    if matches is None:
        return make
    return lambda record, key: make(record, key) if matches(record) else {}


def parse(definition: IndexDefinition, entry: bytes, stored: bytes) -> Entry:
    """The parts of an entry. Raises CorruptValueError for bytes that are no entry of the index."""
    values = []
    at = 4
    for _ in definition.paths:
        end = end_of(entry, at)
        values.append(entry[at:end])
        at = end
    kinds, has_key, key = stored.partition(b"\0")
    if len(kinds) not in (0, len(values)) or not entry.startswith(definition.prefix):
        raise CorruptValueError(f"{entry[:40]!r} is no entry of the index {definition.name!r}")
    return Entry(
        tuple(values),
        key if has_key else entry[at:],
        tuple(kinds[place : place + 1] for place in range(len(kinds)))
        or (CANONICAL,) * len(values),
        not any(value == OTHER or is_cut(value) for value in values),
    )


def value_range(
    definition: IndexDefinition,
    equal: Sequence[bytes] = (),
    low: bytes | None = None,
    high: bytes | None = None,
    *,
    above: bool = False,
    through: bool = False,
) -> tuple[bytes, bytes]:
    """The first key of a range of entries, and the first one behind it.

    The first paths have exactly the values `equal`. The value of the next path is from `low` on,
    or `above` it, and below `high`, or `through` it. Bounds are encodings, or beginnings of them.

    A value that is cut may be any of those with the same beginning. So the range may have entries
    outside of the bounds: look at the record of each entry that is not exact.

    >>> index = IndexDefinition(7, ('country', 'age'))
    >>> start, stop = value_range(index, [encode('DE')], encode(30), above=True)
    >>> [start < key < stop for age in (30, 31)
    ...  for key in entries_of(index, {'country': 'DE', 'age': age}, b'k')]
    [False, True]
    """
    limit = VALUES_SIZE // len(definition.paths)
    prefix = definition.prefix + b"".join([cut(value, limit) for value in equal])
    after = after_prefix(prefix)
    assert after is not None  # an id of four bytes ff is never given
    start, stop = prefix, after
    if low is not None:
        start = _bound(prefix, low, limit, after, behind=above and len(low) <= limit)
    if high is not None:
        stop = _bound(prefix, high, limit, after, behind=through or len(high) > limit)
    return start, stop


def _bound(prefix: bytes, value: bytes, limit: int, end: bytes, *, behind: bool) -> bytes:
    bound = prefix + cut(value, limit)
    return bound if not behind else after_prefix(bound) or end


# -- the values of a record --------------------------------------------------------------------


def path_getter(path: str) -> Callable[[Any], Any]:
    """The function that gives the value of a path, or MISSING.

    >>> path_getter('address.city')({'address': {'city': 'Rome'}}), path_getter('a')({})
    ('Rome', MISSING)
    """
    first, *rest = path.split(".")
    if not rest:
        return lambda record: record.get(first, MISSING)

    def get(record: Any) -> Any:
        value = record.get(first, MISSING)
        for name in rest:
            value = value.get(name, MISSING) if type(value) is dict else inside(value)
        return value

    return get


def inside(value: Any) -> Any:
    """The value of any name in a value that is no plain dict, as an index sees it."""
    # A query asks every value that has a method get. What that gives is not for an index to know.
    # A program that has not registered the type of the value must give it the same entry, too.
    return MISSING if type(value) in _WITHOUT_FIELDS else _UNKNOWN


_UNKNOWN = object()  # its encoding is OTHER
_WITHOUT_FIELDS = frozenset(
    {
        *(type(MISSING), NoneType, bool, int, float, str, bytes, *_ARRAYS),
        *(date, datetime, time, timedelta, Decimal, UUID),
    }
)


def values_of(definition: IndexDefinition, record: Any) -> Iterator[list[Any]]:
    """The values of a record that have an entry: one for each path, once for each element."""
    values = [path_getter(path)(record) for path in definition.paths]
    return _spread(values, definition.each_path)


def _spread(values: list[Any], each_path: int | None) -> Iterator[list[Any]]:
    if each_path is None:
        yield values
        return
    for element in _elements(values[each_path]):
        yield [*values[:each_path], element, *values[each_path + 1 :]]


def _elements(value: Any) -> Iterable[Any]:
    """What an index of the elements of a path has an entry for."""
    if type(value) in _ARRAYS or (
        isinstance(value, _ARRAYS) and registered_type(type(value)) is None
    ):
        return value or (MISSING,)
    return (MISSING,) if value is None or value is MISSING else (_UNKNOWN,)


def _maker(definition: IndexDefinition) -> EntryMaker:
    if len(definition.paths) == 1 and not definition.each and not definition.unique:
        return _single_maker(definition)
    getters = [path_getter(path) for path in definition.paths]
    limit = VALUES_SIZE // len(getters)
    each_path, unique, prefix = definition.each_path, definition.unique, definition.prefix

    def make(record: Any, key: bytes) -> dict[bytes, bytes]:
        entries: dict[bytes, bytes] = {}
        short, long = _key_parts(key)
        for values in _spread([get(record) for get in getters], each_path):
            encoded = [encode(value) for value in values]
            kinds = b"".join([kind(value) for value in values])
            if any(len(value) > limit for value in encoded):
                kinds = _with_cut(kinds, encoded, limit)
                encoded = [cut(value, limit) for value in encoded]
            if unique and not any(map(_is_own, encoded)):
                entry, stored = prefix + b"".join(encoded), _kinds(kinds) + b"\0" + key
            else:
                entry, stored = prefix + b"".join(encoded) + short, _kinds(kinds) + long
            known = entries.get(entry, stored)
            if known != stored:  # 1 and 1.0 are the same element
                stored = _mixed(known, stored, len(values))
            entries[entry] = stored
        return entries

    return make


def _single_maker(definition: IndexDefinition) -> EntryMaker:
    """The usual case, with the fewest calls: one path, and one entry a record."""
    get, prefix = path_getter(definition.paths[0]), definition.prefix

    def make(record: Any, key: bytes) -> dict[bytes, bytes]:
        value = get(record)
        encoded = encode(value)
        plain = type(value)
        kinds = b"" if plain is str else _kinds(kind(value))
        if len(encoded) > VALUES_SIZE:
            encoded, kinds = cut(encoded, VALUES_SIZE), UNDECODABLE
        if len(key) < KEY_SIZE:
            return {prefix + encoded + key: kinds}
        short, long = _key_parts(key)
        return {prefix + encoded + short: kinds + long}

    return make


def _key_parts(key: bytes) -> tuple[bytes, bytes]:
    """What an entry has of a key: at the end of its own key, and at the end of its value."""
    if len(key) < KEY_SIZE:  # exactly as long are the keys with a hash, and no others
        return key, b""
    hashed = blake2b(key, digest_size=_HASH_SIZE).digest()
    return key[: KEY_SIZE - _HASH_SIZE] + hashed, b"\0" + key


def _is_own(value: bytes) -> bool:
    """Whether a value is never the same as one of another record, or the entry cannot tell."""
    return value in _NEVER_SAME or value == OTHER or is_cut(value)


def are_unclear(values: Sequence[bytes]) -> bool:
    """Whether only the records tell if two of a unique index have the same values."""
    if any(value in _NEVER_SAME for value in values):
        return False
    return any(value == OTHER or is_cut(value) for value in values)


def may_be_unclear(stored: bytes) -> bool:
    """Whether the values of an entry may be unclear, by the value of the entry."""
    # Most entries of unique indexes have canonical values. A look at one byte tells that.
    return stored[:1] != b"\0" and UNDECODABLE in stored.partition(b"\0")[0]


def _with_cut(kinds: bytes, encoded: Sequence[bytes], limit: int) -> bytes:
    return b"".join(
        UNDECODABLE if len(value) > limit else kinds[place : place + 1]
        for place, value in enumerate(encoded)
    )


def _kinds(kinds: bytes) -> bytes:
    return b"" if kinds.strip(CANONICAL) == b"" else kinds


def _mixed(known: bytes, stored: bytes, paths: int) -> bytes:
    kinds, mark, key = known.partition(b"\0")
    others = stored.partition(b"\0")[0] or CANONICAL * paths
    kinds = kinds or CANONICAL * paths
    pairs = zip(kinds, others, strict=False)
    mixed = bytes(one if one == other else UNDECODABLE[0] for one, other in pairs)
    return mixed + mark + key
