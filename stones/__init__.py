"""stones: a dict that outlives the process, and typed collections above it.

Start with `stone`, which opens a store, and `Collection`, which keeps records in one.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from stones.formats.serializers import register_serializer, serializer_names
from stones.stores.opening import stone
from stones.stores.store import MemoryStore, Snapshot, Store

from .errors import (
    CollectionError,
    CorruptValueError,
    DuplicateKeyError,
    FormatMismatchError,
    InvalidKeyError,
    KeyTooLongError,
    KeyTypeError,
    MigrationError,
    NotOneError,
    QueryError,
    ReadOnlyError,
    RecordError,
    ReservedKeyError,
    SerializerError,
    StoneError,
    StorageError,
    StoreClosedError,
    StoreFullError,
    StoreOpenError,
    TransactionError,
    ValueTypeError,
)
from .errors import SerializerError as EncoderException  # its name in stones 0.3

if TYPE_CHECKING:
    from stones.collections.collection import Collection
    from stones.collections.queries.query import Query
    from stones.collections.records.record_type import key
    from stones.migrations.reencode import migrate
    from stones.repair.check import CheckReport, check
    from stones.repair.contents import DamageFinding
    from stones.repair.salvage import SalvageReport, salvage
    from stones.stores.lmdb import LmdbStore

    __version__: str

__all__ = [
    "CheckReport",
    "Collection",
    "CollectionError",
    "CorruptValueError",
    "DamageFinding",
    "DuplicateKeyError",
    "EncoderException",
    "FormatMismatchError",
    "InvalidKeyError",
    "KeyTooLongError",
    "KeyTypeError",
    "LmdbStore",
    "MemoryStore",
    "MigrationError",
    "NotOneError",
    "Query",
    "QueryError",
    "ReadOnlyError",
    "RecordError",
    "ReservedKeyError",
    "SalvageReport",
    "SerializerError",
    "Snapshot",
    "StoneError",
    "StorageError",
    "Store",
    "StoreClosedError",
    "StoreFullError",
    "StoreOpenError",
    "TransactionError",
    "ValueTypeError",
    "check",
    "key",
    "migrate",
    "register_serializer",
    "salvage",
    "serializer_names",
    "stone",
]

# The client of a back end (lmdb), and what the layers above bring along (JSONPath), is loaded when
# it is first asked for.
_LAZY = {
    "Collection": "stones.collections.collection",
    "DamageFinding": "stones.repair.contents",
    "LmdbStore": "stones.stores.lmdb",
    "Query": "stones.collections.queries.query",
    "CheckReport": "stones.repair.check",
    "SalvageReport": "stones.repair.salvage",
    "check": "stones.repair.check",
    "key": "stones.collections.records.record_type",
    "migrate": "stones.migrations.reencode",
    "salvage": "stones.repair.salvage",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        found = getattr(import_module(_LAZY[name]), name)
    elif name == "__version__":
        found = import_module("importlib.metadata").version("stones")
    else:
        raise AttributeError(f"module 'stones' has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
