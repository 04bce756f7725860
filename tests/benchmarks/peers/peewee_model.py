"""peewee on SQLite: a table with a column a field, the address flattened."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from peewee import BooleanField, CharField, FloatField, IntegerField, Model, SqliteDatabase, chunked
from users import User, row

ROWS = 500
"""Rows in a statement, which SQLite limits."""


class Row(Model):
    id = CharField(primary_key=True)
    email = CharField(unique=True)
    name = CharField()
    age = IntegerField()
    score = FloatField(index=True)
    active = BooleanField()
    street = CharField()
    city = CharField(index=True)
    country = CharField()
    zip = CharField()
    tags = CharField()


class Peer:
    name = "peewee"
    has_indexes = True
    largest = 1_000_000

    def __init__(self, path: Path) -> None:
        self.db = SqliteDatabase(str(path / "users.sqlite"), pragmas={"journal_mode": "wal"})
        self.db.bind([Row])  # the class has one database at a time
        self.db.create_tables([Row])

    def add_many(self, users: Sequence[User]) -> None:
        with self.db.atomic():
            for rows in chunked(map(columns, users), ROWS):
                Row.insert_many(rows).execute()

    def get(self, key: str) -> Row:
        return Row.get_by_id(key)

    def in_city(self, city: str) -> Iterator[Row]:
        return Row.select().where(Row.city == city).order_by(Row.id).iterator()

    def lowest_scores(self, count: int) -> Iterator[Row]:
        return Row.select().order_by(Row.score, Row.id).limit(count).iterator()

    def older_than(self, age: int) -> Iterator[Row]:
        return Row.select().where(Row.age > age).order_by(Row.id).iterator()

    def close(self) -> None:
        self.db.close()


def columns(user: User) -> dict[str, Any]:
    return row(user) | {"tags": json.dumps(user.tags)}
