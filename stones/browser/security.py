"""The gate before all pages: what a request may come from, and the headers of answers.

The server is on this machine, so any web page that its user visits can make the browser send
requests to it. The gate lets through those of our own pages, and of programs.

- A page of another site cannot read answers, since no answer allows it. But it could rename itself
  to an address of this machine (DNS rebinding). The header Host then still has its own name.
- It could send a form, or embed a page. The browser then says so in Origin or Sec-Fetch-Site.
  Another port of this machine is another site too.
- A form has a token besides, see `stones.browser.edit_pages`.
"""

from collections.abc import Iterable
from ipaddress import ip_address

from attrs import frozen
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .token_check import TokenCheck

HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
    "img-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # With "no-referrer" a browser would send the forms of our own pages with "Origin: null".
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
"""The headers of each answer."""


@frozen
class Hosts:
    """The names under which a server answers.

    >>> here = Hosts.of('127.0.0.1')
    >>> [here.allow(host) for host in ('localhost:8000', '127.0.0.1', '[::1]:80', 'evil.example')]
    [True, True, True, False]
    """

    is_loopback: bool
    names: frozenset[str]

    @classmethod
    def of(cls, address: str, others: Iterable[str] = ()) -> "Hosts":
        """The names of a server that listens on `address`. `others` are further names."""
        names = frozenset(name.lower().rstrip(".") for name in (address, *others))
        return cls(is_loopback(address), names)

    def allow(self, host: str) -> bool:
        """Whether the header Host has one of the names, with any port."""
        name = _name_in(host)
        if name is None:
            return False
        if name == "localhost" or name in self.names:
            return True
        # An address needs no DNS, so no rebinding can bring it about.
        try:
            address = ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or not self.is_loopback


def is_loopback(host: str) -> bool:
    """Whether only programs on this machine can reach an address.

    >>> is_loopback('127.0.0.1'), is_loopback('::1'), is_loopback('localhost'), is_loopback('::')
    (True, True, True, False)
    """
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


class Gate:
    """Lets requests through to an application, and adds headers to its answers."""

    def __init__(self, app: ASGIApp, hosts: Hosts, token_check: TokenCheck | None = None) -> None:
        self._app = app
        self._hosts = hosts
        self._token_check = token_check

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        refusal = refusal_of(scope, self._hosts)
        if refusal is not None:
            answer: ASGIApp = PlainTextResponse(f"{refusal}\n", 403)
        elif self._token_check is not None:
            answer = await self._token_check.answer(scope, receive) or self._app
        else:
            answer = self._app
        await answer(scope, receive, send_with_headers)


def refusal_of(scope: Scope, hosts: Hosts) -> str | None:
    """Why a request is refused, or None."""
    headers = Headers(scope=scope)
    given = headers.getlist("host")
    if len(given) != 1 or not hosts.allow(given[0]):
        shown = repr(given[0][:80]) if given else "nothing"
        return (
            f"the header Host names {shown}, which is no name of this server: open it by its "
            "address, or start it with --allow-host NAME"
        )
    origin = headers.get("origin")
    # A proxy in front may speak TLS. No other server has the same host and port.
    own = [f"{scheme}://{given[0]}".lower() for scheme in ("http", "https")]
    if origin is not None and origin.lower() not in own:
        return "this request comes from a page of another site"
    fetch_site = headers.get("sec-fetch-site", "same-origin")
    if fetch_site in ("same-origin", "none"):
        return None
    is_link = headers.get("sec-fetch-mode") == "navigate" and scope["method"] in ("GET", "HEAD")
    if is_link and headers.get("sec-fetch-dest") == "document":
        return None
    return "this request comes from a page of another site"


def _name_in(host: str) -> str | None:
    """The name in a header Host, without port and brackets. None if it is malformed."""
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):
        name, port = host, ""
    if colon and port and not (port.isascii() and port.isdigit()):
        return None
    if name.startswith("[") and name.endswith("]"):
        return name[1:-1]
    return name.lower().rstrip(".") if ":" not in name else None
