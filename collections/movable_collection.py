"""What renames, copies, splits, merges and drops a collection: methods of `Collection`.

The work is in `stones.migrations`, the layer above: see `record_migrations`.
"""

from collections.abc import Callable
from typing import Any

from stones.errors import CollectionError

from .collection_reader import CollectionReader, K, R
from .record_migrations import record_migrations


class MovableCollection(CollectionReader[K, R]):
    """What changes where the records of a collection are."""

    def rename(self, name: str) -> None:
        """Give the collection another name, in one transaction. This object goes on under it.

        Records, count, indexes, ledger and steps follow. Takes time for each record, and bounded
        memory where the engine allows it. In another program that has the collection open under the
        old name, the next use raises CollectionError with the new name. Open it again there.

        Raises CollectionError if the name is taken or cannot name a collection, KeyTooLongError if
        a key is too long under it, MigrationError in the middle of a migration to other steps.
        Nothing is changed then.

        >>> from attrs import define
        >>> from stones import Collection, MemoryStore, key
        >>> @define
        ... class User:
        ...     name: str = key()
        >>> store = MemoryStore()
        >>> users = Collection(store, User)
        >>> users.add(User('ada'))
        'ada'
        >>> users.rename('people')
        >>> users.name, list(store)
        ('people', [b'people/ada'])
        """
        record_migrations(self._queried).rename(name)
        self._bind(self._records.under(name))

    def copy(
        self, name: str, filter: str | Callable[[R], int] | None = None, /, **values: Any
    ) -> int:
        """Make another collection with these records. Returns how many it has.

        `filter` and `values` are as for `find`; without them all records are copied. The indexes
        are built for the copy. One transaction, and otherwise as `rename`.

        >>> from attrs import define
        >>> from stones import Collection, MemoryStore, key
        >>> @define
        ... class User:
        ...     name: str = key()
        ...     age: int
        >>> store = MemoryStore()
        >>> users = Collection(store, User)
        >>> users.add_many([User('ada', 36), User('bob', 17)])
        2
        >>> users.copy('adults', '@.age >= {age}', age=18)
        1
        >>> list(Collection(store, User, 'adults'))
        ['ada']
        """
        copied: int = record_migrations(self._queried).copy(
            name, self._queried.filters(filter, values)
        )
        return copied

    def split(
        self, name: str, filter: str | Callable[[R], int] | None = None, /, **values: Any
    ) -> int:
        """Move the records that match to a new collection. Returns how many they are.

        `filter` and `values` are as for `find`. Otherwise as `copy`: one transaction, in which the
        records are removed here too.

        >>> from attrs import define
        >>> from stones import Collection, MemoryStore, key
        >>> @define
        ... class User:
        ...     name: str = key()
        ...     age: int
        >>> store = MemoryStore()
        >>> users = Collection(store, User)
        >>> users.add_many([User('ada', 36), User('bob', 17)])
        2
        >>> users.split('minors', '@.age < 18')
        1
        >>> list(users), list(Collection(store, User, 'minors'))
        (['ada'], ['bob'])
        """
        moved: int = record_migrations(self._queried).split(
            name, self._queried.filters(filter, values)
        )
        return moved

    def merge(self, other: "str | CollectionReader[K, R]") -> int:
        """Move all records of another collection into this one. Returns how many they are.

        `other` is a collection of the same store, or its name. It is gone afterwards, and so is its
        ledger. Its indexes are built for this collection if it lacks them. One transaction.

        Raises DuplicateKeyError, which names the first of them, if both have records with the same
        keys, or two records the same values in a unique index. Raises CollectionError if the keys
        are of other types or kept defaults differ, MigrationError if the two have had other steps.
        Nothing is changed then.

        >>> from attrs import define
        >>> from stones import Collection, MemoryStore, key
        >>> @define
        ... class User:
        ...     name: str = key()
        >>> store = MemoryStore()
        >>> users, guests = Collection(store, User), Collection(store, User, 'guests')
        >>> users.add(User('ada')), guests.add(User('bob'))
        ('ada', 'bob')
        >>> users.merge(guests)
        1
        >>> list(users)
        ['ada', 'bob']
        """
        if isinstance(other, CollectionReader):
            if other._records.database.engine is not self._records.database.engine:
                raise CollectionError(
                    f"{self.name}.merge() takes a collection of the same store: {other.name!r} is "
                    "in another one; copy its records with add_many(other.values())"
                )
            other = other.name
        moved: int = record_migrations(self._queried).merge(other)
        return moved

    def drop(self) -> None:
        """Remove the collection: records, description, count, indexes, ledger. One transaction.

        The name is free then. This object is of a new collection, without records. In another
        program that has it open, the next use raises CollectionError.

        >>> from attrs import define
        >>> from stones import Collection, MemoryStore, key
        >>> @define
        ... class User:
        ...     name: str = key()
        >>> store = MemoryStore()
        >>> users = Collection(store, User)
        >>> users.add(User('ada'))
        'ada'
        >>> users.drop()
        >>> len(users), len(store)
        (0, 0)
        """
        record_migrations(self._queried).drop()
        self._bind(self._records.under(self.name))
