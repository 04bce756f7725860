"""Every statement of SQL: texts without values, which are bound as $1, $2, ...

The only parts that vary are the names of the tables, which `check_name` has seen, the strings of
the dialect, and numbers: of a savepoint, and of milliseconds.
"""

import re
from functools import cache
from typing import LiteralString

from psycopg import sql

from stones.engine import Space
from stones.errors import StoreOpenError

from .dialects import Dialect
from .parameters import BIGINT, BIGINT_ARRAY, BYTES, BYTES_ARRAY, TEXT, TEXT_ARRAY, UUID, UUID_ARRAY
from .wire import Message, Statement

SUFFIXES = ("", "_index", "_meta", "_sums", "_lock")
"""A store has a table for each: one for each space, the sums, and the lock."""

COMMIT = Statement(b"COMMIT")
ROLLBACK = Statement(b"ROLLBACK")
BEGIN = Statement(b"BEGIN")
READ = Statement(b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
SERIALIZABLE = Statement(b"BEGIN ISOLATION LEVEL SERIALIZABLE")
# Whoever writes alone need not be serializable. The server releases the
# lock a moment before it forgets the transaction. A serializable one could be in conflict then.
ALONE = Statement(b"BEGIN ISOLATION LEVEL REPEATABLE READ")
ABOUT_SERVER = Statement(
    b"SELECT version(), current_setting('transaction_read_only'), current_user, pg_backend_pid()"
)
LOOK = Statement(
    b"SELECT c.relname, (SELECT string_agg(a.attname || ':' || a.atttypid::bigint, ',' ORDER BY"
    b" a.attname) FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT"
    b" a.attisdropped), EXISTS (SELECT 1 FROM pg_index AS i WHERE i.indrelid = c.oid AND"
    b" i.indisprimary), (SELECT string_agg(p, ' ') FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE',"
    b" 'DELETE']) AS p WHERE NOT has_table_privilege(c.oid, p))"
    b" FROM unnest($1) AS name JOIN pg_class AS c ON c.oid = to_regclass(quote_ident(name))",
    (TEXT_ARRAY,),
)
"""Which of these tables are there: columns, whether there is a primary key, which rights lack."""
SIZE = Statement(
    b"SELECT sum(pg_total_relation_size(to_regclass(quote_ident(name))))::bigint"
    b" FROM unnest($1) AS name",
    (TEXT_ARRAY,),
)
HOLDER = Statement(
    b"SELECT a.pid, a.application_name, coalesce(host(a.client_addr), '') FROM pg_locks AS l JOIN"
    b" pg_stat_activity AS a USING (pid) WHERE l.granted AND a.pid <> pg_backend_pid()"
    b" AND l.relation = to_regclass(quote_ident($1)) ORDER BY l.mode LIMIT 1",
    (TEXT,),
)
"""Who has the lock of a store."""

_NAME = re.compile("[a-z_][a-z0-9_]{0,50}")


def check_name(table: object) -> str:
    """The name of a table, as it is. Raises StoreOpenError.

    A server cuts a longer name and makes its letters lower case, without an error. Two stores could
    then have the same tables.
    """
    if not isinstance(table, str) or not _NAME.fullmatch(table):
        raise StoreOpenError(
            "table is a name of a-z, 0-9 and _, which does not begin with a digit, and has at most "
            f"51 characters, not {f'{table!r:.80}' if isinstance(table, str) else type(table)}"
        )
    return table


class Statements:
    """The statements of one store."""

    def __init__(self, table: str, dialect: Dialect) -> None:
        self.names = [table + suffix for suffix in SUFFIXES]
        tables = [sql.Identifier(name) for name in self.names]
        _, _, _, sums, lock = tables

        def in_each(text: LiteralString, *types: int) -> list[Statement]:
            return [_statement(text, *types, table=tables[space]) for space in Space]

        self.get = in_each("SELECT value FROM {table} WHERE key = $1", BYTES)
        self.get_many = in_each("SELECT key, value FROM {table} WHERE key = ANY($1)", BYTES_ARRAY)
        self.count = in_each("SELECT count(*) FROM {table}")
        self.put = in_each(
            "INSERT INTO {table} (key, value) VALUES ($1, $2)"
            " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            BYTES, BYTES,
        )  # fmt: skip
        self.put_many = in_each(
            "INSERT INTO {table} (key, value) SELECT * FROM unnest($1, $2)"
            " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            BYTES_ARRAY, BYTES_ARRAY,
        )  # fmt: skip
        self.put_new = in_each("INSERT INTO {table} (key, value) VALUES ($1, $2)", BYTES, BYTES)
        self.put_many_new = in_each(
            "INSERT INTO {table} (key, value) SELECT * FROM unnest($1, $2)",
            BYTES_ARRAY, BYTES_ARRAY,
        )  # fmt: skip
        self.delete = in_each("DELETE FROM {table} WHERE key = ANY($1)", BYTES_ARRAY)
        self.delete_from = in_each("DELETE FROM {table} WHERE key >= $1", BYTES)
        self.delete_range = in_each(
            "DELETE FROM {table} WHERE key >= $1 AND key < $2", BYTES, BYTES
        )
        # Divides by zero unless each key has the value that is expected. A subquery, since a join
        # might read, and lock, all of the table.
        self.check = in_each(
            "SELECT 1 / (CASE WHEN EXISTS (SELECT 1 FROM unnest($1, $2) AS e (key, value)"
            " WHERE (SELECT t.value FROM {table} AS t WHERE t.key = e.key)"
            " IS DISTINCT FROM e.value) THEN 0 ELSE 1 END)",
            BYTES_ARRAY, BYTES_ARRAY,
        )  # fmt: skip
        self.check_two = in_each(
            "SELECT 1 / (CASE WHEN (SELECT value FROM {table} WHERE key = $1) IS DISTINCT FROM $2"
            " OR (SELECT value FROM {table} WHERE key = $3) IS DISTINCT FROM $4 THEN 0 ELSE 1 END)",
            BYTES, BYTES, BYTES, BYTES,
        )  # fmt: skip
        self.check_one = in_each(
            "SELECT 1 / (CASE WHEN (SELECT value FROM {table} WHERE key = $1)"
            " IS DISTINCT FROM $2 THEN 0 ELSE 1 END)",
            BYTES, BYTES,
        )  # fmt: skip
        self._pages = {
            (stop, reverse, values): in_each(text, *types)
            for stop in (False, True)
            for reverse in (False, True)
            for values in (False, True)
            for text, types in [_page(stop, reverse, values)]
        }
        self.sum = _statement(
            "SELECT coalesce(sum(n), 0)::bigint, count(*) FROM {sums} WHERE key = $1",
            BYTES, sums=sums,
        )  # fmt: skip
        self.sums = _statement(
            "SELECT key, sum(n)::bigint FROM {sums} GROUP BY key ORDER BY key", sums=sums
        )
        self.add = _statement(
            "INSERT INTO {sums} (key, id, n) VALUES ($1, $2, $3)", BYTES, UUID, BIGINT, sums=sums
        )
        self.add_many = _statement(
            "INSERT INTO {sums} (key, id, n) SELECT * FROM unnest($1, $2, $3)",
            BYTES_ARRAY, UUID_ARRAY, BIGINT_ARRAY, sums=sums,
        )  # fmt: skip
        self.drop_sums = _statement(
            "DELETE FROM {sums} WHERE key = ANY($1) RETURNING n", BYTES_ARRAY, sums=sums
        )
        self._lock_shared = _parts(dialect.lock_shared, lock=lock)
        self._lock_alone = _parts(dialect.lock_alone, lock=lock)
        at_once = _parts(dialect.lock_at_once, lock=lock)
        # Making one row of the rows of a sum changes nothing that others see.
        self.compact_begin = [ALONE if at_once else SERIALIZABLE, *at_once]
        self.local_settings = _parts(dialect.setting and "SET LOCAL " + dialect.setting)
        self.create = [
            *(
                _statement(
                    "CREATE TABLE {table} (key bytea NOT NULL, value bytea NOT NULL, {primary})",
                    table=tables[space],
                    primary=sql.SQL(dialect.primary_key),
                )
                for space in Space
            ),
            _statement(
                "CREATE TABLE {sums} (key bytea NOT NULL, id uuid NOT NULL, n bigint NOT NULL,"
                " PRIMARY KEY (key, id))",
                sums=sums,
            ),
            _statement("CREATE TABLE {lock} (key bytea NOT NULL PRIMARY KEY)", lock=lock),
            *(part for space in Space for part in _parts(dialect.storage, table=tables[space])),
        ]
        self.drop = [_statement("DROP TABLE IF EXISTS {table}", table=table) for table in tables]

    def begin(self, *, alone: bool, pooled: bool, milliseconds: int | None) -> list[Message]:
        """What a write transaction begins with: BEGIN, its settings, and its lock.

        None of these takes a snapshot. `milliseconds` limits the wait for locks, unless the
        session does already.
        """
        # A dialect without a lock finds conflicts, which only serializable transactions have.
        lock = self._lock_alone if alone else self._lock_shared
        limit = [] if milliseconds is None else [lock_timeout(milliseconds, local=True)]
        settings = self.local_settings if pooled else []
        begin = ALONE if alone and lock else SERIALIZABLE
        return [(part, ()) for part in (begin, *limit, *lock, *settings)]

    def page(self, space: Space, *, stop: bool, reverse: bool, values: bool) -> Statement:
        """Reads neighbouring entries: their keys, and with `values` what is not too large of them.

        The parameters are the first key; with `values` the largest size of a value; with `stop` the
        key after the last one; and the number of entries.
        """
        return self._pages[stop, reverse, values][space]


def savepoint(number: int) -> Statement:
    """Begins a savepoint."""
    return _statement("SAVEPOINT {name}", name=_savepoint_name(number))


def roll_back_to(number: int) -> list[Statement]:
    """Undo what was done since a savepoint began, and forget it."""
    name = _savepoint_name(number)
    return [
        _statement("ROLLBACK TO SAVEPOINT {name}", name=name),
        _statement("RELEASE SAVEPOINT {name}", name=name),
    ]


@cache
def lock_timeout(milliseconds: int, *, local: bool) -> Statement:
    """Limits the wait for locks: of the transaction if it is `local`, or of the session.

    A SELECT of set_config() would have a parameter for it, but takes the snapshot too early.
    """
    number = sql.Literal(int(milliseconds))
    if local:
        return _statement("SET LOCAL lock_timeout = {number}", number=number)
    return _statement("SET lock_timeout = {number}", number=number)


def session_settings(dialect: Dialect) -> list[Statement]:
    """The settings of a session that nobody else shares."""
    return _parts(dialect.setting and "SET " + dialect.setting)


def _savepoint_name(number: int) -> sql.Identifier:
    return sql.Identifier("s" + str(int(number)))


def _page(stop: bool, reverse: bool, values: bool) -> tuple[LiteralString, list[int]]:
    order: LiteralString = " ORDER BY key DESC" if reverse else " ORDER BY key"
    if not values and not stop:
        return "SELECT key FROM {table} WHERE key >= $1" + order + " LIMIT $2", [BYTES, BIGINT]
    if not values:
        text: LiteralString = "SELECT key FROM {table} WHERE key >= $1 AND key < $2"
        return text + order + " LIMIT $3", [BYTES, BYTES, BIGINT]
    text = (
        "SELECT key, CASE WHEN octet_length(value) <= $2 THEN value END"
        " FROM {table} WHERE key >= $1"
    )
    if not stop:
        return text + order + " LIMIT $3", [BYTES, BIGINT, BIGINT]
    return text + " AND key < $3" + order + " LIMIT $4", [BYTES, BIGINT, BYTES, BIGINT]


def _statement(text: LiteralString, *types: int, **names: sql.Composable) -> Statement:
    return Statement(sql.SQL(text).format(**names).as_bytes(None), types)


def _parts(text: LiteralString, **names: sql.Composable) -> list[Statement]:
    """The statement, or no statement where the dialect has none."""
    return [_statement(text, **names)] if text else []
