"""A proxy before PostgreSQL that counts round trips, adds latency, and cuts connections on order.

It reads the messages of the protocol. A round trip is what the client sends up to a point from
which on it can wait for the server to be ready. So several statements that are sent together are
one round trip. The end of a transaction that nobody waits for counts as one. Connecting does not.
"""

import fcntl
import re
import socket
import struct
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Self

from attrs import define, field

from .postgres import socket_url

COMMIT = re.compile(r"(?:^|;)\s*(?:COMMIT|END)\b", re.IGNORECASE)

_SSL_REQUEST, _GSS_REQUEST = 80877103, 80877104


@define
class Cut:
    """An order to cut a connection at the first statement that `pattern` finds."""

    pattern: re.Pattern[str]
    after: bool
    """The statement reaches the server, which carries it out, but the client gets no answer."""
    happened: threading.Event = field(factory=threading.Event)


class Proxy:
    """Listens on a socket of its own, and passes everything on to a server's socket.

    `latency` is the round trip time in seconds. `version` is the version that clients are told, in
    place of the server's. `trips` is the number of round trips so far, `statements` are what they
    ran. All of it can be read and set at any time.
    """

    def __init__(
        self, server: Path, port: int = 5432, *, latency: float = 0.0, version: str = ""
    ) -> None:
        self._server = str(server / f".s.PGSQL.{port}")
        self._folder = tempfile.TemporaryDirectory(prefix="stones-proxy-")
        self.folder = Path(self._folder.name)
        self.latency = latency
        self.version = version
        self.trips = 0
        self.statements: list[str] = []
        self.connections = 0
        """How many were made."""
        self.refusing = False
        """Whether a new connection is closed at once."""
        self._cut: Cut | None = None
        self._pairs: list[_Pair] = []
        self._lock = threading.Lock()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.folder / ".s.PGSQL.5432"))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, user: str = "postgres", **options: object) -> str:
        return socket_url(self.folder, user, **options)

    # -- orders --------------------------------------------------------------------------------

    def cut_before(self, pattern: str | re.Pattern[str] = COMMIT) -> Cut:
        """Cut the next connection that sends such a statement; the server does not get it."""
        return self._order(Cut(re.compile(pattern), after=False))

    def cut_after(self, pattern: str | re.Pattern[str] = COMMIT) -> Cut:
        """Cut the next connection that sends such a statement, after the server has run it."""
        return self._order(Cut(re.compile(pattern), after=True))

    def _order(self, cut: Cut) -> Cut:
        self._cut = cut
        return cut

    def cut_all(self) -> None:
        """Cut every connection that is open."""
        for pair in list(self._pairs):
            pair.cut()

    @property
    def open(self) -> int:
        """How many connections are open."""
        return len(self._pairs)

    def take_order(self, statement: str) -> Cut | None:
        """The order that this statement sets off, once."""
        with self._lock:
            cut = self._cut
            if cut is None or not cut.pattern.search(statement):
                return None
            self._cut = None
            return cut

    def count_trip(self) -> None:
        with self._lock:
            self.trips += 1

    def settled_trips(self) -> int:
        """The number of round trips, once nothing is under way any more."""
        quiet, before = 0, -1
        while quiet < 3:
            time.sleep(0.001)
            still = self.trips == before and not any(pair.busy for pair in list(self._pairs))
            quiet, before = (quiet + 1 if still else 0), self.trips
        return self.trips

    # -- connections ---------------------------------------------------------------------------

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            if self.refusing:
                client.close()
                continue
            try:
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._server)
            except OSError:
                server.close()
                client.close()  # as if the server were down
                continue
            pair = _Pair(self, client, server, self._pairs.remove)
            self._pairs.append(pair)
            pair.start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut_all()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class _Pair:
    """One connection of a client, and the one to the server that belongs to it."""

    def __init__(
        self,
        proxy: Proxy,
        client: socket.socket,
        server: socket.socket,
        gone: Callable[["_Pair"], None],
    ) -> None:
        self._proxy, self._client, self._server, self._gone = proxy, client, server, gone
        self._lock = threading.Lock()
        self._asked = 1  # queries without an answer; connecting is like one
        self._waiting = True
        self._muted: Cut | None = None
        self._prepared: dict[bytes, str] = {}
        self._left = 2

    def start(self) -> None:
        for work in (self._to_server, self._to_client):
            threading.Thread(target=self._run, args=[work], daemon=True).start()

    def _run(self, work: Callable[[], None]) -> None:
        with suppress(OSError):
            work()
        self.cut()
        with self._lock:
            self._left -= 1
            last = not self._left
        if last:
            self._gone(self)
            self._client.close()
            self._server.close()

    @property
    def busy(self) -> bool:
        """Whether a query has no answer yet, or is still to be read."""
        with suppress(OSError, ValueError):
            unread = struct.unpack("i", fcntl.ioctl(self._client, termios.FIONREAD, b"\0" * 4))[0]
            return self._waiting or unread > 0
        return False  # it has been closed

    def cut(self) -> None:
        # A close would not reach the client while a forked child has the socket too.
        for end in (self._client, self._server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _to_server(self) -> None:
        stream = self._client.makefile("rb")
        self._start_up(stream)
        for kind, message in _messages(stream):
            statement = self._statement(kind, message)
            with self._lock:
                begins = not self._waiting
                self._waiting = True
                self._asked += kind in b"QS"
            if kind in b"QS":
                self._proxy.count_trip()
            if begins and self._proxy.latency:
                time.sleep(self._proxy.latency)
            if statement is not None:
                if kind != b"P":
                    self._proxy.statements.append(statement)
                cut = None if kind == b"P" else self._proxy.take_order(statement)
                if cut is not None and not cut.after:
                    cut.happened.set()
                    return
                if cut is not None:
                    self._muted = cut  # what the server answers from here on gets lost
            self._server.sendall(message)

    def _start_up(self, stream: BinaryIO) -> None:
        while True:
            head = _exactly(stream, 8)
            size, code = struct.unpack("!ii", head)
            rest = _exactly(stream, size - 8)
            if code not in (_SSL_REQUEST, _GSS_REQUEST):
                self._server.sendall(head + rest)
                return
            self._client.sendall(b"N")

    def _statement(self, kind: bytes, message: bytes) -> str | None:
        """The SQL that a message runs, or prepares."""
        if kind == b"Q":
            return message[5:-1].decode()
        if kind == b"P":
            name, text, _ = message[5:].split(b"\0", 2)
            self._prepared[name] = text.decode()
            return self._prepared[name]
        if kind == b"B":
            _, name, _ = message[5:].split(b"\0", 2)
            return self._prepared.get(name)
        return None

    def _to_client(self) -> None:
        for kind, message in _messages(self._server.makefile("rb")):
            if kind == b"Z":
                with self._lock:
                    self._asked -= 1
                    if self._asked <= 0:
                        self._asked = 0
                        self._waiting = False
            if kind == b"S" and message[5:].startswith(b"server_version\0") and self._proxy.version:
                said = b"server_version\0" + self._proxy.version.encode() + b"\0"
                message = b"S" + struct.pack("!i", len(said) + 4) + said
            if self._muted is None:
                self._client.sendall(message)
            elif kind == b"Z":
                self._muted.happened.set()
                return


def _messages(stream: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """The messages of a stream, each with its first byte, which is its kind."""
    while True:
        head = _exactly(stream, 5)
        (size,) = struct.unpack("!i", head[1:])
        yield head[:1], head + _exactly(stream, size - 4)


def _exactly(stream: BinaryIO, size: int) -> bytes:
    data: bytes = stream.read(size)
    if len(data) < size:
        raise ConnectionError("the stream has ended")
    return data
