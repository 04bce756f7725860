"""The store that is written: the note of an unfinished copy, batches of changes, and the end."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import TypeVar

from stones.engine import Engine, Page, Space, Transaction
from stones.engines.memory import MemoryEngine
from stones.errors import (
    EncryptionKeyError,
    FormatMismatchError,
    MigrationError,
    StorageError,
    UnexpectedError,
)
from stones.formats.codec import Codec
from stones.formats.generation import GENERATION, next_generation
from stones.formats.layout import LAYOUT
from stones.formats.metadata import Metadata, has_collections, read_metadata
from stones.formats.request import FormatRequest
from stones.formats.unfinished import NOTE, UNFINISHED_LAYOUT, UnfinishedCopy
from stones.stores.database import Database
from stones.stores.whole_file import metadata_entries

from .places import is_open
from .source import Counts, is_own, without_own

T = TypeVar("T")

META = Space.META


class CopyTarget:
    """The store that is written."""

    def __init__(self, database: Database) -> None:
        database.check_writable()
        self.database = database
        self.engine: Engine = database.engine
        self._note: UnfinishedCopy | None = None

    @property
    def is_in_memory(self) -> bool:
        """Whether the engine has all entries in memory, as an engine that writes whole files."""
        return isinstance(self.engine, MemoryEngine)

    # -- the beginning and the end -----------------------------------------------------------------

    def found(self) -> UnfinishedCopy | None:
        """The note of an unfinished copy that is in the store already.

        None if no `lock` came after the note: programs may have opened the store since, and what
        they have written is not of the copy.
        """

        def look(txn: Transaction) -> UnfinishedCopy | None:
            is_locked = txn.get(META, b"version") == UNFINISHED_LAYOUT
            return UnfinishedCopy.read(txn) if is_locked else None

        return self.engine.read(look)

    def has_note_of(self, source: Engine) -> bool:
        """Whether the source has the note that `claim` has written: it is the same store then."""
        return source.read(UnfinishedCopy.read) == self._note

    def is_empty(self) -> bool:
        """Whether it has no entry, no collection and no namespace."""
        return self.engine.read(_is_empty)

    def claim(self, source: str, codec: Codec | None) -> None:
        """Note that it is an unfinished copy of `source`. An earlier run of the same copy stops.

        `codec` encodes the values anew. Programs open the store until `lock`.
        """

        entries = {} if codec is None else metadata_entries(codec.metadata)
        if codec is not None and codec.metadata.generation:
            entries[GENERATION] = codec.metadata.generation
        formats = {key.decode(): raw.decode("latin-1") for key, raw in entries.items()}
        note = UnfinishedCopy.new(source, formats or None)

        def change(txn: Transaction) -> None:
            txn.put(META, NOTE, note.dumped())

        self._transact(change)
        self._note = note

    def lock(self) -> None:
        """Let no program open it until the copy is finished."""

        def change(txn: Transaction) -> None:
            txn.put(META, b"version", UNFINISHED_LAYOUT)
            txn.delete(META, b"formats")
            next_generation(txn)

        self.write(change)

    def release(self) -> None:
        """Take the note back, before `lock`."""
        self.write(lambda txn: txn.delete(META, NOTE))

    def finish(self, formats: Mapping[bytes, bytes], counts: Counts) -> None:
        """Write the counts and formats, and take the note back: it is a store then."""
        note = self._note

        def change(txn: Transaction) -> None:
            counts.write(txn)
            if note is None or note.formats is None:
                for key, raw in formats.items():
                    txn.put(META, key, raw)
            else:
                for name, text in note.formats.items():
                    txn.put(META, name.encode(), text.encode("latin-1"))
                own = note.formats["version"].encode()
                txn.put(META, b"version", max(own, formats.get(b"version", LAYOUT)))
                if has_collections(txn):
                    next_generation(txn)
            txn.delete(META, NOTE)

        self.write(change)
        if is_open(self.database):
            with suppress(FormatMismatchError):  # it has no functions for the values: use tells it
                self.database.write(self.database.reload)

    # -- reading and writing -----------------------------------------------------------------------

    def pages(
        self, txn: Transaction, space: Space, start: bytes, *, encoded_anew: bool
    ) -> Iterator[Page]:
        """The entries of a space, from the key `start` on, without what `finish` writes."""
        pages = txn.pages(space, start)
        return without_own(pages, encoded_anew=encoded_anew) if space is META else pages

    def put(self, space: Space, puts: list[tuple[bytes, bytes]], deletes: list[bytes]) -> None:
        """Write and remove entries of a space, in a transaction."""

        def change(txn: Transaction) -> None:
            if deletes:
                txn.delete_many(space, deletes)
            if puts:
                txn.put_many(space, puts)

        self.write(change)

    def verify(self, space: Space, puts: list[tuple[bytes, bytes]], deletes: list[bytes]) -> None:
        """Read back what was written. Raises StorageError if the engine gives back other bytes."""
        wanted = {**dict.fromkeys(deletes), **dict(puts)}
        keys = list(wanted)
        found = self.engine.read(lambda txn: txn.get_many(space, keys))
        for key, raw in zip(keys, found, strict=True):
            if raw != wanted[key]:
                raise StorageError(
                    f"{self.database.name!r} gives back another value of {key!r:.200} than was "
                    "written: the copy is not finished; look at the disk, and copy again"
                )

    def write(self, change: Callable[[Transaction], T]) -> T:
        """What `change` returns, in a transaction, if this run still has the note."""
        assert self._note is not None
        note = self._note.dumped()

        def checked(txn: Transaction) -> T:
            txn.expect(META, NOTE, note)
            return change(txn)

        try:
            return self._transact(checked)
        except UnexpectedError as error:
            raise MigrationError(
                f"another copy to {self.database.name!r} has begun or ended: this one stops here, "
                "and writes nothing more"
            ) from error

    def _transact(self, change: Callable[[Transaction], T]) -> T:
        timeout = self.database.timeout
        if timeout is None:  # an engine without timeouts may not know the argument
            return self.engine.transact(change)
        return self.engine.transact(change, timeout=timeout)

    # -- values that are encoded anew --------------------------------------------------------------

    def own_codec(self, request: FormatRequest) -> Codec | None:
        """The codec of the target's own format, by the note of an unfinished copy.

        Raises EncryptionKeyError if the request lacks a key of that format.
        """
        note = self.found()
        metadata = None if note is None else noted_metadata(note)
        if metadata is None:
            return None
        try:
            request.check_keys(metadata, repr(self.database.name))
        except EncryptionKeyError as error:
            raise EncryptionKeyError(f"{error}; give the key to copy() by keys=") from error
        return Codec(metadata, request)


def noted_metadata(note: UnfinishedCopy) -> Metadata | None:
    """The metadata of the own format of an unfinished copy. None if it has that of its source."""
    if note.formats is None:
        return None
    txn = MemoryEngine().begin(write=True)
    for name, raw in note.formats.items():
        txn.put(META, name.encode(), raw.encode("latin-1"))
    return read_metadata(txn)


def _is_empty(txn: Transaction) -> bool:
    if any(True for space in (Space.DATA, Space.INDEX) for _ in txn.keys(space)):
        return False
    return all(is_own(key) for key in txn.keys(META)) and not any(True for _ in txn.sums())
