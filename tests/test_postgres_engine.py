"""What PostgresEngine does beyond the contract: messages, buffers, pages, sums, URLs, dialects."""

import ast
import inspect
import re
import tracemalloc
from pathlib import Path

import pytest

import stones.engines.postgres
from stones import ConflictError, MemoryStore, PostgresStore, StorageError, StoreOpenError, stone
from stones.engine import PAGE_BYTES, Space
from stones.engines.postgres import session, wire
from stones.engines.postgres.dialects import COCKROACH, POSTGRES, YUGABYTE, dialect_of
from stones.engines.postgres.engine import PostgresEngine
from stones.engines.postgres.statements import SUFFIXES, Statements, check_name
from stones.engines.postgres.url import address_of
from stones.errors import CorruptValueError, TransactionError, UnexpectedError

DATA = Space.DATA
MODULES = sorted(Path(inspect.getfile(stones.engines.postgres)).parent.glob("*.py"))
MEGABYTE = b"x" * (1 << 20)


@pytest.fixture
def engine(postgres):
    engine = PostgresEngine(postgres.url, table=postgres.table, timeout=30)
    yield engine
    engine.close()


@pytest.fixture
def asked(monkeypatch):
    """The statements of each message to the server, in a list that grows."""
    messages = []
    ask = wire.Wire.ask

    def noted(self, statements):
        messages.append([statement.sql.decode() for statement, _ in statements])
        return ask(self, statements)

    monkeypatch.setattr(wire.Wire, "ask", noted)
    return messages


def entries(engine, **bounds):
    return engine.read(lambda txn: list(txn.scan(DATA, **bounds)))


# -- SQL -----------------------------------------------------------------------------------------

SQL = re.compile(
    r"\b(SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE TABLE|DROP TABLE|ALTER TABLE|LOCK TABLE"
    r"|SAVEPOINT|SET (LOCAL )?\w+ =|BEGIN|COMMIT|ROLLBACK)\b"
)


