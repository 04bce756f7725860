"""`check`: looks for damage in a whole store, down to the last value.

`file_check` looks into an LMDB file, page by page. `engine_check` reads a store of any other kind
through its engine.
"""

import os
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from stones.errors import TransactionError
from stones.formats.encryption_keys import Encrypt
from stones.formats.request import FormatRequest
from stones.formats.stones03_codec import check_table
from stones.migrations.progress import Progress
from stones.stores.existing import check_lmdb_options, lmdb_path
from stones.stores.store import Store

from .contents import keys_only
from .engine_check import StoreToCheck, UrlToCheck
from .examination import Examination
from .findings import DamageFinding
from .index_check import IndexReport
from .mending import mend

if TYPE_CHECKING:
    from stones.engines.lmdb.file.pages import File

    from .file_check import FileToCheck
    from .held_snapshot import HeldSnapshot

MOST_FINDINGS = 10_000


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
    """The path or URL as it was given, without a password; for an open store, its name."""
    version: str | None
    """The layout: "1", "2" if the store has had an index, None if that cannot be seen.

    It is "0.3" for a database of stones 0.3, and for dbm files of another program.
    """
    entries: int
    """How many entries were checked."""
    unread: int
    """How many of the entries have a value that could not be decoded.

    Their values are pickles, and pickles are not trusted, or their serializer is not known, or they
    are encrypted, and no key was given.
    """
    findings: tuple[DamageFinding, ...]
    """The damage, at most 10,000 findings. Empty for a sound store."""
    more: int
    """How many findings there are beyond the first 10,000."""
    indexes: tuple[IndexReport, ...] = ()
    """The indexes of all collections, and which of them could not be compared with the records."""
    mended: tuple[str, ...] = ()
    """What `repair=True` has mended, in words. Everything else here is as it is afterwards."""

    snapshot: bool = True
    """Whether all was read from one state.

    False if the engine has no snapshots. Then another program that wrote meanwhile may be the cause
    of a finding.
    """

    @property
    def sound(self) -> bool:
        """Whether no damage was found, or all of it was mended."""
        return not self.findings


def check(
    place: str | bytes | os.PathLike[str] | os.PathLike[bytes] | Store[Any, Any],
    *,
    trust_pickle: bool | None = None,
    serialize: str | None = None,
    dump_load: tuple[Callable[[Any], bytes], Callable[[bytes], Any]] | tuple[()] = (),
    encrypt: Encrypt = None,
    table: bytes | None = None,
    repair: bool = False,
    progress: Progress | None = None,
) -> CheckReport:
    """Look for damage in a store: in the metadata, each value, each count and each index.

    Each entry of each index is compared with the records, and each record with the entries. `place`
    is the path of an LMDB store, the URL of any store, or an open store.

    Of an LMDB store it looks at each page of the file too. No damage can end this process, because
    LMDB opens the file in another process only. Of any other store, all is read in one transaction,
    after the engine has looked for damage in its own file, if it has one and can do so.

    Other processes may write to the store at the same time: `check` sees one snapshot. If the
    engine has no snapshots, the report tells it by `snapshot`. Without `repair` it changes nothing.

    With `repair` it mends what is made of the records: the counts of the collections, and the
    indexes. An index that differs from the records is built again. An index whose build was
    interrupted is finished. Damaged notes of a migration that has ended are removed. A record is
    never touched. If the file or the metadata have other damage, nothing is mended: use `salvage`
    for an LMDB store, a backup for another one. Other processes may write meanwhile. If it is
    killed, the store is valid, and another repair goes on. At the end the store is checked again,
    and that is what the report tells.

    With `trust_pickle` it also reads pickled values, which can run code. An open store is trusted
    as it was opened, unless you say otherwise. `encrypt` is the key of an encrypted store, or the
    newest key and older ones. Without it such values are counted as unread, and looked at no
    further. For a store that was written by a pair of functions, pass them as `dump_load`. For a
    database of stones 0.3, `serialize` names its serializer, and `table` its table if the values
    are in one. `serialize` is also for dbm files of another program. Without it only the file is
    checked.

    `progress` is called with the entries that were looked at and the number of all, about a hundred
    times.

    It reads everything, an LMDB file twice: about ten seconds for a million small entries, and as
    long for a million entries of indexes. It takes about 30 MB for indexes, and for an LMDB file a
    byte of memory for each page of 4 kB. The entries of indexes are sorted, in a temporary file
    that gets as large as they are.

    Raises StoreOpenError if there is no store or it cannot be read, FormatMismatchError for a store
    of a later version, EncryptionKeyError for another key, StorageError if other processes write
    and no snapshot can be held, or if there is no room for the temporary file. A repair raises
    LockTimeoutError if another process writes for a minute, ReadOnlyError for a store that was
    opened read-only, TransactionError inside a transaction of the store.

    >>> from stones import LmdbStore, check, stone
    >>> with stone('sound-db', LmdbStore, serialize='json') as store:
    ...     store['key'] = 'value'
    >>> report = check('sound-db')
    >>> report.sound, report.entries, report.findings
    (True, 1, ())

    The count of a collection is wrong, as after a program that wrote with the engine alone:

    >>> from attrs import define
    >>> from stones import Collection, MemoryStore, key
    >>> from stones.engine import Space
    >>> @define
    ... class City:
    ...     name: str = key()
    >>> store = MemoryStore()
    >>> Collection(store, City).add(City('Bonn'))
    'Bonn'
    >>> store.database.engine.write(lambda txn: txn.put(Space.META, b'count/City', b'7'))
    >>> check(store).findings[0].what
    "the collection 'City' has 1 record, but its count is 7"
    >>> check(store, repair=True).mended
    ("the count of the collection 'City' is 1 now",)

    A byte of the value is damaged, and JSON cannot decode it any more:

    >>> with open('sound-db/data.mdb', 'r+b') as file:
    ...     position = file.seek(file.read().rindex(b'"value"'))
    ...     written = file.write(b"'")
    >>> for finding in check('sound-db').findings:
    ...     print(finding.key, finding.what)
    b'key' the value of b'key' cannot be read: JSONDecodeError: ...
    """
    check_table(table)
    if repair and isinstance(place, Store):
        _check_writable(place)
    subject = _subject(place, trust_pickle, serialize, dump_load, encrypt, table)
    with subject.examined(progress) as examination:
        report = _report(subject.name, examination)
    derived = examination.derived()
    if not repair or derived is None:
        return report
    with subject.opened() as database:
        mended = mend(database, derived)
    if not mended and report.sound:
        return report
    with subject.examined(progress) as examination:
        return evolve(_report(subject.name, examination), mended=mended)


