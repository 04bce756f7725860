"""The generation of the metadata of a store: it changes with each change of the formats."""

import os

from stones.engine import Space, Transaction

GENERATION = b"generation"
"""The key of the generation in `Space.META`."""


def read_generation(txn: Transaction) -> bytes | None:
    """The generation of the metadata, or None if there is no metadata. One read."""
    return txn.get(Space.META, GENERATION)


def next_generation(txn: Transaction) -> None:
    """Change the generation, so that every user of the store reads the metadata again.

    They read it in their next write transaction.
    """
    head = (read_generation(txn) or b"0").partition(b"-")[0]
    count = int(head) + 1 if head.isdigit() and len(head) < 20 else 1
    # Without the random part two changes could have the same number: if a transaction reads its
    # own change and is rolled back, the next change counts from the same number.
    txn.put(Space.META, b"generation", b"%d-%s" % (count, os.urandom(6).hex().encode()))
