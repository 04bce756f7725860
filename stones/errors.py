"""Every error that stones raises, under one root.

Each is also the built-in error that a user of a plain dict would expect there, so `except KeyError`
or `except ValueError` go on working. A missing key is a plain `KeyError` that carries the key, as
with `dict`.
"""


class StoneError(Exception):
    """The root of all errors of stones."""

    def __str__(self) -> str:
        # KeyError shows the repr of its message; ours are sentences.
        return str(self.args[0]) if len(self.args) == 1 else super().__str__()


class KeyTypeError(StoneError, TypeError):
    """A key of a type that the store or the collection does not take."""


class InvalidKeyError(StoneError, ValueError):
    """A key of the right type that cannot be stored: empty, for instance."""


class KeyTooLongError(InvalidKeyError):
    """A key that is longer than the engine can store (511 bytes)."""


class ReservedKeyError(InvalidKeyError):
    """A write through the dict into the keys of a collection, past its count and indexes."""


class DuplicateKeyError(StoneError, KeyError):
    """A record with this primary key is there already."""


class ValueTypeError(StoneError, TypeError):
    """A value of a type that this operation does not work on."""


class SerializerError(StoneError, ValueError):
    """A value that the serializer cannot hold, or a serializer that is not known."""


class FormatMismatchError(StoneError, ValueError):
    """The store, or one of its values, is in another format than the one asked for."""


class CorruptValueError(StoneError, ValueError):
    """Stored bytes that cannot be read back as a value."""


class StoreClosedError(StoneError, ValueError):
    """The store, the snapshot or the transaction has been closed."""


class StorageError(StoneError, OSError):
    """The engine failed: the disk, or a file that is damaged. The transaction was rolled back."""


class StoreOpenError(StorageError):
    """A store cannot be opened: nothing there, a file of another kind, no permission."""


class StoreFullError(StorageError):
    """The disk, or the memory map, has no room; the transaction was rolled back."""


class ReadOnlyError(StoneError, TypeError):
    """A write to a snapshot, or to a store that was opened read-only."""


class TransactionError(StoneError, RuntimeError):
    """A transaction is used where it cannot be: ended already, or open in another task."""


class UnsupportedError(StoneError, NotImplementedError):
    """Something that the engine of this store cannot do; `engine.supports` says what it can."""


class CollectionError(StoneError, ValueError):
    """A collection that cannot be made as asked: its name, its record class, its keys."""


class RecordError(StoneError, ValueError):
    """A record, or a field of it, that does not fit the class of the collection."""


class QueryError(StoneError, ValueError):
    """A query that does not parse, or whose values are not those that it names."""


class NotOneError(StoneError, LookupError):
    """`one()` found no record, or more than one."""


class MigrationError(StoneError, RuntimeError):
    """A migration that cannot start, or cannot go on."""
