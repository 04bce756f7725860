"""A transaction of a store as a namespace sees it: only its own keys, without their prefix.

What the dict face does with a database, it can so do with a namespace. Whatever must change with an
entry, the claim and the count, changes here, in the same transaction.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from stones.engine import Page, Space, Transaction
from stones.errors import CollectionError, UnexpectedError
from stones.formats.codec import Codec
from stones.formats.format_writer import FormatWriter
from stones.formats.messages import show
from stones.stores.claims import (
    NAMESPACE,
    NAMESPACE_CLAIM,
    add_to_count,
    claim_key,
    count_key,
    is_namespace,
    read_count,
    write_collection,
)
from stones.stores.database_reader import DATA
from stones.stores.spans import prefix_span

_BATCH = 1000


class NamespaceClaim:
    """The claim of a namespace to the keys that begin with its prefix."""

    def __init__(self, name: str, reload: Callable[[Transaction], None] | None) -> None:
        """`reload` is called with the transaction in which the claim is made."""
        self.name = name
        self.prefix = name.encode() + b"/"
        self.span = prefix_span(self.prefix)
        self.count_key = count_key(name)
        self._key = claim_key(name)
        self._reload = reload

    def is_made(self, txn: Transaction) -> bool:
        """Whether the namespace has its claim, by one read or two.

        Raises CollectionError if the keys belong to a collection, or to nobody.
        """
        try:
            txn.expect(Space.META, self._key, NAMESPACE_CLAIM)
        except UnexpectedError as error:
            raw = error.found
        else:
            return True
        if raw is not None:
            if is_namespace(raw):
                return True
            raise CollectionError(
                f"{self.name!r} is a collection of the store: give the namespace another name"
            )
        stray = next(txn.keys(DATA, self.span.start, self.span.stop), None)
        if stray is not None:
            raise CollectionError(
                f"the store has keys that begin with {self.prefix!r} but are in no namespace, "
                f"{show(stray)} for one: give the namespace another name, or move the keys"
            )
        return False

    def make(self, txn: Transaction) -> None:
        """Claim the keys, unless that was done. Raises as `is_made` does."""
        if not self.is_made(txn):
            write_collection(txn, self.name, NAMESPACE)
            if self._reload is not None:
                self._reload(txn)


class NamespaceTransaction(Transaction):
    """The entries of one namespace in a transaction of the store. The other spaces are as there.

    Counting the entries is O(1).
    """

    __slots__ = ("_claim", "_is_claimed", "_prefix", "txn")

    def __init__(self, txn: Transaction, claim: NamespaceClaim) -> None:
        self.txn = txn
        """The transaction of the store."""
        self._claim = claim
        self._prefix = claim.prefix
        self._is_claimed = False

    def get(self, space: Space, key: bytes) -> bytes | None:
        return self.txn.get(space, self._prefix + key if space is DATA else key)

    def put(self, space: Space, key: bytes, value: bytes) -> None:
        txn = self.txn
        if space is DATA:
            key = self._prefix + key
            self._make_claim()
            if txn.get(DATA, key) is None:
                add_to_count(txn, self._claim.count_key, 1, kind="namespace")
        txn.put(space, key, value)

    def delete(self, space: Space, key: bytes) -> bool:
        txn = self.txn
        if space is not DATA:
            return txn.delete(space, key)
        self._has_claim()  # raises an error if the keys belong to others
        is_gone = txn.delete(DATA, self._prefix + key)
        if is_gone:
            add_to_count(txn, self._claim.count_key, -1, kind="namespace")
        return is_gone

    def scan(
        self, space: Space, start: bytes = b"", stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        if space is not DATA:
            return self.txn.scan(space, start, stop, reverse=reverse)
        size = len(self._prefix)
        entries = self.txn.scan(DATA, *self._bounds(start, stop), reverse=reverse)
        return ((key[size:], value) for key, value in entries)

    def keys(
        self, space: Space, start: bytes = b"", stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[bytes]:
        if space is not DATA:
            return self.txn.keys(space, start, stop, reverse=reverse)
        size = len(self._prefix)
        keys = self.txn.keys(DATA, *self._bounds(start, stop), reverse=reverse)
        return (key[size:] for key in keys)

    def pages(
        self,
        space: Space,
        start: bytes = b"",
        stop: bytes | None = None,
        *,
        reverse: bool = False,
        keys: bool = True,
        values: bool = True,
    ) -> Iterator[Page]:
        size = 0
        if space is DATA:
            size = len(self._prefix)
            start, stop = self._bounds(start, stop)
        pages = self.txn.pages(space, start, stop, reverse=reverse, keys=keys, values=values)
        return (([key[size:] for key in each], found) for each, found in pages)

    def count(self, space: Space) -> int:
        if space is DATA:
            return read_count(self.txn, self._claim.count_key, kind="namespace")
        return self.txn.count(space)

    def get_many(self, space: Space, keys: Sequence[bytes]) -> list[bytes | None]:
        if space is DATA:
            keys = [self._prefix + key for key in keys]
        return self.txn.get_many(space, keys)

    def put_many(self, space: Space, entries: Iterable[tuple[bytes, bytes]]) -> None:
        if space is not DATA:
            self.txn.put_many(space, entries)
            return
        rest = iter(entries)
        while batch := list(islice(rest, _BATCH)):
            self._make_claim()
            stored = {self._prefix + key: value for key, value in batch}
            new = self.txn.get_many(DATA, list(stored)).count(None)
            if new:
                add_to_count(self.txn, self._claim.count_key, new, kind="namespace")
            self.txn.put_many(DATA, stored.items())

    def delete_range(self, space: Space, start: bytes = b"", stop: bytes | None = None) -> None:
        if space is not DATA:
            self.txn.delete_range(space, start, stop)
            return
        if not self._has_claim():
            return
        count, bounds = self._claim.count_key, self._bounds(start, stop)
        if not start and stop is None:
            self.txn.drop_sum(count)
        else:
            cleared = sum(1 for _ in self.txn.keys(DATA, *bounds))
            add_to_count(self.txn, count, -cleared, kind="namespace")
        self.txn.delete_range(DATA, *bounds)

    def expect(self, space: Space, key: bytes, value: bytes | None) -> None:
        if space is not DATA:
            self.txn.expect(space, key, value)
            return
        try:
            self.txn.expect(DATA, self._prefix + key, value)
        except UnexpectedError as error:
            raise UnexpectedError(DATA, key, error.found) from None

    def add(self, key: bytes, number: int) -> None:
        self.txn.add(key, number)

    def sum(self, key: bytes) -> int:
        return self.txn.sum(key)

    def sums(self) -> Iterator[tuple[bytes, int]]:
        return self.txn.sums()

    def drop_sum(self, key: bytes) -> None:
        self.txn.drop_sum(key)

    def begin(self) -> "NamespaceTransaction":
        return NamespaceTransaction(self.txn.begin(), self._claim)

    def commit(self) -> None:
        self.txn.commit()

    def abort(self) -> None:
        self.txn.abort()

    def _bounds(self, start: bytes, stop: bytes | None) -> tuple[bytes, bytes | None]:
        return self._prefix + start, self._claim.span.stop if stop is None else self._prefix + stop

    def _make_claim(self) -> None:
        if not self._is_claimed:
            self._claim.make(self.txn)
            self._is_claimed = True

    def _has_claim(self) -> bool:
        self._is_claimed = self._is_claimed or self._claim.is_made(self.txn)
        return self._is_claimed


class NamespaceCodec(Codec):
    """A codec for keys without the prefix. A checksum, and encryption, are over the whole key."""

    def __init__(self, codec: Codec, prefix: bytes) -> None:
        vars(self).update(vars(codec))
        self._codec = codec
        self._key_prefix = prefix
        read = codec.read
        self.read = lambda key, raw: read(prefix + key, raw)
        self.readers = {}

    def encode(self, key: bytes, value: Any) -> bytes:
        return self._codec.encode(self._key_prefix + key, value)

    def encoder(self) -> Callable[[bytes, Any], bytes]:
        return self._codec.encoder() if self._is_plain else self.encode

    def encode_simple(self, key: bytes, value: Any) -> bytes:
        return self._codec.encode_simple(self._key_prefix + key, value)

    def wrap(self, key: bytes, encoded: bytes) -> bytes:
        return self._codec.wrap(self._key_prefix + key, encoded)

    def writer(self, key: bytes) -> FormatWriter:
        return self._codec.writer(self._key_prefix + key)

    def is_current(self, key: bytes, raw: bytes) -> bool:
        return self._codec.is_current(self._key_prefix + key, raw)

    def unwrap(self, key: bytes, raw: bytes) -> bytes:
        return self._codec.unwrap(self._key_prefix + key, raw)

    def decode(self, key: bytes, raw: bytes) -> Any:
        return self._codec.decode(self._key_prefix + key, raw)
