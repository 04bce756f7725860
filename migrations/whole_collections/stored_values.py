"""A stored value under another key: its bytes as they are, wherever that is possible."""

from collections.abc import Callable, Iterator
from typing import Literal

from stones.engine import Transaction
from stones.formats.codec import Codec
from stones.formats.registered_types import unknown_types_kept
from stones.formats.serializers import SAFE
from stones.stores.database_reader import DATA
from stones.stores.spans import Span

BATCH_ENTRIES = 1000
"""At most so many entries are read before they are written."""
BATCH_BYTES = 4_000_000
"""About so many bytes of values are read before they are written."""


def mover(codec: Codec) -> Callable[[bytes, bytes, bytes], bytes]:
    """The function that gives the stored bytes for a new key: of the old key, of it, of the bytes.

    A value that is in the format of new values of its key stays as it is. If it has a checksum or
    is encrypted, it is wrapped anew, because the key is a part of that. Any other value is decoded
    and encoded. The function raises CorruptValueError for a value whose checksum is wrong.
    """
    plain = -1 if codec.metadata.rules else codec.id
    keeps: Literal["all"] | None = "all" if codec.metadata.write.serializer in SAFE else None

    def moved(old: bytes, new: bytes, raw: bytes) -> bytes:
        if raw and raw[0] == plain:
            return raw
        if codec.is_current(new, raw):
            unwrapped = codec.unwrap(old, raw)
            return codec.wrap(new, unwrapped) if codec.binds_key(raw) else raw
        with unknown_types_kept(keeps):  # a type need not be known here
            return codec.encode(new, codec.decode(old, raw))

    return moved


def entry_batches(txn: Transaction, span: Span) -> Iterator[list[tuple[bytes, bytes]]]:
    """The entries in a span, some at a time: the transaction may be written to in between."""
    start = span.start
    while True:
        batch: list[tuple[bytes, bytes]] = []
        size = 0
        for entry in txn.scan(DATA, start, span.stop):
            batch.append(entry)
            size += len(entry[1])
            if len(batch) == BATCH_ENTRIES or size > BATCH_BYTES:
                break
        if not batch:
            return
        yield batch
        start = batch[-1][0] + b"\0"
