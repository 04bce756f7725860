"""A stored value under another key: its bytes as they are, wherever that is possible."""

from collections.abc import Callable, Iterator

from stones.engine import Transaction
from stones.formats.codec import Codec
from stones.stores.database_reader import DATA
from stones.stores.spans import Span

BATCH_ENTRIES = 1000
"""At most so many entries are read before they are written."""
BATCH_BYTES = 4_000_000
"""About so many bytes of values are read before they are written."""


def mover(codec: Codec) -> Callable[[bytes, bytes, bytes], bytes]:
    """The function that gives the stored bytes for a new key: of the old key, of it, of the bytes.

    A value without a checksum stays as it is. A checksum is of the key too, so it is made anew. The
    value is decoded and encoded only where its format is not the format of new values. The function
    raises CorruptValueError for a value whose checksum is wrong.
    """
    plain, prefix = codec.id, codec.prefix
    unwrap, wrap = codec.unwrap, codec.wrap

    def moved(old: bytes, new: bytes, raw: bytes) -> bytes:
        if raw and raw[0] == plain:
            return raw
        unwrapped = unwrap(old, raw)
        if raw[:1] == prefix:
            return wrap(new, unwrapped)
        if not codec.has_checksum(raw):
            return raw
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
