"""Reads the records with some keys, decodes them and tests them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from stones.collections.stored_records import StoredRecords
from stones.engine import Space, Transaction
from stones.errors import StoneError

from .usable_indexes import usable_indexes


def fetch(
    records: StoredRecords[Any, Any],
    txn: Transaction,
    keys: Sequence[bytes],
    test: Callable[[Any], Any] = lambda _: True,
) -> Iterator[tuple[bytes, Any]]:
    """Those of the stored `keys` that have a record which passes a test, with their dicts.

    In the order of the keys. All are read when the first is asked for, and each is decoded when it
    is asked for. The dicts are as a query sees them.
    """
    return fetch_batches(records, txn, (keys,), test)


def fetch_batches(
    records: StoredRecords[Any, Any],
    txn: Transaction,
    batches: Iterable[Sequence[bytes]],
    test: Callable[[Any], Any],
) -> Iterator[tuple[bytes, Any]]:
    """The same for batches of keys, each read when its first record is asked for.

    One generator for all: one more around it would take 2 % of the time of an indexed query.
    """
    reader = usable_indexes(records, txn).reader  # which remembers it
    if reader.upgrades is not None:
        for keys in batches:
            for key, value in reader.upgrades.many(keys):
                if test(value):
                    yield key, value
        return
    codec, decode = reader.codec, reader.decode
    # The common case in line: the format of new values, and nothing to complete.
    id, loads = (-1 if reader.description.varies else codec.id), codec.loads
    for keys in batches:
        for key, raw in zip(keys, txn.get_many(Space.DATA, keys), strict=True):
            if raw is None:
                continue
            try:
                value = loads(raw[1:]) if raw and raw[0] == id else decode(key, raw)
            except (MemoryError, StoneError):
                raise
            except Exception:  # noqa: BLE001  # it is damaged, or has a part of an unknown type
                value = decode(key, raw)
            if test(value):
                yield key, value
