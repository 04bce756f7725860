"""What a transaction puts: many entries in batches, and the largest value of all.

LMDB takes a whole batch in one call. A batch is a list that is complete before that call. So an
iterator of a user may read from the transaction while its entries are put.
"""

from collections.abc import Iterable, Iterator

from stones.errors import StorageError

MAX_VALUE_SIZE = (1 << 32) - 1
"""The largest value that LMDB can store, in bytes."""

_ENTRIES = 1000
_BYTES = 1 << 20


def batches(entries: Iterable[tuple[bytes, bytes]]) -> Iterator[list[tuple[bytes, bytes]]]:
    """The entries in lists of at most 1,000, and of about 1 MiB. A list is one batch already."""
    if type(entries) is list:
        yield entries
        return
    batch: list[tuple[bytes, bytes]] = []
    room = _BYTES
    for entry in entries:
        batch.append(entry)
        room -= len(entry[1])
        if room <= 0 or len(batch) == _ENTRIES:
            yield batch
            batch, room = [], _BYTES
    if batch:
        yield batch


def check_value_size(key: bytes, value: bytes, error: Exception) -> None:
    """Raise StorageError if `error` is because LMDB cannot store a value that large."""
    if len(value) > MAX_VALUE_SIZE:
        raise StorageError(
            f"an encoded value has less than 4 GiB, the value of {key!r} has {len(value):,} bytes: "
            "split it, or keep it in a file of its own"
        ) from error
