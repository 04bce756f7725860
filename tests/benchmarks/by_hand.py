"""The floor of a collection: py-lmdb and msgpack, as a program uses them that needs no library.

Records are in one named database, and the entries of the indexes in another as plain bytes. An
entry is a letter for the index, the value and the key. Its order is the order of the values.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from struct import Struct
from typing import Any

import lmdb
from msgpack import packb, unpackb
from users import User, dump, load

EMAIL, SCORE, CITY = b"e", b"s", b"c"

pack_score = Struct(">d").pack
"""The bytes of floats from zero on sort as the floats do."""
SCORE_SIZE = 9


class ByHand:
    def __init__(self, path: Path, *, has_indexes: bool = False) -> None:
        self.env = lmdb.open(str(path), map_size=1 << 40, max_dbs=2)
        self.records = self.env.open_db(b"records")
        self.entries = self.env.open_db(b"entries")
        self.has_indexes = has_indexes

    def clear(self) -> None:
        with self.env.begin(write=True) as txn:
            txn.drop(self.records, delete=False)
            txn.drop(self.entries, delete=False)

    def add_many(self, users: Iterable[User]) -> None:
        """In one transaction.

        `putmulti` would be a sixth faster without indexes. With indexes it would be slower, for the
        list of entries that it needs.
        """
        records, entries, has_indexes = self.records, self.entries, self.has_indexes
        with self.env.begin(write=True) as txn:
            for user in users:
                key = user.id.encode()
                txn.put(key, packb(dump(user)), overwrite=False, db=records)
                if has_indexes:
                    txn.put(EMAIL + user.email.encode(), key, overwrite=False, db=entries)
                    txn.put(SCORE + pack_score(user.score) + key, b"", db=entries)
                    city = user.address.city.encode()
                    txn.put(CITY + city + b"\0" + key, b"", db=entries)

    # -- scans -----------------------------------------------------------------------------------

    def matches(self, test: Callable[[dict[str, Any]], bool]) -> Iterator[dict[str, Any]]:
        with self.env.begin() as txn:
            for raw in txn.cursor(self.records).iternext(keys=False, values=True):
                fields = unpackb(raw)
                if test(fields):
                    yield fields

    def count_matches(self, test: Callable[[dict[str, Any]], bool]) -> int:
        count = 0
        with self.env.begin() as txn:
            for raw in txn.cursor(self.records).iternext(keys=False, values=True):
                if test(unpackb(raw)):
                    count += 1
        return count

    # -- by key and by index ---------------------------------------------------------------------

    def get(self, key: str) -> User:
        with self.env.begin() as txn:
            return load(unpackb(txn.get(key.encode(), db=self.records)))

    def get_by_email(self, email: str) -> User:
        with self.env.begin() as txn:
            key = txn.get(EMAIL + email.encode(), db=self.entries)
            return load(unpackb(txn.get(key, db=self.records)))

    def in_city(self, city: str) -> Iterator[User]:
        prefix = CITY + city.encode() + b"\0"
        with self.env.begin() as txn:
            keys = self.keys_with(txn, prefix)  # in the order of the keys already
            for _, raw in txn.cursor(self.records).getmulti(keys):
                yield load(unpackb(raw))

    def count_in_city(self, city: str) -> int:
        prefix, count = CITY + city.encode() + b"\0", 0
        with self.env.begin() as txn:
            cursor = txn.cursor(self.entries)
            cursor.set_range(prefix)
            for entry in cursor.iternext(keys=True, values=False):
                if not entry.startswith(prefix):
                    break
                count += 1
        return count

    def keys_with(self, txn: lmdb.Transaction, prefix: bytes) -> list[bytes]:
        cursor, size, keys = txn.cursor(self.entries), len(prefix), []
        cursor.set_range(prefix)
        for entry in cursor.iternext(keys=True, values=False):
            if not entry.startswith(prefix):
                break
            keys.append(entry[size:])
        return keys

    def with_scores(self, low: float, high: float) -> Iterator[User]:
        """Those from `low` up to `high`, without `high`, in the order of their keys."""
        stop = SCORE + pack_score(high)
        with self.env.begin() as txn:
            cursor, keys = txn.cursor(self.entries), []
            cursor.set_range(SCORE + pack_score(low))
            for entry in cursor.iternext(keys=True, values=False):
                if entry >= stop:
                    break
                keys.append(entry[SCORE_SIZE:])
            keys.sort()
            for _, raw in txn.cursor(self.records).getmulti(keys):
                yield load(unpackb(raw))

    def lowest_scores(self, count: int) -> Iterator[User]:
        with self.env.begin() as txn:
            cursor, keys = txn.cursor(self.entries), []
            cursor.set_range(SCORE)
            for entry in cursor.iternext(keys=True, values=False):
                keys.append(entry[SCORE_SIZE:])
                if len(keys) == count:
                    break
            for key in keys:  # `getmulti` would be slower for a few
                yield load(unpackb(txn.get(key, db=self.records)))
