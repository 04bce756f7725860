"""SQLAlchemy's ORM on SQLite: a table with a column a field, the address flattened."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import JSON, Select, create_engine, event, insert, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from users import User, row


class Base(DeclarativeBase):
    pass


class Row(Base):
    __tablename__ = "users"

    id: Mapped[str] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    age: Mapped[int]
    score: Mapped[float] = mapped_column(index=True)
    active: Mapped[bool]
    street: Mapped[str]
    city: Mapped[str] = mapped_column(index=True)
    country: Mapped[str]
    zip: Mapped[str]
    tags: Mapped[list[str]] = mapped_column(JSON)


class Peer:
    name = "SQLAlchemy"
    has_indexes = True
    largest = 1_000_000

    def __init__(self, path: Path) -> None:
        self.engine = create_engine(f"sqlite:///{path / 'users.sqlite'}")
        event.listen(self.engine, "connect", with_wal)
        Base.metadata.create_all(self.engine)

    def add_many(self, users: Sequence[User]) -> None:
        with Session(self.engine) as session:
            session.execute(insert(Row), [row(user) for user in users])
            session.commit()

    def get(self, key: str) -> Row | None:
        with Session(self.engine) as session:
            return session.get(Row, key)

    def in_city(self, city: str) -> Iterator[Row]:
        return self.selected(select(Row).where(Row.city == city).order_by(Row.id))

    def lowest_scores(self, count: int) -> Iterator[Row]:
        return self.selected(select(Row).order_by(Row.score, Row.id).limit(count))

    def older_than(self, age: int) -> Iterator[Row]:
        return self.selected(select(Row).where(Row.age > age).order_by(Row.id))

    def selected(self, query: Select[tuple[Row]]) -> Iterator[Row]:
        with Session(self.engine) as session:
            yield from session.scalars(query.execution_options(yield_per=500))

    def close(self) -> None:
        self.engine.dispose()


def with_wal(connection: Any, _: object) -> None:
    connection.execute("pragma journal_mode = wal")
