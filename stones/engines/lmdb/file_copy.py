"""Copies of an LMDB file as of one instant, while others write.

LMDB makes a compact one, without the pages that are free. A plain one, with the pages where they
are, is made here: LMDB's own waits for the writer, who may be this very thread.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

import lmdb

from stones.engines.lmdb.file.pages import DamageError, File, Meta
from stones.errors import StorageError

from .directory import identity
from .errors import translated
from .unregistered_reader import SnapshotOverwrittenError, UnregisteredTransaction

if TYPE_CHECKING:
    from .engine import LmdbEngine


class _Ends(Protocol):
    def abort(self) -> None: ...


T = TypeVar("T", bound=_Ends)

_TRIES = 10
_PATIENCE = 1000
_CHUNK = 256
"""Pages that are copied at a time."""


def copy(engine: "LmdbEngine", place: str, *, compact: bool) -> None:
    """Write the data file of a copy into the directory `place`. Raises StorageError."""
    target = os.path.join(place, "data.mdb")
    # Where writers do not know of this reader, LMDB might copy what they write over.
    if compact and not engine.unregistered:
        _copy_compact(engine, target)
    else:
        _copy_pages(engine, target)


def meta_of(
    path: str, begin: Callable[[], T], txnid: Callable[[T], int]
) -> tuple[Meta, T] | tuple[None, None]:
    """A read transaction that `begin` gives, and the meta page that is its state.

    Others may commit between the two, so several are tried; None where none fits.
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


def _copy_compact(engine: "LmdbEngine", target: str) -> None:
    for _ in range(_TRIES):
        # LMDB copies in a transaction of its own. This one keeps the map from being enlarged, which
        # would take it away from there, and is on all that is written.
        txn = engine.begin()
        try:
            txn._env.copy(os.path.dirname(target), compact=True)
            return
        except lmdb.MapResizedError:  # another process has written more since: again
            os.unlink(target)
        except lmdb.Error as error:
            raise translated(error, os.path.dirname(target)) from error
        finally:
            txn.abort()
    raise StorageError(f"cannot copy {engine.path!r}: it grows too fast")


def _copy_pages(engine: "LmdbEngine", target: str) -> None:
    if identity(engine.path) != engine.identity:
        raise StorageError(
            f"cannot copy {engine.path!r} as it is: it has been moved or replaced since it was "
            "opened; open it again where it is now"
        )
    for _ in range(_TRIES):
        meta, txn = meta_of(engine.path, engine.begin, lambda txn: txn._txn.id())
        if meta is None or txn is None:
            raise StorageError(f"cannot copy {engine.path!r}: its meta pages cannot be read")
        try:
            _write_pages(meta, os.path.join(engine.path, "data.mdb"), target)
            if isinstance(txn, UnregisteredTransaction):
                txn.check()
            return
        except DamageError as damage:
            raise StorageError(f"cannot copy {engine.path!r}: {damage}") from damage
        except SnapshotOverwrittenError:
            os.unlink(target)
        finally:
            txn.abort()
    raise StorageError(
        f"cannot copy {engine.path!r}: it is being written, and this process may not write its "
        "lock.mdb, which would keep what is copied; give it the right to"
    )


def _write_pages(meta: Meta, source: str, target: str) -> None:
    """Write the file `target`: the state `meta` of `source`, with the pages where they are.

    The caller sees to it that they are not written meanwhile. Raises OSError, or DamageError where
    the file is shorter than it should be.
    """
    file = File(source)
    try:
        file.page_size = meta.page_size
        count = meta.last_page + 1
        with open(target, "xb") as copy:
            # LMDB wants two meta pages; the other one of the source may be of a later transaction.
            pair = [meta.raw, meta.earlier()]
            copy.write(b"".join(reversed(pair) if meta.txnid & 1 else pair))
            copy.writelines(
                file.read(page, min(_CHUNK, count - page)) for page in range(2, count, _CHUNK)
            )
    finally:
        file.close()
