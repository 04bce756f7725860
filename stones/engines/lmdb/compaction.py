"""`compact`: gives the free space of a store's file back to the disk, in place.

The entries are written anew into another file beside the data file. Once that file is on the disk,
it is renamed and takes the place of the data file. So at any moment there is a whole data file in
its place, the old one or the new one. `stones.engines.lmdb.sole_use` keeps other programs away.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import lmdb
from attrs import frozen

from stones.engines.lmdb.file.truncation import check_not_truncated
from stones.errors import StorageError, StoreOpenError

from .directory import COMPACTING, check_place, open_error, path_of, sync
from .engine import reserved
from .environment import SMALLEST_MAP, closed_but_in_use
from .errors import translated
from .repacking import MAX_TABLES, is_same, repack_any
from .sole_use import sole_use
from .utf8_path import utf8_path


@frozen
class CompactReport:
    """The result of `compact`.

    >>> from stones import LmdbStore, compact
    >>> with LmdbStore('small-db') as store:
    ...     store['key'] = 'value'
    >>> report = compact('small-db')
    >>> report.path, report.after <= report.before
    ('small-db', True)
    """

    path: str
    """The path as it was given."""
    before: int
    """The bytes of the data file before."""
    after: int
    """The bytes of the data file now. Never more than before."""


def compact(path: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> CompactReport:
    """What `stones.compact` does with the path of an LMDB store."""
    given = path_of(path)
    place = os.path.abspath(given)
    check_place(place, create=False)
    check_not_truncated(place)
    try:
        _check_single(place)
        with reserved(place):
            if closed_but_in_use(place) is not None:
                raise StoreOpenError(
                    f"iterations or snapshots of {given!r} are still open in this process: end them"
                )
            with utf8_path(place) as reached:
                before, after = _compact(reached)
    except lmdb.InvalidError as error:
        raise StoreOpenError(f"the data.mdb in {given!r} is not an LMDB file") from error
    except lmdb.ReadonlyError as error:  # LMDB's error where the permission is missing
        raise open_error(place, error) from error
    except lmdb.Error as error:
        raise translated(error, place) from error
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(f"cannot compact {given!r}: {error}") from error
    return CompactReport(given, before, after)


def _check_single(place: str) -> None:
    """Raise StoreOpenError if the data file has another name, which would keep the old file."""
    data = os.path.join(place, "data.mdb")
    if os.path.islink(data) or os.stat(data).st_nlink > 1:
        raise StoreOpenError(
            f"{data!r} is a link, or has another name: compact() would separate the two; compact "
            "the store where its file really is"
        )


def _compact(place: str) -> tuple[int, int]:
    """Replace the data file, if that makes it smaller. Its bytes before and after."""
    data = os.path.join(place, "data.mdb")
    # If this process has the file open by LMDB alone, py-lmdb refuses here, before a descriptor for
    # lock.mdb is opened and closed. Closing it would give up the locks that this process has.
    _open(place).close()
    with sole_use(place) as lock_file, closing(_open(place)) as environment:
        before = os.path.getsize(data)
        with _scratch(place) as scratch:
            made = os.path.join(scratch, "data.mdb")
            with environment.begin() as txn:
                tables = repack_any(environment, txn, scratch)
                if not is_same(txn, tables, scratch):
                    raise StorageError(
                        f"cannot compact {place!r}: the new file has other entries than the old "
                        "one; nothing was changed; look for damage with check()"
                    )
            after = os.path.getsize(made)
            if after >= before:
                return before, before
            _keep_attributes(data, made)
            sync(made)
            lock_file(made)
            os.rename(made, data)
            sync(place)
        return before, after


def _open(place: str) -> lmdb.Environment:
    """The environment to read from. It uses no locks: nobody writes while it is in use."""

    def opened(map_size: int) -> lmdb.Environment:
        return lmdb.open(
            place, map_size=map_size, readonly=True, lock=False, create=False, max_dbs=MAX_TABLES
        )

    try:
        return opened(0)  # the size that the file says
    except (lmdb.MemoryError, MemoryError):
        return opened(SMALLEST_MAP)  # or what the entries take, if that is more
    except lmdb.Error as error:
        if "already open" not in str(error):
            raise
        raise StoreOpenError(
            f"{place!r} is open in this process, by LMDB alone: close it first"
        ) from error


@contextmanager
def _scratch(place: str) -> Iterator[str]:
    """A directory for the new file. Removes it at the end, and before what a killed one left."""
    scratch = os.path.join(place, COMPACTING)
    shutil.rmtree(scratch, ignore_errors=True)
    os.mkdir(scratch)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _keep_attributes(old: str, new: str) -> None:
    """Give the new file the owner, the permissions and the extended attributes of the old one."""
    found, made = os.stat(old), os.stat(new)
    if (found.st_uid, found.st_gid) != (made.st_uid, made.st_gid):
        os.chown(new, found.st_uid, found.st_gid)
    shutil.copystat(old, new)
    with suppress(OSError):
        os.utime(new)