def built_texts(tree):
    """The texts of a module that are made of parts by an f-string, by % or by format()."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield node, "".join(v.value for v in node.values if isinstance(v, ast.Constant))
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
            yield node, str(getattr(node.left, "value", ""))
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "format":
            yield node, str(getattr(getattr(node.func, "value", None), "value", ""))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_no_statement_is_made_of_values(path):
    for node, text in built_texts(ast.parse(path.read_text())):
        # An error may tell an administrator which GRANT to run.
        assert not SQL.search(text.replace("GRANT", "")), f"{path.name}:{node.lineno}: {text}"


def test_that_check_finds_statements_made_of_values():
    for source in (
        'f"SELECT {x}"',
        '"DELETE FROM t WHERE k = %s" % k',
        '"LOCK TABLE {}".format(t)',
    ):
        assert next(SQL.search(text) for _, text in built_texts(ast.parse(source)))


def test_every_statement_has_a_type_for_each_of_its_parameters():
    found = vars(Statements("stones", POSTGRES)).values()
    flat = [statement for value in found if isinstance(value, list) for statement in value]
    flat += [value for value in found if isinstance(value, wire.Statement)]
    statements = [statement for statement in flat if isinstance(statement, wire.Statement)]
    assert len(statements) > 30
    for statement in statements:
        numbers = {int(number) for number in re.findall(rb"\$(\d+)", statement.sql)}
        assert numbers == set(range(1, len(statement.types) + 1)), statement.sql


@pytest.mark.parametrize(
    "name", ["", "Upper", "1a", "a-b", "a b", 'a"b', "a%b", "a.b", "é", "a" * 52, 5, None, b"a"]
)
def test_a_name_that_a_server_would_change_is_refused(name):
    with pytest.raises(StoreOpenError, match="51 characters"):
        check_name(name)


def test_the_longest_name_makes_a_store(postgres):
    name = (postgres.table + "x" * 51)[:51]
    with PostgresStore(postgres.url, table=name) as store:
        store["a"] = 1
    with PostgresStore(postgres.url, table=name, create=False) as store:
        assert dict(store) == {b"a": 1}


@pytest.mark.parametrize("name", ["select", "user", "table"])
def test_a_word_of_sql_may_be_the_name_of_a_store(postgres_url, name):
    with PostgresStore(postgres_url, table=name) as store:
        store["a"] = 1
        assert dict(store) == {b"a": 1}
        store.destroy(yes_im_sure=True)


# -- dialects ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "dialect"),
    [
        ("PostgreSQL 15.13 (Debian 15.13-0+deb12u1) on x86_64-pc-linux-gnu", POSTGRES),
        ("CockroachDB CCL v24.1.0 (x86_64-pc-linux-gnu, built 2024/05/15)", COCKROACH),
        ("PostgreSQL 15.2-YB-2.23.0.0-b0 on x86_64-pc-linux-gnu", YUGABYTE),
    ],
)
def test_a_server_is_known_by_its_version(version, dialect):
    assert dialect_of(version) is dialect


def sqls(statements):
    return [statement.sql.decode() for statement, _ in statements]


def test_a_server_without_a_lock_finds_conflicts_in_blocks_too():
    statements = Statements("stones", COCKROACH)
    for alone in (False, True):
        assert sqls(statements.begin(alone=alone, pooled=True, milliseconds=None)) == [
            "BEGIN ISOLATION LEVEL SERIALIZABLE"
        ]


def test_the_keys_of_yugabyte_are_in_their_order():
    assert "PRIMARY KEY (key ASC)" in Statements("stones", YUGABYTE).create[0].sql.decode()


def test_a_lock_comes_before_anything_that_takes_a_snapshot():
    statements = Statements("stones", POSTGRES)
    assert sqls(statements.begin(alone=True, pooled=True, milliseconds=250)) == [
        "BEGIN ISOLATION LEVEL REPEATABLE READ",
        "SET LOCAL lock_timeout = 250",
        'LOCK TABLE "stones_lock" IN EXCLUSIVE MODE',
        "SET LOCAL enable_seqscan = off",
    ]


# -- URLs ----------------------------------------------------------------------------------------


def parameters(url, **options):
    return dict(address_of(url, "stones", readonly=options.pop("readonly", False)).parameters)


def test_the_table_may_be_in_the_url():
    address = address_of("postgresql://h/d?table=mine&sslmode=require", "other", readonly=False)
    assert address.table == "mine"
    assert "table" not in address.parameters
    assert address.parameters["sslmode"] == "require"


@pytest.mark.parametrize(
    "place", ["u:s3cret@h:5/d", "h/d?user=u&password=s3cret", "u:s3cret@h,i/d"]
)
def test_what_is_shown_of_a_url_has_no_password(place):
    address = address_of(f"postgresql://{place}", "stones", readonly=False)
    assert address.parameters["password"] == "s3cret"
    assert "s3cret" not in repr(address)
    assert "s3cret" not in address.name
    assert address.hidden("no s3cret here") == "no *** here"


@pytest.mark.parametrize(
    "place", ["u:s3cret@h:x/d", "u:s3c/ret@h/d", "u:s3cret@[h/d", "h/d?s3cret"]
)
def test_an_error_of_a_url_does_not_show_it(place):
    with pytest.raises(StoreOpenError) as failure:
        PostgresStore(f"postgresql://{place}", create=False)
    assert "s3c" not in str(failure.value)
    assert failure.value.__cause__ is None


@pytest.mark.parametrize("url", ["mysql://h/d", "h", 5, None, "host=h dbname=d password=s3cret"])
def test_what_is_no_url_of_postgresql_is_refused_and_not_shown(url):
    with pytest.raises(StoreOpenError, match="postgresql://") as failure:
        PostgresStore(url)
    assert "s3cret" not in str(failure.value)


def test_no_password_goes_to_another_machine_without_encryption_unless_told(monkeypatch):
    monkeypatch.delenv("PGSSLMODE", raising=False)
    assert parameters("postgresql://u:p@db.example.org/d")["sslmode"] == "require"
    assert parameters("postgresql://u:p@localhost,db.example.org/d")["sslmode"] == "require"
    assert parameters("postgresql://db.example.org/d?sslmode=prefer")["sslmode"] == "prefer"
    for host in ("localhost", "127.0.0.1", "[::1]", "", "%2Fvar%2Frun"):
        assert "sslmode" not in parameters(f"postgresql://u:p@{host}/d")
    assert "sslmode" not in parameters("postgresql:///d?host=/var/run")


def test_of_several_hosts_the_primary_is_wanted_unless_it_is_only_read():
    several = "postgresql://a,b/d"
    assert parameters(several)["target_session_attrs"] == "read-write"
    assert "target_session_attrs" not in parameters(several, readonly=True)
    assert parameters(several + "?target_session_attrs=any")["target_session_attrs"] == "any"
    assert "target_session_attrs" not in parameters("postgresql://a/d")


def test_two_urls_with_two_tables_are_two_stores(postgres):
    mark = "&" if "?" in postgres.url else "?"
    first, second = (f"{postgres.url}{mark}table={postgres.other(n)}" for n in "ab")
    with stone(first) as one, stone(second) as two:
        one["a"], two["b"] = 1, 2
        assert (dict(one), dict(two)) == ({b"a": 1}, {b"b": 2})
        two.destroy(yes_im_sure=True)
        assert dict(one) == {b"a": 1}


# -- the store -----------------------------------------------------------------------------------


def test_a_new_store_has_no_pickles(postgres):
    with PostgresStore(postgres.url, table=postgres.table) as store:
        assert store.stats()["serializer"] == "cbor"
        assert store.stats()["server"].startswith("PostgreSQL ")
        assert store.stats()["file_size"] > 0


def test_a_destroyed_store_has_no_table_left_and_can_be_made_anew(postgres):
    store = PostgresStore(postgres.url, table=postgres.table)
    other = PostgresStore(postgres.url, table=postgres.table)
    store.destroy()
    store["a"] = 1
    store.destroy(yes_im_sure=True)
    with pytest.raises(StorageError, match="are gone"):
        other["a"]
    other.close()
    with pytest.raises(StoreOpenError, match="no store"):
        PostgresStore(postgres.url, table=postgres.table, create=False)
    with PostgresStore(postgres.url, table=postgres.table) as again:
        assert dict(again) == {}


def test_a_copy_is_the_same_as_in_memory(postgres):
    entries = {f"{n:04}": {"n": n} for n in range(2000)}
    with PostgresStore(postgres.url, table=postgres.table, iterable=entries) as store:
        assert store == MemoryStore(entries)
        assert store.copy() == store


# -- buffers and messages ------------------------------------------------------------------------


def test_a_put_is_one_message(engine, asked):
    engine.write(lambda txn: txn.put(DATA, b"k", b"v"))
    assert [message[-1] for message in asked] == ["COMMIT"]


def test_what_is_expected_goes_with_the_commit(engine, asked):
    def add(txn):
        txn.expect(DATA, b"k", None)
        txn.put(DATA, b"k", b"v")

    engine.write(add)
    assert len(asked) == 1
    with pytest.raises(UnexpectedError) as failure:
        engine.write(add)
    assert (failure.value.space, failure.value.key, failure.value.found) == (DATA, b"k", b"v")


def test_a_change_that_goes_wrong_on_a_wrong_expectation_runs_again(engine):
    engine.write(lambda txn: txn.put(DATA, b"format", b"2"))
    runs = []

    def change(txn):
        runs.append(txn)
        try:
            txn.expect(DATA, b"format", b"1")
        except UnexpectedError as error:
            return error.found
        raise ZeroDivisionError  # as decoding does, with the wrong format

    assert engine.write(change) == b"2"
    assert len(runs) == 2


def test_a_change_that_goes_wrong_by_itself_runs_once(engine):
    runs = []

    def change(txn):
        runs.append(txn)
        txn.expect(DATA, b"k", None)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        engine.write(change)
    assert len(runs) == 1


def test_a_change_that_catches_its_conflict_does_not_commit_a_half(engine):
    """A conflict ends the transaction at the server, whatever the change makes of the error."""
    engine.write(lambda txn: txn.put(DATA, b"n", b"0"))
    runs = []

    def change(txn):
        runs.append(txn)
        txn.get(DATA, b"n")
        if len(runs) == 1:
            other = PostgresEngine(engine_url, table=engine.address.table)
            other.write(lambda txn: txn.put(DATA, b"n", b"1"))
            other.close()
        try:
            txn.put(DATA, b"n", b"2")
            txn.delete_range(DATA, b"x")  # sends what is there
        except ConflictError:
            pass
        return txn.get(DATA, b"n") if len(runs) > 1 else None

    engine_url = f"postgresql://?{'&'.join(f'{k}={v}' for k, v in engine_parameters(engine))}"
    assert engine.write(change) == b"2"
    assert len(runs) == 2
    assert entries(engine) == [(b"n", b"2")]


def engine_parameters(engine):
    return [(k, v) for k, v in engine.address.parameters.items() if k in ("host", "user", "port")]


def test_a_large_transaction_goes_to_the_server_in_parts(engine, asked):
    def change(txn):
        for n in range(12):
            txn.put(DATA, b"%02d" % n, MEGABYTE)

    engine.write(change)
    assert len(asked) > 2
    assert [key for key, _ in entries(engine)] == [b"%02d" % n for n in range(12)]


def test_savepoints_with_large_changes_are_undone_alone(engine):
    txn = engine.begin(write=True)
    txn.put(DATA, b"kept", b"1")
    running = txn.scan(DATA)
    inner = txn.begin()
    for n in range(6):
        inner.put(DATA, b"lost %d" % n, MEGABYTE)
    innermost = inner.begin()
    innermost.delete_range(DATA)
    assert list(innermost.keys(DATA)) == []
    innermost.abort()
    assert inner.count(DATA) == 7
    inner.delete(DATA, b"kept")
    inner.abort()
    again = txn.begin()
    for n in range(6):
        again.put(DATA, b"new %d" % n, MEGABYTE)
    again.commit()
    assert list(running) == [(b"kept", b"1")]
    txn.commit()
    assert [key for key, _ in entries(engine)] == [b"kept", *(b"new %d" % n for n in range(6))]


def test_a_transaction_of_large_values_keeps_few_of_them_in_memory(engine):
    def change(txn):
        for n in range(40):
            txn.put(DATA, b"%02d" % n, bytes([n]) * (1 << 20))

    tracemalloc.start()
    engine.write(change)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * session.ROOM


def test_a_very_large_value_comes_back(engine):
    large = MEGABYTE * 64
    engine.write(lambda txn: txn.put(DATA, b"k", large))
    assert engine.get(DATA, b"k") == large
    engine.write(lambda txn: txn.put(DATA, b"l", b"small"))
    assert entries(engine) == [(b"k", large), (b"l", b"small")]


def test_a_value_over_the_limit_is_refused_before_anything_is_sent(engine, asked):
    class Huge(bytes):
        def __len__(self):
            return engine.supports.max_value_size + 1

    with pytest.raises(StorageError, match="nothing was written"):
        engine.write(lambda txn: txn.put(DATA, b"k", Huge()))
    assert asked == []


# -- pages ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("sizes", [(10, 3_000_000), (3_000_000, 10), (600, 20_000, 3)])
def test_values_of_any_sizes_come_in_order(engine, sizes, reverse):
    put = [(b"%04d" % n, bytes([n % 256]) * sizes[n * len(sizes) // 60]) for n in range(60)]
    engine.write(lambda txn: txn.put_many(DATA, put))
    assert entries(engine, reverse=reverse) == (put[::-1] if reverse else put)


def test_an_answer_stays_small_where_values_grow(engine, asked):
    small = [(b"a%05d" % n, b"v") for n in range(6000)]
    large = [(b"b%05d" % n, b"v" * 100_000) for n in range(300)]
    engine.write(lambda txn: txn.put_many(DATA, small + large))
    tracemalloc.start()
    txn = engine.begin()
    assert sum(len(keys) for keys, _ in txn.pages(DATA)) == 6300
    txn.abort()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 24 * PAGE_BYTES


def test_a_few_entries_are_one_answer_and_many_are_few(engine, asked):
    engine.write(lambda txn: txn.put_many(DATA, [(b"%05d" % n, b"v") for n in range(3000)]))
    asked.clear()
    txn = engine.begin()
    next(txn.scan(DATA))
    assert len(asked) == 2
    assert len(list(txn.scan(DATA))) == 3000
    assert len(asked) < 8
    txn.abort()


# -- sums ----------------------------------------------------------------------------------------


def rows_of(engine, key):
    [result] = engine.take().ask([(engine.statements.sum, (key,))])
    return int.from_bytes(result.get_value(0, 1), "big")


def test_a_sum_of_many_rows_becomes_one_row(engine, monkeypatch):
    monkeypatch.setattr("stones.engines.postgres.engine.MANY_PARTS", 20)
    for _ in range(30):
        engine.write(lambda txn: txn.add(b"n", 2))
    assert rows_of(engine, b"n") == 30
    assert engine.sum(b"n") == 60
    assert rows_of(engine, b"n") == 1
    assert engine.sum(b"n") == 60


def test_a_sum_is_not_shortened_while_somebody_writes_alone(engine, monkeypatch):
    monkeypatch.setattr("stones.engines.postgres.engine.MANY_PARTS", 5)
    for _ in range(9):
        engine.write(lambda txn: txn.add(b"n", 1))
    alone = engine.begin(write=True)
    assert engine.sum(b"n") == 9
    assert rows_of(engine, b"n") == 9
    alone.abort()


def test_a_sum_below_zero_is_damaged(engine):
    engine.write(lambda txn: txn.add(b"n", -1))
    with pytest.raises(CorruptValueError):
        engine.sum(b"n")
    with pytest.raises(CorruptValueError):
        engine.read(lambda txn: txn.sum(b"n"))
    engine.write(lambda txn: txn.drop_sum(b"n"))
    assert engine.sum(b"n") == 0


# -- threads -------------------------------------------------------------------------------------


def test_a_transaction_that_nobody_ends_does_not_lock_out_its_thread(engine):
    txn = engine.begin(write=True)
    with pytest.raises(TransactionError):
        engine.begin(write=True)
    del txn
    engine.write(lambda txn: txn.put(DATA, b"k", b"v"))
    assert engine.get(DATA, b"k") == b"v"


def test_the_tables_of_a_store_are_five(postgres, engine):
    assert engine.statements.names == [postgres.table + suffix for suffix in SUFFIXES]
