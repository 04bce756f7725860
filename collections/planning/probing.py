"""Which of several ways to find the records of a query is the shortest: ask the indexes themselves.

The first keys that each way finds are counted, first a few, then more. The way that ends first
wins, and its count is exact. So nothing has to be known about the values beforehand, and nothing
that is known gets stale. The keys that were read for it are not read again.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Final

from stones.engine import Transaction

from .index_reading import AccessReader
from .plan import Candidate

FIRST_ROUND: Final = 128
"""So many keys of each candidate are read at first. They are few in any collection."""
NEXT_ROUNDS: Final = (1_024, 8_192, 16_384, 32_768)
"""Then up to so many, and then up to a third of all records.

To read on to 100,000 keys takes 80 ms. A query that wants few records needs no more than 16,384 to
know that they are soon met without an index, in a million records.
"""
MOST_KEYS: Final = 100_000
"""What finds more keys than these is no better than reading all records."""


class CandidateReader:
    """The keys of the records that a candidate finds, read bit by bit."""

    def __init__(self, txn: Transaction, candidate: Candidate, prefix: bytes) -> None:
        self.candidate = candidate
        self._sides = [
            [AccessReader(txn, access, prefix) for access in side] for side in candidate.sides
        ]
        self.chosen: list[AccessReader] = []
        """The best way for each side, once all sides have ended."""

    @property
    def count(self) -> int:
        """How many keys were found. A key that several sides find counts several times."""
        return sum(min(reader.count for reader in side) for side in self._sides)

    @property
    def entries(self) -> int:
        """How many entries were read."""
        return sum(reader.entries for side in self._sides for reader in side)

    def read(self, limit: int) -> bool:
        """Read until there are more than `limit` keys, or until the end. Is that the end?"""
        total = 0
        chosen = []
        for side in self._sides:
            ended = [reader for reader in side if reader.read(limit - total)]
            if not ended:
                return False
            best = min(ended, key=lambda reader: reader.count)
            total += best.count
            if total > limit:
                return False
            chosen.append(best)
        self.chosen = chosen
        return True

    def found_text(self) -> str:
        """How many keys were found, in words."""
        has_ended = bool(self.chosen)
        return f"{self.count:,} keys" if has_ended else f"at least {self.count:,} keys"

    def clear_keys(self) -> Iterator[bytes]:
        """The keys whose entries show that the record fulfils what is used. Some may be twice."""
        return chain.from_iterable(reader.clear for reader in self.chosen)

    def unclear_keys(self) -> Iterator[bytes]:
        """The keys whose records tell whether they fulfil it. Some may be twice, or be clear."""
        return chain.from_iterable(reader.unclear for reader in self.chosen)

    def answers(self, conjuncts: int) -> bool:
        """Whether `clear_keys` are of records that fulfil all of so many conjuncts."""
        return len(self.candidate.used) == conjuncts and all(
            reader.access.complete for reader in self.chosen
        )

    def has(self, wanted: int, conjuncts: int) -> bool:
        """Whether so many records fulfil the conjuncts. Few entries are read for it."""
        only = self._only_index(conjuncts)
        if only is None or wanted > FIRST_ROUND:
            return False
        only.read(wanted)
        if len(only.clear) < wanted:
            return False
        self.chosen = [only]
        return True

    def counts_alone(self, conjuncts: int) -> bool:
        """Whether the number of entries is the number of records that fulfil the conjuncts.

        Then the entries were counted, and `count` is that number. No key was taken from them.
        """
        only = self._only_index(conjuncts)
        if only is None or not only.count_entries():
            return False
        self.chosen = [only]
        return True

    def _only_index(self, conjuncts: int) -> AccessReader | None:
        """The reader of the only index, if its keys come once, and answer so many conjuncts."""
        (first, *other_ways), *others = self._sides
        index = first.access.index
        if other_ways or others or index is None or index.definition.each:
            return None
        is_complete = first.access.complete and len(self.candidate.used) == conjuncts
        return first if is_complete else None

    @property
    def may_repeat(self) -> bool:
        """Whether a key may come twice."""
        if len(self.chosen) != 1:
            return True
        index = self.chosen[0].access.index
        return index is not None and index.definition.each


def most_keys(records: int) -> int:
    """More keys than these are no better than reading all of so many records.

    >>> most_keys(100), most_keys(9_000), most_keys(3_000_000)
    (128, 3000, 100000)
    """
    return min(max(records // 3, FIRST_ROUND), MOST_KEYS)


def shortest(
    readers: Sequence[CandidateReader], records: Callable[[], int], wanted: int | None = None
) -> CandidateReader | None:
    """The candidate that finds the fewest keys. None if all of them find too many.

    Of several with the same number it is the first. All keys of the winner are read. `records`
    gives the number of all records. `wanted` is how many of the records are wanted, whichever they
    are: if many match, so many are soon met without an index.
    """
    for limit in _rounds(records) if readers else ():
        best: CandidateReader | None = None
        for reader in readers:
            # What finds more keys than one that has ended need not be read to its end.
            if reader.read(limit if best is None else best.count) and (
                best is None or reader.count < best.count
            ):
                best = reader
        if best is not None:
            return best
        if wanted is not None and wanted * records() * _READS_A_RECORD < limit * limit:
            return None
    return None


def _rounds(records: Callable[[], int]) -> Iterator[int]:
    """How many keys are read in each round."""
    yield FIRST_ROUND
    most = most_keys(records())
    yield from (limit for limit in NEXT_ROUNDS if limit < most)
    if most > FIRST_ROUND:
        yield most


# To test a record in a scan takes as long as to read a few keys.
_READS_A_RECORD = 4
