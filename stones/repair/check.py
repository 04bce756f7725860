"""`check`: is all of a store as it should be, down to the last value?

The file is read page by page (`stones.engines.lmdb.file.survey`), never through LMDB, which a
damaged file can make crash; only a child process opens it so, to hold one instant while others go
on writing.
"""

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import chain, islice
from typing import Any

from attrs import frozen

from stones.engines.lmdb.databases import SPACES
from stones.engines.lmdb.directory import check_place
from stones.engines.lmdb.file.pages import DamageError, File, Meta
from stones.engines.lmdb.file.survey import MAIN, Survey, misnumbered, page_count
from stones.engines.lmdb.file.trees import read_free
from stones.errors import FormatMismatchError, StorageError, StoreOpenError
from stones.formats.request import FormatRequest

from .contents import (
    DATA,
    META,
    DamageFinding,
    StoredMetadata,
    entries,
    finding,
    is_legacy,
    legacy_contents,
    read_contents,
)
from .held_snapshot import HeldSnapshot, hold

MOST_FINDINGS = 10_000
_TRIES = 20


@frozen
class CheckReport:
    """What `check` has found."""

    path: str
    version: str | None
    """The stones that wrote the store: "1" or "0.3"; None where that cannot be seen."""
    entries: int
    """Values that were looked at."""
    unread: int
    """Of these, how many could not be looked into: pickles that are not trusted, values by a
    serializer that is not known here."""
    findings: tuple[DamageFinding, ...]
    """Empty for a sound store. At most 10,000."""
    more: int
    """How many findings there are beyond these."""

    @property
    def sound(self) -> bool:
        """Nothing was found."""
        return not self.findings


def check(
    path: str | os.PathLike[str],
    *,
    trust_pickle: bool = False,
    serialize: str | None = None,
    dump_load: tuple[Callable[[Any], bytes], Callable[[bytes], Any]] | tuple[()] = (),
    table: bytes | None = None,
) -> CheckReport:
    """Look through the store at `path` for damage: the file, the metadata, each value, each count.

    It works while others write, and on the state of one instant. It never runs LMDB on the file in
    this process, so that no damage can end it. Pickles are only read with `trust_pickle`, which can
    run code. `dump_load` is for a store that was written by functions of its own. A database of
    stones 0.3 has its values looked into where `serialize` names what they are written by, and
    `table` their table, if they are in one.

    Reads the whole file twice, a million small entries in some ten seconds; takes a byte of memory
    for each page of 4 kB.

    Raises StoreOpenError where there is no file or it cannot be read, FormatMismatchError for a
    store of a later version, StorageError where others write and nothing can hold an instant.
    """
    asked = FormatRequest.from_arguments(serialize, dump_load, trust_pickle)
    shown, place = os.fspath(path), os.path.abspath(os.fspath(path))
    check_place(place, create=False)
    with hold(place) as instant, closing(open_file(place)) as file:
        before = file.stamp()
        try:
            report = examined(shown, file, instant, asked, table)
        except DamageError as error:
            raise StorageError(
                f"cannot check {shown!r}: {error}, which was there before"
            ) from error
        if not instant.held and file.stamp() != before:
            reason = instant.problem or "its table of readers cannot be written"
            raise StorageError(
                f"{shown!r} is being written, and no instant of it can be held: {reason}; stop the "
                "programs that write, and check again"
            )
        return report


