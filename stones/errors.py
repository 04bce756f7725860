"""Every error that stones raises, under one root.

Each is also the built-in error that a dict would raise in its place. So code that catches KeyError
or ValueError works with a store too. A missing key is a plain `KeyError` with the key, as in a
dict.
"""

import re


class StoneError(Exception):
    """The root of all errors of stones. Its text says what was wrong, where, and what to do.

    After an error the store has the entries that it had before the operation, and can be used.

    >>> import stones
    >>> store = stones.MemoryStore()
    >>> try:
    ...     store[7] = 'seven'
    ... except stones.StoneError as error:
    ...     print(f'{type(error).__name__}: {error}')
    KeyTypeError: a key is bytes or str, not int 7
    """

    def __str__(self) -> str:
        # KeyError would show the repr of the message.
        return str(self.args[0]) if len(self.args) == 1 else super().__str__()


class KeyTypeError(StoneError, TypeError):
    """A key of a type that the store or the collection cannot store."""


class InvalidKeyError(StoneError, ValueError):
    """A key that cannot be stored, such as the empty key.

    Also bounds of a range that contradict each other, and a negative limit.
    """


class KeyTooLongError(InvalidKeyError):
    """A key that is longer than the engine can store: more than 511 bytes."""


class ReservedKeyError(InvalidKeyError):
    """A write through the dict to a key of a collection or namespace.

    It would bypass the count and indexes.
    """


class DuplicateKeyError(StoneError, KeyError):
    """A record with this key is in the collection already."""


class ValueTypeError(StoneError, TypeError):
    """A value or an argument of a type on which the operation does not work."""


class SerializerError(StoneError, ValueError):
    """A value that the serializer cannot hold, or a serializer that is not known.

    The text has the path to the part of the value that cannot be held.
    """


class FormatMismatchError(StoneError, ValueError):
    """The store, or one of its values, is in another format than requested, or is not trusted.

    Also a value of a type that is not known here: `stones.register_type` makes it known.
    """


class EncryptionKeyError(FormatMismatchError):
    """The key that decrypts a store is missing, or is another one, or is no key."""


class CorruptValueError(StoneError, ValueError):
    """Stored bytes that are damaged: they do not decode, or do not match their checksum."""


class StoreClosedError(StoneError, ValueError):
    """The store, the snapshot or the transaction has been closed."""


class StorageError(StoneError, OSError):
    """The engine failed, because of the disk or a damaged file. The transaction was rolled back."""


class UnknownOutcomeError(StorageError):
    """The connection was lost while the commit was made: nobody can tell whether it was made.

    Look at the entries before you write them again. It is never repeated by itself.
    """


class StoreOpenError(StorageError):
    """A store cannot be opened: it does not exist, is another kind of file, or is not permitted."""


class UnfinishedCopyError(StoreOpenError):
    """The store is an unfinished copy of another one: run the same copy again to finish it."""

    def __init__(self, message: str, source: str = "") -> None:
        super().__init__(message)
        self.source = source
        """The place of the store that is copied: a URL without a password, for `stone`."""


class StoreFullError(StorageError):
    """The disk, or the memory map, has no room left. The transaction was rolled back.

    Opening a store that is not there yet raises it too.
    """


class ReadOnlyError(StoneError, TypeError):
    """A write to a snapshot, or to a store that is open for reading only."""


class TransactionError(StoneError, RuntimeError):
    """A transaction that cannot be used here: it has ended, or is open in another task."""


class ConflictError(TransactionError):
    """A transaction could not be committed, since another one changed what it has read.

    Nothing was written: run it again. `Store.transact` does that by itself.
    """


class UnexpectedError(TransactionError):
    """A key of an engine has not the value that `Transaction.expect` was told.

    Users of stores and collections do not meet it.
    """

    def __init__(self, space: int, key: bytes, found: bytes | None) -> None:
        super().__init__(f"the key {key!r} has another value than expected: {found!r:.80}")
        self.space = space
        self.key = key
        self.found = found
        """The value that the key has; None if it is not there."""


class LockTimeoutError(StoneError, TimeoutError):
    """Another process or thread had the write lock for longer than `timeout=` seconds.

    Nothing was written. The text names the process. TimeoutError is an OSError.
    """


class UnsupportedError(StoneError, NotImplementedError):
    """Something that the engine of this store cannot do; `engine.supports` says what it can.

    Also a method of a query that needs a package which is not installed.
    """


class CollectionError(StoneError, ValueError):
    """A collection that cannot be made: its name, record class or key type is not possible.

    Also a namespace whose name is not possible, or whose keys are in use.
    """


class RecordError(StoneError, ValueError):
    """A record, or a field of a record, that does not fit the class of the collection."""


class QueryError(StoneError, ValueError):
    """A query that cannot be parsed, or values that do not fit the query's placeholders.

    Also a cursor of another order, or a damaged one, and a value that an aggregate cannot take.

    >>> import attrs, stones
    >>> notes = stones.Collection(stones.MemoryStore(), attrs.make_class('Note', ['text']))
    >>> try:
    ...     notes.find('@.text == "a" and @.text == "b"')
    ... except stones.QueryError as error:
    ...     print(error.place, error.reason)
    14 'and' is not expected here: write && for it
    """

    place: int | None = None
    """Where in the text of the query it cannot be parsed. None for an error without a place."""
    reason: str = ""
    """What is wrong at this place. The text of the error has the query too, and a mark in it."""

    @classmethod
    def at(cls, place: int, reason: str, text: str) -> "QueryError":
        """An error that shows the text, with a mark under this position."""
        lines = text.split("\n")
        row = text.count("\n", 0, place)
        column = place - (text.rfind("\n", 0, place) + 1)
        indent = "".join("\t" if char == "\t" else " " for char in lines[row][:column])
        lines.insert(row + 1, f"{indent}^")
        error = cls("\n    ".join([reason, *lines]))
        error.place, error.reason = place, reason
        return error

    @classmethod
    def about(cls, name: str, reason: str, text: str) -> "QueryError":
        """An error about a name in the text. Its place is the first one where the name stands."""
        error = cls(f"{text!r}: {reason}")
        if found := re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text):
            error.place, error.reason = found.start(), reason
        return error


class NotOneError(StoneError, LookupError):
    """`one()` found no record, or more than one record."""


class MigrationError(StoneError, ValueError, RuntimeError):
    """A migration that cannot start, or cannot go on. Also a step that cannot be meant."""


class ChangedStepWarning(UserWarning):
    """A step of a collection whose code has changed since it ran. The records had the earlier one.

    It is a warning, of Python's module `warnings`, and no StoneError.
    """
