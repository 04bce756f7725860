"""Refuses a data file that has been cut short, before LMDB opens it.

LMDB maps the file and trusts its meta page. If it reads a page behind the end of the file, a SIGBUS
ends the process. But a sound file may also be shorter than its number of pages, if LMDB never wrote
the last ones. Those pages are in the list of free pages, which is read only if the file is short.
"""

import os
from contextlib import closing

from stones.errors import StoreOpenError

from .pages import File, Meta


def check_not_truncated(path: str) -> None:
    """Raise StoreOpenError if the data file in the directory `path` has been cut short."""
    try:
        file = File(os.path.join(path, "data.mdb"))
    except OSError:
        return  # there is no file yet, or LMDB's error will say why it cannot be opened
    with closing(file):
        metas, _ = file.metas()
        # The size is read after the meta pages: another process may make the file larger between.
        file.size = file.stamp()[0]
        if file.size == 0:
            raise StoreOpenError(
                f"the data.mdb in {path!r} is empty: it was cut short, or another program made it; "
                "restore it from a backup, or move it away"
            )
        # Without meta pages it is no file of LMDB, and LMDB says so.
        if metas and is_cut_short(file, metas[0]):
            raise StoreOpenError(
                f"the data.mdb in {path!r} has been cut short: {file.size:,} bytes are there of "
                f"{(metas[0].last_page + 1) * file.page_size:,}; restore it from a backup, or "
                "`stones salvage` what is left"
            )


def is_cut_short(file: File, meta: Meta) -> bool:
    """Whether pages that are in use in the state `meta` are behind the end of the file."""
    if file.size >= (meta.last_page + 1) * file.page_size:
        return False
    from .survey import page_count  # few files need it
    from .trees import FREE, read_free_pages

    marks = bytearray(page_count(file, meta))
    read_free_pages(file, meta, marks)
    missing = marks[file.size // file.page_size : meta.last_page + 1]
    return len(marks) <= meta.last_page or not all(mark & FREE for mark in missing)
