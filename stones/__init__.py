"""stones: a dict that outlives the process, and typed collections above it.

Start with `stone`, which opens a store, and `Collection`, which keeps records in one. This module
is the public face: it hands out what lies in the folders below.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from stones.formats.encryption_keys import key_from_environment, key_from_file
from stones.formats.registered_types import register_type
from stones.formats.serializers import register_serializer, serializer_names
from stones.stores.copied_indexes import provide_copied_indexes
from stones.stores.edited_records import provide_renewal
from stones.stores.namespaces.namespace import Namespace
from stones.stores.opening import stone
from stones.stores.record_work import provide_record_work
from stones.stores.store import MemoryStore, Snapshot, Store

from .errors import (
    ChangedStepWarning,
    CollectionError,
    ConflictError,
    CorruptValueError,
    DuplicateKeyError,
    EncryptionKeyError,
    FormatMismatchError,
    InvalidKeyError,
    KeyTooLongError,
    KeyTypeError,
    LockTimeoutError,
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
    UnfinishedCopyError,
    UnknownOutcomeError,
    UnsupportedError,
    ValueTypeError,
)
from .errors import SerializerError as EncoderException  # its name in stones 0.3

if TYPE_CHECKING:
    from stones.collections.collection import Collection
    from stones.collections.index_declarations import Index, index
    from stones.collections.indexes.definition import IndexInfo
    from stones.collections.language.typed_conditions import each, known
    from stones.collections.ledger_entry import LedgerEntry
    from stones.collections.queries.query import Query
    from stones.collections.records.record_type import key
    from stones.collections.steps_report import StepFailure, StepsReport
    from stones.engines.lmdb.compaction import CompactReport
    from stones.migrations.exporting.exporting import ExportReport, export_to
    from stones.migrations.imports.importing import ImportFailure, ImportReport, import_from
    from stones.migrations.reencoding.reencode import MigrationReport, migrate
    from stones.migrations.steps.ledger import ledger
    from stones.migrations.steps.migration import Migration
    from stones.migrations.steps.step_files import load_migrations
    from stones.migrations.transfer.copying import CopyReport, copy
    from stones.repair.check import CheckReport, check
    from stones.repair.compacting import compact
    from stones.repair.findings import DamageFinding
    from stones.repair.info import StoreInfo, inspect
    from stones.repair.salvage import SalvageReport, salvage
    from stones.stores.dbm import DbmStore
    from stones.stores.json_file import JsonFileStore
    from stones.stores.leveldb import LevelDBStore
    from stones.stores.lmdb import LmdbStore
    from stones.stores.postgres import PostgresStore
    from stones.stores.redis import RedisStore
    from stones.stores.sqlite import SqliteStore
    from stones.stores.tiered import Tiered

    __version__: str
    Finding, Report, Salvaged = DamageFinding, CheckReport, SalvageReport

__all__ = [
    "ChangedStepWarning",
    "CheckReport",
    "Collection",
    "CollectionError",
    "CompactReport",
    "ConflictError",
    "CopyReport",
    "CorruptValueError",
    "DamageFinding",
    "DbmStore",
    "DuplicateKeyError",
    "EncoderException",
    "EncryptionKeyError",
    "ExportReport",
    "FormatMismatchError",
    "ImportFailure",
    "ImportReport",
    "Index",
    "IndexInfo",
    "InvalidKeyError",
    "JsonFileStore",
    "KeyTooLongError",
    "KeyTypeError",
    "LedgerEntry",
    "LevelDBStore",
    "LmdbStore",
    "LockTimeoutError",
    "MemoryStore",
    "Migration",
    "MigrationError",
    "MigrationReport",
    "Namespace",
    "NotOneError",
    "PostgresStore",
    "Query",
    "QueryError",
    "ReadOnlyError",
    "RecordError",
    "RedisStore",
    "ReservedKeyError",
    "SalvageReport",
    "SerializerError",
    "Snapshot",
    "SqliteStore",
    "StepFailure",
    "StepsReport",
    "StoneError",
    "StorageError",
    "Store",
    "StoreClosedError",
    "StoreFullError",
    "StoreInfo",
    "StoreOpenError",
    "Tiered",
    "TransactionError",
    "UnfinishedCopyError",
    "UnknownOutcomeError",
    "UnsupportedError",
    "ValueTypeError",
    "check",
    "compact",
    "copy",
    "each",
    "export_to",
    "import_from",
    "index",
    "inspect",
    "key",
    "key_from_environment",
    "key_from_file",
    "known",
    "ledger",
    "load_migrations",
    "migrate",
    "register_serializer",
    "register_type",
    "salvage",
    "serializer_names",
    "stone",
]

# The clients of engines, and what the layers above bring along (JSONPath), are loaded when they are
# first asked for.
_LAZY = {
    "CheckReport": "stones.repair.check",
    "Collection": "stones.collections.collection",
    "CompactReport": "stones.engines.lmdb.compaction",
    "CopyReport": "stones.migrations.transfer.copying",
    "DamageFinding": "stones.repair.findings",
    "DbmStore": "stones.stores.dbm",
    "ImportFailure": "stones.migrations.imports.importing",
    "ImportReport": "stones.migrations.imports.importing",
    "ExportReport": "stones.migrations.exporting.exporting",
    "Index": "stones.collections.index_declarations",
    "IndexInfo": "stones.collections.indexes.definition",
    "LedgerEntry": "stones.collections.ledger_entry",
    "LevelDBStore": "stones.stores.leveldb",
    "JsonFileStore": "stones.stores.json_file",
    "LmdbStore": "stones.stores.lmdb",
    "Migration": "stones.migrations.steps.migration",
    "MigrationReport": "stones.migrations.reencoding.reencode",
    "PostgresStore": "stones.stores.postgres",
    "Query": "stones.collections.queries.query",
    "RedisStore": "stones.stores.redis",
    "SalvageReport": "stones.repair.salvage",
    "SqliteStore": "stones.stores.sqlite",
    "StepFailure": "stones.collections.steps_report",
    "StepsReport": "stones.collections.steps_report",
    "StoreInfo": "stones.repair.info",
    "Tiered": "stones.stores.tiered",
    "check": "stones.repair.check",
    "compact": "stones.repair.compacting",
    "copy": "stones.migrations.transfer.copying",
    "export_to": "stones.migrations.exporting.exporting",
    "index": "stones.collections.index_declarations",
    "each": "stones.collections.language.typed_conditions",
    "import_from": "stones.migrations.imports.importing",
    "inspect": "stones.repair.info",
    "key": "stones.collections.records.record_type",
    "known": "stones.collections.language.typed_conditions",
    "ledger": "stones.migrations.steps.ledger",
    "load_migrations": "stones.migrations.steps.step_files",
    "migrate": "stones.migrations.reencoding.reencode",
    "salvage": "stones.repair.salvage",
}

# A store is copied with the indexes of its collections, and these are in a layer above.
provide_copied_indexes(lambda: import_module("stones.collections.copied_indexes").IndexesOfCopy)
# A file that people edit gets the counts and indexes of its collections anew, by the same layer.
provide_renewal(lambda: import_module("stones.collections.edited_records").renew_collections)

# The methods of a collection that change all records at once: by the layer above collections.
provide_record_work(lambda: import_module("stones.migrations.collection_work").CollectionWork)

# Names of the reports before they said what they are of. Imports of them go on working.
_FORMER = {"Finding": "DamageFinding", "Report": "CheckReport", "Salvaged": "SalvageReport"}

# Hidden from type checkers, to which each name would exist otherwise.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        current = _FORMER.get(name, name)
        if current in _LAZY:
            found = getattr(import_module(_LAZY[current]), current)
        elif name == "__version__":
            found = import_module("importlib.metadata").version("stones")
        else:
            raise AttributeError(f"module 'stones' has no attribute {name!r}")
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted(__all__)
