"""The kinds of files that can be imported, and which kind a file is of where that is certain."""

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from stones.errors import MigrationError, StoneError
from stones.formats.messages import show

from . import sqlite_file
from .csv_table import CsvTable
from .diskcache import DiskCacheFolder, cache_folders
from .json_folder import JsonFolder
from .json_lines import JsonLines, PlainJsonLines, first_line
from .json_text import decoder
from .nedb import NeDBFile
from .shelves import DbmFile, Shelf, kind_of
from .sources import Options, Source
from .sqlitedict import SqliteDictFile, tables
from .stones03 import Stones03Database, current_store, is_stones03
from .tinydb import TinyDBFile, is_tinydb

KINDS: Mapping[str, Callable[[Path, Options], Source]] = {
    "shelve": Shelf,
    "dbm": DbmFile,
    "sqlitedict": SqliteDictFile,
    "diskcache": DiskCacheFolder,
    "tinydb": TinyDBFile,
    "json-folder": JsonFolder,
    "jsonl": JsonLines,
    "plain-jsonl": PlainJsonLines,
    "csv": CsvTable,
    "nedb": NeDBFile,
    "stones03": Stones03Database,
}
"""The class that reads each kind."""


def guessed_kind(path: Path) -> str:
    """The kind of what is at a path. Raises MigrationError if it is not certain."""
    found = _of_folder(path) if path.is_dir() else _of_file(path)
    if found is None and not path.is_dir():
        found = kind_of(path)  # its files may have the path with an ending
    if found is not None:
        return found
    if not path.exists():
        raise MigrationError(f"there is no file or folder {show(str(path))}")
    raise MigrationError(
        f"{show(str(path))} does not show what kind of file it is: name the kind, one of "
        + ", ".join(KINDS)
    )


def _of_folder(path: Path) -> str | None:
    if cache_folders(path):
        return "diskcache"
    if (path / "data.mdb").exists():
        with suppress(StoneError):
            if is_stones03(path):
                return "stones03"
            raise current_store(path)
        raise current_store(path)
    names = [found.suffix for found in path.rglob("*") if found.is_file()]
    return "json-folder" if names and {*names} == {".json"} else None


def _of_file(path: Path) -> str | None:
    if not path.is_file():
        return None
    suffix = path.suffix.lower()
    if suffix in (".jsonl", ".ndjson"):
        return "jsonl"
    if suffix in (".csv", ".tsv"):
        return "csv"
    with open(path, "rb") as file:
        if file.read(len(sqlite_file.MAGIC)) == sqlite_file.MAGIC:
            return _of_sqlite(path)
        file.seek(0)
        line = first_line(file)
    if not line.startswith(b"{"):
        return None
    decode = decoder(False)
    with suppress(ValueError):
        first = decode(line)
        if {"$$indexCreated", "$$indexRemoved", "$$deleted"} & {*first}:
            return "nedb"
        if type(first.get("_id")) is str and suffix != ".json":
            return "nedb"
        if suffix != ".json":
            return None
    with suppress(ValueError):
        if is_tinydb(decode(path.read_bytes())):
            return "tinydb"
    return None


def _of_sqlite(path: Path) -> str | None:
    try:
        with sqlite_file.opened(path) as connection:
            found = {*sqlite_file.tables(connection)}
            if "Dict" in found:
                return None  # of dbm.sqlite3
            if "stones_meta" in found:
                raise current_store(path)
            return "sqlitedict" if tables(connection) else None
    except sqlite3.Error as error:
        raise MigrationError(f"{show(str(path))} is a damaged file of SQLite: {error}") from error
