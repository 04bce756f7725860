"""The URL of a store on Redis: its parts, and how messages show it."""

import re
from urllib.parse import parse_qsl, urlencode, urlsplit

from attrs import frozen

from stones.errors import StoreOpenError

_SCHEMES = {"redis": "redis", "rediss": "rediss", "unix": "unix"}
_SCHEMES |= {"valkey": "redis", "valkeys": "rediss"}
_NUMBER = re.compile("[0-9]+")
_OF_TEXT = {"decode_responses", "encoding", "encoding_errors"}
"""Options of the client for replies that are text."""
_PREFIX = re.compile(r"[^{}\s\x00-\x1f]{1,200}")


@frozen
class Address:
    """Where a store is. `url` is for the client, and may have a password.

    `shown` is a URL too, for messages and commands. It has no password.
    """

    url: str
    prefix: str
    shown: str


def address_of(url: object, prefix: str | None) -> Address:
    """The address of a URL, and of the prefix that it has, or that is given beside it.

    Raises StoreOpenError, whose text never has a password.

    >>> address_of('redis://ann:secret@db:6379/0?prefix=shop', None).shown
    'redis://ann@db:6379/0?prefix=shop'
    """
    if not isinstance(url, str):
        raise StoreOpenError(f"the URL of a store on Redis is a str, not {type(url).__name__}")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise StoreOpenError("the URL of the store on Redis cannot be read: " + _FORM) from error
    scheme = _SCHEMES.get(parts.scheme.lower())
    if scheme is None or "://" not in url or not (parts.hostname or parts.path.strip("/")):
        raise StoreOpenError("this is no URL of a store on Redis: " + _FORM)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    number = options.get("db", "0" if scheme == "unix" else parts.path.strip("/") or "0")
    if not _NUMBER.fullmatch(number):  # the client would take 0
        raise StoreOpenError(f"the database in the URL is a number, not {number!r:.100}: " + _FORM)
    for name in _OF_TEXT & options.keys():
        raise StoreOpenError(f"a store on Redis takes bytes from the client: leave out {name}=")
    named = options.pop("prefix", None)
    if named is not None and prefix is not None and named != prefix:
        raise StoreOpenError(f"the prefix is {named!r} in the URL, and {prefix!r} beside it")
    found = named if named is not None else "stones" if prefix is None else prefix
    if not isinstance(found, str) or not _PREFIX.fullmatch(found):
        raise StoreOpenError(
            "the prefix of a store on Redis has 1 to 200 characters, without spaces and braces, "
            f"not {found!r:.100}"
        )
    host = parts.hostname or ""
    place = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
    user = f"{parts.username}@" if parts.username else ""
    for_client = f"{scheme}://{parts.netloc}{parts.path}"
    if options:
        for_client += f"?{urlencode(options)}"
    open_options = {name: text for name, text in options.items() if _is_open(name)}
    query = urlencode({**open_options, "prefix": found}, safe="/:,")
    return Address(for_client, found, f"{scheme}://{user}{place}{parts.path}?{query}")


def _is_open(option: str) -> bool:
    """Whether an option of the URL may be shown, and says which store it is or how to reach it."""
    return option in ("db", "username") or (
        option.startswith("ssl_") and "pass" not in option and "data" not in option
    )


_FORM = "write redis://HOST:6379/0, rediss://USER:PASSWORD@HOST:6379/0 or unix:///PATH?db=0"
