"""Are the tables of a store there, are they ours, and may the role use them? Makes and drops them.

They are made in one transaction: all of them, or no table.
"""

import random
import time
from collections.abc import Mapping

import psycopg
from attrs import frozen
from psycopg import errors

from stones.errors import StoreOpenError

from .connections import Server
from .parameters import text_array
from .statements import BEGIN, COMMIT, LOOK, ROLLBACK, Statements
from .url import Address
from .wire import Wire, in_one_line, rows

_TRIES = 8
_COLUMNS = ("key:17,value:17",) * 3 + ("id:2950,key:17,n:20", "key:17")
"""For each table its columns in the order of their names, with the numbers of their types."""
_ALL = ("SELECT", "INSERT", "UPDATE", "DELETE")


@frozen
class _Table:
    name: str
    columns: str
    has_key: bool
    lacks: frozenset[str]
    """What the role may not do."""


def open_tables(
    wire: Wire,
    statements: Statements,
    address: Address,
    server: Server,
    *,
    create: bool,
    readonly: bool,
) -> None:
    """Make the tables where they are not there yet. Raises StoreOpenError."""
    if server.is_readonly and not readonly:
        raise StoreOpenError(
            f"the server of {address.name!r} takes no writes: it is a standby, or "
            "default_transaction_read_only is on for the role or the database; open the store with "
            "readonly=True, or name the primary in the URL"
        )
    for left in reversed(range(_TRIES)):
        found = _look(wire, statements)
        if found:
            _check(found, statements, address, server, readonly=readonly)
            return
        if readonly or not create:
            raise StoreOpenError(
                f"there is no store {address.name!r}: the database has no table "
                f"{statements.names[0]}"
            )
        try:
            wire.ask([(part, ()) for part in (BEGIN, *statements.create, COMMIT)])
            return
        except psycopg.Error as error:
            if wire.is_in_transaction:
                wire.ask([(ROLLBACK, ())])
            # Another program makes the same tables at this moment.
            quicker = errors.UniqueViolation, errors.DuplicateTable, errors.DuplicateObject
            if left and isinstance(error, quicker):
                time.sleep(random.random() * 0.1)
                continue
            raise StoreOpenError(
                f"the tables of {address.name!r} cannot be made, and no table was: "
                f"{in_one_line(error)}{_hint(error, server)}"
            ) from error


def _look(wire: Wire, statements: Statements) -> Mapping[str, _Table]:
    """The tables that are there, by their names."""
    [result] = wire.ask([(LOOK, (text_array(statements.names),))])
    return {
        name.decode(): _Table(
            name.decode(),
            (columns or b"").decode(),
            has_key == b"\x01",
            frozenset((lacks or b"").decode().split()),
        )
        for name, columns, has_key, lacks in rows(result)
    }


def _check(
    found: Mapping[str, _Table],
    statements: Statements,
    address: Address,
    server: Server,
    *,
    readonly: bool,
) -> None:
    for name, columns in zip(statements.names, _COLUMNS, strict=True):
        table = found.get(name)
        if table is not None and (table.columns != columns or not table.has_key):
            raise StoreOpenError(
                f"{address.name!r} cannot be a store: its database has a table {name} that is "
                "something else; choose another name with table="
            )
    lost = [name for name in statements.names if name not in found]
    if lost:
        raise StoreOpenError(
            f"{address.name!r} is no whole store: its database has no table {', '.join(lost)}, but "
            f"has {', '.join(found)}; choose another name with table="
        )
    lacks: dict[tuple[str, ...], list[str]] = {}
    for name in statements.names[: 4 if readonly else 5]:
        missing = tuple(
            right for right in (_ALL[:1] if readonly else _ALL) if right in found[name].lacks
        )
        if missing:
            lacks.setdefault(missing, []).append(name)
    if lacks:
        grants = "; ".join(
            f"GRANT {', '.join(rights)} ON {', '.join(names)} TO {server.role}"
            for rights, names in lacks.items()
        )
        raise StoreOpenError(
            f"the role {server.role!r} lacks rights on {address.name!r}: let the owner say {grants}"
        )


def _hint(error: psycopg.Error, server: Server) -> str:
    if isinstance(error, errors.InsufficientPrivilege):
        return (
            f" (let a role that may create tables open the store once, and grant {', '.join(_ALL)} "
            f"on them to {server.role})"
        )
    return ""
