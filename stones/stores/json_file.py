"""The store in one JSON file, which people can read and edit.

`stones.engines.json_file.engine` is the engine below it.
"""

import os
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, get_args

from attrs import evolve

from stones.engine import Engine
from stones.engines.json_file.engine import JsonFile
from stones.engines.lmdb.directory import path_of
from stones.engines.whole_file.engine import WholeFileEngine
from stones.formats.encryption_keys import Encrypt
from stones.formats.metadata import IDS, Format, Metadata, new_metadata
from stones.formats.request import FormatRequest

from .edited_records import renew_derived
from .options import Functions, check_durability, check_unpacked, checked_request
from .reader import K, V
from .store import Store
from .timeout import TIMEOUT, timeout_of
from .whole_file import Durability, metadata_entries


class JsonFileStore(Store[K, V]):
    """A store in one JSON file: for settings, and for what people read and edit.

    The whole file is written anew by each transaction, which costs O(n): it is for some MB at most.
    It is there whole at any moment, also after a crash. If somebody edits it, the next operation
    sees that. A file that was written by hand is a store too.

    Beside the options of `Store` it takes these:

    - `path` is a file, as str, bytes or a Path. It is made where it is not there yet.
    - `readonly=True` opens an existing file without ever writing to it.
    - `create=False` refuses a path where there is no file.
    - `durability` says what a write has survived when it returns. `'full'`: a power cut. `'lazy'`:
      a crash of the process, while a power cut may undo the last writes. `'none'`: a crash of the
      process, while a power cut may destroy the file.
    - `serialize` is `'json'` for a new file, if nothing else is named. The values of any other
      serializer, and values with `checksums=True`, are in base64.

    Raises StoreOpenError for a file that is no JSON, or cannot be opened. Raises StorageError in a
    later operation if somebody has edited the file and it is no JSON any more; nothing is written
    then. Raises ConflictError if somebody has edited the file during a transaction.

    >>> from pathlib import Path
    >>> from stones import JsonFileStore
    >>> store = JsonFileStore('settings.json', key_type=str)
    >>> store['theme'] = 'dark'
    >>> store['window'] = {'width': 800}
    >>> print(Path('settings.json').read_text(), end='')
    {
      "theme": "dark",
      "window": {
        "width": 800
      }
    }
    """

    default_serializer: ClassVar[str] = "json"

    def __init__(
        self,
        path: str | bytes | os.PathLike[str] | os.PathLike[bytes],
        *,
        readonly: bool = False,
        create: bool = True,
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
        check_unpacked(request, "a JSON file")
        # Another name or format is an error once the store is open; until then any is read.
        reading = evolve(request, name=None, checksums=None)

        def renew(engine: Engine) -> None:
            renew_derived(engine, self.path, reading)

        plain = new_metadata("json")
        self._engine = WholeFileEngine(
            JsonFile(self.path, _entries_of(plain), renew),
            first=_entries_of(_first_metadata(request, plain)),
            readonly=readonly,
            create=create,
            durability=durability,
            timeout=timeout_of(timeout),
        )
        super().__init__(
            self._engine,
            name=self.path,
            place=f"json:{self.path}",
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

    def destroy(self, *, yes_im_sure: bool = False) -> None:
        """Close the store and delete its file. Does nothing without `yes_im_sure=True`.

        Another store that is open on the file goes on reading what was there; a write to it is a
        StorageError. Raises StorageError if something else is in the place of the file.
        """
        if yes_im_sure:
            if not self.database.closed:
                self._engine.stats()  # reads what others have written last
            self.close()
            self._engine.remove()


_PLAIN = b"1-plain"
"""The generation of the metadata that a file without any stands for: the same in all processes."""


def _first_metadata(request: FormatRequest, plain: Metadata) -> Metadata:
    """The metadata of a new file. It lists JSON in any case, for values that people add."""
    if request.name in (None, "json") and not request.checksums:
        return plain
    new = new_metadata(request.name or "json", bool(request.checksums))
    json = Format(IDS["json"], "json")
    return evolve(new, formats={json.id: json, **new.formats})


def _entries_of(metadata: Metadata) -> dict[bytes, bytes]:
    """The entries of `Space.META` that say what `metadata` says."""
    entries = metadata_entries(metadata)
    return {**entries, b"generation": _PLAIN} if metadata == new_metadata("json") else entries
