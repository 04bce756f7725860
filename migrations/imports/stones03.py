"""A database of stones 0.3, which did not note its serializer."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stones.errors import FormatMismatchError, MigrationError, StoneError
from stones.formats.messages import show
from stones.stores.lmdb import LmdbStore

from .pickled import check_trusted
from .sources import Entry, Options, PlainSource, Unreadable


class Stones03Database(PlainSource):
    """The entries of a database of stones 0.3, as 0.3 gave them back."""

    def __init__(self, path: Path, options: Options) -> None:
        super().__init__(path, options)
        if options.serializer is None:
            raise MigrationError(
                f"stones 0.3 did not note the serializer of {show(str(path))}: name it with "
                "serializer= (on the command line --from), 'pickle' for example"
            )
        if options.serializer == "pickle":
            what = f"the values of {show(str(path))} are pickled"
            check_trusted(options.trust_pickle, what)
        with self._open() as store:
            if not store.database.is_stones03:
                raise current_store(path)

    def entries(self) -> Iterator[Entry]:
        with self._open() as store, store.snapshot() as snapshot:
            for key in snapshot:
                try:
                    value = snapshot[key]
                except StoneError as error:
                    value = Unreadable(str(error))
                yield key, key, value

    def _open(self) -> LmdbStore[bytes, Any]:
        options = self.options
        return LmdbStore(
            self.path,
            readonly=True,
            create=False,
            table=None if options.table is None else options.table.encode(),
            serialize=options.serializer,
            trust_pickle=options.trust_pickle,
        )


def is_stones03(path: Path) -> bool:
    """Whether an LMDB store is one of stones 0.3. Raises StoneError."""
    try:
        with LmdbStore(path, readonly=True, create=False):
            return False
    except FormatMismatchError as error:
        return "0.3" in str(error)


def current_store(path: Path) -> MigrationError:
    """The error for a store of this version."""
    return MigrationError(
        f"{show(str(path))} is a store of stones already: copy it with stones.copy(), or with "
        "`stones copy`"
    )
