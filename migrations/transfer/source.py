"""The store that is copied: its states, its formats, its counts."""

from collections.abc import Iterator
from contextlib import contextmanager

from attrs import frozen

from stones.engine import Engine, Page, Space, Transaction
from stones.engines.compared_states import ComparedStates, KeySpan
from stones.engines.frozen_copies import FrozenCopies
from stones.errors import FormatMismatchError, UnsupportedError
from stones.formats.dictionaries import PREFIX as DICTIONARIES
from stones.formats.generation import GENERATION
from stones.formats.metadata import read_metadata
from stones.formats.stones03_codec import Stones03Codec, metadata_from_stones03
from stones.formats.unfinished import NOTE
from stones.stores.claims import COUNTS
from stones.stores.database import Database
from stones.stores.transactions import begin_writing
from stones.stores.whole_file import metadata_entries

FORMATS = (b"version", GENERATION, b"formats")
"""The keys in the metadata that say how values are written. A copy gets them at its end."""


class CopySource:
    """The store that is copied."""

    def __init__(self, database: Database) -> None:
        """Raises StoreOpenError for an unfinished copy, FormatMismatchError for a later layout."""
        self.database = database
        self.engine: Engine = database.engine
        self._prefix, self._formats = b"", None
        if database.is_stones03:
            self._prefix, self._formats = _stones03(database)
        else:
            self.engine.read(read_metadata)

    @property
    def is_stones03(self) -> bool:
        """Whether it is a database of stones 0.3, whose values get a format byte in the copy."""
        return self._formats is not None

    def total(self) -> int:
        """How many entries it has, those of indexes included."""
        return self.engine.read(lambda txn: txn.count(Space.DATA) + txn.count(Space.INDEX))

    def changed_spans(self, old: Transaction, new: Transaction, space: Space) -> Iterator[KeySpan]:
        """The spans of keys in which two states may differ."""
        spans = None
        if isinstance(self.engine, ComparedStates):
            spans = self.engine.changed_spans(old, new, space)
        return iter([(b"", None)]) if spans is None else spans

    def pages(
        self, txn: Transaction, space: Space, span: KeySpan, *, encoded_anew: bool
    ) -> Iterator[Page]:
        """The entries of a span of keys of a space, as the copy is to have them.

        Without the formats and counts, which are set at the end of a copy. If values
        are `encoded_anew`, those of stones 0.3 get no format byte here, and the dictionaries for
        compressed values are left out too.
        """
        pages = txn.pages(space, *span)
        if space is Space.META:
            return without_own(pages, encoded_anew=encoded_anew)
        if space is Space.DATA and self._prefix and not encoded_anew:
            prefix = self._prefix
            return ((keys, [prefix + raw for raw in values]) for keys, values in pages)
        return pages

    def formats(self, txn: Transaction) -> dict[bytes, bytes]:
        """The metadata of the formats, as this transaction sees it."""
        if self._formats is not None:
            return self._formats
        found = zip(FORMATS, txn.get_many(Space.META, FORMATS), strict=True)
        return {key: raw for key, raw in found if raw is not None}

    @contextmanager
    def one_state(self) -> Iterator[Transaction]:
        """A read transaction whose state does not change, however long it is read.

        An engine without snapshots has a copy on its server in their place. Another engine lets
        writers wait.
        """
        engine = self.engine
        if not engine.supports.snapshots and isinstance(engine, FrozenCopies):
            with engine.frozen() as txn:
                yield txn
            return
        if engine.supports.snapshots:
            txn = engine.begin()
        elif engine.supports.conflicts:
            raise UnsupportedError(
                f"{self.database.name!r} cannot be copied: its engine has no snapshots, and does "
                "not let writers wait; update() another store with it while no program writes"
            )
        else:
            txn = begin_writing(engine, self.database.timeout)
        try:
            yield txn
        finally:
            txn.abort()


@frozen
class Counts:
    """The sums of a state: how many records the collections have."""

    sums: dict[bytes, int]

    @classmethod
    def read(cls, txn: Transaction) -> "Counts":
        """The sums that this transaction sees. Raises CorruptValueError for a damaged one."""
        keys = {*txn.keys(Space.META, *COUNTS), *(key for key, _ in txn.sums())}
        return cls({key: txn.sum(key) for key in sorted(keys)})

    def write(self, txn: Transaction) -> None:
        """Let the store of this write transaction have these sums and no others."""
        keys = {*txn.keys(Space.META, *COUNTS), *(key for key, _ in txn.sums())}
        for key in keys:
            txn.drop_sum(key)
        for key, number in self.sums.items():
            txn.add(key, number)


def is_own(key: bytes) -> bool:
    """Whether a key in the metadata is of the formats, the counts, or the note of a copy."""
    return key in _OWN or COUNTS[0] <= key < COUNTS[1]


def without_own(pages: Iterator[Page], *, encoded_anew: bool) -> Iterator[Page]:
    """Pages of the metadata, without the formats, the counts and the note.

    The dictionaries belong to the formats if values are `encoded_anew`.
    """
    for keys, values in pages:
        kept = [
            (key, raw)
            for key, raw in zip(keys, values, strict=True)
            if not (is_own(key) or (encoded_anew and key.startswith(DICTIONARIES)))
        ]
        yield [key for key, _ in kept], [raw for _, raw in kept]


_OWN = {*FORMATS, NOTE}


def _stones03(database: Database) -> tuple[bytes, dict[bytes, bytes]]:
    codec = getattr(database, "codec", None)
    if not isinstance(codec, Stones03Codec):
        raise FormatMismatchError(
            f"{database.name!r} is a database of stones 0.3, or of another program, which does not "
            "note its serializer: open it with serialize=, and give copy() the open store "
            "(`stones copy`: with --from)"
        )
    metadata = metadata_from_stones03(codec)
    return bytes([metadata.write.id]), metadata_entries(metadata)
