"""Who may reach a store on PostgreSQL, and what others are told: passwords, roles, tables, TLS."""

import logging
from urllib.parse import quote

import pytest
import trustme
from attrs import frozen

from stones import (
    Collection,
    ReadOnlyError,
    StoneError,
    StorageError,
    StoreOpenError,
    index,
    key,
    stone,
)

from .servers.postgres import PostgresServer

PASSWORD = "p@ss/w:rd%41'x"
ACCESS = """
local all postgres trust
local all all scram-sha-256
host all all 127.0.0.1/32 scram-sha-256
"""


@frozen
class User:
    email: str = key()
    name: str = index()


ADA = User("ada@example.org", "Ada")


@pytest.fixture(scope="module")
def server():
    """A server that asks for passwords."""
    with PostgresServer(tcp=True, access=ACCESS) as server:
        for role in ("owner", "writer", "reader", "nobody", "few"):
            server.execute(
                f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD.replace(chr(39), chr(39) * 2)}'"
            )
        server.execute("GRANT CREATE ON SCHEMA public TO owner, few")
        server.execute("ALTER ROLE few CONNECTION LIMIT 3")
        yield server


def url(server, role, password=PASSWORD, **options):
    return server.url(role, password, **options)


@pytest.fixture
def table(request, server):
    name = "t_" + "".join(c if c.isalnum() else "_" for c in request.node.name.lower())[:40]
    yield name
    found = server.execute(
        "SELECT relname FROM pg_class WHERE relname LIKE %s AND relkind = 'r'", name + "%"
    )
    for (each,) in found:
        server.execute(f"DROP TABLE {each}")


def tables(server):
    return server.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    )


@pytest.fixture
def full(server, table):
    """A store that the role `owner` has made, with an entry and a record."""
    with stone(url(server, "owner"), table=table) as store:
        store["a"] = 1
        Collection(store, User).add(ADA)
        yield store


def assert_refused(server, *arguments, error=StoreOpenError, match=None, **options):
    """Opening fails with an error of ours that does not show the password. Nothing is made."""
    before = tables(server)
    with pytest.raises(error, match=match) as failure:
        stone(*arguments, **options)
    shown = str(failure.value)
    assert PASSWORD not in shown
    assert quote(PASSWORD, safe="") not in shown
    assert tables(server) == before


# -- the URL -------------------------------------------------------------------------------------


def test_a_wrong_password_is_refused_and_not_shown(server, table):
    with pytest.raises(StoreOpenError) as failure:
        stone(url(server, "owner", "s3cret-but-wrong"), table=table)
    assert "s3cret-but-wrong" not in str(failure.value)
    assert "owner" in str(failure.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda url: url.replace("127.0.0.1", "no-such-host.invalid"),
        lambda url: url.replace("owner", "nosuchrole"),
        lambda url: url.replace("/postgres", "/nosuchdatabase"),
        lambda url: url + "?sslmod=require",
        lambda url: url + "?sslmode=perhaps",
        lambda url: url + "?connect_timeout=soon",
        lambda url: url.replace("@127", "@[127"),
        lambda url: url.replace("127.0.0.1:", "127.0.0.1:x"),
        lambda url: url.replace("%", "%zz"),
    ],
    ids=["host", "role", "database", "option", "mode", "timeout", "bracket", "port", "percent"],
)
def test_a_url_with_a_typo_is_refused_and_its_password_not_shown(server, table, change):
    assert_refused(server, change(url(server, "owner")), table=table)


@pytest.mark.parametrize(
    ("typo", "hint"),
    [
        ("sslmod=require", "is sslmode meant"),
        ("Table=shop", "is table meant"),
        ("sslmode=disable&aplication_name=shop", "is application_name meant"),
        ("readonly=1", "readonly is an argument of PostgresStore"),
    ],
)
def test_a_parameter_with_a_typo_is_refused_and_the_right_name_is_told(server, typo, hint):
    with pytest.raises(StoreOpenError, match=hint):
        stone(f"{url(server, 'owner')}?{typo}")


def test_a_part_of_a_password_that_looks_like_a_parameter_is_not_shown(server):
    with pytest.raises(StoreOpenError) as failure:
        stone("postgresql://owner:a/b?secretword=x@127.0.0.1/postgres")
    assert "secretword" not in str(failure.value)


def test_a_role_that_only_reads_by_default_is_told_why_it_cannot_write(server, full, table):
    server.execute("ALTER ROLE owner SET default_transaction_read_only = on")
    try:
        with pytest.raises(StoreOpenError, match="default_transaction_read_only"):
            stone(url(server, "owner"), table=table)
        with stone(url(server, "owner"), table=table, readonly=True) as store:
            assert len(store) > 0
    finally:
        server.execute("ALTER ROLE owner RESET default_transaction_read_only")


