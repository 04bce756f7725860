"""The secret that lets a browser in, where the server is given one.

A browser brings it in the URL that `stones serve` prints, or types it into a form. From then on it
has a cookie with another secret: a cookie goes to all ports of a machine, and must not tell the
token. A program sends the header `Authorization: Bearer TOKEN`.
"""

import asyncio
from hmac import compare_digest
from secrets import token_urlsafe
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
)
from starlette.types import Receive, Scope

from .rendering import rendered
from .request_body import BodyError, form_of

SHORTEST = 16
"""The fewest characters of a token."""
PAUSE = 0.5
"""The seconds before the answer to a wrong token."""
_FORM, _FORM_SIZE, _FORM_SECONDS = "/token", 10_000, 5.0


class TokenCheck:
    """Lets those in who know the token."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()
        self._session = token_urlsafe(32)

    async def answer(self, scope: Scope, receive: Receive) -> Response | None:
        """The answer to a request without the token, or to the one that brings it.

        None lets the request through.
        """
        path: str = scope["path"]
        arguments = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = dict(arguments).get("token", "")
        is_known = path.startswith("/static/") or self._is_known(scope)
        if is_known and not given:
            return None
        if scope["method"] == "POST":
            return None if is_known else await self._answer_to_form(scope, receive)
        if not given:
            return _refusal(path, "")
        if is_known and not self._is_token(given):
            return None
        # The token leaves the URL at once: a URL is kept in the history.
        rest = urlencode([pair for pair in arguments if pair[0] != "token"])
        where = scope.get("raw_path", b"/").decode("latin-1").partition("?")[0]
        return await self._let_in(scope, given, f"{where}?{rest}" if rest else where)

    async def _answer_to_form(self, scope: Scope, receive: Receive) -> Response:
        if scope["path"] != _FORM:
            return _refusal(scope["path"], "")
        try:
            form = await form_of(scope, receive, _FORM_SIZE, _FORM_SECONDS)
        except BodyError as error:
            return PlainTextResponse(f"{error}\n", error.status)
        return await self._let_in(scope, form.get("token", ""), "/")

    def _is_known(self, scope: Scope) -> bool:
        headers = Headers(scope=scope)
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return self._is_token(given.strip())
        session = cookie_parser(headers.get("cookie", "")).get(_cookie_name(scope), "")
        return compare_digest(session.encode(), self._session.encode())

    def _is_token(self, given: str) -> bool:
        return compare_digest(given.encode("utf-8", "replace"), self._token)

    async def _let_in(self, scope: Scope, given: str, where: str) -> Response:
        if not self._is_token(given):
            await asyncio.sleep(PAUSE)
            return _refusal(scope["path"], "this is another token")
        # Two slashes would lead to another server.
        answer = RedirectResponse("/" + where.lstrip("/\\"), 303)
        answer.set_cookie(_cookie_name(scope), self._session, httponly=True, samesite="lax")
        return answer


def _cookie_name(scope: Scope) -> str:
    """A name for each port: the servers on one machine share the cookies of a browser."""
    server = scope.get("server") or ("", 0)
    return f"stones-{server[1]}"


def _refusal(path: str, message: str) -> Response:
    headers = {"www-authenticate": "Bearer"}
    if path.startswith("/api/"):
        error = message or "send the token of the server: Authorization: Bearer TOKEN"
        return JSONResponse({"error": error}, 401, headers)
    return HTMLResponse(rendered("token.html", action=_FORM, message=message), 401, headers)
