"""Copies of an LMDB file as of one moment, while others write.

A compact copy has the entries, written anew (`stones.engines.lmdb.repacking`). If all pages are
full already, LMDB makes it, without the free pages. A copy with each page where it is, is made
here: LMDB's own function for it waits for the writer, which may be this thread.
"""

import os
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Protocol, TypeVar

import lmdb

from stones.engines.lmdb.file.fill import is_dense
from stones.engines.lmdb.file.pages import DamageError, File, Meta
from stones.engines.lmdb.file.truncation import is_cut_short
from stones.errors import StorageError

from .directory import identity as identity_of
from .errors import translated
from .repacking import Tables, repack
from .transaction import LmdbTransaction
from .unregistered_reader import SnapshotOverwrittenError, UnregisteredTransaction
from .utf8_path import utf8_path


class _Ends(Protocol):
    def abort(self) -> None: ...


T = TypeVar("T", bound=_Ends)

_TRIES = 10
_PATIENCE = 1000
_CHUNK = 256
"""Pages that are copied at a time."""


def copy_compact(
    place: str,
    path: str,
    identity: tuple[int, int],
    begin: Callable[[], LmdbTransaction],
    tables_of: Callable[["lmdb.Transaction[bytes]"], Tables | None],
) -> None:
    """Write the data file of a copy into the directory `place`, as small as it can be.

    `begin` gives a read transaction on the file in the directory `path`, and `tables_of` the
    databases in it. If that is None, there are databases that stones does not know.
    Raises StorageError.
    """
    for _ in range(_TRIES):
        # LMDB copies in a transaction of its own. This one sees all that is written, and it keeps
        # the map from being enlarged, which would take the map away from LMDB's.
        txn = begin()
        try:
            tables = tables_of(txn.raw)
            with utf8_path(place) as target:
                if tables is None or _is_dense(path, identity, txn):
                    txn.environment.copy(target, compact=True)  # without the free pages
                else:
                    repack(txn.environment, txn.raw, tables, target)
            return
        except lmdb.MapResizedError:  # another process has written more since: again
            os.unlink(os.path.join(place, "data.mdb"))
        except lmdb.Error as error:
            raise translated(error, place) from error
        finally:
            txn.abort()
    raise StorageError(f"cannot copy {path!r}: it grows too fast")


def _is_dense(path: str, identity: tuple[int, int], txn: LmdbTransaction) -> bool:
    """Whether the pages of the state that a transaction reads are nearly full."""
    if identity_of(path) != identity:
        return False  # the file has been moved or replaced since it was opened
    try:
        file = File(os.path.join(path, "data.mdb"))
    except OSError:
        return False
    with closing(file):
        return any(meta.txnid == txn.id() and is_dense(file, meta) for meta in file.metas()[0])


def copy_pages(
    place: str, path: str, identity: tuple[int, int], begin: Callable[[], LmdbTransaction]
) -> None:
    """Write the data file of a copy into the directory `place`, with each page where it is.

    `begin` gives a read transaction on the file in the directory `path`, whose device and inode are
    `identity`. Raises StorageError.
    """
    if identity_of(path) != identity:
        raise StorageError(
            f"cannot copy {path!r} as it is: it has been moved or replaced since it was "
            "opened; open it again where it is now"
        )
    target = os.path.join(place, "data.mdb")
    for _ in range(_TRIES):
        meta, txn = meta_of(path, begin, LmdbTransaction.id)
        if meta is None or txn is None:
            raise StorageError(f"cannot copy {path!r}: its meta pages cannot be read")
        try:
            try:
                _write_pages(meta, os.path.join(path, "data.mdb"), target)
            finally:
                if isinstance(txn, UnregisteredTransaction):
                    txn.check()
            return
        except DamageError as damage:
            raise StorageError(f"cannot copy {path!r}: {damage}") from damage
        except SnapshotOverwrittenError:
            with suppress(FileNotFoundError):
                os.unlink(target)
        except OSError as error:
            if isinstance(error, StorageError):
                raise
            raise StorageError(f"cannot copy {path!r} to {place!r}: {error}") from error
        finally:
            txn.abort()
    raise StorageError(
        f"cannot copy {path!r}: others write to it, and this process may not write its lock.mdb, "
        "which would keep the copied pages as they are; give this process the right to write it"
    )


def meta_of(
    path: str, begin: Callable[[], T], txnid: Callable[[T], int]
) -> tuple[Meta, T] | tuple[None, None]:
    """The meta page of a state of the file, and a read transaction from `begin` on that state.

    `txnid` gives the number of a transaction. If others commit between reading the page and
    beginning, the next pair is tried; None and None if that goes on.
    """
    file = File(os.path.join(path, "data.mdb"))
    try:
        for _ in range(_PATIENCE):
            txn = begin()
            for meta in file.metas()[0]:
                if meta.txnid == txnid(txn):
                    return meta, txn
            txn.abort()
    finally:
        file.close()
    return None, None


def _write_pages(meta: Meta, source: str, target: str) -> None:
    """Write the file `target`: the state `meta` of `source`, with each page where it is.

    A read transaction of the caller keeps others from writing these pages. Raises OSError, and
    DamageError if the file is shorter than it should be.
    """
    file = File(source)
    try:
        file.page_size = meta.page_size
        if is_cut_short(file, meta):
            raise DamageError("the file has been cut short")
        # Free pages at the end may never have been written: then the copy ends where the file does.
        count = min(meta.last_page + 1, file.size // file.page_size)
        with open(target, "xb") as copy:
            # LMDB wants two meta pages. The second of the source may be of a later transaction.
            pair = [meta.raw, meta.earlier()]
            copy.write(b"".join(reversed(pair) if meta.txnid & 1 else pair))
            copy.writelines(
                file.read(page, min(_CHUNK, count - page)) for page in range(2, count, _CHUNK)
            )
    finally:
        file.close()
