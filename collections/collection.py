"""Records of one attrs class, kept in a store under a key prefix: `Collection(stor, User)`.

A collection works on the engine's transactions, beside the dict face of the store. Whatever one
operation changes, the record and what is kept about it, it changes in one transaction.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from enum import Enum
from typing import Any, TypeVar, overload

import attrs

from stones.collections.queries.jsonpath import equals, parse_filter, parse_search
from stones.collections.queries.prefilter import longest_literal
from stones.collections.queries.query import Query, check_limit
from stones.collections.records.record_type import record_type
from stones.engine import MAX_KEY_SIZE, Space, Transaction
from stones.errors import (
    CollectionError,
    CorruptValueError,
    DuplicateKeyError,
    InvalidKeyError,
    KeyTooLongError,
    ReadOnlyError,
    RecordError,
)
from stones.stores.claims import (
    COLLECTION_NAME,
    add_to_count,
    claim_key,
    count_key,
    read_collection,
    read_count,
    write_collection,
)
from stones.stores.reader import DATA, Reader
from stones.stores.store import MISSING, Store
from stones.stores.views import Items, Keys, Range, Span, Values, after_prefix

from .keys import new_key

K = TypeVar("K")
R = TypeVar("R")
T = TypeVar("T")


class Collection(MutableMapping[K, R]):
    """A mutable mapping from keys to records of an attrs class.

    `store` is an open store, or a snapshot of one for a collection that is only read. `record` is
    the class; its fields made with `key()` are the primary key (several of them a tuple), without
    any a key is generated: a UUID that sorts by time. `name`, the name of the class unless it is
    given, makes the prefix: the records are the keys `name/...` of the store, as plain dicts.

    Records come in key order; what you get is a copy, and `put` or `update` stores it again.
    Raises CollectionError for a class or a name that cannot be used.
    """

    def __init__(
        self: "Collection[Any, R]",
        store: Reader[Any, Any],
        record: type[R],
        name: str | None = None,
    ) -> None:
        if not isinstance(store, Reader):
            raise CollectionError(f"a collection is kept in a store, not in {store!r}")
        self._store = store
        self._type = record_type(record)
        self.name = self._type.name if name is None else name
        if not isinstance(self.name, str) or not COLLECTION_NAME.fullmatch(self.name):
            raise CollectionError(
                f"{self.name!r} cannot name a collection: use letters, digits, '_', '-' and '.', "
                "64 at most: Collection(store, Class, name='users')"
            )
        self._prefix = self.name.encode() + b"/"
        self._span = Span(self._prefix, after_prefix(self._prefix))
        self._count_key = count_key(self.name)
        self._claim_key = claim_key(self.name)
        self._encode = self._type.key_codec.encode
        self._claim_or_check()

    # -- reading -------------------------------------------------------------------------------

    def __getitem__(self, key: K) -> R:
        """The record with this key. Raises KeyError with the key. O(log n)."""
        stored = self._prefix + self._encode(key)
        raw = self._store._raw(stored)
        if raw is None:
            raise KeyError(key)
        return self._load(stored, self._store._decode(stored, raw))

    def __contains__(self, key: object) -> bool:
        return self._store._raw(self._encoded(key)) is not None

    def __len__(self) -> int:
        """How many records there are. O(1)."""
        txn, own = self._store._reading()
        try:
            return self._count(txn)
        finally:
            if own:
                txn.abort()

    def __iter__(self) -> Iterator[K]:
        return self._keys(self._span)

    def __reversed__(self) -> Iterator[K]:
        return self._keys(self._span.reversed())

    def keys(self) -> Keys[K]:
        """The keys: a set-like view, in order."""
        return Keys(self, self, self._span)

    def values(self) -> Values[R]:
        """The records, in key order."""
        return Values(self, self, self._span)

    def items(self) -> Items[K, R]:
        """The (key, record) pairs, in key order."""
        return Items(self, self, self._span)

    def range(
        self,
        *,
        ge: K | None = None,
        gt: K | None = None,
        le: K | None = None,
        lt: K | None = None,
        prefix: K | None = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> Range[K, R]:
        """The records between two keys, in key order, as a lazy read-only mapping.

        `prefix` is for keys that are str or bytes. Costs O(log n) to start and O(1) a record.
        Raises KeyTypeError for a key of another type, InvalidKeyError for bounds that exclude each
        other.
        """
        if prefix is not None and (ge, gt, le, lt) != (None,) * 4:
            raise InvalidKeyError("range() takes either prefix= or bounds, not both")
        if (ge is not None and gt is not None) or (le is not None and lt is not None):
            raise InvalidKeyError("range() takes one lower and one upper bound: ge or gt, le or lt")
        if prefix is not None and self._type.key_codec.name not in ("str", "bytes"):
            raise InvalidKeyError(f"{self.name}: a prefix is for keys that are str or bytes")
        check_limit(limit)
        start, stop = self._span.start, self._span.stop
        if prefix is not None:
            start = self._encoded(prefix)
            stop = after_prefix(start)
        if ge is not None:
            start = self._encoded(ge)
        if gt is not None:
            start = self._encoded(gt) + b"\0"
        if lt is not None:
            stop = self._encoded(lt)
        if le is not None:
            stop = self._encoded(le) + b"\0"
        return Range(self, self, Span(start, stop, reverse, limit))

    # -- queries -------------------------------------------------------------------------------

    def find(self, path: str | None = None, /, **values: Any) -> Query[K, R]:
        """The records that match: lazily, in key order.

        `find('$[?(@.age > 30)]')` takes a JSONPath filter, as jsonpath-ng means it over the list
        of the records' dicts. A `{name}` in it stands for the value `name=...`, which can never
        change the query: `find('$[?(@.name == {name})]', name=name)`. Without a path the fields
        must equal the values: `find(name='Ada')`; with nothing at all every record matches.

        An enum stands for its value, a record of an attrs class for its dict.
        Raises QueryError for a filter that does not parse, and for values it has no place for;
        RecordError for a field that the class does not have.
        """
        if path is None:
            self._type.check_fields(values)
            values = {name: self._plain(value) for name, value in values.items()}
            predicate = equals(values) if values else None
            return Query(self, predicate=predicate, required_text=longest_literal(values.values()))
        filter = parse_filter(path)
        values = {name: self._plain(value) for name, value in values.items()}
        if filter.whole:
            return Query(self, whole=lambda records: filter.select(records, values))
        return Query(
            self, predicate=filter.bind(values), required_text=filter.required_text(values)
        )

    def search(self, path: str, /, **values: Any) -> Iterator[Any]:
        """The values that any JSONPath finds in the list of the records' dicts.

        `search('$[*].address.city')` and what begins with a filter reads record by record; a path
        that needs the whole list (`$..city`, `$[0:3]`) holds all records in memory.
        """
        values = {name: self._plain(value) for name, value in values.items()}
        return parse_search(path).values(self._dicts(), values)

    # -- writing -------------------------------------------------------------------------------

    def add(self, record: R) -> K:
        """Store a new record and return its key. Raises DuplicateKeyError if that is taken."""
        with self._writing() as txn:
            key: K = self._add(txn, record)
            self._add_count(txn, 1)
        return key

    def add_many(
        self, records: Iterable[R], *, progress: Callable[[int], object] | None = None
    ) -> int:
        """Store new records in one transaction, all of them or none; how many there were.

        Takes any iterable, in constant memory. `progress` is called with the number of records so
        far, after each of them.
        """
        added = 0
        with self._writing() as txn:
            for record in records:
                self._add(txn, record)
                added += 1
                if progress is not None:
                    progress(added)
            self._add_count(txn, added)
        return added

    def put(self, record: R) -> K:
        """Store a record, in the place of the one with the same key if there is one.

        For a class without key fields each call stores another record: use `self[key] = record`.
        """
        with self._writing() as txn:
            key: K = self._key_of(record)
            self._write(txn, key, record)
        return key

    def __setitem__(self, key: K, record: R) -> None:
        """Store a record under its key. Raises RecordError if the record has another one."""
        self._check_key(key, record)
        with self._writing() as txn:
            self._write(txn, key, record)

    def update(self, key: K, /, **changes: Any) -> R:  # type: ignore[override]
        """Change some fields of a record, atomically, and return the changed one.

        Raises KeyError with the key, RecordError for a field or a value that does not fit.
        """
        return self.modify(key, lambda record: self._type.evolve(record, changes))

    def modify(self, key: K, change: Callable[[R], R | None]) -> R:
        """Replace a record by what `change` makes of it, atomically, and return that.

        `change` gets the record, and returns another one or None after changing it in place.
        """
        stored = self._encoded(key)
        # Ambient, so that `change` may use the store and its collections: all of it is one.
        with self._writing(ambient=True) as txn:
            raw = txn.get(DATA, stored)
            if raw is None:
                raise KeyError(key)
            before = self._load(stored, self._store._decode(stored, raw))
            try:
                result = change(before)
            except RecordError as error:
                raise RecordError(f"{self.name}[{key!r}]: {error}") from error
            record = before if result is None else result
            self._check_key(key, record)
            self._write(txn, key, record)  # counted anew, where `change` has removed it meanwhile
        return record

    def __delitem__(self, key: K) -> None:
        """Remove a record. Raises KeyError with the key."""
        if not self.delete(key):
            raise KeyError(key)

    def delete(self, key: K) -> bool:
        """Remove a record; was it there?"""
        stored = self._encoded(key)
        with self._writing() as txn:
            found = txn.delete(DATA, stored)
            if found:
                self._add_count(txn, -1)
        return found

    @overload
    def pop(self, key: K, /) -> R: ...
    @overload
    def pop(self, key: K, /, default: R) -> R: ...
    @overload
    def pop(self, key: K, /, default: T) -> R | T: ...
    def pop(self, key: K, /, default: Any = MISSING) -> Any:
        """Remove a record and return it; where it is not there, `default` or KeyError."""
        stored = self._encoded(key)
        with self._writing() as txn:
            raw = txn.get(DATA, stored)
            if raw is None and default is MISSING:
                raise KeyError(key)
            if raw is None:
                return default
            record = self._load(stored, self._store._decode(stored, raw))
            txn.delete(DATA, stored)
            self._add_count(txn, -1)
        return record

    def popitem(self) -> tuple[K, R]:
        """Remove and return the last record in key order. Raises KeyError where there is none."""
        with self._writing() as txn:
            last = next(txn.scan(DATA, self._span.start, self._span.stop, reverse=True), None)
            if last is None:
                raise KeyError(f"popitem(): the collection {self.name!r} is empty")
            record = self._load(last[0], self._store._decode(*last))
            txn.delete(DATA, last[0])
            self._add_count(txn, -1)
        return self._key_out(last[0]), record

    def setdefault(self, key: K, default: R) -> R:
        """The record with this key; where there is none, `default` is stored there."""
        stored = self._encoded(key)
        with self._writing() as txn:
            raw = txn.get(DATA, stored)
            if raw is None:
                self._check_key(key, default)
                self._write(txn, key, default)
                return default
        return self._load(stored, self._store._decode(stored, raw))

    def clear(self) -> None:
        """Remove every record of this collection."""
        with self._writing() as txn:
            for stored in txn.keys(DATA, self._span.start, self._span.stop):
                txn.delete(DATA, stored)
            txn.delete(Space.META, self._count_key)

    def __repr__(self) -> str:
        return f"<Collection {self.name!r} of {self._type.cls.__name__}: {len(self):,} records>"

    # -- below ---------------------------------------------------------------------------------

    def _keys(self, span: Span) -> Iterator[K]:
        txn, own = self._store._reading()
        try:
            for stored in txn.keys(DATA, span.start, span.stop, reverse=span.reverse):
                yield self._key_out(stored)
        finally:
            if own:
                txn.abort()

    def _values(self, span: Span) -> Iterator[R]:
        for stored, value in self._store._entries(span):
            yield self._load(stored, value)

    def _items(self, span: Span) -> Iterator[tuple[K, R]]:
        for stored, value in self._store._entries(span):
            yield self._key_out(stored), self._load(stored, value)

    def _dicts(self) -> Iterator[Any]:
        for _, value in self._store._entries(self._span):
            yield value

    def _encoded(self, key: Any) -> bytes:
        return self._prefix + self._encode(key)

    def _key_out(self, stored: bytes) -> Any:
        return self._type.key_codec.decode(stored[len(self._prefix) :])

    @staticmethod
    def _plain(value: Any) -> Any:
        """What a value that is asked for looks like in a stored record."""
        if isinstance(value, Enum):
            return value.value
        if attrs.has(type(value)):
            return record_type(type(value)).dump(value)
        return value

    def _load(self, stored: bytes, value: Any) -> R:
        try:
            return self._type.load(value)
        except RecordError as error:
            raise RecordError(f"{self.name}[{self._key_out(stored)!r}]: {error}") from error

    def _dump(self, stored: bytes, key: Any, record: R) -> bytes:
        try:
            return self._store._codec.encode(stored, self._type.dump(record))
        except RecordError as error:
            raise RecordError(f"{self.name}[{key!r}]: {error}") from error

    def _key_of(self, record: R) -> Any:
        key = self._type.key_of(self._checked(record))
        if key is None and self._type.key_fields:
            raise RecordError(f"{self.name}: the key of the record is None: {record!r:.80}")
        return new_key() if key is None else key

    def _checked(self, record: R) -> R:
        if not isinstance(record, self._type.cls):
            raise RecordError(
                f"{self.name} holds records of class {self._type.cls.__name__}, not "
                f"{type(record).__name__}: {record!r:.80}"
            )
        return record

    def _check_key(self, key: K, record: R) -> None:
        own = self._type.key_of(self._checked(record))
        if own is not None and own != key:
            raise RecordError(
                f"{self.name}[{key!r}]: the record has another key, {own!r}; to change the key of "
                "a record, add() the new one and delete() the old one"
            )

    def _add(self, txn: Transaction, record: R) -> Any:
        key = self._key_of(record)
        stored = self._writable(key)
        if txn.get(DATA, stored) is not None:
            raise DuplicateKeyError(
                f"{self.name}[{key!r}] is there already: use put() to replace it, or update() to "
                "change some fields"
            )
        txn.put(DATA, stored, self._dump(stored, key, record))
        return key

    def _write(self, txn: Transaction, key: Any, record: R) -> None:
        stored = self._writable(key)
        is_new = txn.get(DATA, stored) is None
        txn.put(DATA, stored, self._dump(stored, key, record))
        if is_new:
            self._add_count(txn, 1)

    def _writable(self, key: Any) -> bytes:
        stored = self._encoded(key)
        if len(stored) > MAX_KEY_SIZE:
            raise KeyTooLongError(
                f"{self.name}: a key has at most {MAX_KEY_SIZE - len(self._prefix)} bytes here, "
                f"{key!r:.60} has {len(stored) - len(self._prefix)}"
            )
        return stored

    def _count(self, txn: Transaction) -> int:
        return read_count(txn, self._count_key)

    def _add_count(self, txn: Transaction, added: int) -> None:
        if added:
            add_to_count(txn, self._count_key, added)

    @contextmanager
    def _writing(self, *, ambient: bool = False) -> Iterator[Transaction]:
        if not isinstance(self._store, Store):
            raise ReadOnlyError(f"{self.name}: a collection of a snapshot is read-only")
        opened = self._store._ambient() if ambient else self._store._writing()
        with opened as txn:
            if txn.get(Space.META, self._claim_key) is None:  # its claim may have been undone
                self._claim(txn, self._store)
            yield txn

    def _claim_or_check(self) -> None:
        """Make the prefix ours in the store's metadata, or see that it is already."""
        txn, own = self._store._reading()
        try:
            found = read_collection(txn, self.name)
        finally:
            if own:
                txn.abort()
        if found is not None:
            self._check_description(found)
        if found == self._description():
            return
        if not isinstance(self._store, Store) or self._store._readonly:
            if found is None:
                raise CollectionError(
                    f"there is no collection {self.name!r}, and this is read-only"
                )
            return
        with self._writing() as txn:  # which claims it, unless another process was quicker
            found = read_collection(txn, self.name)
            assert found is not None
            self._check_description(found)
            if found != self._description():  # the class has changed; the next change is from here
                write_collection(txn, self.name, self._description())

    def _claim(self, txn: Transaction, store: Store[Any, Any]) -> None:
        if store._engine.legacy:
            raise CollectionError(
                "a database of stones 0.3 has no collections: re-encode it first, with migrate() "
                "or `stones migrate`"
            )
        stray = next(txn.keys(DATA, self._span.start, self._span.stop), None)
        if stray is not None:
            raise CollectionError(
                f"the store has keys that begin with {self._prefix!r} but are no records, "
                f"{stray!r} for one: name the collection otherwise, or move them"
            )
        write_collection(txn, self.name, self._description())
        store._reload(txn)

    def _description(self) -> dict[str, Any]:
        return {
            "record": self._type.cls.__qualname__,
            "key": self._type.key_codec.name,
            "fields": list(self._type.fields),
        }

    def _check_description(self, found: Mapping[str, Any]) -> None:
        mine = self._description()
        if not _is_description(found):
            raise CorruptValueError(
                f"what the store says of the collection {self.name!r} is damaged: it lacks the "
                "record class, the key type or the fields"
            )
        if found["key"] != mine["key"]:
            raise CollectionError(
                f"the collection {self.name!r} has keys of type {found['key']:.80}, those of "
                f"{mine['record']} are {mine['key']}: give one of the two another name="
            )
        if not any(found[about] == mine[about] for about in ("record", "fields")):
            raise CollectionError(
                f"the collection {self.name!r} holds records of class {found['record']:.80}, not "
                f"{mine['record']}: give one of the two another name="
            )


def _is_description(found: Mapping[str, Any]) -> bool:
    fields = found.get("fields")
    if type(fields) is not list:
        return False
    texts = (found.get("record"), found.get("key"), *fields)
    return all(type(text) is str and text.isprintable() for text in texts)
