"""Reads the records with some keys, decodes them and tests them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from stones.collections.stored_records import StoredRecords
from stones.engine import Space, Transaction
from stones.errors import StoneError


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
    reader = records.reader_at(txn)
    codec, decode = reader.codec, reader.decode
    # The common case in line: the format of new values, and nothing to complete.
    id, loads = (-1 if reader.description.varies else codec.id), codec.loads
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