def _subject(
    place: Any,
    trust_pickle: bool | None,
    serialize: str | None,
    dump_load: Any,
    encrypt: Encrypt,
    table: bytes | None,
) -> "FileToCheck | StoreToCheck | UrlToCheck":
    """What is to be checked, and how."""
    path = lmdb_path(place)
    request = keys_only(serialize, dump_load, bool(trust_pickle), encrypt)
    if isinstance(place, Store):
        opened = place.database.request
        if serialize is None and not dump_load:
            request = opened if trust_pickle is None else evolve(opened, trusts_pickle=trust_pickle)
        elif trust_pickle is None:
            request = evolve(request, trusts_pickle=opened.trusts_pickle)
        if encrypt is None:
            request = evolve(request, keys=opened.keys)
    if path is None:
        check_lmdb_options(place, table)
        store = isinstance(place, Store)
        return StoreToCheck(place, request) if store else UrlToCheck(place, request)
    from .file_check import FileToCheck  # it loads the client of LMDB

    return FileToCheck(path, request, table)


def _check_writable(store: Store[Any, Any]) -> None:
    """Raise an error if an open store cannot be repaired."""
    store.database.check_writable()
    if store.database.in_transaction():
        raise TransactionError(
            "a repair works in transactions of its own: call check() outside of transaction()"
        )


def _report(name: str, examination: Examination) -> CheckReport:
    found = examination.all_findings()
    kept = tuple(islice(found, MOST_FINDINGS))
    more = sum(1 for _ in found)
    values = examination.values
    return CheckReport(
        name,
        examination.version,
        values.entries if values is not None else 0,
        values.unread if values is not None else 0,
        kept,
        more,
        examination.indexes,
        snapshot=examination.snapshot,
    )


def check_file(
    path: str,
    file: "File",
    snapshot: "HeldSnapshot",
    request: FormatRequest,
    table: bytes | None = None,
) -> CheckReport:
    """The report on an open file, in the state of `snapshot`.

    If the snapshot has no state, the state is the one of the newest meta page.
    """
    from .file_check import examine_file

    return _report(path, examine_file(file, snapshot, request, table))
