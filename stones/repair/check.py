"""`check`: looks for damage in a whole store, down to the last value.

A damaged file can make LMDB crash. So the file is read page by page without LMDB
(`stones.engines.lmdb.file.survey`). Only a child process opens it with LMDB, to hold a snapshot
while other processes write.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import chain, islice
from typing import Any

from attrs import evolve, frozen

from stones.engines.lmdb.databases import SPACES
from stones.engines.lmdb.directory import check_place, path_of
from stones.engines.lmdb.file.pages import DamageError, File, Meta
from stones.engines.lmdb.file.survey import MAIN, Survey, page_count, wrong_number_text
from stones.engines.lmdb.file.trees import read_free_pages
from stones.errors import StorageError, StoreOpenError
from stones.formats.request import FormatRequest
from stones.formats.stones03_codec import check_table

from .contents import (
    COUNT,
    DATA,
    META,
    StoredMetadata,
    finding_of,
    is_stones03,
    parse_metadata,
    stones03_metadata,
    tree_entries,
)
from .findings import DamageFinding
from .held_snapshot import HeldSnapshot, hold
from .index_check import IndexReport
from .mending import Derived, mend
from .value_check import ValueCheck

MOST_FINDINGS = 10_000
_TRIES = 20


@frozen
class CheckReport:
    """The result of `check`.

    >>> from stones import LmdbStore, check, stone
    >>> with stone('checked-db', LmdbStore, serialize='json') as store:
    ...     store['key'] = 'value'
    >>> report = check('checked-db')
    >>> report.version, report.entries, report.unread, report.findings, report.more
    ('1', 1, 0, (), 0)
    >>> report.sound
    True
    """

    path: str
    """The path as it was given."""
    version: str | None
    """The layout: "1", "2" if the store has had an index, "0.3" for stones 0.3.

    None if that cannot be seen.
    """
    entries: int
    """How many entries were checked."""
    unread: int
    """How many of the entries have a value that could not be decoded.

    Their values are pickles, and pickles are not trusted, or their serializer is not known.
    """
    findings: tuple[DamageFinding, ...]
    """The damage, at most 10,000 findings. Empty for a sound store."""
    more: int
    """How many findings there are beyond the first 10,000."""
    indexes: tuple[IndexReport, ...] = ()
    """The indexes of all collections, and which of them could not be compared with the records."""
    mended: tuple[str, ...] = ()
    """What `repair=True` has mended, in words. Everything else here is as it is afterwards."""

    @property
    def sound(self) -> bool:
        """Whether no damage was found, or all of it was mended."""
        return not self.findings


def check(
    path: str | bytes | os.PathLike[str] | os.PathLike[bytes],
    *,
    trust_pickle: bool = False,
    serialize: str | None = None,
    dump_load: tuple[Callable[[Any], bytes], Callable[[bytes], Any]] | tuple[()] = (),
    table: bytes | None = None,
    repair: bool = False,
) -> CheckReport:
    """Look for damage in the store at `path`: in the file, the metadata, each value, each count.

    Each entry of each index is compared with the records, and each record with the entries.

    Other processes may write to the store at the same time: `check` sees one snapshot. Without
    `repair` it changes nothing. No damage can end this process, because LMDB opens the file in
    another process only.

    With `repair` it mends what is made of the records: the counts of the collections, and the
    indexes. An index that differs from the records is built again. An index whose build was
    interrupted is finished. A record is never touched. If the file or the metadata have other
    damage, nothing is mended: use `salvage`. Other processes may write meanwhile. If it is killed,
    the store is valid, and another repair goes on. At the end the store is checked again, and that
    is what the report tells.

    With `trust_pickle` it also reads pickled values, which can run code. For a store that was
    written by a pair of functions, pass them as `dump_load`. For a database of stones 0.3,
    `serialize` names its serializer, and `table` its table if the values are in one. Without
    `serialize` only the file is checked.

    It reads the whole file twice: about ten seconds for a million small entries, and as long for a
    million entries of indexes. It takes a byte of memory for each page of 4 kB, and about 30 MB for
    indexes. Their entries are sorted, in a temporary file that gets as large as they are.

    Raises StoreOpenError if there is no file or it cannot be read, FormatMismatchError for a store
    of a later version, StorageError if other processes write and no snapshot can be held, or if
    there is no room for the temporary file. A repair raises LockTimeoutError if another process
    writes for a minute.

    >>> from stones import LmdbStore, check, stone
    >>> with stone('sound-db', LmdbStore, serialize='json') as store:
    ...     store['key'] = 'value'
    >>> report = check('sound-db')
    >>> report.sound, report.entries, report.findings
    (True, 1, ())

    A byte of the value is damaged, and JSON cannot decode it any more:

    >>> with open('sound-db/data.mdb', 'r+b') as file:
    ...     position = file.seek(file.read().rindex(b'"value"'))
    ...     written = file.write(b"'")
    >>> for finding in check('sound-db').findings:
    ...     print(finding.key, finding.what)
    b'key' the value of b'key' cannot be read: JSONDecodeError: ...
    """
    request = FormatRequest.from_arguments(serialize, dump_load, trust_pickle)
    check_table(table)
    given = path_of(path)
    place = os.path.abspath(given)
    check_place(place, create=False)
    report, derived = _examine(given, place, request, table)
    if not repair or derived is None:
        return report
    mended = mend(place, derived, request)
    if not mended and report.sound:
        return report
    report, _ = _examine(given, place, request, table)
    return evolve(report, mended=mended)


def _examine(
    given: str, place: str, request: FormatRequest, table: bytes | None
) -> tuple[CheckReport, Derived | None]:
    with hold(place) as snapshot, closing(open_file(place)) as file:
        before = file.stamp()
        try:
            found = examine_file(given, file, snapshot, request, table)
        except DamageError as error:
            raise StorageError(
                f"cannot check {given!r}: the file has become shorter: {error}"
            ) from error
        if not snapshot.held and file.stamp() != before:
            reason = snapshot.problem or "its table of readers cannot be written"
            raise StorageError(
                f"{given!r} is being written, and no snapshot of it can be held: {reason}; stop "
                "the programs that write, and check again"
            )
        return found


def check_file(
    path: str,
    file: File,
    snapshot: HeldSnapshot,
    request: FormatRequest,
    table: bytes | None = None,
) -> CheckReport:
    """The report on an open file, in the state of `snapshot`.

    If the snapshot has no state, the state is the one of the newest meta page.
    """
    return examine_file(path, file, snapshot, request, table)[0]


def examine_file(
    path: str,
    file: File,
    snapshot: HeldSnapshot,
    request: FormatRequest,
    table: bytes | None = None,
) -> tuple[CheckReport, Derived | None]:
    """The report on an open file, and what a repair has to mend. None if nothing can be mended."""
    metas, wrong = stable_metas(file)
    findings = [DamageFinding(what) for what in wrong]
    if snapshot.problem is not None:
        findings.append(DamageFinding(snapshot.problem))
    if snapshot.meta is None and not metas:
        return CheckReport(path, None, 0, 0, tuple(findings), 0), None
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
    values = ValueCheck(file, survey, tree, metadata)
    findings += map(finding_of, survey.problems())
    findings += _store_findings(survey, metadata)
    found = chain(findings, values)
    kept = tuple(islice(found, MOST_FINDINGS))
    more = sum(1 for _ in found)
    report = CheckReport(path, version, values.entries, values.unread, kept, more, values.indexes)
    if version == "0.3" or not all(finding.repairable for finding in findings):
        return report, None
    wrong_metadata = {finding.key for finding in findings if finding.key is not None}
    return report, Derived(
        counts=frozenset(
            values.wrong_counts | {key for key in wrong_metadata if key.startswith(COUNT)}
        ),
        metadata=frozenset(wrong_metadata),
        indexes=frozenset(values.wrong_indexes),
        orphans=values.orphans,
    )


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
