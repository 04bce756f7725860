"""Is a data file as long as what is in it? A part that is not there would end the process.

LMDB maps the file and believes its meta page. To read a page behind the end is a SIGBUS, and not an
error. A sound file may be shorter than its pages, where the last ones were never written: those are
in the list of free pages, which is only read where the file is short.
"""

import os
from contextlib import closing

from stones.errors import StoreOpenError

from .pages import File


def check_not_truncated(path: str) -> None:
    """Raise StoreOpenError where the data file in the directory `path` has been cut short."""
    try:
        file = File(os.path.join(path, "data.mdb"))
    except OSError:
        return  # there is none yet, or opening it says why
    with closing(file):
        metas, _ = file.metas()
        file.size = file.stamp()[0]  # others may be writing: not before the meta pages
        if file.size == 0:
            raise StoreOpenError(
                f"the data.mdb in {path!r} is empty: it was cut short, or made by something else; "
                "restore it from a backup, or move it away"
            )
        if not metas or file.size >= (metas[0].last_page + 1) * file.page_size:
            return  # where it is none of LMDB's, LMDB says so
        from .survey import page_count  # few will ever need it
        from .trees import FREE, read_free

        marks = bytearray(page_count(file, metas[0]))
        read_free(file, metas[0], marks)
        missing = marks[file.size // file.page_size : metas[0].last_page + 1]
        if len(marks) <= metas[0].last_page or not all(mark & FREE for mark in missing):
            raise StoreOpenError(
                f"the data.mdb in {path!r} has been cut short: {file.size:,} bytes are there of "
                f"{(metas[0].last_page + 1) * file.page_size:,}; restore it from a backup, or "
                "`stones salvage` what is left"
            )
