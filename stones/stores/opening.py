"""`stone()`, which opens a store of any kind."""

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, overload

from stones.errors import StoreOpenError, ValueTypeError
from stones.formats.encryption_keys import Encrypt
from stones.formats.messages import show

from .options import Functions
from .reader import K
from .schemes import check_class, class_for, is_registered, naming_the_client, scheme_of
from .store import MemoryStore, Store
from .timeout import TIMEOUT

if TYPE_CHECKING:
    from .lmdb import Durability, LmdbStore

S = TypeVar("S", bound=Store[Any, Any])

CO_VARKEYWORDS = 0x08
"""A function takes **keywords: `inspect.CO_VARKEYWORDS`, without loading `inspect`."""


@overload
def stone(
    name: str | bytes | os.PathLike[str] | os.PathLike[bytes],
    store: "type[LmdbStore[Any, Any]]",
    serialize: str | None = None,
    dump_load: Functions | None = (),
    value_type: type = bytes,
    key_type: type[K] = bytes,  # type: ignore[assignment]  # K is bytes where it is not given
    options: Mapping[str, Any] = {},
    *,
    trust_pickle: bool | None = None,
    checksums: bool | None = None,
    compress: str | bool | None = None,
    encrypt: Encrypt = None,
    iterable: Mapping[Any, Any] | Iterable[tuple[Any, Any]] = (),
    kwargs: Mapping[str, Any] | None = None,
    readonly: bool = False,
    create: bool = True,
    durability: "Durability" = "full",
    table: bytes | None = None,
    timeout: float | None = TIMEOUT,
) -> "LmdbStore[K, Any]": ...
@overload
def stone(
    name: str | os.PathLike[str],
    store: type[MemoryStore[Any, Any]],
    serialize: str | None = None,
    dump_load: Functions | None = (),
    value_type: type = bytes,
    key_type: type[K] = bytes,  # type: ignore[assignment]  # K is bytes where it is not given
    options: Mapping[str, Any] = {},
    *,
    trust_pickle: bool | None = None,
    checksums: bool | None = None,
    compress: str | bool | None = None,
    encrypt: Encrypt = None,
    iterable: Mapping[Any, Any] | Iterable[tuple[Any, Any]] = (),
    kwargs: Mapping[str, Any] | None = None,
    timeout: float | None = TIMEOUT,
) -> MemoryStore[K, Any]: ...
@overload
def stone(
    name: str | os.PathLike[str],
    store: type[S],
    serialize: str | None = None,
    dump_load: Functions | None = (),
    value_type: type = bytes,
    key_type: type[Any] = bytes,
    options: Mapping[str, Any] = {},
    *,
    trust_pickle: bool | None = None,
    checksums: bool | None = None,
    compress: str | bool | None = None,
    encrypt: Encrypt = None,
    iterable: Mapping[Any, Any] | Iterable[tuple[Any, Any]] = (),
    kwargs: Mapping[str, Any] | None = None,
    readonly: bool = False,
    create: bool = True,
    durability: "Durability" = "full",
    table: bytes | None = None,
    timeout: float | None = TIMEOUT,
) -> S: ...
@overload
def stone(
    name: str | os.PathLike[str],
    store: None = None,
    serialize: str | None = None,
    dump_load: Functions | None = (),
    value_type: type = bytes,
    key_type: type[K] = bytes,  # type: ignore[assignment]  # K is bytes where it is not given
    options: Mapping[str, Any] = {},
    *,
    trust_pickle: bool | None = None,
    checksums: bool | None = None,
    compress: str | bool | None = None,
    encrypt: Encrypt = None,
    iterable: Mapping[Any, Any] | Iterable[tuple[Any, Any]] = (),
    kwargs: Mapping[str, Any] | None = None,
    readonly: bool = False,
    create: bool = True,
    durability: "Durability" = "full",
    table: bytes | None = None,
    timeout: float | None = TIMEOUT,
) -> Store[K, Any]: ...
def stone(
    name: str | bytes | os.PathLike[str] | os.PathLike[bytes],
    store: type[Any] | None = None,
    serialize: str | None = None,
    dump_load: Functions | None = (),
    value_type: type = bytes,
    key_type: type[Any] = bytes,
    options: Mapping[str, Any] = {},
    *,
    trust_pickle: bool | None = None,
    checksums: bool | None = None,
    compress: str | bool | None = None,
    encrypt: Encrypt = None,
    iterable: Mapping[Any, Any] | Iterable[tuple[Any, Any]] = (),
    kwargs: Mapping[str, Any] | None = None,
    readonly: bool = False,
    create: bool = True,
    durability: "Durability | None" = None,
    table: bytes | None = None,
    timeout: float | None = TIMEOUT,
) -> Any:
    """Open a store: `stone('my-db', LmdbStore, serialize='msgpack')`.

    `name` is the path of a store on disk, which is made where it is not there yet. `store` is the
    class, such as `LmdbStore` or `MemoryStore`, or a class of your own. Without a class the name
    says it: `lmdb:PATH` and `sqlite:PATH` are stores on disk, `postgresql://...` is one on a
    server. `memory:NAME`, or any other name, is a store in memory, which is gone with the process.
    A name without a class that looks like a path is refused. `Store.from_url` reads such URLs. A
    class of another package may have a scheme of its own, by an entry point.

    `Store` describes the options. `LmdbStore` describes `readonly`, `create`, `durability` and
    `table`. `options` are further options, for a class of your own.

    Raises StoreOpenError if the store cannot be opened, SerializerError for an unknown serializer.
    Raises FormatMismatchError if the store is written by another serializer than the one named, and
    ValueTypeError for an option that the class does not have.

    >>> from stones import LmdbStore, stone
    >>> store = stone('my-db', LmdbStore, serialize='json')
    >>> store['greeting'] = 'hello'
    >>> store['greeting']
    'hello'
    >>> store.close()
    >>> stone('lmdb:my-db')
    <LmdbStore 'my-db': 1 entry, json>
    """
    if isinstance(name, bytes) and store is not None and not _is_memory(store):
        name = os.fsdecode(name)
    scheme = scheme_of(name)
    if store is None:
        _check_name(name)
        store = class_for(scheme) if scheme else _class_of_plain(name)
    elif not _is_url_for(store, scheme):
        scheme = ""
    opener: Any = store  # to type checkers the class of a store takes an engine
    if not (isinstance(store, type) and issubclass(store, Store)) or store is Store:
        raise StoreOpenError(
            f"{show(store)} is no kind of store: use MemoryStore, LmdbStore or another class that "
            "is derived from Store"
        )
    if _is_memory(store):
        _check_name(name)
    special = {
        "readonly": readonly,
        "create": create,
        "durability": durability,
        "table": table,
        "timeout": timeout,
    }
    more = {option: value for option, value in special.items() if value != _DEFAULTS[option]}
    more.update(options)
    if durability == "full" and "durability" not in (_options_of(store) or ()):
        more.pop("durability", None)  # nothing less is there: a server, or memory
    _check_options(store, more)
    common = {
        "serialize": serialize,
        "dump_load": dump_load or (),
        "value_type": value_type,
        "key_type": key_type,
        "trust_pickle": trust_pickle,
        "checksums": checksums,
        "compress": compress,
        "encrypt": encrypt,
        "iterable": iterable,
        "kwargs": kwargs,
    }
    with naming_the_client(scheme):
        return (opener.from_url if scheme else opener)(name, **{**common, **more})


