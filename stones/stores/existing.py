"""Opens a store that is there, by path or URL, for what works on a whole store from outside.

`check`, `inspect` and the command line take a path or a URL. A path is one of an LMDB store.
"""

import os
import types
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from stones.engine import Engine
from stones.engines.lmdb.directory import path_of
from stones.errors import StoreOpenError, UnsupportedError

from .database import Database
from .schemes import (
    class_for,
    is_registered,
    likely_scheme,
    naming_the_client,
    path_in,
    scheme_of,
    unknown_scheme,
)
from .store import MemoryStore, Store


def is_url(place: object) -> bool:
    """Whether `place` is a URL, or is meant to be one: its scheme may have a typo.

    A path with such a name is written `./sqlite:app.db`. A name with a colon whose scheme is like
    no other is a path, `copy-10:30` for instance, and so is a name that is on the disk.

    >>> is_url('sqlite:app.db'), is_url('sqllite:app.db'), is_url('typo://host')
    (True, True, True)
    >>> is_url('my-db'), is_url('./sqlite:app.db'), is_url('copy-10:30'), is_url(r'C:\\stores')
    (False, False, False, False)
    """
    scheme = scheme_of(place)
    if not scheme:
        return False
    if f"{scheme}://" in str(place).lower() or is_registered(scheme):
        return True
    return likely_scheme(scheme) is not None and not os.path.lexists(str(place))


def lmdb_path(place: Any) -> str | None:
    """The path of an LMDB store: a path, a URL `lmdb:PATH`, or an open store. None for others.

    Raises StoreOpenError for what is no path, no URL and no store, and for a URL whose scheme
    nobody has registered.
    """
    if isinstance(place, Store):
        return _path_of_engine(place.database.engine)
    if not is_url(place):
        return path_of(place)
    scheme = scheme_of(place)
    if not is_registered(scheme):
        raise unknown_scheme(scheme)
    return path_of(path_in(place)) if scheme == "lmdb" else None


def check_lmdb_options(place: Any, *options: object) -> None:
    """Raise UnsupportedError for an option of stones 0.3 with a store that is not on LMDB."""
    if any(option is not None for option in options):
        raise UnsupportedError(
            f"{shown_place(place)} is no LMDB store: a table, or the serializer of a database of "
            "stones 0.3, can be named for LMDB only"
        )


def required_lmdb_path(place: Any, what: str, instead: str) -> str:
    """The path of an LMDB store, for what only LMDB needs. Raises UnsupportedError for others."""
    path = lmdb_path(place)
    if path is None:
        raise UnsupportedError(f"{what}, and {shown_place(place)} is of another kind: {instead}")
    return path


def shown_place(place: Any) -> str:
    """A path, URL or store for a message, without a password."""
    if isinstance(place, Store):
        return repr(place.database.name)
    return repr(shown_url(place)) if is_url(place) else repr(place)


def shown_url(url: str) -> str:
    """A URL without its password, for messages.

    >>> shown_url('postgresql://ada:secret@host/db?password=secret&table=notes')
    'postgresql://ada:***@host/db?password=***&table=notes'
    """
    head, slashes, rest = url.partition("://")
    if not slashes:
        return url
    # Its user may have forgotten to quote a character of the password: look for the last @.
    user, _, host = rest.rpartition("@")
    name, colon, _ = user.partition(":")
    shown, question, query = (f"{name}:***@{host}" if colon else rest).partition("?")
    return f"{head}://{shown}{question}{'&'.join(map(_shown_parameter, query.split('&')))}"


def _shown_parameter(parameter: str) -> str:
    name, equals, _ = parameter.partition("=")
    return f"{name}=***" if equals and "pass" in name.lower() else parameter


def open_store(url: str, *, readonly: bool = False, **options: Any) -> Store[Any, Any]:
    """The store that a URL names, which has to be there. `options` are those of `Store`.

    Raises StoreOpenError.
    """
    return _open(class_for(scheme_of(url)), url, readonly, options)


@contextmanager
def open_database(url: str, *, readonly: bool = False, create: bool = False) -> Iterator[Database]:
    """The database of the store that a URL names, until the block ends.

    If there is no store, `create` makes one without metadata. Its metadata was not read, since that
    may be damaged: `open` it before anything but its engine is used.
    """
    cls = class_for(scheme_of(url))
    if not (isinstance(cls, type) and issubclass(cls, Store)):
        raise StoreOpenError(f"{cls!r} is no kind of store")
    names = {"_open": staticmethod(lambda *_: None)}
    engine_only = types.new_class(cls.__name__, (cls,), exec_body=lambda body: body.update(names))
    store = _open(engine_only, url, readonly, {}, create=create)
    try:
        yield store.database
    finally:
        store.database.abandon()


def _open(
    cls: Any, url: str, readonly: bool, options: dict[str, Any], *, create: bool = False
) -> Store[Any, Any]:
    if issubclass(cls, MemoryStore):
        raise StoreOpenError(
            f"{shown_url(url)!r} is a store in memory: it has no entries in another program, or "
            "after its end"
        )
    wanted = {"create": create, **({"readonly": True} if readonly else {})}
    with naming_the_client(scheme_of(url)):
        return cls.from_url(url, **options, **wanted)  # type: ignore[no-any-return]  # as it says


def _path_of_engine(engine: Engine) -> str | None:
    with suppress(ImportError):  # no LMDB, no store on it
        from stones.engines.lmdb.engine import LmdbEngine

        if isinstance(engine, LmdbEngine):
            return engine.path
    return None
