"""The URL of a store: where the server is, and which table. Its password is never shown.

`postgresql://USER:PASSWORD@HOST1:PORT,HOST2:PORT/DATABASE?table=NAME&sslmode=verify-full`: what
libpq reads, and `table`, which is ours.
"""

import os
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any
from urllib.parse import quote, unquote, urlencode

import psycopg
from attrs import field, frozen
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo

from stones.errors import StoreOpenError

SCHEMES = ("postgresql://", "postgres://")
_LOCAL = re.compile(r"(/.*|@.*|localhost|127\.[0-9.]+|::1|)", re.IGNORECASE)
_ARGUMENTS = ("readonly", "create", "timeout", "serialize", "trust_pickle", "checksums")
_DEFAULTS = {
    "application_name": "stones",
    "connect_timeout": "10",
    # A network that has gone quiet is noticed within a minute and a half.
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "90000",
}
_SHOWN = ("service", "sslmode", "sslrootcert", "sslcert", "sslkey", "target_session_attrs")
"""The parameters without which a URL may lead to another server, or to none."""


@frozen
class Address:
    """Where a store is."""

    parameters: Mapping[str, Any] = field(repr=False)
    """The parameters of the connection, for psycopg. The password is among them."""
    table: str
    name: str
    """A URL of the same store without the password, for messages and commands."""

    def hidden(self, text: str) -> str:
        """A text of the server or of its client, without the password."""
        password = self.parameters.get("password")
        return text.replace(str(password), "***") if password else text


def address_of(url: object, table: str, *, readonly: bool) -> Address:
    """Where the store of a URL is. Raises StoreOpenError.

    A table in the URL comes before `table`. If the URL has several hosts and does not say which of
    them serve, the one that takes writes is looked for.
    """
    if not isinstance(url, str) or not url.startswith(SCHEMES):
        raise StoreOpenError(
            "the URL of a store on PostgreSQL is postgresql://USER@HOST/DATABASE, as text; this "
            f"is {'another one' if isinstance(url, str) else type(url).__name__}"
        )
    head, mark, query = url.partition("?")
    options, names = [], []
    for option in query.split("&") if mark else ():
        name, _, value = option.partition("=")
        if name == "table":
            table = unquote(value)
        elif option:
            options.append(option)
            names.append(name)
    try:
        given = conninfo_to_dict(head + "?" + "&".join(options) if options else head)
    except psycopg.Error as error:
        # What is in quotes may be a part of the password.
        text = re.sub(r'".*"', "...", " ".join(str(error).split()))
        raise StoreOpenError(
            f"the URL of the store cannot be read: {text}{_what_is_meant(names)}"
        ) from None
    # With a plain slash in a password, a part of it is taken for the port or the database.
    _, _, path = head.partition("://")[2].partition("/")
    if "@" in path or not all(port.isdigit() for _, port in _hosts(given) if port):
        raise StoreOpenError(
            "the URL of the store cannot be read: its port is no number, or it has a user or a "
            "password with characters that a URL writes by numbers (%2F for /, %40 for @)"
        )
    return Address(_completed(given, readonly), table, _shown(given, table))


def _what_is_meant(names: Iterable[str]) -> str:
    """A hint for a parameter that libpq does not know.

    It shows names that are known, and no other: the rest may be a part of the password.
    """
    known = {"table", *(option.keyword.decode() for option in Conninfo.get_defaults())}
    for name in names:
        if name in _ARGUMENTS:
            return f" ({name} is an argument of PostgresStore, and no part of the URL)"
        close = [] if name in known else get_close_matches(name, known, 1)
        if close:
            return f" (is {close[0]} meant?)"
    return ""


def _completed(given: Mapping[str, Any], readonly: bool) -> dict[str, Any]:
    parameters = {**_DEFAULTS, **given}
    hosts = _hosts(given)
    # libpq would go on without encryption, password and all, where the server offers none.
    says = "sslmode" in given or "service" in given or "PGSSLMODE" in os.environ
    if not says and not all(_LOCAL.fullmatch(host) for host, _ in hosts):
        parameters["sslmode"] = "require"
    if len(hosts) > 1 and not readonly and "PGTARGETSESSIONATTRS" not in os.environ:
        parameters.setdefault("target_session_attrs", "read-write")
    return parameters


def _hosts(given: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Each host with its port, or with an empty text."""
    hosts = str(given.get("host") or given.get("hostaddr") or os.environ.get("PGHOST", ""))
    ports = str(given.get("port") or "").split(",")
    names = hosts.split(",")
    return list(zip(names, ports if len(ports) == len(names) else ports * len(names), strict=False))


def _shown(given: Mapping[str, Any], table: str) -> str:
    user = f"{quote(given['user'], safe='')}@" if "user" in given else ""
    hosts = ",".join(_shown_host(*host) for host in _hosts(given))
    query = urlencode(
        {**{name: given[name] for name in _SHOWN if name in given}, "table": table},
        safe="/",
        quote_via=quote,
    )
    return f"postgresql://{user}{hosts}/{quote(given.get('dbname', ''), safe='')}?{query}"


def _shown_host(host: str, port: str) -> str:
    """A host, which may be the directory of a socket, with its port."""
    shown = f"[{host}]" if ":" in host else quote(host, safe="")
    return f"{shown}:{port}" if port else shown
