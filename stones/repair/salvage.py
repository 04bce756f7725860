"""`salvage`: everything that can be read of a damaged store, into a new one.

The file is read page by page (`stones.engines.lmdb.file.survey`). Rather nothing than something
wrong: what may be an old copy, or may belong elsewhere, is left out and told.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import partial
from typing import Any

from attrs import evolve, frozen

from stones.engine import Space, Transaction
from stones.engines.lmdb.databases import SPACES
from stones.engines.lmdb.directory import check_place
from stones.engines.lmdb.engine import LmdbEngine
from stones.engines.lmdb.file.pages import DamageError, File, Meta
from stones.engines.lmdb.file.survey import MAIN, Stray, Survey, describe_span, space_title
from stones.engines.lmdb.new_directory import new_directory
from stones.errors import FormatMismatchError, StorageError, StoreOpenError
from stones.formats.checksums import CHECKSUM_BIT
from stones.formats.metadata import IDS, Format, Metadata, new_metadata, write_formats
from stones.formats.request import FormatRequest
from stones.formats.stones03_codec import Stones03Codec, metadata_from_stones03

from .check import MOST_FINDINGS, open_file, stable_metas
from .contents import (
    COUNT,
    DATA,
    META,
    DamageFinding,
    finding,
    is_legacy,
    legacy_contents,
    read_contents,
    walked,
)

_BATCH_ENTRIES, _BATCH_SIZE = 10_000, 1 << 24

_Entry = tuple[bytes, bytes, bool]
"""The key, the stored value, and whether it is stray."""


@frozen
class SalvageReport:
    """What `salvage` has done."""

    path: str
    new: str
    entries: int
    """Those that are in the new store."""
    unread: int
    """Of these, how many were copied without a look into their values: pickles that are not
    trusted, values by a serializer that is not known here."""
    stray: int
    """Of these, how many were found on pages that nothing led to any more. They were in a part of
    the tree that is lost, as far as can be told."""
    lost: tuple[DamageFinding, ...]
    """What was damaged, and what is not in the new store for that. At most 10,000."""
    more: int
    """How many there are beyond these."""

    @property
    def whole(self) -> bool:
        """Nothing was lost: the store was sound."""
        return not self.lost


def salvage(
    path: str | os.PathLike[str],
    new: str | os.PathLike[str],
    *,
    trust_pickle: bool = False,
    serialize: str | None = None,
    dump_load: tuple[Callable[[Any], bytes], Callable[[bytes], Any]] | tuple[()] = (),
    table: bytes | None = None,
) -> SalvageReport:
    """Write everything that can be read of the store at `path` into a new store at `new`.

    No program may write to `path` meanwhile; it is not changed. `new` is not there yet, or is an
    empty directory; it is there whole and on the disk when this returns, or not at all. Values that
    cannot be decoded are left out and told; pickles are copied as they are, and only looked into
    with `trust_pickle`. The counts of collections are made anew. `dump_load` is for a store that
    was written by functions of its own. For a database of stones 0.3, `serialize` names what its
    values are written by, and `table` their table, if they are in one; the new store is none of
    0.3 any more.

    Raises StoreOpenError where there is nothing to read or something at `new`, FormatMismatchError
    for a store of a later version, StorageError where the file is written meanwhile, or `new`
    cannot be.
    """
    asked = FormatRequest.from_arguments(serialize, dump_load, trust_pickle)
    shown, place = os.fspath(path), os.path.abspath(os.fspath(path))
    check_place(place, create=False)
    with closing(open_file(place)) as file:
        before = file.stamp()
        try:
            with new_directory(os.fspath(new)) as made:
                rescue = _Rescue(file, asked, shown, table)
                rescue.write(made)
                if file.stamp() != before:
                    raise StorageError(
                        f"{shown!r} has been written meanwhile: stop the programs that use it, "
                        "and salvage again"
                    )
        except DamageError as error:
            raise StorageError(f"cannot salvage {shown!r}: {error}") from error
    kept, more = rescue.lost[:MOST_FINDINGS], rescue.lost[MOST_FINDINGS:]
    return SalvageReport(
        path=shown,
        new=os.fspath(new),
        entries=rescue.entries,
        unread=rescue.unread,
        stray=rescue.stray,
        lost=tuple(kept),
        more=len(more),
    )


class _Rescue:
    """One salvage: chooses a state of the file, reads it, and writes the new store."""

    def __init__(self, file: File, asked: FormatRequest, path: str, table: bytes | None) -> None:
        self._file = file
        self.lost: list[DamageFinding] = []
        self.entries = self.unread = self.stray = 0
        metas, wrong = stable_metas(file)
        self.lost += map(DamageFinding, wrong)
        if not metas:
            raise StoreOpenError(f"nothing can be read of {path!r}: {wrong[0]}")
        if len(metas) == 1:
            self.lost.append(
                DamageFinding("if that was the later one, the last transaction is lost")
            )
        self._survey = self._chosen(metas)
        self._strays: Mapping[bytes, list[Stray]] = {}
        self._formats: Metadata | None = None
        self._prefix = b""
        self._tree = DATA
        if is_legacy(self._survey):
            if table is not None and table not in self._survey.trees:
                raise StoreOpenError(f"there is no table {table!r} in {path!r}, or it is lost")
            self._tree = table or MAIN
            self._formats = metadata_from_stones03(Stones03Codec(asked))
            self._prefix = bytes([self._formats.write.id])
            self._contents = legacy_contents(asked)
            return
        self._strays = self._survey.strays(SPACES)
        self._contents = read_contents({key: raw for key, raw, _ in self._read(META)}, asked)
        self._formats = self._contents.formats
        self.lost += self._contents.findings

    def write(self, path: str) -> None:
        """Fill a store in the empty directory `path`."""
        engine = LmdbEngine.open(path, new=True)
        try:
            records = Counter[bytes | None]()
            seen = Counter[int]()
            for batch in self._batches():
                seen.update(raw[0] for _, raw, _ in batch)
                put = engine.write(partial(_put, batch))
                self.entries += len(put)
                self.stray += sum(is_stray for _, is_stray in put)
                records.update(self._contents.owner(key) for key, _ in put)
            engine.write(partial(self._finish, records, seen))
        finally:
            engine.close()

    def _chosen(self, metas: list[Meta]) -> Survey:
        """The state of the last transaction, or where that cannot be read, of the one before."""
        surveys = []
        for number, meta in enumerate(metas):
            # The number of pages never falls: where it has, it is damaged.
            fallen = number == 0 and len(metas) == 2 and meta.last_page < metas[1].last_page
            survey = Survey(self._file, meta, whole=fallen)
            other = survey.other_main(SPACES)
            if other is not None:
                survey = Survey(self._file, meta, main=other, whole=fallen)
            survey.distrust()
            surveys.append(survey)
        if not any(survey.free_problems for survey in surveys):
            # Whatever the number in the meta page: the later state knows of pages freed later.
            surveys.sort(key=lambda survey: survey.last_freed, reverse=True)
        readable = [survey for survey in surveys if survey.trees or survey.plain_entries]
        chosen = (readable or surveys)[0]
        if chosen is not surveys[0]:
            self.lost += map(finding, surveys[0].problems())
            self.lost.append(
                DamageFinding("the last transaction is lost: this is the state before it")
            )
        return chosen

    def _read(self, tree: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
        """The entries of a tree: key, stored value, is it stray. `lost` tells what is missing."""
        survey, name = self._survey, space_title(tree)
        if tree != MAIN and tree not in survey.trees:
            self.lost.append(DamageFinding(f"{name} is not in the main tree: all keys"))
            walk = None
        else:
            walk = survey.walk(tree)
            for key, raw in walked(self._file, walk):
                yield key, raw, False
        strays = self._strays.get(tree, [])
        for stray in strays:
            for entry in survey.stray_entries(stray):
                yield entry.key, self._file.value(entry), True
        if walk is None:
            return
        found = walk.entries + sum(stray.entries for stray in strays)
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
        for key, raw, is_stray in self._read(self._tree):
            try:
                problem = self._contents.problem(key, raw)
            except FormatMismatchError:
                self.unread += 1
                problem = None
            if problem is not None:
                self.lost.append(DamageFinding(problem, key))
                continue
            batch.append((key, self._prefix + raw, is_stray))
            size += len(raw)
            if len(batch) >= _BATCH_ENTRIES or size >= _BATCH_SIZE:
                yield batch
                batch, size = [], 0
        yield batch

    def _finish(
        self, records: Mapping[bytes | None, int], seen: Mapping[int, int], txn: Transaction
    ) -> None:
        """Write the metadata, with the counts of the collections made anew."""
        contents = self._contents
        for key, raw in contents.metadata.items():
            if not key.startswith(COUNT):
                txn.put(Space.META, key, raw)
        for head in contents.claims:
            txn.put(Space.META, COUNT + head, b"%d" % records.get(head, 0))
        write_formats(txn, self._formats or _formats_of(seen))


def _put(batch: list[_Entry], txn: Transaction) -> list[tuple[bytes, bool]]:
    """Write the entries; what is stray does not replace anything."""
    put = []
    for key, raw, is_stray in batch:
        if not is_stray or txn.get(Space.DATA, key) is None:
            txn.put(Space.DATA, key, raw)
            put.append((key, is_stray))
    return put


def _formats_of(seen: Mapping[int, int]) -> Metadata:
    """The formats of values, told by their first bytes where the list of them is lost."""
    names = {id: name for name, id in IDS.items()}
    firsts = [first for first in seen if first & ~CHECKSUM_BIT in names] or [IDS["pickle"]]
    most = max(firsts, key=lambda first: seen.get(first, 0))
    metadata = new_metadata(names[most & ~CHECKSUM_BIT], checksums=bool(most & CHECKSUM_BIT))
    if len(firsts) > 1:  # as in a migration to the most frequent of them
        metadata = metadata.migrating_to(metadata.write.serializer, checksums=metadata.checksums)
    ids = {first & ~CHECKSUM_BIT for first in firsts}
    return evolve(metadata, formats={id: Format(id, names[id]) for id in sorted(ids)})
