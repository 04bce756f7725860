"""The same users in collections, in LMDB by hand and in SQLite: each made when it is first used."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from by_hand import ByHand
from sqlite import Sqlite
from users import INDEXES, UNIQUE, User, dump, users

from stones import Collection, Index, LmdbStore, stone


class CollectionGround:
    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def users(self) -> Sequence[User]:
        return list(users())

    @cached_property
    def dicts(self) -> Sequence[dict[str, Any]]:
        return [dump(user) for user in self.users]

    # -- without indexes -------------------------------------------------------------------------

    @cached_property
    def collection(self) -> Collection[str, User]:
        made = open_collection(new_store(self.path / "store"))
        made.add_many(self.users)
        return made

    @cached_property
    def by_hand(self) -> ByHand:
        made = ByHand(self.path / "by-hand")
        made.add_many(self.users)
        return made

    @cached_property
    def text(self) -> Sqlite:
        made = Sqlite(self.path / "text.sqlite")
        made.add_many(self.users)
        return made

    @cached_property
    def jsonb(self) -> Sqlite:
        made = Sqlite(self.path / "jsonb.sqlite", is_binary=True)
        made.add_many(self.users)
        return made

    # -- with three indexes ----------------------------------------------------------------------

    @cached_property
    def indexed_collection(self) -> Collection[str, User]:
        made = open_collection(new_store(self.path / "indexed-store"), INDEXES)
        made.add_many(self.users)
        return made

    @cached_property
    def indexed_by_hand(self) -> ByHand:
        made = ByHand(self.path / "indexed-by-hand", has_indexes=True)
        made.add_many(self.users)
        return made

    @cached_property
    def indexed_text(self) -> Sqlite:
        made = Sqlite(self.path / "indexed.sqlite", INDEXES)
        made.add_many(self.users)
        return made


def new_store(path: Path) -> LmdbStore:
    return stone(path, LmdbStore, serialize="msgpack")


def open_collection(store: LmdbStore, indexes: Sequence[str] = ()) -> Collection[str, User]:
    declared = [Index(path, unique=True) if path == UNIQUE else path for path in indexes]
    return Collection(store, User, indexes=declared)
