"""The server: its sockets, its limits, and its end.

It speaks HTTP/1.1 without TLS. For other machines, put it behind a proxy with TLS, or reach it
through `ssh -L`.
"""

import asyncio
import errno
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from stones.errors import StoneError

from .site import Site

CONNECTIONS = 200
"""So many connections may be open. Another one is told to come again later."""
HEAD_SECONDS = 10.0
"""A connection on which no request is answered has to bring a whole head in this time."""


class ListenError(StoneError, OSError):
    """The address cannot be listened on: another program does, or it is not of this machine."""


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens until the block ends; port 0 takes a free port. Raises ListenError."""
    try:
        family, *_, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.create_server(address[:2], family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ListenError(
                f"another program listens on port {port}: give another one by --port, or --port 0 "
                "for a free one"
            ) from error
        raise ListenError(f"cannot listen on {host!r}, port {port}: {error.strerror}") from error
    # asyncio sets it for sockets that name TCP only. Without it the body of an answer waits until
    # the client has confirmed the head, which takes 40 ms on Linux.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with listener:
        yield listener


def serve(app: Starlette, listener: socket.socket, ready: Callable[[], object]) -> None:
    """Answer requests until SIGINT (Ctrl-C), SIGTERM, or `Site.stopped` is set.

    `ready` is called once requests are answered, and signals end it. Requests that still run at the
    end are ended.
    """
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=5,
    )
    # A client that sends no HTTP is no news. A fault of ours is.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    site: Site = app.state.site
    try:
        _Server(config, site, ready).run([listener])
    finally:
        site.stopped.set()
        app.state.threads.shutdown()


class _Server(uvicorn.Server):
    """Ends at a signal, and lets the command go on: it closes the store, and exits with 0."""

    def __init__(self, config: uvicorn.Config, site: Site, ready: Callable[[], object]) -> None:
        super().__init__(config)
        self._site = site
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    async def on_tick(self, counter: int) -> bool:
        return await super().on_tick(counter) or self._site.stopped.is_set()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._site.stopped.set()
        super().handle_exit(signal.Signals(sig), frame)
        self._captured_signals.clear()  # uvicorn would raise them again


class _Protocol(H11Protocol):
    """HTTP on one connection, which has to bring each request in time."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            self._await_head()
        elif self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def connection_lost(self, exc: Exception | None) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.abort)
