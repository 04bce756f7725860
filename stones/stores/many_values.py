"""Writes many values of the dict face in one transaction: encoded one by one, put in batches."""

from collections.abc import Iterable
from operator import itemgetter
from typing import Any

from stones.engine import Transaction
from stones.errors import SerializerError
from stones.formats.messages import show_key

from .database import Database
from .database_reader import DATA
from .dict_keys import encode_new_key

BATCH_BYTES = 1 << 20
"""When a batch is full: the bytes of its encoded values, and `_ENTRY_BYTES` for each entry.

So a batch has about 1,000 small values. Their claims are looked up at once.
"""
_ENTRY_BYTES = 1000


def put_values(
    database: Database, txn: Transaction, entries: Iterable[tuple[Any, Any]], batch_bytes: int
) -> None:
    """Set the value of each key, in constant memory. A batch is put when it has `batch_bytes`.

    With 0, each entry is put before the next one is asked for. Raises SerializerError with the key,
    KeyTypeError, InvalidKeyError, KeyTooLongError and ReservedKeyError. Then some entries are put.
    """
    max_key_size = database.max_key_size
    encode = database.codec.encoder()
    batch: list[tuple[bytes, bytes]] = []
    room = batch_bytes
    for key, value in entries:
        stored = (
            key
            if type(key) is bytes and 0 < len(key) <= max_key_size
            else encode_new_key(key, max_key_size)
        )
        try:
            raw = encode(stored, value)
        except SerializerError as error:
            raise SerializerError(f"the value of {show_key(key)}: {error}") from error
        batch.append((stored, raw))
        room -= len(raw) + _ENTRY_BYTES
        if room <= 0:
            _put(database, txn, batch)
            batch = []
            room = batch_bytes
    _put(database, txn, batch)


def _put(database: Database, txn: Transaction, batch: list[tuple[bytes, bytes]]) -> None:
    """Put a batch, unless a key belongs to a collection."""
    # Only now: the iterator that the entries are from may have made a collection.
    database.check_all_unclaimed(txn, map(itemgetter(0), batch))
    if len(batch) == 1:  # the usual case inside a transaction
        txn.put(DATA, *batch[0])
    else:
        txn.put_many(DATA, batch)
