"""Which class of stores a URL stands for: `sqlite:app.db` is opened by `SqliteStore`.

A package with a class of its own registers it as an entry point of the group `stones.stores`. The
name of the entry point is the scheme. In the pyproject.toml of the package::

    [project.entry-points."stones.stores"]
    cloud = "my_package.stores:CloudStore"

Then `stone('cloud://...')` calls `CloudStore.from_url('cloud://...', **options)`. A scheme of
stones cannot be taken.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from stones.errors import StoreOpenError
from stones.formats.messages import show, show_error

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "stones.stores"
"""The group of entry points with the classes of others, by their schemes."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+")  # RFC 3986, section 3.1; one letter is a drive


class Scheme(NamedTuple):
    """A class of ours, the module that it is in, and the extra that installs its client."""

    module: str
    name: str
    extra: str = ""


_OURS = {
    "dbm": Scheme("stones.stores.dbm", "DbmStore"),
    "json": Scheme("stones.stores.json_file", "JsonFileStore"),
    "leveldb": Scheme("stones.stores.leveldb", "LevelDBStore", "leveldb"),
    "lmdb": Scheme("stones.stores.lmdb", "LmdbStore"),
    "memory": Scheme("stones.stores.store", "MemoryStore"),
    "postgres": Scheme("stones.stores.postgres", "PostgresStore", "postgres"),
    "postgresql": Scheme("stones.stores.postgres", "PostgresStore", "postgres"),
    "redis": Scheme("stones.stores.redis", "RedisStore", "redis"),
    "rediss": Scheme("stones.stores.redis", "RedisStore", "redis"),
    "sqlite": Scheme("stones.stores.sqlite", "SqliteStore"),
    "unix": Scheme("stones.stores.redis", "RedisStore", "redis"),
    "valkey": Scheme("stones.stores.redis", "RedisStore", "redis"),
    "valkeys": Scheme("stones.stores.redis", "RedisStore", "redis"),
}
_CLIENTS = {"lmdb", "plyvel", "psycopg", "redis", "sqlite3", "_sqlite3"}
"""The modules that may be missing where stones is installed."""


def scheme_of(name: object) -> str:
    """The scheme of a URL, in lower case; '' for a name that is no URL, such as `C:\\stores`.

    >>> scheme_of('SQLite:app.db'), scheme_of('app.db'), scheme_of('c:/app.db')
    ('sqlite', '', '')
    """
    if not isinstance(name, str):
        return ""
    scheme, colon, rest = name.partition(":")
    is_scheme = bool(colon) and (rest.startswith("//") or _SCHEME.fullmatch(scheme) is not None)
    return scheme.lower() if is_scheme and len(scheme) > 1 else ""


def is_ours(scheme: str) -> bool:
    """Whether the scheme is of a class that comes with stones."""
    return scheme in _OURS


def is_registered(scheme: str) -> bool:
    """Whether the scheme is of a class that comes with stones, or of an entry point."""
    found = scheme and (is_ours(scheme) or any(_points_for(scheme)))
    return bool(found)


def likely_scheme(scheme: str) -> str | None:
    """The registered scheme that an unknown one is most like, or None if no scheme is like it.

    >>> likely_scheme('sqllite'), likely_scheme('postgresql+psycopg'), likely_scheme('notes')
    ('sqlite', 'postgresql', None)
    """
    from difflib import get_close_matches  # only an error needs it

    base = scheme.partition("+")[0]  # SQLAlchemy has postgresql+psycopg://
    meant = get_close_matches(base, _known_schemes(), n=1, cutoff=0.7)
    return meant[0] if meant else None