def test_a_port_where_nobody_listens_is_refused(server, table):
    nobody = url(server, "owner").replace(f":{server.port}/", ":1/")
    assert_refused(server, nobody, match="127.0.0.1", table=table)


def test_another_server_than_postgresql_is_refused(server, table):
    import socket
    import threading

    def answer():
        other, _ = listener.accept()
        with other:
            other.recv(100)
            other.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer)
        thread.start()
        port = listener.getsockname()[1]
        elsewhere = url(server, "owner").replace(f":{server.port}/", f":{port}/")
        assert_refused(server, elsewhere, table=table)
        thread.join()


def test_the_password_is_in_no_repr_and_no_log(server, full, caplog):
    caplog.set_level(logging.DEBUG)
    full["b"] = 2
    engine = full.database.engine
    shown = [
        repr(full),
        repr(engine),
        str(full),
        repr(vars(engine)),
        str(full.stats()),
        caplog.text,
    ]
    for each in shown:
        assert PASSWORD not in each
        assert quote(PASSWORD, safe="") not in each


# -- roles ---------------------------------------------------------------------------------------


def test_a_role_that_may_not_make_tables_is_refused_and_makes_none(server, table):
    assert_refused(server, url(server, "nobody"), table=table)


def test_a_role_without_any_rights_is_refused_on_a_store_that_is_there(server, full, table):
    assert_refused(server, url(server, "nobody"), table=table)
    assert_refused(server, url(server, "nobody"), table=table, create=False)
    assert_refused(server, url(server, "nobody"), table=table, readonly=True)


def test_create_false_makes_nothing(server, table):
    assert_refused(server, url(server, "owner"), table=table, create=False)


def grant(server, rights, role, table, ends):
    names = ", ".join(table + end for end in ends)
    server.execute(f"GRANT {rights} ON {names} TO {role}")


def test_a_role_that_may_write_rows_needs_no_more(server, full, table):
    grant(
        server,
        "SELECT, INSERT, UPDATE, DELETE",
        "writer",
        table,
        ["", "_index", "_meta", "_sums", "_lock"],
    )
    with stone(url(server, "writer"), table=table, create=False) as store:
        users = Collection(store, User)
        with store.transaction():
            store["a"] += 1
            users.add(User("bob@example.org", "Bob"))
        store.transact(lambda: store.update(b=2))
        users.modify(ADA.email, lambda ada: User(ada.email, "Ada L"))
        assert [user.name for user in users.find(name="Ada L")] == ["Ada L"]
        users.clear()
        assert (len(users), store.pop("a"), "b" in store) == (0, 2, True)
    assert dict(full) == {b"b": 2}


def test_a_role_that_may_read_serves_a_store_that_is_read_only(server, full, table):
    grant(server, "SELECT", "reader", table, ["", "_index", "_meta", "_sums"])
    with stone(url(server, "reader"), table=table, readonly=True) as store:
        users = Collection(store, User)
        assert (store["a"], len(users), users[ADA.email]) == (1, 1, ADA)
        assert list(users.find(name="Ada")) == [ADA]
        with store.snapshot() as view:
            assert view["a"] == 1
        for write in (lambda: store.update(a=2), lambda: users.add(ADA), store.clear):
            with pytest.raises(ReadOnlyError):
                write()
    assert full["a"] == 1


def test_a_role_that_may_only_read_is_refused_where_it_writes(server, full, table):
    grant(server, "SELECT", "reader", table, ["", "_index", "_meta", "_sums"])

    def write():
        with stone(url(server, "reader"), table=table, create=False) as store:
            store["a"] = 2

    with pytest.raises((StorageError, ReadOnlyError)):
        write()
    assert full["a"] == 1


def test_when_no_connection_is_left_it_says_so_and_goes_on_when_there_is(server, table):
    with stone(url(server, "few"), table=table) as store:
        store["a"] = 1
        views = []
        with pytest.raises(StorageError, match="too many connections"):
            for _ in range(5):
                views.append(store.snapshot().__enter__())
                assert views[-1]["a"] == 1
        with pytest.raises(StorageError, match="too many connections"):
            store["a"] = 2
        for view in views:
            view.close()
        assert store["a"] == 1
        store["a"] = 2
        assert len(views) == 3
    assert_refused(server, url(server, "few", PASSWORD + "x"), table=table)


# -- tables --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["", "Users", "a-b", "1a", "a b", 'a"b', "a%sb", "a" * 60, "é", "a;drop table b", "a\0"]
)
def test_a_name_that_is_none_for_a_table_is_refused(server, name):
    assert_refused(server, url(server, "owner"), error=StoneError, table=name)


