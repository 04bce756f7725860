"""The store in the files of Python's `dbm` and `shelve`, for files that people have.

`stones.engines.dbm.engine` is the engine below it.
"""

import os
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

from stones.engine import Engine
from stones.engines.dbm.engine import DbmEngine
from stones.engines.lmdb.directory import path_of
from stones.errors import FormatMismatchError
from stones.formats.encryption_keys import Encrypt
from stones.formats.metadata import STONES03_ENCODINGS, new_metadata
from stones.formats.request import FormatRequest

from .database import Database
from .options import Functions, check_durability, check_unpacked, checked_request
from .reader import K, V
from .store import Store
from .timeout import TIMEOUT, timeout_of
from .whole_file import Durability, metadata_entries

DbmKind = Literal["gnu", "ndbm", "sqlite3", "dumb"]
"""The kinds of files that `dbm` has: `dbm.gnu` and so on."""


class DbmStore(Store[K, V]):
    """A store in the files of `dbm`: for files that `dbm` or `shelve` has written.

    All entries are in memory. Each transaction writes the files anew, which costs O(n): it is for
    some MB at most. The files are there whole at any moment, also after a crash.

    Beside the options of `Store` it takes these:

    - `path` is what `dbm.open` and `shelve.open` take, as str, bytes or a Path. The files may have
      it with an ending, `.dat` for instance. They are made where they are not there yet.
    - `serialize` has to be named for files of another program: `'pickle'` for `shelve`, `'noop'`
      for values that are bytes. `dump_load=(encode, decode)` takes any other. Such files stay as
      they were for `dbm` and `shelve`. They have no collections, until `migrate` makes them a store
      like any other.
    - `readonly=True` opens existing files without ever writing to them.
    - `create=False` refuses a path where there are no files.
    - `kind` is the kind of new files: `'gnu'`, `'ndbm'`, `'sqlite3'` or `'dumb'`. None takes gnu if
      this Python has it, and otherwise sqlite3.
    - `durability` says what a write has survived when it returns. `'full'`: a power cut. `'lazy'`:
      a crash of the process, while a power cut may undo the last writes. `'none'`: a crash of the
      process, while a power cut may destroy the files.

    Raises StoreOpenError for files that are not of `dbm`, or of a kind that this Python lacks.
    Raises FormatMismatchError for files of another program if no serializer is named.

    >>> import shelve
    >>> from stones import DbmStore
    >>> with shelve.open('old') as found:
    ...     found['a'] = [1, 2]
    >>> with DbmStore('old', serialize='pickle', key_type=str) as store:
    ...     store['b'] = {'n': 3}
    ...     dict(store)
    {'a': [1, 2], 'b': {'n': 3}}
    """

    def __init__(
        self,
        path: str | bytes | os.PathLike[str] | os.PathLike[bytes],
        *,
        readonly: bool = False,
        create: bool = True,
        kind: DbmKind | None = None,
        durability: Durability = "full",
        timeout: float | None = TIMEOUT,
        serialize: str | None = None,
        dump_load: Functions = (),
        value_type: type = bytes,
        key_type: type[K] = bytes,  # type: ignore[assignment]  # K is bytes where it is not given
        trust_pickle: bool | None = None,
        checksums: bool | None = None,
        compress: str | bool | None = None,
        encrypt: Encrypt = None,
        iterable: Mapping[Any, V] | Iterable[tuple[Any, V]] = (),
        kwargs: Mapping[str, V] | None = None,
    ) -> None:
        check_durability(durability, get_args(Durability))
        self.path = path_of(path)
        request = checked_request(
            key_type,
            value_type,
            serialize,
            dump_load,
            trust_pickle,
            checksums,
            compress,
            encrypt,
            self.default_serializer,
        )
        check_unpacked(request, "dbm")
        self._engine = DbmEngine(
            self.path,
            kind,
            first=_first_metadata(request),
            readonly=readonly,
            create=create,
            durability=durability,
            timeout=timeout_of(timeout),
        )
        super().__init__(
            self._engine,
            name=self.path,
            place=f"dbm:{self.path}",
            readonly=readonly,
            timeout=timeout,
            serialize=serialize,
            dump_load=dump_load,
            value_type=value_type,
            key_type=key_type,
            trust_pickle=trust_pickle,
            checksums=checksums,
            compress=compress,
            encrypt=encrypt,
            iterable=iterable,
            kwargs=kwargs,
        )

    @staticmethod
    def _open(database: Database, request: FormatRequest) -> None:
        _check_named(database.engine, request)
        database.open(request)

    def destroy(self, *, yes_im_sure: bool = False) -> None:
        """Close the store and delete its files. Does nothing without `yes_im_sure=True`.

        Another store that is open on them goes on reading what was there; a write to it is a
        StorageError. Raises StorageError if something else is in their place.
        """
        if yes_im_sure:
            if not self.database.closed:
                self._engine.stats()  # reads what others have written last
            self.close()
            self._engine.remove()


def _check_named(engine: Engine, request: FormatRequest) -> None:
    """Raise FormatMismatchError if files of another program are to be read in a wrong way."""
    if not (isinstance(engine, DbmEngine) and engine.legacy):
        return
    problem = None
    if request.name is None:
        problem = "does not say what its values are"
    elif request.name in STONES03_ENCODINGS:
        # Opened as a database of stones 0.3, text would come back as bytes.
        problem = f"may have values in {request.name}, but stones does not know how they were made"
    if problem is not None:
        raise FormatMismatchError(
            f"{engine.path!r} was written by dbm or shelve, and {problem}: open it with "
            "serialize='pickle' if it was shelve, which can run code, with serialize='noop' for "
            "plain bytes, or with dump_load=(encode, decode)"
        )


def _first_metadata(request: FormatRequest) -> dict[bytes, bytes]:
    """The entries of `Space.META` in new files."""
    return metadata_entries(new_metadata(request.name or "pickle", bool(request.checksums)))
