"""The layout of the metadata: a number that versions of stones which do not know it refuse."""

from stones.engine import Space, Transaction
from stones.errors import FormatMismatchError

from .unfinished import NOTE, UNFINISHED_LAYOUT, unfinished_error

LAYOUT = b"1"
"""The layout of the metadata that this version of stones writes to a store without indexes."""
LAYOUT_WITH_INDEXES = b"2"
"""The layout once a store has had an index."""
LAYOUT_WITH_STEPS = b"3"
"""The layout once a store has had compressed or encrypted values, or steps of records."""
LAYOUTS = (LAYOUT, LAYOUT_WITH_INDEXES, LAYOUT_WITH_STEPS)

_VERSION = b"version"


def read_layout(txn: Transaction) -> str:
    """The layout of a store that has metadata: "1", "2" or "3". One read."""
    return (txn.get(Space.META, _VERSION) or b"").decode("utf-8", "replace")


def check_layout(txn: Transaction) -> None:
    """Raise FormatMismatchError for a later layout, or a lost one. One read.

    Raises StoreOpenError for a store that is an unfinished copy.
    """
    layout = txn.get(Space.META, _VERSION)
    if layout == UNFINISHED_LAYOUT:
        raise unfinished_error(txn.get(Space.META, NOTE))
    if layout not in LAYOUTS:
        raise FormatMismatchError(
            f"the store has the layout {layout!r:.80}, this version of stones knows {LAYOUT!r} "
            f"to {LAYOUTS[-1]!r}: open it with the version that wrote it, or a newer one"
        )


def write_layout(txn: Transaction, number: int) -> None:
    """Note that the store needs versions of stones that know the layout `number`.

    A higher number that is there stays. Older versions refuse to open the store.
    """
    stored = txn.get(Space.META, _VERSION) or b""
    if not (stored.isdigit() and int(stored[:9]) >= number):
        txn.put(Space.META, _VERSION, b"%d" % number)


def write_layout_with_indexes(txn: Transaction) -> None:
    """Note that the store has had an index."""
    write_layout(txn, 2)
