"""`stone()`, which opens a store of any kind."""

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, overload

from stones.errors import StoreOpenError

from .store import MemoryStore, Store

if TYPE_CHECKING:
    from .lmdb import LmdbStore

S = TypeVar("S", bound=Store[Any, Any])

Functions = tuple[Callable[[Any], bytes], Callable[[bytes], Any]] | tuple[()] | None


@overload
def stone(
    name: str | os.PathLike[str],
    store: type[MemoryStore[Any, Any]] = ...,
    serialize: str | None = ...,
    dump_load: Functions = ...,
    value_type: type = ...,
    *,
    options: Mapping[str, Any] = ...,
) -> MemoryStore[bytes, Any]: ...
@overload
def stone(
    name: str | os.PathLike[str],
    store: "type[LmdbStore[Any, Any]]",
    serialize: str | None = ...,
    dump_load: Functions = ...,
    value_type: type = ...,
    *,
    options: Mapping[str, Any] = ...,
) -> "LmdbStore[bytes, Any]": ...
@overload
def stone(
    name: str | os.PathLike[str],
    store: type[MemoryStore[Any, Any]] = ...,
    serialize: str | None = ...,
    dump_load: Functions = ...,
    value_type: type = ...,
    *,
    key_type: type[str],
    options: Mapping[str, Any] = ...,
) -> MemoryStore[str, Any]: ...
@overload
def stone(
    name: str | os.PathLike[str],
    store: "type[LmdbStore[Any, Any]]",
    serialize: str | None = ...,
    dump_load: Functions = ...,
    value_type: type = ...,
    *,
    key_type: type[str],
    options: Mapping[str, Any] = ...,
) -> "LmdbStore[str, Any]": ...
@overload
def stone(
    name: str | os.PathLike[str],
    store: type[S],
    serialize: str | None = ...,
    dump_load: Functions = ...,
    value_type: type = ...,
    key_type: type = ...,
    options: Mapping[str, Any] = ...,
) -> S: ...
def stone(
    name: str | os.PathLike[str],
    store: type[Any] = MemoryStore,
    serialize: str | None = None,
    dump_load: Functions = (),
    value_type: type = bytes,
    key_type: type = bytes,
    options: Mapping[str, Any] = {},
) -> Any:
    """Open a store: `stone('my-db', LmdbStore, serialize='msgpack')`.

    `name` is the path of a store on disk, which is made where it is not there yet; for a
    `MemoryStore` it says nothing. `serialize` names how values are written: pickle, json, cbor,
    msgpack, noop, or one of your own (`register_serializer`); None takes what the store is written
    in, pickle for a new one. `dump_load=(encode, decode)` gives two functions in its place.
    `value_type` is the container that `deep_add` makes; `key_type=str` gives keys back as str.
    `options` are passed on to the store class.

    Raises FormatMismatchError where the store is written by another serializer, StoreOpenError
    where it cannot be opened, SerializerError for an unknown serializer.

    >>> stor = stone('scratch', serialize='json')
    >>> stor['greeting'] = 'hello'
    >>> stor['greeting']
    'hello'
    """
    if not (isinstance(store, type) and issubclass(store, Store)) or store is Store:
        raise StoreOpenError(f"{store!r} is no kind of store: use MemoryStore or LmdbStore")
    opener: Any = store
    return opener(
        name,
        serialize=serialize,
        dump_load=dump_load or (),
        value_type=value_type,
        key_type=key_type,
        **options,
    )