@pytest.mark.parametrize("name", ["pg_class", "pg_stats", "pg_attribute"])
def test_a_table_of_the_server_is_refused(server, name):
    assert_refused(server, url(server, "owner"), table=name)
    assert_refused(server, server.url(socket=True), table=name)


@pytest.mark.parametrize(
    "shape", ["n int", "key text PRIMARY KEY, value bytea", "key bytea, value bytea"]
)
def test_a_table_of_another_program_is_refused_and_left_as_it_is(server, table, shape):
    server.execute(f"CREATE TABLE {table} ({shape})")
    server.execute(f"ALTER TABLE {table} OWNER TO owner")
    assert_refused(server, url(server, "owner"), table=table)
    assert_refused(server, url(server, "owner"), table=table, create=False)
    assert_refused(server, url(server, "owner"), table=table, readonly=True)


def test_a_view_with_the_name_is_refused(server, table):
    server.execute(f"CREATE VIEW {table} AS SELECT 'k'::bytea AS key, 'v'::bytea AS value")
    try:
        assert_refused(server, url(server, "owner"), table=table)
    finally:
        server.execute(f"DROP VIEW {table}")


def test_a_part_of_the_tables_is_refused_with_create_false(server, full, table):
    full.close()
    server.execute(f"DROP TABLE {table}_sums")
    assert_refused(server, url(server, "owner"), table=table, create=False)
    assert_refused(server, url(server, "owner"), table=table, readonly=True)


def test_two_programs_with_two_tables_do_not_meet(server, full, table):
    with stone(url(server, "owner"), table=table + "_b") as other:
        other["a"] = "other"
        assert Collection(other, User).get(ADA.email) is None
        other.destroy(yes_im_sure=True)
    assert full["a"] == 1
    assert Collection(full, User)[ADA.email] == ADA


def test_tables_that_are_dropped_under_a_store_are_an_error_of_ours(server, full, table):
    for end in ("", "_index", "_meta", "_sums", "_lock"):
        server.execute(f"DROP TABLE {table}{end}")
    for operate in (lambda: full["a"], lambda: full.update(a=2), lambda: list(full)):
        with pytest.raises(StorageError):
            operate()


def test_a_store_of_a_newer_layout_is_refused(server, full, table):
    server.execute(f"UPDATE {table}_meta SET value = '9' WHERE key = 'version'")
    assert_refused(server, url(server, "owner"), error=StoneError, match="newer", table=table)


# -- TLS -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def guarded(authority, tmp_path_factory):
    """A server that takes no connection without TLS, but for those by its socket."""
    folder = tmp_path_factory.mktemp("certificates")
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    authority.cert_pem.write_to_path(folder / "authority.pem")
    trustme.CA().cert_pem.write_to_path(folder / "another.pem")
    access = "local all all trust\nhostssl all all 127.0.0.1/32 trust\n"
    with PostgresServer(tcp=True, tls=True, access=access) as server:
        server.add_certificate(
            certificate.private_key_pem.bytes(), certificate.cert_chain_pems[0].bytes()
        )
        yield server, folder


def test_tls_with_a_verified_certificate_works(guarded):
    server, folder = guarded
    options = {"sslmode": "verify-full", "sslrootcert": folder / "authority.pem"}
    with stone(server.url(**options), table="verified") as store:
        store["a"] = 1
        Collection(store, User).add(ADA)
        encrypted = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl"
        assert server.execute(encrypted)[0][0] >= 1
        assert store["a"] == 1


def test_tls_with_a_certificate_of_somebody_else_is_refused(guarded):
    server, folder = guarded
    options = {"sslmode": "verify-full", "sslrootcert": folder / "another.pem"}
    with pytest.raises(StoreOpenError, match="certificate verify failed"):
        stone(server.url(**options), table="refused")
    assert server.execute("SELECT to_regclass('refused')") == [(None,)]


def test_tls_with_a_certificate_for_another_host_is_refused(guarded):
    server, folder = guarded
    options = {"sslmode": "verify-full", "sslrootcert": folder / "authority.pem"}
    elsewhere = server.url(hostaddr="127.0.0.1", **options).replace("@127.0.0.1", "@example.org")
    with pytest.raises(StoreOpenError, match=r"example\.org"):
        stone(elsewhere, table="refused")


def test_a_connection_without_tls_is_refused_by_a_server_that_wants_it(guarded):
    server, _ = guarded
    with pytest.raises(StoreOpenError, match=r"no encryption|SSL off"):
        stone(server.url(sslmode="disable"), table="refused")


def test_a_server_without_tls_is_refused_where_tls_is_wanted(server, table):
    assert_refused(server, url(server, "owner", sslmode="require"), table=table, match="SSL")
