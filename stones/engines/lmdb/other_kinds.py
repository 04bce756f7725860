"""What is at a path where no LMDB store is: perhaps a store of another kind, which has a URL.

Errors suggest the URL, because a path always stands for an LMDB store.
"""

import os
from contextlib import suppress
from stat import S_ISREG

_PAGE = 4096
"""The first page of a file of SQLite tells of its tables."""


def suggested_url(path: str) -> str:
    """What to write for a store of another kind at `path`, as the end of an error. '' without one.

    >>> from pathlib import Path
    >>> size = Path('notes.json').write_text('{"milk": 2}')
    >>> suggested_url('notes.json')
    "; a store of another kind is named by its URL: 'json:notes.json'"
    """
    scheme = None
    with suppress(OSError):
        scheme = _scheme_at(path)
    return (
        f"; a store of another kind is named by its URL: {f'{scheme}:{path}'!r}" if scheme else ""
    )


def _scheme_at(path: str) -> str | None:
    if os.path.isdir(path):
        names = os.listdir(path)
        is_leveldb = "CURRENT" in names and any(name.startswith("MANIFEST-") for name in names)
        return "leveldb" if is_leveldb else None
    if os.path.lexists(path):
        if not S_ISREG(os.stat(path).st_mode):  # to open a pipe would wait for ever
            return None
        with open(path, "rb") as file:
            start = file.read(_PAGE)
        if start.startswith(b"SQLite format 3\0"):
            return "dbm" if b"TABLE Dict" in start else "sqlite"
        if start.lstrip().startswith(b"{"):
            return "json"
    from dbm import whichdb  # only an error needs it

    return "dbm" if whichdb(path) else None
