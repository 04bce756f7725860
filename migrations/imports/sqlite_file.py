"""A file of SQLite that another program has written, opened so that it stays as it is.

Opening a file in WAL mode would make files beside it, and closing it would change it. A file with a
journal would be rolled back. Such a file is copied with its log or journal, and the copy is opened.
"""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from stones.errors import MigrationError
from stones.formats.messages import show

MAGIC = b"SQLite format 3\0"


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that only reads. Raises MigrationError for a file that is cut short."""
    header = _checked_header(path)
    unfinished = [
        beside
        for ending in ("-wal", "-journal")
        if (beside := Path(f"{path}{ending}")).exists() and beside.stat().st_size
    ]
    if unfinished:
        with tempfile.TemporaryDirectory() as folder:
            for file in (path, *unfinished):
                shutil.copyfile(file, Path(folder, file.name))
            with closing(_connect(Path(folder, path.name), "")) as connection:
                yield connection
        return
    is_log = header[18:19] == b"\x02"
    with closing(_connect(path, "?immutable=1" if is_log else "?mode=ro")) as connection:
        yield connection


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    url = f"file:{quote(os.fsencode(path.absolute()))}{mode}"
    connection = sqlite3.connect(url, uri=True)
    connection.execute("PRAGMA query_only = ON")
    return connection


def _checked_header(path: Path) -> bytes:
    with open(path, "rb") as file:
        header = file.read(100)
    if not header.startswith(MAGIC) or len(header) < 100:
        raise MigrationError(f"{show(str(path))} is no file of SQLite, or is cut short")
    size = int.from_bytes(header[16:18], "big")
    size = 65536 if size == 1 else size
    pages = int.from_bytes(header[28:32], "big")
    # The number of pages counts only if the program that wrote last has kept it.
    is_kept = header[24:28] == header[92:96]
    if is_kept and path.stat().st_size < size * pages and not Path(f"{path}-wal").exists():
        raise MigrationError(
            f"{show(str(path))} is cut short: it has {path.stat().st_size:,} bytes of "
            f"{size * pages:,}; no entry was read, and nothing was written"
        )
    return header


def tables(connection: sqlite3.Connection) -> dict[str, tuple[str, ...]]:
    """The names of the tables, each with the names of its columns."""
    names = [
        name
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' "
            "ESCAPE '\\' ORDER BY rowid"
        )
    ]
    return {
        name: tuple(row[1] for row in connection.execute(f"PRAGMA table_info({quoted(name)})"))
        for name in names
    }


def quoted(name: str) -> str:
    """A name as SQL spells it."""
    return '"' + name.replace('"', '""') + '"'