_DEFAULTS = {
    "readonly": False,
    "create": True,
    "durability": None,
    "table": None,
    "timeout": TIMEOUT,
}
_SUFFIXES = (".db", ".lmdb", ".mdb")


def _is_url_for(store: Any, scheme: str) -> bool:
    """Whether a name with this scheme is a URL to the class `store`. Otherwise it is a path.

    Raises StoreOpenError for a URL of another class.
    """
    if not is_registered(scheme):
        return False
    if not isinstance(store, type):
        return False
    check_class(store, scheme)
    return issubclass(store, class_for(scheme))


def _class_of_plain(name: Any) -> type[Store[Any, Any]]:
    """The class for a name that is no URL: MemoryStore.

    Raises StoreOpenError for a name that its user may have taken for a path. A store in memory
    would show nothing of the entries on disk, and its entries would end with the process.
    """
    if isinstance(name, str) and is_registered(scheme_of(name.strip())):
        raise StoreOpenError("there is a space before the URL: remove it")
    if isinstance(name, os.PathLike) or _looks_like_a_path(name):
        path = str.__str__(os.fsdecode(name))  # the repr of a subclass may be anything
        raise StoreOpenError(
            f"{path!r} looks like a path, but no class says that the store is on disk: open it by "
            f"stone({path!r}, LmdbStore) or stone({'lmdb:' + path!r}), or with the scheme of "
            "another engine; for a store in memory, stone('memory:')"
        )
    return MemoryStore


def _is_memory(store: Any) -> bool:
    return isinstance(store, type) and issubclass(store, MemoryStore)


def _check_name(name: Any) -> None:
    try:
        os.fsdecode(name)
    except TypeError:  # a Path of another class may have anything inside
        is_name = False
    else:
        is_name = isinstance(name, str | os.PathLike)
    if not is_name:
        raise StoreOpenError(f"the name of a store is a str or a Path, not {show(name)}")


def _looks_like_a_path(name: str) -> bool:
    if not name or "\0" in name:
        return False
    marks = "/" in name or "\\" in name or name.startswith(("~", ".")) or name.endswith(_SUFFIXES)
    return marks or os.path.exists(name)


def _options_of(store: type) -> tuple[str, ...] | None:
    """The options of the class `store`; None if it takes any."""
    init: Any = store.__init__  # type: ignore[misc]  # looked at, not called
    code = getattr(init, "__code__", None)
    # MemoryStore takes any other keyword argument for an entry.
    if code is None or (code.co_flags & CO_VARKEYWORDS and init is not MemoryStore.__init__):
        return None
    known: tuple[str, ...] = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return known[1:]


def _check_options(store: type, options: Mapping[str, Any]) -> None:
    """Raise ValueTypeError for an option that the class `store` does not have."""
    known = _options_of(store)
    if known is None:
        return
    unknown = options.keys() - {*known}
    if unknown:
        raise ValueTypeError(
            f"{store.__name__} has no option {min(unknown)!r}: it has {', '.join(known[1:])}"
        )