def unknown_scheme(scheme: str) -> StoreOpenError:
    """The error for a URL whose scheme nobody has registered. It lists those that are known."""
    meant = likely_scheme(scheme)
    hint = f"; is {meant}: meant?" if meant else "."
    extras = {scheme: ours.extra for scheme, ours in _OURS.items() if ours.extra}
    known = [
        f"{name}: (pip install stones[{extras[name]}])" if name in extras else f"{name}:"
        for name in _known_schemes()
    ]
    # Not with the whole URL, which may have a password.
    return StoreOpenError(
        f"no store is known for {show(scheme + ':')} URLs{hint} stones knows {', '.join(known)}. "
        f"Other packages may add classes, by entry points of the group {GROUP}. A path with a "
        "colon is written ./PATH"
    )


def class_for(scheme: str) -> Any:
    """The class that opens URLs with this scheme: ours, or the class of an entry point.

    Raises StoreOpenError for a scheme that nobody has registered, for one that two packages have
    registered, and for a class that cannot be loaded.
    """
    ours = _OURS.get(scheme)
    if ours is not None:
        with naming_the_client(scheme):
            return getattr(import_module(ours.module), ours.name)
    found = _points_for(scheme)
    if not found:
        raise unknown_scheme(scheme)
    if len({point.value for point in found}) > 1:
        origins = " and ".join(map(_origin, found))
        raise StoreOpenError(f"{origins} both have a class for {scheme}: URLs: uninstall one")
    try:
        return found[0].load()
    except Exception as error:  # the module of another package may raise anything
        raise StoreOpenError(
            f"{_origin(found[0])} has a class for {scheme}: URLs, which cannot be loaded: "
            f"{show_error(error)}"
        ) from error


@contextmanager
def naming_the_client(scheme: str) -> Iterator[None]:
    """If the client of the engine is not installed, raise a StoreOpenError that says what to do."""
    try:
        yield
    except ImportError as error:
        ours = _OURS.get(scheme)
        missing = (error.name or "").partition(".")[0]
        if ours is None or missing not in _CLIENTS:
            raise
        advice = f"run `pip install stones[{ours.extra}]`" if ours.extra else f"install {missing}"
        raise StoreOpenError(
            f"{scheme}: URLs need the package {missing}, which cannot be imported ({error}): "
            f"{advice}"
        ) from error


def check_class(store: type, scheme: str) -> None:
    """Raise StoreOpenError if URLs with this scheme are opened by another class of ours."""
    if is_ours(scheme) and not issubclass(store, meant := class_for(scheme)):
        raise StoreOpenError(
            f"a name that begins with {scheme}: is that of a {meant.__name__}, not {show(store)}"
        )


def path_in(url: str) -> str:
    """The path in a URL of a store on this machine: `scheme:PATH` or `scheme:///PATH`.

    The path is taken as it is written: `%20` in it is no space, and `?` is part of it.

    >>> path_in('sqlite:app.db'), path_in('sqlite:///var/app.db')
    ('app.db', '/var/app.db')

    Raises StoreOpenError if the URL names another machine, or is no URL.
    """
    scheme, colon, rest = url.partition(":")
    if not colon:
        raise StoreOpenError(f"{show(url)} is no URL: write SCHEME:PATH")
    if rest.startswith("//") and not rest.startswith("///"):
        # Not with the whole URL, which may have a password.
        raise StoreOpenError(
            f"a URL {scheme.lower()}://HOST names another machine, but the store is on this one: "
            f"write {scheme}:PATH, or {scheme}:///PATH"
        )
    return rest.removeprefix("//")


def _entry_points() -> "list[EntryPoint]":
    from importlib.metadata import entry_points  # it costs more than all of stones.stores

    return sorted(entry_points(group=GROUP), key=lambda point: point.value)


def _points_for(scheme: str) -> "list[EntryPoint]":
    return [point for point in _entry_points() if point.name.lower() == scheme]


def _origin(point: "EntryPoint") -> str:
    """The package that an entry point comes from, and the class, for an error."""
    package = point.dist.name if point.dist is not None else "an unknown package"
    return f"{package} ({show(point.value)})"


def _known_schemes() -> list[str]:
    return sorted({*_OURS, *(point.name.lower() for point in _entry_points())})
