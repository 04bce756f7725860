"""Looks for damage in an LMDB file, from its pages to the last value.

A damaged file can make LMDB crash. So the file is read page by page without LMDB
(`stones.engines.lmdb.file.survey`). Only a child process opens it with LMDB, to hold a snapshot
while other processes write.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager

from attrs import evolve, frozen

from stones.engines.lmdb.databases import SPACES
from stones.engines.lmdb.directory import check_place
from stones.engines.lmdb.engine import LmdbEngine
from stones.engines.lmdb.file.pages import DamageError, File, Meta
from stones.engines.lmdb.file.survey import MAIN, Survey, page_count, wrong_number_text
from stones.engines.lmdb.file.trees import read_free_pages
from stones.errors import StorageError, StoreOpenError
from stones.formats.request import FormatRequest
from stones.migrations.progress import Progress
from stones.stores.database import Database
from stones.stores.timeout import TIMEOUT

from .contents import StoredMetadata, parse_metadata, stones03_metadata
from .counted_entries import counting
from .examination import Examination
from .file_entries import DATA, INDEX, META, finding_of, is_stones03, tree_entries
from .findings import DamageFinding
from .held_snapshot import HeldSnapshot, hold
from .value_check import ValueCheck

_TRIES = 20


@frozen
class FileToCheck:
    """The LMDB file in a directory."""

    name: str
    """The path as it was given."""
    request: FormatRequest
    table: bytes | None

    @property
    def place(self) -> str:
        """The absolute path."""
        return os.path.abspath(self.name)

    @contextmanager
    def examined(self, progress: Progress | None = None) -> Iterator[Examination]:
        """What is seen of one snapshot. The block goes through the findings."""
        check_place(self.place, create=False)
        with hold(self.place) as snapshot, closing(open_file(self.place)) as file:
            before = file.stamp()
            try:
                yield examine_file(file, snapshot, self.request, self.table, progress)
            except DamageError as error:
                raise StorageError(
                    f"cannot check {self.name!r}: the file has become shorter: {error}"
                ) from error
            if not snapshot.held and file.stamp() != before:
                reason = snapshot.problem or "its table of readers cannot be written"
                raise StorageError(
                    f"{self.name!r} is being written, and no snapshot of it can be held: {reason}; "
                    "stop the programs that write, and check again"
                )

    @contextmanager
    def opened(self) -> Iterator[Database]:
        """The store, for a repair."""
        request = self.request
        if request.custom is None:  # the serializer that was named is of a stones 0.3 database
            request = evolve(request, name=None)
        engine = LmdbEngine.open(self.place, create=False)
        database = Database(engine, name=self.place, timeout=TIMEOUT)
        try:
            database.open(request)
            yield database
        finally:
            database.close()


def examine_file(
    file: File,
    snapshot: HeldSnapshot,
    request: FormatRequest,
    table: bytes | None = None,
    progress: Progress | None = None,
) -> Examination:
    """What is seen of an open file, in the state of `snapshot`.

    If the snapshot has no state, the state is the one of the newest meta page.
    """
    metas, wrong = stable_metas(file)
    findings = [DamageFinding(what) for what in wrong]
    if snapshot.problem is not None:
        findings.append(DamageFinding(snapshot.problem))
    if snapshot.meta is None and not metas:
        return Examination(None, findings)
    meta = snapshot.meta or metas[0]
    file.page_size = meta.page_size
    findings += [DamageFinding(what) for what in _wrong_number(file, metas)]
    survey = Survey(file, meta)
    metadata = None
    tree, version = DATA, None
    if is_stones03(survey):
        tree, version = table or MAIN, "0.3"
        if table is not None and table not in survey.trees:
            findings.append(DamageFinding(f"there is no table {table!r}"))
        metadata = stones03_metadata(request)
    elif survey.trees:
        metadata = parse_metadata(dict(tree_entries(file, survey, META)), request)
        version = metadata.layout
    findings += map(finding_of, survey.problems())
    findings += _store_findings(survey, metadata)
    if metadata is None:
        return Examination(version, findings)
    total = sum(walk.tree.entries for at, walk in survey.walks.items() if at in (tree, INDEX))
    counted = counting(progress, total)
    values = ValueCheck(
        metadata,
        counted(tree_entries(file, survey, tree)),
        counted(tree_entries(file, survey, INDEX)),
        is_lost=lambda: any(_is_lost(survey, part) for part in (DATA, INDEX)),
    )
    return Examination(version, findings, values)


def open_file(place: str) -> File:
    """The data file in the directory `place`, to be read page by page. Raises StoreOpenError."""
    try:
        return File(os.path.join(place, "data.mdb"))
    except OSError as error:
        raise StoreOpenError(f"cannot read the store {place!r}: {error}") from error


def stable_metas(file: File) -> tuple[list[Meta], list[str]]:
    """The meta pages, the newest first, and what is wrong with them.

    The meta pages of a sound file are of two successive transactions. If another process writes
    between the reading of the first and of the second, they may seem not to be. So they are read
    several times before that counts as damage.
    """
    metas, wrong = file.metas()
    for _ in range(_TRIES):
        if not wrong and (metas[0].txnid - metas[1].txnid == 1 or metas[0].txnid == 0):
            return metas, []
        metas, wrong = file.metas()
    if not wrong:
        numbers = f"{metas[0].txnid} and {metas[1].txnid}"
        wrong = [f"the meta pages are of transactions {numbers}, which do not follow each other"]
    return metas, wrong


def _wrong_number(file: File, metas: list[Meta]) -> list[str]:
    """The finding for a damaged transaction number, in a list that is empty if there is none.

    If the number of the last transaction is damaged, LMDB takes the state before it for the newest.
    The pages of the last state stay as they are until two more transactions begin.
    """
    # The file of a plain backup has the same state twice.
    if len(metas) < 2 or (metas[0].free, metas[0].main) == (metas[1].free, metas[1].main):
        return []
    walk, _ = read_free_pages(file, metas[1], bytearray(page_count(file, metas[1])))
    later = int.from_bytes(walk.last_key, sys.byteorder) > metas[1].txnid
    return [wrong_number_text(metas[1])] if later and file.metas()[0] == metas else []


def _store_findings(survey: Survey, metadata: StoredMetadata | None) -> Iterator[DamageFinding]:
    """The damage of the metadata, and of the main tree, which has the trees of a store."""
    if metadata is None:
        if not survey.walks[MAIN].lost:
            yield DamageFinding("there is no store in it: it is an LMDB file without entries")
        return
    if not is_stones03(survey):
        for name in SPACES:
            if name not in survey.trees:
                yield DamageFinding(f"{name.decode()} is not in the main tree")
        if survey.plain_entries:
            yield DamageFinding(f"the main tree has {survey.plain_entries} values of its own")
    yield from metadata.findings


def _is_lost(survey: Survey, tree: bytes) -> bool:
    """Whether a part of a tree cannot be read."""
    walk = survey.walks.get(tree)
    return walk is None or bool(walk.lost or walk.damaged)