def examined(
    path: str, file: File, instant: HeldSnapshot, asked: FormatRequest, table: bytes | None = None
) -> CheckReport:
    """What `check` finds, once there is an instant to look at, or none that could be held."""
    metas, wrong = stable_metas(file)
    findings = [DamageFinding(what) for what in wrong]
    if instant.problem is not None:
        findings.append(DamageFinding(instant.problem))
    if instant.meta is None and not metas:
        return CheckReport(path, None, 0, 0, tuple(findings), 0)
    meta = instant.meta or metas[0]
    file.page_size = meta.page_size
    findings += [DamageFinding(what) for what in _misnumbered(file, metas)]
    survey = Survey(file, meta)
    contents = None
    tree, version = DATA, None
    if is_legacy(survey):
        tree, version = table or MAIN, "0.3"
        if table is not None and table not in survey.trees:
            findings.append(DamageFinding(f"there is no table {table!r}"))
        contents = legacy_contents(asked)
    elif survey.trees:
        version = "1"
        contents = read_contents(dict(entries(file, survey, META)), asked)
    values = _Values(file, survey, tree, contents)
    found = chain(findings, map(finding, survey.problems()), _store(survey, contents), values)
    kept = tuple(islice(found, MOST_FINDINGS))
    more = sum(1 for _ in found)
    return CheckReport(path, version, values.entries, values.unread, kept, more)


def open_file(place: str) -> File:
    """The data file in a directory, for reading page by page. Raises StoreOpenError."""
    try:
        return File(os.path.join(place, "data.mdb"))
    except OSError as error:
        raise StoreOpenError(f"cannot read the store {place!r}: {error}") from error


def stable_metas(file: File) -> tuple[list[Meta], list[str]]:
    """The meta pages, and what is wrong with them; also where they do not follow each other.

    Who reads while others write may see two that never were together, but not time and again.
    """
    for _ in range(_TRIES):
        metas, wrong = file.metas()
        if not wrong and (metas[0].txnid - metas[1].txnid == 1 or metas[0].txnid == 0):
            return metas, []
    if not wrong:
        numbers = f"{metas[0].txnid} and {metas[1].txnid}"
        wrong = [f"the meta pages are of transactions {numbers}, which do not follow each other"]
    return metas, wrong


def _misnumbered(file: File, metas: list[Meta]) -> list[str]:
    """Whether the earlier state is the later one in truth: LMDB would not see the last transaction.

    Its pages stay as they are until two more transactions have begun.
    """
    # A plain backup has the same state twice.
    if len(metas) < 2 or (metas[0].free, metas[0].main) == (metas[1].free, metas[1].main):
        return []
    walk, _ = read_free(file, metas[1], bytearray(page_count(file, metas[1])))
    later = int.from_bytes(walk.last_key, sys.byteorder) > metas[1].txnid
    return [misnumbered(metas[1])] if later and file.metas()[0] == metas else []


def _store(survey: Survey, contents: StoredMetadata | None) -> Iterator[DamageFinding]:
    """What is wrong with the file as a store."""
    if contents is None:
        if not survey.walks[MAIN].lost:
            yield DamageFinding("there is no store in it: it is an LMDB file without entries")
        return
    if not is_legacy(survey):
        for name in SPACES:
            if name not in survey.trees:
                yield DamageFinding(f"{name.decode()} is not in the main tree")
        if survey.plain_entries:
            yield DamageFinding(f"the main tree has {survey.plain_entries} values of its own")
    yield from contents.findings


class _Values:
    """What is wrong with the values, and with the counts of the collections."""

    def __init__(
        self, file: File, survey: Survey, tree: bytes, contents: StoredMetadata | None
    ) -> None:
        self._entries = entries(file, survey, tree)
        self._contents = contents
        self.entries = self.unread = 0

    def __iter__(self) -> Iterator[DamageFinding]:
        contents = self._contents
        if contents is None:
            return
        records = Counter[bytes | None]()
        for key, raw in self._entries:
            self.entries += 1
            records[contents.owner(key)] += 1
            try:
                problem = contents.problem(key, raw)
            except FormatMismatchError:
                self.unread += 1
                continue
            if problem is not None:
                yield DamageFinding(problem, key)
        for head, noted in contents.counts():
            if b"%d" % records[head] != noted:
                name, number = (raw.decode(errors="replace") for raw in (head, noted))
                yield DamageFinding(
                    f"the collection {name!r} has {records[head]} records, but notes {number:.40}",
                    head + b"/",
                )
