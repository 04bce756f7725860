"""The body of a request, up to a size and within the time."""

import asyncio
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.types import Receive, Scope

FORM_TYPE = "application/x-www-form-urlencoded"
_FIELDS = 10_000


class BodyError(Exception):
    """A body that is not read. `status` is the one of the answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def form_of(scope: Scope, receive: Receive, limit: int, seconds: float) -> dict[str, str]:
    """The fields of the form in a body of at most `limit` bytes. Raises BodyError."""
    headers = Headers(scope=scope)
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != FORM_TYPE:
        raise BodyError(415, f"a form is sent as {FORM_TYPE}")
    try:
        async with asyncio.timeout(seconds):
            body = await _body(receive, limit)
    except TimeoutError:
        raise BodyError(408, "the body of the request did not arrive in time") from None
    try:
        fields = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            errors="strict",
            max_num_fields=_FIELDS,
        )
    except ValueError:
        raise BodyError(400, "the form is malformed") from None
    return dict(fields)


async def _body(receive: Receive, limit: int) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BodyError(400, "the client has gone")
        body += message.get("body", b"")
        if len(body) > limit:
            raise BodyError(413, f"the body of a request has at most {limit:,} bytes")
        if not message.get("more_body", False):
            return bytes(body)
