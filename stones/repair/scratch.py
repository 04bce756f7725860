"""A scratch store: an empty store in the same place as another one, which is removed at the end.

It is on the same disk or server, and it writes values in the same format.

    my-db                       my-db.scratch-1f2e3d4c
    sqlite:app.db               sqlite:app.db.scratch-1f2e3d4c
    redis://host/0?prefix=shop  redis://host/0?prefix=scratch-1f2e3d4c
    postgresql://host/app       postgresql://host/app?table=scratch_1f2e3d4c
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from attrs import frozen

from stones.errors import UnsupportedError
from stones.stores.existing import lmdb_path, shown_url
from stones.stores.opening import stone
from stones.stores.schemes import path_in, scheme_of
from stones.stores.store import Store

_WHOLE_FILES = ("json", "dbm")
"""The schemes of stores whose commit writes all entries: an empty one would tell nothing."""
_FILES = ("sqlite", "leveldb", *_WHOLE_FILES)
_IN_QUERY = {
    "postgresql": "table",
    "postgres": "table",
    **dict.fromkeys(("redis", "rediss", "unix", "valkey", "valkeys"), "prefix"),
}
"""The parameter that says which store on a server it is, by the scheme of the URL."""


@frozen
class Scratch:
    """A scratch store, until its block ends."""

    store: Store[Any, Any]
    shown: str
    """Its place, without a password."""
    folder: str | None
    """The directory that it is in. None on a server."""
    is_copy: bool
    """Whether it has the entries of the other store."""


@contextmanager
def scratch_store(like: Store[Any, Any], place: str) -> Iterator[Scratch]:
    """A scratch store beside the one that is at the path or URL `place`.

    Raises StoreError if it cannot be made there, and UnsupportedError for a store of a class that
    is not ours.
    """
    url, folder = _place_beside(place)
    codec = like.database.codec
    scheme = scheme_of(url)
    is_copy = scheme in _WHOLE_FILES
    store: Store[Any, Any] = stone(url, **codec.options())
    try:
        store.database.write_as(codec)
        if is_copy:
            store.update(iter(like.items()))  # entries only: records, without their collections
        shown = url.removeprefix("lmdb:") if scheme == "lmdb" else shown_url(url)
        yield Scratch(store, shown, folder, is_copy)
    finally:
        store.destroy(yes_im_sure=True)


def _place_beside(place: str) -> tuple[str, str | None]:
    """The URL of the scratch store, and the directory that it is in."""
    number = secrets.token_hex(4)
    path = lmdb_path(place)
    scheme = "lmdb" if path is not None else scheme_of(place)
    if path is None and scheme in _FILES:
        path = path_in(place)
    if path is not None:
        path = path.rstrip(os.sep)
        if os.path.basename(path) in ("", ".", ".."):  # what follows it would be in the store
            path = os.path.abspath(path)
        folder = os.path.dirname(os.path.abspath(path))
        return f"{scheme}:{path}.scratch-{number}", folder
    if scheme not in _IN_QUERY:
        raise UnsupportedError(f"no scratch store can be made beside one on {scheme}:")
    name = _IN_QUERY[scheme]
    head, _, query = place.partition("?")
    parts = [part for part in query.split("&") if part and not part.startswith(f"{name}=")]
    dash = "_" if name == "table" else "-"
    return f"{head}?{'&'.join([*parts, f'{name}=scratch{dash}{number}'])}", None
