"""The database of a store as a namespace sees it, so that the dict face works on it unchanged."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from stones.engine import Space, Transaction
from stones.errors import CollectionError
from stones.formats.codec import Codec
from stones.stores import transactions
from stones.stores.claims import read_count
from stones.stores.database import Database
from stones.stores.database_reader import DATA, DatabaseReader

from .transaction import NamespaceClaim, NamespaceCodec, NamespaceTransaction

T = TypeVar("T")


class NamespaceReader(DatabaseReader):
    """The entries of a namespace, in a database or in a snapshot of one. Keys have no prefix."""

    def __init__(self, whole: DatabaseReader, name: str) -> None:
        """Raises CollectionError if the keys belong to a collection, or to nobody."""
        if whole.is_stones03:
            raise CollectionError(
                "a database of stones 0.3 has no namespaces: re-encode it first, with migrate() or "
                "`stones migrate`"
            )
        self.whole = whole
        """The database of the store."""
        self.engine = whole.engine
        self.name = f"{whole.name}: {name}/"
        reload = whole.reload if isinstance(whole, Database) else None
        self._claim = NamespaceClaim(name, reload)
        self.prefix = self._claim.prefix
        """What the keys of the namespace begin with in the store."""
        self._wraps = whole.codec
        self.codec: Codec = NamespaceCodec(whole.codec, self.prefix)
        with whole.reading() as txn:
            self._claim.is_made(txn)

    def get(self, key: bytes, space: Space = DATA) -> bytes | None:
        return self.whole.get(self.prefix + key if space is DATA else key, space)

    def count(self) -> int:
        return read_count(self.whole, self._claim.count_key, kind="namespace")

    def sum(self, key: bytes) -> int:
        return self.whole.sum(key)

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        with self.whole.reading() as txn:
            yield NamespaceTransaction(txn, self._claim)

    def look(self, look: Callable[[Transaction], T]) -> T:
        claim = self._claim
        return self.whole.look(lambda txn: look(NamespaceTransaction(txn, claim)))

    def codec_at(self, txn: Transaction) -> Codec:
        return self._wrapped(self.whole.codec_at(_inner(txn)))

    def decode(self, key: bytes, raw: bytes) -> Any:
        value = self.whole.decode(self.prefix + key, raw)
        self._wrapped(self.whole.codec)
        return value

    @property
    def max_key_size(self) -> int:
        """The longest key in bytes that can be stored."""
        return self.whole.max_key_size - len(self.prefix)

    def _wrapped(self, codec: Codec) -> Codec:
        if codec is self._wraps:
            return self.codec
        wrapped = NamespaceCodec(codec, self.prefix)
        if codec is self.whole.codec:
            # In this order: a thread that comes in between wraps the codec again.
            self.codec, self._wraps = wrapped, codec
        return wrapped


class NamespaceDatabase(NamespaceReader, Database):
    """The entries of a namespace in a database, which can be written."""

    whole: Database

    def __init__(self, whole: Database, name: str) -> None:
        # Not Database.__init__, which would open the engine once more.
        NamespaceReader.__init__(self, whole, name)
        self.readonly = whole.readonly

    def get(self, key: bytes, space: Space = DATA) -> bytes | None:
        if space is DATA:
            key = self.prefix + key
        if transactions.ambient.get() is None:  # as in Database.get, and without its call
            return self.engine.get(space, key)
        return self.whole.get(key, space)

    @property
    def closed(self) -> bool:
        """Whether the store was closed."""
        return self.whole.closed

    def in_transaction(self) -> bool:
        """Whether this thread or task is in a transaction of the store."""
        return self.whole.in_transaction()

    def write(self, change: Callable[[Transaction], T]) -> T:
        claim = self._claim
        return self.whole.write(lambda txn: change(NamespaceTransaction(txn, claim)))

    def transact(self, change: Callable[[Transaction], T], *, joinable: bool = False) -> T:
        claim = self._claim
        return self.whole.transact(
            lambda txn: change(NamespaceTransaction(txn, claim)), joinable=joinable
        )

    @contextmanager
    def writing(self, *, joinable: bool = False) -> Iterator[Transaction]:
        with self.whole.writing(joinable=joinable) as txn:
            yield NamespaceTransaction(txn, self._claim)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        with self.whole.transaction() as txn:
            yield NamespaceTransaction(txn, self._claim)

    def codec_for_writing(self, txn: Transaction) -> Codec:
        return self._wrapped(self.whole.codec_for_writing(_inner(txn)))

    def check_unclaimed(self, txn: Transaction, key: bytes) -> None:
        """Nothing: the namespace has all keys that it can name."""

    def check_all_unclaimed(self, txn: Transaction, keys: Iterable[bytes]) -> None:
        """Nothing, as `check_unclaimed`."""

    def check_writable(self) -> None:
        self.whole.check_writable()


def _inner(txn: Transaction) -> Transaction:
    return txn.txn if isinstance(txn, NamespaceTransaction) else txn
