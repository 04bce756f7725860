"""The folder of a `Cache`, an `Index`, or a `FanoutCache` of diskcache.

A `FanoutCache` is a folder of caches. A large value is in a file of its own. `JSONDisk` writes keys
and values as compressed JSON. An entry may have a time at which it expires.
"""

import json
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from stones.errors import MigrationError
from stones.formats.messages import show, show_count, show_error

from . import sqlite_file
from .pickled import check_trusted, unpickled
from .sources import CutShortError, Entry, Options, PlainSource, Unreadable

FILE = "cache.db"
_RAW, _BINARY, _TEXT, _PICKLE = 1, 2, 3, 4
"""How diskcache writes a value: its column `mode`."""


class DiskCacheFolder(PlainSource):
    """The entries of all caches of a folder, the oldest of each cache first."""

    def __init__(self, path: Path, options: Options) -> None:
        super().__init__(path, options)
        self._now = time.time()
        self._folders = cache_folders(path)
        if not self._folders:
            raise MigrationError(f"{show(str(path))} is no folder of diskcache: it has no {FILE}")
        pickled = sum(self._count(folder, _PICKLED) for folder in self._folders)
        if pickled:
            verb = "is" if pickled == 1 else "are"
            entries = show_count(pickled, "entry", "entries")
            what = f"{entries} of {show(str(path))} {verb} pickled"
            check_trusted(options.trust_pickle, what)
        self._note(_LIVE + " AND expire_time IS NOT NULL", "the time of expiry of")
        self._note(_LIVE + " AND tag IS NOT NULL", "the tag of")
        inside = [name for name in ("cache", "deque", "index") if (path / name).is_dir()]
        self.notes += [f"the folder {name}/: import it by its own path" for name in inside]

    def entries(self) -> Iterator[Entry]:
        for folder in self._folders:
            with sqlite_file.opened(folder / FILE) as connection:
                try:
                    yield from self._of_cache(folder, connection)
                except sqlite3.DatabaseError as error:
                    raise CutShortError(f"SQLite cannot read on in {folder}: {error}") from error

    def _of_cache(self, folder: Path, connection: sqlite3.Connection) -> Iterator[Entry]:
        unpack: Callable[[Any], Any] = _unpacked if _is_of_json(connection) else _as_it_is
        for key, raw, expires, mode, name, size, value in connection.execute(
            "SELECT key, raw, expire_time, mode, filename, size, value FROM Cache ORDER BY rowid"
        ):
            if expires is not None and expires <= self._now:
                self.expired += 1
                continue
            found = unpack(key) if raw else unpickled(key)
            place = found
            if type(found) is Unreadable:
                yield show(key), None, found
                continue
            if name is not None:
                value = _content(folder / name, mode, size)
            if mode == _PICKLE:
                value = value if type(value) is Unreadable else unpickled(value)
            elif type(value) is not Unreadable:
                value = unpack(value)
            yield place, found, value

    def _note(self, condition: str, what: str) -> None:
        count = sum(self._count(folder, condition) for folder in self._folders)
        if count:
            self.notes.append(f"{what} {show_count(count, 'entry', 'entries')}: not taken over")

    def _count(self, folder: Path, condition: str) -> int:
        with sqlite_file.opened(folder / FILE) as connection:
            try:
                found = connection.execute(
                    f"SELECT COUNT(*) FROM Cache WHERE {condition}", {"now": self._now}
                ).fetchone()
            except sqlite3.DatabaseError as error:
                raise MigrationError(
                    f"{show(str(folder / FILE))} is no file of diskcache, or is damaged: {error}"
                ) from error
            return int(found[0])


def cache_folders(path: Path) -> list[Path]:
    """The folders of the caches that a folder of diskcache has."""
    if (path / FILE).exists():
        return [path]
    return sorted(found for found in path.glob("[0-9][0-9][0-9]") if (found / FILE).exists())


_LIVE = "(expire_time IS NULL OR expire_time > :now)"
_PICKLED = f"(raw = 0 OR mode = {_PICKLE}) AND {_LIVE}"


def _is_of_json(connection: sqlite3.Connection) -> bool:
    """Whether `JSONDisk` has written a cache, which is not noted: its keys are compressed JSON."""
    row = connection.execute("SELECT key, raw FROM Cache ORDER BY rowid LIMIT 1").fetchone()
    if row is None or type(row[0]) is not bytes or not row[1]:
        return False
    return type(_unpacked(row[0])) is not Unreadable


def _content(path: Path, mode: int, size: int) -> Any:
    """The value that is in a file of its own, of a size that the cache notes."""
    try:
        raw = path.read_bytes()
        if len(raw) != size:
            return Unreadable(f"the file with its value has {len(raw):,} bytes of {size:,}")
        return raw.decode() if mode == _TEXT else raw
    except (OSError, UnicodeDecodeError) as error:
        return Unreadable(f"the file with its value cannot be read: {show_error(error)}")


def _as_it_is(found: Any) -> Any:
    return found


def _unpacked(found: Any) -> Any:
    """What `JSONDisk` has written."""
    try:
        return json.loads(zlib.decompress(found))
    except (zlib.error, ValueError, TypeError) as error:
        return Unreadable(f"it is no compressed JSON: {show_error(error)}")
