"""`salvage`: writes everything that can be read of a damaged store into a new one.

The file is read page by page without LMDB (`stones.engines.lmdb.file.survey`). A wrong entry is
worse than a missing one. So an entry that may be an old copy, or may belong to another place, is
left out and reported.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import partial
from typing import Any

from attrs import evolve, frozen

from stones.collections.indexes.definition import DROPPED, ID_KEY, INDEXES
from stones.engine import Space, Transaction
from stones.engines.lmdb.databases import SPACES
from stones.engines.lmdb.directory import check_place
from stones.engines.lmdb.engine import LmdbEngine
from stones.engines.lmdb.file.pages import DamageError, File, Meta
from stones.engines.lmdb.file.survey import MAIN, OrphanLeaf, Survey, describe_span, tree_title
from stones.engines.lmdb.new_directory import new_directory
from stones.errors import FormatMismatchError, StorageError, StoreOpenError
from stones.formats.checksums import CHECKSUM_BIT
from stones.formats.encryption_keys import Encrypt
from stones.formats.metadata import IDS, Format, Metadata, new_metadata, write_formats
from stones.formats.request import FormatRequest
from stones.formats.stones03_codec import Stones03Codec, check_table, metadata_from_stones03
from stones.migrations.progress import Progress, ProgressCounter
from stones.stores.existing import required_lmdb_path

from .check import MOST_FINDINGS
from .contents import COUNT, keys_only, parse_metadata, stones03_metadata
from .file_check import open_file, stable_metas
from .file_entries import DATA, META, finding_of, is_stones03, walk_entries
from .findings import DamageFinding
from .index_check import IndexReport
from .salvaged_indexes import build_indexes

_BATCH_ENTRIES, _BATCH_SIZE = 10_000, 1 << 24

_Entry = tuple[bytes, bytes, bool]
"""A key, its stored value, and whether the entry is from an orphan leaf."""


@frozen
class SalvageReport:
    """The result of `salvage`.

    >>> from stones import LmdbStore, salvage, stone
    >>> with stone('old', LmdbStore, serialize='json') as store:
    ...     store['key'] = 'value'
    >>> report = salvage('old', 'new')
    >>> report.entries, report.unread, report.stray, report.lost, report.more
    (1, 0, 0, (), 0)
    >>> report.whole
    True
    """

    path: str
    """The path of the damaged store, as it was given."""
    new: str
    """The path of the new store, as it was given."""
    entries: int
    """How many entries are in the new store."""
    unread: int
    """How many of the entries were copied though their values could not be decoded.

    Their values are pickles, and pickles are not trusted, or their serializer is not known, or they
    are encrypted, and no key was given.
    """
    stray: int
    """How many of the entries were found on pages that no other page leads to.

    The page that led to them was lost.
    """
    lost: tuple[DamageFinding, ...]
    """The damage, and what is not in the new store for that reason. At most 10,000 findings."""
    more: int
    """How many findings there are beyond the first 10,000."""
    indexes: tuple[IndexReport, ...] = ()
    """The indexes of the new store. Their entries were made from the records that were saved.

    An index of pickled records, which are not trusted, is left `building`.
    """

    @property
    def whole(self) -> bool:
        """Whether nothing was lost: the store was sound."""
        return not self.lost


def salvage(
    path: str | bytes | os.PathLike[str] | os.PathLike[bytes],
    new: str | bytes | os.PathLike[str] | os.PathLike[bytes],
    *,
    trust_pickle: bool = False,
    serialize: str | None = None,
    dump_load: tuple[Callable[[Any], bytes], Callable[[bytes], Any]] | tuple[()] = (),
    encrypt: Encrypt = None,
    table: bytes | None = None,
    progress: Progress | None = None,
) -> SalvageReport:
    """Write everything that can be read of the LMDB store at `path` into a new store at `new`.

    No program may write to `path` until this returns. `path` is not changed. `new` does not exist
    yet, or is an empty directory. When this returns, the new store is complete and on the disk. If
    this raises, there is no new store.

    A value that cannot be decoded is left out and reported. Pickled values are copied as they are;
    with `trust_pickle` they are decoded too, which can run code. The collections are counted again,
    and their indexes are built again. If two records have the same values in a unique index, the
    index fails, and that is reported. `encrypt` is the key of an encrypted store, or the newest key
    and older ones. Without it such values are copied as they are.
    For a store that was written by a pair of functions, pass them as `dump_load`. For a database of
    stones 0.3, `serialize` names its serializer, and `table` its table if the values are in one.
    The new store then is a store of today. `progress` is called with the entries that were read and
    about all of them.

    Raises StoreOpenError if nothing can be read or `new` is in the way, FormatMismatchError for a
    store of a later version, StorageError if another program writes to the file or the new store
    cannot be written. Raises UnsupportedError for a store that is not on LMDB.

    >>> from stones import LmdbStore, salvage, stone
    >>> with stone('damaged-db', LmdbStore, serialize='json') as store:
    ...     store.update(good='good value', bad='bad value')
    >>> with open('damaged-db/data.mdb', 'r+b') as file:
    ...     position = file.seek(file.read().rindex(b'"bad value"'))
    ...     written = file.write(b"'")
    >>> report = salvage('damaged-db', 'new-db')
    >>> report.whole, report.entries, report.lost[0].key
    (False, 1, b'bad')
    >>> dict(stone('new-db', LmdbStore))
    {b'good': 'good value'}
    """
    request = keys_only(serialize, dump_load, trust_pickle, encrypt)
    check_table(table)
    given = required_lmdb_path(
        path,
        "salvage reads the pages of an LMDB file",
        "check with repair=True mends counts and indexes, and a backup copies the entries",
    )
    target = required_lmdb_path(new, "salvage writes an LMDB store", "name a new directory")
    place = os.path.abspath(given)
    check_place(place, create=False)
    with closing(open_file(place)) as file:
        before = file.stamp()
        try:
            with new_directory(target) as made:
                work = _Salvage(file, request, given, table)
                work.write(made, progress)
                if file.stamp() != before:
                    raise StorageError(
                        f"{given!r} has been written during the salvage: stop the programs that "
                        "use it, and salvage again"
                    )
        except DamageError as error:
            raise StorageError(f"cannot salvage {given!r}: {error}") from error
    kept, more = work.lost[:MOST_FINDINGS], work.lost[MOST_FINDINGS:]
    return SalvageReport(
        path=given,
        new=target,
        entries=work.entries,
        unread=work.unread,
        stray=work.stray,
        lost=tuple(kept),
        more=len(more),
        indexes=work.indexes,
    )


class _Salvage:
    """One salvage: it chooses a state of the file, reads it, and writes the new store."""

    def __init__(self, file: File, request: FormatRequest, path: str, table: bytes | None) -> None:
        self._file = file
        self.lost: list[DamageFinding] = []
        self._request = request
        self.entries = self.unread = self.stray = 0
        self.indexes: tuple[IndexReport, ...] = ()
        metas, wrong = stable_metas(file)
        self.lost += map(DamageFinding, wrong)
        if not metas:
            raise StoreOpenError(f"nothing can be read of {path!r}: {wrong[0]}")
        if len(metas) == 1:
            self.lost.append(
                DamageFinding("if that was the newer meta page, the last transaction is lost")
            )
        self._survey = self._choose_state(metas)
        self._orphans: Mapping[bytes, list[OrphanLeaf]] = {}
        self._formats: Metadata | None = None
        self._prefix = b""
        self._tree = DATA
        if is_stones03(self._survey):
            if table is not None and table not in self._survey.trees:
                raise StoreOpenError(f"there is no table {table!r} in {path!r}, or it is lost")
            self._tree = table or MAIN
            self._formats = metadata_from_stones03(Stones03Codec(request))
            self._prefix = bytes([self._formats.write.id])
            self._metadata = stones03_metadata(request)
            return
        self._orphans = self._survey.orphan_leaves(SPACES)
        self._metadata = parse_metadata({key: raw for key, raw, _ in self._read(META)}, request)
        self._formats = self._metadata.formats
        self.lost += self._metadata.findings

    def write(self, path: str, progress: Progress | None = None) -> None:
        """Fill a store in the empty directory `path`."""
        walk = self._survey.walks.get(self._tree)
        counter = ProgressCounter(progress, 0 if walk is None else walk.tree.entries)
        engine = LmdbEngine.open(path, new=True)
        try:
            records = Counter[bytes | None]()
            seen = Counter[int]()
            for batch in self._batches():
                seen.update(raw[0] for _, raw, _ in batch)
                put = engine.write(partial(_put, batch))
                self.entries += len(put)
                self.stray += sum(is_orphan for _, is_orphan in put)
                records.update(self._metadata.owner(key) for key, _ in put)
                counter.add(len(batch))
            engine.write(partial(self._finish, records, seen))
            definitions = self._metadata.indexes.definitions
            if definitions:
                self.indexes, wrong = build_indexes(engine, definitions, self._request)
                self.lost += wrong
        finally:
            engine.close()

    def _choose_state(self, metas: list[Meta]) -> Survey:
        """The state of the last transaction, or the one before if the last cannot be read."""
        surveys = []
        for number, meta in enumerate(metas):
            # The number of pages never falls. If it seems to have fallen, it is damaged.
            fallen = number == 0 and len(metas) == 2 and meta.last_page < metas[1].last_page
            survey = Survey(self._file, meta, whole=fallen)
            other = survey.other_main(SPACES)
            if other is not None:
                survey = Survey(self._file, meta, main=other, whole=fallen)
            survey.distrust()
            surveys.append(survey)
        if not any(survey.free_problems for survey in surveys):
            # The numbers in the meta pages may be damaged. The list of free pages of the later
            # state has a later transaction in it.
            surveys.sort(key=lambda survey: survey.last_freed, reverse=True)
        readable = [survey for survey in surveys if survey.trees or survey.plain_entries]
        chosen = (readable or surveys)[0]
        if chosen is not surveys[0]:
            self.lost += map(finding_of, surveys[0].problems())
            self.lost.append(
                DamageFinding("the last transaction is lost: this is the state before it")
            )
        return chosen

    def _read(self, tree: bytes) -> Iterator[_Entry]:
        """The entries of a tree. What is missing is added to `lost`."""
        survey, name = self._survey, tree_title(tree)
        if tree != MAIN and tree not in survey.trees:
            self.lost.append(DamageFinding(f"{name} is not in the main tree: all keys"))
            walk = None
        else:
            walk = survey.walk(tree)
            for key, raw in walk_entries(self._file, walk):
                yield key, raw, False
        orphans = self._orphans.get(tree, [])
        for orphan in orphans:
            for entry in survey.orphan_entries(orphan):
                yield entry.key, self._file.value(entry), True
        if walk is None:
            return
        found = walk.entries + sum(orphan.entries for orphan in orphans)
        if found != walk.tree.entries:
            self.lost += [
                DamageFinding(f"{name}: {lost.what}: {describe_span(lost.low, lost.high)}")
                for lost in walk.lost
            ]
        self.lost += [DamageFinding(f"{name}: {what}", key) for key, what in walk.damaged]
        if found < walk.tree.entries:
            missing = walk.tree.entries - found
            self.lost.append(DamageFinding(f"{name}: {missing:,} of {walk.tree.entries:,} entries"))

    def _batches(self) -> Iterator[list[_Entry]]:
        batch: list[_Entry] = []
        size = 0
        for key, raw, is_orphan in self._read(self._tree):
            try:
                _, problem = self._metadata.read(key, raw)
            except FormatMismatchError:
                self.unread += 1
                problem = None
            if problem is not None:
                self.lost.append(DamageFinding(problem, key))
                continue
            batch.append((key, self._prefix + raw, is_orphan))
            size += len(raw)
            if len(batch) >= _BATCH_ENTRIES or size >= _BATCH_SIZE:
                yield batch
                batch, size = [], 0
        yield batch

    def _finish(
        self, records: Mapping[bytes | None, int], seen: Mapping[int, int], txn: Transaction
    ) -> None:
        """Write the metadata, with new counts of the collections."""
        metadata = self._metadata
        for key, raw in metadata.entries.items():
            if not key.startswith((COUNT, INDEXES, DROPPED, ID_KEY)):
                txn.put(Space.META, key, raw)
        for name in metadata.claims:
            txn.put(Space.META, COUNT + name, b"%d" % records.get(name, 0))
        write_formats(txn, self._formats or _formats_of(seen))


def _put(batch: list[_Entry], txn: Transaction) -> list[tuple[bytes, bool]]:
    """Write the entries, and give the keys that were written.

    An entry from an orphan leaf replaces no other entry.
    """
    put = []
    for key, raw, is_orphan in batch:
        if not is_orphan or txn.get(Space.DATA, key) is None:
            txn.put(Space.DATA, key, raw)
            put.append((key, is_orphan))
    return put


def _formats_of(seen: Mapping[int, int]) -> Metadata:
    """The formats of a store whose list of formats is lost, from the first bytes of its values.

    `seen` has the number of values for each first byte.
    """
    names = {id: name for name, id in IDS.items()}
    firsts = [first for first in seen if first & ~CHECKSUM_BIT in names] or [IDS["pickle"]]
    most = max(firsts, key=lambda first: seen.get(first, 0))
    metadata = new_metadata(names[most & ~CHECKSUM_BIT], checksums=bool(most & CHECKSUM_BIT))
    if len(firsts) > 1:  # as during a migration to the most frequent one
        metadata = metadata.migrating_to(metadata.write.serializer, checksums=metadata.checksums)
    ids = {first & ~CHECKSUM_BIT for first in firsts}
    return evolve(metadata, formats={id: Format(id, names[id]) for id in sorted(ids)})
